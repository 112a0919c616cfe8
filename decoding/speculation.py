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
from typing import Final

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.continuation import continue_leaf
from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, SOURCES, DraftTree, Source
from syntagma.decoding.draft_warm_up import warm_draft_kernels
from syntagma.decoding.drafter import Drafter, DraftScope, DraftSession
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.pause import Pause
from syntagma.decoding.source_record import SourceRecord
from syntagma.decoding.tree_merging import (
    best_chain,
    best_nodes,
    merge_trees,
    path_probabilities,
    subtree,
)
from syntagma.decoding.tree_pruning import Guess, prune
from syntagma.grammar import Vocabulary

MARGIN: Final = 1.01
"""A draft must promise this much more than none: estimates err, and the best of several errs upwards."""

MIN_LEAF_PATH: Final = 0.1
"""Leaves that are less likely to be reached are not continued."""


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

    def since(self, earlier: SpeculationUsage) -> SpeculationUsage:
        """What was done after an earlier count of the same output."""
        news = SpeculationUsage(steps=self.steps - earlier.steps)
        for source, usage in self.by_source.items():
            before = earlier.by_source.get(source, SourceUsage())
            news.by_source[source] = SourceUsage(
                usage.drafted - before.drafted, usage.accepted - before.accepted
            )
        return news

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
        vocabulary: of the model.
        drafters: the sources, each at most once.
        max_nodes: tokens in one draft, at most.
        max_depth: of them one behind the other, at most.
        chains_only: the engine verifies chains, not trees.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        drafters: Sequence[Drafter],
        *,
        max_nodes: int = 32,
        max_depth: int = 16,
        chains_only: bool = False,
    ) -> None:
        warm_draft_kernels()
        self.vocabulary = vocabulary
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
        return SpeculationSession(self, prompt_token_ids, scope, chosen)


