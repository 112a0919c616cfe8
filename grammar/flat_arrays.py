"""Slices and lists of byte strings as flat arrays, and checks of arrays that come from files."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from syntagma.grammar.array_file import StoreFileError
from syntagma.grammar.kernel_types import AnyArray


def check_members(arrays: Mapping[str, AnyArray], members: Mapping[str, tuple[str, int]]) -> None:
    """Make sure that arrays are there, with the right dtypes and numbers of dimensions.

    Raises:
        StoreFileError: one is not.
    """
    for name, expected in members.items():
        array = arrays.get(name)
        if array is None or (array.dtype.name, array.ndim) != expected:
            raise StoreFileError(f"array {name!r} is missing or of another type")


def is_partition(start: AnyArray, size: int) -> bool:
    """Whether the numbers cut ``size`` things into slices."""
    is_whole = start.size > 0 and start[0] == 0 and start[-1] == size
    return bool(is_whole and (start[1:] >= start[:-1]).all())


def are_below(numbers: AnyArray, bound: int) -> bool:
    """Whether all numbers are at least 0 and less than the bound."""
    return bool(((numbers >= 0) & (numbers < bound)).all())


def joined(words: Sequence[bytes]) -> tuple[AnyArray, AnyArray]:
    """(uint8 text, int64 end of each word in it)."""
    ends = np.cumsum([len(word) for word in words], dtype=np.int64)
    return np.frombuffer(b"".join(words), np.uint8), ends


def split(text: AnyArray, ends: AnyArray) -> list[bytes]:
    """The words that `joined` joined.

    Raises:
        StoreFileError: the ends are not those of words that fill the text.
    """
    start = np.concatenate([np.zeros(1, np.int64), ends])
    if not is_partition(start, text.size):
        raise StoreFileError("the ends of words do not fit their text")
    raw = text.tobytes()
    return [raw[first:last] for first, last in itertools.pairwise(start.tolist())]
