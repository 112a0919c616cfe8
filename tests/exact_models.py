"""Models with a table of fractions for every prefix, and the exact laws of what they write."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

Prefix: TypeAlias = tuple[int, ...]
LawAt: TypeAlias = Callable[[Prefix], Any]


def random_law(generator: random.Random, size: int) -> Any:
    """A law of small fractions; some entries may be 0."""
    while True:
        weights = [generator.choice((0, 1, 2, 3, 5)) for _ in range(size)]
        if sum(weights):
            return np.array([Fraction(w, sum(weights)) for w in weights], dtype=object)


class TableModel:
    """A law for every prefix, by chance but always the same."""

    def __init__(self, seed: int, vocab_size: int) -> None:
        self._generator = random.Random(seed)
        self._vocab_size = vocab_size
        self._laws: dict[Prefix, Any] = {}

    def __call__(self, prefix: Prefix) -> Any:
        if prefix not in self._laws:
            self._laws[prefix] = random_law(self._generator, self._vocab_size)
        return self._laws[prefix]


def masked(law_at: LawAt, is_legal: Callable[[Prefix], bool]) -> LawAt:
    """The law among legal tokens; where the model gives them nothing they are equally likely."""

    def law(prefix: Prefix) -> Any:
        given = law_at(prefix)
        legal = [is_legal((*prefix, token_id)) for token_id in range(given.size)]
        left = np.array([p if ok else Fraction(0) for p, ok in zip(given, legal, strict=True)])
        if left.sum() == 0:
            left = np.array([Fraction(int(ok)) for ok in legal])
        return left / left.sum()

    return law


def law_without(law_at: LawAt, is_over: Callable[[Prefix], bool]) -> dict[Prefix, Fraction]:
    """The law of outputs without speculation: products of the model's probabilities."""
    done: dict[Prefix, Fraction] = {}
    open_outputs: dict[Prefix, Fraction] = {(): Fraction(1)}
    while open_outputs:
        prefix, probability = open_outputs.popitem()
        if is_over(prefix):
            done[prefix] = probability
            continue
        for token_id, p in enumerate(law_at(prefix)):
            if p > 0:
                open_outputs[(*prefix, token_id)] = probability * p
    return done
