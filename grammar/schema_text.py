"""A JSON Schema as text or objects: read, bounded, free of what JSON cannot hold."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from syntagma.grammar.errors import GrammarLimitError, GrammarSyntaxError
from syntagma.grammar.limits import Budget

JsonSchema = dict[str, Any] | bool


def read_schema(schema: JsonSchema | str, budget: Budget) -> tuple[JsonSchema, str]:
    """Objects of our own, of which no two are the same, and their text.

    Raises:
        GrammarSyntaxError: not JSON, no schema, doubled keys, a number without finite value.
        GrammarLimitError: larger or deeper than the limits.
    """
    parsed: Any
    if isinstance(schema, str):
        text = schema
        budget.check("max_source_bytes", len(text), "characters of the schema")
        parsed = _parsed(text, budget)
    elif isinstance(schema, dict | bool):
        check_values(schema, budget)
        text = canonical_text(schema)
        budget.check("max_source_bytes", len(text), "characters of the schema")
        parsed = json.loads(text)
    else:
        raise no_schema(schema, "")
    if not isinstance(parsed, dict | bool):
        raise no_schema(parsed, "")
    _check_encoding(text, parsed, budget)
    return parsed, text


class _NotFinite(ValueError):
    """A number that JSON text can spell, but no float can hold."""


def _parsed(text: str, budget: Budget) -> Any:
    """JSON text as objects, within `check_values`."""
    try:
        parsed = _decoded(text, FINITE_JSON, budget)
    except _NotFinite:
        parsed = _decoded(text, ANY_JSON, budget)
        check_values(parsed, budget)
    _check_depth(text, parsed, budget)
    return parsed


def _decoded(text: str, decoder: json.JSONDecoder, budget: Budget) -> Any:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        raise GrammarSyntaxError(
            f"the schema is not JSON: {error.msg}", line=error.lineno, column=error.colno
        ) from None
    except (GrammarSyntaxError, _NotFinite):
        raise
    except ValueError as error:
        raise GrammarSyntaxError(f"the schema holds too long a number: {error}") from None
    except RecursionError:
        # The parser guards its own recursion, far beyond the limit.
        allowed = budget.limits.max_schema_depth
        raise GrammarLimitError(
            f"the schema is nested deeper than the limit max_schema_depth = {allowed}",
            limit="max_schema_depth",
            pointer="",
        ) from None


def _check_depth(text: str, parsed: object, budget: Budget) -> None:
    """The nesting of `check_values` for what a decoder returned: level by level."""
    if text.count("{") + text.count("[") <= budget.limits.max_schema_depth:
        return
    depth = 0
    level: list[Any] = [parsed] if isinstance(parsed, dict | list) else []
    while level:
        depth += 1
        budget.check("max_schema_depth", depth, "nesting of the schema", pointer="")
        values: list[Any] = []
        for holder in level:
            values += holder.values() if type(holder) is dict else holder
        level = [v for v in values if type(v) is dict or type(v) is list]


def canonical_text(schema: JsonSchema) -> str:
    """JSON text without blanks, key order kept."""
    try:
        return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    except ValueError as error:
        raise GrammarSyntaxError(f"the schema holds too long a number: {error}") from None


def _check_encoding(text: str, parsed: JsonSchema, budget: Budget) -> None:
    """Bound the bytes of a document and refuse lone surrogates, escaped ones included."""
    if text.isascii() and "\\ud" not in text and "\\uD" not in text:
        return
    try:
        source = canonical_text(parsed).encode()
    except UnicodeEncodeError:
        raise GrammarSyntaxError("the schema contains a lone surrogate", pointer="") from None
    budget.check("max_source_bytes", len(source), "bytes of the schema")


def check_values(schema: object, budget: Budget) -> None:
    """Bound the nesting of parsed JSON and refuse what JSON cannot hold."""
    if not _is_bounded_json(schema, budget):
        _find_fault(schema, budget)


def _is_bounded_json(schema: object, budget: Budget) -> bool:
    """Whether nothing is wrong at first sight; large lists of tools are looked through several times."""
    num_values = depth = 0
    level: list[Any] = [schema]
    while level:
        if depth > budget.limits.max_schema_depth:
            return False
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is dict:
                if not _ONLY_STR.issuperset(map(type, value)):
                    return False
                below += value.values()
            elif kind is list:
                below += value
            elif kind is float:
                if not math.isfinite(value):
                    return False
            elif kind not in _SCALARS:
                return False
            # Each is at least one byte of text; an object may be held in many places.
            if num_values + len(level) + len(below) > budget.limits.max_source_bytes:
                return False
        num_values += len(level)
        level = below
        depth += 1
    return True


_ONLY_STR = frozenset({str})
_SCALARS = frozenset({str, int, bool, type(None)})


def _find_fault(schema: object, budget: Budget) -> None:
    """Raise the error of what is wrong, if anything is, with its pointer."""
    waiting: list[tuple[int, str, object]] = [(0, "", schema)]
    num_values = 0
    while waiting:
        depth, pointer, value = waiting.pop()
        num_values += 1
        budget.check("max_source_bytes", num_values, "values in the schema")
        budget.check("max_schema_depth", depth, "nesting of the schema", pointer="")
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str):
                    raise GrammarSyntaxError(f"key {key!r} is not a string", pointer=pointer)
                waiting.append((depth + 1, f"{pointer}/{escape(key)}", item))
        elif isinstance(value, list):
            waiting += [(depth + 1, f"{pointer}/{i}", v) for i, v in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            raise GrammarSyntaxError(f"the number {value!r} is not finite", pointer=pointer)
        elif not isinstance(value, str | int | float | bool | None):
            raise GrammarSyntaxError(
                f"a {type(value).__name__} is not a JSON value", pointer=pointer
            )


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        double = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise GrammarSyntaxError(f"the key {shorten(double)!r} is given twice in one object")
    return result


def _finite(text: str) -> float:
    """A number, or what Python takes for one."""
    value = float(text)
    if not math.isfinite(value):
        raise _NotFinite(text)
    return value


FINITE_JSON = json.JSONDecoder(
    object_pairs_hook=_without_doubles, parse_float=_finite, parse_constant=_finite
)
ANY_JSON = json.JSONDecoder(object_pairs_hook=_without_doubles)


def escape(step: str | int) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return str(step).replace("~", "~0").replace("/", "~1")


def describe(value: object) -> str:
    """What a JSON value is, for error messages."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), "null" if value is None else "a number")


def shorten(text: str, limit: int = 60) -> str:
    """A text cut to a length fit for an error message."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def no_schema(value: object, pointer: str) -> GrammarSyntaxError:
    """The error that a value cannot be a schema."""
    return GrammarSyntaxError(
        f"a schema must be an object or a boolean, not {describe(value)}", pointer=pointer
    )
