"""Each kernel against its twin in `naive`, compiled, interpreted and with bounds checked."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from naive import (
    TOKENS,
    NaiveParser,
    allowed_ids,
    csr,
    naive_alive_terminals,
    naive_blocks,
    naive_complete_terminals,
    naive_determinise,
    naive_distance,
    naive_exits,
    naive_interior,
    naive_merge,
    naive_partition,
    naive_product,
    naive_state,
    naive_trie,
    naive_trim,
    naive_ways,
    nested,
    subtries,
)
from numpy.typing import NDArray

from syntagma.grammar import automata_kernels as kernels
from syntagma.grammar import code_points as cp
from syntagma.grammar import dfa as dfas
from syntagma.grammar import minimise_kernels, product_kernels, sparse_kernels, word_kernels
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.alive_kernels import (
    NUM_COLUMNS,
    has_byte,
    is_wide,
    know_bytes,
)
from syntagma.grammar.arenas import enter_sets, slots_for
from syntagma.grammar.bitmask_kernels import clear_bit, set_bit
from syntagma.grammar.config_kernels import (
    FIRST_CONFIGS,
    NUM_INCOMPLETE,
    NUM_MISSING,
    NUM_WIDE,
    PROGRESS_SIZE,
)
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_bytes
from syntagma.grammar.group_kernels import row_over_groups, subtree_groups, width_of
from syntagma.grammar.interior_kernels import (
    walk_against_base,
    walk_dense,
    walk_dense_against_base,
    walk_interior,
)
from syntagma.grammar.kernel_types import Int32Array, UInt8Array
from syntagma.grammar.lexer_arrays import next_state
from syntagma.grammar.lexer_kernels import union_of_lexers
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.limits import Budget
from syntagma.grammar.pair_kernels import (
    NEVER,
    NO_PARTNER,
    agreeing_groups,
    first_of_classes,
    pair_up,
    parting_distances,
)
from syntagma.grammar.parser_arrays import (
    CAN_END,
    EMPTY,
    GOTO_END,
    GOTO_START,
    IS_DOUBTFUL,
    LEXER_END,
    LEXER_START,
    NOT_LOWERED,
    ParserArrays,
)
from syntagma.grammar.parser_arrays import NUM_COLUMNS as PARSER_COLUMNS
from syntagma.grammar.partition_kernels import partition
from syntagma.grammar.read_kernels import read_bytes
from syntagma.grammar.row_set_kernels import slot_of, sort_rows, without_doubles
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.trie_kernels import build_trie, merge_subtrees
from syntagma.grammar.value_kernels import ZERO, num_ways, states_ahead, terminals_ahead
from syntagma.grammar.walk_kernels import TOO_MANY, WIDE_COLUMNS, walk_tokens

ALPHABET = b"abc"
WORDS = [bytes(w) for n in range(5) for w in itertools.product(ALPHABET, repeat=n)]


# Automata


@st.composite
def tables(draw: st.DrawFn, num_states: int = 9, num_classes: int = 3) -> list[list[int]]:
    """Random transitions with few live edges; state 0 is dead, state 1 the start."""
    size = draw(st.integers(2, num_states))
    width = draw(st.integers(1, num_classes))
    targets = st.one_of(st.just(0), st.integers(0, size - 1))
    rows = draw(
        st.lists(st.lists(targets, min_size=width, max_size=width), min_size=size, max_size=size)
    )
    return [[0] * width, *rows[1:]]


def labels_for(table: list[list[int]], largest: int = 1) -> st.SearchStrategy[list[int]]:
    size = len(table) - 1
    return st.lists(st.integers(0, largest), min_size=size, max_size=size).map(lambda t: [0, *t])


def as_table(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, np.int32)


def numbered(keys: list[int]) -> list[int]:
    return [keys.index(key) for key in keys]


@st.composite
def nfas(
    draw: st.DrawFn,
) -> tuple[int, list[tuple[int, int]], list[tuple[int, int, int]], set[int]]:
    size = draw(st.integers(1, 7))
    states = st.integers(0, size - 1)
    epsilon = draw(st.lists(st.tuples(states, states), max_size=8))
    edges = draw(st.lists(st.tuples(states, st.integers(0, 2), states), max_size=14))
    return size, epsilon, edges, draw(st.sets(states))


@given(nfas(), st.data())
def test_determinise(
    nfa: tuple[int, list[tuple[int, int]], list[tuple[int, int, int]], set[int]],
    data: st.DataObject,
) -> None:
    """The same subsets, met in the same order, with the same moves."""
    size, epsilon, edges, labelled = nfa
    important = labelled | {source for source, _, _ in edges}
    initial = data.draw(st.lists(st.integers(0, size - 1), max_size=4))
    expected = naive_determinise(epsilon, edges, important, initial)
    epsilon_start, epsilon_order = csr([s for s, _ in epsilon], size)
    edge_start, edge_order = csr([s for s, _, _ in edges], size)
    arguments = (
        epsilon_start,
        np.array([t for _, t in epsilon], np.int32)[epsilon_order],
        edge_start,
        np.array([c for _, c, _ in edges], np.int32)[edge_order],
        np.array([t for _, _, t in edges], np.int32)[edge_order],
        np.isin(np.arange(size), sorted(important)),
        np.array(initial, np.int32),
        3,
    )
    num_states, flat, offsets, members = kernels.determinise(*arguments, 1000, 100_000)
    table = flat.reshape(-1, 3).tolist()
    assert num_states == len(table) == len(expected) + 1 == len(offsets) - 1
    number = {key: i for i, key in enumerate(expected, start=1)}
    for key, moves in expected.items():
        state = number[key]
        subset = key[1] if isinstance(key, tuple) else key
        assert members[offsets[state] : offsets[state + 1]].tolist() == sorted(subset)
        assert table[state] == [number[moves[c]] if c in moves else 0 for c in range(3)]
    assert kernels.determinise(*arguments, num_states, 100_000)[0] == num_states
    if num_states > 2:
        assert kernels.determinise(*arguments, num_states - 1, 100_000)[0] == kernels.LIMIT_REACHED
        assert kernels.determinise(*arguments, num_states, 0)[0] == kernels.LIMIT_REACHED


def test_determinise_a_large_automaton() -> None:
    """Far more subsets than any first buffer holds: the n-th symbol from the end (2^n states)."""
    n = 11
    edges = [(0, 0, 0), (0, 1, 0), (0, 1, 1)]
    edges += [(k, c, k + 1) for k in range(1, n) for c in range(2)]
    edge_start, order = csr([s for s, _, _ in edges], n + 1)
    num_states, flat, offsets, members = kernels.determinise(
        np.zeros(n + 2, np.int32),
        np.zeros(0, np.int32),
        edge_start,
        np.array([c for _, c, _ in edges], np.int32)[order],
        np.array([t for _, _, t in edges], np.int32)[order],
        np.ones(n + 1, np.bool_),
        np.zeros(1, np.int32),
        2,
        1 << 20,
        1 << 30,
    )
    # The start subset is not entered again, hence one more.
    assert num_states == 2**n + 2
    subsets = {tuple(members[offsets[s] : offsets[s + 1]]) for s in range(2, num_states)}
    assert len(subsets) == 2**n
    for word in itertools.product(range(2), repeat=n):
        state = 1
        for symbol in word:
            state = flat[2 * state + symbol]
        assert (n in members[offsets[state] : offsets[state + 1]]) == (word[0] == 1)


@given(tables(), tables(), st.booleans(), st.data())
def test_product(
    left: list[list[int]], right: list[list[int]], is_difference: bool, data: st.DataObject
) -> None:
    width = min(len(left[0]), len(right[0]))
    left, right = [row[:width] for row in left], [row[:width] for row in right]
    left_labels, right_labels = data.draw(labels_for(left)), data.draw(labels_for(right))
    # The columns of both stand in an order of their own.
    left_class = data.draw(st.permutations(range(width)))
    right_class = data.draw(st.permutations(range(width)))
    expected = naive_product(
        [[row[c] for c in left_class] for row in left],
        [[row[c] for c in right_class] for row in right],
        is_difference=is_difference,
    )
    number = {pair: i for i, pair in enumerate(expected, start=1)}
    arguments = (
        as_table(left),
        as_table(right),
        np.array(left_labels, np.int32),
        np.array(right_labels, np.int32),
        np.array(left_class, np.int32),
        np.array(right_class, np.int32),
        is_difference,
    )
    num_states, table, labels = product_kernels.product(*arguments, 1000)
    assert num_states == len(table) == len(labels) == len(expected) + 1
    assert table[1:].tolist() == [
        [number[moves[c]] if c in moves else 0 for c in range(width)] for moves in expected.values()
    ]
    assert labels[1:].tolist() == [
        int(left_labels[a] and bool(right_labels[b]) != is_difference) for a, b in expected
    ]
    if num_states > 2:
        limit = data.draw(st.integers(2, num_states - 1))
        assert product_kernels.product(*arguments, limit)[0] == kernels.LIMIT_REACHED


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=20))
def test_joint_classes(pairs: list[tuple[int, int]]) -> None:
    lefts, rights = (np.array(side, np.int32) for side in zip(*pairs, strict=True))
    class_of, left_class, right_class = product_kernels.joint_classes(lefts, rights)
    assert class_of.tolist() == [list(dict.fromkeys(pairs)).index(pair) for pair in pairs]
    assert list(zip(left_class.tolist(), right_class.tolist(), strict=True)) == list(
        dict.fromkeys(pairs)
    )


code_point_sets = st.lists(st.sets(st.integers(0, 30), max_size=12), max_size=7)


@given(code_point_sets, st.data())
def test_partition(sets: list[set[int]], data: st.DataObject) -> None:
    """Symbols of one class are those that the same sets hold."""
    ranges = [cp.from_ranges((point, point) for point in points) for points in sets]
    starts = np.cumsum([0] + [len(r) for r in ranges]).astype(np.int32)
    flat = np.array([end for r in ranges for pair in r for end in pair], np.int32)
    count, bounds, class_of, set_start, set_classes = partition(flat, starts, 1000)
    of_symbol = [int(class_of[np.searchsorted(bounds, p, side="right") - 1]) for p in range(40)]
    assert bounds[0] == 0
    assert of_symbol == naive_partition(sets, range(40))
    assert count == max(of_symbol) + 1
    for index, points in enumerate(sets):
        found = set_classes[set_start[index] : set_start[index + 1]].tolist()
        assert sorted(found) == sorted({of_symbol[point] for point in points})
    if any(sets):
        assert partition(flat, starts, 0)[0] == kernels.LIMIT_REACHED


@given(tables(), st.data())
def test_canonical(table: list[list[int]], data: st.DataObject) -> None:
    """One form for all automata of a labelled language: trimmed, merged and numbered."""
    labels = data.draw(labels_for(table, 2))
    start = data.draw(st.integers(1, len(table) - 1))
    class_of = data.draw(st.permutations([*range(len(table[0])), *range(len(table[0]))]))
    found, found_classes, found_labels = minimise_kernels.canonical(
        as_table(table), np.array(class_of, np.int32), start, np.array(labels, np.int32)
    )
    trimmed, kept = naive_trim(table, start, labels)
    if not any(kept):
        assert found.tolist() == [[0], [0]] and not found_labels.any()
        assert not found_classes.any()
        return
    rows = found.tolist()
    assert len(rows) == len(set(naive_blocks(trimmed, kept)))
    assert len(set(naive_blocks(rows, found_labels.tolist()))) == len(rows)
    classes = found_classes.tolist()
    assert list(dict.fromkeys(classes)) == list(range(len(rows[0])))
    assert len(set(zip(*rows, strict=True))) == len(rows[0])
    seen = [1]
    for state in seen:
        seen += [t for t in dict.fromkeys(rows[state]) if t and t not in seen]
    assert seen == list(range(1, len(rows)))
    for word in itertools.product(range(len(class_of)), repeat=3):
        state, other = start, 1
        for symbol in word:
            state, other = table[state][class_of[symbol]], rows[other][classes[symbol]]
            assert labels[state] == found_labels[other]


@given(tables())
def test_move_runs(table: list[list[int]]) -> None:
    expected = []
    for row in table:
        runs = [
            (c, t) for c, (before, t) in enumerate(itertools.pairwise([0, *row])) if t != before
        ]
        expected += [len(runs), *itertools.chain.from_iterable(runs)]
    frozen = as_table(table)
    frozen.flags.writeable = False
    assert kernels.move_runs(frozen).tolist() == expected


@given(tables(), st.data())
def test_trim(table: list[list[int]], data: st.DataObject) -> None:
    labels = data.draw(labels_for(table, 2))
    start = data.draw(st.integers(1, len(table) - 1))
    trimmed, kept = minimise_kernels.trim(as_table(table), start, np.array(labels, np.int32))
    assert (trimmed.tolist(), kept.tolist()) == naive_trim(table, start, labels)


@given(tables(num_states=14), st.data())
@example([[0], [0]], None)
def test_minimise(table: list[list[int]], data: st.DataObject | None) -> None:
    labels = [0, 0] if data is None else data.draw(labels_for(table, 2))
    block = minimise_kernels.minimise(as_table(table), np.array(labels, np.int32)).tolist()
    assert numbered(block) == numbered(naive_blocks(table, labels))


def test_minimise_long_chains_and_cycles() -> None:
    """Splits that go all the way down, and cycles that fold onto their period."""
    size = 400
    chain = [[0]] + [[s + 1] for s in range(1, size - 1)] + [[0]]
    labels = np.zeros(size, np.int32)
    labels[-1] = 1
    assert len(set(minimise_kernels.minimise(as_table(chain), labels).tolist())) == size
    cycle = [[0]] + [[s % 360 + 1] for s in range(1, 361)]
    every_ninth = np.array([0] + [int(s % 9 == 0) for s in range(1, 361)], np.int32)
    block = minimise_kernels.minimise(as_table(cycle), every_ninth).tolist()
    assert numbered(block) == numbered(naive_blocks(cycle, every_ninth.tolist()))
    assert len(set(block)) == 10


@given(tables(), st.data())
def test_shortest_distances(table: list[list[int]], data: st.DataObject) -> None:
    accepting = [bool(label) for label in data.draw(labels_for(table))]
    found = minimise_kernels.shortest_distances(as_table(table), np.array(accepting)).tolist()
    assert found[1:] == [naive_distance(table, accepting, s) for s in range(1, len(table))]
    assert found[0] == -1


@given(tables(num_states=4, num_classes=12))
def test_equal_columns(table: list[list[int]]) -> None:
    columns = list(zip(*table, strict=True))
    assert minimise_kernels.equal_columns(as_table(table)).tolist() == [
        columns.index(c) for c in columns
    ]


@given(st.sets(st.lists(st.integers(0, 2), max_size=6).map(tuple), max_size=25))
def test_trie_of_sorted(words: set[tuple[int, ...]]) -> None:
    """Just the words, and no two states that are alike."""
    ordered = sorted(words)
    text = np.array([symbol for word in ordered for symbol in word], np.int32)
    ends = np.cumsum(np.array([len(word) for word in ordered], np.int64))
    table, labels = word_kernels.trie_of_sorted(text, ends, 3, text.size + 2)
    for word in (w for n in range(7) for w in itertools.product(range(3), repeat=n)):
        state = 1
        for symbol in word:
            state = int(table[state, symbol])
        assert labels[state] == (word in words)
    trimmed, kept = minimise_kernels.trim(table, 1, labels)
    block = naive_blocks(trimmed.tolist(), kept.tolist())
    assert len(set(block)) == len(trimmed) or not words


# Tries


tokens_lists = st.lists(
    st.lists(st.sampled_from(ALPHABET), max_size=5).map(bytes), max_size=25
).filter(any)


def flat_trie(tokens: list[bytes]) -> TokenTrie:
    order = sorted((i for i, t in enumerate(tokens) if t), key=lambda i: (tokens[i], -i))
    text = np.frombuffer(b"".join(tokens[i] for i in order), np.uint8)
    ends = np.cumsum([len(tokens[i]) for i in order]).astype(np.int64)
    return TokenTrie(*build_trie(text, ends, np.array(order, np.int32)))


@given(tokens_lists)
def test_build_trie(tokens: list[bytes]) -> None:
    assert nested(flat_trie(tokens)) == naive_trie((i, t) for i, t in enumerate(tokens) if t)


@given(tokens_lists, st.data())
def test_merge_subtrees(tokens: list[bytes], data: st.DataObject) -> None:
    """Whole, or without what begins with other bytes than some."""
    trie = flat_trie(tokens)
    roots = data.draw(st.lists(st.integers(0, trie.num_nodes - 1), unique=True))
    first = data.draw(st.sets(st.sampled_from(ALPHABET)))
    words = np.zeros((1, 4), np.uint64)
    for byte in first:
        words[0, byte >> 6] |= np.uint64(1) << np.uint64(byte & 63)
    merged = merge_subtrees(
        trie.byte,
        trie.subtree_end,
        trie.token_start,
        trie.token_ids,
        np.array(roots, np.int32),
        words,
    )
    in_preorder = list(subtries(nested(trie)))
    below = [
        {b: child for b, child in in_preorder[root].items() if b == TOKENS or b in first}
        for root in roots
    ]
    assert nested(TokenTrie(*merged)) == naive_merge(below)


# Lexers and walks


def terminal(words: set[bytes], loop: bytes) -> Dfa:
    """Some words, each followed by any number of bytes of a loop."""
    tree = ast.Concat(
        (
            ast.Automaton(dfas.from_words(words)),
            ast.Repeat(ast.CharSet(tuple((b, b) for b in sorted(set(loop)))), 0, None),
        )
    )
    return dfas.without_empty_word(dfa_from_bytes(tree, Budget.unlimited()))


terminals = st.builds(
    terminal,
    st.sets(st.lists(st.sampled_from(ALPHABET), min_size=1, max_size=4).map(bytes), min_size=1,
            max_size=4),
    st.lists(st.sampled_from(ALPHABET), max_size=2).map(bytes),
)  # fmt: skip


def register(pool: LexerPool, given: list[Dfa]) -> dict[int, Dfa]:
    """Distinct terminals by id."""
    return {pool.terminal_id(dfa): dfa for dfa in given}


def run(pool: LexerPool, state: int, text: bytes) -> int:
    for byte in text:
        state = next_state(pool.arrays, state, byte)
    return state


def complete_in(pool: LexerPool, state: int) -> list[int]:
    return pool.complete_in(state)


@given(st.lists(terminals, min_size=2, max_size=4), st.integers(1, 6))
def test_union_of_lexers(given: list[Dfa], limit: int) -> None:
    """New states where two or more terminals live, a terminal's own where one does."""
    pool = LexerPool()
    by_id = register(pool, given)
    if len(by_id) < 2:
        return
    starts = {t: pool.lexer((t,))[0] for t in by_id}
    first = pool.num_states
    (start,) = pool.lexer(tuple(sorted(by_id)))
    for text in WORDS:
        state = run(pool, start, text)
        alive = naive_alive_terminals(by_id, text)
        runs = {run(pool, starts[t], text) for t in alive}
        if len(alive) > 1:
            assert state >= first
            assert set(pool.members_of(state)) == runs
        else:
            assert {state} == (runs or {0})
            assert pool.members_of(state) == []
        assert set(complete_in(pool, state)) == naive_complete_terminals(by_id, text)
    num_new = pool.num_states - first
    again = union_of_lexers(
        np.array(sorted(starts.values()), np.int32),
        pool.arrays,
        int(pool.arrays.states[start, 1]),
        np.arange(256, dtype=np.uint8),
        first,
        0,
        0,
        limit,
    )
    assert again[0] == (num_new if num_new <= limit else kernels.LIMIT_REACHED)


