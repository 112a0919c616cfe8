"""Members of ``oneOf`` that evidently exclude each other, so that ``anyOf`` means the same.

One look at each schema: its types, the values that it lists, and of objects the members that must be
there, what those may be, and which members there may be at all. An answer "disjoint" is certain.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_keywords import ENFORCED, TYPE_SETS, TYPES, type_of
from syntagma.grammar.schema_plain import NeedsMoreError
from syntagma.grammar.schema_text import JsonSchema

# References that are followed from a member.
MAX_REFERENCES = 8
# More members are only told apart by a property that all of them have.
MAX_PAIRED = 32
READ = ("type", "enum", "properties", "required")
Scalar = tuple[bool, Any]


@dataclass(frozen=True)
class Range:
    """Values have one of some types and are among some scalars (None: any)."""

    types: frozenset[str] = frozenset(TYPES)
    values: frozenset[Scalar] | None = None

    def excludes(self, other: Range) -> bool:
        """Whether no value lies in both."""
        if self.values is not None and other.values is not None:
            return self.values.isdisjoint(other.values)
        return self.types.isdisjoint(other.types)


@dataclass(frozen=True)
class Facts:
    """What holds for all values that fit a schema.

    Attributes:
        range: they lie in it.
        required: members that objects have, and what their values lie in.
        names: members that objects may have; None: any.
    """

    range: Range = Range()
    required: Mapping[str, Range] = field(default_factory=dict)
    names: frozenset[str] | None = None

    def excludes(self, other: Facts) -> bool:
        """Whether no value fits both."""
        if self.range.excludes(other.range):
            return True
        if self.range.types & other.range.types != {"object"}:
            return False
        if not (_may_have(self, other.required) and _may_have(other, self.required)):
            return True
        return any(
            values.excludes(other.required[name])
            for name, values in self.required.items()
            if name in other.required
        )


def are_disjoint(schemas: Sequence[JsonSchema], document: SchemaDocument) -> bool:
    """Whether no value fits two of some schemas.

    Raises:
        NeedsMoreError: a keyword's value is malformed, or an identifier is one of an old draft.
        GrammarError: a reference leads nowhere.
    """
    facts = [_facts(schema, document) for schema in schemas]
    if _are_told_apart(facts):
        return True
    return len(facts) <= MAX_PAIRED and all(
        one.excludes(other) for one, other in itertools.combinations(facts, 2)
    )


def _are_told_apart(facts: list[Facts]) -> bool:
    """Whether there is a property that all must have, with listed values that are all different."""
    if not all(one.range.types == {"object"} for one in facts):
        return False
    for name in facts[0].required:
        lists = [one.required.get(name, Range()).values for one in facts]
        known = [values for values in lists if values is not None]
        if len(known) == len(facts) and len(frozenset().union(*known)) == sum(map(len, known)):
            return True
    return False


def _may_have(facts: Facts, names: Mapping[str, Range]) -> bool:
    return facts.names is None or facts.names >= names.keys()


def _facts(schema: JsonSchema, document: SchemaDocument) -> Facts:
    schema = _followed(schema, document)
    if not isinstance(schema, dict):
        return Facts(_range(schema, document))
    properties = schema.get("properties", {})
    is_closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
    return Facts(
        _range(schema, document),
        {name: _range(properties.get(name, True), document) for name in schema.get("required", ())},
        frozenset(properties) if is_closed else None,
    )


def _range(schema: JsonSchema, document: SchemaDocument) -> Range:
    schema = _followed(schema, document)
    if not isinstance(schema, dict):
        return Range() if schema else Range(frozenset())
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if values is None or any(isinstance(value, list | dict) for value in values):
        names = schema.get("type", TYPES)
        sets = [TYPE_SETS[name] for name in ([names] if isinstance(names, str) else names)]
        return Range(frozenset[str]().union(*sets))
    # In Python 1 equals True.
    return Range(
        frozenset(map(type_of, values)), frozenset((isinstance(v, bool), v) for v in values)
    )


def _followed(schema: JsonSchema, document: SchemaDocument) -> JsonSchema:
    """What a few references lead to, if nothing that is read here stands beside them."""
    for _ in range(MAX_REFERENCES):
        if not isinstance(schema, dict):
            break
        if "$ref" not in schema:
            _check(schema)
            return schema
        if not document.ignores_siblings(schema) and not schema.keys().isdisjoint(READ):
            break
        schema = document.resolve(schema)
    return schema if schema is False else True


def _check(schema: dict[str, Any]) -> None:
    for keyword in READ:
        if keyword in schema and not ENFORCED[keyword][0](schema[keyword]):
            raise NeedsMoreError(keyword)
