"""Formulas -> clauses: for one kind of values, alternatives that are lists of signed atoms.

Negation and disjunction are multiplied out, places opened, atoms of other kinds dropped, which mostly
leaves little. What is denied as a whole (``not``, the other members of ``oneOf``) comes last: where what is
known already excludes it, nothing has to be multiplied out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from syntagma.grammar.errors import GrammarSyntaxError
from syntagma.grammar.schema_formulas import Formulas
from syntagma.grammar.schema_logic import (
    FALSE,
    KINDS,
    NEVER,
    TRUE,
    Atom,
    Conjunction,
    Formula,
    Place,
)

Clause = tuple[Formula, ...]
Through = frozenset[Formula]
Signed = tuple[Formula, Through]

NOWHERE: Through = frozenset()
# How deep the question "is this excluded already?" may lead to the same question.
MAX_QUESTIONS = 8


@dataclass(frozen=True)
class _State:
    """A clause in the making.

    Attributes:
        pending: formulas to be read, each with the places it was reached through.
        clause: the atoms so far.
        known: the atoms and the places behind them.
        choices: disjunctions to be multiplied out.
        denied: places that must not hold.
    """

    pending: tuple[Signed, ...]
    clause: Clause = ()
    known: frozenset[Formula] = frozenset()
    choices: tuple[tuple[tuple[Formula, ...], Through], ...] = ()
    denied: tuple[Signed, ...] = ()


class Clauses:
    """The clauses of formulas, each worked out once.

    Args:
        formulas: where places are opened.
        is_empty: whether a clause of a kind evidently has no instance; set by whoever can tell.
    """

    def __init__(self, formulas: Formulas) -> None:
        self.formulas = formulas
        self.logic = formulas.logic
        self.budget = formulas.universe.budget
        self.is_empty: Callable[[Clause, str], bool] = lambda clause, kind: False
        self._found: dict[tuple[Formula, str], list[Clause]] = {}
        self._questions: list[tuple[Formula, str]] = []
        self._never = {kind: self.logic.never(kind) for kind in KINDS}

    def of(self, formula: Formula, kind: str) -> list[Clause]:
        """The alternatives of a formula for one kind; none: no value of that kind fits.

        Raises:
            GrammarLimitError: more than ``max_branches`` of them.
            GrammarSyntaxError: a schema refers to its own negation.
        """
        key = formula, kind
        found = self._found.get(key)
        if found is None:
            is_other = self._is_of_other_kinds(formula, kind)
            found = self._found[key] = [] if is_other else self._multiplied_out(formula, kind)
        return found

    def _is_of_other_kinds(self, formula: Formula, kind: str) -> bool:
        """Whether a formula is a place whose ``type`` leaves out a kind, as one look can tell."""
        node = self.logic.node(formula)
        if formula < 0 or not isinstance(node, Place):
            return False
        inside = self.formulas.expanded(node)
        node = self.logic.node(inside)
        if inside < 0 or not isinstance(node, Conjunction):
            return inside in (FALSE, self._never[kind])
        return self._never[kind] in node.parts

    def _multiplied_out(self, formula: Formula, kind: str) -> list[Clause]:
        finished: dict[Clause, None] = {}
        seen: set[Hashable] = set()
        waiting = [_State(((formula, NOWHERE),))]
        while waiting:
            self.budget.check_time()
            number = len(finished) + len(waiting)
            if number > self.budget.limits.max_branches:
                where = self._where(formula)
                self.budget.check("max_branches", number, "alternatives of a schema", pointer=where)
            state = self._closed(waiting.pop(), kind)
            if state is None or self.is_empty(state.clause, kind):
                continue
            # Alternatives that say the same, reached through different references, are followed once.
            left = _left_to_do(state)
            if left in seen:
                continue
            seen.add(left)
            if state.choices:
                (alternatives, through), *others = state.choices
                rest = replace(state, choices=tuple(others))
                waiting += [
                    replace(rest, pending=((alternative, through),))
                    for alternative in reversed(alternatives)
                ]
            elif state.denied:
                (place, through), *denied = state.denied
                state = replace(state, denied=tuple(denied))
                if not self._is_excluded(place, state.clause, kind):
                    denial = ~self.formulas.expanded(self._place(place))
                    state = replace(state, pending=((denial, through | {~place}),))
                waiting.append(state)
            else:
                finished[state.clause] = None
        return _without_special_cases(list(finished))

    def _place(self, formula: Formula) -> Place:
        node = self.logic.node(formula)
        assert isinstance(node, Place), "only places are opened"
        return node

    def _closed(self, state: _State, kind: str) -> _State | None:
        """Reads what is pending and what follows from it alone; None: contradictory."""
        clause = dict.fromkeys(state.clause)
        known = set(state.known)
        choices = list(state.choices)
        denied = list(state.denied)
        pending = list(reversed(state.pending))
        while pending or choices:
            if not pending:
                # Nothing more is certain, unless a choice has become one.
                choices_left, forced = self._simplified(choices, known, kind)
                if choices_left is None:
                    return None
                choices = choices_left
                if not forced:
                    break
                pending = list(reversed(forced))
            formula, through = pending.pop()
            node = self.logic.node(formula)
            if isinstance(node, Place) and ~formula in through:
                self._refuse_paradox(formula)
            if ~formula in known or formula == FALSE:
                return None
            if isinstance(node, Atom):
                if _holds_by_kind(node, formula, kind) is None:
                    clause[formula] = None
                    known.add(formula)
                elif not _holds_by_kind(node, formula, kind):
                    return None
            elif isinstance(node, Conjunction):
                if formula >= 0:
                    pending += [(part, through) for part in reversed(node.parts)]
                else:
                    choices.append((tuple(~part for part in node.parts), through))
            elif formula >= 0:
                if formula in through:
                    # Reached from itself without reading anything: only other alternatives hold.
                    return None
                if formula not in known:
                    known.add(formula)
                    pending.append((self.formulas.expanded(node), through | {formula}))
            elif formula not in through and formula not in known:
                known.add(formula)
                if not self._is_of_other_kinds(~formula, kind):
                    denied.append((~formula, through))
        return _State((), tuple(clause), frozenset(known), tuple(choices), tuple(denied))

    def _where(self, formula: Formula) -> str:
        """The pointer of the first schema in a formula; "" if there is none."""
        waiting = [formula]
        while waiting:
            node = self.logic.node(waiting.pop())
            if isinstance(node, Place):
                universe = self.formulas.universe
                return universe.site(universe.schema(node.schema)).pointer
            if isinstance(node, Conjunction):
                waiting += reversed(node.parts)
        return ""

    def _refuse_paradox(self, place: Formula) -> None:
        raise GrammarSyntaxError(
            "the schema refers to its own negation without reading anything, so that nothing is "
            "either valid or invalid",
            pointer=self._where(place),
        )

    def _simplified(
        self, choices: list[tuple[tuple[Formula, ...], Through]], known: set[Formula], kind: str
    ) -> tuple[list[tuple[tuple[Formula, ...], Through]] | None, list[Signed]]:
        """The choices that are still open (None: one cannot be met), and what has become certain."""
        left: list[tuple[tuple[Formula, ...], Through]] = []
        forced: list[Signed] = []
        for alternatives, through in choices:
            is_met = False
            possible = []
            for alternative in alternatives:
                value = self._value(alternative, known, kind)
                if value:
                    is_met = True
                    break
                if value is None:
                    possible.append(alternative)
            if is_met:
                continue
            if not possible:
                return None, []
            if len(possible) == 1:
                forced.append((possible[0], through))
            else:
                left.append((tuple(possible), through))
        return left, forced

    def _value(self, formula: Formula, known: set[Formula], kind: str) -> bool | None:
        """Whether a formula holds, as one look can tell; None: it cannot."""
        if formula in known or formula == TRUE:
            return True
        if ~formula in known or formula == FALSE:
            return False
        node = self.logic.node(formula)
        if isinstance(node, Atom):
            return _holds_by_kind(node, formula, kind)
        if isinstance(node, Conjunction):
            values = [self._value_of_part(part, known, kind) for part in node.parts]
            if False in values:
                return formula < 0
            return formula >= 0 if None not in values else None
        place = formula if formula >= 0 else ~formula
        return formula < 0 if self._is_of_other_kinds(place, kind) else None

    def _value_of_part(self, part: Formula, known: set[Formula], kind: str) -> bool | None:
        if part in known:
            return True
        if ~part in known:
            return False
        node = self.logic.node(part)
        return _holds_by_kind(node, part, kind) if isinstance(node, Atom) else None

    def _is_excluded(self, place: Formula, clause: Clause, kind: str) -> bool:
        """Whether a clause evidently cannot hold together with a place.

        For strings and numbers denial costs nothing, and is exact where formats are not.
        """
        key = place, kind
        if kind not in ("array", "object") or key in self._questions:
            return False
        if len(self._questions) >= MAX_QUESTIONS:
            return False
        self._questions.append(key)
        try:
            others = self.of(place, kind)
        finally:
            self._questions.pop()
        return all(self._contradict(clause, other, kind) for other in others)

    def _contradict(self, one: Clause, other: Clause, kind: str) -> bool:
        known = set(one)
        if any(~atom in known for atom in other):
            return True
        return self.is_empty((*one, *(atom for atom in other if atom not in known)), kind)


def _left_to_do(state: _State) -> Hashable:
    """What a state stands for, whatever it was reached through."""
    choices = tuple(alternatives for alternatives, _ in state.choices)
    return state.clause, choices, tuple(place for place, _ in state.denied)


def _holds_by_kind(atom: Atom, formula: Formula, kind: str) -> bool | None:
    """Whether a signed atom holds for all or no values of a kind; None: it depends on the value."""
    if atom.kind != kind:
        holds = True
    elif atom.name == NEVER:
        holds = False
    elif atom.name == "all" and atom.payload[1] == TRUE:  # type: ignore[index]
        if formula >= 0:
            # Kept: it says where a name comes in the order.
            return None
        holds = True
    else:
        return None
    return holds if formula >= 0 else not holds


def _without_special_cases(clauses: list[Clause]) -> list[Clause]:
    """The clauses that do not follow from a shorter one."""
    if len(clauses) < 2:
        return clauses
    sets = [frozenset(clause) for clause in clauses]
    return [
        clause
        for clause, atoms in zip(clauses, sets, strict=True)
        if not any(other < atoms for other in sets)
    ]
