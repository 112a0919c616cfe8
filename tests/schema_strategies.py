"""Random JSON Schemas within the enforced keywords, and random instances to try on them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = ["a", "b", "c"]
OTHER_NAMES = ["é", 'x"', "ab"]
PATTERNS = ["^a", "b$", "a|b", "^[a-c]{1,3}$", "^$", ".", "\\d+", "[^a]"]
FORMATS = ["date", "time", "date-time", "uuid", "email", "ipv4"]

TEXTS = st.text(st.sampled_from('abcé"\\/\n\u2028😀 1'), max_size=4)
SCALARS = (
    st.none() | st.booleans() | st.integers(-20, 120) | TEXTS | st.sampled_from([0.5, -1.25, 2.0])
)


@st.composite
def string_schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Strings with lengths, a pattern or a format."""
    schema: dict[str, Any] = {"type": "string"}
    kind = draw(st.sampled_from(["plain", "length", "pattern", "format"]))
    if kind in ("length", "pattern") and draw(st.booleans()):
        low = draw(st.integers(0, 3))
        schema["minLength"] = low
        schema["maxLength"] = low + draw(st.integers(0, 4))
    if kind == "pattern":
        schema["pattern"] = draw(st.sampled_from(PATTERNS))
    if kind == "format":
        schema["format"] = draw(st.sampled_from(FORMATS))
    return schema


@st.composite
def integer_schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Integers with and without bounds."""
    schema: dict[str, Any] = {"type": "integer"}
    low = draw(st.integers(-120, 120))
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        high = low + draw(st.integers(2, 300))
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = high
    return schema


NUMBER_SCHEMAS: list[dict[str, Any]] = [
    {"type": "number", "minimum": 0.5},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
    {"type": "number", "exclusiveMaximum": -1.25},
    {"type": "number", "minimum": 2, "maximum": 2},
    {"type": "integer", "multipleOf": 7, "minimum": 0},
    {"multipleOf": 0.5, "type": ["number", "null"]},
    {"type": "integer", "format": "int32"},
]


def leaf_schemas() -> st.SearchStrategy[Any]:
    """Schemas without subschemas."""
    types = ["null", "boolean", "number", "string", "integer", "array", "object"]
    return st.one_of(
        string_schemas(),
        integer_schemas(),
        st.sampled_from(NUMBER_SCHEMAS),
        st.sampled_from([{"type": t} for t in types]),
        st.sampled_from([{"type": t, "example": 1} for t in types]),
        st.lists(st.sampled_from(types), min_size=1, max_size=3, unique=True).map(
            lambda found: {"type": found}
        ),
        st.lists(SCALARS | st.just({"a": [1]}), min_size=1, max_size=4).map(lambda v: {"enum": v}),
        SCALARS.map(lambda v: {"const": v}),
        st.just(True),
        st.just({}),
        st.sampled_from([{"$ref": "#/$defs/d0"}, {"$ref": "#/$defs/d1"}]),
    )


def _objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        schema: dict[str, Any] = {}
        if draw(st.integers(0, 3)):
            schema["type"] = "object"
        schema["properties"] = draw(st.dictionaries(st.sampled_from(NAMES), children, max_size=3))
        if draw(st.booleans()):
            schema["required"] = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
        if draw(st.booleans()):
            schema["additionalProperties"] = draw(st.just(False) | children)
        return schema

    return build()


def _arrays(children: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array"}
        if draw(st.booleans()):
            schema["items"] = draw(children | st.just(False))
        if draw(st.booleans()):
            schema["prefixItems"] = draw(st.lists(children, min_size=1, max_size=2))
        low = draw(st.integers(0, 3))
        if draw(st.booleans()):
            schema["minItems"] = low
        if draw(st.booleans()):
            schema["maxItems"] = low + draw(st.integers(0, 2))
        return schema

    return build()


def _combined(children: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    parts = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        parts.map(lambda found: {"anyOf": found}),
        st.lists(_objects(children), min_size=1, max_size=2).map(lambda found: {"allOf": found}),
        st.tuples(_objects(children), parts).map(lambda pair: {**pair[0], "anyOf": pair[1]}),
    )


@st.composite
def schemas(draw: st.DrawFn, max_leaves: int = 6) -> dict[str, Any]:
    """A root schema with two definitions, which may be recursive."""
    node = st.recursive(
        leaf_schemas(),
        lambda children: st.one_of(_objects(children), _arrays(children), _combined(children)),
        max_leaves=max_leaves,
    )
    root = draw(node)
    root = dict(root) if isinstance(root, dict) else {}
    return {**root, "$defs": {"d0": draw(node), "d1": draw(node)}}


ROUGH = [
    False,
    {"not": {}},
    {"enum": []},
    {"type": "string", "minLength": 2, "maxLength": 1},
    {"type": "string", "pattern": "a^b"},
    {"type": "string", "pattern": "("},
    {"type": "integer", "minimum": 3, "maximum": 1},
    {"type": "integer", "minimum": 10**200},
    {"type": "number", "minimum": 1},
    {"type": "array", "minItems": 1, "items": False},
    {"$ref": "#/$defs/d0", "type": "array"},
    {"$ref": "#/$defs/missing"},
    {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/d1"}}},
    5,
]


@st.composite
def rough_schemas(draw: st.DrawFn) -> Any:
    """As `schemas`, now and then with something in it that has no instance or is no schema."""
    node = st.recursive(
        st.one_of(leaf_schemas(), leaf_schemas(), st.sampled_from(ROUGH)),
        lambda children: st.one_of(_objects(children), _arrays(children), _combined(children)),
        max_leaves=5,
    )
    root = draw(node)
    root = dict(root) if isinstance(root, dict) else {}
    return {**root, "$defs": {"d0": draw(node), "d1": draw(node)}}


def instances() -> st.SearchStrategy[Any]:
    """Small JSON values over the same names and texts."""
    names = st.sampled_from([*NAMES, *OTHER_NAMES])
    return st.recursive(
        SCALARS | st.sampled_from(["2024-02-29", "12:00:00Z", "1.2.3.4", "a@b.c", "abc"]),
        lambda children: st.one_of(
            st.lists(children, max_size=3), st.dictionaries(names, children, max_size=3)
        ),
        max_leaves=5,
    )
