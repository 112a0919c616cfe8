"""What matches were worth: learned within an output, remembered for later ones."""

from __future__ import annotations

import pytest

from syntagma.decoding.drafter import DraftScope
from syntagma.decoding.match_coverage import (
    INITIAL_COVERAGE,
    REMEMBERED_WEIGHT,
    Coverage,
    CoverageMemory,
)

FREE, CONSTRAINED = DraftScope(), DraftScope(grammar_key="g")


def test_coverage_learns_and_forgets() -> None:
    coverage = Coverage()
    assert coverage.shares.tolist() == pytest.approx(INITIAL_COVERAGE)
    for _ in range(200):
        coverage.tally[2] += [0.0, 1.0]
        assert coverage.shares[2] < 1
        assert coverage.tally[2, 1] <= 64
    assert coverage.shares[2] < 0.05


def test_outputs_start_from_what_earlier_ones_have_shown() -> None:
    memory = CoverageMemory()
    coverage = memory.begin(CONSTRAINED)
    for _ in range(200):
        coverage.tally[2] += [0.0, 1.0]
        assert coverage.shares[2] < 1
    memory.remember(CONSTRAINED, coverage)
    later = memory.begin(DraftScope(grammar_key="another", tenant="t"))
    assert later.shares[2] == pytest.approx(coverage.shares[2])
    assert later.tally[:, 1].max() == pytest.approx(REMEMBERED_WEIGHT)
    assert later.shares[3] == pytest.approx(INITIAL_COVERAGE[3])
    # Free text is another matter, and what goes on in one output does not change what is remembered.
    assert memory.begin(FREE).shares.tolist() == pytest.approx(INITIAL_COVERAGE)
    later.tally[3] += [0.0, 50.0]
    assert memory.begin(CONSTRAINED).shares[3] == pytest.approx(INITIAL_COVERAGE[3])
