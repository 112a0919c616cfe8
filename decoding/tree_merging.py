"""Draft trees of several sources as one, and the best part of a tree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, DraftTree


def merge_trees(trees: Sequence[DraftTree]) -> DraftTree:
    """One tree with the paths of all, none of them with laws.

    Where sources propose the same token, it is accepted unless all of them err, as if they erred
    independently; it counts for the one with the highest estimate. Where the estimates of a node's children
    then add up to more than one, all are scaled down.
    """
    filled = [tree for tree in trees if tree.num_nodes]
    if len(filled) <= 1:
        return filled[0] if filled else EMPTY_TREE
    numbers: dict[tuple[int, int], int] = {}
    misses: list[float] = []
    best: list[tuple[float, int]] = []
    for tree in filled:
        new_number = {ROOT: ROOT}
        rows = zip(
            tree.token_ids.tolist(),
            tree.parents.tolist(),
            tree.probabilities.tolist(),
            tree.sources.tolist(),
            strict=True,
        )
        for node, (token_id, parent, probability, source) in enumerate(rows):
            place = (new_number[parent], token_id)
            number = numbers.setdefault(place, len(numbers))
            new_number[node] = number
            if number == len(misses):
                misses.append(1.0 - probability)
                best.append((probability, source))
            else:
                misses[number] *= 1.0 - probability
                best[number] = max(best[number], (probability, source), key=lambda pair: pair[0])
    parents = np.array([parent for parent, _ in numbers], np.int32)
    return DraftTree(
        token_ids=np.array([token_id for _, token_id in numbers], np.int32),
        parents=parents,
        probabilities=shared_out(parents, 1.0 - np.array(misses)),
        sources=np.array([source for _, source in best], np.int8),
    )


def shared_out(
    parents: NDArray[np.int32], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The estimates, scaled down where those of siblings add up to more than one."""
    totals = np.zeros(parents.size + 1)
    np.add.at(totals, parents, probabilities)  # the root's children add up in the last place
    return np.asarray(probabilities / np.maximum(totals[parents], 1.0), np.float64)


def path_probabilities(tree: DraftTree) -> NDArray[np.float64]:
    """float64[num_nodes]: that a node and all above it are accepted."""
    paths = tree.probabilities.copy()
    for node, parent in enumerate(tree.parents.tolist()):
        if parent != ROOT:
            paths[node] *= paths[parent]
    return paths


def best_nodes(tree: DraftTree, max_nodes: int) -> list[int]:
    """The nodes of the likeliest paths, parents first: as many as will be accepted in expectation.

    OPT-Tree (Wang et al., 2024): the sum of path probabilities is the expected number of accepted tokens, and
    the largest ones contain their parents, because no path is likelier than its beginning.
    """
    order = np.argsort(-path_probabilities(tree), kind="stable")
    return sorted(order[:max_nodes].tolist())


def best_chain(tree: DraftTree) -> list[int]:
    """The path with the highest sum of path probabilities, from the first level down."""
    values = path_probabilities(tree)
    for node, parent in enumerate(tree.parents.tolist()):
        if parent != ROOT:
            values[node] += values[parent]
    return tree.path(int(np.argmax(values))) if tree.num_nodes else []


def subtree(tree: DraftTree, nodes: Sequence[int]) -> DraftTree:
    """The tree of some nodes, in the order of their numbers; with a node come its parents."""
    number = {ROOT: ROOT} | {node: i for i, node in enumerate(nodes)}
    chosen = list(nodes)
    return DraftTree(
        token_ids=tree.token_ids[chosen],
        parents=np.array([number[p] for p in tree.parents[chosen].tolist()], np.int32),
        probabilities=tree.probabilities[chosen],
        sources=tree.sources[chosen],
    )
