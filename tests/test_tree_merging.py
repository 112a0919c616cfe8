"""Merged trees against their definition, the best part of a tree against all of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_drafts import best_value, path_probabilities

from syntagma.decoding import tree_merging
from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, SOURCES, DraftTree
from syntagma.decoding.tree_merging import best_chain, best_nodes, merge_trees, subtree


@st.composite
def trees(draw: st.DrawFn, max_nodes: int = 8) -> DraftTree:
    """Random trees over three tokens; estimates of siblings may add up to more than one."""
    places: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(0, max_nodes))):
        place = (draw(st.integers(ROOT, len(places) - 1)), draw(st.integers(0, 2)))
        if place not in places:
            places.append(place)
    probability = st.floats(0.0, 1.0)
    return DraftTree(
        token_ids=np.array([token_id for _, token_id in places], np.int32),
        parents=np.array([parent for parent, _ in places], np.int32),
        probabilities=np.array([draw(probability) for _ in places], np.float64),
        sources=np.array([draw(st.integers(0, len(SOURCES) - 1)) for _ in places], np.int8),
    )


def texts(tree: DraftTree) -> dict[tuple[int, ...], int]:
    """Each node by the tokens that lead to it."""
    return {tuple(tree.token_ids[tree.path(n)].tolist()): n for n in range(tree.num_nodes)}


@given(st.lists(trees(), max_size=4))
def test_merged_trees_have_all_paths_once(given_trees: list[DraftTree]) -> None:
    merged = merge_trees(given_trees)
    found = texts(merged)
    assert len(found) == merged.num_nodes
    assert found.keys() == {text for tree in given_trees for text in texts(tree)}
    assert all(parent < node for node, parent in enumerate(merged.parents.tolist()))
    several = sum(tree.num_nodes > 0 for tree in given_trees) > 1
    for text, node in found.items():
        theirs = [(t, n) for t in given_trees if (n := texts(t).get(text)) is not None]
        expected = 1 - math.prod(1 - float(t.probabilities[n]) for t, n in theirs)
        siblings = merged.children()[int(merged.parents[node])]
        if several and len(siblings) == 1:
            assert merged.probabilities[node] == pytest.approx(expected)
        elif several:
            assert merged.probabilities[siblings].sum() <= 1 + 1e-9
        best = max(float(t.probabilities[n]) for t, n in theirs)
        assert (best, int(merged.sources[node])) in [
            (float(t.probabilities[n]), int(t.sources[n])) for t, n in theirs
        ]


def test_estimates_of_siblings_are_shared_out() -> None:
    merged = merge_trees(
        [DraftTree.chain([1, 2], [0.9, 0.5], "prompt"), DraftTree.chain([3], [0.6], "corpus")]
    )
    assert merged.token_ids.tolist() == [1, 2, 3]
    assert merged.probabilities.tolist() == pytest.approx([0.6, 0.5, 0.4])


def test_agreement_raises_the_estimate() -> None:
    merged = merge_trees(
        [DraftTree.chain([1], [0.5], "prompt"), DraftTree.chain([1], [0.8], "corpus")]
    )
    assert merged.probabilities.tolist() == pytest.approx([0.9])
    assert SOURCES[merged.sources[0]] == "corpus"


@given(trees(max_nodes=7), st.integers(0, 7))
def test_the_best_nodes_are_the_best_of_all_subtrees(tree: DraftTree, max_nodes: int) -> None:
    nodes = best_nodes(tree, max_nodes)
    assert len(nodes) == min(max_nodes, tree.num_nodes)
    assert {int(tree.parents[n]) for n in nodes} <= {ROOT, *nodes}
    paths = path_probabilities(tree)
    assert np.allclose(tree_merging.path_probabilities(tree), paths)
    assert sum(paths[n] for n in nodes) == pytest.approx(best_value(tree, max_nodes))


@given(trees())
def test_the_best_chain(tree: DraftTree) -> None:
    paths = path_probabilities(tree)
    chain = best_chain(tree)
    values = [sum(paths[n] for n in tree.path(node)) for node in range(tree.num_nodes)]
    assert sum(paths[n] for n in chain) == pytest.approx(max(values, default=0.0))
    assert chain == (tree.path(chain[-1]) if chain else [])


@given(trees(), st.data())
def test_subtrees(tree: DraftTree, data: st.DataObject) -> None:
    nodes = best_nodes(tree, data.draw(st.integers(0, tree.num_nodes)))
    part = subtree(tree, nodes)
    expected = {text: n for text, n in texts(tree).items() if n in nodes}
    assert texts(part).keys() == expected.keys()
    for text, node in texts(part).items():
        assert part.probabilities[node] == tree.probabilities[expected[text]]


def test_nothing_to_merge() -> None:
    assert merge_trees([]) is EMPTY_TREE
    assert best_chain(EMPTY_TREE) == best_nodes(EMPTY_TREE, 4) == []
