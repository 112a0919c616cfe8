"""JSON Schema: everything the masks allow is valid, and every valid instance is allowed."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from schema_strategies import FORMATS, instances, schemas
from toy import JSON_TOKENS, accepts, byte_vocabulary, orders, sample

from syntagma.grammar import (
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.json_formats import FORMATS as FORMAT_PATTERNS

VOCABULARY = byte_vocabulary(JSON_TOKENS)
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
# Values that are written in more ways are left out.
MAX_ORDERS = 60


def compiler() -> GrammarCompiler:
    return GrammarCompiler(VOCABULARY)


def validator(schema: Any) -> jsonschema.Draft202012Validator:
    """The independent judge. Formats the package cannot check without extras are ours to test
    elsewhere, so here they are checked by pattern."""
    checker = jsonschema.FormatChecker(formats=())
    for name in FORMATS:
        patterns = FORMAT_PATTERNS[name]
        checker.checks(name)(
            lambda v, ps=patterns: not isinstance(v, str) or all(re.fullmatch(p, v) for p in ps)
        )
    return jsonschema.Draft202012Validator(schema, format_checker=checker)


def is_valid(schema: Any, value: Any) -> bool | None:
    """The judge's answer; None where references loop and it has none."""
    try:
        return validator(schema).is_valid(value)
    except RecursionError:
        return None


@SETTINGS
@given(schemas(), st.randoms(use_true_random=False), st.sampled_from(["compact", "flexible"]))
def test_random_walks_end_in_valid_instances(
    schema: dict[str, Any], rng: random.Random, whitespace: Any
) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    try:
        grammar = compiler().compile_json_schema(schema, whitespace=whitespace)
    except (UnsatisfiableGrammarError, GrammarLimitError):
        return
    text = sample(grammar, rng)
    if text is not None:
        value = json.loads(text)
        assert is_valid(schema, value) in (True, None), text


