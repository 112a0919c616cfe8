"""A JSON Schema as a document: parsed, bounded, with its references resolved inside itself."""

from __future__ import annotations

import functools
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True, eq=False)
class Located:
    """A schema and where it stands in its document; equal place, equal schema."""

    schema: JsonSchema
    pointer: str
    resolver: Any = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Located) and self.pointer == other.pointer

    def __hash__(self) -> int:
        return hash(self.pointer)

    def child(self, *path: str | int) -> Located:
        """The subschema at a path of keys and indices.

        Raises:
            GrammarSyntaxError: it is neither an object nor a boolean.
        """
        value: Any = self.schema
        for step in path:
            value = value[step]
        return located(value, self.pointer + "".join(f"/{escape(s)}" for s in path), self.resolver)


def located(value: Any, pointer: str, resolver: Any) -> Located:
    """Check that a value can be a schema and enter the scope of its ``$id``."""
    if not isinstance(value, dict | bool):
        raise GrammarSyntaxError(
            f"a schema must be an object or a boolean, not {describe(value)}", pointer=pointer
        )
    if pointer and isinstance(value, dict) and isinstance(value.get("$id"), str):
        resolver = resolver.in_subresource(DRAFT202012.create_resource(value))
    return Located(value, pointer, resolver)


class SchemaDocument:
    """A whole schema document; use `load`.

    Attributes:
        source: canonical text, key order kept.
        root: the schema itself.
        ignores_ref_siblings: by its ``$schema``, keywords beside ``$ref`` have no effect.
    """

    def __init__(self, parsed: JsonSchema, source: str) -> None:
        self.source = source
        resource = DRAFT202012.create_resource(parsed)
        try:
            self._registry: Any = referencing.Registry().with_resource(DOCUMENT_URI, resource)
            resolver = self._registry.resolver_with_root(resource)
        except MALFORMED as error:
            raise GrammarSyntaxError(f"$id or $anchor is malformed: {error}", pointer="") from None
        self.root = located(parsed, "", resolver)
        self._pointers: dict[int, str] | None = None
        dialect = parsed.get("$schema", "") if isinstance(parsed, dict) else ""
        self.ignores_ref_siblings = isinstance(dialect, str) and any(
            d in dialect for d in OLD_DRAFTS
        )

    @classmethod
    def load(cls, schema: JsonSchema | str, budget: Budget) -> SchemaDocument:
        """Parse and check a document's size, nesting and values.

        Raises:
            GrammarSyntaxError: not JSON, doubled keys, a number without finite value.
            GrammarLimitError: larger or deeper than the limits.
        """
        if isinstance(schema, str):
            budget.check("max_source_bytes", len(schema), "characters of the schema")
            check_text_depth(schema, budget)
            try:
                schema = json.loads(schema, object_pairs_hook=_without_doubles)
            except json.JSONDecodeError as error:
                raise GrammarSyntaxError(
                    f"the schema is not JSON: {error.msg}", line=error.lineno, column=error.colno
                ) from None
            except GrammarSyntaxError:
                raise
            except ValueError as error:
                raise GrammarSyntaxError(f"the schema holds too long a number: {error}") from None
        if not isinstance(schema, dict | bool):
            raise GrammarSyntaxError(
                f"a schema must be an object or a boolean, not {describe(schema)}", pointer=""
            )
        check_values(schema, budget)
        try:
            source = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
            budget.check("max_source_bytes", len(source.encode()), "bytes of the schema")
        except UnicodeEncodeError:
            raise GrammarSyntaxError("the schema contains a lone surrogate", pointer="") from None
        except GrammarLimitError:
            raise
        except ValueError as error:
            raise GrammarSyntaxError(f"the schema holds too long a number: {error}") from None
        return cls(schema, source)

    def resolve(self, reference: object, at: Located) -> Located:
        """The schema that a ``$ref`` of ``at`` means.

        Raises:
            GrammarSyntaxError: there is nothing at that place.
            UnsupportedGrammarError: it lies outside the document; nothing is ever fetched.
        """
        pointer = f"{at.pointer}/$ref"
        if not isinstance(reference, str):
            raise GrammarSyntaxError(
                f"$ref must be a string, not {describe(reference)}", pointer=pointer
            )
        try:
            found = at.resolver.lookup(reference)
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
        return located(found.contents, self._pointer_of(found.contents, reference), found.resolver)

    def validator(self, at: Located) -> jsonschema.Draft202012Validator:
        """An independent validator of a schema in this document, enforced formats included."""
        reference = {"$ref": f"{DOCUMENT_URI}#{at.pointer}"}
        return jsonschema.Draft202012Validator(
            reference, registry=self._registry, format_checker=_format_checker()
        )

    def _pointer_of(self, contents: object, reference: str) -> str:
        if not isinstance(contents, dict):
            return reference.partition("#")[2]
        if self._pointers is None:
            self._pointers = {}
            waiting: list[tuple[str, Any]] = [("", self.root.schema)]
            while waiting:
                pointer, value = waiting.pop()
                if isinstance(value, dict):
                    self._pointers[id(value)] = pointer
                    waiting += [(f"{pointer}/{escape(k)}", v) for k, v in value.items()]
                elif isinstance(value, list):
                    waiting += [(f"{pointer}/{i}", v) for i, v in enumerate(value)]
        return self._pointers[id(contents)]


@functools.cache
def _format_checker() -> jsonschema.FormatChecker:
    checker = jsonschema.FormatChecker(formats=())
    for name, patterns in FORMATS.items():
        compiled = tuple(map(re.compile, patterns))
        checker.checks(name)(functools.partial(_matches, compiled))
    return checker


def _matches(patterns: tuple[re.Pattern[str], ...], value: object) -> bool:
    return not isinstance(value, str) or all(p.fullmatch(value) for p in patterns)


def check_text_depth(text: str, budget: Budget) -> None:
    """Bound the nesting of JSON text before a recursive parser sees it."""
    depth = deepest = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    budget.check("max_schema_depth", deepest, "nesting of the schema", pointer="")


def check_values(schema: object, budget: Budget) -> None:
    """Bound the nesting of parsed JSON and refuse what JSON cannot hold."""
    waiting: list[tuple[int, str, object]] = [(0, "", schema)]
    while waiting:
        depth, pointer, value = waiting.pop()
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
        keys = [key for key, _ in pairs]
        double = next(k for k in keys if keys.count(k) > 1)
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
