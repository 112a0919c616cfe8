"""Draft trees without what the grammar forbids, with what it forces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, SOURCES, DraftTree, Source
from syntagma.decoding.matcher import Matcher
from syntagma.grammar import Vocabulary


class Guess(NamedTuple):
    """A token that a draft goes on with, the estimate that it stands, and whose guess it is."""

    token_id: int
    probability: float
    source: Source


AfterLeaf = Callable[[list[int]], Sequence[Guess]]
"""The chain that goes on from a path of tokens; the matcher stands behind the path."""


def prune(
    tree: DraftTree,
    matcher: Matcher | None,
    vocabulary: Vocabulary,
    *,
    after_leaf: AfterLeaf | None = None,
    min_leaf_path: float = 0.0,
) -> DraftTree:
    """The nodes that the output can reach, each looked at once.

    What the grammar forbids goes, and what the estimates gave to it goes to its siblings. Nothing follows a
    stop token. Without a grammar only tokens with text and stop tokens stay.

    Args:
        tree: without laws.
        matcher: of the output, left as it was found.
        after_leaf: appends to leaves what it says.
        min_leaf_path: leaves less likely to be reached are left alone.
    """
    if matcher is None:
        return _pruned_text(tree, vocabulary)
    children = tree.children()
    kept: list[tuple[int, int, float, int]] = []
    path: list[int] = []
    reached = [1.0]  # the path's probabilities multiplied, up to each of its nodes
    # Nodes still to visit, with the new number of their parent and its depth.
    open_nodes = [(node, ROOT, 0) for node in reversed(children.get(ROOT, ()))]
    lost: dict[int, float] = {}
    while open_nodes:
        node, parent, depth = open_nodes.pop()
        if len(path) > depth:
            matcher.rollback(len(path) - depth)
            del path[depth:], reached[depth + 1 :]
        token_id = int(tree.token_ids[node])
        probability = float(tree.probabilities[node])
        if not matcher.accept_token(token_id):
            lost[parent] = lost.get(parent, 0.0) + probability
            continue
        path.append(token_id)
        reached.append(reached[-1] * probability)
        number = len(kept)
        kept.append((token_id, parent, probability, int(tree.sources[node])))
        below = children.get(node, ())
        open_nodes += [(child, number, depth + 1) for child in reversed(below)]
        may_go_on = not below and reached[-1] >= min_leaf_path and not matcher.is_terminated()
        if after_leaf is not None and may_go_on:
            for guess in after_leaf(path):
                source = SOURCES.index(guess.source)
                kept.append((guess.token_id, len(kept) - 1, guess.probability, source))
    matcher.rollback(len(path))
    if not kept:
        return EMPTY_TREE
    token_ids, parents, probabilities, sources = zip(*kept, strict=True)
    left = np.array([max(1.0 - lost.get(parent, 0.0), 1e-9) for parent in parents])
    return DraftTree(
        token_ids=np.array(token_ids, np.int32),
        parents=np.array(parents, np.int32),
        probabilities=np.minimum(np.array(probabilities) / left, 1.0),
        sources=np.array(sources, np.int8),
    )


def _pruned_text(tree: DraftTree, vocabulary: Vocabulary) -> DraftTree:
    if _is_plain(tree, vocabulary):
        return tree
    numbers: dict[int, int] = {ROOT: ROOT}
    ended: set[int] = set()
    for node, (token_id, parent) in enumerate(
        zip(tree.token_ids.tolist(), tree.parents.tolist(), strict=True)
    ):
        if parent not in numbers or parent in ended or token_id >= vocabulary.size:
            continue
        is_stop = token_id in vocabulary.stop_ids
        if is_stop or vocabulary.token_lengths[token_id] > 0:
            numbers[node] = len(numbers) - 1
        if is_stop:
            ended.add(node)
    nodes = [node for node in numbers if node != ROOT]
    return DraftTree(
        token_ids=tree.token_ids[nodes],
        parents=np.array([numbers[p] for p in tree.parents[nodes].tolist()], np.int32),
        probabilities=tree.probabilities[nodes],
        sources=tree.sources[nodes],
    )


def _is_plain(tree: DraftTree, vocabulary: Vocabulary) -> bool:
    """Whether all tokens are of the vocabulary and have text; nothing has to go then."""
    token_ids, lengths = tree.token_ids, vocabulary.token_lengths
    return bool(token_ids.max(initial=-1) < lengths.size and lengths[token_ids].all())
