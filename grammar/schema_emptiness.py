"""What evidently has no instance, as a few looks can tell.

An answer "empty" is certain, "not empty" is not: deep conflicts and loops are left to the pass over the
finished rules. What is found here keeps the number of alternatives small.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable

from syntagma.grammar.errors import GrammarError
from syntagma.grammar.schema_atoms import booleans, items_form, members_form, number_set
from syntagma.grammar.schema_clauses import Clause, Clauses
from syntagma.grammar.schema_logic import FALSE, KINDS, TRUE, Atom, Formula
from syntagma.grammar.schema_texts import Texts

# How many levels of members are looked into.
MAX_DEPTH = 3


class Emptiness:
    """Judges clauses and formulas.

    Attributes:
        is_judged_elsewhere: whether nobody needs an answer about a formula.
    """

    def __init__(self, clauses: Clauses, texts: Texts) -> None:
        self.clauses = clauses
        self.logic = clauses.logic
        self.texts = texts
        self._clauses: dict[Clause, tuple[int, bool]] = {}
        self._formulas: dict[Formula, tuple[int, bool]] = {}
        self._depth = MAX_DEPTH
        self.is_judged_elsewhere: Callable[[Formula], bool] = lambda formula: False
        # Clauses may outlive whoever judges them, but not hold it.
        judge = weakref.WeakMethod(self._is_hopeless)
        clauses.is_empty = lambda clause, kind: (
            (found := judge()) is not None and found(clause, kind)
        )

    def _is_hopeless(self, clause: Clause, kind: str) -> bool:
        """`is_empty_clause` for a clause in the making, without building automata of strings."""
        if kind == "string":
            form = self.texts.form(clause)
            is_short = form.max_length is not None and form.max_length < form.min_length
            return is_short or (form.values is not None and form.values <= form.excluded)
        return self.is_empty_clause(clause, kind)

    def is_empty_clause(self, clause: Clause, kind: str) -> bool:
        """Whether evidently no value of a kind fits all atoms."""
        if not clause:
            return False
        known = self._clauses.get(clause)
        if known is not None and (known[1] or known[0] >= self._depth):
            return known[1]
        result = self._judged(clause, kind)
        self._clauses[clause] = (self._depth, result)
        return result

    def is_empty(self, formula: Formula) -> bool:
        """Whether evidently no value fits a formula."""
        if formula in (TRUE, FALSE):
            return formula == FALSE
        if self._depth == 0 or self.is_judged_elsewhere(formula):
            return False
        known = self._formulas.get(formula)
        if known is not None and (known[1] or known[0] >= self._depth):
            return known[1]
        # Until it is known, a formula that depends on itself counts as not empty.
        self._formulas[formula] = (self._depth, False)
        self._depth -= 1
        try:
            result = all(
                self.is_empty_clause(clause, kind)
                for kind in KINDS
                for clause in self.clauses.of(formula, kind)
            )
        finally:
            self._depth += 1
        self._formulas[formula] = (self._depth, result)
        return result

    def _judged(self, clause: Clause, kind: str) -> bool:
        match kind:
            case "boolean":
                return not booleans(clause, self.logic)
            case "number":
                return number_set(clause, self.logic).is_empty
            case "string":
                return self._has_no_text(clause)
            case "array":
                return self._has_no_array(clause)
            case "object":
                return self._has_no_object(clause)
            case _:
                return False

    def _has_no_text(self, clause: Clause) -> bool:
        """Formats are left out: what is written of them is less than what they mean."""
        form = self.texts.form(tuple(f for f in clause if self._atom(f).name != "format"))
        try:
            return self.texts.is_empty(form)
        except GrammarError:
            # It is said when the strings are needed.
            return False

    def _atom(self, formula: Formula) -> Atom:
        atom = self.logic.node(formula)
        assert isinstance(atom, Atom), "clauses are lists of atoms"
        return atom

    def _has_no_array(self, clause: Clause) -> bool:
        form = items_form(clause, self.logic)
        if form.is_contradictory or (form.high is not None and form.low > form.high):
            return True
        needed = min(form.low, form.num_special + 1)
        return any(self.is_empty(form.item(index, self.logic)) for index in range(needed))

    def _has_no_object(self, clause: Clause) -> bool:
        form = members_form(clause, self.logic)
        if form.high is not None and form.low > form.high:
            return True
        needed: dict[str, list[Formula]] = {}
        for keys, value, _ in form.some:
            name = self._single_name(keys)
            if name is not None:
                needed.setdefault(name, []).append(value)
        if form.high is not None and len(needed) > form.high:
            return True
        wide = []
        for keys, value in form.every:
            name = self._single_name(keys)
            if name is None:
                wide.append((keys, value))
            elif name in needed:
                needed[name].append(value)
        for name, values in needed.items():
            values += [value for keys, value in wide if self._applies(keys, name)]
            if self.is_empty(self.logic.all_of(values)):
                return True
        return False

    def _single_name(self, keys: Formula) -> str | None:
        atom = self.logic.node(keys)
        if keys >= 0 and isinstance(atom, Atom) and atom.name == "in":
            assert isinstance(atom.payload, frozenset), "names are a set"
            if len(atom.payload) == 1:
                return str(next(iter(atom.payload)))
        return None

    def _applies(self, keys: Formula, name: str) -> bool:
        try:
            return self.texts.holds(keys, name)
        except GrammarError:
            return False
