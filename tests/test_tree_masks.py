"""Masks of draft trees against a fresh matcher for each path."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from test_tree_pruning import STOP, VOCABULARY, grammar, random_tree, walk

from syntagma.decoding import Matcher
from syntagma.decoding.tree_masks import fill_tree


@given(st.integers(0, 2**32))
def test_every_row_is_that_of_its_path(seed: int) -> None:
    rng = random.Random(seed)
    matcher = Matcher(grammar())
    output = [token for token in walk(matcher, rng, 6) if token != STOP]
    matcher = Matcher(grammar())
    matcher.accept_tokens(output)
    tree = random_tree(matcher, rng)
    rows = np.full((1 + tree.num_nodes, VOCABULARY.num_words), 7, np.int32)
    before = matcher.num_tokens
    fill_tree(matcher, tree, rows)
    assert matcher.num_tokens == before
    for node in range(-1, tree.num_nodes):
        expected = np.full((1, VOCABULARY.num_words), 7, np.int32)
        fresh = Matcher(grammar())
        path = [int(tree.token_ids[above]) for above in tree.path(node)]
        if fresh.accept_tokens(output + path) and not fresh.is_terminated():
            fresh.fill_bitmask(expected)
        assert (rows[1 + node] == expected[0]).all(), node
