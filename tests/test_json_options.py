"""Policies: what they leave out, what they leave as it is, and that they never contradict a schema."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import re
import typing
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_strategies import instances, schemas
from toy import JSON_TOKENS, accepts, byte_vocabulary, orders, sample
from wide_schemas import wide_schemas

from syntagma.clients import JsonPolicies as ClientPolicies
from syntagma.grammar import (
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.json_options import CHOICES, GREATEST, POLICIES, JsonOptions
from syntagma.server import constraint_kinds as kinds
from syntagma.server.constraint_kinds import JsonPolicy

COMPILER = GrammarCompiler(byte_vocabulary(JSON_TOKENS))
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
GENERAL = {"numbers": "any"}


def check(policies: dict[str, Any], schema: Any, good: list[str], bad: list[str]) -> None:
    grammar = COMPILER.compile_json_schema(schema, **policies)
    assert [text for text in good if not accepts(grammar, text)] == []
    assert [text for text in bad if accepts(grammar, text)] == []


def both_ways(policies: dict[str, Any], schema: Any, good: list[str], bad: list[str]) -> None:
    """The same on the fast and on the general way."""
    check(policies, schema, good, bad)
    check(policies | GENERAL, schema, good, bad)


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ({"whitespace": "none"}, "whitespace='none' is unknown"),
        ({"string_escapes": 1}, "string_escapes=1 is unknown"),
        ({"additional_properties_default": 0}, "must be true or false, not 0"),
        ({"max_digits": 0}, "max_digits must be a number from 1 to 400, or null"),
        ({"max_digits": True}, "not True"),
        ({"max_string": 10**7}, "max_string must be a number from 1 to 1000000"),
        ({"max_string": "5"}, "not '5'"),
    ],
)
def test_what_is_no_policy_is_refused(policies: Any, said: str) -> None:
    with pytest.raises(GrammarSyntaxError, match=re.escape(said)):
        COMPILER.compile_json_schema({}, **policies)


def test_a_grammar_tells_its_policies() -> None:
    grammar = COMPILER.compile_json_schema({"type": "null"}, max_string=7, whitespace="pretty")
    assert grammar.options == JsonOptions(max_string=7, whitespace="pretty")
    described = grammar.options.describe()
    assert list(described) == list(POLICIES)
    assert JsonOptions.from_description(described) == grammar.options
    assert COMPILER.compile_json_object(max_digits=3).options == JsonOptions(max_digits=3)
    assert COMPILER.compile_regex("a").options is None
    with pytest.raises(GrammarSyntaxError, match="'max_indent' is unknown"):
        JsonOptions.from_description({"max_indent": 3})


def test_policies_make_different_hashes_and_survive_a_file(tmp_path: Any) -> None:
    schema = {"type": "string"}
    given = [{}, {"max_string": 5}, {"string_escapes": "canonical"}, {"max_digits": None}]
    grammars = [COMPILER.compile_json_schema(schema, **policies) for policies in given]
    assert len({grammar.hash for grammar in grammars}) == len(given)
    for number, grammar in enumerate(grammars):
        grammar.save(tmp_path / str(number))
        loaded = COMPILER.load(tmp_path / str(number))
        assert loaded.options == grammar.options
    regex = COMPILER.compile_regex("a")
    regex.save(tmp_path / "regex")
    assert COMPILER.load(tmp_path / "regex").options is None


NESTED = {
    "type": "object",
    "properties": {
        "a": {"type": "array", "items": {"type": "integer"}},
        "o": {"type": "object"},
        "e": {"enum": [[], [1, {}], {"k": []}]},
    },
    "required": ["a"],
}


@SETTINGS
@given(
    st.fixed_dictionaries(
        {"a": st.lists(st.integers(0, 9), max_size=3)},
        optional={
            "o": st.dictionaries(st.sampled_from("xy"), st.none() | st.just([])),
            "e": st.sampled_from([[], [1, {}], {"k": []}]),
        },
    ),
    st.integers(0, 5),
    st.booleans(),
)
def test_pretty_is_what_dumps_writes(value: Any, indent: int, is_general: bool) -> None:
    policies = {"whitespace": "pretty", **(GENERAL if is_general else {})}
    grammar = COMPILER.compile_json_schema(NESTED, **policies)
    value = {name: value[name] for name in NESTED["properties"] if name in value}
    text = json.dumps(value, indent=indent)
    assert accepts(grammar, text)
    assert not accepts(grammar, json.dumps(value))


def test_pretty_asks_for_every_line_break() -> None:
    schema = {"type": "array", "items": {"type": "object"}}
    text = json.dumps([{"a": 1, "b": [None, {}]}, {}], indent=2)
    both_ways({"whitespace": "pretty"}, schema, [text], [])
    for match in re.finditer(r"\n *|: ", text):
        both_ways(
            {"whitespace": "pretty"}, schema, [], [text[: match.start()] + text[match.end() :]]
        )
    both_ways({"whitespace": "pretty"}, schema, ["[]"], ["[\n]", "[ ]", '[\n {"a":1}\n]'])


@SETTINGS
@given(schemas(), st.randoms(use_true_random=False))
def test_canonical_strings_have_one_spelling(schema: dict[str, Any], rng: random.Random) -> None:
    try:
        grammar = COMPILER.compile_json_schema(
            schema, string_escapes="canonical", whitespace="compact"
        )
    except (UnsatisfiableGrammarError, GrammarLimitError):
        return
    text = sample(grammar, rng)
    if text is None:
        return
    for string in re.findall(rb'"(?:[^"\\]|\\.)*"', text):
        assert json.dumps(json.loads(string), ensure_ascii=False).encode() == string


@SETTINGS
@given(schemas(), st.lists(instances(), min_size=1, max_size=4))
def test_canonical_escapes_leave_every_value(schema: dict[str, Any], values: list[Any]) -> None:
    """What is accepted is what is accepted with any escapes, written without ``ensure_ascii``."""
    try:
        usual = COMPILER.compile_json_schema(schema)
    except (UnsatisfiableGrammarError, GrammarLimitError):
        return
    canonical = COMPILER.compile_json_schema(schema, string_escapes="canonical")
    for value in values:
        raw, escaped = json.dumps(value, ensure_ascii=False), json.dumps(value)
        assert accepts(canonical, raw) == accepts(usual, raw)
        if raw != escaped:
            assert not accepts(canonical, escaped)


def test_canonical_escapes() -> None:
    canonical = {"string_escapes": "canonical"}
    text = '"\\"\\\\\\n\\t\\r\\b\\f\\u0000\\u001f/é😀\x7f"'
    assert json.dumps(json.loads(text), ensure_ascii=False) == text
    other = ['"\\/"', '"\\u0041"', '"\\u00e9"', '"\\ud83d\\ude00"', '"\\u000a"', '"\\u001F"']
    both_ways(canonical, {"type": "string"}, [text], other)
    both_ways(canonical, {"type": "string", "minLength": 1, "maxLength": 13}, [text], other)
    both_ways(canonical, {"type": "string", "pattern": "[^x]"}, [text], other)
    keys = [f"{{{key}:1}}" for key in (text, *other)]
    both_ways(canonical, {"type": "object"}, keys[:1], keys[1:])
    both_ways(canonical, {"properties": {"a": {}}, "type": "object"}, keys[:1], keys[1:])
    long = '"' + "\\n" * 1030 + '"'
    both_ways(
        canonical,
        {"type": "string", "minLength": 600, "maxLength": 1200},
        [long],
        [long.replace("\\n", "\\u000a")],
    )
    both_ways(canonical, {"enum": ["é"]}, ['"é"'], ['"\\u00e9"'])
    both_ways(canonical, {"properties": {"é": {}}, "required": ["é"], "type": "object"}, ['{"é":1}'], ['{"\\u00e9":1}'])  # fmt: skip


def test_digits() -> None:
    few = {"max_digits": 3}
    both_ways(few, {"type": "integer"}, ["999", "-999", "0"], ["1000", "-1000"])
    both_ways(few, {"type": "integer", "minimum": 5}, ["5", "999"], ["4", "1000"])
    both_ways(few, {"type": "integer", "maximum": 5000}, ["5", "5000", "-999"], ["5001", "-1000"])
    both_ways(
        few,
        {"type": "integer", "minimum": 10**6},
        [str(10**6), str(10**7 - 1)],
        [str(10**6 - 1), str(10**7)],
    )
    both_ways(few, {"type": "number"}, ["999.999", "1e10"], ["1000", "0.1234"])
    check(few, {"type": "number", "minimum": 1}, ["999.999", "1e10"], ["1000", "0.1234"])
    long = "1234567890" * 12
    free = {"max_digits": None}
    both_ways(free, {"type": "integer"}, [long, f"-{long}", "0"], ["01", "1.5"])
    both_ways(free, {"type": "integer", "minimum": -7}, [long, "-7", "-1", "0"], ["-8", f"-{long}"])
    both_ways(free, {"type": "integer", "minimum": 85}, [long, "85", "99", "100"], ["84", "9"])
    both_ways(free, {"type": "integer", "maximum": -7}, [f"-{long}", "-7"], ["-6", long, "7"])
    both_ways(free, {"type": "number"}, [f"{long}.{long}"], ["1."])
    check(free, {"type": "number", "minimum": 1.5}, [f"{long}.{long}", "1.5"], ["1.4", f"-{long}"])
    check(free, {"type": "number", "multipleOf": 3}, [long, "3"], [f"{long}1", "4"])


def test_digits_that_leave_no_number_are_an_error() -> None:
    number = {"exclusiveMinimum": 0.1, "exclusiveMaximum": 0.2, "multipleOf": 0.0001}
    schema = {"items": {"type": "number", **number}, "minItems": 1, "type": "array"}
    with pytest.raises(GrammarLimitError, match="max_digits = 1") as caught:
        COMPILER.compile_json_schema(schema, max_digits=1)
    assert caught.value.limit == "max_digits"
    assert caught.value.pointer == "/items/exclusiveMinimum"
    check({}, schema, ["[0.1001]"], ["[0.1]"])


def test_bounds_of_the_schema_make_room_for_their_digits() -> None:
    few = {"max_digits": 2}
    check(few, {"type": "number", "minimum": 0.1234, "maximum": 0.12345}, ["0.12344"], ["0.12"])
    check(few, {"type": "number", "minimum": 500, "maximum": 5000}, ["500", "4999.99"], ["5001"])
    check(few, {"type": "number", "minimum": -5000}, ["-4999", "99"], ["-5001", "100"])


def quoted(length: int, character: str = "é") -> str:
    return f'"{character * length}"'


@pytest.mark.parametrize("most", [3, 512, 600])
def test_strings(most: int) -> None:
    bound = {"max_string": most}
    fits, longer = quoted(most), quoted(most + 1)
    both_ways(bound, {"type": "string"}, [fits, '""'], [longer])
    both_ways(bound, {"type": "string", "minLength": 2}, [fits, quoted(2)], [longer, quoted(1)])
    both_ways(bound, {"type": "string", "minLength": most + 2}, [quoted(most + 2)], [fits])
    both_ways(bound, {"type": "string", "maxLength": most + 2}, [quoted(most + 2)], [])
    both_ways(bound, {"type": "string", "pattern": "^é+$"}, [fits], [longer])
    both_ways(bound, {"type": "string", "pattern": "^x{600}$"}, [quoted(600, "x")], [])
    both_ways(bound, {"type": "string", "format": "date"}, ['"2024-02-29"'], [])
    both_ways(bound, {"const": "x" * 2000}, [quoted(2000, "x")], [])
    check(bound, {"type": "string", "not": {"const": "é"}}, [fits, '"x"'], [longer, '"é"'])
    check(bound, {"type": "string", "not": {"pattern": "x"}}, [fits], [longer, '"x"'])


@pytest.mark.parametrize("most", [3, 512, 600])
def test_keys(most: int) -> None:
    bound = {"max_string": most}
    fits, longer = f"{{{quoted(most)}:1}}", f"{{{quoted(most + 1)}:1}}"
    both_ways(bound, {"type": "object"}, [fits], [longer])
    declared = "d" * 550
    schema = {"type": "object", "properties": {declared: {"type": "null"}}}
    good = [f'{{"{declared}":null}}', fits, '{"":1}']
    both_ways(bound, schema, good, [longer, f'{{"{declared}":1}}'])
    both_ways(bound | {"string_escapes": "canonical"}, schema, good, [longer, '{"\\u0041":1}'])
    schema = {"patternProperties": {"^é": {"type": "integer"}}, "type": "object"}
    # In a pattern the bound may be lower, so that there are not too many states.
    check(bound, schema, [f"{{{quoted(3)}:1}}"], [longer, f"{{{quoted(3)}:null}}"])


def test_a_pattern_that_needs_longer_strings_is_an_error() -> None:
    schema = {"type": "string", "pattern": "^x{9}y*$"}
    for policies in ({}, GENERAL):
        with pytest.raises(GrammarLimitError, match="max_string = 8") as caught:
            COMPILER.compile_json_schema(schema, max_string=8, **policies)
        assert caught.value.pointer == "/pattern"
    negated = {"type": "string", "not": {"pattern": "^[^]{0,9}$"}}
    with pytest.raises(GrammarLimitError, match="max_string = 8") as caught:
        COMPILER.compile_json_schema(negated, max_string=8)


@SETTINGS
@given(schemas(), st.randoms(use_true_random=False), st.integers(1, 6))
def test_bounds_only_leave_out(schema: dict[str, Any], rng: random.Random, most: int) -> None:
    """An output under bounds is one without them, and its free strings and numbers are short."""
    try:
        usual = COMPILER.compile_json_schema(schema)
        bounded = COMPILER.compile_json_schema(schema, max_string=most, max_digits=most)
    except (UnsatisfiableGrammarError, GrammarLimitError):
        return
    text = sample(bounded, rng)
    assert text is None or accepts(usual, text)


@SETTINGS
@given(wide_schemas(), st.integers(1, 4), st.sampled_from(["any", "canonical"]))
def test_bounds_never_leave_nothing(schema: Any, most: int, escapes: Any) -> None:
    """A schema with an instance has one under every policy, or says which bound leaves none."""
    policies = {"string_escapes": escapes, "max_string": most, "max_digits": most}
    try:
        COMPILER.compile_json_schema(schema)
    except GrammarError:
        return
    try:
        grammar = COMPILER.compile_json_schema(schema, **policies)
    except GrammarLimitError:
        return
    with contextlib.suppress(RecursionError):
        value = json.loads(grammar.witness)
        assert jsonschema.Draft202012Validator(schema).is_valid(value)


CLOSED: list[tuple[Any, Any]] = [
    # As given, and as it reads with nothing left unsaid.
    ({"type": "object"}, {"type": "object"}),
    ({"properties": {"a": {}}}, {"properties": {"a": {}}, "additionalProperties": False}),
    (
        {"properties": {"a": {"patternProperties": {"^x": {}}}}, "additionalProperties": True},
        {"properties": {"a": {"patternProperties": {"^x": {}}, "additionalProperties": False}}, "additionalProperties": True},
    ),
    (
        {"anyOf": [{"properties": {"a": {}}}, {"$ref": "#/$defs/b"}, {"type": "null"}], "$defs": {"b": {"properties": {"b": {"$ref": "#"}}}}},
        {"anyOf": [{"properties": {"a": {}}, "additionalProperties": False}, {"$ref": "#/$defs/b"}, {"type": "null"}], "$defs": {"b": {"properties": {"b": {"$ref": "#"}}, "additionalProperties": False}}},
    ),
    (
        {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
        {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}], "unevaluatedProperties": False},
    ),
    (
        {"properties": {"a": {}}, "if": {"properties": {"a": {"const": 1}}}, "then": {"properties": {"b": {}}, "required": ["b"]}},
        {"properties": {"a": {}}, "if": {"properties": {"a": {"const": 1}}}, "then": {"properties": {"b": {}}, "required": ["b"]}, "unevaluatedProperties": False},
    ),
    (
        {"$ref": "#/$defs/b", "properties": {"a": {}}, "$defs": {"b": {"properties": {"b": {}}}}},
        {"$ref": "#/$defs/b", "properties": {"a": {}}, "$defs": {"b": {"properties": {"b": {}}}}, "unevaluatedProperties": False},
    ),
    (
        {"properties": {"a": {}}, "not": {"properties": {"b": {"const": 1}}, "required": ["b"]}},
        {"properties": {"a": {}}, "not": {"properties": {"b": {"const": 1}}, "required": ["b"]}, "additionalProperties": False},
    ),
    (
        {"items": {"properties": {"a": {}}}, "contains": {"properties": {"a": {"const": 1}}}},
        {"items": {"properties": {"a": {}}, "additionalProperties": False}, "contains": {"properties": {"a": {"const": 1}}}},
    ),
    ({"items": [{"properties": {"a": {}}}], "$schema": "http://json-schema.org/draft-07/schema#"}, {"items": [{"properties": {"a": {}}, "additionalProperties": False}], "$schema": "http://json-schema.org/draft-07/schema#"}),
    ({"dependentSchemas": {"a": {"properties": {"b": {}}}}, "patternProperties": {"a": {}}}, {"dependentSchemas": {"a": {"properties": {"b": {}}}}, "patternProperties": {"a": {}}, "unevaluatedProperties": False}),
    ({"unevaluatedProperties": {"type": "null"}, "properties": {"a": {}}}, {"unevaluatedProperties": {"type": "null"}, "properties": {"a": {}}}),
]  # fmt: skip
OBJECTS = [
    {}, {"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2}, {"c": 1}, {"a": 1, "c": 1}, {"xa": 1},
    {"a": {"xa": 1}}, {"a": {"b": 1}}, {"b": {"a": 1}}, {"b": {"c": 1}}, [{"a": 1}], [{"a": 1, "b": 1}], [{"c": 1}], None,
]  # fmt: skip


@pytest.mark.parametrize(("schema", "written_out"), CLOSED)
def test_closed_objects(schema: Any, written_out: Any) -> None:
    given_schema = copy.deepcopy(schema)
    grammar = COMPILER.compile_json_schema(schema, additional_properties_default=False)
    assert schema == given_schema
    same = COMPILER.compile_json_schema(written_out)
    validator = jsonschema.validators.validator_for(written_out)(written_out)
    for value in OBJECTS:
        texts = list(map(json.dumps, orders(value, 100)))
        found = any(accepts(grammar, text) for text in texts)
        assert found == any(accepts(same, text) for text in texts) == validator.is_valid(value)


@SETTINGS
@given(schemas(), st.lists(instances(), min_size=1, max_size=4))
def test_closing_leaves_out_and_adds_nothing(schema: dict[str, Any], values: list[Any]) -> None:
    """Without tests and ``oneOf`` what is valid under the policy is valid without it."""
    try:
        usual = COMPILER.compile_json_schema(schema)
        closed = COMPILER.compile_json_schema(schema, additional_properties_default=False)
    except (UnsatisfiableGrammarError, GrammarLimitError, UnsupportedGrammarError):
        return
    for value in values:
        text = json.dumps(value)
        assert accepts(usual, text) or not accepts(closed, text)


def test_a_draft_that_cannot_close_refuses() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"x": {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}},
    }
    with pytest.raises(UnsupportedGrammarError, match="name a later one") as caught:
        COMPILER.compile_json_schema(schema, additional_properties_default=False)
    assert caught.value.pointer == "/properties/x"


def test_malformed_schemas_are_refused_as_ever() -> None:
    for schema in (
        {"properties": 5},
        {"allOf": {"a": 1}},
        {"$ref": "#/nowhere"},
        {"$ref": 5},
        {"anyOf": [3]},
        {"items": {"properties": [1]}},
    ):
        with pytest.raises(GrammarError) as usual:
            COMPILER.compile_json_schema(schema)
        with pytest.raises(GrammarError) as closed:
            COMPILER.compile_json_schema(schema, additional_properties_default=False)
        assert str(closed.value) == str(usual.value)


def test_every_choice_of_every_policy_compiles() -> None:
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": "number"}}, "type": "object"}
    for name, choices in CHOICES.items():
        for choice in choices:
            assert COMPILER.compile_json_schema(schema, **{name: choice}).witness == b"{}"


def test_the_server_knows_the_same_policies() -> None:
    """The command line and the SDK must not import this package, so they say the words again."""
    assert JsonPolicy() == JsonPolicy(**JsonOptions().describe())
    assert kinds.POLICY_FIELDS == POLICIES
    assert kinds.BOUNDS == GREATEST
    for name, choices in CHOICES.items():
        assert typing.get_args(typing.get_type_hints(JsonPolicy, vars(kinds))[name]) == choices
        (said, _) = typing.get_args(typing.get_type_hints(ClientPolicies)[name])
        assert set(typing.get_args(said)) == set(choices)
    assert tuple(ClientPolicies.__annotations__) == (*POLICIES, "schemas")
