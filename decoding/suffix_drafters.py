"""Drafts that continue as a text did before: the request's own text, and texts of earlier outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding import suffix_kernels as kernels
from syntagma.decoding.draft_store import DraftStore
from syntagma.decoding.draft_tree import DraftTree, Source
from syntagma.decoding.drafter import DraftScope, DraftSession
from syntagma.decoding.match_coverage import Coverage, CoverageMemory
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.suffix_automaton import (
    MAX_MATCH,
    NO_TALLY,
    START,
    SuffixAutomaton,
)
from syntagma.decoding.tree_merging import merge_trees


class PromptDrafter:
    """Continues as prompt and output did after the longest repetition of the output's end."""

    source: Final[Source] = "prompt"

    def __init__(self) -> None:
        self._memory = CoverageMemory()

    def begin(self, prompt_token_ids: Sequence[int], scope: DraftScope) -> DraftSession:
        return PromptSession(prompt_token_ids, scope, self._memory)


class PromptSession(DraftSession):
    """An automaton of prompt and output."""

    def __init__(
        self, prompt_token_ids: Sequence[int], scope: DraftScope, memory: CoverageMemory
    ) -> None:
        self._scope = scope
        self._memory = memory
        self._automaton = SuffixAutomaton(len(prompt_token_ids) + 64)
        self._automaton.append(prompt_token_ids)
        self._coverage = memory.begin(scope)

    def extend(self, token_ids: Sequence[int]) -> None:
        self._automaton.append(token_ids, self._coverage.tally)

    def propose(self, matcher: Matcher | None, *, max_nodes: int, max_depth: int) -> DraftTree:
        return self._automaton.draft(
            self._automaton.last_match,
            self._coverage.shares,
            "prompt",
            max_nodes=max_nodes,
            max_depth=max_depth,
        )

    def finish(self) -> None:
        """Of the output only what its matches were worth is kept."""
        self._memory.remember(self._scope, self._coverage)


class CorpusDrafter:
    """Continues as earlier outputs of the same scope did, or documents of the common corpus.

    Finished outputs are added to the store.
    """

    source: Final[Source] = "corpus"

    def __init__(self, store: DraftStore) -> None:
        self._store = store
        self._memory = CoverageMemory()

    def begin(self, prompt_token_ids: Sequence[int], scope: DraftScope) -> DraftSession:
        return CorpusSession(self._store, scope, self._memory)


class Match:
    """Where one output stands in one automaton, with what its matches were worth so far."""

    def __init__(
        self, automaton: SuffixAutomaton, recent: Sequence[int], coverage: Coverage
    ) -> None:
        self.automaton = automaton
        self.coverage = coverage
        self._match = np.zeros(2, np.int64)
        self._advance(recent, NO_TALLY)

    def extend(self, token_ids: Sequence[int]) -> None:
        self._advance(token_ids, self.coverage.tally)

    def _advance(self, token_ids: Sequence[int], tally: NDArray[np.float64]) -> None:
        automaton = self.automaton
        kernels.advance(
            automaton.states,
            automaton.edges,
            automaton.slots,
            self._match,
            np.array(token_ids, np.int32),
            tally,
            MAX_MATCH,
        )

    def draft(self, max_nodes: int, max_depth: int) -> DraftTree:
        state, length = self._match.tolist()
        return self.automaton.draft(
            (kernels.narrowed(self.automaton.states, state, length), length),
            self.coverage.shares,
            "corpus",
            max_nodes=max_nodes,
            max_depth=max_depth,
        )


class CorpusSession(DraftSession):
    """The output's place in the automata of its scope and in the common corpus."""

    def __init__(self, store: DraftStore, scope: DraftScope, memory: CoverageMemory) -> None:
        self._store = store
        self._memory = memory
        self._scope = scope
        self._output: list[int] = []
        self._texts = store.texts(scope)
        self._matches: list[Match] = []
        # Kept when automata are replaced: what it says is of outputs.
        self._coverage = memory.begin(scope)
        self._corpus = Match(store.corpus, [START], Coverage()) if store.corpus.num_tokens else None

    def extend(self, token_ids: Sequence[int]) -> None:
        if self._texts is not None:
            with self._texts.lock:
                self._look_up()
                for match in self._matches:
                    match.extend(token_ids)
        if self._corpus is not None:
            self._corpus.extend(token_ids)
        self._output += token_ids

    def _look_up(self) -> None:
        """Find the output's end in automata that are new."""
        assert self._texts is not None, "there are no texts of this scope"
        automata = self._texts.automata
        if [match.automaton for match in self._matches] != automata:
            recent = [START, *self._output][-MAX_MATCH:]
            known = {id(match.automaton): match for match in self._matches}
            self._matches = [
                known.get(id(automaton)) or Match(automaton, recent, self._coverage)
                for automaton in automata
            ]

    def propose(self, matcher: Matcher | None, *, max_nodes: int, max_depth: int) -> DraftTree:
        if self._texts is None:
            self._texts = self._store.texts(self._scope)
        trees = []
        if self._texts is not None:
            with self._texts.lock:
                self._look_up()
                trees = [match.draft(max_nodes, max_depth) for match in self._matches]
        if self._corpus is not None:
            trees.append(self._corpus.draft(max_nodes, max_depth))
        return merge_trees(trees)

    def finish(self) -> None:
        self._store.add(self._scope, self._output)
        self._memory.remember(self._scope, self._coverage)
