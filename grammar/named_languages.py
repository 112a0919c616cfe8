"""The languages that are offered by name; each is stated here once.

A language is a function that builds an `ir.Grammar` from checked options, most of them from a file
in ``languages/``. To add one: write the file or the function, and an entry in `LANGUAGES`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.absorb import absorb
from syntagma.grammar.data_languages import ARITHMETIC, JSON, JSON_LINES
from syntagma.grammar.errors import GrammarSyntaxError
from syntagma.grammar.go_language import GO
from syntagma.grammar.grammar_source import closest
from syntagma.grammar.language_options import Language
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.python_language import PYTHON
from syntagma.grammar.sql_language import SQL
from syntagma.grammar.table_languages import CSV, MARKDOWN_TABLE
from syntagma.grammar.xml_language import XML

LANGUAGES: dict[str, Language] = {
    "arithmetic": ARITHMETIC,
    "csv": CSV,
    "go": GO,
    "json": JSON,
    "json-lines": JSON_LINES,
    "markdown-table": MARKDOWN_TABLE,
    "python": PYTHON,
    "sql": SQL,
    "xml": XML,
}


def language_named(name: object) -> Language:
    """A language.

    Raises:
        GrammarSyntaxError: there is none of that name.
    """
    if not isinstance(name, str):
        raise GrammarSyntaxError(f"a language is given by its name, not as {type(name).__name__}")
    if name not in LANGUAGES:
        guess = closest(name, LANGUAGES)
        hint = f"; did you mean {guess!r}?" if guess else ""
        raise GrammarSyntaxError(
            f"there is no language {name[:40]!r}; there are {', '.join(sorted(LANGUAGES))}{hint}"
        )
    return LANGUAGES[name]


def language_to_grammar(
    name: str, options: Mapping[str, Any], limits: CompileLimits
) -> tuple[ir.Grammar, Budget]:
    """The grammar of a language, its regular parts as terminals, and the budget for what is left to do.

    Raises:
        GrammarSyntaxError: an unknown language or option, or a value that an option cannot have.
        GrammarLimitError: too large, through the options.
    """
    budget = Budget(limits)
    language = language_named(name)
    values = language.checked(name, options)
    if language.is_fixed:
        return _fixed_grammar(name, tuple(sorted(values.items()))), Budget(limits)
    return absorb(language.build(values, budget), budget), budget


@functools.cache
def _fixed_grammar(name: str, values: tuple[tuple[str, str], ...]) -> ir.Grammar:
    budget = Budget.unlimited()
    return absorb(LANGUAGES[name].build(dict(values), budget), budget)