def prefixes_of(trie: TokenTrie) -> list[bytes]:
    """The bytes on the way to each node."""
    path, found = [0] * (trie.max_depth + 1), []
    for byte, depth in zip(trie.byte.tolist(), trie.depth.tolist(), strict=True):
        path[depth] = byte
        found.append(bytes(path[1 : depth + 1]))
    return found


@given(
    st.lists(terminals, min_size=1, max_size=3),
    tokens_lists,
    st.sampled_from(WORDS[:13]),
    st.data(),
)
def test_walk_interior(
    given: list[Dfa], tokens: list[bytes], prefix: bytes, data: st.DataObject
) -> None:
    """From where a lexer of some terminals stands after a prefix, below any node."""
    pool = LexerPool()
    by_id = register(pool, given)
    start = run(pool, pool.lexer(tuple(sorted(by_id)))[0], prefix)
    if start == 0:
        return
    trie = flat_trie(tokens)
    where = prefixes_of(trie)
    top = data.draw(st.integers(0, trie.num_nodes - 1))
    text = where[top]
    rests = [t[len(text) :] if t.startswith(text) else b"" for t in tokens]
    row = np.zeros(2, np.int32)
    nodes, ended = walk_interior(*trie.arrays, trie.max_depth, top, pool.arrays, start, row)
    states = {t: naive_state(dfa, 1, prefix) for t, dfa in by_id.items()}
    living = {t: s for t, s in states.items() if s}
    assert allowed_ids(row, len(tokens)) == set().union(
        *(naive_interior(by_id[t], s, rests) for t, s in living.items())
    )
    assert {(where[n], int(t)) for n, t in zip(nodes, ended, strict=True)} == {
        (text + exit_, t) for t, s in living.items() for exit_ in naive_exits(by_id[t], s, rests)
    }
    if pool.is_dense_terminal(start):
        dense = pool.dense_terminal(pool.terminal_of(start))
        dense_row = np.zeros(2, np.int32)
        found = walk_dense(*trie.arrays, trie.max_depth, top, dense, start, dense_row)
        assert (dense_row.tolist(), found.tolist()) == (row.tolist(), nodes.tolist())


