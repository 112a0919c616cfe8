"""Object forms -> rules, members in the order of the schema.

A rule stands for "one or more members from here on and the closing brace" in a state: which names may
still come, what must still come, and how many members there were, as far as that matters. Where rules would
have to remember too much, keys are marked as new instead (`marks`): undeclared ones of which several must be
there. In any order see `schema_any_order`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from syntagma.grammar import ir
from syntagma.grammar.schema_any_order import MembersInAnyOrder
from syntagma.grammar.schema_atoms import MembersForm
from syntagma.grammar.schema_item_rules import Lowering
from syntagma.grammar.schema_keys import KeySorter, SortedKeys
from syntagma.grammar.schema_logic import FALSE, Formula
from syntagma.grammar.schema_members import Members


def object_node(lowering: Lowering, form: MembersForm, sorter: KeySorter) -> ir.Node:
    """``{`` members ``}``.

    Raises:
        UnsupportedGrammarError: several undeclared members must be there, out of few keys.
        GrammarLimitError: too many ways to meet what must be there.
    """
    if form.high is not None and form.low > form.high:
        return ir.NOTHING
    keys = sorter.sorted(form)
    if lowering.terminals.options.property_order == "any":
        return MembersInAnyOrder(lowering, form, keys).node()
    rules = MemberRules(lowering, form, keys)
    parts: list[ir.Node] = []
    if rules.may_continue(rules.start):
        parts.append(ir.Call(rules.rule(rules.start)))
    return lowering.terminals.enclosed("{}", *parts, may_be_empty=rules.may_close(rules.start))


@dataclass(frozen=True)
class _State:
    """Where an object is.

    Attributes:
        left: the names that may still come, as bits.
        pending: the obligations that are still open, as bits.
        count: members so far, up to the largest number that matters.
        is_ended: whether no undeclared member may come any more.
    """

    left: int
    pending: int
    count: int = 0
    is_ended: bool = False


class MemberRules(Members):
    """The rules of one object form."""

    def __init__(self, lowering: Lowering, form: MembersForm, keys: SortedKeys) -> None:
        super().__init__(lowering, form, keys)
        self.most = max(self.low, self.high or 0)
        self.rules: dict[_State, int] = {}
        self.start = _State(self.written, (1 << len(keys.obligations)) - 1)

    def may_close(self, state: _State) -> bool:
        """Whether the object may end in a state."""
        return not (state.pending or state.left & self.required or state.count < self.low) and (
            self.required & ~self.written == 0
        )

    def may_continue(self, state: _State) -> bool:
        """Whether there may be another member."""
        if self.high is not None and state.count >= self.high:
            return False
        return bool(state.left or (self.classes and not state.is_ended))

    def rule(self, state: _State) -> int:
        """The rule of a state: one or more members and the closing brace."""
        rule = self.rules.get(state)
        if rule is None:
            body = functools.partial(self.body, state)
            rule = self.rules[state] = self.lowering.declare("members", body)
        return rule

    def body(self, state: _State) -> ir.Node:
        """A member, then the end or others; an optional one may be passed over."""
        if not state.left:
            return ir.choice(*self._others(state))
        index = (state.left & -state.left).bit_length() - 1
        left = state.left & ~(1 << index)
        parts = self._named(state, index, left)
        passed = replace(state, left=left)
        if not self.required >> index & 1 and self.may_continue(passed):
            parts.append(ir.Call(self.rule(passed)))
        return ir.choice(*parts)

    def _named(self, state: _State, index: int, left: int) -> list[ir.Node]:
        """The member of a name, for each choice of obligations that it meets."""
        key = self.lowering.terminals.key(self.keys.names[index])
        after = replace(state, left=left, count=min(state.count + 1, self.most))
        open_here = [
            k
            for k, o in enumerate(self.keys.obligations)
            if state.pending >> k & 1 and index in o.names
        ]
        return self._members(key, self.keys.values[index], open_here, after)

    def _others(self, state: _State) -> list[ir.Node]:
        """An undeclared member of each class."""
        if state.is_ended:
            return []
        if self._is_counted_out(state):
            return [self._counted(state)]
        parts: list[ir.Node] = []
        after = replace(state, count=min(state.count + 1, self.most))
        for number, found in zip(self.class_numbers, self.classes, strict=True):
            open_here = [
                k
                for k, o in enumerate(self.keys.obligations)
                if state.pending >> k & 1 and number in o.classes
            ]
            parts += self._members(self.key_of(found), found.value, open_here, after, is_other=True)
        return parts

    def _is_counted_out(self, state: _State) -> bool:
        """Whether only the number of undeclared members is still open."""
        return not (state.left or state.pending) and (self.low > 0 or self.high is not None)

    def _counted(self, state: _State) -> ir.Node:
        """The remaining undeclared members, counted without a rule for each."""
        lowering = self.lowering
        member = ir.choice(
            *(
                ir.Sequence((self.key_of(c), lowering.terminals.colon, lowering.value(c.value)))
                for c in self.classes
            )
        )
        low = max(0, self.low - state.count - 1)
        high = None if self.high is None else self.high - state.count - 1
        more = ir.Repeat(ir.Sequence((lowering.terminals.comma, member)), low, high)
        return ir.Sequence((member, more, lowering.terminals.closing["}"]))

    def _members(
        self,
        key: ir.Node,
        value: Formula,
        open_here: list[int],
        after: _State,
        *,
        is_other: bool = False,
    ) -> list[ir.Node]:
        lowering = self.lowering
        parts: list[ir.Node] = []
        for met in _subsets(open_here):
            formula = self.logic.all_of([value, *(self.keys.obligations[k].value for k in met)])
            if formula == FALSE or lowering.emptiness.is_empty(formula):
                continue
            pending = after.pending & ~sum(1 << k for k in met)
            # A later member of the same name would count instead, so this one comes last.
            is_last = (is_other and not self.are_others_marked) and any(
                not self.is_free(self.keys.obligations[k]) for k in met
            )
            state = replace(after, pending=pending, is_ended=after.is_ended or is_last)
            parts.append(
                ir.Sequence(
                    (key, lowering.terminals.colon, lowering.value(formula), self._after(state))
                )
            )
        return parts

    def _after(self, state: _State) -> ir.Node:
        """What follows a member."""
        parts: list[ir.Node] = []
        if self.may_continue(state):
            parts.append(ir.Sequence((self.lowering.terminals.comma, ir.Call(self.rule(state)))))
        if self.may_close(state):
            parts.append(self.lowering.terminals.closing["}"])
        return ir.choice(*parts)


def _subsets(items: list[int]) -> Iterator[tuple[int, ...]]:
    return itertools.chain.from_iterable(
        itertools.combinations(items, size) for size in range(len(items) + 1)
    )
