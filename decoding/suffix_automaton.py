"""Suffix automata that grow: all repetitions in some documents, found in constant time a token.

The algorithm is Blumer et al.'s (1985); its use for drafts is SAM-Decoding's (Hu et al., 2024), except that
counts tell the most frequent continuation, that documents are kept apart, and that drafts are trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding import suffix_kernels as kernels
from syntagma.decoding.draft_tree import EMPTY_TREE, SOURCES, DraftTree, Source

MAX_MATCH: Final = 64
"""Longer matches count as so long."""

MIN_PATH: Final = 0.02
"""Continuations less likely than this are not drafted."""

MAX_POOL: Final = 2048

BYTES_PER_TOKEN: Final = 110
"""Memory for a token of a document, at most about; where texts resemble each other it is half of that."""

START: Final = 0x7FFFFFFF
"""Stands before each document, so that what outputs begin with can be matched too."""

INITIAL_COVERAGE = (0.30, 0.45, 0.55, 0.65, 0.75, 0.80, 0.85, 0.90, 0.93, 0.95)
"""How often a match of a class knows the next token, before an output has shown it."""

PRIOR_WEIGHT: Final = 8.0
MAX_WEIGHT: Final = 64.0


NO_TALLY: Final = np.empty((0, 2))
"""Nothing is counted."""


class Coverage:
    """How often matches know the next token, by their length: of one output, learned as it goes on."""

    def __init__(self) -> None:
        self.tally = np.empty((kernels.NUM_CLASSES, 2))
        self.tally[:, 0] = np.multiply(INITIAL_COVERAGE, PRIOR_WEIGHT)
        self.tally[:, 1] = PRIOR_WEIGHT

    @property
    def shares(self) -> NDArray[np.float64]:
        """float64[NUM_CLASSES]; old observations lose weight."""
        full = self.tally[:, 1] > MAX_WEIGHT
        self.tally[full] *= 0.5
        return np.asarray(self.tally[:, 0] / self.tally[:, 1], np.float64)


class SuffixAutomaton:
    """All substrings of the documents appended, with how often they occur.

    Not locked: the owner locks.
    """

    def __init__(self, capacity: int = 64) -> None:
        """Room for about ``capacity`` tokens; it grows."""
        self.states = np.empty((max(4, 2 * capacity), kernels.STATE_WIDTH), np.int32)
        self.edges = np.empty((max(4, 2 * capacity), kernels.EDGE_WIDTH), np.int32)
        num_slots = 1 << (max(8, 3 * capacity) - 1).bit_length()
        self.slots = np.full(num_slots, kernels.NONE, np.int32)
        self.sizes = np.zeros(kernels.SIZES_WIDTH, np.int64)
        self.num_tokens = 0
        kernels.new_state(self.states, self.sizes, 0, kernels.NONE, 0)

    def begin_document(self) -> None:
        """What is appended from here on does not follow what was before."""
        self.sizes[kernels.LAST] = kernels.ROOT_STATE

    def trim(self) -> None:
        """Give back spare room; the next token will ask for some again."""
        num_states, num_edges = self.sizes[:2].tolist()
        self.states = self.states[:num_states].copy()
        self.edges = self.edges[:num_edges].copy()

    def append(
        self,
        token_ids: Sequence[int] | NDArray[np.int32],
        tally: NDArray[np.float64] = NO_TALLY,
    ) -> None:
        """Go on with the document; no token may be negative.

        Args:
            tally: of a `Coverage`, which learns from what follows repetitions.
        """
        tokens = np.ascontiguousarray(token_ids, dtype=np.int32)
        done = 0
        while True:
            done = kernels.append(
                self.states, self.edges, self.slots, self.sizes, tokens, done, tally
            )
            if done == tokens.size:
                break
            self._grow()
        self.num_tokens += tokens.size

    def _grow(self) -> None:
        """Half as much room again of what is short."""
        num_states, num_edges = self.sizes[:2].tolist()
        if num_states + 2 > len(self.states):
            self.states = _lengthened(self.states, num_states)
            return
        if len(self.edges) <= self.slots.size // 4 * 3:
            self.edges = _lengthened(self.edges, num_edges)
        if len(self.edges) > self.slots.size // 4 * 3:
            self.slots = np.full(2 * self.slots.size, kernels.NONE, np.int32)
            kernels.rehash(self.edges, self.slots, num_edges)

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays, spare room included."""
        return self.states.nbytes + self.edges.nbytes + self.slots.nbytes

    @property
    def last_match(self) -> tuple[int, int]:
        """State and length of the longest end of the document that stands elsewhere too."""
        last = self.sizes[kernels.LAST]
        if last == kernels.ROOT_STATE:
            return kernels.ROOT_STATE, 0
        state = int(self.states[last, kernels.LINK])
        return state, int(self.states[state, kernels.LENGTH])

    def count(self, token_ids: Sequence[int]) -> int:
        """How often the tokens stand in the documents, `kernels.MAX_COUNT` at most."""
        state = kernels.ROOT_STATE
        for token_id in token_ids:
            edge = kernels.edge_of(self.edges, self.slots, state, token_id)
            if edge == kernels.NONE:
                return 0
            state = self.edges[edge, kernels.TARGET]
        return int(self.states[state, kernels.COUNT])

    def draft(
        self,
        match: tuple[int, int],
        coverage: NDArray[np.float64],
        source: Source,
        *,
        max_nodes: int,
        max_depth: int,
        min_path: float = MIN_PATH,
    ) -> DraftTree:
        """The likeliest continuations behind a match.

        Args:
            match: state and length.
            coverage: see `Coverage.shares`.
            min_path: paths less likely are left out.
        """
        state, length = match
        if state == kernels.ROOT_STATE:
            return EMPTY_TREE
        pool = np.empty((MAX_POOL, kernels.POOL_WIDTH), np.int32)
        nodes = np.empty((max_nodes, 2), np.int32)
        probabilities = np.empty(max_nodes)
        num_nodes = kernels.likely_tree(
            self.states,
            self.edges,
            self.slots,
            state,
            length,
            coverage,
            max_nodes,
            max_depth,
            min_path,
            pool,
            np.empty((2, MAX_POOL)),
            nodes,
            probabilities,
        )
        return DraftTree(
            token_ids=nodes[:num_nodes, 0].copy(),
            parents=nodes[:num_nodes, 1].copy(),
            probabilities=np.minimum(probabilities[:num_nodes], 1.0),
            sources=np.full(num_nodes, SOURCES.index(source), np.int8),
        )


def _lengthened(rows: NDArray[np.int32], used: int) -> NDArray[np.int32]:
    longer = np.empty((len(rows) + len(rows) // 2 + 64, rows.shape[1]), np.int32)
    longer[:used] = rows[:used]
    return longer