@given(
    st.lists(terminals, min_size=1, max_size=3),
    tokens_lists,
    st.sampled_from(WORDS[:13]),
    st.sampled_from(WORDS[:13]),
)
def test_walk_against_base(
    given: list[Dfa], tokens: list[bytes], prefix: bytes, other: bytes
) -> None:
    """From any base: the state's own row; the base's exits hold but below the differing nodes."""
    pool = LexerPool()
    by_id = register(pool, given)
    (start,) = pool.lexer(tuple(sorted(by_id)))
    state, base = run(pool, start, prefix), run(pool, start, other)
    if state == 0 or base == 0:
        return
    trie = flat_trie(tokens)
    where = prefixes_of(trie)
    rows = np.zeros((2, 2), np.int32)
    exits = []
    for row, from_state in zip(rows, (state, base), strict=True):
        found = walk_interior(*trie.arrays, trie.max_depth, 0, pool.arrays, from_state, row)
        exits.append({(where[n], int(t)) for n, t in zip(*found, strict=True)})
    corrected = rows[1].copy()
    nodes, ended, removed = walk_against_base(
        *trie.arrays, trie.max_depth, pool.arrays, state, base, corrected
    )
    assert corrected.tolist() == rows[0].tolist()
    gone = {where[n] for n in removed}
    reported = {(where[n], int(t)) for n, t in zip(nodes, ended, strict=True)}
    assert exits[0] == reported | {(e, t) for e, t in exits[1] if e not in gone}
    assert gone <= {e for e, _ in exits[1]}


