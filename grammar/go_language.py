"""Go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.language_options import Language, LanguageOption, grammar_of, one_of
from syntagma.grammar.limits import Budget


def build_go(options: Mapping[str, Any], budget: Budget) -> ir.Grammar:
    """A file, statements or an expression."""
    return grammar_of("go.ebnf", f"root ::= {options['start']}", budget)


GO = Language(
    "Go source as its own parser reads it",
    build_go,
    {
        "start": LanguageOption(
            "what the text is: a whole file, statements as in a function's body, an expression",
            "file",
            one_of("file", "statements", "expression"),
        )
    },
    is_fixed=True,
)
