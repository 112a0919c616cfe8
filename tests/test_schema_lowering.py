"""Lowering on demand: never fails, keeps what `ir.Grammar.is_proper` vouches for, same grammar."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_grammar import NaiveGrammar
from schema_strategies import rough_schemas, schemas
from toy import JSON_TOKENS, accepts, byte_vocabulary
from wide_schemas import wide_schemas

from syntagma.grammar import CompileLimits, GrammarCompiler, GrammarError, GrammarLimitError, ir
from syntagma.grammar.from_json_schema import json_schema_to_grammar
from syntagma.grammar.ir_fold import children
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_document import SchemaDocument

COMPILER = GrammarCompiler(byte_vocabulary(JSON_TOKENS))
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))


def lowered(schema: Any, **limits: Any) -> ir.Grammar:
    # A kernel may have to be compiled first, which is not what these tests are about.
    budget = Budget(CompileLimits(max_seconds=600, **limits))
    document = SchemaDocument.load(schema, budget)
    options = JsonOptions(whitespace="flexible")
    return json_schema_to_grammar(document, options, budget)


def is_nullable(node: ir.Node, rules: set[int]) -> bool:
    """Whether a node has the empty word, given the rules that have."""
    match node:
        case ir.Call(rule):
            return rule in rules
        case ir.Sequence(parts):
            return all(is_nullable(part, rules) for part in parts)
        case ir.Choice(parts):
            return any(is_nullable(part, rules) for part in parts)
        case ir.Repeat(part, min_count, _):
            return min_count == 0 or is_nullable(part, rules)
        case _:
            return False


def first_calls(node: ir.Node) -> list[int]:
    """The rules that a node may call before it reads anything; no rule is nullable."""
    match node:
        case ir.Call(rule):
            return [rule]
        case ir.Sequence(parts):
            found: list[int] = []
            for part in parts:
                found += first_calls(part)
                if not is_nullable(part, set()):
                    break
            return found
        case ir.Choice(parts):
            return [rule for part in parts for rule in first_calls(part)]
        case ir.Repeat(part, _, _):
            return first_calls(part)
        case _:
            return []


def calls(node: ir.Node) -> set[int]:
    """The rules that a node calls anywhere."""
    found = {node.rule} if isinstance(node, ir.Call) else set()
    return found.union(*map(calls, children(node)))


def has_dead_part(node: ir.Node) -> bool:
    """Whether a parser could come to something in a node that has no word."""
    return node == ir.NOTHING or any(map(has_dead_part, children(node)))


def has_cycle(successors: list[list[int]]) -> bool:
    """Whether a graph has a cycle: nodes without successors are taken away until none is left."""
    left = set(range(len(successors)))
    while True:
        ends = {node for node in left if left.isdisjoint(successors[node])}
        if not ends:
            return bool(left)
        left -= ends


def same_grammar(one: ir.Grammar, other: ir.Grammar) -> bool:
    """Equal from rule 0 on, up to the numbers of the rules."""
    partner = {0: 0}
    waiting: list[tuple[ir.Node, ir.Node]] = [(ir.Call(0), ir.Call(0))]
    opened: set[int] = set()
    while waiting:
        match waiting.pop():
            case ir.Call(a), ir.Call(b):
                if partner.setdefault(a, b) != b:
                    return False
                if a not in opened:
                    opened.add(a)
                    waiting.append((one.body(a), other.body(b)))
            case (ir.Sequence(a), ir.Sequence(b)) | (ir.Choice(a), ir.Choice(b)):
                if len(a) != len(b):
                    return False
                waiting += zip(a, b, strict=True)
            case ir.Repeat() as a, ir.Repeat() as b:
                if (a.min_count, a.max_count) != (b.min_count, b.max_count):
                    return False
                waiting.append((a.part, b.part))
            case ir.Terminal(a), ir.Terminal(b):
                if a.key != b.key:
                    return False
            case _:
                return False
    return True


def produce_in_any_order(grammar: ir.Grammar, rng: random.Random) -> None:
    """Ask for the bodies of declared rules, now this one, now that one."""
    while open_rules := [rule for rule, body in enumerate(grammar.rules) if body is None]:
        grammar.body(rng.choice(open_rules))


@SETTINGS
@given(rough_schemas() | wide_schemas(), st.randoms(use_true_random=False))
def test_the_order_in_which_rules_are_asked_for_does_not_matter(
    schema: Any, rng: random.Random
) -> None:
    try:
        grammar, other = lowered(schema), lowered(schema)
    except GrammarError:
        return
    produce_in_any_order(grammar, rng)
    other.produce_all()
    assert same_grammar(grammar, other)


@SETTINGS
@given(rough_schemas() | wide_schemas())
def test_a_proper_grammar_is_proper(schema: Any) -> None:
    try:
        grammar = lowered(schema)
    except GrammarError:
        return
    if not grammar.is_proper:
        return
    bodies = grammar.produce_all()
    reachable = {0}
    waiting = [0]
    while waiting:
        for callee in calls(bodies[waiting.pop()]) - reachable:
            reachable.add(callee)
            waiting.append(callee)
    assert reachable <= NaiveGrammar(grammar).productive_rules
    assert not [rule for rule in reachable if has_dead_part(bodies[rule])]
    assert not [rule for rule in reachable if is_nullable(bodies[rule], set())]
    assert not has_cycle([first_calls(body) for body in bodies])


@SETTINGS
@given(schemas())
def test_the_schema_may_change_after_compilation(schema: Any) -> None:
    expected = lowered(schema)
    mine = copy.deepcopy(schema)
    grammar = lowered(mine)
    mine.clear()
    assert same_grammar(grammar, expected)


LIST = {"$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}}
TREE = {"type": "array", "items": {"$ref": "#"}}
EITHER = {"anyOf": [{"type": "null"}, {"type": "array", "minItems": 1, "items": {"$ref": "#"}}]}


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {"type": "object"},
        {"type": "string", "pattern": "^a+$", "maxLength": 3},
        {"type": "object", "properties": {"a": False, "b": {"enum": [1, "x"]}}, "required": ["b"]},
        {"$ref": "#/$defs/n", **LIST},
        TREE,
        EITHER,
        {"allOf": [{"type": "object"}, {"required": ["a"]}]},
        {"type": "object", "required": ["a"], "additionalProperties": {"type": "null"}},
        {"type": "array", "prefixItems": [{}, {}], "items": False, "minItems": 2},
        {"anyOf": [{"type": "null"}, False]},
        {"$defs": {"a": {"$id": "http://x.test/a"}}, "items": {"$ref": "http://x.test/a"}},
    ],
)
def test_plain_schemas_are_lowered_on_demand(schema: Any) -> None:
    grammar = lowered(schema)
    assert grammar.is_proper
    assert sum(body is not None for body in grammar.rules) == 0


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"anyOf": [{"type": "null"}, {"type": "array", "minItems": 1, "items": False}]}, ["null"], ["[1]", "[]"]),
        ({"anyOf": [{"type": "null"}, {"enum": []}]}, ["null"], ["1"]),
        ({"type": "object", "properties": {"a": {"type": "array", "minItems": 1, "items": {"$ref": "#/properties/a"}}}}, ["{}", '{"b":1}'], ['{"a":[]}', '{"a":[[]]}']),
        ({"type": ["null", "string"], "minLength": 2, "maxLength": 1}, ["null"], ['"a"', '"ab"']),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "a^b"}, "c": {}}}, ["{}", '{"c":1}'], ['{"a":"ab"}']),
        ({"type": "array", "items": {"type": "integer", "minimum": 5, "maximum": 4}}, ["[]"], ["[5]", "[4]"]),
        ({"type": "object", "additionalProperties": {"enum": []}, "properties": {"a": {}}}, ["{}", '{"a":1}'], ['{"b":1}']),
        ({"type": ["object", "null"], "required": ["a"], "properties": {"a": {"not": {}}}}, ["null"], ["{}", '{"a":1}']),
        ({"type": "array", "prefixItems": [{"type": "null"}, {"not": {"minimum": 3}, "type": "string", "enum": [1]}]}, ["[]", "[null]"], ["[null,1]"]),
        ({"type": "object", "patternProperties": {"^a": {"enum": []}}, "properties": {"b": {}}}, ['{"b":1,"c":2}'], ['{"a":1}']),
    ],
)  # fmt: skip
def test_what_has_no_instance_is_left_out(schema: Any, good: list[str], bad: list[str]) -> None:
    assert lowered(schema).is_proper
    grammar = COMPILER.compile_json_schema(schema)
    assert [text for text in good if not accepts(grammar, text)] == []
    assert [text for text in bad if accepts(grammar, text)] == []


INNER = {"type": "object", "properties": {"x": {"$ref": "#"}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"oneOf": [INNER, {"type": "null"}]}, "b": INNER}},
        {"not": {"required": ["a"]}, "properties": {"b": INNER}},
        {"type": "object", "patternProperties": {"^a": INNER}, "additionalProperties": {"$ref": "#"}},
    ],
)  # fmt: skip
def test_only_what_needs_more_is_lowered_at_once(schema: Any) -> None:
    grammar = lowered(schema)
    assert grammar.is_proper
    assert None in grammar.rules


def test_a_long_object_is_produced_as_far_as_it_is_asked_for() -> None:
    names = [f"p{i}" for i in range(5000)]
    schema = {
        "type": "object",
        "properties": {name: {"type": "object"} for name in names},
        "required": names,
    }
    grammar = lowered(schema)
    assert grammar.is_proper
    rule = 0
    for _ in range(4):
        grammar.body(rule)
        rule = len(grammar.rules) - 1
    assert len(grammar.rules) < 20


def test_a_chain_of_references_is_followed_without_recursion() -> None:
    defs: dict[str, Any] = {
        f"l{i}": {"type": "array", "items": {"$ref": f"#/$defs/l{i + 1}"}, "minItems": 1}
        for i in range(5000)
    }
    schema = {"$ref": "#/$defs/l0", "$defs": {**defs, "l5000": {"type": "null"}}}
    assert lowered(schema).is_proper


@pytest.mark.parametrize(
    ("schema", "limit", "pointer"),
    [
        ({"properties": {"a": {"type": "string", "pattern": "a{1,1000000}"}}}, "max_nfa_states", "/properties/a/pattern"),
        ({"items": {"enum": list(range(9))}}, "max_enum_values", "/items"),
    ],
)  # fmt: skip
def test_limits_tell_where_they_were_met(schema: Any, limit: str, pointer: str) -> None:
    with pytest.raises(GrammarLimitError) as caught:
        lowered(schema, max_enum_values=8)
    assert (caught.value.limit, caught.value.pointer) == (limit, pointer)
