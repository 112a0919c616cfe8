"""What steps cost, from what steps took."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from syntagma.decoding.step_costs import PRIOR_SLOPE, StepCosts


def test_nothing_known() -> None:
    assert StepCosts(4).costs.tolist() == [1 + PRIOR_SLOPE * n for n in range(5)]


def test_means_of_what_was_measured() -> None:
    costs = StepCosts(16)
    for _ in range(3):
        costs.add(0, 2.0)
        costs.add(8, 4.0)
    assert np.allclose(costs.costs[[0, 4, 8]], [2.0, 3.0, 4.0])
    assert costs.costs[16] > 4.0


def test_old_steps_are_forgotten() -> None:
    costs = StepCosts(2)
    costs.add(0, 100.0)
    for _ in range(300):
        costs.add(0, 1.0)
    assert abs(costs.costs[0] - 1.0) < 0.01


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(1e-6, 10.0)), max_size=40))
def test_costs_are_positive_and_never_fall(steps: list[tuple[int, float]]) -> None:
    costs = StepCosts(20)
    for num_drafted, seconds in steps:
        costs.add(num_drafted, seconds)
    fitted = costs.costs
    assert fitted.shape == (21,)
    assert (fitted > 0).all()
    assert (np.diff(fitted) >= 0).all()


def test_a_size_that_is_no_longer_tried_gets_another_chance() -> None:
    """It was measured while the machine was busy; since then only steps without drafts were."""
    costs = StepCosts(4)
    for _ in range(50):
        costs.add(0, 2.0)
        costs.add(1, 9.0)
    assert costs.costs[1] > 8.0
    for _ in range(300):
        costs.add(0, 1.0)
    assert costs.costs[1] < 1.1