def group_bits(group_of: UInt8Array, text: bytes) -> int:
    """The groups of some bytes."""
    return sum(1 << group for group in {int(group_of[byte]) for byte in text})


byte_groups = st.lists(st.integers(0, 2), min_size=256, max_size=256).map(
    lambda groups: np.array(groups, np.uint8)
)


@given(
    st.lists(terminals, min_size=2, max_size=2),
    tokens_lists,
    st.sampled_from(WORDS[:13]),
    byte_groups,
    st.integers(0, 7),
)
def test_walk_with_known_distances(
    given: list[Dfa], tokens: list[bytes], prefix: bytes, group_of: UInt8Array, groups: int
) -> None:
    """Two terminals read along: what a distance lets the walk skip does not change the result."""
    pool = LexerPool()
    left, right = (pool.terminal_id(dfa) for dfa in given)
    dense, other = pool.dense_terminal(left), pool.dense_terminal(right)
    state = run(pool, pool.start_of(left), prefix)
    if state == 0 or left == right:
        return
    looks = [(dense.class_map[b], other.class_map[b]) for b in range(256)]
    maps = dense.class_map, other.class_map, group_of
    representative = first_of_classes(*maps, groups)
    asked = {looks[b] for b in range(256) if groups >> group_of[b] & 1}
    assert sorted(looks[b] for b in representative) == sorted(asked)
    partner, queue, has_cycle = pair_up(
        dense, pool.start_of(left), other, pool.start_of(right), first_of_classes(*maps, 7)
    )
    first = dense.first_state
    assert (partner[queue - first] != NO_PARTNER).all()
    assert queue.size == np.count_nonzero(partner != NO_PARTNER)
    distance = parting_distances(dense, other, partner, queue, has_cycle, representative)
    letters = {b for b in ALPHABET if groups >> group_of[b] & 1}
    for met in queue.tolist():
        expected = naive_parting(pool, met, int(partner[met - first]), letters)
        assert distance[met - first] <= min(expected, NEVER)
    base = int(partner[state - first])
    if base == NO_PARTNER:
        return
    agreed, alive = agreeing_groups(dense, state, other, partner, group_of, 3)
    for byte in ALPHABET:
        after, base_after = pool.step(state, byte), pool.step(base, byte)
        if (after == 0) != (base_after == 0):
            assert not agreed >> group_of[byte] & 1
    living_bytes = bytes(b for b in range(256) if pool.step(state, b))
    assert alive == group_bits(group_of, living_bytes)
    trie = flat_trie(tokens)
    where = prefixes_of(trie)
    rows = np.zeros((2, 2), np.int32)
    found = [
        walk_interior(*trie.arrays, trie.max_depth, 0, pool.arrays, s, row)[0].tolist()
        for s, row in zip((state, base), rows, strict=True)
    ]
    height, below = subtree_groups(trie.byte, trie.subtree_end, group_of)
    added, removed = walk_dense_against_base(
        *trie.arrays,
        trie.max_depth,
        height,
        below,
        groups,
        dense,
        state,
        other,
        base,
        partner,
        distance,
        rows[1],
    )
    assert rows[1].tolist() == rows[0].tolist()
    assert sorted({*added.tolist(), *found[1]} - set(removed.tolist())) == found[0]
    row = np.zeros(2, np.int32)
    nodes = walk_dense(*trie.arrays, trie.max_depth, 0, dense, state, row)
    assert (row.tolist(), nodes.tolist()) == (rows[0].tolist(), found[0])
    tops = {w[0]: sum(v.startswith(w) for v in where) for w in where if len(w) == 1}
    sizes = np.zeros(256, np.int64)
    sizes[list(tops)] = list(tops.values())
    living = [n for b, n in tops.items() if pool.step(state, b)]
    assert width_of(pool.arrays, state, sizes) == sum(living)


