"""All schemas that a compilation can reach: the document, those given beside it, the drafts' own.

Nothing is ever fetched: a reference leads into one of these or is refused. Schemas are told apart by the
identity of the parsed objects; where an object stands says what its references are relative to and which
draft reads it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urldefrag, urljoin

import referencing.exceptions
from jsonschema_specifications import REGISTRY as DRAFTS  # type: ignore[import-untyped]
from referencing.jsonschema import (
    DRAFT3,
    DRAFT4,
    DRAFT6,
    DRAFT7,
    DRAFT201909,
    DRAFT202012,
    DynamicAnchor,
)

from syntagma.grammar.errors import GrammarSyntaxError, UnsupportedGrammarError
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_dialects import Dialect, check_values_below, dialect_of
from syntagma.grammar.schema_document import DOCUMENT_URI, MALFORMED, SchemaDocument
from syntagma.grammar.schema_text import JsonSchema, escape, no_schema, shorten

SPECIFICATIONS: dict[Dialect, Any] = {
    Dialect.DRAFT3: DRAFT3,
    Dialect.DRAFT4: DRAFT4,
    Dialect.DRAFT6: DRAFT6,
    Dialect.DRAFT7: DRAFT7,
    Dialect.DRAFT2019: DRAFT201909,
    Dialect.DRAFT2020: DRAFT202012,
}
# The name under which `$recursiveAnchor` is kept in a dynamic scope; no `$dynamicAnchor` may look so.
RECURSIVE = "#"
NO_SCOPE = 0


@dataclass(frozen=True)
class Site:
    """Where a schema stands.

    Attributes:
        base: the URI of the resource around it.
        dialect: the draft that reads it.
        pointer: for messages; into another document, its URI stands before it.
    """

    base: str
    dialect: Dialect
    pointer: str


class SchemaUniverse:
    """Sites and references of schemas.

    Attributes:
        has_dynamic: whether a schema has a dynamic anchor, so that scopes matter.

    Args:
        document: the schema to compile.
        documents: others, by URI, as `read_schema` returns them.
        budget: bounds on the compilation.

    Raises:
        GrammarSyntaxError: a malformed identifier.
        UnsupportedGrammarError: a draft of the caller's own.
    """

    def __init__(
        self,
        document: SchemaDocument,
        documents: Mapping[str, JsonSchema],
        budget: Budget,
    ) -> None:
        self.budget = budget
        self.document = document
        self.documents = documents
        self.root = document.root
        self.has_dynamic = False
        self._objects: list[dict[str, Any]] = []
        self._numbers: dict[int, int] = {}
        self._sites: dict[int, Site] = {}
        self._scopes: list[tuple[tuple[str, int], ...]] = [()]
        self._scope_numbers: dict[tuple[tuple[str, int], ...], int] = {(): NO_SCOPE}
        self._anchors: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        # Most documents stand for themselves: then all places in them are alike, and nothing is noted
        # before somebody asks.
        self._is_alone = not documents and document.is_simple
        if not self._is_alone:
            self._walk(self.root, DOCUMENT_URI, document.dialect, "")
            for uri, schema in documents.items():
                self._walk(schema, uri, self._draft_of(schema), uri + "#")

    @functools.cached_property
    def _registry(self) -> Any:
        schemas = [*self.documents.items(), (DOCUMENT_URI, self.root)]
        try:
            return DRAFTS.with_resources(
                (uri, SPECIFICATIONS[self._draft_of(schema)].create_resource(schema))
                for uri, schema in schemas
            ).crawl()
        except MALFORMED as error:
            refuses_slips = self.document.options.slips == "refuse"
            check_values_below(self.root, self.document.dialect, refuses_slips=refuses_slips)
            raise GrammarSyntaxError(f"an identifier is malformed: {error}", pointer="") from None

    def _draft_of(self, schema: JsonSchema) -> Dialect:
        """The draft that reads a document; one that names none is read as the schema is."""
        own = self.document.dialect
        return dialect_of(schema, Dialect.DRAFT2020 if _names_draft(schema) else own)

    def number(self, schema: dict[str, Any]) -> int:
        """A number for a schema object."""
        found = self._numbers.get(id(schema))
        if found is None:
            found = self._numbers[id(schema)] = len(self._objects)
            self._objects.append(schema)
        return found

    def schema(self, number: int) -> dict[str, Any]:
        """The schema object of a number."""
        return self._objects[number]

    def site(self, schema: dict[str, Any]) -> Site:
        """Where a schema object stands."""
        site = self._sites.get(id(schema))
        if site is None:
            assert self._is_alone, "schemas come from documents that were walked through"
            document = self.document
            assert isinstance(self.root, dict), "booleans hold no schemas"
            base = _base_of(self.root, DOCUMENT_URI, document.dialect)
            site = Site(base, document.dialect_of(schema), document.pointer(schema))
            self._sites[id(schema)] = site
        return site

    def entered(self, scope: int, schema: JsonSchema) -> int:
        """The dynamic scope in which a schema is read that is reached from another scope.

        The scope is reduced to what it decides: for each dynamic anchor, the outermost resource that has
        it.
        """
        if not self.has_dynamic or not isinstance(schema, dict):
            return scope
        known = dict(self._scopes[scope])
        for name, target in self._dynamic_anchors(self.site(schema).base):
            known.setdefault(name, self.number(target))
        key = tuple(sorted(known.items()))
        number = self._scope_numbers.setdefault(key, len(self._scopes))
        if number == len(self._scopes):
            self._scopes.append(key)
            self.budget.check("max_rules", number, "dynamic scopes")
        return number

    def resolve(self, at: dict[str, Any], keyword: str, scope: int) -> JsonSchema:
        """The schema that a reference of a schema means.

        Raises:
            GrammarSyntaxError: there is nothing at that place.
            UnsupportedGrammarError: it lies in a document that was not given.
        """
        reference = at[keyword]
        site = self.site(at)
        pointer = f"{site.pointer}/{keyword}"
        try:
            found, fragment = self._looked_up(reference, at)
        except (
            referencing.exceptions.PointerToNowhere,
            referencing.exceptions.NoSuchAnchor,
            referencing.exceptions.InvalidAnchor,
        ):
            raise GrammarSyntaxError(
                f"{keyword} {shorten(reference)!r} points to nothing in that document",
                pointer=pointer,
            ) from None
        except (referencing.exceptions.Unresolvable, *MALFORMED) as error:
            raise UnsupportedGrammarError(
                f"{keyword} {shorten(reference)!r} leaves this document ({type(error).__name__}); "
                "other documents are never fetched, put the schema under $defs",
                keyword=keyword,
                pointer=pointer,
            ) from None
        if isinstance(found, bool):
            return found
        if not isinstance(found, dict):
            raise no_schema(found, pointer)
        anchor = {
            "$dynamicRef": fragment if found.get("$dynamicAnchor") == fragment else None,
            "$recursiveRef": RECURSIVE if found.get("$recursiveAnchor") is True else None,
        }.get(keyword)
        return self._outermost(found, anchor, scope)

    def _outermost(self, found: dict[str, Any], anchor: str | None, scope: int) -> dict[str, Any]:
        number = dict(self._scopes[scope]).get(anchor) if anchor is not None else None
        return found if number is None else self.schema(number)

    def _looked_up(self, reference: str, at: dict[str, Any]) -> tuple[Any, str]:
        """What a reference of a schema points to by itself, and its fragment."""
        site = self.site(at)
        uri, fragment = urldefrag(urljoin(site.base, reference))
        if reference.startswith("#"):
            uri, fragment = site.base, reference[1:]
            if self._is_alone and self.document.is_within(at):
                local = self.document.below_root(reference)
                if local is not None:
                    return local, fragment
        found = self._registry.resolver(base_uri=uri).lookup(f"#{fragment}").contents
        if isinstance(found, dict) and not self._has_site(found):
            resource = self._registry[uri].contents
            self._walk(resource, uri, site.dialect, uri + "#")
        if isinstance(found, dict) and not self._has_site(found):
            raise referencing.exceptions.Unresolvable(ref=reference)
        return found, fragment

    def _has_site(self, schema: dict[str, Any]) -> bool:
        return id(schema) in self._sites or (self._is_alone and self.document.is_within(schema))

    def _walk(self, root: Any, base: str, dialect: Dialect, pointer: str) -> None:
        """Note where every object of a document stands."""
        waiting: list[tuple[Any, str, Dialect, str]] = [(root, base, dialect, pointer)]
        while waiting:
            value, base, dialect, pointer = waiting.pop()
            if isinstance(value, list):
                waiting += [(v, base, dialect, f"{pointer}/{i}") for i, v in enumerate(value)]
            if not isinstance(value, dict) or id(value) in self._sites:
                continue
            dialect = dialect_of(value, dialect)
            self._check_vocabularies(value, pointer)
            base = _base_of(value, base, dialect)
            self._sites[id(value)] = Site(base, dialect, pointer)
            if "$dynamicAnchor" in value or "$recursiveAnchor" in value:
                self.has_dynamic = True
            waiting += [
                (v, base, dialect, f"{pointer}/{escape(k)}")
                for k, v in value.items()
                if isinstance(v, dict | list)
            ]

    def _check_vocabularies(self, schema: dict[str, Any], pointer: str) -> None:
        """Refuse a draft of the caller's own that leaves out what is enforced here."""
        name = schema.get("$schema")
        draft = self._registry.get(name.rstrip("#")) if isinstance(name, str) else None
        vocabularies = draft.contents.get("$vocabulary") if draft is not None else None
        if isinstance(vocabularies, dict):
            known = {uri.rpartition("/")[2] for uri in vocabularies}
            if not {"core", "applicator", "validation"} <= known:
                raise UnsupportedGrammarError(
                    f"the draft {shorten(str(name))!r} leaves out vocabularies, which is not supported",
                    keyword="$schema",
                    pointer=f"{pointer}/$schema",
                )

    def _dynamic_anchors(self, base: str) -> list[tuple[str, dict[str, Any]]]:
        """The dynamic anchors of a resource."""
        if base not in self._anchors:
            self._anchors[base] = self._anchors_in(base)
        return self._anchors[base]

    def _anchors_in(self, base: str) -> list[tuple[str, dict[str, Any]]]:
        try:
            root: Any = self._registry[base].contents
        except referencing.exceptions.NoSuchResource:
            return []
        found: list[tuple[str, dict[str, Any]]] = []
        if isinstance(root, dict) and root.get("$recursiveAnchor") is True:
            found.append((RECURSIVE, root))
        for value in self._members(root, base):
            name = value.get("$dynamicAnchor")
            if isinstance(name, str):
                anchor = self._registry.anchor(base, name).value
                if isinstance(anchor, DynamicAnchor):
                    found.append((name, value))
        return found

    def _members(self, root: Any, base: str) -> list[dict[str, Any]]:
        """The objects of one resource, those with a base of their own left out."""
        found: list[dict[str, Any]] = []
        waiting: list[Any] = [root]
        while waiting:
            value = waiting.pop()
            if isinstance(value, list):
                waiting += value
            elif (
                isinstance(value, dict) and self._has_site(value) and self.site(value).base == base
            ):
                found.append(value)
                waiting += value.values()
        return found


def _names_draft(schema: JsonSchema) -> bool:
    return isinstance(schema, dict) and "$schema" in schema


def _base_of(schema: dict[str, Any], base: str, dialect: Dialect) -> str:
    """The base URI inside a schema."""
    name = schema.get(dialect.id_keyword)
    if not isinstance(name, str) or (dialect.ignores_ref_siblings and "$ref" in schema):
        return base
    if name.startswith("#"):
        return base
    return urljoin(base, name.rstrip("#"))