@SETTINGS
@given(schemas(), st.lists(instances(), min_size=1, max_size=6), st.booleans())
@example({"type": "object", "properties": {"é": False}}, [{"é": 1}], True)
@example({"type": "integer"}, [2.0, 2.5], True)
@example({"const": 2.0}, [2.0, 3.0], True)
def test_instances_are_accepted_exactly_if_valid(
    schema: dict[str, Any], values: list[Any], ensure_ascii: bool
) -> None:
    """Written as `json.dumps` does; a value counts as accepted if one of its `orders` is."""
    try:
        grammar = compiler().compile_json_schema(schema)
    except GrammarLimitError:
        return
    except UnsatisfiableGrammarError:
        assert not any(is_valid(schema, value) for value in values)
        return
    for value in values:
        expected = is_valid(schema, value)
        assume(expected is not None)
        written = orders(value, MAX_ORDERS)
        if len(written) > MAX_ORDERS:
            continue
        found = any(accepts(grammar, json.dumps(v, ensure_ascii=ensure_ascii)) for v in written)
        assert found == expected, value


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer", "minimum": -3, "maximum": 12}, ["-3", "0", "12"], ["-4", "13", "-0", "01", "1.0"]),
        ({"type": "integer", "exclusiveMinimum": 1.5, "exclusiveMaximum": 3}, ["2"], ["1", "3"]),
        ({"type": "integer", "minimum": 10**30}, [str(10**30)], ["5", "-5"]),
        ({"type": "string", "minLength": 2, "maxLength": 2}, ['"ab"', '"\\u00e9\\n"', '"😀é"', '"\\ud83d\\ude00x"'], ['"a"', '"abc"', '"😀"']),
        ({"type": "string", "maxLength": 2000}, [f'"{"é" * 2000}"'], [f'"{"é" * 2001}"']),
        ({"type": "string", "minLength": 1500, "maxLength": 2000}, [f'"{"x" * 1500}"', f'"{"x" * 2000}"'], [f'"{"x" * 1499}"', f'"{"x" * 2001}"']),
        ({"type": "string", "minLength": 513, "maxLength": 513}, [f'"{"x" * 513}"'], [f'"{"x" * 512}"', f'"{"x" * 514}"']),
        ({"type": "string", "minLength": 512, "maxLength": 1024}, [f'"{"x" * n}"' for n in (512, 1023, 1024)], [f'"{"x" * n}"' for n in (511, 1025)]),
        ({"type": "string", "minLength": 700}, [f'"{"x" * 700}"', f'"{"x" * 3000}"'], [f'"{"x" * 699}"']),
        ({"type": "string"}, ['"\\ud83d\\ude00"', '"\\/"', '""'], ['"\\ud83d"', '"\\ude00"', '"\n"', '"\\x"']),
        ({"type": "string", "pattern": "b"}, ['"abc"', '"\\u0062"'], ['"ac"']),
        ({"enum": ["é", 1, 2.0, None, [1, {"k": "v"}]]}, ['"é"', '"\\u00e9"', "1", "2.0", "2", "null", '[1, {"k": "v"}]', '[1,{"k":"v"}]'], ['"e"', "3"]),
        ({"enum": ["a", 5, None], "type": "string"}, ['"a"'], ["5", "null"]),
        ({"enum": [3, 30], "minimum": 10, "type": "integer"}, ["30"], ["3"]),
        ({"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 3}, ["[null]", "[null, null,null]"], ["[]", "[null,null,null,null]"]),
        ({"type": "array", "maxItems": 0}, ["[]", "[ ]"], ["[1]"]),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False}, ["[]", "[1]", "[1,2]"], ["[2]", "[1,2,3]"]),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2}, ["[1,2]", "[1,2,2]"], ["[1]", "[1,1]"]),
        ({"required": ["z"], "properties": {"a": {"const": 1}}, "type": "object", "additionalProperties": {"const": 2}}, ['{"z":2}', '{"a":1,"z":2,"q":2}'], ["{}", '{"a":1}', '{"z":1}']),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": {"const": 2}}, ['{"b":2}'], ['{"\\u0061":2,"b":1}', '{"b":1}']),
        ({"type": "object", "properties": {"a": False}}, ["{}", '{"b":1}'], ['{"a":1}', '{"\\u0061":1}']),
        ({"allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"a": {"minimum": 5}}, "required": ["a"]}], "type": "object"}, ['{"a":5}'], ['{"a":4}', "{}"]),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}, "additionalProperties": False}}}, ["{}", '{"next":{"next":{}}}'], ['{"next":1}']),
        ({"$ref": "#/$defs/t", "maxLength": 1, "$defs": {"t": {"type": "string"}}}, ['"a"'], ['"ab"', "1"]),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, ["null"], ["1"]),
        ({"$id": "http://x.test/root", "$ref": "#n", "$defs": {"n": {"$anchor": "n", "type": "null"}}}, ["null"], ["1"]),
        ({"$id": "http://x.test/root", "properties": {"a": {"$ref": "http://x.test/root#/$defs/n"}}, "type": "object", "$defs": {"n": {"type": "null"}}}, ['{"a":null}'], ['{"a":1}']),
        ({"properties": {"d": {}}, "anyOf": [{"properties": {"c": {}}}], "allOf": [{"$ref": "#/$defs/b"}], "$defs": {"b": {"properties": {"b": {}}}}, "type": "object", "required": ["d", "c", "b", "a"]}, ['{"d":1,"b":1,"c":1,"a":1}'], ['{"d":1,"c":1,"b":1,"a":1}', '{"b":1,"c":1,"d":1,"a":1}']),
        ({"enum": [1, True, "a", 2.0], "const": 1}, ["1"], ["true", '"a"']),
        ({"allOf": [{"enum": [0, False, 2, "a"]}, {"enum": [2.0, False, [1]]}]}, ["2", "false"], ["0", '"a"', "[1]"]),
        ({"type": "string", "enum": ["a", 1]}, ['"a"'], ["1"]),
        ({"$id": "http://x.test/root", "$ref": "http://x.test/a", "$defs": {"a": {"$id": "a", "type": "object", "properties": {"p": {"$ref": "#/$defs/b"}}, "required": ["p"], "$defs": {"b": {"type": "null"}}}, "b": {"type": "string"}}}, ['{"p":null}'], ['{"p":"x"}']),
        ({"type": "object", "properties": {"/~a %": {"type": "null"}, "b": {"$ref": "#/properties/~1~0a %25"}, "c": {"$ref": "#/properties/~1~0a %"}}, "required": ["b", "c"]}, ['{"b":null,"c":null}'], ['{"b":1,"c":null}', '{"b":null,"c":1}']),
        (True, ["1", '{"a": [true]}', "1e5", "-0.5"], ["01", "1.", ".5", "+1", "tru"]),
        ({"type": "object"}, ['{\n  "a": 1,\n  "b": {}\n}', '{"a" : 1 , "b":2}', "{\r\n\t}"], ['{"a":\n\n1}', '{"a":1,}', " {}", "{} "]),
        ({"type": ["integer", "null"]}, ["1", "null"], ['"a"']),
        ({"const": {"b": 1, "a": []}}, ['{"b": 1, "a": []}'], ['{"b":1}']),
    ],
)  # fmt: skip
def test_examples(schema: Any, good: list[str], bad: list[str]) -> None:
    grammar = compiler().compile_json_schema(schema)
    assert [text for text in good if not accepts(grammar, text)] == []
    assert [text for text in bad if accepts(grammar, text)] == []