@given(tokens_lists, byte_groups, st.integers(0, 7))
def test_groups_of_a_trie(tokens: list[bytes], group_of: UInt8Array, groups: int) -> None:
    """What is below each node, and which tokens have no other bytes."""
    trie = flat_trie(tokens)
    where = prefixes_of(trie)
    height, below = subtree_groups(trie.byte, trie.subtree_end, group_of)
    for node, text in enumerate(where):
        rests = [w[len(text) :] for w in where if w.startswith(text)]
        assert height[node] == max(map(len, rests))
        assert below[node] == group_bits(group_of, b"".join(rests))
    row = np.zeros(2, np.int32)
    row_over_groups(
        trie.byte,
        trie.subtree_end,
        trie.token_start,
        trie.token_ids,
        below,
        group_of,
        groups,
        row,
    )
    assert allowed_ids(row, len(tokens)) == {
        i for i, t in enumerate(tokens) if t and not group_bits(group_of, t) & ~groups
    }


def naive_parting(pool: LexerPool, left: int, right: int, letters: set[int]) -> int:
    """Letters of a shortest text after which only one of two states is alive, or only one complete."""
    seen, pairs = set(), {(left, right)}
    for length in range(12):
        if any((a == 0) != (b == 0) or bool(pool.complete_in(a)) != bool(pool.complete_in(b))
               for a, b in pairs):  # fmt: skip
            return length
        seen |= pairs
        pairs = {(pool.step(a, c), pool.step(b, c)) for a, b in pairs for c in letters} - seen
    return 1 << 30


