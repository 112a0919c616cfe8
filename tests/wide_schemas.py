"""Random JSON Schemas over all keywords, built to overlap and to contradict each other."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from schema_strategies import NAMES, SCALARS

PATTERNS = ["^a", "b$", "^[a-c]{1,2}$", "^$", "^[^a]"]
NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 10, 0.5, 1.5, 2.25, -0.1])
STEPS = st.sampled_from([1, 2, 3, 0.5, 0.1, 1.5])
COUNTS = st.integers(0, 3)
SUBSETS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


def _some_of(draw: st.DrawFn, keywords: dict[str, st.SearchStrategy[Any]], most: int) -> Any:
    chosen = draw(st.lists(st.sampled_from(sorted(keywords)), max_size=most, unique=True))
    return {name: draw(keywords[name]) for name in chosen}


@st.composite
def leaves(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["type", "number", "string", "listed", "any", "reference"]))
    if kind == "type":
        names = st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True)
        return {"type": draw(st.sampled_from(TYPES) | names)}
    if kind == "number":
        schema = _some_of(
            draw,
            {
                "minimum": NUMBERS,
                "maximum": NUMBERS,
                "exclusiveMinimum": NUMBERS,
                "exclusiveMaximum": NUMBERS,
                "multipleOf": STEPS,
            },
            3,
        )
        return schema | draw(st.sampled_from([{}, {"type": "number"}, {"type": "integer"}]))
    if kind == "string":
        schema = _some_of(
            draw,
            {
                "minLength": COUNTS,
                "maxLength": COUNTS,
                "pattern": st.sampled_from(PATTERNS),
            },
            2,
        )
        return schema | draw(st.sampled_from([{}, {"type": "string"}]))
    if kind == "listed":
        value = SCALARS | st.sampled_from([[], [1], {}, {"a": 1}, {"a": [1], "b": 2}])
        return draw(
            st.builds(lambda v: {"const": v}, value)
            | st.builds(lambda v: {"enum": v}, st.lists(value, min_size=1, max_size=3))
        )
    if kind == "reference":
        return draw(st.sampled_from([{"$ref": "#/$defs/d0"}, {"$ref": "#/$defs/d1"}]))
    return draw(st.sampled_from([True, False, {}]))


def _wider(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(children, min_size=1, max_size=3)
    maps = st.dictionaries(st.sampled_from(NAMES), children, max_size=2)
    patterned = st.dictionaries(st.sampled_from(PATTERNS), children, max_size=2)
    objects = {
        "properties": maps,
        "patternProperties": patterned,
        "additionalProperties": children,
        "propertyNames": children,
        "required": SUBSETS,
        "minProperties": st.integers(0, 1),
        "maxProperties": COUNTS,
        "dependentRequired": st.dictionaries(st.sampled_from(NAMES), SUBSETS, max_size=1),
        "dependentSchemas": st.dictionaries(st.sampled_from(NAMES), children, max_size=1),
        "unevaluatedProperties": children,
        "type": st.just("object"),
    }
    arrays = {
        "items": children,
        "prefixItems": st.lists(children, min_size=1, max_size=2),
        "contains": children,
        "minContains": COUNTS,
        "maxContains": COUNTS,
        "minItems": COUNTS,
        "maxItems": COUNTS,
        "unevaluatedItems": children,
        "type": st.just("array"),
    }
    logical = {
        "not": children,
        "allOf": lists,
        "anyOf": lists,
        "oneOf": lists,
        "if": children,
        "then": children,
        "else": children,
    }

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        parts = draw(
            st.sampled_from([objects, arrays, logical, objects | logical, arrays | logical])
        )
        return _some_of(draw, parts, 4)

    return build()


@st.composite
def wide_schemas(draw: st.DrawFn, max_leaves: int = 5) -> dict[str, Any]:
    """A root schema with two definitions."""
    node = st.recursive(leaves(), _wider, max_leaves=max_leaves)
    root = draw(node)
    root = dict(root) if isinstance(root, dict) else {"not": {}} if root is False else {}
    return {**root, "$defs": {"d0": draw(node), "d1": draw(node)}}
