"""Repetitions of repetitions, by enumeration."""

from __future__ import annotations

import itertools

import pytest

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir

LETTER = ir.Terminal(dfas.literal(b"a"))
MOST = 40  # rounds; what is unbounded is cut here
COUNTS = [(low, high) for low in range(4) for high in (*range(5), None)]


def counts(node: ir.Node) -> set[int]:
    """How many letters the words of a node have, up to MOST."""
    match node:
        case ir.Terminal():
            return {1}
        case ir.Sequence(()):
            return {0}
        case ir.Choice(parts):
            return set[int]().union(*map(counts, parts))
        case ir.Repeat(part, low, high):
            own = counts(part)
            found: set[int] = set()
            rounds = {0}
            for count in range((MOST if high is None else high) + 1):
                found |= rounds if count >= low else set()
                rounds = {r + o for r, o in itertools.product(rounds, own) if r + o <= MOST}
            return found
        case _:
            raise AssertionError(node)


@pytest.mark.parametrize("outer", COUNTS, ids=str)
def test_repetitions_of_repetitions(outer: tuple[int, int | None]) -> None:
    for inner in COUNTS:
        once = ir.Repeat(LETTER, *inner)
        for part in (once, ir.optional(once), ir.repeat(ir.optional(LETTER), *inner)):
            expected = counts(ir.Repeat(part, *outer))
            assert counts(ir.repeat(part, *outer)) == expected, (inner, part)
            again = ir.repeat(ir.repeat(part, *outer), 0, 2)
            assert counts(again) == counts(ir.Repeat(ir.Repeat(part, *outer), 0, 2)), (inner, part)


def test_nests_are_one_repetition() -> None:
    node: ir.Node = LETTER
    for _ in range(20):
        node = ir.repeat(node, 0, 3)
    assert node == ir.Repeat(LETTER, 0, 3**20)
    assert ir.repeat(ir.repeat(LETTER, 2, 3), 2, 5) == ir.Repeat(LETTER, 4, 15)
    assert ir.repeat(ir.optional(LETTER), 3, 5) == ir.Repeat(LETTER, 0, 5)


def test_what_has_gaps_stays() -> None:
    for inner, outer in [((2, 2), (1, 2)), ((2, 3), (0, 1)), ((3, 4), (1, 2)), ((2, None), (0, 1))]:
        node = ir.repeat(ir.Repeat(LETTER, *inner), *outer)
        assert node in (
            ir.optional(ir.Repeat(LETTER, *inner)),
            ir.Repeat(ir.Repeat(LETTER, *inner), *outer),
        )


def test_counts_fit_a_file() -> None:
    node: ir.Node = LETTER
    for _ in range(8):
        node = ir.repeat(node, 0, 10**9)
        assert isinstance(node, ir.Repeat) and node.max_count is not None
        assert node.max_count < 1 << 63
