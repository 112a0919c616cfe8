"""Where schemas stand in a document, and how each of their keywords is treated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from syntagma.grammar.json_formats import FORMATS, FORMATS_WITHOUT_EFFECT, NUMBER_FORMATS
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.schema_dialects import (
    ANNOTATIONS,
    HOLDERS,
    KEYWORDS,
    MAPS,
    Dialect,
    dialect_of,
    nearest_keyword,
)
from syntagma.grammar.schema_text import JsonSchema, escape

Treatment = Literal["enforced", "annotation", "refused"]


@dataclass(frozen=True)
class SchemaPlace:
    """A schema object of a document.

    Attributes:
        pointer: JSON pointer, "" for the root.
        dialect: the draft that reads it.
    """

    schema: dict[str, Any]
    pointer: str
    dialect: Dialect


@dataclass(frozen=True)
class KeywordUse:
    """One keyword where it is used.

    Attributes:
        pointer: of the keyword.
        treatment: ``"enforced"``, without effect by the specification (``"annotation"``), or
            ``"refused"``.
    """

    pointer: str
    keyword: str
    treatment: Treatment


def schema_places(root: JsonSchema, dialect: Dialect | None = None) -> Iterator[SchemaPlace]:
    """All schema objects of a document, those that nothing refers to included, outer ones first.

    What stands where a schema should, but is none, is left out.
    """
    start = dialect_of(root, Dialect.DRAFT2020) if dialect is None else dialect
    waiting: list[tuple[Any, Dialect, str]] = [(root, start, "")]
    while waiting:
        schema, around, pointer = waiting.pop()
        if not isinstance(schema, dict):
            continue
        here = dialect_of(schema, around)
        yield SchemaPlace(schema, pointer, here)
        below: list[tuple[Any, Dialect, str]] = []
        for keyword, value in schema.items():
            at = f"{pointer}/{escape(keyword)}"
            if keyword in HOLDERS:
                if isinstance(value, list):
                    below += [(item, here, f"{at}/{i}") for i, item in enumerate(value)]
                else:
                    below.append((value, here, at))
            elif keyword in MAPS and isinstance(value, dict):
                below += [(item, here, f"{at}/{escape(name)}") for name, item in value.items()]
        waiting += reversed(below)


def keyword_uses(root: JsonSchema, options: JsonOptions) -> list[KeywordUse]:
    """How each keyword of a document is treated, judged by itself.

    Compiling may still refuse one that is enforced elsewhere, for what stands beside it.
    """
    return [
        KeywordUse(
            f"{place.pointer}/{escape(keyword)}", keyword, _treatment(keyword, place, options)
        )
        for place in schema_places(root)
        for keyword in place.schema
    ]


def _treatment(keyword: str, place: SchemaPlace, options: JsonOptions) -> Treatment:
    schema, dialect = place.schema, place.dialect
    if dialect is Dialect.DRAFT3:
        return "refused"
    is_beside_ref = "$ref" in schema and keyword != "$ref" and dialect.ignores_ref_siblings
    if keyword in ANNOTATIONS or is_beside_ref:
        return "annotation"
    if keyword not in KEYWORDS:
        is_slip = options.slips == "refuse" and nearest_keyword(keyword)
        return "refused" if is_slip else "annotation"
    if keyword == "additionalItems" and not isinstance(schema.get("items"), list):
        return "annotation"
    first, last, _ = KEYWORDS[keyword]
    if not first <= dialect <= last:
        return "refused"
    return _format_treatment(schema[keyword], options) if keyword == "format" else "enforced"


def _format_treatment(name: Any, options: JsonOptions) -> Treatment:
    if options.formats == "annotate":
        return "annotation"
    if isinstance(name, str):
        if name in FORMATS or name in NUMBER_FORMATS:
            return "enforced"
        if name in FORMATS_WITHOUT_EFFECT or options.formats == "known":
            return "annotation"
    return "refused"
