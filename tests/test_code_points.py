from __future__ import annotations

import itertools
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syntagma.grammar import code_points as cp

SMALL = 60
# Small numbers, and the neighbourhoods of the surrogates and of the last code point.
edges = st.one_of(
    st.integers(0, SMALL),
    st.integers(0xD7F8, 0xD808),
    st.integers(0xDFF8, 0xE008),
    st.integers(cp.MAX_CODE_POINT - 8, cp.MAX_CODE_POINT),
)
ranges = st.tuples(edges, edges).map(lambda ab: (min(ab), max(ab)))
range_lists = st.lists(ranges, max_size=6)
WINDOW = [
    *range(SMALL + 2),
    *range(0xD7F6, 0xD80A),
    *range(0xDFF6, 0xE00A),
    *range(cp.MAX_CODE_POINT - 10, cp.MAX_CODE_POINT + 1),
]


def members(points: cp.CodePointSet) -> set[int]:
    """The part of a set that lies in the window."""
    return {p for p in WINDOW if any(low <= p <= high for low, high in points)}


def scalars(given: list[cp.Range]) -> set[int]:
    return {p for p in members(tuple(given)) if not 0xD800 <= p <= 0xDFFF}


def check_form(points: cp.CodePointSet) -> None:
    """Sorted, disjoint, not adjacent, no surrogates."""
    for low, high in points:
        assert 0 <= low <= high <= cp.MAX_CODE_POINT
        assert high < 0xD800 or low > 0xDFFF
    for (_, high), (low, _) in itertools.pairwise(points):
        assert low > high + 1 or (high, low) == (0xD7FF, 0xE000)


@given(range_lists)
def test_ranges_are_merged_and_lose_surrogates(given: list[cp.Range]) -> None:
    points = cp.from_ranges(given)
    check_form(points)
    assert members(points) == scalars(given)


@given(range_lists)
def test_the_form_is_canonical(given: list[cp.Range]) -> None:
    """However a set is written, it becomes the same tuple."""
    points = cp.from_ranges(given)
    halves = [part for a, b in given for part in ((a, (a + b) // 2), ((a + b) // 2, b))]
    assert cp.from_ranges(halves[::-1]) == points
    assert cp.from_ranges(points) == points
    assert cp.complement(cp.complement(points)) == points


@given(range_lists, range_lists)
def test_set_algebra(left: list[cp.Range], right: list[cp.Range]) -> None:
    a, b = cp.from_ranges(left), cp.from_ranges(right)
    everything = members(cp.ANY)
    for result, expected in (
        (cp.union(a, b), members(a) | members(b)),
        (cp.intersection(a, b), members(a) & members(b)),
        (cp.difference(a, b), members(a) - members(b)),
        (cp.complement(a), everything - members(a)),
    ):
        check_form(result)
        assert members(result) == expected
    assert all(cp.contains(a, p) == (p in members(a)) for p in WINDOW)


def test_extremes() -> None:
    assert cp.complement(()) == cp.ANY
    assert cp.complement(cp.ANY) == ()
    assert cp.from_ranges(cp.SURROGATES) == ()
    assert cp.from_ranges([(0, cp.MAX_CODE_POINT)]) == cp.ANY
    assert cp.union() == ()
    assert cp.from_chars("") == ()
    assert cp.from_chars("cab\U0001f600") == ((97, 99), (0x1F600, 0x1F600))


SIZES = Counter(map(unicodedata.category, map(chr, range(cp.MAX_CODE_POINT + 1))))
CATEGORIES = sorted(SIZES)


@pytest.mark.parametrize("name", CATEGORIES)
def test_general_categories_partition_the_scalar_values(name: str) -> None:
    points = cp.general_category(name)
    check_form(points)
    borders = {p + d for r in points for p in r for d in (-1, 0, 1)}
    for point in borders & set(range(cp.MAX_CODE_POINT + 1)):
        is_member = unicodedata.category(chr(point)) == name and name != "Cs"
        assert cp.contains(points, point) == is_member
    size = sum(high - low + 1 for low, high in points)
    assert size == (0 if name == "Cs" else SIZES[name])


@pytest.mark.parametrize("group", "LMNPSZC")
def test_a_group_is_the_union_of_its_categories(group: str) -> None:
    parts = [cp.general_category(name) for name in CATEGORIES if name[0] == group]
    assert cp.general_category(group) == cp.union(*parts)


@pytest.mark.parametrize("name", ["", "X", "l", "LU", "Lx", "Letter", "Lul", " "])
def test_unknown_categories(name: str) -> None:
    with pytest.raises(KeyError):
        cp.general_category(name)