class SpeculationSession:
    """The drafts of one output; not safe to use from several threads at once.

    Attributes:
        is_attentive: drafters learn from the step under way; not so while drafting pauses.
        usage: what became of drafts so far.
    """

    def __init__(
        self,
        speculator: Speculator,
        prompt_token_ids: Sequence[int],
        scope: DraftScope,
        options: SpeculationOptions,
    ) -> None:
        self._speculator = speculator
        sources = options.sources if options.enabled else frozenset()
        self._sessions: dict[Source, DraftSession] = {
            drafter.source: drafter.begin(prompt_token_ids, scope)
            for drafter in speculator.drafters
            if drafter.source in sources
        }
        self._records: dict[Source, SourceRecord] = {s: SourceRecord() for s in self._sessions}
        self._pause = Pause(speculator.vocabulary)
        self._proposed: dict[Source, DraftTree] = {}
        self._unread: list[int] = []
        self.is_attentive = True
        most = speculator.max_nodes
        self._max_nodes = most if options.max_tokens is None else min(most, options.max_tokens)
        self._last_token = prompt_token_ids[-1] if prompt_token_ids else 0
        self.usage = SpeculationUsage()

    @property
    def wants_likeliest(self) -> bool:
        """Whether a drafter has a use for what the model holds likely in the step under way."""
        return self.is_attentive and "recycling" in self._sessions

    def propose(
        self, matcher: Matcher | None, *, costs: NDArray[np.float64], max_tokens: int
    ) -> DraftTree:
        """The draft that is expected to yield most tokens per time; often none.

        Args:
            matcher: of the output, left as it was found.
            costs: float64[k + 1], what a step costs that verifies so many drafted tokens, 0 to k; in any
                unit, drafting included.
            max_tokens: how many tokens the output may still get before its last one: the tree is no deeper.

        Returns:
            A tree of tokens that the grammar allows, at most ``costs.size - 1`` nodes.
        """
        max_nodes = min(self._max_nodes, costs.size - 1)
        max_depth = min(self._speculator.max_depth, max_tokens, max_nodes)
        self._proposed = {}
        self.is_attentive = max_depth > 0 and not self._pause.is_on(matcher)
        if not self.is_attentive:
            return EMPTY_TREE
        self._read()
        proposed = self._ask(matcher, max_nodes, max_depth)
        certain = [tree for tree in proposed if not tree.laws]
        best = EMPTY_TREE
        if certain and _pays(_most_gained(certain), costs):
            merged = merge_trees(certain)
            if merged.num_nodes > 2 * max_nodes:
                merged = subtree(merged, best_nodes(merged, 2 * max_nodes))
            best = self._cut(self._pruned(matcher, merged, max_depth), costs, max_nodes)
        for tree in proposed:
            if tree.laws and self._may_verify(tree):
                promised = _drawn_rate(tree, costs)
                if promised > MARGIN * _rate(best, costs):
                    best = tree
        return best

    def _may_verify(self, drawn: DraftTree) -> bool:
        """Whether the model's passes have room for a tree of draws, however they had turned out."""
        is_chain = all(len(law.draws) == 1 for law in drawn.laws.values())
        return is_chain or not self._speculator.chains_only

    def _ask(self, matcher: Matcher | None, max_nodes: int, max_depth: int) -> list[DraftTree]:
        """The drafts of the sources that do not rest, with estimates corrected by experience."""
        trees = []
        for source, session in self._sessions.items():
            record = self._records[source]
            if record.rest.is_on():
                continue
            tree = session.propose(matcher, max_nodes=max_nodes, max_depth=max_depth)
            if tree.num_nodes:
                self._proposed[source] = tree
                estimates = record.calibrated(tree)
                trees.append(
                    DraftTree(tree.token_ids, tree.parents, estimates, tree.sources, tree.laws)
                )
        return trees

    def _pruned(self, matcher: Matcher | None, tree: DraftTree, max_depth: int) -> DraftTree:
        """What the grammar allows of a tree, its leaves continued."""

        def after_leaf(path: list[int]) -> list[Guess]:
            if matcher is None or len(path) >= max_depth:
                return []
            return continue_leaf(self._sessions.values(), matcher, path, max_depth - len(path))

        return prune(
            tree,
            matcher,
            self._speculator.vocabulary,
            after_leaf=after_leaf,
            min_leaf_path=MIN_LEAF_PATH,
        )

    def _cut(self, tree: DraftTree, costs: NDArray[np.float64], max_nodes: int) -> DraftTree:
        """The part of a tree with the highest expected number of tokens per time."""
        if self._speculator.chains_only:
            tree = subtree(tree, best_chain(tree))
        paths = path_probabilities(tree)
        order = np.argsort(-paths, kind="stable")[:max_nodes]
        tokens = np.ones(order.size + 1)
        tokens[1:] += np.cumsum(paths[order])
        rates = tokens / costs[: tokens.size]
        number = int(np.argmax(rates))
        if rates[number] < MARGIN * rates[0]:
            return EMPTY_TREE
        return subtree(tree, sorted(order[:number].tolist()))

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
                draft and after each node, likeliest first, under the model's own law; what the grammar forbids
                is pruned when it is drafted. None: not known.
            probabilities: float64[1 + num_nodes, k], theirs.
        """
        self.usage.count(tree, accepted)
        self._unread += token_ids
        read = [self._last_token, *tree.token_ids.tolist()]
        self._last_token = token_ids[-1] if token_ids else self._last_token
        if not self.is_attentive:
            return
        right = [
            self._records[source].compare(proposed, token_ids)
            for source, proposed in self._proposed.items()
        ]
        self._pause.note(len(accepted), any(right))
        self._proposed = {}
        if successors is not None and probabilities is not None:
            for session in self._sessions.values():
                session.learn(read, successors, probabilities)

    def _read(self) -> None:
        """Tell the drafters how the output has gone on since they were last asked."""
        token_ids, self._unread = self._unread, []
        for session in self._sessions.values():
            session.extend(token_ids)

    def finish(self) -> None:
        """The output has ended, in whatever way; drafters may learn from it."""
        self._read()
        for session in self._sessions.values():
            session.finish()


def _pays(gain: float, costs: NDArray[np.float64]) -> bool:
    """Whether so many more tokens could pay for even one drafted token."""
    return (1.0 + gain) * float(costs[0]) > MARGIN * float(costs[1])


def _most_gained(trees: Sequence[DraftTree]) -> float:
    return sum(float(path_probabilities(tree).sum()) for tree in trees)


def _rate(tree: DraftTree, costs: NDArray[np.float64]) -> float:
    """Expected tokens per cost of a step with a draft."""
    return (1.0 + float(path_probabilities(tree).sum())) / float(costs[tree.num_nodes])


def _drawn_rate(tree: DraftTree, costs: NDArray[np.float64]) -> float:
    """What a tree of draws promises; it is verified whole or not at all.

    The choice must not depend on what was drawn, or the draws that are verified no longer have the law that
    verification goes by: neither on which tokens they are, nor on whether two are the same, nor on whether
    one ends the output. Only the number of the first draws and the best estimate among them, which draws
    are given whatever they are, enter.
    """
    num_draws = len(tree.laws[ROOT].draws)
    first = float(tree.probabilities[tree.laws[ROOT].draws[0]])
    gain = 1.0 - (1.0 - first) ** num_draws
    return (1.0 + gain) / float(costs[min(num_draws, costs.size - 1)])
