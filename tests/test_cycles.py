"""What a grammar holds goes with it, not with the next collection of cycles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from toy import byte_vocabulary

from syntagma.grammar.embedding import Embedding
from syntagma.grammar.from_json_schema import json_schema_to_grammar
from syntagma.grammar.ir import Grammar
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.limits import Budget
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.parser import Parser
from syntagma.grammar.rule_automata import RuleAutomata
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.spelled_terminals import SpelledTerminals

SCHEMAS: list[Any] = [
    {"type": "string"},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"$ref": "#"}, "c": {}}},
    {"type": "array", "items": {"anyOf": [{"type": "object"}, {"enum": [1, [2], {"a": 3}]}]}},
    {"oneOf": [{"type": "null"}, {"properties": {"a": {"$ref": "#"}}, "required": ["a"]}]},
]


@pytest.fixture
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
@pytest.mark.parametrize("is_lazy", [True, False])
@pytest.mark.parametrize("num_states", [0, 1, 5, 1000])
def test_a_grammar_goes_at_once(schema: Any, is_lazy: bool, num_states: int) -> None:
    """However much of it has been explored."""
    budget = Budget.unlimited()
    store = MaskStore(byte_vocabulary([]))
    document = SchemaDocument.load(schema, budget)
    grammar = json_schema_to_grammar(document, JsonOptions(), budget)
    assert grammar.is_proper
    automata = RuleAutomata(grammar, SpelledTerminals(store), budget, is_lazy=is_lazy)
    parser = Parser(automata, store.pool)
    state = 0
    while state < min(num_states, parser.num_states):
        parser.lower(state)
        state += 1
    parser.closing_bytes(0)
    assert isinstance(store.pool, LexerPool)
    found = [weakref.ref(thing) for thing in (document, grammar, automata, parser)]
    del document, grammar, automata, parser
    assert [ref() for ref in found] == [None] * len(found)


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
@pytest.mark.parametrize("num_rules", [0, 2, 1000])
def test_an_embedded_grammar_goes_at_once(schema: Any, num_rules: int) -> None:
    """However many of its rules were asked for."""
    budget = Budget.unlimited()
    document = SchemaDocument.load(schema, budget)
    inner = json_schema_to_grammar(document, JsonOptions(), budget)
    grammar = Grammar()
    grammar.declare("root")
    grammar.define(0, Embedding(grammar).embed(inner))
    rule = 0
    while rule < min(num_rules, len(grammar.rules)):
        grammar.body(rule)
        rule += 1
    found = [weakref.ref(thing) for thing in (document, grammar, inner)]
    del document, grammar, inner
    assert [ref() for ref in found] == [None] * len(found)