@pytest.mark.parametrize(
    ("schema", "keyword", "pointer"),
    [
        ({"items": {"prefixItems": [{}, {"type": "null"}], "minItems": 2, "uniqueItems": True}}, "uniqueItems", "/items/uniqueItems"),
        ({"properties": {"a/b": {"minLenght": 1}}}, "minLenght", "/properties/a~1b/minLenght"),
        ({"format": "colour"}, "format", "/format"),
        ({"dependentRequired": {}, "$schema": "http://json-schema.org/draft-07/schema#"}, "dependentRequired", "/dependentRequired"),
        ({"type": "object", "propertyNames": {"pattern": "^[ab]{2}$"}, "minProperties": 2}, "minProperties", "/minProperties"),
        ({"$ref": "https://example.com/other.json"}, "$ref", "/$ref"),
        ({"$ref": "file:///etc/passwd"}, "$ref", "/$ref"),
        ({"$defs": {"a": {"$ref": "other.json#/x"}}, "$ref": "#/$defs/a"}, "$ref", "/$defs/a/$ref"),
        ({"type": "string", "pattern": "(?<=a)b"}, "(?<=", None),
    ],
)  # fmt: skip
def test_what_is_not_enforced_is_refused_by_name(
    schema: Any, keyword: str, pointer: str | None
) -> None:
    with pytest.raises(UnsupportedGrammarError) as caught:
        compiler().compile_json_schema(schema)
    assert caught.value.keyword == keyword
    if pointer is not None:
        assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": 5}, "/type"),
        ({"type": [["string"]]}, "/type"),
        ({"type": "strng"}, "/type"),
        ({"type": "string", "pattern": 5}, "/pattern"),
        ({"type": "string", "pattern": "("}, "/pattern"),
        ({"properties": [1]}, "/properties"),
        ({"properties": {"a": 1}}, "/properties/a"),
        ({"required": "a"}, "/required"),
        ({"minLength": -1}, "/minLength"),
        ({"exclusiveMinimum": True}, "/exclusiveMinimum"),
        ({"items": [{}]}, "/items"),
        ({"anyOf": []}, "/anyOf"),
        ({"allOf": [3]}, "/allOf"),
        ({"$ref": "#/$defs/nothing"}, "/$ref"),
        ({"$ref": "#nothing"}, "/$ref"),
        ({"$ref": 5}, "/$ref"),
        (5, ""),
        (None, ""),
        ({"enum": [float("inf")]}, "/enum/0"),
        ({"minimum": float("nan")}, "/minimum"),
        ({"const": {1, 2}}, "/const"),
    ],
)
def test_malformed_schemas_are_refused_with_their_place(schema: Any, pointer: str) -> None:
    with pytest.raises(GrammarSyntaxError) as caught:
        compiler().compile_json_schema(schema)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        '"a"',
        "{",
        '{"const":' + "9" * 5000 + "}",
        '{"a":1,"a":2}',
        '{"type":"string"',
        "[1]",
        '{"a":NaN}',
        "nul",
    ],
)
def test_text_that_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(GrammarSyntaxError):
        compiler().compile_json_schema(text)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"enum": [1], "type": "string"},
        {"minLength": 3, "maxLength": 2, "type": "string"},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "object", "required": ["a"], "properties": {"a": False}},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "array", "minItems": 2, "maxItems": 1},
        {"type": "array", "minItems": 1, "items": {"$ref": "#"}},
        {"type": "string", "pattern": "^a$", "minLength": 2},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
    ],
)
def test_schemas_without_instances_are_refused(schema: Any) -> None:
    with pytest.raises(UnsatisfiableGrammarError):
        compiler().compile_json_schema(schema)


