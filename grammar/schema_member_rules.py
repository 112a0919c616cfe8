"""Object forms -> rules.

A rule stands for "one or more members from here on and the closing brace" in a state: which names may
still come, what must still come, and how many members there were, as far as that matters. Where rules would
have to remember too much, keys are marked as new instead (`marks`): those of many names in any order, and
undeclared ones of which several must be there.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from syntagma.grammar import ir
from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.marks import NEW_KEY
from syntagma.grammar.schema_atoms import MembersForm
from syntagma.grammar.schema_item_rules import Lowering
from syntagma.grammar.schema_keys import KeyClass, KeySorter, Obligation, SortedKeys
from syntagma.grammar.schema_logic import FALSE, Formula
from syntagma.grammar.schema_sizes import Sizes

# Up to so many names in any order are remembered in rules, which are as many as the names have subsets.
MAX_REMEMBERED = 10
# Of so many keys there is always another one.
MANY_KEYS = 1 << 31


def object_node(lowering: Lowering, form: MembersForm, sorter: KeySorter) -> ir.Node:
    """``{`` members ``}``.

    Raises:
        UnsupportedGrammarError: several undeclared members must be there, out of few keys.
        GrammarLimitError: too many members to be written in any order.
    """
    if form.high is not None and form.low > form.high:
        return ir.NOTHING
    rules = MemberRules(lowering, form, sorter.sorted(form))
    if rules.is_any_order and not rules.keys.obligations:
        return rules.in_any_order(form)
    parts: list[ir.Node] = []
    if rules.may_continue(rules.start):
        parts.append(ir.Call(rules.rule(rules.start)))
    return lowering.terminals.enclosed("{}", *parts, may_be_empty=rules.may_close(rules.start))


@dataclass(frozen=True)
class _State:
    """Where an object is.

    Attributes:
        left: the names that may still come, as bits; marked ones stay.
        pending: the obligations that are still open, as bits.
        count: members so far, up to the largest number that matters.
        is_ended: whether no undeclared member may come any more.
    """

    left: int
    pending: int
    count: int = 0
    is_ended: bool = False


class MemberRules:
    """The rules of one object form."""

    def __init__(self, lowering: Lowering, form: MembersForm, keys: SortedKeys) -> None:
        self.lowering = lowering
        self.logic = lowering.logic
        self.keys = keys
        self.is_any_order = lowering.terminals.options.property_order == "any"
        empty = [lowering.emptiness.is_empty(value) for value in keys.values]
        self.written = sum(1 << i for i, is_empty in enumerate(empty) if not is_empty)
        self.required = sum(1 << i for i in keys.required)
        self.classes = [c for c in keys.classes if not lowering.emptiness.is_empty(c.value)]
        self.class_numbers = [i for i, c in enumerate(keys.classes) if c in self.classes]
        num_written = self.written.bit_count()
        is_closed = not self.classes
        needs_low = form.low > len(keys.required)
        needs_high = form.high is not None and (not is_closed or form.high < num_written)
        self.low = form.low if needs_low else 0
        self.high = form.high if needs_high else None
        self.most = max(self.low, self.high or 0)
        self.rules: dict[_State, int] = {}
        pending = (1 << len(keys.obligations)) - 1
        self.start = _State(self.written, pending)
        self.marked_names = self._names_to_mark()
        self.are_others_marked = self._must_mark_others(form)

    def _names_to_mark(self) -> int:
        """The names that are marked because rules could not remember so many, as bits."""
        if not self.is_any_order:
            return 0
        remembered = self.required
        for obligation in self.keys.obligations:
            remembered |= sum(1 << i for i in obligation.names)
        others = self.written & ~remembered
        return others if others.bit_count() > MAX_REMEMBERED else 0

    def _must_mark_others(self, form: MembersForm) -> bool:
        """Whether several undeclared members must be there, which therefore need different keys.

        Raises:
            UnsupportedGrammarError: there may not be enough keys.
        """
        # They are met in any combination.
        combinations = 1 << len(self.keys.obligations)
        self.logic.budget.check("max_branches", combinations, "combinations of needed members")
        wide = [o for o in self.keys.obligations if o.classes and not self._is_free(o)]
        are_counted = bool(self.classes) and self.low > len(self.keys.required) + 1
        if not are_counted and len(wide) < 2:
            return False
        sizes = Sizes(self.lowering.emptiness, self.lowering.sorter)
        are_many = [
            any(sizes.num_texts(clause, MANY_KEYS) >= MANY_KEYS for clause in found.keys)
            for found in self.keys.classes
        ]
        if are_counted and not any(are_many[i] for i in self.class_numbers):
            self._refuse(form.low_source)
        for obligation in wide:
            if not any(are_many[i] for i in obligation.classes):
                self._refuse(obligation.source)
        return True

    def _refuse(self, source: Formula) -> None:
        keyword, pointer = self.logic.origins.get(
            source, self.logic.origins.get(~source, ("minProperties", ""))
        )
        raise UnsupportedGrammarError(
            f"{keyword} cannot be enforced here: it asks for several undeclared properties, and their "
            "names could run out; declare the properties",
            keyword=keyword,
            pointer=pointer,
        )

    def _is_free(self, obligation: Obligation) -> bool:
        """Whether every value that an undeclared member may have meets an obligation."""
        return all(
            self.logic.all_of([self.keys.classes[i].value, obligation.value])
            == self.keys.classes[i].value
            for i in obligation.classes
        )

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

    def in_any_order(self, form: MembersForm) -> ir.Node:
        """An object whose names need only be told apart, ``{`` and ``}`` included."""
        if self.required & ~self.written:
            return ir.NOTHING
        required: list[ir.Node] = []
        optional: list[ir.Node] = []
        for i, name in enumerate(self.keys.names):
            if self.written >> i & 1:
                key, value = self.lowering.terminals.key(name), self.keys.values[i]
                part = self._part(key, value, ir.EMPTY)
                (required if i in self.keys.required else optional).append(part)
        texts = self.lowering.emptiness.texts
        mark = NEW_KEY if self.are_others_marked else ir.EMPTY
        repeated = [
            self._part(texts.node(texts.form(clause)), found.value, mark)
            for found in self.classes
            for clause in found.keys
        ]
        terminals = self.lowering.terminals
        members = ir.AnyOrder(
            tuple(required),
            tuple(optional),
            tuple(repeated),
            terminals.comma,
            form.low,
            form.high,
        )
        filled = ir.Sequence((members, terminals.closing["}"]))
        may_be_empty = not required and form.low == 0
        has_parts = members.has_word([True] * len(members.parts))
        return terminals.enclosed("{}", *[filled] * has_parts, may_be_empty=may_be_empty)

    def _part(self, key: ir.Node, value: Formula, mark: ir.Node) -> ir.Node:
        """A member as a part in any order."""
        is_terminal = isinstance(key, ir.Terminal)
        before = (mark,) if is_terminal else (key, mark)

        def body() -> ir.Node:
            return ir.Sequence((*before, self.lowering.terminals.colon, self.lowering.value(value)))

        call = ir.Call(self.lowering.declare("member", body))
        return ir.Sequence((key, call)) if is_terminal else call

    def rule(self, state: _State) -> int:
        """The rule of a state: one or more members and the closing brace."""
        rule = self.rules.get(state)
        if rule is None:
            body = functools.partial(self.body, state)
            rule = self.rules[state] = self.lowering.declare("members", body)
        return rule

    def body(self, state: _State) -> ir.Node:
        """A member, then the end or others; an optional one may be passed over."""
        if self.is_any_order:
            names = [i for i in range(len(self.keys.names)) if state.left >> i & 1]
            used = ~self.marked_names
            parts = [p for i in names for p in self._named(state, i, state.left & ~(used & 1 << i))]
            return ir.choice(*parts, *self._others(state))
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
        if self.marked_names >> index & 1:
            key = ir.Sequence((key, NEW_KEY))
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
            parts += self._members(self._key(found), found.value, open_here, after, is_other=True)
        return parts

    def _is_counted_out(self, state: _State) -> bool:
        """Whether only the number of undeclared members is still open."""
        return not (state.left or state.pending) and (self.low > 0 or self.high is not None)

    def _counted(self, state: _State) -> ir.Node:
        """The remaining undeclared members, counted without a rule for each."""
        lowering = self.lowering
        member = ir.choice(
            *(
                ir.Sequence((self._key(c), lowering.terminals.colon, lowering.value(c.value)))
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
                not self._is_free(self.keys.obligations[k]) for k in met
            )
            state = replace(after, pending=pending, is_ended=after.is_ended or is_last)
            parts.append(
                ir.Sequence(
                    (key, lowering.terminals.colon, lowering.value(formula), self._after(state))
                )
            )
        return parts

    def _key(self, found: KeyClass) -> ir.Node:
        """A key of a class, with its mark if it has one."""
        texts = self.lowering.emptiness.texts
        key = ir.choice(*(texts.node(texts.form(clause)) for clause in found.keys))
        return ir.Sequence((key, NEW_KEY)) if self.are_others_marked else key

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
