"""What counts as disjoint is: no value fits two of the schemas."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_strategies import SCALARS, instances

from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_disjoint import are_disjoint
from syntagma.grammar.schema_document import SchemaDocument

TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
LEAVES = st.one_of(
    st.sampled_from([{"type": t} for t in TYPES]),
    st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True).map(
        lambda found: {"type": found}
    ),
    st.lists(SCALARS, max_size=3).map(lambda found: {"enum": found}),
    SCALARS.map(lambda value: {"const": value}),
    st.sampled_from([True, False, {}, {"$ref": "#/$defs/d"}]),
)
NAMES = st.sampled_from(["a", "b"])


@st.composite
def members(draw: st.DrawFn) -> Any:
    if draw(st.booleans()):
        return draw(LEAVES)
    schema: dict[str, Any] = {"type": "object"} if draw(st.integers(0, 3)) else {}
    schema["properties"] = draw(st.dictionaries(NAMES, LEAVES, max_size=2))
    schema["required"] = draw(st.lists(NAMES, unique=True, max_size=2))
    if draw(st.booleans()):
        schema["additionalProperties"] = False
    if draw(st.integers(0, 4)) == 0:
        schema["patternProperties"] = {"^b": {}}
    return schema


def disjoint(schemas: list[Any], rest: dict[str, Any]) -> bool:
    document = SchemaDocument.load({"oneOf": schemas, **rest}, Budget.unlimited())
    assert isinstance(document.root, dict)
    return are_disjoint(document.root["oneOf"], document)


SMALL: list[Any] = [None, False, True, 0, 1, 1.0, 0.5, "", "a", [], {}]
VALUES = [
    *SMALL,
    *({name: value} for name in "abc" for value in SMALL),
    *({"a": one, "b": other} for one in SMALL for other in SMALL),
]


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=300)
@given(st.lists(members(), min_size=2, max_size=3), LEAVES, st.lists(instances(), max_size=6))
def test_no_value_fits_two(schemas: list[Any], target: Any, values: list[Any]) -> None:
    if isinstance(target, dict) and "$ref" in target:
        target = {}
    rest = {"$defs": {"d": target}}
    if not disjoint(schemas, rest):
        return
    judges = [jsonschema.Draft202012Validator({"allOf": [s], **rest}) for s in schemas]
    for value in [*values, *VALUES]:
        assert sum(judge.is_valid(value) for judge in judges) <= 1, value


TAGGED = [
    {"type": "object", "required": ["t"], "properties": {"t": {"const": f"t{i}"}}}
    for i in range(100)
]


@pytest.mark.parametrize(
    ("schemas", "expected"),
    [
        ([{"type": "null"}, {"type": "string"}, {"type": ["array", "object"]}], True),
        ([{"type": "integer"}, {"type": "number"}], False),
        ([{"const": 1}, {"const": True}], True),
        ([{"const": 1}, {"const": 1.0}], False),
        ([{"enum": ["a"]}, {"type": "string"}], False),
        ([{"enum": [1.5]}, {"type": "integer"}], True),
        (TAGGED, True),
        ([*TAGGED, TAGGED[0]], False),
        ([{"$ref": "#/$defs/a"}, {"type": "string"}], True),
        ([{"required": ["a"]}, {"required": ["b"]}], False),
        ([{"type": "object", "required": ["a"]}, {"type": "object", "properties": {"b": {}}, "additionalProperties": False}], True),
        ([{"required": ["a"], "type": "object"}, {"required": ["b"], "additionalProperties": False}], True),
        ([{"required": ["a"]}, {"properties": {"b": {}}, "additionalProperties": False}], False),
    ],
)  # fmt: skip
def test_examples(schemas: list[Any], expected: bool) -> None:
    assert disjoint(schemas, {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "null"}}}) == (
        expected
    )