Moves = dict[int, dict[int, set[int]]]


def parser_arrays(pool: LexerPool, moves: Moves, lowered: set[int]) -> ParserArrays:
    """Parser states as the kernels read them; those not lowered have no moves, and kernels give them none."""
    states = np.full((len(moves), PARSER_COLUMNS), NOT_LOWERED, np.int32)
    states[:, IS_DOUBTFUL] = 0
    lexers: list[int] = []
    gotos: list[tuple[int, int]] = []
    for state in sorted(lowered):
        by_terminal = moves[state]
        states[state, [LEXER_START, GOTO_START]] = len(lexers), len(gotos)
        lexers += pool.lexer(tuple(sorted(by_terminal))) if by_terminal else ()
        gotos += [(t, target) for t, targets in sorted(by_terminal.items()) for target in targets]
        states[state, [LEXER_END, GOTO_END]] = len(lexers), len(gotos)
        states[state, CAN_END] = state % 2
    return ParserArrays(
        states,
        np.array([*lexers, 0], np.int32),
        np.array([*gotos, (0, 0)], np.int32),
        np.full((4, 3), EMPTY, np.int32),
        np.zeros(0, np.int64),
    )


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(st.tuples(*[st.integers(-1, 3)] * width), min_size=1, max_size=90)
    )
)
def test_rows_are_sorted_and_told_apart(rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows, np.int32)
    sort_rows(table, len(rows))
    assert list(map(tuple, table.tolist())) == sorted(rows)
    count = without_doubles(table, len(rows))
    assert list(map(tuple, table[:count].tolist())) == sorted(set(rows))


@given(
    st.lists(st.sets(st.tuples(st.integers(-1, 2), st.integers(0, 2)), min_size=1), max_size=20),
    st.integers(0, 2),
)
def test_sets_are_found_by_their_rows(given: list[set[tuple[int, int]]], column: int) -> None:
    """The same number for the same set, whatever stands beside its rows."""
    sets = np.zeros((21, 2), np.int32)
    members = np.zeros((200, 2), np.int32)
    slots = slots_for(21)
    known: dict[frozenset[tuple[int, int]], int] = {}
    num_members = 0
    for content in given:
        rows = np.full((len(content) + 1, 5), 7, np.int32)
        rows[1:, column : column + 2] = sorted(content)
        slot = slot_of(rows, 1, len(content), column, 2, sets, members, slots)
        assert slots[slot] == known.get(frozenset(content), EMPTY)
        if slots[slot] == EMPTY:
            number = known[frozenset(content)] = len(known)
            members[num_members : num_members + len(content)] = sorted(content)
            sets[number] = num_members, num_members + len(content)
            num_members += len(content)
            slots[slot] = number
    again = slots_for(21)
    enter_sets(sets, members, 2, 0, len(known), again)
    assert sorted(again[again != EMPTY].tolist()) == list(range(len(known)))
    for content, number in known.items():
        rows = np.array(sorted(content), np.int32)
        assert again[slot_of(rows, 0, len(content), 0, 2, sets, members, again)] == number


@st.composite
def parsers(draw: st.DrawFn) -> tuple[LexerPool, dict[int, Dfa], Moves]:
    pool = LexerPool()
    by_id = register(pool, draw(st.lists(terminals, min_size=1, max_size=3)))
    size = draw(st.integers(1, 4))
    targets = st.integers(0, size - 1).map(lambda target: {target})
    by_terminal = st.dictionaries(st.sampled_from(sorted(by_id)), targets)
    return pool, by_id, {state: draw(by_terminal) for state in range(size)}


def initial_configs(parser: ParserArrays, starts: list[int]) -> Int32Array:
    found = [
        (p, int(s))
        for p in starts
        for s in parser.lexers[parser.states[p, LEXER_START] : parser.states[p, LEXER_END]]
    ]
    return np.array(found, np.int32).reshape(-1, 2)


def alive_table(pool: LexerPool) -> NDArray[np.uint64]:
    """Nothing is known of the pool's states yet."""
    return np.zeros((pool.num_states, NUM_COLUMNS), np.uint64)


