"""Slow twins of the drafters' structures: scanning instead of automata, all subsets instead of the best."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from syntagma.decoding.draft_tree import ROOT, DraftTree
from syntagma.decoding.suffix_kernels import MAX_CONTEXTS, MAX_COUNT, length_class


def occurrences(documents: Sequence[Sequence[int]], part: Sequence[int]) -> int:
    """How often a part stands in the documents."""
    size = len(part)
    wanted = list(part)
    return sum(
        list(document[i : i + size]) == wanted
        for document in documents
        for i in range(len(document) - size + 1)
    )


def longest_match(documents: Sequence[Sequence[int]], output: Sequence[int], most: int) -> int:
    """The length of the longest end of the output that stands in the documents."""
    for length in range(min(len(output), most), 0, -1):
        if occurrences(documents, output[-length:]):
            return length
    return 0


def contexts(documents: Sequence[Sequence[int]], match: Sequence[int]) -> list[list[int]]:
    """The match and its ends that occur more often than all longer ones: an automaton's links."""
    found: list[list[int]] = []
    times = -1
    for start in range(len(match)):
        part = list(match[start:])
        if (count := occurrences(documents, part)) != times:
            found.append(part)
            times = count
    return found


def estimates(
    documents: Sequence[Sequence[int]], match: Sequence[int], coverage: Sequence[float]
) -> dict[int, float]:
    """Each token's probability behind a match, by counting in the documents."""
    found: dict[int, float] = {}
    rest = 1.0
    tokens = sorted({token for document in documents for token in document})
    for part in contexts(documents, match)[:MAX_CONTEXTS]:
        counts = {t: min(occurrences(documents, [*part, t]), MAX_COUNT) for t in tokens}
        total = sum(counts.values())
        share = coverage[length_class(len(part))] if total else 0.0
        for token, count in counts.items():
            if count:
                found[token] = found.get(token, 0.0) + rest * share * count / total
        rest *= 1.0 - share
    return found


def path_probabilities(tree: DraftTree) -> list[float]:
    """The product of the estimates on the way to each node."""
    return [float(np.prod(tree.probabilities[tree.path(node)])) for node in range(tree.num_nodes)]


def best_value(tree: DraftTree, max_nodes: int) -> float:
    """The largest sum of path probabilities of any subtree with the root and so many nodes at most."""
    paths = path_probabilities(tree)
    best = 0.0
    for size in range(max_nodes + 1):
        for chosen in itertools.combinations(range(tree.num_nodes), size):
            parents = {int(tree.parents[node]) for node in chosen}
            if parents <= {ROOT, *chosen}:
                best = max(best, sum(paths[node] for node in chosen))
    return best
