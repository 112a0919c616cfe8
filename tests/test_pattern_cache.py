"""The cache of patterns: nothing but a cache."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syntagma.grammar import dfa as dfas
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import GrammarLimitError, GrammarSyntaxError
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.pattern_cache import PatternCache, StringConstraints

BUDGET = Budget(CompileLimits(max_seconds=math.inf))
PATTERNS = ["a", "^a", "b$", "^[ab]*$", "é|a{2,3}", ""]

constraints = st.builds(
    StringConstraints,
    searched=st.lists(st.sampled_from(PATTERNS), max_size=2).map(tuple),
    matched=st.lists(st.sampled_from(PATTERNS), max_size=1).map(tuple),
    min_length=st.integers(0, 2),
    max_length=st.sampled_from([None, 2, 5]),
    encoder=st.sampled_from(Encoder),
)


@given(st.lists(constraints, min_size=1, max_size=8), st.sampled_from([0, 4000, 1 << 20]))
def test_an_answer_does_not_depend_on_what_is_remembered(
    asked: list[StringConstraints], max_bytes: int
) -> None:
    cache = PatternCache(max_bytes)
    for each in [*asked, *asked]:
        assert cache.dfa(each, BUDGET) == each.build(BUDGET)


def test_the_same_constraints_are_built_once_while_they_fit() -> None:
    cache = PatternCache()
    first = cache.dfa(StringConstraints(searched=("^a+$",)), BUDGET)
    assert cache.dfa(StringConstraints(searched=("^a+$",)), BUDGET) is first
    assert cache.dfa(StringConstraints(matched=("^a+$",)), BUDGET) is not first
    quoted = cache.dfa(StringConstraints(searched=("^a+$",), is_quoted=True), BUDGET)
    assert quoted == dfas.surrounded(first, ord('"'))


def test_it_holds_no_more_than_its_bytes() -> None:
    cache = PatternCache(20_000)
    for count in range(1, 40):
        dfa = cache.dfa(StringConstraints(matched=(f"a{{{count}}}",)), BUDGET)
        assert dfa.num_bytes <= cache.num_bytes <= 20_000


def test_limits_and_errors_are_not_shared() -> None:
    cache = PatternCache()
    long = StringConstraints(matched=("[^]{100}",))
    assert cache.dfa(long, BUDGET).num_states > 100
    few = Budget(CompileLimits(max_dfa_states=50))
    for _ in range(2):
        with pytest.raises(GrammarLimitError):
            cache.dfa(long, few)
        with pytest.raises(GrammarSyntaxError):
            cache.dfa(StringConstraints(searched=("(",)), BUDGET)
    assert cache.dfa(long, BUDGET).num_states > 100


def test_many_threads_get_equal_automata() -> None:
    cache = PatternCache(3000)
    asked = [StringConstraints(searched=(f"^x{{{i % 5}}}$",)) for i in range(200)]

    def key(each: StringConstraints) -> bytes:
        found: Dfa = cache.dfa(each, BUDGET)
        return found.key

    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(key, asked))
    assert keys == [each.build(BUDGET).key for each in asked[:5]] * 40
