"""Sets of Unicode scalar values as sorted, disjoint, non-adjacent ranges."""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Iterable

Range = tuple[int, int]
CodePointSet = tuple[Range, ...]

MAX_CODE_POINT = 0x10FFFF
SURROGATES: CodePointSet = ((0xD800, 0xDFFF),)
ANY: CodePointSet = ((0, 0xD7FF), (0xE000, MAX_CODE_POINT))


def from_ranges(ranges: Iterable[Range]) -> CodePointSet:
    """Sort and merge ranges; surrogates are not scalar values and are dropped."""
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    result: list[Range] = []
    for low, high in merged:
        if high < 0xD800 or low > 0xDFFF:
            result.append((low, high))
            continue
        if low < 0xD800:
            result.append((low, 0xD7FF))
        if high > 0xDFFF:
            result.append((0xE000, high))
    return tuple(result)


def from_chars(chars: str) -> CodePointSet:
    """The set of the characters of a string."""
    return from_ranges((ord(c), ord(c)) for c in chars)


def complement(points: CodePointSet) -> CodePointSet:
    """All scalar values that are not in the set."""
    gaps: list[Range] = []
    next_low = 0
    for low, high in points:
        if low > next_low:
            gaps.append((next_low, low - 1))
        next_low = high + 1
    if next_low <= MAX_CODE_POINT:
        gaps.append((next_low, MAX_CODE_POINT))
    return from_ranges(gaps)


def union(*sets: CodePointSet) -> CodePointSet:
    """Everything in one of the sets."""
    return from_ranges(r for points in sets for r in points)


def intersection(left: CodePointSet, right: CodePointSet) -> CodePointSet:
    """Everything in both sets."""
    result: list[Range] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low = max(left[i][0], right[j][0])
        high = min(left[i][1], right[j][1])
        if low <= high:
            result.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(result)


def difference(left: CodePointSet, right: CodePointSet) -> CodePointSet:
    """Everything in the first set only."""
    return intersection(left, complement(right))


def contains(points: CodePointSet, point: int) -> bool:
    """Whether one code point is in the set."""
    return any(low <= point <= high for low, high in points)


@functools.lru_cache(maxsize=64)
def general_category(name: str) -> CodePointSet:
    """The code points of a Unicode general category (``Lu``) or group of them (``L``).

    Raises:
        KeyError: no code point has that category.
    """
    ranges = _ranges_by_category()
    chosen = [r for category, found in ranges.items() if category.startswith(name) for r in found]
    if not chosen or len(name) not in (1, 2):
        raise KeyError(name)
    return from_ranges(chosen)


@functools.cache
def _ranges_by_category() -> dict[str, list[Range]]:
    ranges: dict[str, list[Range]] = {}
    start, current = 0, unicodedata.category("\0")
    for point in range(1, sys.maxunicode + 2):
        category = unicodedata.category(chr(point)) if point <= sys.maxunicode else ""
        if category != current:
            ranges.setdefault(current, []).append((start, point - 1))
            start, current = point, category
    return ranges
