"""Clauses about numbers, arrays and objects -> what they ask for, atom by atom merged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from syntagma.grammar.number_sets import NumberSet, complement
from syntagma.grammar.schema_clauses import Clause
from syntagma.grammar.schema_logic import FALSE, TRUE, Atom, Formula, Logic


def signed_atoms(clause: Clause, logic: Logic) -> Iterator[tuple[Formula, str, Any, bool]]:
    """The atoms of a clause: formula, name, payload, whether asserted (or denied)."""
    for formula in clause:
        atom = logic.node(formula)
        assert isinstance(atom, Atom), "clauses are lists of atoms"
        yield formula, atom.name, atom.payload, formula >= 0


def booleans(clause: Clause, logic: Logic) -> list[bool]:
    """The truth values that a clause leaves."""
    left = [False, True]
    for _, _, values, is_asserted in signed_atoms(clause, logic):
        left = [value for value in left if (value in values) == is_asserted]
    return left


def number_set(clause: Clause, logic: Logic) -> NumberSet:
    """The numbers that a clause leaves."""
    numbers = NumberSet()
    for _, name, payload, is_asserted in signed_atoms(clause, logic):
        if name == "range":
            numbers = numbers.within(payload if is_asserted else complement(payload))
        else:
            assert isinstance(payload, Fraction), "steps are numbers"
            numbers = numbers.multiples(payload) if is_asserted else numbers.others(payload)
    return numbers


@dataclass
class Counter:
    """At least ``low`` and at most ``high`` items from ``start`` on that fit a formula."""

    start: int
    item: Formula
    low: int = 0
    high: int | None = None
    source: Formula = TRUE


@dataclass
class ItemsForm:
    """The arrays of one clause.

    Attributes:
        low, high: number of items.
        at: what single items must fit, by index.
        rest: what all items from an index on must fit.
        counters: how many items must fit something.
        unique: whether items must be (may not all be) distinct; None: no matter.
        unique_source: the atom that says so.
    """

    low: int = 0
    high: int | None = None
    at: dict[int, list[Formula]] = field(default_factory=dict)
    rest: list[tuple[int, Formula]] = field(default_factory=list)
    counters: list[Counter] = field(default_factory=list)
    unique: bool | None = None
    unique_source: Formula = TRUE
    is_contradictory: bool = False

    def at_most(self, high: int) -> None:
        """No more items than that."""
        self.high = high if self.high is None else min(self.high, high)

    @property
    def num_special(self) -> int:
        """The number of first items of which something particular is asked."""
        starts = [counter.start for counter in self.counters] + [start for start, _ in self.rest]
        longest = max([0, *starts, *(index + 1 for index in self.at)])
        return longest if self.high is None else min(longest, self.high)

    def item(self, index: int, logic: Logic) -> Formula:
        """What an item must fit."""
        parts = [*self.at.get(index, ()), *(f for start, f in self.rest if start <= index)]
        return logic.all_of(parts)


def items_form(clause: Clause, logic: Logic) -> ItemsForm:
    """What a clause asks of an array."""
    form = ItemsForm()
    counters: dict[tuple[int, Formula], Counter] = {}

    def counter(start: int, item: Formula, source: Formula) -> Counter:
        return counters.setdefault((start, item), Counter(start, item, source=source))

    for formula, name, payload, is_asserted in signed_atoms(clause, logic):
        if name == "size":
            if is_asserted:
                form.low = max(form.low, payload)
            else:
                form.at_most(payload - 1)
        elif name == "at":
            index, item = payload
            if not is_asserted:
                form.low = max(form.low, index + 1)
                item = ~item
            if item == FALSE:
                form.at_most(index)
            else:
                form.at.setdefault(index, []).append(item)
        elif name == "from":
            start, item = payload
            if not is_asserted:
                found = counter(start, ~item, formula)
                found.low = max(found.low, 1)
            elif item == FALSE:
                form.at_most(start)
            else:
                form.rest.append((start, item))
        elif name == "count":
            start, item, number = payload
            found = counter(start, item, formula)
            if is_asserted:
                found.low = max(found.low, number)
            else:
                found.high = number - 1 if found.high is None else min(found.high, number - 1)
        else:
            form.is_contradictory |= form.unique is not None and form.unique != is_asserted
            form.unique, form.unique_source = is_asserted, formula
    for found in counters.values():
        _add_counter(form, found)
    return form


def _add_counter(form: ItemsForm, counter: Counter) -> None:
    """Take in a counter, as something simpler if it is."""
    if counter.item == FALSE:
        form.is_contradictory |= counter.low > 0
    elif counter.item == TRUE:
        form.low = max(form.low, counter.start + counter.low if counter.low else 0)
        if counter.high is not None:
            form.at_most(counter.start + counter.high)
    elif counter.high == 0:
        form.is_contradictory |= counter.low > 0
        form.rest.append((counter.start, ~counter.item))
    else:
        form.is_contradictory |= counter.high is not None and counter.low > counter.high
        form.low = max(form.low, counter.start + counter.low if counter.low else 0)
        form.counters.append(counter)


@dataclass
class MembersForm:
    """The objects of one clause.

    Attributes:
        low, high: number of members.
        low_source: the atom that gives ``low``.
        every: where a key fits the first formula, its value must fit the second.
        some: there must be a member whose key fits the first and whose value fits the second formula;
            the third one is the atom that says so.
    """

    low: int = 0
    high: int | None = None
    low_source: Formula = TRUE
    every: list[tuple[Formula, Formula]] = field(default_factory=list)
    some: list[tuple[Formula, Formula, Formula]] = field(default_factory=list)


def members_form(clause: Clause, logic: Logic) -> MembersForm:
    """What a clause asks of an object."""
    form = MembersForm()
    for formula, name, payload, is_asserted in signed_atoms(clause, logic):
        if name == "size":
            if not is_asserted:
                form.high = payload - 1 if form.high is None else min(form.high, payload - 1)
            elif payload > form.low:
                form.low, form.low_source = payload, formula
        elif is_asserted:
            form.every.append(payload)
        else:
            keys, value = payload
            form.some.append((keys, ~value, formula))
    return form
