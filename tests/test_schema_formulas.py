"""All of JSON Schema against the independent validator, on random schemas."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schema_strategies import instances, schemas
from toy import JSON_TOKENS, accepts, byte_vocabulary, sample
from wide_schemas import wide_schemas

from syntagma.grammar import (
    CompiledGrammar,
    CompileLimits,
    GrammarCompiler,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.from_schema_formulas import formulas_to_grammar
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_document import SchemaDocument

SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
# A reference to its own negation is malformed: nothing is either valid or invalid.
REFUSALS = (UnsupportedGrammarError, GrammarLimitError, GrammarSyntaxError)
COMPILER = GrammarCompiler(byte_vocabulary(JSON_TOKENS))


def compiled(schema: Any, **options: Any) -> CompiledGrammar | None:
    """A grammar by the general way; None if nothing is valid."""
    budget = Budget(CompileLimits(max_seconds=20))
    document = SchemaDocument.load(schema, budget)
    grammar = formulas_to_grammar(document, {}, JsonOptions(**options), budget)
    try:
        return COMPILER._finish("json_schema", grammar, lambda: None, budget, 0)
    except UnsatisfiableGrammarError:
        return None


def is_valid(schema: Any, value: Any) -> bool | None:
    """The judge's answer; None where references loop and it has none."""
    try:
        return jsonschema.Draft202012Validator(schema).is_valid(value)
    except RecursionError:
        return None


@SETTINGS
@given(wide_schemas(), st.lists(instances(), min_size=1, max_size=8))
def test_instances_are_accepted_exactly_if_valid(schema: Any, values: list[Any]) -> None:
    try:
        grammar = compiled(schema, property_order="any", numbers="any", whitespace="compact")
    except REFUSALS:
        return
    for value in values:
        expected = is_valid(schema, value)
        assume(expected is not None)
        text = json.dumps(value, separators=(",", ":"))
        found = grammar is not None and accepts(grammar, text)
        assert found == expected, text


@SETTINGS
@given(wide_schemas(), st.randoms(use_true_random=False))
def test_random_walks_end_in_valid_instances(schema: Any, rng: random.Random) -> None:
    try:
        grammar = compiled(schema)
    except REFUSALS:
        return
    if grammar is None:
        return
    text = sample(grammar, rng)
    if text is not None:
        assert is_valid(schema, json.loads(text)) in (True, None), text


@SETTINGS
@given(schemas(), st.lists(instances(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_both_ways_give_the_same_language(
    schema: Any, values: list[Any], rng: random.Random
) -> None:
    """Where the fast way lowers a schema, the general way allows the same texts."""
    general = compiled(schema)
    try:
        fast = COMPILER.compile_json_schema(schema)
    except UnsatisfiableGrammarError:
        assert general is None
        return
    except GrammarLimitError:
        return
    assert general is not None
    texts = [json.dumps(value).encode() for value in values]
    texts += [text for grammar in (fast, general) if (text := sample(grammar, rng)) is not None]
    for text in texts:
        assert accepts(fast, text) == accepts(general, text), text
