"""Why a schema has no instance: a smallest set of keywords that exclude each other.

Keywords are taken away one by one, whole subschemas first. What can go while the schema stays without
an instance has no part in the conflict; what is left is minimal, as each of the rest is needed. Only
keywords whose absence allows more are tried: what stands below ``not``, ``oneOf`` and ``if`` is one thing.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from syntagma.grammar.errors import GrammarError, UnsatisfiableGrammarError
from syntagma.grammar.from_schema_formulas import formulas_to_grammar
from syntagma.grammar.ir_productive import has_word
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.schema_dialects import KEYWORDS
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_text import JsonSchema, escape, shorten

Path = tuple[str | int, ...]

# Larger schemas get no explanation.
MAX_KEYWORDS = 300

# Seconds that an explanation may take.
MAX_SECONDS = 0.5

WHOLE = frozenset(["not", "oneOf", "if", "enum", "const"])
LISTS = frozenset(["allOf", "anyOf", "prefixItems"])
MAPS = frozenset(["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"])
# Without these, others would apply to more members or items.
SUPPORTS = {
    "properties": ("additionalProperties", "unevaluatedProperties"),
    "patternProperties": ("additionalProperties", "unevaluatedProperties"),
    "prefixItems": ("items", "unevaluatedItems"),
    "items": ("unevaluatedItems", "additionalItems"),
    "contains": ("maxContains", "unevaluatedItems"),
    "minContains": ("contains",),
}


def explained(
    error: UnsatisfiableGrammarError,
    document: SchemaDocument,
    documents: Mapping[str, JsonSchema],
    options: JsonOptions,
    limits: CompileLimits,
) -> UnsatisfiableGrammarError:
    """An error that a schema has no instance, with what excludes each other where that can be told."""
    seconds = min(MAX_SECONDS, limits.max_seconds)
    budget = Budget(dataclasses.replace(limits, max_seconds=seconds))

    def is_empty(schema: JsonSchema) -> bool:
        loaded = SchemaDocument.load(schema, budget, options)
        try:
            grammar = formulas_to_grammar(loaded, documents, options, budget)
        except GrammarError:
            # Not known to be; but if time has run out, that is the end.
            budget.check_time()
            return False
        return not has_word(grammar, budget)

    conflict = minimal_conflict(document.root, is_empty)
    if not conflict:
        return error
    places = ", ".join(pointer or "the root" for pointer in conflict)
    how = "exclude each other" if len(conflict) > 1 else "leaves nothing"
    return UnsatisfiableGrammarError(
        f"no output fits this schema: {shorten(places, 300)} {how}",
        conflict=conflict,
        pointer=conflict[0] if len(conflict) == 1 else "",
    )


def minimal_conflict(schema: JsonSchema, is_empty: Callable[[JsonSchema], bool]) -> tuple[str, ...]:
    """Pointers of keywords that together leave no instance while any fewer of them do.

    Args:
        schema: one without an instance.
        is_empty: whether a schema has none; may raise `GrammarError` when it takes too long.

    Returns:
        No pointers if the schema is too large or it takes too long.
    """
    if isinstance(schema, bool):
        return ("",) if not schema else ()
    left = copy.deepcopy(schema)
    try:
        if len(list(_places(left))) > MAX_KEYWORDS or not is_empty(left):
            return ()
        tried: set[Path] = set()
        # The places change as keywords go, so they are listed anew after each.
        while (place := _next_place(left, tried)) is not None:
            tried.add(place)
            holder = _holder(left, place)
            value = holder.pop(place[-1])
            if not is_empty(left):
                holder[place[-1]] = value
    except GrammarError:
        return ()
    kept = set(_places(left))
    return tuple(
        _pointer(place) for place in _places(schema) if place in kept and _is_precise(place, kept)
    )


def _next_place(schema: dict[str, Any], tried: set[Path]) -> Path | None:
    return next((place for place in _places(schema) if place not in tried), None)


def _places(root: dict[str, Any]) -> Iterator[Path]:
    """Where keywords stand that may be taken away, outer ones first."""
    waiting: list[tuple[Any, Path]] = [(root, ())]
    while waiting:
        schema, path = waiting.pop(0)
        if not isinstance(schema, dict):
            continue
        for keyword, value in schema.items():
            place = (*path, keyword)
            if keyword in KEYWORDS and not _is_support(schema, keyword):
                yield place
            if keyword in WHOLE:
                continue
            elif keyword in LISTS and isinstance(value, list):
                waiting += [(item, (*place, index)) for index, item in enumerate(value)]
            elif keyword in MAPS and isinstance(value, dict):
                waiting += [(item, (*place, name)) for name, item in value.items()]
            else:
                waiting.append((value, place))


def _is_support(schema: dict[str, Any], keyword: str) -> bool:
    return any(other in schema for other in SUPPORTS.get(keyword, ()))


def _holder(root: Any, place: Path) -> dict[str | int, Any]:
    for step in place[:-1]:
        root = root[step]
    assert isinstance(root, dict), "keywords stand in objects"
    return root


def _is_precise(place: Path, kept: set[Path]) -> bool:
    """Whether no kept keyword stands below a place."""
    return not any(len(other) > len(place) and other[: len(place)] == place for other in kept)


def _pointer(place: Path) -> str:
    return "".join(f"/{escape(step)}" for step in place)
