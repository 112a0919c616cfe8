"""Rules that call themselves before they have read anything.

A rule that begins with itself cannot be entered by pushing a frame: there would be no end of frames.
The left-corner transform (Moore 2000, "Removing left recursion from context-free grammars", section 4)
turns it round. To read a word of rule A, the *goal*, start with a terminal, or a call that does not
lead back to A, with which any rule B of the same component begins; go on in B; at the end of B, go on
behind every call of B with which another rule D of the component begins, now in D. The end of A ends
the goal.

Here the transform is a view: the position q read for goal A is the position (A, q), made when a parser
gets there. So the quadratic copy never exists, and repetition counts and hidden left recursion (behind
rules that may be empty) need no special case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LeftRecursion:
    """The left-recursive components of a grammar.

    Attributes:
        component: for each rule, the rules that it begins with and that begin with it, itself
            included; empty if it does not begin with itself.
        returns: for each rule, the positions behind its calls with which rules of its component
            begin.
    """

    component: tuple[tuple[int, ...], ...]
    returns: tuple[tuple[int, ...], ...]


def find_left_recursion(left_calls: Sequence[Sequence[tuple[int, int]]]) -> LeftRecursion:
    """Args: ``left_calls``: for each rule the (rule, position behind) calls that it begins with."""
    successors = [[callee for callee, _ in calls] for calls in left_calls]
    component: list[tuple[int, ...]] = [()] * len(left_calls)
    returns: list[list[int]] = [[] for _ in left_calls]
    for members in strong_components(successors):
        if len(members) == 1 and members[0] not in successors[members[0]]:
            continue
        inside = frozenset(members)
        shared = tuple(members)
        for rule in members:
            component[rule] = shared
            for callee, behind in left_calls[rule]:
                if callee in inside:
                    returns[callee].append(behind)
    return LeftRecursion(tuple(component), tuple(tuple(dict.fromkeys(r)) for r in returns))


def strong_components(successors: Sequence[Sequence[int]]) -> list[list[int]]:
    """Strongly connected components (Tarjan 1972, without recursion), those that are reached first."""
    index: list[int] = [-1] * len(successors)
    low: list[int] = [0] * len(successors)
    is_done = [False] * len(successors)
    path: list[int] = []
    found: list[list[int]] = []
    count = 0
    for root in range(len(successors)):
        work = [(root, 0)] if index[root] < 0 else []
        while work:
            node, child = work.pop()
            if child == 0:
                index[node] = low[node] = count
                count += 1
                path.append(node)
            else:
                low[node] = min(low[node], low[successors[node][child - 1]])
            while child < len(successors[node]):
                target = successors[node][child]
                child += 1
                if index[target] < 0:
                    work += ((node, child), (target, 0))
                    break
                if not is_done[target]:
                    low[node] = min(low[node], index[target])
            else:
                if low[node] == index[node]:
                    first = _last_index(path, node)
                    members = path[first:]
                    del path[first:]
                    for member in members:
                        is_done[member] = True
                    found.append(members)
    return found


def _last_index(path: list[int], node: int) -> int:
    index = len(path) - 1
    while path[index] != node:
        index -= 1
    return index
