"""The members of objects whose schemas are plain, each a rule of its own that is written on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syntagma.grammar import ir
from syntagma.grammar.schema_forms import ObjectForm

if TYPE_CHECKING:
    from syntagma.grammar.from_json_schema import Lowering


class PlainMembers:
    """The rules of one object's members, in the order of the schema.

    Rule ``i`` is one or more of the members from the ``i``-th on and the closing brace, so that a rule
    ends where the object does and all calls between these rules are tail calls. The last rule is for
    undeclared members.
    """

    def __init__(self, form: ObjectForm) -> None:
        self.form = form
        self.rules: dict[int, int] = {}
        self.num_rules = len(form.names) + (form.additional is not None)
        required = form.required
        self.last_required = (
            max((i for i, name in enumerate(form.names) if name in required), default=-1)
            if required
            else -1
        )

    def rule(self, index: int, lowering: Lowering) -> int:
        """The rule of the members from an index on."""
        rule = self.rules.get(index)
        if rule is None:
            rule = self.rules[index] = lowering.declare("members", (self, index))
        return rule

    def body(self, index: int, lowering: Lowering) -> ir.Node:
        """A member, then the end or others; an optional one may be passed over."""
        form, terminals = self.form, lowering.terminals
        if index == len(form.names):
            key = terminals.key_other_than(form.declared)
            value = lowering.value(form.additional or ())
            after = self.after(index, lowering)
            return ir.Sequence((key, terminals.colon, value, after))
        name = form.names[index]
        value = lowering.member_value(form, name)
        present = lowering.member(name, value, self.after(index + 1, lowering))
        if name in form.required or index + 1 == self.num_rules:
            return present
        return ir.Choice((present, ir.Call(self.rule(index + 1, lowering))))

    def after(self, index: int, lowering: Lowering) -> ir.Node:
        """What follows a member if those from an index on are still to come."""
        terminals = lowering.terminals
        closing = terminals.closing["}"]
        if index == self.num_rules:
            return closing
        more = ir.Sequence((terminals.comma, ir.Call(self.rule(index, lowering))))
        return more if index <= self.last_required else ir.Choice((more, closing))


@dataclass(frozen=True)
class PlainMember:
    """What follows the key of a member where members come in any order.

    Attributes:
        form: the object; None: the value is only of a type.
        name: the member, or the type; None: an undeclared one.
        key: what comes first, for keys that are not one terminal.
    """

    form: ObjectForm | None
    name: str | None
    key: ir.Node = ir.EMPTY

    def body(self, lowering: Lowering) -> ir.Node:
        """The colon and the value."""
        if self.form is None:
            value = lowering.plain_value(self.name or "")
        elif self.name is None:
            value = lowering.value(self.form.additional or ())
        else:
            value = lowering.member_value(self.form, self.name)
        return ir.Sequence((self.key, lowering.terminals.colon, value))
