"""Masks for a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from syntagma.decoding.matcher import Matcher

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fill_bitmasks(
    matchers: Sequence[Matcher], bitmask: NDArray[np.int32], rows: Sequence[int] | None = None
) -> None:
    """`Matcher.fill_bitmask` for many matchers.

    Finished rows are copied one by one. To gather them with one call of a kernel took four to seven times as
    long, for it has to be told where they are.

    Args:
        matchers: any number; grammars may differ.
        bitmask: int32[num_rows, num_words].
        rows: the row of each matcher; default: 0, 1, 2, …

    Raises:
        ValueError: the bitmask's type or width does not fit the vocabulary, a row is out of range, or
            there are not as many rows as matchers.
    """
    if rows is None:
        rows = range(len(matchers))
    if len(rows) != len(matchers):
        raise ValueError(f"{len(matchers)} matchers, but {len(rows)} rows")
    if len(matchers) == 0:
        return
    if min(rows) < 0 or max(rows) >= len(bitmask):
        raise ValueError(f"rows must be between 0 and {len(bitmask) - 1}")
    for matcher, row in zip(matchers, rows, strict=True):
        matcher.fill_bitmask(bitmask, row)
