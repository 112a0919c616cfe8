"""Numba kernels on sets of small tuples, kept as ascending rows and found again by their content."""

from __future__ import annotations

from typing import Final

from syntagma.grammar.kernel_types import Int32Array, lean_kernel
from syntagma.grammar.parser_arrays import EMPTY, FIRST_PAIR, LAST_PAIR

# More rows than these are sorted in a heap.
FEW_ROWS: Final = 32

FACTOR: Final = 0x9E3779B1
MASK: Final = 0x7FFFFFFF


@lean_kernel
def _is_before(rows: Int32Array, one: int, other: int) -> bool:
    for column in range(rows.shape[1]):
        if rows[one, column] != rows[other, column]:
            is_before: bool = rows[one, column] < rows[other, column]
            return is_before
    return False


@lean_kernel
def _swap(rows: Int32Array, one: int, other: int) -> None:
    for column in range(rows.shape[1]):
        kept = rows[one, column]
        rows[one, column] = rows[other, column]
        rows[other, column] = kept


@lean_kernel
def _sift(rows: Int32Array, top: int, count: int) -> None:
    """Let the row at the top of a heap sink to its place."""
    while True:
        largest = top
        for child in range(2 * top + 1, min(2 * top + 3, count)):
            if _is_before(rows, largest, child):
                largest = child
        if largest == top:
            return
        _swap(rows, top, largest)
        top = largest


@lean_kernel
def sort_rows(rows: Int32Array, count: int) -> None:
    """Put the first rows of a table in ascending order."""
    if count <= FEW_ROWS:
        for i in range(1, count):
            k = i
            while k > 0 and _is_before(rows, k, k - 1):
                _swap(rows, k, k - 1)
                k -= 1
        return
    for top in range(count // 2 - 1, -1, -1):
        _sift(rows, top, count)
    for last in range(count - 1, 0, -1):
        _swap(rows, 0, last)
        _sift(rows, 0, last)


@lean_kernel
def without_doubles(rows: Int32Array, count: int) -> int:
    """Keep one of equal rows among the first, which are sorted; returns how many stay."""
    kept = min(count, 1)
    for i in range(1, count):
        if _is_before(rows, kept - 1, i):
            for column in range(rows.shape[1]):
                rows[kept, column] = rows[i, column]
            kept += 1
    return kept


@lean_kernel
def slot_of(
    rows: Int32Array,
    first: int,
    count: int,
    column: int,
    width: int,
    sets: Int32Array,
    members: Int32Array,
    slots: Int32Array,
) -> int:
    """Where the number of a set stands in a hash table, or would stand.

    Args:
        rows: the set's rows ``first`` to ``first + count`` in ascending order, ``width`` columns from
            ``column`` on.
        sets: int32[N, *], each set's rows are ``members[FIRST_PAIR:LAST_PAIR]``, the first columns.
        slots: int32[S], S a power of two, with a free slot.
    """
    mixed = int(count)
    for i in range(first, first + count):
        for c in range(column, column + width):
            mixed = ((mixed ^ (int(rows[i, c]) & MASK)) * FACTOR) & MASK
            mixed ^= mixed >> 15
    last = slots.size - 1
    slot = mixed & last
    while slots[slot] != EMPTY:
        number = slots[slot]
        begin = sets[number, FIRST_PAIR]
        is_same = sets[number, LAST_PAIR] - begin == count
        i = 0
        while is_same and i < count:
            for c in range(width):
                is_same = is_same and members[begin + i, c] == rows[first + i, column + c]
            i += 1
        if is_same:
            break
        slot = (slot + 1) & last
    return slot
