"""Terminals side by side in one numbering, against each terminal run by itself."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import (
    naive_alive_terminals,
    naive_complete_terminals,
    naive_next_state,
    naive_state,
)

from syntagma.grammar import dfa as dfas
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_bytes, dfa_from_code_points
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.lexer_arrays import LexerArrays
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.limits import Budget
from syntagma.grammar.regex_parser import parse_regex
from syntagma.grammar.terminals import OtherStrings, WordList, any_string

BUDGET = Budget.unlimited()
ALPHABET = b'ab"\xc3'
WORDS = [bytes(w) for n in range(5) for w in itertools.product(ALPHABET, repeat=n)]
PATTERNS = [
    "a", "b", "ab", "a*b", "a+", "[ab]+", "(a|b){2}", '"[ab]*"', '"[^"]*"', '"(a|aa)"', "[^]", "[^a]+",
    "(ab)+", "a?b?[ab]", "ä?a", "ä|ö",
]  # fmt: skip


def compiled(pattern: str) -> Dfa:
    return dfa_from_code_points(parse_regex(pattern, BUDGET).tree, Encoder.UTF8, BUDGET)


TERMINALS = {pattern: compiled(pattern) for pattern in PATTERNS}
pattern_lists = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=6)


def run(arrays: LexerArrays, state: int, text: bytes) -> int:
    """As the layout says, in plain Python."""
    for byte in text:
        state = naive_next_state(arrays, state, byte)
    return state


def complete_in(arrays: LexerArrays, state: int) -> list[int]:
    at = arrays.states[state, 3]
    return arrays.accepts[at + 1 : at + 1 + arrays.accepts[at]].tolist()


def check_lexer(
    arrays: LexerArrays, starts: tuple[int, ...], by_id: dict[int, Dfa], texts: list[bytes]
) -> None:
    for text in texts:
        states = [run(arrays, start, text) for start in starts]
        assert any(states) == bool(naive_alive_terminals(by_id, text)), text
        found = [t for state in states for t in complete_in(arrays, state)]
        assert len(found) == len(set(found))
        assert set(found) == naive_complete_terminals(by_id, text), text


@given(st.lists(pattern_lists, min_size=1, max_size=4))
def test_lexers_run_their_terminals_side_by_side(groups: list[list[str]]) -> None:
    """Several lexers in one pool; what one of them adds does not disturb the others."""
    pool = LexerPool()
    lexers = []
    for patterns in groups:
        by_id = {pool.terminal_id(TERMINALS[p]): TERMINALS[p] for p in patterns}
        lexers.append((pool.lexer(tuple(sorted(by_id))), by_id, pool.arrays))
    for starts, by_id, arrays_of_then in lexers:
        assert len(starts) == 1
        check_lexer(pool.arrays, starts, by_id, WORDS[::3])
        # Kernels may still hold the buffers of an earlier time.
        check_lexer(arrays_of_then, starts, by_id, WORDS[::7])


@given(pattern_lists)
def test_a_lexer_goes_on_in_the_states_of_the_last_terminal_alive(patterns: list[str]) -> None:
    pool = LexerPool()
    by_id = {pool.terminal_id(TERMINALS[p]): TERMINALS[p] for p in patterns}
    (start,) = pool.lexer(tuple(sorted(by_id)))
    for text in WORDS:
        alive = naive_alive_terminals(by_id, text)
        if len(alive) == 1:
            (last,) = alive
            (own_start,) = pool.lexer((last,))
            own = own_start - 1 + naive_state(by_id[last], 1, text)
            assert run(pool.arrays, start, text) == own


@given(pattern_lists)
def test_equal_languages_share_one_terminal(patterns: list[str]) -> None:
    pool = LexerPool()
    ids = [pool.terminal_id(TERMINALS[p]) for p in patterns]
    assert ids == [pool.terminal_id(compiled(f"(?:{p}|{p})")) for p in patterns]
    assert pool.num_terminals == len(set(patterns)) == len(set(ids))
    size = pool.num_states
    starts = pool.lexer(tuple(sorted(set(ids))))
    grown = pool.num_states
    assert pool.lexer(tuple(sorted(set(ids)))) == starts
    assert pool.num_states == grown >= size


def test_a_string_body_is_the_same_states_behind_any_key() -> None:
    pool = LexerPool()
    any_string = pool.terminal_id(compiled(r'"[a-z]*"'))
    (own,) = pool.lexer((any_string,))
    inside = run(pool.arrays, own, b'"zz')
    for key in ('"alpha"', '"beta"'):
        terminal = pool.terminal_id(dfas.literal(key.encode()))
        (start,) = pool.lexer(tuple(sorted((any_string, terminal))))
        assert run(pool.arrays, start, b'"zz') == inside
        assert set(complete_in(pool.arrays, run(pool.arrays, start, key.encode()))) == {
            any_string, terminal,
        }  # fmt: skip


def test_terminals_must_have_words_and_none_of_them_empty() -> None:
    pool = LexerPool()
    for dfa in (dfas.from_words([]), dfas.from_words([b""]), compiled("a*")):
        with pytest.raises(ValueError, match="must have words"):
            pool.terminal_id(dfa)
    assert (pool.num_terminals, pool.num_states) == (0, 1)
    assert run(pool.arrays, 0, b"a") == 0


def test_too_many_states_side_by_side_are_split_into_several_lexers() -> None:
    """Counting modulo 2, 3, 5, 7, 11 and 13 at once takes 30,030 states."""
    pool = LexerPool()
    by_id = {}
    for period in (2, 3, 5, 7, 11, 13):
        tree = ast.Repeat(ast.literal(b"a" * period), 1, None)
        dfa = dfa_from_bytes(tree, BUDGET)
        by_id[pool.terminal_id(dfa)] = dfa
    starts = pool.lexer(tuple(sorted(by_id)))
    assert len(starts) == 3
    assert pool.num_states < 5000
    check_lexer(pool.arrays, starts, by_id, [b"a" * n for n in (1, 6, 30, 35, 77, 143, 1001)])
    assert pool.lexer(tuple(sorted(by_id))) == starts


@settings(max_examples=10)
@given(st.permutations(PATTERNS))
def test_threads_agree_on_ids(patterns: list[str]) -> None:
    pool = LexerPool()
    with ThreadPoolExecutor(4) as executor:
        ids = list(executor.map(lambda p: pool.terminal_id(TERMINALS[p]), [*patterns, *PATTERNS]))
        assert dict(zip(patterns, ids, strict=False)) == dict(
            zip(PATTERNS, ids[len(patterns) :], strict=True)
        )
        pairs = list(itertools.combinations(sorted(set(ids)), 2))
        starts = list(executor.map(pool.lexer, [*pairs, *pairs]))
    assert starts[: len(pairs)] == starts[len(pairs) :]
    by_id = dict(zip(ids, (TERMINALS[p] for p in patterns), strict=False))
    for pair, lexer in zip(pairs[::9], starts[::9], strict=False):
        check_lexer(pool.arrays, lexer, {t: by_id[t] for t in pair}, WORDS[::11])


def language_of(pool: LexerPool, start: int, name: int) -> Dfa:
    """All texts that lead from a state to where a terminal is complete."""
    arrays = pool.arrays
    number = {0: 0, start: 1}
    rows = [[0] * 256]
    labels = [0]
    waiting = [start]
    for state in waiting:
        row = []
        for byte in range(256):
            after = naive_next_state(arrays, state, byte)
            if after not in number:
                number[after] = len(number)
                waiting.append(after)
            row.append(number[after])
        rows.append(row)
        labels.append(int(name in complete_in(arrays, state)))
    everything = np.arange(256, dtype=np.uint8)
    return dfas.from_table(np.array(rows, np.int32), everything, 1, np.array(labels, np.int32))


names = st.text(st.sampled_from('ab"\\/\n\x00\x7fäÄ€😀\ud800n'), max_size=5)
some_names = st.lists(names, max_size=6)
some_words = st.lists(st.binary(min_size=1, max_size=5), min_size=1, max_size=8)


@given(some_words)
def test_word_lists_become_tries(words: list[bytes]) -> None:
    pool = LexerPool()
    terminal = pool.terminal_id(WordList(words))
    (start,) = pool.lexer((terminal,))
    assert language_of(pool, start, terminal) == dfas.from_words(words)


@given(some_names)
def test_other_strings_are_the_difference(excluded: list[str]) -> None:
    pool = LexerPool()
    language = OtherStrings(excluded)
    terminal = pool.terminal_id(language)
    (start,) = pool.lexer((terminal,))
    (name,) = pool.complete_as((terminal,))
    assert language_of(pool, start, name) == language.dfa


@settings(max_examples=30)
@given(
    st.lists(some_names, min_size=1, max_size=3), st.lists(some_words, max_size=3), pattern_lists
)
def test_sparse_and_dense_terminals_side_by_side(
    excluded: list[list[str]], words: list[list[bytes]], patterns: list[str]
) -> None:
    pool = LexerPool()
    quoted = [WordList([b'"' + w + b'"' for w in listed]) for listed in words]
    languages = {
        pool.terminal_id(language): language
        for language in [
            *map(OtherStrings, excluded), *quoted, *(TERMINALS[p] for p in patterns), any_string(),
        ]
    }  # fmt: skip
    terminals = tuple(sorted(languages))
    starts = pool.lexer(terminals)
    assert len(starts) == 1
    for terminal, name in zip(terminals, pool.complete_as(terminals), strict=True):
        assert language_of(pool, starts[0], name) == languages[terminal].dfa


def test_other_strings_share_the_states_of_any_string() -> None:
    pool = LexerPool()
    terminals = tuple(
        sorted(pool.terminal_id(OtherStrings(n)) for n in (["alpha"], ["beta"], ["gamma"]))
    )
    (alone,) = pool.lexer(terminals[:1])
    (own,) = pool.lexer((pool.terminal_id(any_string()),))
    inside = run(pool.arrays, own, b'"x')
    copy = run(pool.arrays, alone, b'"x')
    assert pool.fallback_of(run(pool.arrays, alone, b'"al')) == copy
    assert pool.original_of(copy) == (inside, pool.terminal_id(any_string()))
    assert pool.original_of(inside) is None
    assert pool.fallback_of(inside) == 0
    assert len(set(pool.complete_as(terminals))) == 3
    assert pool.terminal_id(any_string()) not in pool.complete_as(terminals)


def test_num_bytes_grows_with_the_buffers() -> None:
    pool = LexerPool()
    before = pool.num_bytes
    pool.terminal_id(dfas.literal(b"ab" * 20_000))
    assert pool.num_bytes > before + 40_000 * 4
