"""Drafts for one output, step by step: what an engine that verifies drafts calls.

session = speculator.begin(prompt_token_ids, scope, options)
while ...:
    tree = session.propose(matcher, costs=cost_curve.costs, max_tokens=...)
    ...                                     # one pass over the tree, verification
    session.observe(tree, accepted, token_ids, successors, probabilities)
session.finish()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.draft_tree import EMPTY_TREE, SOURCES, DraftTree, Source
from syntagma.decoding.drafter import Drafter, DraftScope, DraftSession
from syntagma.decoding.matcher import Matcher


@dataclass(frozen=True, kw_only=True)
class SpeculationOptions:
    """What a request asks of speculation.

    Attributes:
        enabled: False: no drafts at all.
        max_tokens: drafted tokens in one step, at most; None: as many as the engine verifies.
        sources: where drafts may come from.
    """

    enabled: bool = True
    max_tokens: int | None = None
    sources: frozenset[Source] = frozenset(SOURCES)

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown source or a negative number."""
        unknown = sorted(set(self.sources) - set(SOURCES))
        if unknown:
            raise ValueError(f"sources: {unknown[0]!r} is none of {', '.join(SOURCES)}")
        if self.max_tokens is not None and self.max_tokens < 0:
            raise ValueError(f"max_tokens must be 0 or more, not {self.max_tokens!r}")


@dataclass
class SourceUsage:
    """Tokens that a source had verified, and those that became part of the output."""

    drafted: int = 0
    accepted: int = 0


@dataclass
class SpeculationUsage:
    """What speculation did for one output.

    Attributes:
        steps: passes of the target model that yielded tokens, with drafts or without.
        by_source: of every source that drafted.
    """

    steps: int = 0
    by_source: dict[Source, SourceUsage] = field(default_factory=dict)

    @property
    def drafted(self) -> int:
        return sum(usage.drafted for usage in self.by_source.values())

    @property
    def accepted(self) -> int:
        return sum(usage.accepted for usage in self.by_source.values())

    def add(self, other: SpeculationUsage) -> None:
        """Count what was done elsewhere as well."""
        self.steps += other.steps
        for source, usage in other.by_source.items():
            mine = self.by_source.setdefault(source, SourceUsage())
            mine.drafted += usage.drafted
            mine.accepted += usage.accepted

    def count(self, tree: DraftTree, accepted: Sequence[int]) -> None:
        """One step: the tree that was verified and its nodes that were accepted."""
        self.steps += 1
        for node, source in enumerate(tree.sources.tolist()):
            usage = self.by_source.setdefault(SOURCES[source], SourceUsage())
            usage.drafted += 1
            usage.accepted += node in accepted


class Speculator:
    """Drafters and the policy that chooses among them; shared by all requests.

    Args:
        drafters: the sources.
        max_nodes: tokens in one draft, at most.
        max_depth: of them one behind the other, at most.
        chains_only: the engine verifies chains, not trees.
    """

    def __init__(
        self,
        drafters: Sequence[Drafter],
        *,
        max_nodes: int = 32,
        max_depth: int = 16,
        chains_only: bool = False,
    ) -> None:
        self.drafters = tuple(drafters)
        self.max_nodes = max_nodes
        self.max_depth = max_depth
        self.chains_only = chains_only

    def begin(
        self,
        prompt_token_ids: Sequence[int],
        scope: DraftScope,
        options: SpeculationOptions | None = None,
    ) -> SpeculationSession:
        """A session for one output; may be called from any thread."""
        chosen = options if options is not None else SpeculationOptions()
        sessions = [
            (drafter.source, drafter.begin(prompt_token_ids, scope))
            for drafter in self.drafters
            if chosen.enabled and drafter.source in chosen.sources
        ]
        max_nodes = self.max_nodes
        if chosen.max_tokens is not None:
            max_nodes = min(max_nodes, chosen.max_tokens)
        return SpeculationSession(sessions, max_nodes=max_nodes, max_depth=self.max_depth)


class SpeculationSession:
    """The drafts of one output; not safe to use from several threads at once."""

    def __init__(
        self, sessions: Sequence[tuple[Source, DraftSession]], *, max_nodes: int, max_depth: int
    ) -> None:
        self._sessions = sessions
        self._max_nodes = max_nodes
        self._max_depth = max_depth
        self.usage = SpeculationUsage()

    def propose(
        self, matcher: Matcher | None, *, costs: NDArray[np.float64], max_tokens: int
    ) -> DraftTree:
        """The draft that is expected to yield most tokens per time; often none.

        Args:
            matcher: of the output, left as it was found.
            costs: float64[k + 1], what a step costs that verifies so many drafted tokens, 0 to k; in any
                unit.
            max_tokens: how many tokens the output may still get before its last one: the tree is no deeper.

        Returns:
            A tree of tokens that the grammar allows, at most ``costs.size - 1`` nodes.
        """
        max_nodes = min(self._max_nodes, costs.size - 1)
        max_depth = min(self._max_depth, max_tokens, max_nodes)
        if max_depth <= 0:
            return EMPTY_TREE
        for _, session in self._sessions:
            tree = session.propose(matcher, max_nodes=max_nodes, max_depth=max_depth)
            if tree.num_nodes:
                return tree
        return EMPTY_TREE

    def observe(
        self,
        tree: DraftTree,
        accepted: Sequence[int],
        token_ids: Sequence[int],
        successors: NDArray[np.int32] | None = None,
        probabilities: NDArray[np.float64] | None = None,
    ) -> None:
        """What came of a step; also of one without a draft, with `EMPTY_TREE`.

        Args:
            tree: the draft that was verified.
            accepted: its nodes that were accepted, from the first level down.
            token_ids: what the output has gone on by: the accepted tokens and the one drawn after them.
            successors: int32[1 + num_nodes, k], the k likeliest next tokens after the token before the
                draft and after each node, likeliest first, under the model's law and the grammar's mask where
                there is one; None: not known.
            probabilities: float64[1 + num_nodes, k], theirs.
        """
        self.usage.count(tree, accepted)
        for _, session in self._sessions:
            session.extend(token_ids)

    def finish(self) -> None:
        """The output has ended, in whatever way; drafters may learn from it."""
        for _, session in self._sessions:
            session.finish()
