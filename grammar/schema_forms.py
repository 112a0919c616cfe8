"""The constraints of one branch, merged per JSON type."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.json_terminals import StringBounds
from syntagma.grammar.schema_conjunction import Branch, Goal
from syntagma.grammar.schema_document import Located, SchemaDocument
from syntagma.grammar.schema_keywords import ANNOTATIONS, TYPES

NUMBER_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


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
        names, schemas, required: the members that may be written, in order, with their goals.
        additional: the goal of all members that are not declared; None: there may be none.
        declared: every declared name, those that may not be written included.
    """

    names: tuple[str, ...]
    schemas: tuple[Goal, ...]
    required: tuple[bool, ...]
    additional: Goal | None
    declared: tuple[str, ...]


def asked(branch: Branch, keyword: str) -> Iterator[tuple[Located, Any]]:
    """Each use of a keyword in a branch: where, and its value."""
    for at in branch:
        if isinstance(at.schema, dict) and keyword in at.schema:
            yield at, at.schema[keyword]


def allowed_types(branch: Branch) -> set[str]:
    """The types that all ``type`` keywords leave; ``number`` includes ``integer``."""
    allowed = set(TYPES)
    for _, value in asked(branch, "type"):
        names = set(value if isinstance(value, list) else [value])
        allowed &= names | ({"integer"} if "number" in names else set())
    return allowed


def listed_values(branch: Branch, document: SchemaDocument) -> list[Any] | None:
    """The values that ``enum`` and ``const`` leave, valid against the whole branch; None: no list."""
    lists = [values for _, values in asked(branch, "enum")]
    lists += [[value] for _, value in asked(branch, "const")]
    if not lists:
        return None
    types = allowed_types(branch)
    values = [v for v in lists[0] if _type_of(v) in types]
    keywords = {k for at in branch if isinstance(at.schema, dict) for k in at.schema} - ANNOTATIONS
    if len(lists) == 1 and keywords <= {"type", "enum", "const", "$ref", "anyOf", "allOf"}:
        return values
    validators = [document.validator(at) for at in branch]
    try:
        return [v for v in values if all(validator.is_valid(v) for validator in validators)]
    except (re.error, RecursionError) as error:
        raise UnsupportedGrammarError(
            f"enum or const cannot be checked against what stands beside it: {error}",
            keyword="enum",
            pointer=branch[0].pointer,
        ) from None


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


def refuse_number_bounds(branch: Branch, types: Collection[str]) -> None:
    """Ranges are enforced on integers only.

    Raises:
        UnsupportedGrammarError: the branch bounds numbers that need not be integers.
    """
    if "number" not in types:
        return
    for keyword in NUMBER_BOUNDS:
        for at, _ in asked(branch, keyword):
            raise UnsupportedGrammarError(
                f'{keyword} is enforced for integers only; add "type": "integer"',
                keyword=keyword,
                pointer=f"{at.pointer}/{keyword}",
            )


def integer_bounds(branch: Branch) -> tuple[int | None, int | None]:
    """The smallest and largest integer that all bounds leave; None: unbounded."""
    lows = [math.ceil(v) for _, v in asked(branch, "minimum")]
    lows += [math.floor(v) + 1 for _, v in asked(branch, "exclusiveMinimum")]
    highs = [math.floor(v) for _, v in asked(branch, "maximum")]
    highs += [math.ceil(v) - 1 for _, v in asked(branch, "exclusiveMaximum")]
    return max(lows, default=None), min(highs, default=None)


def string_bounds(branch: Branch) -> StringBounds:
    """All constraints on a string."""
    return StringBounds(
        min_length=_largest(branch, "minLength"),
        max_length=_smallest(branch, "maxLength"),
        patterns=tuple(dict.fromkeys(v for _, v in asked(branch, "pattern"))),
        formats=tuple(dict.fromkeys(v for _, v in asked(branch, "format"))),
    )


def array_form(branch: Branch) -> ArrayForm:
    """All constraints on an array; item ``i`` must satisfy what each schema says of it."""
    prefixes = [len(value) for _, value in asked(branch, "prefixItems")]
    rest = tuple(at.child("items") for at, _ in asked(branch, "items"))
    return ArrayForm(
        prefix=tuple(
            tuple(s for at in branch if (s := _item_schema(at, index)) is not None)
            for index in range(max(prefixes, default=0))
        ),
        rest=rest,
        min_items=_largest(branch, "minItems"),
        max_items=_smallest(branch, "maxItems"),
    )


def _item_schema(at: Located, index: int) -> Located | None:
    if isinstance(at.schema, bool):
        return None
    if index < len(at.schema.get("prefixItems", ())):
        return at.child("prefixItems", index)
    return at.child("items") if "items" in at.schema else None


def object_form(branch: Branch) -> ObjectForm:
    """All constraints on an object; names that are only required come last."""
    required = dict.fromkeys(name for _, names in asked(branch, "required") for name in names)
    declared = (name for _, properties in asked(branch, "properties") for name in properties)
    names = tuple(dict.fromkeys([*declared, *required]))
    schemas = tuple(
        tuple(s for at in branch if (s := _property_schema(at, name)) is not None) for name in names
    )
    additional = tuple(at.child("additionalProperties")
                       for at, _ in asked(branch, "additionalProperties"))  # fmt: skip
    # A property that can never be valid can only be left out.
    is_possible = [all(s.schema is not False for s in goal) for goal in schemas]
    keep = [i for i in range(len(names)) if is_possible[i] or names[i] in required]
    closed = any(s.schema is False for s in additional)
    return ObjectForm(
        names=tuple(names[i] for i in keep),
        schemas=tuple(schemas[i] for i in keep),
        required=tuple(names[i] in required for i in keep),
        additional=None if closed else additional,
        declared=names,
    )


def _property_schema(at: Located, name: str) -> Located | None:
    if isinstance(at.schema, bool):
        return None
    if name in at.schema.get("properties", ()):
        return at.child("properties", name)
    return at.child("additionalProperties") if "additionalProperties" in at.schema else None


def _largest(branch: Branch, keyword: str) -> int:
    return max((int(v) for _, v in asked(branch, keyword)), default=0)


def _smallest(branch: Branch, keyword: str) -> int | None:
    return min((int(v) for _, v in asked(branch, keyword)), default=None)
