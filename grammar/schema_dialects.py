"""The drafts of JSON Schema: which keywords they have, and what values those may take."""

from __future__ import annotations

import difflib
import enum
import functools
from collections.abc import Callable
from typing import Any

from syntagma.grammar.errors import GrammarSyntaxError, UnsupportedGrammarError
from syntagma.grammar.schema_keywords import ENFORCED, shown
from syntagma.grammar.schema_text import escape, no_schema, shorten


class Dialect(enum.IntEnum):
    """A draft; later ones compare greater. Draft 3 is only known to be refused."""

    DRAFT3 = 3
    DRAFT4 = 4
    DRAFT6 = 6
    DRAFT7 = 7
    DRAFT2019 = 2019
    DRAFT2020 = 2020

    @property
    def ignores_ref_siblings(self) -> bool:
        """Whether keywords beside ``$ref`` have no effect."""
        return self <= Dialect.DRAFT7

    @property
    def id_keyword(self) -> str:
        """The keyword that gives a schema its URI."""
        return "id" if self <= Dialect.DRAFT4 else "$id"


MARKS = {
    "draft-03": Dialect.DRAFT3,
    "draft-04": Dialect.DRAFT4,
    "draft-06": Dialect.DRAFT6,
    "draft-07": Dialect.DRAFT7,
    "2019-09": Dialect.DRAFT2019,
    "2020-12": Dialect.DRAFT2020,
}


def dialect_of(schema: object, otherwise: Dialect) -> Dialect:
    """The draft that a ``$schema`` names; one that is not known counts as the one around it."""
    name = schema.get("$schema") if isinstance(schema, dict) else None
    if isinstance(name, str):
        for mark, dialect in MARKS.items():
            if mark in name:
                return dialect
    return otherwise


ANNOTATIONS = frozenset(
    [
        "$schema", "$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$comment",
        "$defs", "definitions", "id", "title", "description", "default", "examples", "deprecated",
        "readOnly", "writeOnly", "contentMediaType", "contentEncoding", "contentSchema",
    ]
)  # fmt: skip


def _is_positive_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict | bool)


def _is_schema_map(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_schema, value.values()))


def _is_schema_or_list(value: Any) -> bool:
    return _is_schema(value) or (isinstance(value, list) and all(map(_is_schema, value)))


def _is_name_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_name_map(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_name_list, value.values()))


def _is_dependency_map(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_schema(v) or _is_name_list(v) for v in value.values()
    )


Check = tuple[Callable[[Any], bool], str]

SCHEMA: Check = (_is_schema, "a schema")
SCHEMA_MAP: Check = (_is_schema_map, "an object of schemas")
BOOLEAN: Check = (_is_boolean, "true or false")

# First and last draft that has a keyword, and the check of its value.
KEYWORDS: dict[str, tuple[Dialect, Dialect, Check]] = {
    **{name: (Dialect.DRAFT4, Dialect.DRAFT2020, check) for name, check in ENFORCED.items()},
    "oneOf": (Dialect.DRAFT4, Dialect.DRAFT2020, ENFORCED["anyOf"]),
    "not": (Dialect.DRAFT4, Dialect.DRAFT2020, SCHEMA),
    "const": (Dialect.DRAFT6, Dialect.DRAFT2020, ENFORCED["const"]),
    "contains": (Dialect.DRAFT6, Dialect.DRAFT2020, SCHEMA),
    "propertyNames": (Dialect.DRAFT6, Dialect.DRAFT2020, SCHEMA),
    "if": (Dialect.DRAFT7, Dialect.DRAFT2020, SCHEMA),
    "then": (Dialect.DRAFT7, Dialect.DRAFT2020, SCHEMA),
    "else": (Dialect.DRAFT7, Dialect.DRAFT2020, SCHEMA),
    "uniqueItems": (Dialect.DRAFT4, Dialect.DRAFT2020, BOOLEAN),
    "patternProperties": (Dialect.DRAFT4, Dialect.DRAFT2020, SCHEMA_MAP),
    "minProperties": (Dialect.DRAFT4, Dialect.DRAFT2020, ENFORCED["minItems"]),
    "maxProperties": (Dialect.DRAFT4, Dialect.DRAFT2020, ENFORCED["minItems"]),
    "multipleOf": (Dialect.DRAFT4, Dialect.DRAFT2020, (_is_positive_number, "a positive number")),
    # 2020-12 keeps it for compatibility (the specification's appendix on `dependencies`).
    "dependencies": (
        Dialect.DRAFT4,
        Dialect.DRAFT2020,
        (_is_dependency_map, "an object of schemas or lists of strings"),
    ),
    "additionalItems": (Dialect.DRAFT4, Dialect.DRAFT2019, SCHEMA),
    "dependentRequired": (
        Dialect.DRAFT2019,
        Dialect.DRAFT2020,
        (_is_name_map, "an object of lists of strings"),
    ),
    "dependentSchemas": (Dialect.DRAFT2019, Dialect.DRAFT2020, SCHEMA_MAP),
    "minContains": (Dialect.DRAFT2019, Dialect.DRAFT2020, ENFORCED["minItems"]),
    "maxContains": (Dialect.DRAFT2019, Dialect.DRAFT2020, ENFORCED["minItems"]),
    "unevaluatedItems": (Dialect.DRAFT2019, Dialect.DRAFT2020, SCHEMA),
    "unevaluatedProperties": (Dialect.DRAFT2019, Dialect.DRAFT2020, SCHEMA),
    "$recursiveRef": (Dialect.DRAFT2019, Dialect.DRAFT2019, ENFORCED["$ref"]),
    "$dynamicRef": (Dialect.DRAFT2020, Dialect.DRAFT2020, ENFORCED["$ref"]),
    "prefixItems": (Dialect.DRAFT2020, Dialect.DRAFT2020, ENFORCED["prefixItems"]),
}
LISTED_ITEMS: Check = (_is_schema_or_list, "a schema or a list of schemas")

