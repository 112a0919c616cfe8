"""Computing over `ir.Node` trees bottom-up without recursion."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from syntagma.grammar import ir

T = TypeVar("T")


def children(node: ir.Node) -> tuple[ir.Node, ...]:
    """The parts of a node; none for terminals and calls."""
    # Not by `match` or a union of types, which take much longer; the most frequent first.
    if isinstance(node, (ir.Call, ir.Terminal)):
        return ()
    return (node.part,) if isinstance(node, ir.Repeat) else node.parts


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
    # A node whose parts have results stands with their number, any other with -1.
    waiting: list[tuple[ir.Node, int]] = [(node, -1)]
    while waiting:
        current, num_parts = waiting.pop()
        if num_parts < 0:
            short = shortcut(current)
            if short is not None:
                results.append(short)
                continue
            parts = children(current)
            num_parts = len(parts)
            if parts:
                waiting.append((current, num_parts))
                waiting += [(part, -1) for part in reversed(parts)]
                continue
        start = len(results) - num_parts
        arguments = results[start:]
        del results[start:]
        results.append(combine(current, arguments))
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
        case ir.AnyOrder():
            given = iter(parts)
            required, final, optional, repeated = (
                tuple(itertools.islice(given, len(kind)))
                for kind in (node.required, node.final, node.optional, node.repeated)
            )
            return replace(
                node, required=required, final=final, optional=optional, repeated=repeated
            )
        case _:
            return node
