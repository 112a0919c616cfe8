"""Array forms -> rules.

Without counters the items are written in one node: the special ones, then a counted repetition. With
counters (``contains``) or distinct items out of few values a rule stands for "one or more items from here on
and the closing bracket" in a state that remembers what has been counted or used. Distinct items out of many
values are marked (`marks`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn, Protocol

from syntagma.grammar import ir
from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.json_terminals import JsonTerminals
from syntagma.grammar.marks import NEW_ITEM
from syntagma.grammar.schema_atoms import Counter, ItemsForm
from syntagma.grammar.schema_emptiness import Emptiness
from syntagma.grammar.schema_keys import KeySorter
from syntagma.grammar.schema_logic import FALSE, Formula, Logic
from syntagma.grammar.schema_sizes import Sizes
from syntagma.grammar.schema_values import FewValues, Scalar

# Distinct items are remembered as a set, so that there are 2 ** 10 states at most.
MAX_DISTINCT = 10
# Arrays up to this length may be shown to have distinct items for their types alone.
MAX_PAIRS = 8


class Lowering(Protocol):
    """What rules of arrays and objects need of the lowering as a whole."""

    logic: Logic
    emptiness: Emptiness
    sorter: KeySorter
    terminals: JsonTerminals

    def value(self, formula: Formula) -> ir.Node:
        """A value that fits a formula."""

    def declare(self, name: str, body: Callable[[], ir.Node]) -> int:
        """A new rule."""


def array_node(lowering: Lowering, form: ItemsForm) -> ir.Node:
    """``[`` items ``]``.

    Raises:
        UnsupportedGrammarError: items must be distinct, and too few values may be left for some of
            them; or they must not, and there is no telling without remembering.
    """
    if form.is_contradictory or (form.high is not None and form.low > form.high):
        return ir.NOTHING
    distinct = Distinct.of(form, lowering)
    if form.unique is False and distinct is None:
        # One item at most is never the same as another.
        return ir.NOTHING
    parts: list[ir.Node] = []
    rules = ItemRules(lowering, form, distinct)
    if form.counters or (distinct is not None and not distinct.is_marked):
        may_be_empty = rules.may_close(rules.start)
        if rules.may_continue(rules.start):
            parts.append(ir.Call(rules.rule(rules.start)))
    else:
        may_be_empty = form.low == 0
        if form.high is None or form.high > 0:
            parts.append(ir.Sequence((rules.plain_items(), lowering.terminals.closing["]"])))
    return lowering.terminals.enclosed("[]", *parts, may_be_empty=may_be_empty)


def _is_settled(form: ItemsForm) -> bool:
    """Whether items are distinct because there is one at most."""
    return form.high is not None and form.high <= 1


@dataclass(frozen=True)
class Distinct:
    """What is remembered of items that must be (may not all be) distinct.

    Attributes:
        is_asked: they must be.
        is_marked: there are too many values to remember them in rules, so each item is to be marked
            as new.
    """

    is_asked: bool
    is_marked: bool = False

    @classmethod
    def of(cls, form: ItemsForm, lowering: Lowering) -> Distinct | None:
        """What has to be remembered of the items for ``uniqueItems``; None: nothing."""
        if form.unique is None or _is_settled(form):
            return None
        few = FewValues(lowering.emptiness)
        count = form.num_special + (form.high is None or form.high > form.num_special)
        items = [form.item(index, lowering.logic) for index in range(count)]
        values = [few.of(item, MAX_DISTINCT) for item in items]
        all_values = {_key(v) for found in values for v in found or ()}
        if None not in values and len(all_values) <= MAX_DISTINCT:
            return cls(form.unique)
        if form.unique and form.high is not None and form.high <= MAX_PAIRS:
            kinds = [form.item(index, lowering.logic) for index in range(form.high)]
            if all(
                lowering.emptiness.is_empty(lowering.logic.all_of([kinds[i], kinds[j]]))
                for j in range(form.high)
                for i in range(j)
            ):
                return None
        if not form.unique:
            _refuse(form, lowering, f"denied where items have more than {MAX_DISTINCT} values")
        _check_supply(form, lowering)
        return cls(form.unique, is_marked=True)


def _check_supply(form: ItemsForm, lowering: Lowering) -> None:
    """Refuse where the choice of some items could leave no value for others that must come.

    An item that must be there needs more values than there are items before it; then there is always
    one left. Where items are counted, what counts and what does not must not run out either.
    """
    sizes = Sizes(lowering.emptiness, lowering.sorter)
    count = form.num_special
    for index in range(min(form.low, count)):
        item = form.item(index, lowering.logic)
        if sizes.at_least(item, index + 1) <= index:
            _refuse(form, lowering, f"together with so few values for item {index}")
    rest = form.item(count, lowering.logic)
    if form.low > count and sizes.at_least(rest, form.low) < form.low:
        _refuse(form, lowering, f"together with {form.low} items of fewer values")
    needed = form.low + sum(counter.low for counter in form.counters) + 1
    for counter in form.counters:
        for index in range(counter.start, count + 1):
            item = form.item(index, lowering.logic)
            for part in (counter.item, ~counter.item):
                counted = lowering.logic.all_of([item, part])
                is_none = counted == FALSE or lowering.emptiness.is_empty(counted)
                if not is_none and sizes.at_least(counted, needed) < needed:
                    _refuse(form, lowering, "together with contains over few values")


def _refuse(form: ItemsForm, lowering: Lowering, what: str) -> NoReturn:
    keyword, pointer = lowering.logic.origins.get(
        form.unique_source if form.unique else ~form.unique_source, ("uniqueItems", "")
    )
    raise UnsupportedGrammarError(
        f"uniqueItems is not enforced {what}; leave one of them out",
        keyword=keyword,
        pointer=pointer,
    )


def _key(value: Scalar) -> tuple[bool, Scalar]:
    return isinstance(value, bool), value


@dataclass(frozen=True)
class _State:
    """Where an array is.

    Attributes:
        index: items so far, up to the number of special ones.
        count: items so far, up to the largest number that matters.
        counts: of each counter, up to the largest number that matters.
        used: values so far, if they have to be remembered.
        is_repeated: whether one came twice.
    """

    index: int
    count: int
    counts: tuple[int, ...]
    used: frozenset[tuple[bool, Scalar]] = frozenset()
    is_repeated: bool = False


class ItemRules:
    """The rules of one array form."""

    def __init__(self, lowering: Lowering, form: ItemsForm, distinct: Distinct | None) -> None:
        self.lowering = lowering
        self.logic = lowering.logic
        self.form = form
        self.distinct = distinct
        self.few = FewValues(lowering.emptiness)
        self.rules: dict[_State, int] = {}
        self.start = _State(0, 0, (0,) * len(form.counters))
        self.most = form.low if form.high is None else form.high

    def plain_items(self) -> ir.Node:
        """One or more items where nothing has to be counted."""
        form, lowering = self.form, self.lowering
        count = form.num_special
        low = max(0, form.low - count)
        high = None if form.high is None else form.high - count
        # Built from the back: `after` is what may follow the items read so far.
        after: ir.Node = ir.EMPTY
        if high is None or high > 0:
            rest = self._item(count)
            next_item = ir.Sequence((lowering.terminals.comma, rest))
            if count == 0:
                if high == 1:
                    return rest
                bound = None if high is None else high - 1
                return ir.Sequence((rest, ir.Repeat(next_item, max(0, low - 1), bound)))
            after = ir.Repeat(next_item, low, high)
        for index in range(count - 1, -1, -1):
            item = self._item(index)
            step = ir.Sequence(
                (item, after) if index == 0 else (lowering.terminals.comma, item, after)
            )
            after = step if index < max(1, form.low) else ir.optional(step)
        return after

    def _item(self, index: int) -> ir.Node:
        """An item, with its mark if it has one."""
        return self._marked(self.lowering.value(self.form.item(index, self.logic)))

    def _marked(self, item: ir.Node) -> ir.Node:
        is_marked = self.distinct is not None and self.distinct.is_marked
        return ir.Sequence((item, NEW_ITEM)) if is_marked else item

    def may_close(self, state: _State) -> bool:
        """Whether the array may end in a state."""
        form = self.form
        is_distinct = self.distinct is None or self.distinct.is_asked or state.is_repeated
        counts = zip(form.counters, state.counts, strict=True)
        return state.count >= form.low and is_distinct and all(n >= c.low for c, n in counts)

    def may_continue(self, state: _State) -> bool:
        """Whether there may be another item."""
        return self.form.high is None or state.count < self.form.high

    def rule(self, state: _State) -> int:
        """The rule of a state: one or more items and the closing bracket."""
        rule = self.rules.get(state)
        if rule is None:
            body = functools.partial(self.body, state)
            rule = self.rules[state] = self.lowering.declare("items", body)
        return rule

    def body(self, state: _State) -> ir.Node:
        """An item, then the end or others."""
        item = self.form.item(state.index, self.logic)
        after = replace(
            state,
            index=min(state.index + 1, self.form.num_special),
            count=min(state.count + 1, self.most),
        )
        ways = [(item, after)]
        for position, counter in enumerate(self.form.counters):
            if counter.start <= state.index:
                ways = [way for w in ways for way in self._counted(position, counter, *w)]
        return ir.choice(
            *(
                ir.Sequence((value, self._after(end)))
                for formula, way in ways
                if formula != FALSE and not self.lowering.emptiness.is_empty(formula)
                for value, end in self._values(formula, way)
            )
        )

    def _counted(
        self, position: int, counter: Counter, item: Formula, state: _State
    ) -> list[tuple[Formula, _State]]:
        """The ways an item may or may not count."""
        count = state.counts[position]
        counts = list(state.counts)
        counts[position] += 1
        more = replace(state, counts=tuple(counts))
        counted = self.logic.all_of([item, counter.item])
        if counter.high is None:
            # A guess is enough: what counts must fit, what does not may.
            return [(item, state)] + ([(counted, more)] if count < counter.low else [])
        other = self.logic.all_of([item, ~counter.item])
        return [(other, state)] + ([(counted, more)] if count < counter.high else [])

    def _values(self, item: Formula, state: _State) -> list[tuple[ir.Node, _State]]:
        """An item's node, or one for each value that has to be remembered."""
        if self.distinct is None or self.distinct.is_marked or state.is_repeated:
            return [(self._marked(self.lowering.value(item)), state)]
        found: list[tuple[ir.Node, _State]] = []
        for value in self.few.of(item, MAX_DISTINCT) or ():
            key = _key(value)
            node = self.lowering.terminals.words([value])
            if key not in state.used:
                found.append((node, replace(state, used=state.used | {key})))
            elif not self.distinct.is_asked:
                found.append((node, replace(state, is_repeated=True, used=frozenset())))
        return found

    def _after(self, state: _State) -> ir.Node:
        """What follows an item."""
        parts: list[ir.Node] = []
        if self.may_continue(state):
            parts.append(ir.Sequence((self.lowering.terminals.comma, ir.Call(self.rule(state)))))
        if self.may_close(state):
            parts.append(self.lowering.terminals.closing["]"])
        return ir.choice(*parts)
