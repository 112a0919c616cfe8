"""Strings of a branch, with errors that tell where the pattern stands."""

from __future__ import annotations

from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarError
from syntagma.grammar.json_terminals import JsonTerminals
from syntagma.grammar.limits import Budget
from syntagma.grammar.regex_parser import parse_regex
from syntagma.grammar.schema_conjunction import Branch
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_forms import string_bounds


def string_node(branch: Branch, document: SchemaDocument, terminals: JsonTerminals) -> ir.Node:
    """The strings that a branch allows.

    Raises:
        GrammarError: a pattern is malformed or too large; its pointer is that of the keyword.
    """
    try:
        return terminals.string(string_bounds(branch))
    except GrammarError as error:
        if error.pointer is None:
            error.pointer = _culprit(branch, document, terminals.budget)
        raise


def _culprit(branch: Branch, document: SchemaDocument, budget: Budget) -> str:
    """The pattern that cannot be read; if all can, the first keyword that asks for an automaton."""
    places = [
        (schema, keyword)
        for keyword in ("pattern", "format")
        for schema in branch
        if keyword in schema
    ]
    for schema, keyword in places:
        if keyword == "pattern":
            try:
                parse_regex(schema[keyword], budget)
            except GrammarError:
                return f"{document.pointer(schema)}/{keyword}"
    schema, keyword = places[0]
    return f"{document.pointer(schema)}/{keyword}"
