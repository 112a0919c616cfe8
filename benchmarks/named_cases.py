"""Schemas that are hard for some engine, each with texts that belong to it.

The first four are the cases in which an early prototype of this engine lost to a peer.
"""

from __future__ import annotations

import json
import random
from typing import Any

from measure import Case

WORDS = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heath",
    "inlet",
    "jetty",
    "knoll",
    "ledge",
    "marsh",
    "north",
]


def case(name: str, schema: Any, values: list[Any], wrong: list[Any] | None = None) -> Case:
    """A JSON Schema case from values that are valid and values that are not."""
    # No \\u escapes: a peer that refuses them would drop out of the comparison half-way.
    texts: list[tuple[str, bool | None]] = [(as_text(value), True) for value in values]
    texts += [(as_text(value), False) for value in wrong or []]
    return Case(name, {"json_schema": json.dumps(schema)}, texts)


def as_text(value: Any) -> str:
    """JSON as models write it."""
    return json.dumps(value, ensure_ascii=False)


def any_of_objects(count: int = 50) -> Case:
    """``anyOf`` of open objects that no property tells apart: all stay possible to the end."""
    branches = [
        {
            "type": "object",
            "properties": {
                f"field_{number % 7}": {"type": "string"},
                f"value_{number}": {"type": "integer"},
                "note": {"type": "string"},
            },
            "required": [f"value_{number}"],
        }
        for number in range(count)
    ]
    values = [
        {"field_3": "fjord", "value_10": 17, "extra": [1, 2, {"deep": True}]},
        {"value_49": 3, "note": "the last branch", "other": {"a": [1.5, None]}},
        {"value_0": -4},
    ]
    return case("anyOf of 50 open objects", {"anyOf": branches}, values, [{"note": "none"}])


def free_json() -> Case:
    """The schema ``{}``: any JSON text."""
    rng = random.Random(1)
    values = [
        {
            "name": "Ada",
            "tags": ["a", "b c"],
            "size": {"w": 1.5, "h": -2e3},
            "ok": True,
            "no": None,
        },
        [[rng.randint(0, 999), rng.random(), rng.choice(WORDS)] for _ in range(12)],
        {
            word: {"id": number, "text": " ".join(WORDS[:number])}
            for number, word in enumerate(WORDS)
        },
        'just a text with \\ and " and é',
    ]
    return case("free JSON", {}, values)


def long_patterns() -> Case:
    """``{1,255}`` over a wide class: a state for every count."""
    properties = {
        "name": {"type": "string", "pattern": "^[A-Za-z0-9 _.-]{1,255}$"},
        "path": {"type": "string", "pattern": "^/[^/\\s]{1,255}$"},
        "text": {"type": "string", "pattern": "^\\S.{1,255}$"},
    }
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    values = [
        {"name": " ".join(WORDS), "path": "/" + "-".join(WORDS), "text": "x" + " word" * 40},
        {"name": "a", "path": "/a", "text": "ab"},
    ]
    wrong = [{"name": "", "path": "/a", "text": "ab"}, {"name": "a" * 256, "path": "/", "text": ""}]
    return case("{1,255} patterns", schema, values, wrong)


def deep_recursion(depths: tuple[int, ...] = (1, 3, 10, 30, 100, 300)) -> Case:
    """Arrays and objects nested in each other through ``$ref``."""
    node = {
        "type": "object",
        "properties": {
            "leaf": {"type": "integer"},
            "next": {"$ref": "#/$defs/node"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        },
        "additionalProperties": False,
    }
    schema = {"$defs": {"node": node}, "$ref": "#/$defs/node"}
    made = case("deep recursion", schema, [])
    made.texts.extend((nested_text(depth), True) for depth in depths)
    return made


def nested_text(depth: int) -> str:
    """A text of that schema, so deep; put together by hand, as `json.dumps` recurses."""
    opening, closing = [], []
    for level in reversed(range(depth)):
        if level % 2:
            opening.append('{"children": [')
            closing.append("]}")
        else:
            opening.append(f'{{"leaf": {level}, "next": ')
            closing.append("}")
    return "".join(opening) + f'{{"leaf": {depth}}}' + "".join(reversed(closing))


def long_enum(count: int = 5000) -> Case:
    """``enum`` of thousands of strings."""
    rng = random.Random(2)
    names = sorted({"-".join(rng.sample(WORDS, 3)) + str(rng.randint(0, 99)) for _ in range(count)})
    values = [rng.choice(names) for _ in range(20)]
    return case("enum of 5,000", {"enum": names}, values, ["amber-north", names[0] + "x"])


def optional_properties(count: int = 200) -> Case:
    """Many optional properties of a closed object: any subset, in order."""
    rng = random.Random(3)
    names = [f"{WORDS[number % len(WORDS)]}_{number}" for number in range(count)]
    kinds = ({"type": "string"}, {"type": "integer"}, {"type": "boolean"})
    samples = ("fjord", 12, True)
    schema = {
        "type": "object",
        "properties": {name: kinds[number % 3] for number, name in enumerate(names)},
        "additionalProperties": False,
    }
    values = []
    for size in (1, 5, 20, 60):
        chosen = sorted(rng.sample(range(count), size))
        values.append({names[number]: samples[number % 3] for number in chosen})
    return case("200 optional properties", schema, values, [{"amber_0": "x", "unknown": 1}])


def long_strings(limit: int = 1000) -> Case:
    """``maxLength`` beyond what can be unrolled cheaply."""
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": limit},
            "code": {"type": "string", "minLength": 10, "maxLength": limit},
        },
        "required": ["text", "code"],
        "additionalProperties": False,
    }
    text = (" ".join(WORDS) + ' "quoted"\n') * 20
    values = [
        {"text": text[:limit], "code": "é" * limit},
        {"text": "", "code": "0123456789"},
    ]
    wrong = [
        {"text": text[: limit - 1] + "xy", "code": "0123456789"},
        {"text": "", "code": "short"},
    ]
    return case("maxLength 1000", schema, values, wrong)


def nested_additional(depth: int = 40) -> Case:
    """``additionalProperties`` inside ``additionalProperties``: maps of maps of integers."""
    schema: Any = {"type": "integer"}
    value: Any = 7
    for level in range(depth):
        schema = {"type": "object", "additionalProperties": schema}
        value = {WORDS[level % len(WORDS)]: value}
    return case("maps nested 40 deep", schema, [value, {}], [{"amber": 1}])


def named_cases() -> list[Case]:
    """All of them, in a fixed order."""
    return [
        any_of_objects(),
        free_json(),
        long_patterns(),
        deep_recursion(),
        long_enum(),
        optional_properties(),
        long_strings(),
        nested_additional(),
    ]
