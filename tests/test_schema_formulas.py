"""All of JSON Schema against the independent validator, on random schemas."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
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
@given(
    schemas() | wide_schemas(),
    st.lists(instances(), min_size=1, max_size=4),
    st.sampled_from([{}, {}, {"property_order": "any"}, {"formats": "known", "slips": "annotate"}]),
    st.randoms(use_true_random=False),
)
def test_both_ways_give_the_same_language(
    schema: Any, values: list[Any], policies: dict[str, Any], rng: random.Random
) -> None:
    """What is lowered on demand, if only in part, allows the same texts as what is lowered at once."""
    try:
        general = compiled(schema, **policies)
    except REFUSALS as error:
        with pytest.raises(type(error)) as caught:
            COMPILER.compile_json_schema(schema, **policies)
        assert (str(caught.value), caught.value.pointer) == (str(error), error.pointer)
        return
    try:
        fast = COMPILER.compile_json_schema(schema, **policies)
    except UnsatisfiableGrammarError:
        assert general is None
        return
    assert general is not None
    for value in values:
        text = json.dumps(value)
        assert accepts(fast, text) == accepts(general, text), text
    for one, other in ((fast, general), (general, fast)):
        text = sample(one, rng)
        # Where several schemas name members, either way may have its own order.
        assert text is None or any(accepts(other, t) for t in reordered(text)), text


def reordered(text: bytes) -> Iterator[bytes]:
    """A JSON text itself, then others with the members of its objects in another order."""
    yield text
    for pairs in itertools.islice(_orders(json.loads(text, object_pairs_hook=_Members)), 5000):
        yield _spelled(pairs).encode()


class _Members(list[tuple[str, Any]]):
    """The members of an object, as they came."""


def _orders(value: Any) -> Iterator[Any]:
    if not isinstance(value, list):
        yield value
        return
    parts = [v for _, v in value] if isinstance(value, _Members) else value
    for inner in itertools.product(*(list(itertools.islice(_orders(p), 100)) for p in parts)):
        if isinstance(value, _Members):
            members = [(name, v) for (name, _), v in zip(value, inner, strict=True)]
            yield from map(_Members, itertools.permutations(members))
        else:
            yield list(inner)


def _spelled(value: Any) -> str:
    if isinstance(value, _Members):
        return "{" + ", ".join(f"{json.dumps(n)}: {_spelled(v)}" for n, v in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_spelled, value)) + "]"
    return json.dumps(value)


DRAFTS = {
    4: "http://json-schema.org/draft-04/schema#",
    6: "http://json-schema.org/draft-06/schema#",
    7: "http://json-schema.org/draft-07/schema#",
    2019: "https://json-schema.org/draft/2019-09/schema",
    2020: "https://json-schema.org/draft/2020-12/schema",
}
EXAMPLES: list[tuple[list[int], Any, list[str], list[str]]] = [
    ([4], {"type": "integer", "minimum": 3, "exclusiveMinimum": True}, ["4"], ["3"]),
    ([4], {"type": "number", "maximum": 3, "exclusiveMaximum": False}, ["3"], ["3.1"]),
    ([4, 6], {"id": "http://x.test/a", "type": "object", "properties": {"id": {"type": "null"}}}, ['{"id":null}'], ['{"id":1}']),
    ([4], {"id": "http://x.test/a", "type": "array", "items": {"$ref": "#/definitions/c"}, "definitions": {"c": {"type": "null"}}}, ["[null]"], ["[1]"]),
    ([4, 6, 7, 2019], {"items": [{"type": "null"}, {}], "additionalItems": {"type": "string"}, "type": "array"}, ["[]", "[null,1]", '[null,1,"a"]'], ["[1]", "[null,1,2]"]),
    ([4, 6, 7, 2019], {"items": [{"type": "null"}], "additionalItems": False, "type": "array"}, ["[null]"], ["[null,null]"]),
    ([4, 7, 2019], {"items": {"type": "null"}, "additionalItems": False, "type": "array"}, ["[null,null]"], ["[1]"]),
    ([2020], {"items": {"type": "null"}, "additionalItems": 5, "type": "array"}, ["[null]"], ["[1]"]),
    ([4, 6, 7], {"$ref": "#/definitions/a", "maxLength": 1, "definitions": {"a": {"type": "string"}}}, ['"abc"'], ["1"]),
    ([4, 7], {"properties": {"a": {"$ref": "#/definitions/a", "enum": [5]}}, "type": "object", "definitions": {"a": {"type": "null"}}}, ['{"a":null}'], ['{"a":5}']),
    ([2019, 2020], {"$ref": "#/definitions/a", "maxLength": 1, "definitions": {"a": {"type": "string"}}}, ['"a"'], ['"ab"']),
    ([4, 7, 2020], {"type": "array", "uniqueItems": False, "x-note": 1, "_format": "?"}, ["[1,1]"], ["1"]),
    ([4, 2020], {"type": ["integer", "string"], "format": "int64"}, ["9223372036854775807", '"a"'], ["9223372036854775808"]),
    ([4, 2020], {"type": "number", "format": "double", "minimum": 0}, ["0", "1.5"], ["-1"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("draft", "example"), [(d, example) for example in EXAMPLES for d in example[0]]
)
def test_both_ways_read_the_drafts_alike(draft: int, example: tuple[Any, Any, Any, Any]) -> None:
    _, schema, good, bad = example
    schema = {"$schema": DRAFTS[draft], **schema}
    fast, general = COMPILER.compile_json_schema(schema), compiled(schema)
    assert fast.source_grammar.is_proper
    assert general is not None
    for grammar in (fast, general):
        assert [text for text in good if not accepts(grammar, text)] == []
        assert [text for text in bad if accepts(grammar, text)] == []


def test_a_schema_below_may_name_another_draft() -> None:
    inner = {"$schema": DRAFTS[4], "minimum": 1, "exclusiveMinimum": True}
    schema = {"items": inner, "type": "array"}
    grammar = COMPILER.compile_json_schema(schema)
    assert accepts(grammar, "[2]")
    assert not accepts(grammar, "[1]")
