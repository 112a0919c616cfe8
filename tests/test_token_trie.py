"""Tries in preorder against nested dictionaries."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from naive import naive_merge, naive_trie, nested, subtries

from syntagma.grammar import Vocabulary
from syntagma.grammar.store_entry import Residuals
from syntagma.grammar.token_trie import TokenTrie

few_letters = st.lists(st.sampled_from([0, 97, 98, 255]), max_size=6).map(bytes)
token_lists = st.lists(st.one_of(few_letters, st.binary(max_size=4)), max_size=30).filter(any)


def trie_of(tokens: list[bytes]) -> TokenTrie:
    vocabulary = Vocabulary([*tokens, b""], stop_ids=[len(tokens)])
    return TokenTrie.from_vocabulary(vocabulary)


@given(token_lists)
@example([b"a"])
@example([b"a", b"a", b"", b"a"])
@example([b"abc", b"ab", b"a", b"b"])
@example([bytes([b]) for b in range(256)])
@example([b"x" * 400, b"x" * 300, b"x" * 270 + b"y" * 100])
def test_the_trie_holds_every_token_at_its_node(tokens: list[bytes]) -> None:
    trie = trie_of(tokens)
    expected = naive_trie((i, token) for i, token in enumerate(tokens) if token)
    assert nested(trie) == expected
    assert trie.num_nodes == sum(1 for _ in subtries(expected))
    assert trie.max_depth == max(map(len, tokens))
    assert sorted(trie.token_ids.tolist()) == [i for i, token in enumerate(tokens) if token]


@given(token_lists)
def test_tokens_of_a_subtree_are_one_slice(tokens: list[bytes]) -> None:
    trie = trie_of(tokens)
    for node, subtrie in enumerate(subtries(nested(trie))):
        below = [i for part in subtries(subtrie) for i in part["tokens"]]
        first, last = trie.token_start[node], trie.token_start[trie.subtree_end[node]]
        assert sorted(trie.token_ids[first:last].tolist()) == sorted(below)


@given(token_lists, st.data())
def test_below_is_the_union_of_what_follows(tokens: list[bytes], data: st.DataObject) -> None:
    """Any set of nodes: none, leaves, the root, or some inside each other."""
    trie = trie_of(tokens)
    nodes = data.draw(st.lists(st.integers(0, trie.num_nodes - 1), unique=True, max_size=12))
    in_preorder = list(subtries(nested(trie)))
    merged = trie.below(np.array(nodes, np.int32))
    assert nested(merged) == naive_merge([in_preorder[node] for node in nodes])


@given(token_lists, st.data())
def test_residuals_are_merged_as_far_as_somebody_reads_on(
    tokens: list[bytes], data: st.DataObject
) -> None:
    trie = trie_of(tokens)
    nodes = data.draw(st.lists(st.integers(0, trie.num_nodes - 1), unique=True, max_size=12))
    ascending = np.array(sorted(nodes), np.int32)
    whole = nested(trie.below(ascending))
    large = Residuals(trie, ascending, -1)
    small = Residuals(trie, ascending, trie.num_nodes * len(nodes))
    asked = 0
    for first in data.draw(st.lists(st.lists(st.sampled_from([0, 97, 98, 255])), max_size=4)):
        first_bytes = sum(1 << byte for byte in set(first))
        asked |= first_bytes
        expected = {b: part for b, part in whole.items() if b == "tokens" or asked >> b & 1}
        assert nested(large.trie_from(first_bytes)) == expected
        assert nested(small.trie_from(first_bytes)) == whole


def test_below_every_node_of_a_large_trie() -> None:
    rng = np.random.default_rng(3)
    tokens = [bytes(rng.integers(97, 101, rng.integers(1, 9)).tolist()) for _ in range(3000)]
    trie = trie_of(tokens)
    merged = trie.below(np.arange(trie.num_nodes, dtype=np.int32))
    assert nested(merged) == naive_merge(list(subtries(nested(trie))))


def test_below_nothing_and_below_the_root() -> None:
    trie = trie_of([b"ab", b"a", b"c"])
    assert nested(trie.below(np.zeros(0, np.int32))) == {"tokens": []}
    assert trie.below(np.zeros(0, np.int32)).num_nodes == 1
    assert nested(trie.below(np.zeros(1, np.int32))) == nested(trie)


def test_num_bytes_counts_the_arrays() -> None:
    small, large = trie_of([b"a"]), trie_of([bytes([a, b]) for a in range(9) for b in range(9)])
    assert 0 < small.num_bytes < large.num_bytes
    assert large.num_bytes >= large.num_nodes * 13
