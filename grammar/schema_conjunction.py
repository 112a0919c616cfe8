"""Schemas that must hold together, multiplied out to alternatives without references.

A *goal* is a set of schemas that one value must satisfy. Following ``$ref`` and ``allOf`` adds to the
goal, ``anyOf`` splits it; what remains is a list of branches, each a set of schemas whose other
keywords all apply (the disjunctive normal form of witness generation, arXiv 2202.12849, section 4).
"""

from __future__ import annotations

from syntagma.grammar.errors import UnsatisfiableGrammarError, UnsupportedGrammarError
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_document import Located, SchemaDocument
from syntagma.grammar.schema_keywords import ANNOTATIONS, check_keywords

Goal = tuple[Located, ...]
Branch = tuple[Located, ...]
Step = tuple[Located, frozenset[Located]]


def normal_goal(schemas: list[Located], document: SchemaDocument) -> Goal:
    """A goal without doubles and trivial members, bare references followed, in a fixed order."""
    found: dict[Located, None] = {}
    for at in schemas:
        followed: set[Located] = set()
        while _is_bare_reference(at) and at not in followed:
            followed.add(at)
            check_keywords(at)
            assert isinstance(at.schema, dict)
            at = document.resolve(at.schema["$ref"], at)
        if at.schema is not True:
            found[at] = None
    return tuple(sorted(found, key=lambda at: at.pointer))


def _is_bare_reference(at: Located) -> bool:
    return (
        isinstance(at.schema, dict)
        and "$ref" in at.schema
        and all(k == "$ref" or (k in ANNOTATIONS and k != "$id") for k in at.schema)
    )


def branches_of(goal: Goal, document: SchemaDocument, budget: Budget) -> list[Branch]:
    """The alternatives of a goal; none if it cannot be satisfied.

    Raises:
        UnsatisfiableGrammarError: the goal is a loop of references without content.
        GrammarLimitError: more than ``max_branches`` alternatives.
    """
    finished: list[Branch] = []
    looped: Located | None = None
    # Schemas still to be opened, each with those it was reached through; plain schemas found.
    waiting: list[tuple[tuple[Step, ...], Branch]] = [(tuple((at, frozenset()) for at in goal), ())]
    while waiting:
        pending, plain = waiting.pop()
        budget.check(
            "max_branches",
            len(finished) + len(waiting),
            "alternatives of a schema",
            pointer=goal[0].pointer if goal else "",
        )
        if not pending:
            finished.append(plain)
            continue
        (at, through), rest = pending[0], pending[1:]
        check_keywords(at)
        if at.schema is False:
            continue
        if at in through:
            # Reached from itself without reading anything: only its other alternatives can hold.
            looped = at
            continue
        if isinstance(at.schema, bool) or at in plain:
            waiting.append((rest, plain))
            continue
        conjuncts = _conjuncts(at, document)
        alternatives = [conjuncts]
        if "anyOf" in at.schema:
            choices = [at.child("anyOf", i) for i in range(len(at.schema["anyOf"]))]
            alternatives = [[*conjuncts, choice] for choice in choices]
        for more in reversed(alternatives):
            steps = tuple((schema, through | {at}) for schema in more)
            waiting.append((steps + rest, (*plain, at)))
    if looped is not None and not finished:
        raise UnsatisfiableGrammarError(
            "the schema refers to itself without asking for anything else", pointer=looped.pointer
        )
    return finished


def _conjuncts(at: Located, document: SchemaDocument) -> list[Located]:
    """The schemas that a schema's references and ``allOf`` add."""
    assert isinstance(at.schema, dict)
    found: list[Located] = []
    if "$ref" in at.schema:
        siblings = [k for k in at.schema if k != "$ref" and k not in ANNOTATIONS]
        if siblings and document.ignores_ref_siblings:
            raise UnsupportedGrammarError(
                f"{siblings[0]!r} beside $ref has no effect in the draft named by $schema; "
                "remove it or use draft 2020-12",
                keyword=siblings[0],
                pointer=f"{at.pointer}/{siblings[0]}",
            )
        found.append(document.resolve(at.schema["$ref"], at))
    found += [at.child("allOf", i) for i in range(len(at.schema.get("allOf", ())))]
    return found
