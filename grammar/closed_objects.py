"""Objects without other members than those declared, where a schema does not say.

By the specification a schema that says nothing of ``additionalProperties`` allows them. Under the other
policy each value's object is closed to what the schemas that apply to it declare:

- a schema that alone describes an object gets ``additionalProperties: false``;
- one that does so together with others (``allOf``, ``if``, ``anyOf`` beside ``properties``, a ``$ref`` with
  siblings) gets ``unevaluatedProperties: false``, so that the parts may declare members for each other.

What only tests a value (``not``, ``if``, ``contains``, ``propertyNames``) stays as it is, for closing a test
would turn its answer round. So does a schema that declares no properties, and one that says itself what
is to be allowed. What applies to one value alone and to another together with others is closed for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syntagma.grammar.errors import GrammarError, UnsupportedGrammarError
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_dialects import ANNOTATIONS, Dialect, dialect_of
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_text import JsonSchema

DECLARING = frozenset(["properties", "patternProperties"])
SAYING = frozenset(["additionalProperties", "unevaluatedProperties"])
# What applies other schemas to the same value.
IN_PLACE = frozenset(
    [
        "$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "if", "then", "else",
        "dependentSchemas", "dependencies",
    ]
)  # fmt: skip
UNIONS = ("anyOf", "oneOf")


def close_objects(document: SchemaDocument, budget: Budget) -> None:
    """Write what is to hold into a document of our own; documents beside it stay as they are.

    Raises:
        UnsupportedGrammarError: a draft without ``unevaluatedProperties`` would need it.
        GrammarLimitError: it takes too long.
    """
    closing = _Closing(document, budget)
    for schema, keyword in closing.additions():
        schema[keyword] = False


class _Closing:
    def __init__(self, document: SchemaDocument, budget: Budget) -> None:
        self.document = document
        self.budget = budget
        self.dialect = dialect_of(document.root, Dialect.DRAFT2020)

    def additions(self) -> list[tuple[dict[str, Any], str]]:
        """The schemas to be closed, and with which keyword."""
        found: list[tuple[dict[str, Any], str]] = []
        waiting: list[Any] = [self.document.root]
        seen: set[int] = set()
        while waiting:
            schema = waiting.pop()
            if not isinstance(schema, dict) or id(schema) in seen:
                continue
            self.budget.check_time()
            seen.add(id(schema))
            alternatives = self._alternatives(schema)
            if alternatives is not None:
                # Whatever stands here describes the value alone.
                waiting += alternatives
                continue
            parts = list(self._parts(schema))
            for part in parts:
                waiting += _values_below(part)
            if not SAYING.isdisjoint(schema):
                continue
            if len(parts) == 1 and IN_PLACE.isdisjoint(schema):
                if not DECLARING.isdisjoint(schema):
                    found.append((schema, "additionalProperties"))
            elif any(not DECLARING.isdisjoint(part) for part in parts):
                if self.dialect < Dialect.DRAFT2019:
                    raise UnsupportedGrammarError(
                        "additional_properties_default=False needs unevaluatedProperties where several "
                        "schemas describe one object, which the draft that $schema names does not "
                        "have; name a later one, or write additionalProperties",
                        keyword="additionalProperties",
                        pointer=self.document.pointer(schema),
                    )
                found.append((schema, "unevaluatedProperties"))
        return found

    def _alternatives(self, schema: dict[str, Any]) -> list[JsonSchema] | None:
        """The schemas of which one describes the value if this one says nothing else."""
        used = schema.keys() - ANNOTATIONS
        if used == {"$ref"} or ("$ref" in schema and self.dialect.ignores_ref_siblings):
            return self._referred(schema)
        for keyword in UNIONS:
            if used - {"type"} == {keyword} and isinstance(schema[keyword], list):
                return list(schema[keyword])
        return None

    def _referred(self, schema: dict[str, Any]) -> list[JsonSchema]:
        try:
            return [self.document.resolve(schema)]
        except GrammarError:
            # Into another document, or nowhere, which compiling will tell.
            return []

    def _parts(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """All schemas that apply to the same value, this one first."""
        waiting: list[Any] = [schema]
        seen: set[int] = set()
        while waiting:
            part = waiting.pop()
            if not isinstance(part, dict) or id(part) in seen:
                continue
            self.budget.check_time()
            seen.add(id(part))
            yield part
            if "$ref" in part:
                waiting += self._referred(part)
                if self.dialect.ignores_ref_siblings:
                    continue
            for keyword in ("allOf", "anyOf", "oneOf"):
                waiting += _members(part.get(keyword))
            waiting += [part.get("then"), part.get("else")]
            for keyword in ("dependentSchemas", "dependencies"):
                waiting += _members(part.get(keyword))


def _values_below(schema: dict[str, Any]) -> list[Any]:
    """The schemas of members and items."""
    found: list[Any] = []
    for keyword in DECLARING:
        found += _members(schema.get(keyword))
    for keyword in ("prefixItems", "items"):
        value = schema.get(keyword)
        found += _members(value) if isinstance(value, list) else [value]
    for keyword in (*SAYING, "additionalItems", "unevaluatedItems"):
        found.append(schema.get(keyword))
    return found


def _members(value: Any) -> list[Any]:
    """What a list or an object holds; malformed values are found when the schema is read."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
