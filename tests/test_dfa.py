"""Byte automata: canonical form and algebra, against sets of words."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from naive import check_canonical, naive_distance, naive_match, naive_words

from syntagma.grammar import dfa as dfas
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_bytes, dfa_from_code_points
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.regex_parser import parse_regex

BUDGET = Budget.unlimited()
ALPHABET = b"ab\xff"
LENGTH = 4
WORDS = [bytes(w) for n in range(LENGTH + 1) for w in itertools.product(ALPHABET, repeat=n)]
ALL_BYTES = bytes(range(256))

letters = st.sampled_from(list(ALPHABET))
words = st.lists(letters, max_size=5).map(bytes)
word_sets = st.frozensets(words, max_size=12)
any_words = st.frozensets(st.binary(max_size=6), max_size=20)


def byte_set(chars: bytes) -> ast.CharSet:
    return ast.CharSet(tuple((b, b) for b in sorted(set(chars))))


trees = st.recursive(
    st.one_of(
        words.map(ast.literal),
        st.lists(letters, max_size=3).map(bytes).map(byte_set),
        st.just(ast.CharSet(((0, 255),))),
        word_sets.map(dfas.from_words).map(ast.Automaton),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: ast.Concat(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: ast.Union(tuple(parts))),
        st.tuples(inner, st.integers(0, 2), st.sampled_from([None, 0, 1, 2])).map(
            lambda t: ast.Repeat(t[0], t[1], None if t[2] is None else t[1] + t[2])
        ),
    ),
    max_leaves=6,
)
languages = st.one_of(
    trees.map(lambda tree: dfa_from_bytes(tree, BUDGET)), word_sets.map(dfas.from_words)
)


def language(dfa: Dfa) -> set[bytes]:
    return naive_words(dfa, ALPHABET, LENGTH)


def same_arrays(left: Dfa, right: Dfa) -> bool:
    pairs = ((left.transitions, right.transitions), (left.byte_classes, right.byte_classes),
             (left.accepting, right.accepting))  # fmt: skip
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)


@given(trees)
def test_a_tree_has_the_language_of_its_definition(tree: ast.Node) -> None:
    dfa = dfa_from_bytes(tree, BUDGET)
    check_canonical(dfa)
    assert language(dfa) == {word for word in WORDS if naive_match(tree, word)}


@given(any_words)
@example(frozenset())
@example(frozenset([b""]))
@example(frozenset([b"", b"a", b"ab", b"abc"]))
@example(frozenset([b"ab", b"cb", b"xab", b"xcb"]))
@example(frozenset([bytes([b]) for b in range(256)]))
@example(frozenset([bytes([b, b]) for b in range(255)]))
@example(frozenset([bytes([b, 255 - b]) for b in range(256)]))
def test_from_words_accepts_just_the_words(given: frozenset[bytes]) -> None:
    dfa = dfas.from_words(given)
    check_canonical(dfa)
    assert all(dfa.accepts(word) for word in given)
    others = {word + b"a" for word in given} | {word[:-1] for word in given} | {b"", b"zz"}
    others |= {word[:-1] + bytes([(word[-1] + 1) % 256]) for word in given if word}
    assert not any(dfa.accepts(word) for word in others - given)
    assert dfa.is_empty == (not given)
    assert dfa.accepts_empty_word == (b"" in given)
    assert dfa.shortest_length == min(map(len, given), default=-1)


@given(any_words)
def test_equal_languages_have_equal_keys_however_they_are_built(given: frozenset[bytes]) -> None:
    """Words, a union of literals in any order, and a prefix tree with loops of length one."""
    ordered = sorted(given, key=lambda word: (len(word), word[::-1]))
    built = [
        dfas.from_words(given),
        dfas.from_words([*ordered, *ordered[::-1]]),
        dfa_from_bytes(ast.Union(tuple(ast.literal(word) for word in ordered)), BUDGET),
        dfa_from_bytes(
            ast.Union(tuple(ast.Automaton(dfas.from_words([word])) for word in ordered)), BUDGET
        ),
        dfa_from_bytes(ast.Concat((ast.Automaton(dfas.from_words(given)), ast.EMPTY)), BUDGET),
    ]
    for other in built[1:]:
        assert other == built[0] and hash(other) == hash(built[0])
        assert same_arrays(other, built[0])


@given(st.binary(min_size=1, max_size=40))
@example(ALL_BYTES[:255])
@example(ALL_BYTES[1:])
@example(ALL_BYTES)
@example(b"\0\0\0")
@example(b"\xff")
def test_a_literal_is_the_automaton_of_one_word(word: bytes) -> None:
    dfa = dfas.literal(word)
    assert dfa.accepts(word)
    assert dfa == dfas.from_words([word])
    assert same_arrays(dfa, dfa_from_bytes(ast.literal(word), BUDGET))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", [""]),
        ("[]", []),
        ("true|false|null", ["null", "true", "false"]),
        ("(|a|b)c?", ["", "a", "b", "c", "ac", "bc"]),
        ("é|è|\U0001f600", ["é", "è", "\U0001f600"]),
        ("a{2,4}", ["aa", "aaa", "aaaa"]),
        ("[0-9]", list("0123456789")),
    ],
)
def test_regex_and_words_meet_in_one_key(pattern: str, words: list[str]) -> None:
    tree = parse_regex(pattern, BUDGET).tree
    expected = dfas.from_words([word.encode() for word in words])
    assert dfa_from_code_points(tree, Encoder.UTF8, BUDGET) == expected


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("(a|b)*", "(a*b*)*"),
        ("a(ba)*", "(ab)*a"),
        ("(a|b)*a(a|b)", "(b*a)+(a|b)|(b*a)*b*a(a|b)"),
        ("a+", "aa*"),
        ("[^]*", "(.|\\s|\\S)*"),
        ("\\d|\\D", "[^]"),
        ("(a?){4}", "a{0,4}"),
        ("(a{2}){3}", "a{6}"),
        ("x*", "(x{3})*(|x|xx)"),
        ("\\p{L}|\\P{L}", "[\\0-\\u{10ffff}]"),
    ],
)
def test_patterns_of_one_language_have_one_key(left: str, right: str) -> None:
    built = [
        dfa_from_code_points(parse_regex(pattern, BUDGET).tree, encoder, BUDGET)
        for pattern in (left, right)
        for encoder in Encoder
    ]
    assert built[0] == built[2] and built[1] == built[3]


@given(languages, languages)
def test_different_languages_have_different_keys(left: Dfa, right: Dfa) -> None:
    if language(left) != language(right):
        assert left != right
    if left == right:
        assert same_arrays(left, right)


@given(languages, languages)
def test_intersection_and_difference(left: Dfa, right: Dfa) -> None:
    both = dfas.intersection(left, right, BUDGET)
    rest = dfas.difference(left, right, BUDGET)
    check_canonical(both)
    check_canonical(rest)
    assert language(both) == language(left) & language(right)
    assert language(rest) == language(left) - language(right)
    # What is known to be equal is equal as a key, beyond the words that were enumerated.
    assert both == dfas.intersection(right, left, BUDGET)
    assert dfas.difference(left, rest, BUDGET) == both
    assert dfas.difference(left, both, BUDGET) == rest
    assert dfas.intersection(both, rest, BUDGET).is_empty
    whole = dfa_from_bytes(ast.Union((ast.Automaton(both), ast.Automaton(rest))), BUDGET)
    assert whole == left


@given(languages)
def test_algebra_with_oneself_everything_and_nothing(dfa: Dfa) -> None:
    everything = dfa_from_bytes(ast.Repeat(ast.CharSet(((0, 255),)), 0, None), BUDGET)
    nothing = dfas.from_words([])
    assert dfas.intersection(dfa, dfa, BUDGET) == dfa
    assert dfas.intersection(dfa, everything, BUDGET) == dfa
    assert dfas.difference(dfa, nothing, BUDGET) == dfa
    assert dfas.difference(dfa, dfa, BUDGET) == nothing
    assert dfas.intersection(dfa, nothing, BUDGET) == nothing
    complement = dfas.difference(everything, dfa, BUDGET)
    assert dfas.difference(everything, complement, BUDGET) == dfa


@given(languages)
def test_without_empty_word(dfa: Dfa) -> None:
    result = dfas.without_empty_word(dfa)
    check_canonical(result)
    assert result == dfas.difference(dfa, dfas.from_words([b""]), BUDGET)
    assert not result.accepts_empty_word
    assert dfas.without_empty_word(result) is result


@given(languages, st.sets(letters))
def test_restrict_keeps_the_words_over_some_bytes(dfa: Dfa, kept: set[int]) -> None:
    spellable = np.zeros(256, np.bool_)
    spellable[list(kept)] = True
    result = dfas.restrict(dfa, spellable)
    check_canonical(result)
    assert language(result) == {word for word in language(dfa) if set(word) <= kept}
    over_kept = dfa_from_bytes(ast.Repeat(byte_set(bytes(kept)), 0, None), BUDGET)
    assert result == dfas.intersection(dfa, over_kept, BUDGET)


def test_restrict_to_all_bytes_changes_nothing() -> None:
    dfa = dfas.literal(b"ab")
    assert dfas.restrict(dfa, np.ones(256, np.bool_)) is dfa


def test_operations_on_an_automaton_that_tells_all_bytes_apart() -> None:
    """256 classes: no room for one more in a byte."""
    distinct = [bytes([b, (b + 1) % 256]) for b in range(256)]
    dfa = dfas.from_words(distinct)
    assert dfa.transitions.shape[1] == 256
    spellable = np.ones(256, np.bool_)
    spellable[[0, 7, 255]] = False
    kept = [word for word in distinct if not set(word) & {0, 7, 255}]
    assert dfas.restrict(dfa, spellable) == dfas.from_words(kept)
    assert dfas.intersection(dfa, dfa, BUDGET) == dfa
    assert dfas.without_empty_word(dfas.from_words([b"", *distinct])) == dfa
    tree = ast.Union((ast.Automaton(dfa), ast.literal(b"")))
    assert dfa_from_bytes(tree, BUDGET) == dfas.from_words([b"", *distinct])


@given(any_words)
def test_surrounded_puts_a_byte_at_both_ends(given: frozenset[bytes]) -> None:
    """The byte may stand inside of words, but not where a whole word could end."""
    words = {word.replace(b"'", b"").replace(b"a", b"/'") for word in given}
    words = {word for word in words if not any(word.startswith(w + b"'") for w in words)}
    dfa = dfas.surrounded(dfas.from_words(words), ord("'"))
    assert dfa == dfas.from_words([b"'" + word + b"'" for word in words])


@given(st.frozensets(st.binary(max_size=4).map(lambda word: word.replace(b"'", b"")), min_size=1))
def test_behind_the_first_byte(words: frozenset[bytes]) -> None:
    dfa = dfas.surrounded(dfas.from_words(words), ord("'"))
    behind = dfas.behind_first_byte(dfa)
    assert behind == dfas.from_words(word + b"'" for word in words)
    check_canonical(behind)


@given(languages)
def test_shortest_length_and_steps(dfa: Dfa) -> None:
    table, accepting = dfa.transitions.tolist(), dfa.accepting.tolist()
    assert dfa.shortest_length == naive_distance(table, accepting, 1)
    for word in WORDS[:20]:
        state = 1
        for byte in word:
            state = dfa.step(state, byte)
        assert dfa.accepts(word) == bool(dfa.accepting[state])


def test_arrays_are_read_only() -> None:
    dfa = dfas.literal(b"a")
    for array in (dfa.transitions, dfa.byte_classes, dfa.accepting):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_twenty_thousand_words() -> None:
    """Many words with shared beginnings and ends; minimal even so."""
    rng = random.Random(1)
    syllables = [b"ka", b"to", b"mi", b"ra", b"ne", b"so", b"lu", b"pe", b"ku", b"shi", b"", b"x"]
    given = {b"".join(rng.choices(syllables, k=rng.randint(0, 7))) for _ in range(60_000)}
    given = set(sorted(given)[:20_000])
    dfa = dfas.from_words(given)
    assert sum(dfa.accepts(word) for word in given) == len(given) == 20_000
    accepted = dfas.intersection(dfa, dfa, BUDGET)
    assert accepted == dfa
    assert _num_words(dfa) == len(given)


def _num_words(dfa: Dfa) -> int:
    """Words of a finite language, counted along its states in reverse topological order."""
    per_class = np.bincount(dfa.byte_classes, minlength=dfa.transitions.shape[1])
    counts = np.zeros(dfa.num_states, np.int64)
    for _ in range(dfa.num_states):
        ways = (counts[dfa.transitions] * per_class).sum(axis=1)
        after = ways + dfa.accepting
        after[0] = 0
        if np.array_equal(after, counts):
            return int(counts[1])
        counts = after
    raise AssertionError("the language is not finite")


def test_limits_name_what_ran_out() -> None:
    few = Budget(CompileLimits(max_dfa_states=50))
    left = dfa_from_bytes(ast.Repeat(ast.literal(b"a" * 11), 0, None), BUDGET)
    right = dfa_from_bytes(ast.Repeat(ast.literal(b"a" * 7), 0, None), BUDGET)
    assert dfas.intersection(left, right, BUDGET).num_states == 78
    for operation in (dfas.intersection, dfas.difference):
        with pytest.raises(GrammarLimitError) as caught:
            operation(left, right, few)
        assert caught.value.limit == "max_dfa_states"
    any_byte = ast.CharSet(((0, 255),))
    blow_up = ast.Concat((ast.Repeat(any_byte, 0, None), ast.literal(b"a"),
                          ast.Repeat(any_byte, 12, 12)))  # fmt: skip
    with pytest.raises(GrammarLimitError) as caught:
        dfa_from_bytes(blow_up, few)
    assert caught.value.limit == "max_dfa_states"
    with pytest.raises(GrammarLimitError) as caught:
        dfa_from_bytes(ast.Repeat(any_byte, 0, 60), Budget(CompileLimits(max_nfa_states=50)))
    assert caught.value.limit == "max_nfa_states"
