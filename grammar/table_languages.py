"""Tables as text: CSV and the tables of GitHub-flavoured Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.from_ebnf import ebnf_to_grammar
from syntagma.grammar.language_options import (
    MAX_ROWS,
    Language,
    LanguageOption,
    columns,
    count,
    literal,
    one_of,
)
from syntagma.grammar.limits import Budget

# Columns of a Markdown table whose number is left open: every number is a grammar of its own.
MAX_OPEN_COLUMNS = 12
# A delimiter row is as wide as its column; without a bound a model may draw it for ever.
MAX_DASHES = 100
# Blanks beside a header's name that is given.
MAX_PADDING = 100


def build_csv(options: Mapping[str, Any], budget: Budget) -> ir.Grammar:
    """Records of RFC 4180, a line each; line breaks within quotes only."""
    given, delimiter = options["columns"], literal(options["delimiter"])
    is_named = isinstance(given, list)
    num_columns = len(given) if is_named else given
    # A line without anything is no record to most readers.
    first = "full" if num_columns in (None, 1) else "field"
    if num_columns is None:
        record = f"full ({delimiter} field)* | {delimiter} field ({delimiter} field)*"
    else:
        record = f"{first} ({delimiter} field){{{num_columns - 1}}}"
    if is_named:
        header = f" {delimiter} ".join(_csv_spelling(name, options["delimiter"]) for name in given)
    else:
        header = "record"
    return ebnf_to_grammar(
        f"""
        root   ::= header (end record){_bounds(options["max_rows"])} end?
        header ::= {header}
        record ::= {record}
        field  ::= full?
        full   ::= plain+ | "\\"" ([^"\\0] | "\\"\\"")* "\\""
        plain  ::= [^"\\r\\n\\0] - {delimiter}
        end    ::= "\\r"? "\\n"
        """,
        budget,
    )


def build_markdown_table(options: Mapping[str, Any], budget: Budget) -> ir.Grammar:
    """A header, a delimiter row and rows of as many cells."""
    given, rows = options["columns"], _bounds(options["max_rows"])
    if isinstance(given, list):
        cells = "".join(
            f" pad {literal(name.replace('|', chr(92) + '|'))} pad bar" for name in given
        )
        tables = [f"bar{cells} dashes{len(given)} rows{len(given)}"]
        counts = {len(given)}
    else:
        counts = set(range(1, MAX_OPEN_COLUMNS + 1)) if given is None else {given}
        tables = [f"row{n} dashes{n} rows{n}" for n in counts]
    shapes = "\n".join(
        f"""
        row{n}    ::= bar (letter* bar){{{n}}}
        dashes{n} ::= end bar (" "? ":"? "-"{{1,{MAX_DASHES}}} ":"? " "? bar){{{n}}}
        rows{n}   ::= (end row{n}){rows}
        """
        for n in counts
    )
    return ebnf_to_grammar(
        f"""
        root   ::= ({" | ".join(tables)}) end?
        letter ::= [^|\\\\\\x00-\\x1f\\x7f] | "\\\\" [^\\\\\\x00-\\x1f\\x7f]
        bar    ::= "|"
        pad    ::= " "{{0,{MAX_PADDING}}}
        end    ::= "\\n"
        {shapes}
        """,
        budget,
    )


def _bounds(max_rows: int | None) -> str:
    return "*" if max_rows is None else f"{{0,{max_rows}}}"


def _csv_spelling(name: str, delimiter: str) -> str:
    """A name as a field of CSV; quoted only if it has to be."""
    if name and not set(name) & {'"', "\r", "\n", delimiter}:
        return literal(name)
    return literal('"' + name.replace('"', '""') + '"')


_MAX_ROWS = LanguageOption("rows at most, besides the header", None, count(MAX_ROWS))

CSV = Language(
    "comma-separated values (RFC 4180): a header and records, each on a line of its own",
    build_csv,
    {
        "columns": LanguageOption(
            "their number, or their names in order, which then are the header; not given: records "
            "of any length",
            None,
            columns(r"[^\0]*", "texts"),
        ),
        "delimiter": LanguageOption("between fields", ",", one_of(",", ";", "\t", "|")),
        "max_rows": _MAX_ROWS,
    },
)

MARKDOWN_TABLE = Language(
    "one table of GitHub-flavoured Markdown, its rows all of the same length",
    build_markdown_table,
    {
        "columns": LanguageOption(
            f"their number, or their names in order; not given: 1 to {MAX_OPEN_COLUMNS}",
            None,
            columns(r"(?! )[^\\\x00-\x1f\x7f]+(?<! )", "names without line breaks and backslashes"),
        ),
        "max_rows": _MAX_ROWS,
    },
)
