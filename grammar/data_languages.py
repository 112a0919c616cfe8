"""JSON, JSON Lines and arithmetic."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.language_options import (
    MAX_ROWS,
    Language,
    LanguageOption,
    count,
    grammar_of,
    literal,
    names,
    one_of,
)
from syntagma.grammar.limits import Budget

IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"


def build_json(options: Mapping[str, Any], budget: Budget) -> ir.Grammar:
    """A text of JSON."""
    blank = '""' if options["whitespace"] == "none" else r"[ \t\r\n]*"
    rules = f"root ::= blank {options['start']} blank\nblank ::= {blank}"
    return grammar_of("json.ebnf", rules, budget)


def build_json_lines(options: Mapping[str, Any], budget: Budget) -> ir.Grammar:
    """A text of JSON in every line."""
    blank = '""' if options["whitespace"] == "none" else r"[ \t]*"
    more = "*" if options["max_lines"] is None else f"{{0,{options['max_lines'] - 1}}}"
    line = f"blank {options['start']} blank"
    rules = f'root ::= {line} ("\\n" {line}){more} "\\n"?\nblank ::= {blank}'
    return grammar_of("json.ebnf", rules, budget)


def build_arithmetic(options: Mapping[str, Any], budget: Budget) -> ir.Grammar:
    """One expression."""
    keywords = " | ".join(map(literal, keyword.kwlist))
    any_name = f"([A-Za-z_] [A-Za-z0-9_]*) - ({keywords})"
    rules = [
        f"{rule} ::= " + (any_name if given is None else " | ".join(map(literal, given)))
        for rule, given in (("name", options["names"]), ("function", options["functions"]))
    ]
    rules += [f"number ::= {options['numbers']}", f"power ::= {literal(options['power'])}"]
    return grammar_of("arithmetic.ebnf", "\n".join(rules), budget)


_TOP = LanguageOption("what it is", "value", one_of("value", "object", "array"))
_WHITESPACE = LanguageOption("between tokens: any or none", "any", one_of("any", "none"))

JSON = Language(
    "a JSON text (RFC 8259); with a schema use `json` constraints instead",
    build_json,
    {"start": _TOP, "whitespace": _WHITESPACE},
)

JSON_LINES = Language(
    "JSON Lines: a JSON text in every line",
    build_json_lines,
    {
        "start": LanguageOption("what every line is", "value", _TOP.check),
        "whitespace": _WHITESPACE,
        "max_lines": LanguageOption("lines at most", None, count(MAX_ROWS)),
    },
)

ARITHMETIC = Language(
    "an arithmetic expression: numbers, names, calls, `+ - * / %`, powers, parentheses",
    build_arithmetic,
    {
        "names": LanguageOption(
            "the variables that may stand in it; not given: any name",
            None,
            names(IDENTIFIER, "names"),
        ),
        "functions": LanguageOption(
            "the functions that may be called; not given: any", None, names(IDENTIFIER, "names")
        ),
        "numbers": LanguageOption(
            "integers only, or decimals too", "decimal", one_of("decimal", "integer")
        ),
        "power": LanguageOption("how powers are written", "**", one_of("**", "^")),
    },
)