def _nested(depth: int) -> Any:
    schema: Any = {"type": "null"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def _doubling(levels: int) -> dict[str, Any]:
    """The billion laughs: every definition refers twice to the next."""
    defs: dict[str, Any] = {
        f"l{i}": {
            "type": "object",
            "properties": {k: {"$ref": f"#/$defs/l{i + 1}"} for k in "ab"},
        }
        for i in range(levels)
    }
    return {"$ref": "#/$defs/l0", "$defs": {**defs, f"l{levels}": {"type": "null"}}}


def _doubling_alternatives(levels: int) -> dict[str, Any]:
    """Every definition is one of two that are the same, reached through different references."""
    defs: dict[str, Any] = {
        f"l{i}": {"anyOf": [{"$ref": f"#/$defs/l{i + 1}"} for _ in range(2)]} for i in range(levels)
    }
    return {"$ref": "#/$defs/l0", "$defs": {**defs, f"l{levels}": {"type": "null"}}}


def _deep_any_of(depth: int) -> Any:
    level: list[Any] = [{"const": i} for i in range(2**depth)]
    for _ in range(depth):
        level = [{"anyOf": list(pair)} for pair in zip(level[::2], level[1::2], strict=True)]
    return level[0]


@pytest.mark.parametrize(
    "schema",
    [
        _nested(1000),
        {"type": "string", "minLength": 10**6, "maxLength": 10**6, "pattern": "a"},
        {"type": "string", "pattern": "a{1,1000000}"},
        {"type": "string", "pattern": "(" * 50_000 + ")" * 50_000},
        {"type": "string", "pattern": ".*a.{30}"},
        {"enum": list(range(300_000))},
        _deep_any_of(12),
        json.dumps(_nested(50))[:-1] + "}" + " " * (5 << 20),
        "[" * 100_000,
        {"type": "integer", "minimum": 10**300},
        {"type": "string", "pattern": "a" * 1_000_000},
    ],
    ids=range(11),
)
def test_hostile_schemas_meet_a_limit(schema: Any) -> None:
    with pytest.raises(GrammarLimitError) as caught:
        compiler().compile_json_schema(schema)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("schema", "good"),
    [
        ({"type": "string", "maxLength": 10**6}, '"x"'),
        ({"type": "string", "maxLength": 2**63}, '"x"'),
        ({"type": "array", "maxItems": 10**9}, "[1]"),
        ({"type": "array", "minItems": 2, "maxItems": 10**9}, "[1,2]"),
        ({"enum": [f"value {i}" for i in range(100_000)]}, '"value 77"'),
        (_doubling(40), '{"a":{}}'),
        (_doubling_alternatives(40), "null"),
        (_nested(60), "[]"),
        ({"type": "string", "format": "email", "maxLength": 254, "minLength": 3}, '"a@b"'),
        ({"type": "integer", "minimum": -(10**2000), "maximum": 1.7e308}, "-5"),
    ],
    ids=range(10),
)
def test_large_schemas_that_are_harmless(schema: Any, good: str) -> None:
    assert accepts(compiler().compile_json_schema(schema), good)


def test_errors_are_grammar_errors_for_any_json() -> None:
    """No JSON value whatever makes the compiler fail in another way."""
    rng = random.Random(5)
    keywords = [
        "type",
        "properties",
        "items",
        "enum",
        "$ref",
        "anyOf",
        "minLength",
        "$id",
        "$anchor",
    ]
    values: list[Any] = [
        None,
        True,
        0,
        -1.5,
        "",
        "#",
        "a",
        [],
        {},
        [1],
        {"a": 1},
        [[]],
        "#/anyOf/0",
    ]
    for _ in range(500):
        schema = {rng.choice(keywords): rng.choice(values) for _ in range(3)}
        try:
            compiler().compile_json_schema({"properties": {"p": schema}, **schema})
        except GrammarError as error:
            assert str(error)


def test_a_bare_reference_into_another_document() -> None:
    schemas = {"http://a.test/s": {"properties": {"a": {"type": "null"}}, "type": "object"}}
    grammar = compiler().compile_json_schema({"$ref": "http://a.test/s"}, schemas=schemas)
    assert accepts(grammar, '{"a":null}')
    assert not accepts(grammar, '{"a":1}')
    with pytest.raises(UnsupportedGrammarError, match="leaves this document"):
        compiler().compile_json_schema({"$ref": "http://a.test/s"})
