"""Schemas without instances are explained by a minimal set of keywords; others have a witness."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from toy import JSON_TOKENS, byte_vocabulary
from wide_schemas import wide_schemas

from syntagma.grammar import (
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
    schema_conflict,
)

COMPILER = GrammarCompiler(byte_vocabulary(JSON_TOKENS))
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
CASES: list[tuple[Any, list[str]]] = [
    (False, [""]),
    ({"not": {}}, ["/not"]),
    ({"enum": []}, ["/enum"]),
    ({"type": "string", "minLength": 3, "maxLength": 2, "title": "t"}, ["/type", "/minLength", "/maxLength"]),
    ({"type": "string", "pattern": "^a$", "minLength": 2}, ["/type", "/pattern", "/minLength"]),
    ({"type": "string", "format": "date", "maxLength": 5}, ["/type", "/format", "/maxLength"]),
    ({"type": "string", "enum": [1, 2]}, ["/type", "/enum"]),
    ({"const": 1, "enum": [2, 3]}, ["/const", "/enum"]),
    ({"const": 1, "not": {"const": 1}}, ["/const", "/not"]),
    ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, ["/type", "/minimum", "/maximum"]),
    ({"type": "number", "minimum": 3, "exclusiveMaximum": 3}, ["/type", "/minimum", "/exclusiveMaximum"]),
    ({"type": "integer", "minimum": 1, "maximum": 6, "multipleOf": 7}, ["/type", "/minimum", "/maximum", "/multipleOf"]),
    ({"type": "number", "multipleOf": 4, "not": {"multipleOf": 2}}, ["/multipleOf", "/not"]),
    ({"allOf": [{"type": "string"}, {"type": "integer"}, {"title": "x"}]}, ["/allOf/0/type", "/allOf/1/type"]),
    ({"anyOf": [{"type": "null"}, {"const": None}], "type": "string"}, ["/type", "/anyOf/0/type", "/anyOf/1/const"]),
    ({"oneOf": [{"type": "null"}, {"const": None}]}, ["/oneOf"]),
    ({"if": True, "then": False}, ["/if", "/then"]),
    ({"type": "array", "minItems": 2, "maxItems": 1, "items": {}}, ["/type", "/minItems", "/maxItems"]),
    ({"type": "array", "minItems": 1, "items": False}, ["/type", "/minItems", "/items"]),
    ({"type": "array", "contains": {"const": 1}, "items": {"type": "null"}}, ["/type", "/contains/const", "/items/type"]),
    ({"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "contains": {"const": 3}}, ["/type", "/prefixItems/0/const", "/items/const", "/contains/const"]),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 3, "uniqueItems": True}, ["/type", "/items/type", "/minItems", "/uniqueItems"]),
    ({"type": "object", "required": ["a"], "properties": {"a": False, "b": {}}}, ["/type", "/required", "/properties"]),
    ({"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "enum": [1]}}}, ["/type", "/required", "/properties/a/type", "/properties/a/enum"]),
    ({"type": "object", "required": ["a"], "additionalProperties": False}, ["/type", "/required", "/additionalProperties"]),
    ({"type": "object", "required": ["ab"], "patternProperties": {"^a": {"type": "null"}, "b$": {"type": "string"}}}, ["/type", "/required", "/patternProperties/^a/type", "/patternProperties/b$/type"]),
    ({"type": "object", "required": ["ab"], "propertyNames": {"maxLength": 1}}, ["/type", "/required", "/propertyNames/maxLength"]),
    ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, ["/type", "/required", "/maxProperties"]),
    ({"type": "object", "minProperties": 1, "propertyNames": False}, ["/type", "/minProperties", "/propertyNames"]),
    ({"type": "object", "required": ["a"], "dependentRequired": {"a": ["b"]}, "properties": {"b": False}}, ["/type", "/required", "/dependentRequired", "/properties"]),
    ({"$ref": "#/$defs/a", "minLength": 2, "$defs": {"a": {"type": "string", "maxLength": 1}}}, ["/$ref", "/minLength", "/$defs/a/type", "/$defs/a/maxLength"]),
    ({"type": "array", "minItems": 1, "items": {"$ref": "#"}}, ["/type", "/minItems", "/items/$ref"]),
    ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "required": ["n"], "properties": {"n": {"$ref": "#/$defs/n"}}}}}, ["/$ref", "/$defs/n/type", "/$defs/n/required", "/$defs/n/properties/n/$ref"]),
    ({"type": "object", "unevaluatedProperties": False, "required": ["a"], "properties": {"b": {}}}, ["/type", "/unevaluatedProperties", "/required"]),
]  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _has_time() -> Iterator[None]:
    """A busy machine must not make conflicts larger than need be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema_conflict, "MAX_SECONDS", 60.0)
        yield


@pytest.mark.parametrize(("schema", "conflict"), CASES)
def test_conflicts(schema: Any, conflict: list[str]) -> None:
    with pytest.raises(UnsatisfiableGrammarError) as caught:
        COMPILER.compile_json_schema(schema)
    assert sorted(caught.value.conflict) == sorted(conflict)
    assert all(pointer in str(caught.value) for pointer in conflict)


@pytest.mark.parametrize("schema", [schema for schema, _ in CASES if isinstance(schema, dict)])
def test_without_one_of_them_there_is_an_instance(schema: Any) -> None:
    with pytest.raises(UnsatisfiableGrammarError) as caught:
        COMPILER.compile_json_schema(schema)
    for pointer in caught.value.conflict:
        *path, keyword = (step.replace("~1", "/") for step in pointer[1:].split("/"))
        left = copy.deepcopy(schema)
        holder: Any = left
        for step in path:
            holder = holder[int(step) if isinstance(holder, list) else step]
        del holder[keyword]
        # What is left may have instances and yet need more than is enforced.
        with contextlib.suppress(UnsupportedGrammarError):
            COMPILER.compile_json_schema(left)


def test_a_schema_that_is_too_large_is_not_explained() -> None:
    schema = {"properties": {f"p{i}": {"type": "null"} for i in range(400)}, "not": {}}
    with pytest.raises(UnsatisfiableGrammarError) as caught:
        COMPILER.compile_json_schema(schema)
    assert caught.value.conflict == ()


SMALL = [None, False, True, 0, 1, 2, 0.5, -1, "", "a", "ab", "b", "c"]
VALUES = [
    *SMALL,
    *([list(items) for size in range(3) for items in itertools.product(SMALL[:9], repeat=size)]),
    *({name: value} for name in "abc" for value in SMALL),
    *({"a": one, "b": other} for one in SMALL for other in SMALL),
    {}, [[]], [{}], {"a": {}}, {"a": []},
]  # fmt: skip


@SETTINGS
@given(wide_schemas())
def test_satisfiable_or_not(schema: Any) -> None:
    """A witness is valid; where there is none, no small value is."""
    try:
        grammar = COMPILER.compile_json_schema(schema)
    except UnsatisfiableGrammarError:
        validator = jsonschema.Draft202012Validator(schema)
        with contextlib.suppress(RecursionError):
            assert not [value for value in VALUES if validator.is_valid(value)]
        return
    except (UnsupportedGrammarError, GrammarLimitError):
        return
    except GrammarError as error:
        assert "its own negation" in str(error)
        return
    value = json.loads(grammar.witness)
    assert len(grammar.witness) == grammar.shortest_bytes
    assert (
        b"".join(COMPILER.vocabulary.tokens[t] for t in grammar.witness_tokens) == grammar.witness
    )
    with contextlib.suppress(RecursionError):
        assert jsonschema.Draft202012Validator(schema).is_valid(value)