# How much a name must look like a keyword (`difflib`) to be taken for a slip of the pen.
CUTOFF = 0.85
CHARACTERS = {name: frozenset(name) for name in KEYWORDS}
LONGEST_SLIP = 2 * max(map(len, KEYWORDS))


def assertions(
    schema: dict[str, Any], dialect: Dialect, pointer: str, *, refuses_slips: bool = True
) -> dict[str, Any]:
    """The keywords of a schema that have an effect in a draft, their values checked.

    A keyword that no draft has is an annotation by the specification. If it looks like a slip of the pen
    it is refused, unless the policy is not to, as is one that only another draft has.

    Raises:
        UnsupportedGrammarError: a slip, a keyword of another draft, or draft 3.
        GrammarSyntaxError: a value of the wrong type.
    """
    if dialect is Dialect.DRAFT3:
        raise UnsupportedGrammarError(
            "draft 3 is not enforced; use draft 4 or a later one",
            keyword="$schema",
            pointer=pointer,
        )
    if "$ref" in schema and dialect.ignores_ref_siblings:
        schema = {"$ref": schema["$ref"]}
    found = {}
    for keyword, value in schema.items():
        if keyword in ANNOTATIONS:
            continue
        if keyword not in KEYWORDS:
            if refuses_slips:
                _refuse_slips(keyword, f"{pointer}/{escape(keyword)}")
            continue
        first, last, check = KEYWORDS[keyword]
        if keyword == "additionalItems" and not isinstance(schema.get("items"), list):
            # There is no first item that it could be additional to, in any draft.
            continue
        if not first <= dialect <= last:
            raise UnsupportedGrammarError(
                f"{keyword!r} is no keyword of the draft that applies here ({_name(dialect)}); "
                "name the right draft with $schema",
                keyword=keyword,
                pointer=f"{pointer}/{escape(keyword)}",
            )
        _check_value(keyword, value, dialect, check, pointer)
        found[keyword] = value
    return found


def _check_value(keyword: str, value: Any, dialect: Dialect, check: Check, pointer: str) -> None:
    if keyword == "items" and dialect < Dialect.DRAFT2020:
        check = LISTED_ITEMS
    if keyword in ("exclusiveMinimum", "exclusiveMaximum") and dialect is Dialect.DRAFT4:
        check = BOOLEAN
    is_valid, expected = check
    if not is_valid(value):
        raise GrammarSyntaxError(
            f"{keyword} must be {expected}, not {shown(value)}", pointer=f"{pointer}/{keyword}"
        )
    if keyword == "properties":
        for name, member in value.items():
            if not isinstance(member, dict | bool):
                raise no_schema(member, f"{pointer}/{keyword}/{escape(name)}")


def _name(dialect: Dialect) -> str:
    return next(mark for mark, other in MARKS.items() if other is dialect)


def _refuse_slips(keyword: str, pointer: str) -> None:
    near = nearest_keyword(keyword)
    if near is not None:
        raise UnsupportedGrammarError(
            f"the keyword {shorten(keyword)!r} is not enforced, so it is refused; "
            f"did you mean {near!r}?",
            keyword=keyword,
            pointer=pointer,
        )


def nearest_keyword(keyword: str) -> str | None:
    """The keyword that one which no draft has looks like; None: it is none by mistake."""
    if not keyword[:1].isalpha() or len(keyword) > LONGEST_SLIP:
        # Put out of action on purpose (`_format`), or somebody's extension (`$comment2`).
        return None
    return _nearest_keyword(keyword)


@functools.lru_cache(maxsize=4096)
def _nearest_keyword(keyword: str) -> str | None:
    for name in KEYWORDS:
        if name.lower() == keyword.lower():
            return name
    # Characters of one that the other has not are differences; most keywords have too many of them.
    characters = set(keyword)
    alike = [
        name
        for name, others in CHARACTERS.items()
        if len(characters ^ others) <= (1 - CUTOFF) * (len(name) + len(keyword))
    ]
    near = difflib.get_close_matches(keyword, alike, n=1, cutoff=CUTOFF)
    return near[0] if near else None


# Keywords that hold a schema, a list of schemas, or an object of schemas.
HOLDERS = (
    "not", "if", "then", "else", "items", "additionalItems", "additionalProperties", "contains",
    "propertyNames", "unevaluatedItems", "unevaluatedProperties", "allOf", "anyOf", "oneOf",
    "prefixItems",
)  # fmt: skip
MAPS = (
    "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies",
)  # fmt: skip


def check_values_below(root: Any, dialect: Dialect, *, refuses_slips: bool) -> None:
    """Check the keywords of all subschemas, wherever they stand.

    Raises:
        GrammarError: as `assertions`.
    """
    waiting: list[tuple[Any, Dialect, str]] = [(root, dialect, "")]
    while waiting:
        schema, dialect, pointer = waiting.pop()
        if not isinstance(schema, dict):
            continue
        dialect = dialect_of(schema, dialect)
        assertions(schema, dialect, pointer, refuses_slips=refuses_slips)
        for keyword in HOLDERS:
            value = schema.get(keyword)
            if isinstance(value, list):
                waiting += [(v, dialect, f"{pointer}/{keyword}/{i}") for i, v in enumerate(value)]
            else:
                waiting.append((value, dialect, f"{pointer}/{keyword}"))
        for keyword in MAPS:
            value = schema.get(keyword)
            if isinstance(value, dict):
                waiting += [
                    (v, dialect, f"{pointer}/{keyword}/{escape(k)}") for k, v in value.items()
                ]
