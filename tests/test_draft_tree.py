"""Draft trees against recursive definitions on nested dictionaries."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, SOURCES, DraftTree

parents = st.lists(st.floats(0, 1, exclude_max=True), max_size=12).map(
    lambda positions: [int(p * (i + 1)) - 1 for i, p in enumerate(positions)]
)


def tree_of(parent_list: list[int]) -> DraftTree:
    size = len(parent_list)
    return DraftTree(
        token_ids=np.arange(size, dtype=np.int32),
        parents=np.array(parent_list, dtype=np.int32),
        probabilities=np.ones(size),
        sources=np.zeros(size, dtype=np.int8),
    )


def naive_path(parent_list: list[int], node: int) -> list[int]:
    return [] if node == ROOT else [*naive_path(parent_list, parent_list[node]), node]


@given(parents)
def test_paths_depths_and_ancestors_agree(parent_list: list[int]) -> None:
    tree = tree_of(parent_list)
    paths = [naive_path(parent_list, node) for node in range(tree.num_nodes)]
    assert [tree.path(node) for node in range(tree.num_nodes)] == paths
    assert tree.depths().tolist() == [len(path) for path in paths]
    assert [np.flatnonzero(row).tolist() for row in tree.ancestors()] == paths
    children = tree.children()
    for parent in range(ROOT, tree.num_nodes):
        expected = [node for node, p in enumerate(parent_list) if p == parent]
        assert children.get(parent, []) == expected


def test_a_chain_has_one_path() -> None:
    chain = DraftTree.chain([7, 8, 9], [0.9, 0.8, 0.7], "prompt")
    assert chain.path(2) == [0, 1, 2]
    assert chain.parents.tolist() == [ROOT, 0, 1]
    assert {SOURCES[s] for s in chain.sources.tolist()} == {"prompt"}
    assert EMPTY_TREE.num_nodes == 0
    assert EMPTY_TREE.path(ROOT) == []