@given(parsers(), tokens_lists, st.data())
def test_walk_tokens(
    given: tuple[LexerPool, dict[int, Dfa], Moves], tokens: list[bytes], data: st.DataObject
) -> None:
    """States are lowered as they are asked for; what is allowed only grows, up to the twin's row.

    Later walks look only where earlier ones were incomplete, unless that was in too many places. What is
    left out for being wide leads to tokens of its own."""
    pool, by_id, moves = given
    starts = sorted(data.draw(st.sets(st.sampled_from(sorted(moves)), min_size=1)))
    twin = NaiveParser(by_id, moves)
    trie = flat_trie(tokens)
    expected = {i for i, token in enumerate(tokens) if token and twin.read(starts, token)}
    lowered, seen = set(starts), set()
    row = np.zeros(4, np.int32)
    nodes = np.zeros(data.draw(st.integers(1, 4)), np.int32)
    missing = np.zeros(data.draw(st.integers(1, 8)), np.int32)
    max_width = data.draw(st.integers(0, trie.num_nodes + 1))
    wide = np.zeros((data.draw(st.integers(0, 6)), WIDE_COLUMNS), np.int32)
    progress = np.zeros(PROGRESS_SIZE, np.int64)
    progress[NUM_INCOMPLETE] = TOO_MANY
    while progress[NUM_INCOMPLETE]:
        if progress[NUM_INCOMPLETE] == TOO_MANY:
            nodes[0] = 0
            progress[NUM_INCOMPLETE] = 1
            progress[NUM_WIDE] = 0
        parser = parser_arrays(pool, moves, lowered)
        initial = initial_configs(parser, starts)
        walk_tokens(
            trie.with_children,
            trie.max_depth,
            nodes,
            pool.arrays,
            alive_table(pool),
            parser,
            initial,
            max_width,
            wide,
            row,
            missing,
            progress,
        )
        allowed = allowed_ids(row, 128)
        assert seen <= allowed <= expected
        seen = allowed
        asked = set(missing[: progress[NUM_MISSING]].tolist())
        assert asked <= set(moves) - lowered
        assert bool(asked) == bool(progress[NUM_INCOMPLETE])
        lowered |= asked
        progress[NUM_MISSING] = 0
    num_wide = int(progress[NUM_WIDE])
    left_out = {(p, s, node) for p, s, node in wide[:num_wide].tolist()}
    assert len(left_out) == num_wide
    at_root = set(map(tuple, initial.tolist()))
    assert {(p, s) for p, s, node in left_out if node == 0} <= at_root
    tables = alive_table(pool)
    children = trie.with_children
    for _, s, node in left_out:
        assert is_wide(children, pool.arrays, tables, node, s, max_width)
    if num_wide < len(wide):
        assert {(p, s) for p, s, node in left_out if node == 0} == {
            (p, s) for p, s in at_root if is_wide(children, pool.arrays, tables, 0, s, max_width)
        }
    where = prefixes_of(trie)
    for p, s, node in left_out:
        text = where[node]
        longer = {i: t for i, t in enumerate(tokens) if t.startswith(text) and t != text}
        seen |= {
            i for i, t in longer.items() if len(read_token(pool, moves, (p, s), t[len(text) :]))
        }
    assert seen == expected


def read_token(pool: LexerPool, moves: Moves, config: tuple[int, int], token: bytes) -> Int32Array:
    """The configs after a token, with every parser state lowered."""
    return read_bytes(
        np.frombuffer(token, np.uint8),
        pool.arrays,
        parser_arrays(pool, moves, set(moves)),
        np.array([config], np.int32),
        np.zeros(4, np.int32),
        np.zeros(PROGRESS_SIZE, np.int64),
    )


@given(st.lists(terminals, min_size=1, max_size=3), tokens_lists)
def test_what_is_known_of_lexer_states(dfas: list[Dfa], tokens: list[bytes]) -> None:
    """With which bytes they go on, and how many nodes a walk that looks two bytes ahead counts."""
    pool = LexerPool()
    register(pool, dfas)
    pool.lexer(tuple(range(pool.num_terminals)))
    trie = flat_trie(tokens)
    where = prefixes_of(trie)
    for max_width in (0, 2, 5, 1000):
        alive = alive_table(pool)
        for state in range(1, pool.num_states):
            root = pool.fallback_of(state) or state
            for node, text in enumerate(where):
                rests = {w[len(text) :] for w in where if w.startswith(text)}
                after = {rest: run(pool, root, rest[:2]) for rest in rests}
                size = sum(1 for rest in rests if rest and after[rest])
                for _ in range(2):
                    assert is_wide(
                        trie.with_children, pool.arrays, alive, node, state, max_width
                    ) == (size > max_width)
    going_on = {s: {b for b in range(256) if pool.step(s, b)} for s in range(1, pool.num_states)}
    for state in range(1, pool.num_states):
        know_bytes(pool.arrays, alive, state)
        assert going_on[state] == {byte for byte in range(256) if has_byte(alive, state, byte)}


@given(parsers(), st.sampled_from(WORDS[1:]), st.data())
def test_read_bytes(
    given: tuple[LexerPool, dict[int, Dfa], Moves], text: bytes, data: st.DataObject
) -> None:
    """The configs complete the same terminals in the same parser states as the twin's."""
    pool, by_id, moves = given
    starts = sorted(data.draw(st.sets(st.sampled_from(sorted(moves)), min_size=1)))
    lowered = set(starts)
    while True:
        parser = parser_arrays(pool, moves, lowered)
        missing = np.zeros(4, np.int32)
        progress = np.zeros(PROGRESS_SIZE, np.int64)
        configs = read_bytes(
            np.frombuffer(text, np.uint8),
            pool.arrays,
            parser,
            initial_configs(parser, starts),
            missing,
            progress,
        )
        if not progress[0]:
            break
        lowered |= set(missing[: progress[0]].tolist())
    found = list(map(tuple, configs.tolist()))
    assert sorted(set(found)) == found
    expected = NaiveParser(by_id, moves).read(starts, text)
    assert {p for p, _ in found} == {p for p, _, _ in expected}
    assert {(p, t) for p, s in found for t in complete_in(pool, s)} == {
        (p, t) for p, t, s in expected if by_id[t].accepting[s]
    }


