"""Schemas of plain keywords: those that the fast way reads, and what it takes them for.

Whatever is not plain, and whatever is wrong with a schema, is left to the general way, which knows all
keywords and says what it refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from syntagma.grammar.json_formats import FORMATS, FORMATS_WITHOUT_EFFECT, NUMBER_FORMATS
from syntagma.grammar.schema_dialects import (
    ANNOTATIONS,
    BOOLEAN,
    KEYWORDS,
    LISTED_ITEMS,
    Dialect,
    nearest_keyword,
)
from syntagma.grammar.schema_keywords import ENFORCED

if TYPE_CHECKING:
    from syntagma.grammar.schema_document import SchemaDocument

PLAIN_KEYWORDS = frozenset([*ENFORCED, "additionalItems", "multipleOf", "oneOf", "uniqueItems"])
KNOWN_FORMATS = FORMATS.keys() | NUMBER_FORMATS.keys() | FORMATS_WITHOUT_EFFECT

# Whatever matters beside the keyword that every scalar schema has.
BESIDE_TYPE = (KEYWORDS.keys() | {"$schema"}) - {"type"}
SCALAR_TYPES = frozenset(["null", "boolean", "integer", "number", "string"])


class NeedsMoreError(Exception):
    """What a schema means, or what is wrong with it, is for the general way to say."""


def _is_known_format(value: Any) -> bool:
    return isinstance(value, str) and value in KNOWN_FORMATS


def _is_false(value: Any) -> bool:
    return value is False


def _checks_of(dialect: Dialect) -> dict[str, Callable[[Any], bool] | None]:
    """By keyword, whether a value is plain; None: no matter. Other keywords of any draft are not."""
    checks: dict[str, Callable[[Any], bool] | None] = dict.fromkeys(ANNOTATIONS)
    for name in PLAIN_KEYWORDS:
        first, last, (check, _) = KEYWORDS[name]
        if first <= dialect <= last:
            checks[name] = check
    checks["format"] = _is_known_format
    checks["uniqueItems"] = _is_false
    if dialect is Dialect.DRAFT2020:
        # There is no first item that it could be additional to.
        checks["additionalItems"] = None
    else:
        checks["items"] = LISTED_ITEMS[0]
    if dialect is Dialect.DRAFT4:
        checks["exclusiveMinimum"] = checks["exclusiveMaximum"] = BOOLEAN[0]
    return checks


CHECKS = {dialect: _checks_of(dialect) for dialect in Dialect}
# Draft 3 is only known to be refused.
CHECKS[Dialect.DRAFT3] = {}


def check_plain(schema: dict[str, Any], document: SchemaDocument) -> None:
    """Raises NeedsMoreError unless all keywords of a schema are plain in the draft that reads it."""
    dialect = document.dialect_of(schema)
    if "$ref" in schema and dialect.ignores_ref_siblings:
        schema = {"$ref": schema["$ref"]}
    checks = CHECKS[dialect]
    for keyword, value in schema.items():
        try:
            check = checks[keyword]
        except KeyError:
            is_let_pass = keyword not in KEYWORDS and document.options.slips == "annotate"
            if dialect is Dialect.DRAFT3 or not (is_let_pass or _is_annotation(keyword)):
                raise NeedsMoreError(keyword) from None
            continue
        if check is None or check(value):
            continue
        if not (keyword == "format" and document.options.formats == "known"):
            raise NeedsMoreError(keyword)


def _is_annotation(keyword: str) -> bool:
    """Whether a keyword that is not plain has no effect, as no draft has it."""
    return keyword not in KEYWORDS and nearest_keyword(keyword) is None


def is_scalar_type(schema: dict[str, Any]) -> bool:
    """Whether a schema asks for one type of scalars and for nothing else."""
    types = schema.get("type")
    if type(types) is not str or types not in SCALAR_TYPES:
        return False
    return BESIDE_TYPE.isdisjoint(schema) and (
        ANNOTATIONS.issuperset(schema.keys() - {"type"}) or all(map(_is_known, schema))
    )


def _is_known(keyword: str) -> bool:
    return keyword == "type" or keyword in ANNOTATIONS or _is_annotation(keyword)
