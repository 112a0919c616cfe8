"""Object forms -> rules, members in any order.

Which names have come is remembered by an `ir.AnyOrder`. Where members must be there that may have one name or
another, there is one for each choice.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from syntagma.grammar import ir
from syntagma.grammar.schema_atoms import MembersForm
from syntagma.grammar.schema_item_rules import Lowering
from syntagma.grammar.schema_keys import SortedKeys
from syntagma.grammar.schema_logic import Formula
from syntagma.grammar.schema_members import Members


@dataclass(frozen=True)
class _Key:
    """The key of a member that must be there.

    Attributes:
        index: of a name, or of a class of other keys.
        member: None: a name. Which of the members of a class it is, by the first obligation that it meets.
    """

    index: int
    member: int | None = None


# What must be there, and what its values must fit.
Needed = dict[_Key, Formula]


class MembersInAnyOrder(Members):
    """The members of one object form, in any order."""

    def __init__(self, lowering: Lowering, form: MembersForm, keys: SortedKeys) -> None:
        super().__init__(lowering, form, keys)
        self.form = form
        self.parts: dict[tuple[int, bool, Formula], ir.Node] = {}

    def node(self) -> ir.Node:
        """``{`` members ``}``.

        Raises:
            GrammarLimitError: too many choices of what must be there.
        """
        terminals = self.lowering.terminals
        filled: list[ir.Node] = []
        may_be_empty = False
        for needed in self._choices():
            members = self._members(needed)
            if members.has_word([True] * len(members.parts)):
                filled.append(ir.Sequence((members, terminals.closing["}"])))
            may_be_empty |= not needed and self.form.low == 0
        return terminals.enclosed("{}", *filled, may_be_empty=may_be_empty)

    def _members(self, needed: Needed) -> ir.AnyOrder:
        """One or more members, some of which must come."""
        values = self.keys.values
        optional = [
            self._part(_Key(i), values[i])
            for i in range(len(values))
            if self.written >> i & 1 and _Key(i) not in needed
        ]
        repeated = [
            self._part(_Key(i, 0), found.value)
            for i, found in zip(self.class_numbers, self.classes, strict=True)
        ]
        # A later member of the same key would count instead of a member that must be undeclared.
        final = [
            key
            for key, value in needed.items()
            if key.member is not None
            and not self.are_others_marked
            and value != self.keys.classes[key.index].value
        ]
        return ir.AnyOrder(
            required=tuple(self._part(k, v) for k, v in needed.items() if k not in final),
            optional=tuple(optional),
            repeated=tuple(repeated),
            separator=self.lowering.terminals.comma,
            min_count=self.form.low,
            max_count=self.form.high,
            final=tuple(self._part(key, needed[key]) for key in final),
        )

    def _choices(self) -> list[Needed]:
        """The choices of members that must be there; those that ask for more than another are left out."""
        if self.required & ~self.written:
            return []
        values = self.keys.values
        needed = {_Key(i): values[i] for i in sorted(self.keys.required)}
        if not self.keys.obligations:
            return [needed]
        candidates = [self._candidates(number) for number in range(len(self.keys.obligations))]
        self.logic.budget.check(
            "max_branches",
            math.prod(map(len, candidates)),
            "choices of members that must be there",
        )
        choices = [self._choice(needed, chosen) for chosen in itertools.product(*candidates)]
        found: list[Needed] = []
        for choice in sorted((c for c in choices if c is not None), key=len):
            if not any(known.items() <= choice.items() for known in found):
                found.append(choice)
        return found

    def _candidates(self, number: int) -> list[_Key]:
        """The keys that may meet an obligation."""
        obligation = self.keys.obligations[number]
        names = [_Key(i) for i in sorted(obligation.names) if self.written >> i & 1]
        classes = [i for i in sorted(obligation.classes) if i in self.class_numbers]
        return names + [_Key(i, member) for i in classes for member in range(number + 1)]

    def _choice(self, needed: Needed, chosen: tuple[_Key, ...]) -> Needed | None:
        """What must be there if each obligation is met by a chosen key; None if that cannot be."""
        choice = dict(needed)
        for key, obligation in zip(chosen, self.keys.obligations, strict=True):
            if key.member is None:
                value = self.keys.values[key.index]
            elif chosen[key.member] == key:
                value = self.keys.classes[key.index].value
            else:
                return None
            choice[key] = self.logic.all_of([choice.get(key, value), obligation.value])
        return None if any(map(self.lowering.emptiness.is_empty, choice.values())) else choice

    def _part(self, key: _Key, value: Formula) -> ir.Node:
        """A member; equal ones are made once."""
        is_name = key.member is None
        known = self.parts.get((key.index, is_name, value))
        if known is None:
            node = self.lowering.terminals.key(self.keys.names[key.index]) if is_name else None
            if node is None:
                node = self.key_of(self.keys.classes[key.index])
            known = self.parts[key.index, is_name, value] = self._member(node, value)
        return known

    def _member(self, key: ir.Node, value: Formula) -> ir.Node:
        """A key, a colon and a value; all but the key, if that is a terminal, is a rule."""
        first = key.parts[0] if isinstance(key, ir.Sequence) else key
        is_headed = isinstance(first, ir.Terminal)
        behind = key.parts[1:] if isinstance(key, ir.Sequence) else ()

        def body() -> ir.Node:
            rest = (*behind, self.lowering.terminals.colon, self.lowering.value(value))
            return ir.Sequence(rest if is_headed else (first, *rest))

        call = ir.Call(self.lowering.declare("member", body))
        return ir.Sequence((first, call)) if is_headed else call
