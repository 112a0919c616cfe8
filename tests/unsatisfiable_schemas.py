"""Schemas that no value fits, each beside one that is nearly the same and has instances."""

from __future__ import annotations

from typing import Any

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema"

STRING = {"type": "string"}
INTEGER = {"type": "integer"}
OBJECT = {"type": "object"}
ARRAY = {"type": "array"}


def with_definitions(schema: Any, **definitions: Any) -> Any:
    return {**schema, "$defs": definitions}


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


# (without an instance, with one)
PAIRS: list[tuple[Any, Any]] = [
    # Types and values.
    (False, True),
    ({"not": True}, {"not": False}),
    ({"enum": []}, {"enum": [None]}),
    ({"type": "string", "const": 1}, {"type": "integer", "const": 1}),
    ({"type": "integer", "enum": [1.5, "1", None]}, {"type": "integer", "enum": [1.5, "1", 2]}),
    ({"const": True, "enum": [1, "true"]}, {"const": True, "enum": [1, True]}),
    ({"enum": [1, 2], "not": {"enum": [1, 2, 3]}}, {"enum": [1, 4], "not": {"enum": [1, 2, 3]}}),
    ({"type": ["null", "boolean"], "not": {"enum": [None, True, False]}}, {"type": ["null", "boolean"], "not": {"enum": [None, True]}}),
    ({"type": "integer", "not": {"type": "number"}}, {"type": "number", "not": {"type": "integer"}}),
    ({"not": {"type": ["null", "boolean", "number", "string", "array", "object"]}}, {"not": {"type": ["null", "boolean", "number", "string", "array"]}}),
    ({"const": {"a": 1}, "required": ["b"]}, {"const": {"a": 1}, "required": ["a"]}),
    ({"const": [1, 2], "maxItems": 1}, {"const": [1], "maxItems": 1}),
    # Numbers.
    ({"type": "integer", "minimum": 2, "maximum": 1}, {"type": "integer", "minimum": 1, "maximum": 2}),
    ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 2}),
    ({"type": "number", "minimum": 1.5, "exclusiveMaximum": 1.5}, {"type": "number", "minimum": 1.5, "maximum": 1.5}),
    ({"type": "integer", "minimum": 0.2, "maximum": 0.8}, {"type": "integer", "minimum": 0.2, "maximum": 1.2}),
    ({"type": "number", "multipleOf": 5, "minimum": 1, "maximum": 4}, {"type": "number", "multipleOf": 5, "minimum": 1, "maximum": 5}),
    ({"type": "integer", "multipleOf": 0.75, "minimum": 1, "maximum": 2}, {"type": "integer", "multipleOf": 0.75, "minimum": 1, "maximum": 3}),
    ({"type": "number", "multipleOf": 6, "not": {"multipleOf": 3}}, {"type": "number", "multipleOf": 3, "not": {"multipleOf": 6}}),
    ({"type": "number", "not": {"minimum": 0}, "minimum": 0}, {"type": "number", "not": {"minimum": 1}, "minimum": 0}),
    ({"$schema": DRAFT_4, "type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 3}, {"$schema": DRAFT_4, "type": "integer", "minimum": 3, "exclusiveMinimum": False, "maximum": 3}),
    ({"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}, {"enum": [3, 1]}]}, {"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}, {"enum": [3, 2]}]}),
    # Strings.
    ({"type": "string", "minLength": 1, "maxLength": 0}, {"type": "string", "minLength": 0, "maxLength": 0}),
    ({"type": "string", "pattern": "^a", "not": {"pattern": "a"}}, {"type": "string", "pattern": "a", "not": {"pattern": "^a"}}),
    ({"type": "string", "allOf": [{"pattern": "^[ab]*$"}, {"pattern": "c"}]}, {"type": "string", "allOf": [{"pattern": "^[abc]*$"}, {"pattern": "c"}]}),
    ({"type": "string", "pattern": "^.{3}$", "maxLength": 2}, {"type": "string", "pattern": "^.{2}$", "maxLength": 2}),
    ({"type": "string", "pattern": "^(aa)+$", "minLength": 3, "maxLength": 3}, {"type": "string", "pattern": "^(aa)+$", "minLength": 3, "maxLength": 4}),
    ({"type": "string", "pattern": "a^"}, {"type": "string", "pattern": "a?^"}),
    ({"type": "string", "format": "uuid", "maxLength": 35}, {"type": "string", "format": "uuid", "maxLength": 36}),
    ({"type": "string", "format": "date", "pattern": "x"}, {"type": "string", "format": "date", "pattern": "02-29"}),
    ({"type": "string", "format": "ipv4", "const": "1.2.3"}, {"type": "string", "format": "ipv4", "const": "1.2.3.4"}),
    ({"enum": ["a", "b"], "pattern": "c"}, {"enum": ["a", "b", "c"], "pattern": "c"}),
    ({"type": "string", "maxLength": 1, "not": {"maxLength": 2}}, {"type": "string", "maxLength": 3, "not": {"maxLength": 2}}),
    # Arrays.
    ({"type": "array", "minItems": 2, "maxItems": 1}, {"type": "array", "minItems": 1, "maxItems": 1}),
    ({"type": "array", "minItems": 1, "items": False}, {"type": "array", "items": False}),
    ({"type": "array", "prefixItems": [True, False], "minItems": 2}, {"type": "array", "prefixItems": [True, False], "minItems": 1}),
    ({"type": "array", "contains": False}, {"type": "array", "contains": False, "minContains": 0}),
    ({"type": "array", "items": STRING, "contains": INTEGER}, {"type": "array", "items": {"type": ["string", "integer"]}, "contains": INTEGER}),
    ({"type": "array", "contains": {"const": 1}, "minContains": 3, "maxItems": 2}, {"type": "array", "contains": {"const": 1}, "minContains": 2, "maxItems": 2}),
    ({"type": "array", "contains": {"const": 1}, "minContains": 2, "maxContains": 1}, {"type": "array", "contains": {"const": 1}, "minContains": 1, "maxContains": 1}),
    ({"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 3, "contains": {"const": 1}, "maxContains": 1}, {"type": "array", "items": {"const": 1}, "minItems": 1, "maxItems": 3, "contains": {"const": 1}, "maxContains": 1}),
    ({"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True, "minItems": 3}, {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True, "minItems": 2}),
    ({"type": "array", "prefixItems": [{"const": 1}, {"const": 1}], "minItems": 2, "maxItems": 2, "uniqueItems": True}, {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "minItems": 2, "maxItems": 2, "uniqueItems": True}),
    ({"$schema": DRAFT_7, "type": "array", "items": [STRING], "additionalItems": False, "minItems": 2}, {"$schema": DRAFT_7, "type": "array", "items": [STRING], "additionalItems": False, "minItems": 1}),
    ({"type": "array", "allOf": [{"prefixItems": [INTEGER]}], "unevaluatedItems": False, "minItems": 2}, {"type": "array", "allOf": [{"prefixItems": [INTEGER, INTEGER]}], "unevaluatedItems": False, "minItems": 2}),
    ({"type": "array", "allOf": [{"items": STRING}, {"items": INTEGER}], "minItems": 1}, {"type": "array", "allOf": [{"items": STRING}, {"items": INTEGER}]}),
    # Objects.
    ({"type": "object", "required": ["a"], "properties": {"a": False}}, {"type": "object", "required": ["b"], "properties": {"a": False}}),
    ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, {"type": "object", "required": ["a"], "maxProperties": 1}),
    ({"type": "object", "minProperties": 2, "maxProperties": 1}, {"type": "object", "minProperties": 1, "maxProperties": 1}),
    ({"type": "object", "required": ["a"], "additionalProperties": False}, {"type": "object", "required": ["a"], "properties": {"a": True}, "additionalProperties": False}),
    ({"type": "object", "properties": {"a": True}, "additionalProperties": False, "minProperties": 2}, {"type": "object", "properties": {"a": True, "b": True}, "additionalProperties": False, "minProperties": 2}),
    ({"type": "object", "required": ["ab"], "propertyNames": {"maxLength": 1}}, {"type": "object", "required": ["a"], "propertyNames": {"maxLength": 1}}),
    ({"type": "object", "minProperties": 1, "propertyNames": {"enum": []}}, {"type": "object", "propertyNames": {"enum": []}}),
    ({"type": "object", "required": ["ab"], "patternProperties": {"a": STRING, "b": INTEGER}}, {"type": "object", "required": ["a"], "patternProperties": {"a": STRING, "b": INTEGER}}),
    ({"type": "object", "required": ["a"], "dependentRequired": {"a": ["b"], "b": ["c"]}, "properties": {"c": False}}, {"type": "object", "required": ["c"], "dependentRequired": {"a": ["b"], "b": ["c"]}, "properties": {"a": False}}),
    ({"type": "object", "required": ["a"], "dependentSchemas": {"a": {"maxProperties": 0}}}, {"type": "object", "required": ["b"], "dependentSchemas": {"a": {"maxProperties": 0}}}),
    ({"$schema": DRAFT_7, "type": "object", "required": ["a"], "dependencies": {"a": {"not": {"required": ["a"]}}}}, {"$schema": DRAFT_7, "type": "object", "required": ["a"], "dependencies": {"b": {"not": {"required": ["a"]}}}}),
    ({"type": "object", "required": ["a"], "allOf": [{"properties": {"b": True}}], "unevaluatedProperties": False}, {"type": "object", "required": ["a"], "allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False}),
    ({"type": "object", "required": ["a"], "properties": {"a": STRING}, "additionalProperties": STRING, "not": {"required": ["a"]}}, {"type": "object", "required": ["a"], "properties": {"a": STRING}, "not": {"required": ["b"]}}),
    ({"type": "object", "required": ["a"], "properties": {"a": {"properties": {"b": {"minimum": 2, "maximum": 1, "type": "integer"}}, "required": ["b"], "type": "object"}}}, {"type": "object", "required": ["a"], "properties": {"a": {"properties": {"b": {"minimum": 2, "maximum": 1, "type": "integer"}}, "type": "object"}}}),
    # Combinations.
    ({"allOf": [STRING, INTEGER]}, {"anyOf": [STRING, INTEGER]}),
    ({"anyOf": [{"const": 1}, {"const": 2}], "minimum": 3}, {"anyOf": [{"const": 1}, {"const": 3}], "minimum": 3}),
    ({"anyOf": [False, {"enum": []}]}, {"anyOf": [False, {"enum": [0]}]}),
    ({"oneOf": [{"const": 1}, {"enum": [1]}]}, {"oneOf": [{"const": 1}, {"enum": [1, 2]}]}),
    ({"oneOf": [INTEGER, {"type": "number", "multipleOf": 1}], "type": "number"}, {"oneOf": [INTEGER, {"type": "number", "multipleOf": 2}], "type": "number"}),
    ({"oneOf": [True, True]}, {"oneOf": [True, False]}),
    ({"if": {"type": "string"}, "then": False, "type": "string"}, {"if": {"type": "string"}, "then": False, "type": "null"}),
    ({"if": {"minimum": 3}, "then": {"maximum": 2}, "type": "integer", "minimum": 3}, {"if": {"minimum": 3}, "then": {"maximum": 3}, "type": "integer", "minimum": 3}),
    ({"if": False, "else": {"enum": []}}, {"if": True, "else": {"enum": []}}),
    ({"not": {"not": {"not": True}}}, {"not": {"not": True}}),
    ({"not": {"anyOf": [STRING, {"not": STRING}]}}, {"not": {"allOf": [STRING, {"not": STRING}]}}),
    ({"type": "boolean", "allOf": [{"not": {"const": True}}, {"not": {"const": False}}]}, {"type": "boolean", "allOf": [{"not": {"const": True}}]}),
    # References.
    ({"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
    (with_definitions(reference("a"), a=reference("b"), b=reference("a")), with_definitions(reference("a"), a=reference("b"), b=STRING)),
    (with_definitions({**reference("s"), "type": "integer"}, s=STRING), with_definitions({**reference("s"), "maxLength": 1}, s=STRING)),
    (with_definitions(reference("list"), list={**OBJECT, "properties": {"next": reference("list")}, "required": ["next"]}), with_definitions(reference("list"), list={**OBJECT, "properties": {"next": reference("list")}})),
    (with_definitions(reference("tree"), tree={**ARRAY, "items": reference("tree"), "minItems": 2}), with_definitions(reference("tree"), tree={**ARRAY, "items": reference("tree")})),
    (with_definitions(reference("a"), a={**OBJECT, "required": ["b"], "properties": {"b": reference("b")}}, b={**ARRAY, "minItems": 1, "items": reference("a")}), with_definitions(reference("a"), a={**OBJECT, "required": ["b"], "properties": {"b": reference("b")}}, b={**ARRAY, "items": reference("a")})),
    ({"$schema": DRAFT_2019, "$recursiveAnchor": True, "type": "object", "required": ["a"], "properties": {"a": {"$recursiveRef": "#"}}}, {"$schema": DRAFT_2019, "$recursiveAnchor": True, "type": "object", "properties": {"a": {"$recursiveRef": "#"}}}),
    ({"$schema": DRAFT_7, "definitions": {"s": {"type": "string", "maxLength": 0, "minLength": 1}}, "$ref": "#/definitions/s", "type": "null"}, {"$schema": DRAFT_7, "definitions": {"s": {"type": "string", "maxLength": 1}}, "$ref": "#/definitions/s", "type": "null"}),
]  # fmt: skip
