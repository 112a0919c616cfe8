"""Draft trees: guessed continuations of one output, to be verified in one pass of the model.

A chain is a tree without branches; a model that verifies chains only takes the best path of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Source: TypeAlias = Literal["forced", "prompt", "corpus", "recycling", "habit", "model"]
SOURCES: tuple[Source, ...] = get_args(Source)

ROOT = -1
"""The parent of nodes that follow the output itself."""


@dataclass(frozen=True, slots=True)
class SampledLaw:
    """The law that a node's children were drawn from, where a drafter draws them.

    Attributes:
        probabilities: float64[vocab_size], after the grammar's mask where there is one.
        draws: the children drawn, as nodes, in the order they were drawn; a node drawn twice is here
            twice. Independent draws from ``probabilities``.
    """

    probabilities: NDArray[np.float64]
    draws: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DraftTree:
    """Candidates for the next tokens, as a tree below the output's last token.

    Parents come before their children, and no two children of a node have the same token.

    Attributes:
        token_ids: int32[num_nodes].
        parents: int32[num_nodes], a node or `ROOT`.
        probabilities: float64[num_nodes], in [0, 1]: the drafter's estimate that the node is accepted
            if its parent is. The estimates of a node's children need not add up to one.
        sources: int8[num_nodes], indices into `SOURCES`.
        laws: for drafts that were sampled, the law of a parent's children; verification depends on
            it. Children without one were chosen by a rule and not by chance.
    """

    token_ids: NDArray[np.int32]
    parents: NDArray[np.int32]
    probabilities: NDArray[np.float64]
    sources: NDArray[np.int8]
    laws: Mapping[int, SampledLaw] = field(default_factory=dict)

    @classmethod
    def chain(
        cls, token_ids: Sequence[int], probabilities: Sequence[float], source: Source
    ) -> DraftTree:
        """One continuation, token after token."""
        return cls(
            token_ids=np.array(token_ids, dtype=np.int32),
            parents=np.arange(ROOT, len(token_ids) - 1, dtype=np.int32),
            probabilities=np.array(probabilities, dtype=np.float64),
            sources=np.full(len(token_ids), SOURCES.index(source), dtype=np.int8),
        )

    @property
    def num_nodes(self) -> int:
        return int(self.token_ids.size)

    @property
    def is_chain(self) -> bool:
        """Every node but the last has one child."""
        return bool((self.parents == np.arange(ROOT, self.num_nodes - 1)).all())

    def depths(self) -> NDArray[np.int32]:
        """int32[num_nodes]: 1 for what follows the output."""
        depths = np.ones(self.num_nodes, dtype=np.int32)
        for node, parent in enumerate(self.parents.tolist()):
            if parent != ROOT:
                depths[node] = depths[parent] + 1
        return depths

    def ancestors(self) -> NDArray[np.bool_]:
        """bool[num_nodes, num_nodes]: row i marks the nodes on the path to node i, itself included."""
        marks = np.eye(self.num_nodes, dtype=np.bool_)
        for node, parent in enumerate(self.parents.tolist()):
            if parent != ROOT:
                marks[node] |= marks[parent]
        return marks

    def children(self) -> dict[int, list[int]]:
        """The children of each node that has some, `ROOT` included, in the order of their numbers."""
        children: dict[int, list[int]] = {}
        for node, parent in enumerate(self.parents.tolist()):
            children.setdefault(parent, []).append(node)
        return children

    def path(self, node: int) -> list[int]:
        """The nodes from the first level down to ``node``, itself included; empty for `ROOT`."""
        path = []
        while node != ROOT:
            path.append(node)
            node = int(self.parents[node])
        return path[::-1]


EMPTY_TREE = DraftTree.chain((), (), "forced")
