"""What is probably not meant in a schema that compiles, or should be known about it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from syntagma.grammar.errors import GrammarError
from syntagma.grammar.from_schema_formulas import schemas_without_instance
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget
from syntagma.grammar.pattern_cache import PATTERNS, StringConstraints
from syntagma.grammar.schema_dialects import ANNOTATIONS, KEYWORDS, nearest_keyword
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_judge import SchemaJudge
from syntagma.grammar.schema_places import SchemaPlace, schema_places
from syntagma.grammar.schema_text import JsonSchema, escape, shorten

LintCode = Literal[
    "unknown_keyword",
    "required_undeclared",
    "not_strict",
    "large",
    "unsatisfiable",
    "invalid_default",
    "invalid_example",
    "invalid_value",
    "unchecked",
]

# From here on a list of values or the automaton of a pattern is called large.
MANY_VALUES = 1_000
MANY_STATES = 2_000
LARGE_COUNT = 10_000

COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")


@dataclass(frozen=True)
class Lint:
    """A remark on a schema.

    Attributes:
        code: which kind of remark.
        pointer: what it is about.
        message: a sentence for people.
    """

    code: LintCode
    pointer: str
    message: str


def structural_lints(root: JsonSchema, options: JsonOptions) -> list[Lint]:
    """The remarks that need no more than the text of a schema."""
    found: list[Lint] = []
    for place in schema_places(root):
        found += _keywords(place, options)
        found += _required(place)
        found += _strict(place)
    return found


def schema_lints(
    given: JsonSchema,
    document: SchemaDocument,
    documents: Mapping[str, JsonSchema],
    options: JsonOptions,
    budget: Budget,
) -> list[Lint]:
    """The remarks on a schema that compiles, by pointer.

    Args:
        given: the schema.
        document: the same with what the policies add to it.
        documents: others that references may lead into, by URI.
        options: the policies that it is compiled under.
        budget: bounds on the work; what it does not suffice for is said in a remark.
    """
    places = list(schema_places(document.root))
    found = structural_lints(given, options)
    try:
        for place in places:
            found += _sizes(place, budget)
        found += _unsatisfiable(places, document, documents, options, budget)
        judge = SchemaJudge(document.root, documents, options)
        for place in places:
            budget.check_time()
            found += _values(place, judge)
    except GrammarError as error:
        found.append(Lint("unchecked", error.pointer or "", f"not all was checked: {error}"))
    return sorted(found, key=lambda lint: lint.pointer)


def _keywords(place: SchemaPlace, options: JsonOptions) -> Iterator[Lint]:
    for keyword in place.schema:
        if keyword in KEYWORDS or keyword in ANNOTATIONS:
            continue
        nearest = nearest_keyword(keyword)
        if nearest and options.slips == "refuse":
            continue
        plain = keyword.replace("_", "").replace("-", "").lower()
        near = [nearest] if nearest else [n for n in KEYWORDS if n.lower() == plain]
        near = near or difflib.get_close_matches(keyword, KEYWORDS, n=1, cutoff=0.7)
        if near:
            yield Lint(
                "unknown_keyword",
                f"{place.pointer}/{escape(keyword)}",
                f"{shorten(keyword)!r} is no keyword and has no effect; was {near[0]!r} meant?",
            )


def _required(place: SchemaPlace) -> Iterator[Lint]:
    names, members = place.schema.get("required"), place.schema.get("properties")
    if not isinstance(names, list) or not isinstance(members, dict):
        return
    missing = [name for name in names if name not in members]
    if missing and "patternProperties" not in place.schema:
        shown = ", ".join(map(repr, map(shorten, missing[:5])))
        yield Lint(
            "required_undeclared",
            f"{place.pointer}/required",
            f"required, but not among the properties, so of any value: {shown}",
        )


def _strict(place: SchemaPlace) -> Iterator[Lint]:
    """OpenAI's strict mode asks for closed objects in which everything is required."""
    schema = place.schema
    members = schema.get("properties")
    if not isinstance(members, dict) or "$ref" in schema:
        return
    wrong = []
    if schema.get("additionalProperties") is not False:
        wrong.append("additionalProperties is not false")
    optional = [name for name in members if name not in schema.get("required", ())]
    if optional:
        wrong.append(f"not required: {', '.join(map(repr, map(shorten, optional[:5])))}")
    if wrong:
        yield Lint("not_strict", place.pointer, f"not strict in OpenAI's sense: {'; '.join(wrong)}")


def _sizes(place: SchemaPlace, budget: Budget) -> Iterator[Lint]:
    schema = place.schema
    values = schema.get("enum")
    if isinstance(values, list) and len(values) > MANY_VALUES:
        yield Lint("large", f"{place.pointer}/enum", f"{len(values)} values")
    for keyword in COUNTS:
        count = schema.get(keyword)
        if isinstance(count, int | float) and count > LARGE_COUNT:
            yield Lint("large", f"{place.pointer}/{keyword}", f"a count of {count:g}")
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        budget.check_time()
        dfa = PATTERNS.dfa(StringConstraints(searched=(pattern,), is_quoted=True), budget)
        if dfa.num_states > MANY_STATES:
            yield Lint(
                "large", f"{place.pointer}/pattern", f"its automaton has {dfa.num_states} states"
            )


def _unsatisfiable(
    places: list[SchemaPlace],
    document: SchemaDocument,
    documents: Mapping[str, JsonSchema],
    options: JsonOptions,
    budget: Budget,
) -> Iterator[Lint]:
    schemas = [place.schema for place in places]
    are_empty = schemas_without_instance(document, documents, options, budget, schemas)
    empty = [place.pointer for place, is_empty in zip(places, are_empty, strict=True) if is_empty]
    for pointer in empty:
        # What stands around it has no instance because of it.
        if not any(other.startswith(f"{pointer}/") for other in empty):
            yield Lint("unsatisfiable", pointer, "no value fits this schema")


def _values(place: SchemaPlace, judge: SchemaJudge) -> Iterator[Lint]:
    """Values that a schema gives and does not allow."""
    for code, pointer, value in given_values(place):
        if judge.verdict(json.dumps(value), pointer=place.pointer) is False:
            yield Lint(
                code, pointer, f"{shorten(json.dumps(value))} is not valid against its own schema"
            )


def given_values(place: SchemaPlace) -> Iterator[tuple[LintCode, str, Any]]:
    """The values that a schema gives: what it is called if one is not valid, where, the value."""
    schema = place.schema
    if "default" in schema:
        yield "invalid_default", f"{place.pointer}/default", schema["default"]
    lists: list[tuple[LintCode, str]] = [("invalid_example", "examples"), ("invalid_value", "enum")]
    for code, keyword in lists:
        values = schema.get(keyword)
        if isinstance(values, list):
            for index, value in enumerate(values[:MANY_VALUES]):
                yield code, f"{place.pointer}/{keyword}/{index}", value
    if "const" in schema:
        yield "invalid_value", f"{place.pointer}/const", schema["const"]
