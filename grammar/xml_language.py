"""XML by name: well-formed documents, the name at an element's end that of its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.captures import Captured, Fresh, Same
from syntagma.grammar.language_options import Language, grammar_of
from syntagma.grammar.limits import Budget
from syntagma.grammar.remembering_text import with_memory

TERMINALS = {"tag": Captured, "same-tag": Same, "attribute-name": Fresh}
RULES = """
root ::= document
tag ::= name
same-tag ::= name
attribute-name ::= name
"""


def xml_grammar(options: Mapping[str, Any], budget: Budget) -> ir.Grammar:
    """The rules of well-formed documents; attributes of one element differ in name."""
    return with_memory(grammar_of("xml.ebnf", RULES, budget), TERMINALS, budget)


XML = Language(
    summary="a well-formed XML document, without a document type and without colons in names",
    build=xml_grammar,
    is_fixed=True,
)
