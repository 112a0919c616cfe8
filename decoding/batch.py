"""Masks for a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from syntagma.decoding.matcher import Matcher
from syntagma.grammar.bitmask_kernels import gather_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fill_bitmasks(
    matchers: Sequence[Matcher], bitmask: NDArray[np.int32], rows: Sequence[int] | None = None
) -> None:
    """`Matcher.fill_bitmask` for many matchers of one compiler's grammars.

    Rows that are not known yet are computed one by one; then a single kernel call, without the
    interpreter's lock, copies all of them.

    Args:
        matchers: any number; grammars may differ.
        bitmask: int32[num_rows, num_words].
        rows: the row of each matcher; default: 0, 1, 2, …

    Raises:
        ValueError: the bitmask's type or width does not fit the vocabulary, a row is out of range, or
            there are not as many rows as matchers.
    """
    targets = np.arange(len(matchers)) if rows is None else np.asarray(rows, np.int64)
    if len(targets) != len(matchers):
        raise ValueError(f"{len(matchers)} matchers, but {len(targets)} rows")
    if len(matchers) == 0:
        return
    if targets.min() < 0 or targets.max() >= len(bitmask):
        raise ValueError(f"rows must be between 0 and {len(bitmask) - 1}")
    by_recognizer: dict[int, list[int]] = {}
    for index, matcher in enumerate(matchers):
        matcher.check_bitmask(bitmask)
        by_recognizer.setdefault(id(matcher.grammar.recognizer.store), []).append(index)
    for members in by_recognizer.values():
        _fill_from_one_store([matchers[i] for i in members], bitmask, targets[members])


def _fill_from_one_store(
    matchers: Sequence[Matcher], bitmask: NDArray[np.int32], targets: NDArray[np.int64]
) -> None:
    found = [
        None if matcher.state is None else matcher.grammar.recognizer.row(matcher.state)
        for matcher in matchers
    ]
    slots = [-1 if matcher.state is None else matcher.state.slot for matcher in matchers]
    arena = matchers[0].grammar.recognizer.store.arena
    gather_rows(arena.rows, np.array(slots, np.int32), bitmask, targets)
    for matcher, row, target in zip(matchers, found, targets.tolist(), strict=True):
        # While others were computed, or in another thread, a row's space may have been needed.
        if matcher.state is None or matcher.state.row is not row:
            matcher.fill_bitmask(bitmask, target)
