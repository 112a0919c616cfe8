"""Stacks that are found by their frames, and components against reachability."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from syntagma.grammar.left_recursion import find_left_recursion, strong_components
from syntagma.grammar.lowering_arrays import BOTTOM
from syntagma.grammar.stack_kernels import NO_STACK, stack_of_joined
from syntagma.grammar.stacks import Frame, Stacks

# Each entry adds a stack: frames whose parents are picked among the stacks before.
builds = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), min_size=1, max_size=3), max_size=60
)


def build(plan: list[list[tuple[int, int]]]) -> tuple[Stacks, list[int]]:
    stacks = Stacks()
    numbers = [BOTTOM]
    for frames in plan:
        numbers.append(
            of(stacks, {(back, numbers[below % len(numbers)]) for back, below in frames})
        )
    return stacks, numbers


def of(stacks: Stacks, frames: set[Frame]) -> int:
    """The stack of a set of frames, as the kernel finds it."""
    joined = np.array(sorted(frames), np.int32)
    while True:
        found: int = stack_of_joined(stacks.arrays, joined, len(joined))
        if found != NO_STACK:
            return found
        stacks.grow()


@given(builds)
def test_equal_sets_of_frames_are_one_stack(plan: list[list[tuple[int, int]]]) -> None:
    stacks, _ = build(plan)
    found = [stacks.frames(stack) for stack in range(len(stacks))]
    assert len(set(found)) == len(found)
    for stack, frames in enumerate(found):
        assert of(stacks, set(frames)) == stack
        if stack != BOTTOM:
            assert all(below < stack for _, below in frames)


graphs = st.integers(1, 8).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(0, size - 1), max_size=3), min_size=size, max_size=size
    )
)


def reachable(successors: list[list[int]], start: int) -> set[int]:
    """What is reached in one step or more."""
    found: set[int] = set()
    waiting = list(successors[start])
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += successors[node]
    return found


@given(graphs)
def test_components_are_what_reaches_each_other(successors: list[list[int]]) -> None:
    reached = [reachable(successors, node) for node in range(len(successors))]
    expected = {
        frozenset([node]) | {other for other in reached[node] if node in reached[other]}
        for node in range(len(successors))
    }
    found = strong_components(successors)
    assert {frozenset(members) for members in found} == expected
    assert sum(map(len, found)) == len(successors)


@given(graphs)
def test_left_returns_are_those_within_the_component(successors: list[list[int]]) -> None:
    reached = [reachable(successors, node) for node in range(len(successors))]
    # The position behind the n-th call of a rule.
    calls = [
        [(callee, 100 * rule + n) for n, callee in enumerate(found)]
        for rule, found in enumerate(successors)
    ]
    recursion = find_left_recursion(calls)
    for rule in range(len(successors)):
        members = {other for other in reached[rule] if rule in reached[other]}
        assert set(recursion.component[rule]) == members
        assert set(recursion.returns[rule]) == {
            behind
            for caller in members
            for callee, behind in calls[caller]
            if callee == rule and rule in members
        }


def test_long_paths_need_no_recursion() -> None:
    size = 100_000
    circle = [[(node + 1) % size] for node in range(size)]
    assert [len(members) for members in strong_components(circle)] == [size]
    assert len(strong_components([*circle[:-1], []])) == size
