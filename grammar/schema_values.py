"""Formulas that only few values fit: which ones."""

from __future__ import annotations

from typing import Any

from syntagma.grammar.number_sets import as_json, exact
from syntagma.grammar.schema_atoms import booleans, number_set
from syntagma.grammar.schema_emptiness import Emptiness
from syntagma.grammar.schema_logic import Formula

Scalar = str | int | float | bool | None


class FewValues:
    """Lists the values of formulas."""

    def __init__(self, emptiness: Emptiness) -> None:
        self.clauses = emptiness.clauses
        self.texts = emptiness.texts
        self.logic = emptiness.logic

    def of(self, formula: Formula, limit: int) -> list[Scalar] | None:
        """All values that fit, if they are scalars and no more than ``limit``; None: they are not."""
        found: dict[tuple[type, Any], Scalar] = {}
        if any(self.clauses.of(formula, kind) for kind in ("array", "object")):
            return None
        if self.clauses.of(formula, "null"):
            found[type(None), None] = None
        for clause in self.clauses.of(formula, "boolean"):
            found.update({(bool, value): value for value in booleans(clause, self.logic)})
        for clause in self.clauses.of(formula, "number"):
            numbers = number_set(clause, self.logic).members(limit)
            if numbers is None:
                return None
            for number in numbers:
                value = as_json(number)
                if exact(value) != number:
                    return None
                found[float, number] = value
        for clause in self.clauses.of(formula, "string"):
            form = self.texts.form(clause)
            if form.values is None:
                return None
            found.update({(str, text): text for text in self.texts.listed(form)})
        return list(found.values()) if len(found) <= limit else None
