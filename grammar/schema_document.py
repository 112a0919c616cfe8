"""A JSON Schema as a document: parsed, bounded, with its references resolved inside itself."""

from __future__ import annotations

import functools
import re
from typing import Any
from urllib.parse import quote

import jsonschema
import referencing
import referencing.exceptions
from referencing.jsonschema import DRAFT202012

from syntagma.grammar.errors import GrammarSyntaxError, UnsupportedGrammarError
from syntagma.grammar.json_formats import FORMATS
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_text import (
    JsonSchema,
    canonical_text,
    describe,
    escape,
    no_schema,
    read_schema,
    shorten,
)

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
        has_prefix_items: by its ``$schema``, ``prefixItems`` is a keyword.
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
        self.has_prefix_items = not self.ignores_ref_siblings and "2019-09" not in str(dialect)
        if not is_flat or (isinstance(root, dict) and not isinstance(root.get("$id", ""), str)):
            _ = self._registry

    @classmethod
    def load(cls, schema: JsonSchema | str, budget: Budget) -> SchemaDocument:
        """Parse and check a document's size, nesting and values; the caller's objects are copied.

        Raises:
            GrammarSyntaxError: not JSON, doubled keys, a number without finite value.
            GrammarLimitError: larger or deeper than the limits.
        """
        parsed, text = read_schema(schema, budget)
        return cls(parsed, is_flat=_is_flat(parsed, text))

    @property
    def source(self) -> str:
        """Canonical text, key order kept."""
        return canonical_text(self.root)

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
            raise no_schema(value, pointer)
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
            raise no_schema(found, reference.partition("#")[2])
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
        for schema in around[::-1]:
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


def _is_flat(root: JsonSchema, text: str) -> bool:
    """Whether no schema below the root can have an identifier, judged by the text alone."""
    if "\\u00" in text:
        text = canonical_text(root)
    has_id = isinstance(root, dict) and "$id" in root
    return (
        text.count('"$id"') == has_id and '"$anchor"' not in text and '"$dynamicAnchor"' not in text
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
