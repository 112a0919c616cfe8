"""What JSON Schema says, keyword by keyword, as questions that any engine can be asked.

`good` are valid instances, `bad` ones that are not, as JSON texts. An engine that takes the schema should
accept the one and not the other. ``policy`` is what this engine is asked for where the row is about a
choice of spelling that it leaves to the caller; the peers have no such choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class KeywordCase:
    """One row of the table.

    Attributes:
        name: the keyword, or what the row is about.
        is_about_text: the verdicts are about JSON texts, not about the values they spell.
    """

    name: str
    schema: Any
    good: list[str]
    bad: list[str]
    policy: Mapping[str, Any] = field(default_factory=dict)
    is_about_text: bool = False


DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def closed(properties: dict[str, Any], **others: Any) -> dict[str, Any]:
    """An object with these properties only."""
    return {"type": "object", "properties": properties, "additionalProperties": False, **others}


INTEGER = {"type": "integer"}
LOOP = {"$ref": "#/$defs/n"}

CASES = [
    KeywordCase("`type`, also as a list", closed({"a": {"type": ["integer", "null"]}}), ['{"a": 1}', '{"a": null}', "{}"], ['{"a": "x"}', '{"a": 1.5}']),
    KeywordCase("`enum`, `const`", closed({"a": {"enum": ["x", 2]}, "b": {"const": None}}), ['{"a": "x", "b": null}', '{"a": 2}'], ['{"a": "y"}', '{"b": 0}']),
    KeywordCase("`const` with an object", {"const": {"a": [1, {"b": None}]}}, ['{"a": [1, {"b": null}]}'], ['{"a": [1, {}]}', "1"]),
    KeywordCase("`enum` against `type`", {"type": "string", "enum": ["x", 1]}, ['"x"'], ["1"]),
    KeywordCase("`minLength`, `maxLength`", {"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"abc"'], ['"a"', '"abcd"']),
    KeywordCase("`maxLength` and escapes", {"type": "string", "maxLength": 3}, ['"a\\nb"', '"\\"\\\\"'], ['"a\\nbc"']),
    KeywordCase("`pattern` anchored", {"type": "string", "pattern": "^[a-c]+$"}, ['"abc"'], ['"abd"', '""']),
    KeywordCase("`pattern` unanchored", {"type": "string", "pattern": "b"}, ['"abc"', '"b"'], ['"ac"']),
    KeywordCase("`pattern` and `maxLength`", {"type": "string", "pattern": "^a+$", "maxLength": 2}, ['"aa"'], ['"aaa"', '"b"']),
    KeywordCase("`pattern` with look-ahead", {"type": "string", "pattern": "^(?!x)[a-z]$"}, ['"a"'], ['"x"']),
    KeywordCase("`format` date-time", {"type": "string", "format": "date-time"}, ['"2024-02-29T12:00:00Z"'], ['"2024-02-29"', '"x"']),
    KeywordCase("`minimum`, `maximum` on integers", {"type": "integer", "minimum": 3, "maximum": 12}, ["3", "12"], ["2", "13"]),
    KeywordCase("exclusive bounds on numbers", {"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 2}, ["0.75", "1"], ["0.5", "2", "3"]),
    KeywordCase("exclusive bounds, draft 4", {"$schema": DRAFT_4, "type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 9}, ["4", "9"], ["3", "10"]),
    KeywordCase("`multipleOf` 7", {"type": "integer", "multipleOf": 7}, ["14", "-7", "0"], ["15", "1"]),
    KeywordCase("`multipleOf` 0.25", {"type": "number", "multipleOf": 0.25}, ["0.5", "3", "1.25"], ["0.3", "1.1"]),
    KeywordCase("`items`, `minItems`, `maxItems`", {"type": "array", "items": INTEGER, "minItems": 1, "maxItems": 2}, ["[1]", "[1, 2]"], ["[]", "[1, 2, 3]", '["x"]']),
    KeywordCase("`prefixItems`", {"type": "array", "prefixItems": [INTEGER, {"type": "string"}], "items": False}, ['[1, "x"]', "[1]", "[]"], ['["x"]', '[1, "x", 2]']),
    KeywordCase("`items` as a list, draft 7", {"$schema": DRAFT_7, "type": "array", "items": [INTEGER], "additionalItems": {"type": "null"}}, ["[1, null]", "[]"], ["[null]", "[1, 2]"]),
    KeywordCase("`contains`", {"type": "array", "items": {"enum": [1, 2]}, "contains": {"const": 1}}, ["[2, 1]", "[1]"], ["[]", "[2]"]),
    KeywordCase("`minContains`, `maxContains`", {"type": "array", "items": {"enum": [1, 2]}, "contains": {"const": 1}, "minContains": 2, "maxContains": 2}, ["[1, 2, 1]"], ["[1]", "[1, 1, 1]"]),
    KeywordCase("`uniqueItems` over an `enum`", {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True}, ["[1, 3]", "[]"], ["[1, 1]"]),
    KeywordCase("`uniqueItems` over integers", {"type": "array", "items": INTEGER, "uniqueItems": True}, ["[1, 3]"], ["[1, 1]"]),
    KeywordCase("`unevaluatedItems`", {"type": "array", "allOf": [{"prefixItems": [INTEGER]}], "unevaluatedItems": False}, ["[1]", "[]"], ["[1, 2]"]),
    KeywordCase("`required`", closed({"a": INTEGER, "b": INTEGER}, required=["b"]), ['{"a": 1, "b": 2}', '{"b": 2}'], ["{}", '{"a": 1}']),
    KeywordCase("`required` without `properties`", {"type": "object", "required": ["a"]}, ['{"a": 1}'], ["{}", '{"b": 1}']),
    KeywordCase("`additionalProperties` as a schema", {"type": "object", "properties": {"a": INTEGER}, "additionalProperties": {"type": "null"}}, ['{"a": 1, "b": null}', '{"b": null}'], ['{"b": 1}']),
    KeywordCase("`additionalProperties` left out", {"type": "object", "properties": {"a": INTEGER}}, ['{"a": 1, "b": 2}', '{"b": "x"}', '{"a": 1}'], ['{"a": "x"}']),
    KeywordCase("a property that is `false`", {"type": "object", "properties": {"a": False, "b": INTEGER}}, ['{"b": 1}', "{}"], ['{"a": 1}']),
    KeywordCase("`patternProperties`", {"type": "object", "patternProperties": {"b": INTEGER}, "additionalProperties": False}, ['{"abc": 1}', '{"b": 1}'], ['{"b": "x"}', '{"a": 1}']),
    KeywordCase("`propertyNames`", {"type": "object", "propertyNames": {"pattern": "^[ab]$"}}, ['{"a": 1}', "{}"], ['{"c": 1}']),
    KeywordCase("`minProperties`, `maxProperties`", closed({"a": INTEGER, "b": INTEGER, "c": INTEGER}, minProperties=1, maxProperties=2), ['{"a": 1}', '{"a": 1, "c": 2}'], ["{}", '{"a": 1, "b": 1, "c": 1}']),
    KeywordCase("`dependentRequired`", closed({"a": INTEGER, "b": INTEGER}, dependentRequired={"a": ["b"]}), ['{"a": 1, "b": 1}', '{"b": 1}', "{}"], ['{"a": 1}']),
    KeywordCase("`dependentSchemas`", closed({"a": INTEGER, "b": INTEGER}, dependentSchemas={"a": {"properties": {"b": {"const": 5}}}}), ['{"a": 1, "b": 5}', '{"b": 1}'], ['{"a": 1, "b": 1}']),
    KeywordCase("`unevaluatedProperties`", {"type": "object", "allOf": [{"properties": {"a": INTEGER}}], "properties": {"b": INTEGER}, "unevaluatedProperties": False}, ['{"b": 1}', "{}"], ['{"c": 1}', '{"b": "x"}']),
    KeywordCase("`allOf`, two branches", {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}]}, ["3", "5"], ["2", "6"]),
    KeywordCase("`anyOf` beside `properties`", {"type": "object", "properties": {"a": INTEGER, "b": INTEGER}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, ['{"a": 1}', '{"b": 1}'], ["{}", '{"a": "x"}']),
    KeywordCase("`oneOf`, overlapping", {"oneOf": [{"type": "integer"}, {"type": "number", "maximum": 5}]}, ["9", "2.5"], ["3", "9.5"]),
    KeywordCase("`not`", {"type": "string", "not": {"const": "x"}}, ['"a"', '""'], ['"x"']),
    KeywordCase("`if`, `then`, `else`", closed({"a": {"enum": [1, 2]}, "b": INTEGER}, **{"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}, "else": {"properties": {"b": False}}}), ['{"a": 1, "b": 3}', '{"a": 2}'], ['{"a": 1}', '{"a": 2, "b": 3}']),
    KeywordCase("`$ref`, recursive", {**LOOP, "$defs": {"n": closed({"next": LOOP, "v": INTEGER})}}, ['{"next": {"v": 1}}', "{}"], ['{"next": 1}', '{"next": {"w": 1}}']),
    KeywordCase("`$ref` with siblings", {"$ref": "#/$defs/s", "maxLength": 1, "$defs": {"s": {"type": "string"}}}, ['"a"'], ['"ab"', "1"]),
    KeywordCase("`$ref` to an `$anchor`", {"$ref": "#s", "$defs": {"s": {"$anchor": "s", "type": "string"}}}, ['"a"'], ["1"]),
    KeywordCase("`$dynamicRef`", {"$id": "http://a.test/tree", "$dynamicAnchor": "node", "type": "object", "properties": {"c": {"$dynamicRef": "#node"}}, "additionalProperties": False}, ['{"c": {"c": {}}}'], ['{"c": 1}']),
    KeywordCase("`$ref` into a document that is not there", {"$ref": "http://nowhere.test/s"}, [], ["1", '"x"', "{}"], is_about_text=True),
    KeywordCase("`format` that nobody knows", {"type": "string", "format": "no-such-format"}, [], ['"x"'], is_about_text=True),
    KeywordCase("a keyword with a slip (`minLenght`)", {"type": "string", "minLenght": 2}, [], ['"a"'], is_about_text=True),
    KeywordCase("`minimum` above `maximum`", {"type": "integer", "minimum": 5, "maximum": 3}, [], ["3", "4", "5", "0"]),
    KeywordCase("`enum` without values", {"enum": []}, [], ["1", "null", '""']),
    KeywordCase("a declared key twice", closed({"a": INTEGER}), ['{"a": 1}'], ['{"a": 1, "a": 2}'], is_about_text=True),
    KeywordCase("half a surrogate pair", {"type": "string"}, ['"\\ud83d\\ude00"'], ['"\\ud83d"', '"\\ude00"'], is_about_text=True),
    KeywordCase("`\\u` escapes", {"type": "string"}, ['"\\u00e9"', '"\\u0041"'], ['"\\u00g9"'], is_about_text=True),
    KeywordCase("properties in any order", closed({"a": INTEGER, "b": INTEGER}), ['{"a": 1, "b": 1}', '{"b": 1, "a": 1}'], ['{"b": "x"}'], {"property_order": "any"}, is_about_text=True),
    KeywordCase("`1.0` as an integer", {"type": "integer"}, ["1", "1.0"], ["1.5"], {"numbers": "any"}, is_about_text=True),
]  # fmt: skip
