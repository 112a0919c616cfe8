"""The constraints of one branch, merged per JSON type."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.json_terminals import StringBounds
from syntagma.grammar.schema_conjunction import WITHOUT_ASSERTION, Branch, Goal, normal_goal
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_keywords import TYPES
from syntagma.grammar.schema_text import JsonSchema

NUMBER_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
# What each value of `type` allows; `number` includes `integer`.
TYPE_SETS = {name: frozenset([name]) for name in TYPES}
TYPE_SETS["number"] = frozenset(["number", "integer"])
ALL_TYPES = frozenset(TYPES)


@dataclass(frozen=True)
class ArrayForm:
    """Arrays: goals of the first items, goal of all further ones, bounds on their number."""

    prefix: tuple[Goal, ...]
    rest: Goal
    min_items: int
    max_items: int | None


@dataclass(frozen=True)
class ObjectForm:
    """Objects.

    Attributes:
        branch: what the members have to satisfy; see `member_goal`.
        names, required: the members that may be written, in order.
        additional: the goal of all members that are not declared; None: there may be none.
        declared: every declared name, those that may not be written included.
    """

    branch: Branch
    names: tuple[str, ...]
    required: frozenset[str]
    additional: Goal | None
    declared: tuple[str, ...]


def asked(branch: Branch, keyword: str) -> list[Any]:
    """The values that the schemas of a branch give to a keyword."""
    return [schema[keyword] for schema in branch if keyword in schema]


def allowed_types(branch: Branch) -> frozenset[str]:
    """The types that all ``type`` keywords leave; ``number`` includes ``integer``."""
    allowed = ALL_TYPES
    for value in asked(branch, "type"):
        names = TYPE_SETS[value] if isinstance(value, str) else _union(value)
        allowed = names if allowed is ALL_TYPES else allowed & names
    return allowed


def _union(names: list[str]) -> frozenset[str]:
    return frozenset[str]().union(*(TYPE_SETS[name] for name in names))


def listed_values(branch: Branch, document: SchemaDocument) -> list[Any] | None:
    """The values that ``enum`` and ``const`` leave, valid against the whole branch; None: no list."""
    lists = asked(branch, "enum") + [[value] for value in asked(branch, "const")]
    if not lists:
        return None
    types = allowed_types(branch)
    values: list[Any] = lists[0]
    if types is not ALL_TYPES:
        values = [v for v in values if _type_of(v) in types]
    others = {k for schema in branch for k in schema} - WITHOUT_ASSERTION
    if others <= {"type", "enum", "const"} and (len(lists) == 1 or _are_scalars(lists)):
        for other in lists[1:]:
            found = {_scalar_key(v) for v in other}
            values = [v for v in values if _scalar_key(v) in found]
        return values
    validators = [document.validator(schema) for schema in branch]
    try:
        return [v for v in values if all(validator.is_valid(v) for validator in validators)]
    except (re.error, RecursionError) as error:
        raise UnsupportedGrammarError(
            f"enum or const cannot be checked against what stands beside it: {error}",
            keyword="enum",
            pointer=document.pointer(branch[0]),
        ) from None


def _are_scalars(lists: list[list[Any]]) -> bool:
    return not any(isinstance(value, list | dict) for values in lists for value in values)


def _scalar_key(value: Any) -> tuple[bool, Any]:
    """Equal for equal JSON scalars; in Python 1 equals True."""
    return isinstance(value, bool), value


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def refuse_number_bounds(branch: Branch, types: Collection[str], document: SchemaDocument) -> None:
    """Ranges are enforced on integers only.

    Raises:
        UnsupportedGrammarError: the branch bounds numbers that need not be integers.
    """
    if "number" not in types:
        return
    for keyword in NUMBER_BOUNDS:
        for schema in branch:
            if keyword in schema:
                raise UnsupportedGrammarError(
                    f'{keyword} is enforced for integers only; add "type": "integer"',
                    keyword=keyword,
                    pointer=f"{document.pointer(schema)}/{keyword}",
                )


def integer_bounds(branch: Branch) -> tuple[int | None, int | None]:
    """The smallest and largest integer that all bounds leave; None: unbounded."""
    lows = [math.ceil(v) for v in asked(branch, "minimum")]
    lows += [math.floor(v) + 1 for v in asked(branch, "exclusiveMinimum")]
    highs = [math.floor(v) for v in asked(branch, "maximum")]
    highs += [math.ceil(v) - 1 for v in asked(branch, "exclusiveMaximum")]
    return max(lows, default=None), min(highs, default=None)


def string_bounds(branch: Branch) -> StringBounds:
    """All constraints on a string."""
    return StringBounds(
        min_length=_largest(branch, "minLength"),
        max_length=_smallest(branch, "maxLength"),
        patterns=tuple(dict.fromkeys(asked(branch, "pattern"))),
        formats=tuple(dict.fromkeys(asked(branch, "format"))),
    )


def array_form(branch: Branch, document: SchemaDocument) -> ArrayForm:
    """All constraints on an array; item ``i`` must satisfy what each schema says of it."""
    count = max((len(value) for value in asked(branch, "prefixItems")), default=0)
    if count and not document.has_prefix_items:
        raise UnsupportedGrammarError(
            "prefixItems is no keyword of the draft that $schema names", keyword="prefixItems"
        )
    rest = [document.child(schema, "items") for schema in branch if "items" in schema]
    max_items = _smallest(branch, "maxItems")
    if any(schema is False for schema in rest):
        max_items = count if max_items is None else min(count, max_items)
    return ArrayForm(
        prefix=tuple(
            normal_goal([_item_schema(s, index, document) for s in branch], document)
            for index in range(count)
        ),
        rest=normal_goal(rest, document),
        min_items=_largest(branch, "minItems"),
        max_items=max_items,
    )


def _item_schema(schema: dict[str, Any], index: int, document: SchemaDocument) -> JsonSchema:
    if index < len(schema.get("prefixItems", ())):
        return document.child(schema, "prefixItems", index)
    return document.child(schema, "items") if "items" in schema else True


def object_form(branch: Branch, document: SchemaDocument) -> ObjectForm:
    """All constraints on an object; names that are only required come last."""
    properties = asked(branch, "properties")
    required = dict.fromkeys(name for names in asked(branch, "required") for name in names)
    declared = tuple(dict.fromkeys([n for members in properties for n in members] + [*required]))
    additional = [
        document.child(schema, "additionalProperties")
        for schema in branch
        if "additionalProperties" in schema
    ]
    closed = any(schema is False for schema in additional)
    names = declared
    if closed or any(False in members.values() for members in properties):
        # A property that can never be valid can only be left out.
        names = tuple(
            name
            for name in declared
            if name in required
            or all(_member_schema(schema, name, document) is not False for schema in branch)
        )
    return ObjectForm(
        branch=branch,
        names=names,
        required=frozenset(required),
        additional=None if closed else normal_goal(additional, document),
        declared=declared,
    )


def member_goal(form: ObjectForm, name: str, document: SchemaDocument) -> Goal:
    """What the value of a declared member must satisfy."""
    return normal_goal([_member_schema(s, name, document) for s in form.branch], document)


def only_member_schema(form: ObjectForm, name: str) -> dict[str, Any] | None:
    """The one schema that a declared member's value must satisfy; None: see `member_goal`."""
    if len(form.branch) > 1:
        return None
    found = form.branch[0].get("properties", {}).get(name)
    return found if isinstance(found, dict) else None


def _member_schema(schema: dict[str, Any], name: str, document: SchemaDocument) -> JsonSchema:
    if name in schema.get("properties", ()):
        return document.child(schema, "properties", name)
    if "additionalProperties" in schema:
        return document.child(schema, "additionalProperties")
    return True


def _largest(branch: Branch, keyword: str) -> int:
    return max(map(int, asked(branch, keyword)), default=0)


def _smallest(branch: Branch, keyword: str) -> int | None:
    return min(map(int, asked(branch, keyword)), default=None)
