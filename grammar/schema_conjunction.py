"""Schemas that must hold together, multiplied out to alternatives without references.

A *goal* is a set of schemas that one value must satisfy. Following ``$ref`` and ``allOf`` adds to the
goal, ``anyOf`` splits it; what remains is a list of branches, each a set of schemas whose other
keywords all apply (the disjunctive normal form of witness generation, arXiv 2202.12849, section 4).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from syntagma.grammar.errors import UnsatisfiableGrammarError
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_dialects import ANNOTATIONS
from syntagma.grammar.schema_disjoint import are_disjoint
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_plain import NeedsMoreError, check_plain
from syntagma.grammar.schema_text import JsonSchema

Goal = tuple[JsonSchema, ...]
GoalKey = tuple[int, ...]
Branch = tuple[dict[str, Any], ...]
Pending = tuple[tuple[JsonSchema, frozenset[int]], ...]


@dataclass(frozen=True)
class Apart:
    """An alternative that is a goal of its own: one schema with more than plain keywords, and no other."""

    goal: Goal


# Keywords that only lead to other schemas, or nowhere.
CHOICES = ("anyOf", "oneOf")
LINKS = frozenset(["$ref", "allOf", *CHOICES])
WITHOUT_ASSERTION = ANNOTATIONS | LINKS
NONE: frozenset[int] = frozenset()


def goal_key(goal: Goal) -> GoalKey:
    """Equal keys, equal goals: schemas are told apart by their place in the document."""
    return tuple(map(id, goal))


def goal_of(schema: JsonSchema, document: SchemaDocument) -> Goal:
    """`normal_goal` of one schema."""
    if type(schema) is not dict or "$ref" in schema:
        return normal_goal([schema], document)
    return () if ANNOTATIONS.issuperset(schema) else (schema,)


def normal_goal(schemas: list[JsonSchema], document: SchemaDocument) -> Goal:
    """A goal without doubles and trivial members, bare references followed."""
    found: dict[int, JsonSchema] = {}
    for schema in schemas:
        if isinstance(schema, dict) and "$ref" in schema:
            schema = _followed(schema, document)
        if schema is False or (schema is not True and not ANNOTATIONS.issuperset(schema)):
            found[id(schema)] = schema
    return tuple(found.values())


def _followed(schema: JsonSchema, document: SchemaDocument) -> JsonSchema:
    """What a chain of bare references leads to; a chain that loops: one of its members."""
    passed: set[int] = set()
    while (
        isinstance(schema, dict)
        and id(schema) not in passed
        and _is_bare_reference(schema, document)
    ):
        passed.add(id(schema))
        check_plain(schema, document)
        schema = document.resolve(schema)
    return schema


def _is_bare_reference(schema: dict[str, Any], document: SchemaDocument) -> bool:
    if "$ref" not in schema:
        return False
    return document.ignores_siblings(schema) or all(
        k == "$ref" or (k in ANNOTATIONS and k != "$id") for k in schema
    )


def branches_of(goal: Goal, document: SchemaDocument, budget: Budget) -> list[Branch | Apart]:
    """The alternatives of a goal; none if it cannot be satisfied.

    Schemas without an assertion of their own are left out of the branches.

    Raises:
        UnsatisfiableGrammarError: the goal is a loop of references without content.
        GrammarLimitError: more than ``max_branches`` alternatives.
        NeedsMoreError: schemas that are not plain stand beside others, or are the whole goal.
    """
    finished: list[Branch | Apart] = []
    looped: dict[str, Any] | None = None
    # Schemas still to be opened, each with those it was reached through; schemas opened; of those,
    # the ones with an assertion.
    start = tuple((schema, NONE) for schema in goal)
    waiting: list[tuple[Pending, Branch, Branch]] = [(start, (), ())]
    while waiting:
        _check_number(len(finished) + len(waiting), goal, document, budget)
        pending, opened, branch = waiting.pop()
        while pending:
            (schema, through), pending = pending[0], pending[1:]
            if schema is True:
                continue
            if schema is False:
                break
            if id(schema) in through:
                # Reached from itself without reading anything: only its other alternatives can hold.
                looped = schema
                break
            if _is_among(schema, opened):
                continue
            is_reference = document.ignores_siblings(schema)
            try:
                check_plain(schema, document)
                choices = [] if is_reference else _choices(schema, document, budget)
            except NeedsMoreError:
                if branch or pending or (len(goal) == 1 and goal[0] is schema):
                    raise
                finished.append(Apart((schema,)))
                break
            opened = (*opened, schema)
            if not is_reference and not WITHOUT_ASSERTION.issuperset(schema):
                branch = (*branch, schema)
            if LINKS.isdisjoint(schema):
                continue
            through |= {id(schema)}
            more = tuple((s, through) for s in _conjuncts(schema, document))
            if choices:
                waiting += [
                    ((*more, *((s, through) for s in choice), *pending), opened, branch)
                    for choice in reversed(choices)
                ]
                break
            pending = more + pending
        else:
            finished.append(branch)
    if looped is not None and not finished:
        raise UnsatisfiableGrammarError(
            "the schema refers to itself without asking for anything else",
            pointer=document.pointer(looped),
        )
    return finished


def _check_number(number: int, goal: Goal, document: SchemaDocument, budget: Budget) -> None:
    budget.check_time()
    if number > budget.limits.max_branches:
        pointer = document.pointer(goal[0]) if goal else ""
        budget.check("max_branches", number, "alternatives of a schema", pointer=pointer)


def _choices(
    schema: dict[str, Any], document: SchemaDocument, budget: Budget
) -> list[tuple[JsonSchema, ...]]:
    """The members of ``anyOf`` and ``oneOf`` that may hold together; none: there are no such keywords.

    Raises:
        NeedsMoreError: several members of ``oneOf`` might hold for one value.
    """
    lists = [
        [document.child(schema, keyword, i) for i in range(len(schema[keyword]))]
        for keyword in CHOICES
        if keyword in schema
    ]
    if math.prod(map(len, lists)) > budget.limits.max_branches:
        raise NeedsMoreError("anyOf")
    if "oneOf" in schema and not are_disjoint(lists[-1], document):
        raise NeedsMoreError("oneOf")
    return list(itertools.product(*lists)) if lists else []


def _is_among(schema: dict[str, Any], schemas: Branch) -> bool:
    for other in schemas:  # noqa: SIM110 - a generator costs more than the few comparisons
        if other is schema:
            return True
    return False


def _conjuncts(schema: dict[str, Any], document: SchemaDocument) -> list[JsonSchema]:
    """The schemas that a schema's references and ``allOf`` add."""
    found: list[JsonSchema] = []
    if "$ref" in schema:
        found.append(document.resolve(schema))
        if document.ignores_siblings(schema):
            return found
    found += [document.child(schema, "allOf", i) for i in range(len(schema.get("allOf", ())))]
    return found
