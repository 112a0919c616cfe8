"""Random choices enumerated: every outcome of a procedure with its exact probability."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Any, TypeVar

ResultT = TypeVar("ResultT", bound=Hashable)


class ScriptedChance:
    """A `Chance` that takes given branches, then always the first; it notes the ways not taken."""

    def __init__(self, script: tuple[int, ...]) -> None:
        self._script = script
        self.taken: list[int] = []
        self.num_branches: list[int] = []
        self.probability = Fraction(1)

    def draw(self, law: Any) -> int:
        total = sum(law, Fraction(0))
        possible = [i for i, p in enumerate(law) if p > 0]
        index = possible[self._branch(len(possible))]
        self.probability *= Fraction(law[index]) / total
        return index

    def happens(self, probability: Any) -> bool:
        assert 0 <= probability <= 1
        if probability in (0, 1):
            return bool(probability)
        happens = self._branch(2) == 0
        self.probability *= probability if happens else 1 - probability
        return happens

    def _branch(self, num_branches: int) -> int:
        step = len(self.taken)
        branch = self._script[step] if step < len(self._script) else 0
        self.taken.append(branch)
        self.num_branches.append(num_branches)
        return branch


def law_of(procedure: Callable[[ScriptedChance], ResultT]) -> dict[ResultT, Fraction]:
    """The law of what a procedure returns, by running it once for every way its choices can go."""
    law: dict[ResultT, Fraction] = defaultdict(Fraction)
    script: tuple[int, ...] | None = ()
    while script is not None:
        chance = ScriptedChance(script)
        result = procedure(chance)
        law[result] += chance.probability
        script = _next_script(chance)
    assert sum(law.values()) == 1
    return dict(law)


def _next_script(chance: ScriptedChance) -> tuple[int, ...] | None:
    """The last choice that has a branch left takes it; those after it start anew."""
    for step in reversed(range(len(chance.taken))):
        if chance.taken[step] + 1 < chance.num_branches[step]:
            return (*chance.taken[:step], chance.taken[step] + 1)
    return None
