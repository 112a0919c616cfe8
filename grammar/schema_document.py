"""A JSON Schema as a document: parsed, bounded, with its references resolved inside itself."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import referencing
import referencing.exceptions
from referencing.jsonschema import DRAFT202012

from syntagma.grammar.errors import GrammarSyntaxError, UnsupportedGrammarError
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_dialects import Dialect, dialect_of
from syntagma.grammar.schema_plain import NeedsMoreError
from syntagma.grammar.schema_text import (
    JsonSchema,
    canonical_text,
    describe,
    escape,
    no_schema,
    read_schema,
    shorten,
)

USUAL_OPTIONS = JsonOptions()
DOCUMENT_URI = "urn:syntagma:document"
ANCHORS = ("$anchor", "$dynamicAnchor", "$recursiveAnchor")
# What the referencing package raises on identifiers of the wrong type or form.
MALFORMED = (AttributeError, TypeError, ValueError, KeyError)


class SchemaDocument:
    """A whole schema document; use `load`.

    Its schemas are the parsed objects themselves: no two places share one, so `id` tells places apart
    as long as the document lives. Pointers and resolvers are worked out when somebody asks for them.

    Attributes:
        root: the schema itself.
        dialect: the draft that its ``$schema`` names; see `dialect_of` for the schemas below.
        options: which formats and unknown keywords are refused.
        is_flat: no schema below the root has an identifier of its own, so that a local reference
            means the same everywhere.
    """

    def __init__(
        self,
        root: JsonSchema,
        *,
        is_flat: bool,
        dialects: dict[int, Dialect],
        options: JsonOptions,
        source: str | None = None,
    ) -> None:
        self.root = root
        self._source = source
        self.options = options
        self.dialect = dialect_of(root, Dialect.DRAFT2020)
        self.is_flat = is_flat
        # By `id`, of what another draft reads than the root.
        self._dialects = dialects
        self._targets: dict[int, JsonSchema] = {}
        if not is_flat or (isinstance(root, dict) and not isinstance(root.get("$id", ""), str)):
            _ = self._registry

    @classmethod
    def load(
        cls, schema: JsonSchema | str, budget: Budget, options: JsonOptions = USUAL_OPTIONS
    ) -> SchemaDocument:
        """Parse and check a document's size, nesting and values; the caller's objects are copied.

        Raises:
            GrammarSyntaxError: not JSON, doubled keys, a number without finite value.
            GrammarLimitError: larger or deeper than the limits.
        """
        parsed, text = read_schema(schema, budget)
        is_canonical = not isinstance(schema, str)
        if "\\u00" in text:
            text, is_canonical = canonical_text(parsed), True
        # Not where the document is going to be changed; see `close_objects`.
        is_source = is_canonical and options.additional_properties_default
        return cls(
            parsed,
            is_flat=_is_flat(parsed, text),
            dialects=_dialects(parsed, text),
            options=options,
            source=text if is_source else None,
        )

    @property
    def is_simple(self) -> bool:
        """Whether all its schemas have one base, and nothing in it says how others are to be read."""
        root = self.root if isinstance(self.root, dict) else {}
        return (
            self.is_flat
            and isinstance(root.get("$id", ""), str)
            and isinstance(root.get("id", ""), str)
            and root.keys().isdisjoint(("$vocabulary", "$recursiveAnchor", "$dynamicAnchor"))
        )

    @property
    def source(self) -> str:
        """Canonical text, key order kept."""
        return canonical_text(self.root) if self._source is None else self._source

    def dialect_of(self, schema: dict[str, Any]) -> Dialect:
        """The draft that reads a schema object."""
        return self._dialects.get(id(schema), self.dialect) if self._dialects else self.dialect

    def ignores_siblings(self, schema: dict[str, Any]) -> bool:
        """Whether a schema is a ``$ref`` and nothing else, whatever stands beside it."""
        return "$ref" in schema and self.dialect_of(schema).ignores_ref_siblings

    def pointer(self, schema: JsonSchema) -> str:
        """Where a schema object stands (RFC 6901); "" for a boolean, which could stand anywhere."""
        steps = []
        place = id(schema)
        while place in self._parents:
            parent, step = self._parents[place]
            steps.append(f"/{escape(step)}")
            place = id(parent)
        return "".join(reversed(steps))

    def is_within(self, schema: dict[str, Any]) -> bool:
        """Whether a schema object stands in this document."""
        return schema is self.root or id(schema) in self._parents

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
            NeedsMoreError: identifiers of an old draft.
        """
        found = self._targets.get(id(at))
        if found is None:
            if not self.is_flat and self.ignores_siblings(at):
                raise NeedsMoreError("$id")
            reference = at["$ref"]
            found = self.below_root(reference) if self.is_flat else None
            if found is None:
                found = self._looked_up(reference, at)
            self._targets[id(at)] = found
        return found

    def below_root(self, reference: object) -> JsonSchema | None:
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
    """Whether no schema below the root can have an identifier, judged by the text if possible."""
    has_id = isinstance(root, dict) and "$id" in root
    if text.count('"$id"') != has_id or any(f'"{name}"' in text for name in ANCHORS):
        return False
    if dialect_of(root, Dialect.DRAFT2020) > Dialect.DRAFT4 or '"$ref"' not in text:
        return True
    return not any(isinstance(v.get("id"), str) for v in _objects_below(root, text, "id"))


def _dialects(root: JsonSchema, text: str) -> dict[int, Dialect]:
    """By `id`, the draft that reads an object, if it is another one than reads the root."""
    own = dialect_of(root, Dialect.DRAFT2020)
    found: dict[int, Dialect] = {}
    if all(dialect_of(v, own) is own for v in _objects_below(root, text, "$schema")):
        return found
    waiting: list[tuple[Any, Dialect]] = [(root, own)]
    while waiting:
        value, dialect = waiting.pop()
        if isinstance(value, dict):
            dialect = dialect_of(value, dialect)
            if dialect is not own:
                found[id(value)] = dialect
            waiting += [(v, dialect) for v in value.values()]
        elif isinstance(value, list):
            waiting += [(v, dialect) for v in value]
    return found


def _objects_below(root: JsonSchema, text: str, keyword: str) -> Iterator[dict[str, Any]]:
    """The objects below the root; none if the text does not hold the keyword there."""
    if not isinstance(root, dict) or text.count(f'"{keyword}"') == (keyword in root):
        return
    waiting: list[Any] = list(root.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
