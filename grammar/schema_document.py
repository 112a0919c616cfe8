"""A JSON Schema as a document: parsed, bounded, with its references resolved inside itself."""

from __future__ import annotations

import functools
import json
import math
import re
from collections import Counter
from typing import Any
from urllib.parse import quote

import jsonschema
import referencing
import referencing.exceptions
from referencing.jsonschema import DRAFT202012

from syntagma.grammar.errors import GrammarLimitError, GrammarSyntaxError, UnsupportedGrammarError
from syntagma.grammar.json_formats import FORMATS
from syntagma.grammar.limits import Budget

JsonSchema = dict[str, Any] | bool

DOCUMENT_URI = "urn:syntagma:document"
# What the referencing package raises on identifiers of the wrong type or form.
MALFORMED = (AttributeError, TypeError, ValueError, KeyError)
OLD_DRAFTS = ("draft-03", "draft-04", "draft-06", "draft-07")


class SchemaDocument:
    """A whole schema document; use `load`.

    Its schemas are the parsed objects themselves: no two places share one, so `id` tells places apart
    as long as the document lives. Pointers and resolvers are worked out when somebody asks for them.

    Attributes:
        root: the schema itself.
        ignores_ref_siblings: by its ``$schema``, keywords beside ``$ref`` have no effect.
        is_flat: no schema below the root has an identifier of its own, so that a local reference
            means the same everywhere.
    """

    def __init__(self, root: JsonSchema, *, is_flat: bool) -> None:
        self.root = root
        self.is_flat = is_flat
        self._targets: dict[int, JsonSchema] = {}
        dialect = root.get("$schema", "") if isinstance(root, dict) else ""
        self.ignores_ref_siblings = isinstance(dialect, str) and any(
            d in dialect for d in OLD_DRAFTS
        )
        if not is_flat or (isinstance(root, dict) and not isinstance(root.get("$id", ""), str)):
            _ = self._registry

    @classmethod
    def load(cls, schema: JsonSchema | str, budget: Budget) -> SchemaDocument:
        """Parse and check a document's size, nesting and values; the caller's objects are copied.

        Raises:
            GrammarSyntaxError: not JSON, doubled keys, a number without finite value.
            GrammarLimitError: larger or deeper than the limits.
        """
        if isinstance(schema, str):
            text = schema
            budget.check("max_source_bytes", len(text), "characters of the schema")
            parsed = _parsed(text, budget)
            _check_parsed(parsed, budget)
        elif isinstance(schema, dict | bool):
            check_values(schema, budget)
            text = _dumped(schema)
            parsed = json.loads(text)
        else:
            parsed, text = schema, ""
        if not isinstance(parsed, dict | bool):
            raise GrammarSyntaxError(
                f"a schema must be an object or a boolean, not {describe(parsed)}", pointer=""
            )
        _check_encoding(text, parsed, budget)
        return cls(parsed, is_flat=_is_flat(parsed, text))

    @property
    def source(self) -> str:
        """Canonical text, key order kept."""
        return _dumped(self.root)

    def pointer(self, schema: JsonSchema) -> str:
        """Where a schema object stands (RFC 6901); "" for a boolean, which could stand anywhere."""
        steps = []
        place = id(schema)
        while place in self._parents:
            parent, step = self._parents[place]
            steps.append(f"/{escape(step)}")
            place = id(parent)
        return "".join(reversed(steps))

    def child(self, schema: dict[str, Any], *path: str | int) -> JsonSchema:
        """The subschema at a path of keys and indices.

        Raises:
            GrammarSyntaxError: it is neither an object nor a boolean.
        """
        value: Any = schema
        for step in path:
            value = value[step]
        if not isinstance(value, dict | bool):
            pointer = self.pointer(schema) + "".join(f"/{escape(step)}" for step in path)
            raise _no_schema(value, pointer)
        return value

    def resolve(self, at: dict[str, Any]) -> JsonSchema:
        """The schema that the ``$ref`` of a schema means.

        Raises:
            GrammarSyntaxError: there is nothing at that place.
            UnsupportedGrammarError: it lies outside the document; nothing is ever fetched.
        """
        found = self._targets.get(id(at))
        if found is None:
            reference = at["$ref"]
            found = self._below_root(reference) if self.is_flat else None
            if found is None:
                found = self._looked_up(reference, at)
            self._targets[id(at)] = found
        return found

    def validator(self, at: JsonSchema) -> jsonschema.Draft202012Validator:
        """An independent validator of a schema in this document, enforced formats included."""
        reference = {"$ref": f"{DOCUMENT_URI}#{quote(self.pointer(at))}"}
        return jsonschema.Draft202012Validator(
            reference, registry=self._registry, format_checker=_format_checker()
        )

    def _below_root(self, reference: object) -> JsonSchema | None:
        """The schema at a plain JSON pointer; None: whatever it is, ask the registry."""
        if not isinstance(reference, str) or "%" in reference or not reference.startswith("#"):
            return None
        value: Any = self.root
        if reference != "#":
            if not reference.startswith("#/"):
                return None
            for step in reference[2:].split("/"):
                step = step.replace("~1", "/").replace("~0", "~") if "~" in step else step
                if not isinstance(value, dict) or step not in value:
                    return None
                value = value[step]
        return value if isinstance(value, dict | bool) else None

    def _looked_up(self, reference: object, at: dict[str, Any]) -> JsonSchema:
        pointer = f"{self.pointer(at)}/$ref"
        if not isinstance(reference, str):
            raise GrammarSyntaxError(
                f"$ref must be a string, not {describe(reference)}", pointer=pointer
            )
        registry = self._registry
        try:
            found: Any = self._resolver(at, registry).lookup(reference).contents
        except (
            referencing.exceptions.PointerToNowhere,
            referencing.exceptions.NoSuchAnchor,
            referencing.exceptions.InvalidAnchor,
        ):
            raise GrammarSyntaxError(
                f"$ref {shorten(reference)!r} points to nothing in this document", pointer=pointer
            ) from None
        except (referencing.exceptions.Unresolvable, *MALFORMED) as error:
            # An unknown document, or a reference so malformed that no URI can be made of it.
            raise UnsupportedGrammarError(
                f"$ref {shorten(reference)!r} leaves this document ({type(error).__name__}); "
                "other documents are never fetched, put the schema under $defs",
                keyword="$ref",
                pointer=pointer,
            ) from None
        if not isinstance(found, dict | bool):
            raise _no_schema(found, reference.partition("#")[2])
        return found

    @functools.cached_property
    def _registry(self) -> Any:
        try:
            resource = DRAFT202012.create_resource(self.root)
            registry: Any = referencing.Registry().with_resource(DOCUMENT_URI, resource)
            registry.resolver_with_root(resource)
        except MALFORMED as error:
            raise GrammarSyntaxError(f"$id or $anchor is malformed: {error}", pointer="") from None
        return registry

    def _resolver(self, at: dict[str, Any], registry: Any) -> Any:
        """What references of a schema are relative to: the ``$id`` of all schemas around it."""
        around: list[dict[str, Any]] = []
        place: Any = at
        while place is not self.root:
            if isinstance(place, dict) and isinstance(place.get("$id"), str):
                around.append(place)
            place = self._parents[id(place)][0]
        resolver = registry.resolver_with_root(DRAFT202012.create_resource(self.root))
        for schema in reversed(around):
            resolver = resolver.in_subresource(DRAFT202012.create_resource(schema))
        return resolver

    @functools.cached_property
    def _parents(self) -> dict[int, tuple[Any, str | int]]:
        """By the `id` of every object and array below the root: what holds it, and under which key."""
        parents: dict[int, tuple[Any, str | int]] = {}
        waiting: list[Any] = [self.root]
        while waiting:
            holder = waiting.pop()
            items = holder.items() if isinstance(holder, dict) else enumerate(holder)
            for step, value in items:
                if isinstance(value, dict | list):
                    parents[id(value)] = (holder, step)
                    waiting.append(value)
        return parents


