"""Computing over `ir.Node` trees bottom-up without recursion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from syntagma.grammar import ir

T = TypeVar("T")


def children(node: ir.Node) -> tuple[ir.Node, ...]:
    """The parts of a node; none for terminals and calls."""
    match node:
        case ir.Sequence(parts) | ir.Choice(parts):
            return parts
        case ir.Repeat(part, _, _):
            return (part,)
        case _:
            return ()


def fold(
    node: ir.Node,
    combine: Callable[[ir.Node, list[T]], T],
    *,
    shortcut: Callable[[ir.Node], T | None] = lambda _: None,
) -> T:
    """``combine(node, results of its parts)`` for a node, its parts first.

    Args:
        combine: called once for every node that is reached.
        shortcut: asked first; unless it returns None that is the result, and the parts of the node
            are not visited.
    """
    results: list[T] = []
    waiting: list[tuple[ir.Node, bool]] = [(node, False)]
    while waiting:
        current, is_ready = waiting.pop()
        parts = children(current)
        if is_ready:
            arguments = results[len(results) - len(parts) :]
            del results[len(results) - len(parts) :]
            results.append(combine(current, arguments))
            continue
        short = shortcut(current)
        if short is not None:
            results.append(short)
        else:
            waiting.append((current, True))
            waiting += [(part, False) for part in reversed(parts)]
    return results[0]


def rebuilt(node: ir.Node, parts: list[ir.Node]) -> ir.Node:
    """The same node over other parts."""
    match node:
        case ir.Sequence():
            return ir.Sequence(tuple(parts))
        case ir.Choice():
            return ir.Choice(tuple(parts))
        case ir.Repeat(_, min_count, max_count):
            return ir.Repeat(parts[0], min_count, max_count)
        case _:
            return node