def test_walks_with_more_configs_than_fit_at_first() -> None:
    """A hundred parser states at once, all going on in the first."""
    size = FIRST_CONFIGS + 40
    pool = LexerPool()
    by_id = register(pool, [dfas.from_words([b"a", b"aa"]), dfas.literal(b"ab")])
    everywhere = set(range(size))
    moves = {state: {t: {0} for t in by_id} for state in range(size)}
    parser = parser_arrays(pool, moves, everywhere)
    tokens = [b"a", b"aa", b"aab", b"aaab", b"abab", b"abb", b"b", b"aaba"]
    trie = flat_trie(tokens)
    twin = NaiveParser(by_id, moves)
    expected = {i for i, token in enumerate(tokens) if twin.read([0], token)}
    row = np.zeros(4, np.int32)
    progress = np.zeros(PROGRESS_SIZE, np.int64)
    progress[NUM_INCOMPLETE] = 1
    walk_tokens(
        trie.with_children,
        trie.max_depth,
        np.zeros(4, np.int32),
        pool.arrays,
        alive_table(pool),
        parser,
        initial_configs(parser, sorted(everywhere)),
        trie.num_nodes,
        np.zeros((4, WIDE_COLUMNS), np.int32),
        row,
        np.zeros(4, np.int32),
        progress,
    )
    assert allowed_ids(row, 128) == expected
    assert (progress[NUM_MISSING], progress[NUM_INCOMPLETE]) == (0, 0)
    start = int(parser.lexers[0])
    initial = np.array([(p, start) for p in range(size)], np.int32)
    for token in tokens:
        text = np.frombuffer(token, np.uint8)
        configs = read_bytes(
            text,
            pool.arrays,
            parser,
            initial,
            np.zeros(4, np.int32),
            np.zeros(PROGRESS_SIZE, np.int64),
        )
        found = twin.read(list(everywhere), token)
        assert {p for p, _ in configs.tolist()} == {p for p, _, _ in found}


numbers = st.builds(
    terminal,
    st.sets(st.lists(st.sampled_from(b"01a"), min_size=1, max_size=3).map(bytes), min_size=1,
            max_size=4),
    st.lists(st.sampled_from(b"01"), max_size=2).map(bytes),
)  # fmt: skip


@given(
    st.lists(numbers, min_size=1, max_size=3),
    st.sets(st.sampled_from(b"01a"), min_size=1).map(sorted),
    st.integers(1, 60),
    st.integers(1, 12),
)
def test_what_may_follow_a_lexer_state(
    given: list[Dfa], symbols: list[int], enough: int, max_states: int
) -> None:
    """In how many ways, in which states and completing what."""
    assert ord("0") == ZERO
    pool = LexerPool()
    by_id = register(pool, given)
    pool.lexer(tuple(sorted(by_id)))
    for state in range(1, pool.num_states):
        ways = num_ways(pool.arrays, state, np.array(symbols, np.uint8), enough)
        assert ways == naive_ways(pool, state, bytes(symbols), enough)
        reached = [state]
        for before in reached:
            after = dict.fromkeys(pool.step(before, byte) for byte in range(256))
            reached += [s for s in after if s and s not in reached]
        ahead = states_ahead(pool.arrays, state, max_states)
        assert ahead.tolist() == (reached if len(reached) <= max_states else [])
        assert terminals_ahead(pool.arrays, ahead).tolist() == [
            t for s in ahead.tolist() for t in complete_in(pool, s)
        ]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 95)), max_size=30))
@example([(True, i) for i in (0, 1, 30, 31, 32, 63, 64, 95)])
def test_bits_of_a_row(steps: list[tuple[bool, int]]) -> None:
    row, expected = np.zeros(3, np.int32), set()
    for is_set, token_id in steps:
        if is_set:
            set_bit(row, token_id)
            expected.add(token_id)
        else:
            clear_bit(row, token_id)
            expected.discard(token_id)
        assert allowed_ids(row, 96) == expected


def test_complete_terminals_of_a_lexer() -> None:
    pool = LexerPool()
    by_id = register(pool, [dfas.from_words([b"a", b"ab"]), dfas.from_words([b"ab", b"abc"])])
    (start,) = pool.lexer(tuple(sorted(by_id)))
    for text in WORDS[1:]:
        found = complete_in(pool, run(pool, start, text))
        assert set(found) == naive_complete_terminals(by_id, text)


# The same tests with other ways to run kernels


def run_this_file(environment: dict[str, str], *options: str) -> str:
    """This file's tests (but those of this section) in a fresh interpreter."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    command += ["-k", "not kernels_with", __file__]
    done = subprocess.run(
        command,
        env=os.environ | environment,
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_kernels_of_single_words_keep_the_lock() -> None:
    """Given up at each of thousands of calls it would never get to other threads; see `brief_kernel`."""
    for brief in (sparse_kernels.word_states, word_kernels.word_table):
        options = getattr(brief, "targetoptions", None)
        assert options is None or not options.get("nogil")  # None: run as plain Python


def test_kernels_without_compilation() -> None:
    """As plain Python; numpy warns where unsigned hashes wrap around."""
    output = run_this_file({"NUMBA_DISABLE_JIT": "1"}, "-W", "ignore:overflow:RuntimeWarning")
    assert " passed" in output


def test_kernels_with_bounds_checked(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Compiled with index checks, cached apart from the ordinary kernels."""
    cache = pytestconfig.cache
    directory = tmp_path if cache is None else cache.mkdir("numba-boundscheck")
    output = run_this_file({"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(directory)})
    assert " passed" in output