def _parsed(text: str, budget: Budget) -> Any:
    """JSON text as objects."""
    try:
        return json.loads(text, object_pairs_hook=_without_doubles)
    except json.JSONDecodeError as error:
        raise GrammarSyntaxError(
            f"the schema is not JSON: {error.msg}", line=error.lineno, column=error.colno
        ) from None
    except GrammarSyntaxError:
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


def _check_parsed(parsed: object, budget: Budget) -> None:
    """`check_values` for what `json.loads` returned: level by level, without pointers."""
    depth = 0
    level: list[Any] = [parsed] if isinstance(parsed, dict | list) else []
    while level:
        depth += 1
        budget.check("max_schema_depth", depth, "nesting of the schema", pointer="")
        values: list[Any] = []
        for holder in level:
            values += holder.values() if type(holder) is dict else holder
        if float in set(map(type, values)) and not all(
            math.isfinite(v) for v in values if type(v) is float
        ):
            check_values(parsed, budget)
        level = [v for v in values if type(v) is dict or type(v) is list]


def _dumped(schema: JsonSchema) -> str:
    try:
        return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    except ValueError as error:
        raise GrammarSyntaxError(f"the schema holds too long a number: {error}") from None


def _check_encoding(text: str, parsed: JsonSchema, budget: Budget) -> None:
    """Bound the bytes of a document and refuse lone surrogates, escaped ones included."""
    if text.isascii() and "\\ud" not in text and "\\uD" not in text:
        return
    try:
        source = _dumped(parsed).encode()
    except UnicodeEncodeError:
        raise GrammarSyntaxError("the schema contains a lone surrogate", pointer="") from None
    budget.check("max_source_bytes", len(source), "bytes of the schema")


def _is_flat(root: JsonSchema, text: str) -> bool:
    """Whether no schema below the root can have an identifier, judged by the text alone."""
    if "\\u00" in text:
        text = _dumped(root)
    has_id = isinstance(root, dict) and "$id" in root
    return (
        text.count('"$id"') == has_id and '"$anchor"' not in text and '"$dynamicAnchor"' not in text
    )


def _no_schema(value: object, pointer: str) -> GrammarSyntaxError:
    return GrammarSyntaxError(
        f"a schema must be an object or a boolean, not {describe(value)}", pointer=pointer
    )


@functools.cache
def _format_checker() -> jsonschema.FormatChecker:
    checker = jsonschema.FormatChecker(formats=())
    for name, patterns in FORMATS.items():
        compiled = tuple(map(re.compile, patterns))
        checker.checks(name)(functools.partial(_matches, compiled))
    return checker


def _matches(patterns: tuple[re.Pattern[str], ...], value: object) -> bool:
    return not isinstance(value, str) or all(p.fullmatch(value) for p in patterns)


def check_values(schema: object, budget: Budget) -> None:
    """Bound the nesting of parsed JSON and refuse what JSON cannot hold."""
    waiting: list[tuple[int, str, object]] = [(0, "", schema)]
    num_values = 0
    while waiting:
        depth, pointer, value = waiting.pop()
        # Each is at least one byte of text; an object may be held in many places.
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
