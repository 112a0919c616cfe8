"""The body of a rule as positions (Thompson's construction, 1968, from the end backwards).

What a node becomes depends only on the position behind it, so building starts at the rule's end and
equal tails of alternatives are the same positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from syntagma.grammar import ir
from syntagma.grammar.any_order import AnyOrderPart, Order
from syntagma.grammar.positions import CALL, END, FORK, NONE, ROUND, Loop, Positions


@dataclass(slots=True)
class _Choice:
    """A choice under construction: what is behind it, its branches, and the parts still to be built."""

    after: int
    branches: list[int]
    waiting: list[ir.Node]


@dataclass(slots=True)
class _Star:
    """The part of an uncounted repetition is complete."""

    fork: int
    after: int
    needs_one: bool


@dataclass(slots=True)
class _Counted:
    """The part of a counted repetition is complete."""

    repeat: ir.Repeat
    body: int
    after: int
    outer_rule: int


_Task = ir.Node | _Choice | _Star | _Counted


def compile_rule(
    positions: Positions, rule: int, body: ir.Node, number_of: Callable[[int], int]
) -> None:
    """Add a rule's positions and set its start.

    Args:
        positions: gets the new positions.
        rule: the rule's number there.
        body: its right-hand side.
        number_of: the number there of a rule of the grammar.
    """
    compiled = rule
    at = positions.end(rule)
    tasks: list[_Task] = [body]
    while tasks:
        task = tasks.pop()
        # Not by `match`, which takes much longer: this is a good part of what entering a rule costs.
        if isinstance(task, ir.Terminal):
            at = positions.read(task.language, at, rule)
        elif isinstance(task, ir.Sequence):
            tasks += task.parts
        elif isinstance(task, ir.Call):
            at = positions.add(CALL, number_of(task.rule), at, rule)
        elif isinstance(task, ir.Choice):
            choice = _Choice(at, [], [])
            for part in task.parts:
                if isinstance(part, ir.Terminal):
                    choice.branches.append(positions.read(part.language, at, rule))
                elif isinstance(part, ir.Call):
                    choice.branches.append(positions.add(CALL, number_of(part.rule), at, rule))
                else:
                    choice.waiting.append(part)
            if choice.waiting:
                tasks += (choice, choice.waiting.pop())
            else:
                at = positions.fork(choice.branches, rule)
        elif isinstance(task, _Choice):
            task.branches.append(at)
            if task.waiting:
                at = task.after
                tasks += (task, task.waiting.pop())
            else:
                at = positions.fork(task.branches, rule)
        elif isinstance(task, ir.AnyOrder):
            if task.has_word([True] * len(task.parts)):
                at = positions.order(_order_of(task, positions, number_of, at, rule))
            else:
                at = positions.fork([], rule)
        elif isinstance(task, ir.Repeat):
            rule, at = _begin_repeat(positions, task, rule, at, tasks)
        elif isinstance(task, _Star):
            positions.close_fork(task.fork, (at, task.after))
            at = at if task.needs_one else task.fork
        elif isinstance(task, _Counted):
            rule = task.outer_rule
            at = _end_counted(positions, task, at)
    positions.starts[compiled] = at


def _begin_repeat(
    positions: Positions, repeat: ir.Repeat, rule: int, at: int, tasks: list[_Task]
) -> tuple[int, int]:
    """Plan a repetition; the rule and the position that its part is built in and before."""
    low, high = repeat.min_count, repeat.max_count
    if high is not None and high < low:
        return rule, positions.fork([], rule)
    if high == 0:
        return rule, at
    if high == 1:
        tasks.append(repeat.part if low else ir.optional(repeat.part))
        return rule, at
    if high is None and low <= 1:
        fork = positions.open_fork(rule)
        tasks += (_Star(fork, at, low == 1), repeat.part)
        return rule, fork
    body = positions.new_rule()
    tasks += (_Counted(repeat, body, at, rule), repeat.part)
    return body, positions.end(body)


def _end_counted(positions: Positions, task: _Counted, start: int) -> int:
    positions.starts[task.body] = start
    # Rounds that may be empty need not be done: ask for none at least.
    min_count = 0 if may_be_empty(positions, start) else task.repeat.min_count
    positions.loops.append(Loop(task.body, min_count, task.repeat.max_count, task.after))
    return positions.round(len(positions.loops) - 1, 0)


def _order_of(
    node: ir.AnyOrder,
    positions: Positions,
    number_of: Callable[[int], int],
    after: int,
    rule: int,
) -> Order:
    parts = []
    for part in node.parts:
        match part:
            case ir.Call(callee):
                parts.append(AnyOrderPart(NONE, number_of(callee)))
            case ir.Sequence((ir.Terminal(language), ir.Call(callee))):
                head = positions.language_number(language)
                parts.append(AnyOrderPart(head, number_of(callee)))
            case _:
                raise ValueError("a part in any order is a call, or a terminal and a call")
    num_required = node.num_required
    num_single = num_required + len(node.optional)
    is_bounded = node.max_count is not None and (node.repeated or node.max_count < num_single)
    return Order(
        parts=tuple(parts),
        num_required=num_required,
        num_single=num_single,
        final=((1 << len(node.final)) - 1) << len(node.required),
        separator=positions.language_number(node.separator.language),
        low=node.min_count if node.min_count > num_required else 0,
        high=node.max_count if is_bounded else None,
        after=after,
        rule=rule,
        alive=(1 << len(parts)) - 1,
    )


def may_be_empty(positions: Positions, start: int) -> bool:
    """Whether the end of a rule can be reached without reading or calling."""
    seen = {start: None}
    waiting = [start]
    for position in waiting:
        kind, label, _ = positions.records[position]
        found: tuple[int, ...] = ()
        if kind == END:
            return True
        if kind == FORK:
            found = positions.forks[label]
        elif kind == ROUND and positions.loops[label].min_count == 0:
            found = (positions.loops[label].after,)
        for target in found:
            if target not in seen and target != NONE:
                seen[target] = None
                waiting.append(target)
    return False
