"""The constraints of one branch, merged per JSON type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from syntagma.grammar.json_formats import FORMATS, NUMBER_FORMATS
from syntagma.grammar.json_string_automata import StringBounds
from syntagma.grammar.number_sets import ABOVE_ALL, BELOW_ALL, NumberSet, exact
from syntagma.grammar.schema_conjunction import LINKS, Branch, Goal, goal_of, normal_goal
from syntagma.grammar.schema_dialects import ANNOTATIONS, KEYWORDS, Dialect
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_keywords import TYPE_SETS, TYPES, type_of
from syntagma.grammar.schema_plain import NeedsMoreError
from syntagma.grammar.schema_text import JsonSchema

NUMBER_KEYWORDS = frozenset(
    ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"]
)
WHOLE = NumberSet(step=Fraction(1))
# What may leave less than the listed values, types apart; what it leaves of them is not worked out.
BESIDE_VALUES = KEYWORDS.keys() - LINKS - {"type", "enum", "const"}
ALL_TYPES = frozenset(TYPES)
PLAIN_ENUM = ANNOTATIONS | {"type", "enum"}
TEXT_KEYWORDS = frozenset(["pattern", "format"])


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


def only_type(branch: Branch) -> str | None:
    """The one type that a branch of one schema asks for without listing values; None: look closer."""
    if len(branch) != 1:
        return None
    (schema,) = branch
    name = schema.get("type")
    return name if type(name) is str and "enum" not in schema and "const" not in schema else None


def is_plain_enum(schema: dict[str, Any]) -> bool:
    """Whether a schema does no more than to list values, and only strings if it says so."""
    if not PLAIN_ENUM.issuperset(schema) or "enum" not in schema:
        return False
    if "type" not in schema:
        return True
    return schema["type"] == "string" and set(map(type, schema["enum"])) == {str}


def listed_values(branch: Branch) -> list[Any] | None:
    """The values that ``enum`` and ``const`` leave; None: no list.

    Raises:
        NeedsMoreError: something else than types stands beside them, or nested values in two lists.
    """
    if len(branch) == 1 and is_plain_enum(branch[0]):
        values: list[Any] = branch[0]["enum"]
        return values
    lists = asked(branch, "enum") + [[value] for value in asked(branch, "const")]
    if not lists:
        return None
    types = allowed_types(branch)
    values = lists[0]
    if types is not ALL_TYPES:
        values = [v for v in values if type_of(v) in types]
    if any(not BESIDE_VALUES.isdisjoint(schema) for schema in branch) or not (
        len(lists) == 1 or _are_scalars(lists)
    ):
        raise NeedsMoreError("enum")
    for other in lists[1:]:
        found = {_scalar_key(v) for v in other}
        values = [v for v in values if _scalar_key(v) in found]
    return values


def _are_scalars(lists: list[list[Any]]) -> bool:
    return not any(isinstance(value, list | dict) for values in lists for value in values)


def _scalar_key(value: Any) -> tuple[bool, Any]:
    """Equal for equal JSON scalars; in Python 1 equals True."""
    return isinstance(value, bool), value


def number_set(branch: Branch, document: SchemaDocument, *, is_whole: bool) -> NumberSet:
    """The numbers that all bounds and steps leave, integers only if so asked."""
    numbers = WHOLE if is_whole else NumberSet()
    for schema in branch:
        if NUMBER_KEYWORDS.isdisjoint(schema):
            continue
        dialect = document.dialect_of(schema)
        for low in _bounds(schema, "minimum", "exclusiveMinimum", dialect):
            numbers = numbers.within(((low, ABOVE_ALL),))
        for value, is_open in _bounds(schema, "maximum", "exclusiveMaximum", dialect):
            numbers = numbers.within(((BELOW_ALL, (value, 1 - is_open)),))
        if "multipleOf" in schema:
            numbers = numbers.multiples(exact(schema["multipleOf"]))
        if schema.get("format") in NUMBER_FORMATS:
            first, last = NUMBER_FORMATS[schema["format"]]
            within = (((Fraction(first), 0), (Fraction(last), 1)),)
            numbers = numbers.multiples(Fraction(1)).within(within)
    return numbers


def _bounds(
    schema: dict[str, Any], keyword: str, exclusive: str, dialect: Dialect
) -> Iterator[tuple[Fraction, int]]:
    """The bounds that two keywords give, each with 1 if it is excluded itself, else 0.

    In draft 4 the second keyword says how the first one is meant.
    """
    if keyword in schema:
        is_open = dialect is Dialect.DRAFT4 and schema.get(exclusive) is True
        yield exact(schema[keyword]), int(is_open)
    if exclusive in schema and dialect is not Dialect.DRAFT4:
        yield exact(schema[exclusive]), 1


def string_bounds(branch: Branch) -> StringBounds:
    """All constraints on a string."""
    if len(branch) == 1 and TEXT_KEYWORDS.isdisjoint(branch[0]):
        (schema,) = branch
        most = schema.get("maxLength")
        return StringBounds(int(schema.get("minLength", 0)), None if most is None else int(most))
    return StringBounds(
        min_length=_largest(branch, "minLength"),
        max_length=_smallest(branch, "maxLength"),
        patterns=tuple(dict.fromkeys(asked(branch, "pattern"))),
        formats=tuple(name for name in dict.fromkeys(asked(branch, "format")) if name in FORMATS),
    )


def array_form(branch: Branch, document: SchemaDocument) -> ArrayForm:
    """All constraints on an array; item ``i`` must satisfy what each schema says of it."""
    if len(branch) == 1 and has_items_alike(branch[0]):
        (schema,) = branch
        rest, most = _rest(schema, document), schema.get("maxItems")
        return ArrayForm(
            prefix=(),
            rest=goal_of(rest, document),
            min_items=int(schema.get("minItems", 0)),
            max_items=0 if rest is False else None if most is None else int(most),
        )
    prefixes = [_prefix(schema, document) for schema in branch]
    rests = [_rest(schema, document) for schema in branch]
    count = max(map(len, prefixes), default=0)
    max_items = _smallest(branch, "maxItems")
    if any(schema is False for schema in rests):
        max_items = count if max_items is None else min(count, max_items)
    return ArrayForm(
        prefix=tuple(
            normal_goal(
                [
                    prefix[index] if index < len(prefix) else rest
                    for prefix, rest in zip(prefixes, rests, strict=True)
                ],
                document,
            )
            for index in range(count)
        ),
        rest=normal_goal(rests, document),
        min_items=_largest(branch, "minItems"),
        max_items=max_items,
    )


def has_items_alike(schema: dict[str, Any]) -> bool:
    """Whether a plain schema says the same of all items."""
    return "prefixItems" not in schema and type(schema.get("items")) is not list


def _prefix(schema: dict[str, Any], document: SchemaDocument) -> list[JsonSchema]:
    """The schemas of the first items."""
    keyword = "prefixItems" if document.dialect_of(schema) >= Dialect.DRAFT2020 else "items"
    found = schema.get(keyword)
    return found if isinstance(found, list) else []


def _rest(schema: dict[str, Any], document: SchemaDocument) -> JsonSchema:
    """The schema of all further items."""
    if isinstance(schema.get("items"), list):
        return document.child(schema, "additionalItems") if "additionalItems" in schema else True
    return document.child(schema, "items") if "items" in schema else True


def object_form(branch: Branch, document: SchemaDocument) -> ObjectForm:
    """All constraints on an object; names that are only required come last."""
    if len(branch) == 1:
        return _object_form_of_one(branch, document)
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


def _object_form_of_one(branch: Branch, document: SchemaDocument) -> ObjectForm:
    """The same for one schema, as most objects have."""
    (schema,) = branch
    properties: dict[str, JsonSchema] = schema.get("properties", {})
    required = dict.fromkeys(schema.get("required", ()))
    declared = (*properties, *(name for name in required if name not in properties))
    names = declared
    if False in properties.values():
        names = tuple(n for n in declared if n in required or properties[n] is not False)
    rest: JsonSchema = True
    if "additionalProperties" in schema:
        rest = document.child(schema, "additionalProperties")
    return ObjectForm(
        branch=branch,
        names=names,
        required=frozenset(required),
        additional=None if rest is False else goal_of(rest, document),
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
