"""JSON Schema -> one regular expression over bytes, for schemas without recursion.

A second, independent reading of the specification: with compact whitespace, the valid texts of a
small schema are a regular language, and the `regex` package can say which prefixes are viable.
"""

from __future__ import annotations

import json
from typing import Any

import regex

HEX = rb"[0-9A-Fa-f]"
CHAR = (
    rb"(?:[ !#-\[\]-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]"
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
    rb'|\\["\\/bfnrt]|\\u(?:[0-9A-Ca-cEFef]' + HEX + rb"{3}|[Dd][0-7]" + HEX + rb"{2})"
    rb"|\\u[Dd][89ABab]" + HEX + rb"{2}\\u[Dd][C-Fc-f]" + HEX + rb"{2})"
)
NUMBER = rb"-?(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?"
SCALARS = {"null": b"null", "boolean": b"(?:true|false)", "number": NUMBER}


def schema_regex(schema: dict[str, Any]) -> bytes:
    """The pattern of the compact texts of a schema's valid instances.

    Understands enum, anyOf and single types with string lengths, integer ranges, items with counts,
    and closed objects, whose members come in order.
    """
    if "enum" in schema:
        spelled = {json.dumps(v, ensure_ascii=a).encode() for v in schema["enum"] for a in (0, 1)}
        return _any(regex.escape(word) for word in spelled)
    if "anyOf" in schema:
        return _any(map(schema_regex, schema["anyOf"]))
    match schema["type"]:
        case "string":
            return b'"' + CHAR + _counts(schema, "minLength", "maxLength") + b'"'
        case "integer":
            return _any(str(v).encode() for v in range(schema["minimum"], schema["maximum"] + 1))
        case "array":
            item = schema_regex(schema["items"])
            low, high = schema.get("minItems", 0), schema.get("maxItems")
            if high == 0:
                return rb"\[\]"
            more = {"minItems": max(0, low - 1)}
            if high is not None:
                more["maxItems"] = high - 1
            filled = item + b"(?:," + item + b")" + _counts(more, "minItems", "maxItems")
            return rb"\[" + (filled if low else b"(?:" + filled + b")?") + rb"\]"
        case "object":
            return rb"\{" + _members(schema, list(schema["properties"]), is_first=True) + rb"\}"
        case scalar:
            return SCALARS[scalar]


def _members(schema: dict[str, Any], names: list[str], *, is_first: bool) -> bytes:
    if not names:
        return b""
    name, rest = names[0], names[1:]
    comma = b"" if is_first else b","
    value = schema_regex(schema["properties"][name])
    present = comma + regex.escape(json.dumps(name).encode()) + b":" + value
    present += _members(schema, rest, is_first=False)
    if name in schema["required"]:
        return present
    return _any([present, _members(schema, rest, is_first=is_first)])


def _counts(schema: dict[str, Any], low: str, high: str) -> bytes:
    return b"{%d,%s}" % (schema.get(low, 0), str(schema.get(high, "")).encode())


def _any(parts: Any) -> bytes:
    return b"(?:" + b"|".join(parts) + b")"
