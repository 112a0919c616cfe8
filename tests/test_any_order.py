"""Parts in any order against the same language written out, and objects against all permutations."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_any_order import written_out
from naive_grammar import NaiveEarley
from test_artefact import saved
from test_closing import naive_shortest
from test_recognizer import ALPHABET, compile_ir, vocabularies
from toy import JSON_TOKENS, allowed_ids, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompileLimits,
    GrammarCompiler,
    UnsatisfiableGrammarError,
    Vocabulary,
    artefact,
    ir,
)
from syntagma.grammar import dfa as dfas
from syntagma.grammar.ir_productive import has_word
from syntagma.grammar.limits import Budget
from syntagma.grammar.terminals import WordList

SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
WORDS = [b"a", b"ab", b"b", b"ba", b"c", b"ca", b"cb"]


@st.composite
def grammars(draw: st.DrawFn) -> ir.Grammar:
    """Parts in any order in the first rule; the rules behind their heads may lead back to it."""
    num_rules = draw(st.integers(2, 4))
    words = st.lists(st.sampled_from(WORDS), max_size=2)
    some_words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2)
    head = some_words.map(lambda found: ir.Terminal(WordList(found)))
    call = st.integers(1, num_rules - 1).map(ir.Call)
    part = st.tuples(head, call).map(lambda pair: ir.Sequence(pair))
    # The last rule's words are not empty, so it needs no head.
    parts = st.lists(part | part | part | st.just(ir.Call(num_rules - 1)), max_size=3).map(tuple)
    low = draw(st.integers(0, 4))
    high = draw(st.none() | st.integers(low, 5))
    comma = ir.Terminal(dfas.literal(b","))
    final = draw(parts.map(lambda found: found[:2]) | st.just(()))
    order = ir.AnyOrder(draw(parts), draw(parts), draw(parts), comma, low, high, final)
    behind = draw(words)
    closing = [ir.Terminal(WordList(behind))] if behind else []
    grammar = ir.Grammar()
    grammar.add("root", draw(st.sampled_from([order, ir.Sequence((order, *closing))])))
    for _ in range(num_rules - 2):
        nested = ir.Sequence((ir.Terminal(dfas.literal(b"c")), ir.Call(0)))
        bodies = [ir.Terminal(dfas.from_words(draw(words))), nested, ir.optional(nested), ir.EMPTY]
        grammar.add("rest", draw(st.sampled_from(bodies)))
    grammar.add("whole", ir.Terminal(WordList(draw(some_words))))
    return grammar


@SETTINGS
@given(grammars(), vocabularies(max_size=30), st.randoms(use_true_random=False))
def test_masks_and_completions_equal_those_of_written_out_rules(
    grammar: ir.Grammar, vocabulary: Vocabulary, rng: random.Random
) -> None:
    plain = written_out(grammar)
    naive = NaiveEarley(plain, ALPHABET)
    assert has_word(grammar, Budget.unlimited()) == has_word(plain, Budget.unlimited())
    if naive.is_empty:
        with pytest.raises(UnsatisfiableGrammarError):
            compile_ir(vocabulary, grammar)
        return
    start = compile_ir(vocabulary, grammar)
    for walk in range(3):
        matcher, text = start.fork(), b""
        for step in range(6):
            expected = naive.mask(text, vocabulary)
            assert allowed_ids(matcher) == expected
            closing = matcher.closing_tokens()
            if step == walk:
                shortest = naive_shortest(matcher)
                written = b"".join(vocabulary.tokens[t] for t in closing)
                assert shortest is None or len(written) == shortest
            assert matcher.fork().accept_tokens(closing)
            token_id = rng.choice(sorted(expected))
            assert matcher.accept_token(token_id)
            if matcher.is_terminated():
                break
            text += vocabulary.tokens[token_id]


@SETTINGS
@given(grammars())
def test_rules_come_back_from_a_file(tmp_path_factory: Any, grammar: ir.Grammar) -> None:
    path: Path = saved(tmp_path_factory.mktemp("grammar") / "file", grammar)
    found = artefact.load(path).grammar
    (before, after) = (written_out(g) for g in (grammar, found))
    assert len(before.rules) == len(after.rules)
    order = found.body(0)
    while isinstance(order, ir.Sequence):
        order = order.parts[0]
    other = grammar.body(0)
    while isinstance(other, ir.Sequence):
        other = other.parts[0]
    assert isinstance(order, ir.AnyOrder) and isinstance(other, ir.AnyOrder)
    assert shape(order) == shape(other)


def shape(node: ir.AnyOrder) -> tuple[int | None, ...]:
    kinds = node.required, node.final, node.optional, node.repeated
    return (*map(len, kinds), node.min_count, node.max_count)


COMPILER = GrammarCompiler(byte_vocabulary(JSON_TOKENS))
NAMES = ["a", "ab", "b", "a\u00e9", 'q"']


@st.composite
def object_schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Objects with few declared names, each with two values."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: {"enum": [i, 7]} for i, name in enumerate(names)},
        "additionalProperties": draw(st.sampled_from([False, {"enum": [7, 9]}])),
    }
    if names:
        schema["required"] = draw(st.lists(st.sampled_from(names), unique=True))
    if draw(st.booleans()):
        schema["minProperties"] = draw(st.integers(0, 3))
    if draw(st.booleans()):
        schema["maxProperties"] = draw(st.integers(schema.get("minProperties", 0), 5))
    return schema | draw(st.just({}) | st.just({}) | st.sampled_from(ASKING))


# What asks for a member of one name or another.
ASKING: list[dict[str, Any]] = [
    {"anyOf": [{"required": ["ab"]}, {"required": ["b"]}]},
    {"dependentRequired": {"a": ["b"]}},
    {"not": {"patternProperties": {"^a": {"const": 7}}}},
    {"not": {"patternProperties": {"^(b|o)": {"const": 7}}}},
    {"allOf": [{"not": {"patternProperties": {k: {"const": 7}}}} for k in ("^a", "b$")]},
    {"not": {"properties": {"a": {"const": 0}, "b": {"const": 7}}}},
    {"not": {"propertyNames": {"pattern": "^a"}}},
    {"allOf": [{"not": {"propertyNames": {"pattern": "^a"}}}, {"not": {"maxProperties": 1}}]},
]


@SETTINGS
@given(object_schemas(), st.randoms(use_true_random=False))
def test_every_permutation_is_an_output_and_no_name_comes_twice(
    schema: dict[str, Any], rng: random.Random
) -> None:
    """At most one member is undeclared: such ones may come twice, which is another matter."""
    try:
        grammar = COMPILER.compile_json_schema(schema, property_order="any", whitespace="compact")
    except UnsatisfiableGrammarError:
        grammar = None
    validator = jsonschema.Draft202012Validator(schema)
    members = [(name, i) for name, one in schema["properties"].items() for i in one["enum"]]
    members += [("other", 7), ("other", 9)]
    for _ in range(60):
        chosen = [rng.choice(members) for _ in range(rng.randrange(5))]
        if [name for name, _ in chosen].count("other") > 1:
            continue
        text = ",".join(f"{json.dumps(name)}:{value}" for name, value in chosen)
        is_valid = len(dict(chosen)) == len(chosen) and validator.is_valid(dict(chosen))
        assert is_output(grammar, f"{{{text}}}") == is_valid, text


@SETTINGS
@given(object_schemas(), st.randoms(use_true_random=False))
def test_completions_are_as_short_as_in_the_order_of_the_schema(
    schema: dict[str, Any], rng: random.Random
) -> None:
    """In rules that are produced on demand, asked before and behind some tokens."""
    try:
        grammar = COMPILER.compile_json_schema(schema, property_order="any")
    except UnsatisfiableGrammarError:
        return
    matcher = Matcher(grammar)
    is_asked_before = rng.random() < 0.5
    if is_asked_before:
        assert grammar.shortest_bytes == COMPILER.compile_json_schema(schema).shortest_bytes
    for _ in range(rng.randrange(12)):
        assert matcher.accept_token(rng.choice(sorted(allowed_ids(matcher))))
        if matcher.is_terminated():
            return
    closing = matcher.closing_tokens()
    assert len(closing) == matcher.closing_cost()
    assert matcher.accept_tokens(closing)
    assert matcher.is_accepting()


def is_output(grammar: Any, text: str) -> bool:
    if grammar is None:
        return False
    matcher = Matcher(grammar)
    tokens = list(text.encode())
    return matcher.accept_tokens(tokens) and matcher.is_accepting()


@pytest.mark.parametrize("order", ["schema", "any"])
def test_sixty_properties_meet_no_limit(order: str) -> None:
    names = [f"name {i}" for i in range(60)]
    schema = {
        "type": "object",
        "properties": {name: {"type": "boolean"} for name in names},
        "required": names[:40],
    }
    compiler = GrammarCompiler(
        byte_vocabulary(JSON_TOKENS), limits=CompileLimits(max_rules=200, max_positions=2_000)
    )
    grammar = compiler.compile_json_schema(schema, property_order=order)  # type: ignore[arg-type]
    given_names = names if order == "schema" else names[::-1]
    assert is_output(grammar, json.dumps(dict.fromkeys(given_names, True)))
    assert not is_output(grammar, json.dumps(dict.fromkeys(names[:39], True)))
    shortest = json.loads(grammar.witness)
    assert set(shortest) == set(names[:40])


def test_keys_in_two_parts() -> None:
    """A bound on undeclared keys that is longer than what one automaton counts."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    grammar = COMPILER.compile_json_schema(
        schema, property_order="any", max_string=600, whitespace="compact"
    )
    for length, expected in ((600, True), (601, False)):
        key = "k" * length
        assert is_output(grammar, f'{{"{key}":1,"a":2}}') == expected
    assert is_output(grammar, '{"b":1,"a":2,"c":3}')
    assert not is_output(grammar, '{"a":2,"a":2}')
