"""Drafts by a smaller language model with the same vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.cached_model import CachedModel
from syntagma.decoding.draft_tree import (
    EMPTY_TREE,
    ROOT,
    SOURCES,
    DraftTree,
    SampledLaw,
    Source,
)
from syntagma.decoding.drafter import DraftScope, DraftSession
from syntagma.decoding.matcher import Matcher
from syntagma.grammar import Vocabulary

MODEL: Final = SOURCES.index("model")

DRAW_ESTIMATE: Final = 0.8
"""That the first of some draws is accepted; of what is left each later one gets the same share. Experience
corrects it."""


@dataclass(frozen=True, kw_only=True)
class ModelDraftOptions:
    """How a model drafts.

    Attributes:
        depth: passes of the draft model for a draft, at most: tokens one behind the other.
        width: children that a node may get.
        draws: None: the likeliest tokens are drafted. Else how many are drawn at each depth, the last number
            for all deeper ones; verification then makes use of the law that they were drawn from.
        temperature: of the draws.
        seed: of the draws; session after session goes on with the same generator.
        min_path: likeliest tokens are drafted only on paths that the draft model finds likelier than this.
    """

    depth: int = 4
    width: int = 3
    draws: tuple[int, ...] | None = None
    temperature: float = 1.0
    seed: int | None = None
    min_path: float = 0.05

    def __post_init__(self) -> None:
        """Raises ValueError for numbers out of range."""
        for name in ("depth", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)!r}")
        if self.draws is not None and (not self.draws or min(self.draws) < 1):
            raise ValueError(f"draws must be numbers of 1 or more, not {self.draws!r}")
        if self.temperature <= 0.0:
            raise ValueError(f"temperature must be above 0, not {self.temperature!r}")


class ModelDrafter:
    """A draft model, used by the thread that verifies.

    Args:
        model: reads tokens and remembers them; must be able to verify trees, or chains if ``width`` is one.
        vocabulary: of both models.
        options: see `ModelDraftOptions`.
    """

    source: Final[Source] = "model"

    def __init__(
        self,
        model: CachedModel[Any],
        vocabulary: Vocabulary,
        options: ModelDraftOptions | None = None,
    ) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self.options = options if options is not None else ModelDraftOptions()
        self.generator = np.random.default_rng(self.options.seed)

    def begin(self, prompt_token_ids: Sequence[int], scope: DraftScope) -> DraftSession:
        return ModelSession(self, prompt_token_ids)


class ModelSession(DraftSession):
    """What the draft model has read of one prompt and output."""

    def __init__(self, drafter: ModelDrafter, prompt_token_ids: Sequence[int]) -> None:
        self._drafter = drafter
        self._unread = list(prompt_token_ids)
        self._num_read = 0
        self._cache: object = None

    def extend(self, token_ids: Sequence[int]) -> None:
        self._unread += token_ids

    def propose(self, matcher: Matcher | None, *, max_nodes: int, max_depth: int) -> DraftTree:
        """One pass of the draft model for each level."""
        if not self._unread or max_nodes < 1:
            return EMPTY_TREE
        self._read_up_to_last()
        options = self._drafter.options
        growing = GrowingTree()
        frontier = [ROOT]
        for depth in range(min(max_depth, options.depth)):
            frontier = [node for node in frontier if not self._is_stop(growing, node)]
            if not frontier or growing.num_nodes >= max_nodes:
                break
            rows = self._laws_behind(growing, frontier, matcher)
            if options.draws is None:
                frontier = self._likeliest(growing, rows, max_nodes)
            else:
                draws = options.draws[min(depth, len(options.draws) - 1)]
                frontier = self._drawn(growing, rows, draws, max_nodes)
        return growing.tree()

    def _read_up_to_last(self) -> None:
        """Let the draft model catch up; the last token is read along with each level."""
        if len(self._unread) > 1:
            read = self._unread[:-1]
            _, self._cache = self._drafter.model.forward(read, self._cache)
            self._num_read += len(read)
            self._unread = self._unread[-1:]

    def _is_stop(self, growing: GrowingTree, node: int) -> bool:
        """Nothing follows a stop token."""
        stop_ids = self._drafter.vocabulary.stop_ids
        return node != ROOT and growing.token_ids[node] in stop_ids

    def _laws_behind(
        self, growing: GrowingTree, nodes: Sequence[int], matcher: Matcher | None
    ) -> list[tuple[int, NDArray[np.float64]]]:
        """The draft model's law after each node, under the grammar's mask."""
        model = self._drafter.model
        tree = growing.tree()
        logits, cache = model.forward_draft(self._unread[-1], tree, self._num_read, self._cache)
        given = np.atleast_2d(model.fetch(logits))
        self._cache = model.keep(cache, self._num_read, ())
        laws = []
        for node in nodes:
            row = given[1 + node].astype(np.float64) / self._drafter.options.temperature
            allowed = self._allowed(matcher, [growing.token_ids[n] for n in tree.path(node)])
            if not allowed.any():
                continue
            row[: allowed.size][~allowed] = -np.inf
            row[allowed.size :] = -np.inf
            law = np.exp(row - row.max())
            laws.append((node, law / law.sum()))
        return laws

    def _allowed(self, matcher: Matcher | None, path: Sequence[int]) -> NDArray[np.bool_]:
        """bool[vocab_size]: what may follow a path."""
        vocabulary = self._drafter.vocabulary
        if matcher is None:
            allowed = vocabulary.token_lengths > 0
            allowed[list(vocabulary.stop_ids)] = True
            return allowed
        bitmask = np.zeros((1, vocabulary.num_words), np.int32)
        if matcher.accept_tokens(path):
            matcher.fill_bitmask(bitmask)
            matcher.rollback(len(path))
        bits = np.unpackbits(bitmask[0].view(np.uint8), bitorder="little")
        return bits[: vocabulary.size].astype(np.bool_)

    def _likeliest(
        self,
        growing: GrowingTree,
        rows: Sequence[tuple[int, NDArray[np.float64]]],
        max_nodes: int,
    ) -> list[int]:
        """Add the likeliest tokens, as long as their paths are likely enough; return the new nodes."""
        options = self._drafter.options
        candidates = [
            (growing.path_probability(parent) * float(law[token]), parent, token, float(law[token]))
            for parent, law in rows
            for token in np.argsort(-law, kind="stable")[: options.width].tolist()
        ]
        candidates.sort(key=lambda candidate: -candidate[0])
        room = max_nodes - growing.num_nodes
        return [
            growing.add(token, parent, probability)
            for path, parent, token, probability in candidates[:room]
            if path >= options.min_path
        ]

    def _drawn(
        self,
        growing: GrowingTree,
        rows: Sequence[tuple[int, NDArray[np.float64]]],
        num_draws: int,
        max_nodes: int,
    ) -> list[int]:
        """Add draws below each node as long as there is room for all of them; return the new nodes.

        Which nodes get children must not depend on what these children are, so room is kept for draws that
        turn out to be the same.
        """
        generator = self._drafter.generator
        new: list[int] = []
        for parent, law in rows:
            if growing.num_nodes + num_draws > max_nodes:
                break
            drawn = generator.choice(law.size, size=num_draws, p=law).tolist()
            node_of: dict[int, int] = {}
            for token in drawn:
                if token not in node_of:
                    estimate = DRAW_ESTIMATE * (1.0 - DRAW_ESTIMATE) ** len(node_of)
                    node_of[token] = growing.add(token, parent, estimate)
            growing.laws[parent] = SampledLaw(law, tuple(node_of[token] for token in drawn))
            new += node_of.values()
        return new

    def finish(self) -> None:
        self._cache = None
        self._unread = []


class GrowingTree:
    """A draft tree in the making."""

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        self.parents: list[int] = []
        self.probabilities: list[float] = []
        self.laws: dict[int, SampledLaw] = {}

    @property
    def num_nodes(self) -> int:
        return len(self.token_ids)

    def add(self, token_id: int, parent: int, probability: float) -> int:
        """A new node; returns its number."""
        self.token_ids.append(token_id)
        self.parents.append(parent)
        self.probabilities.append(probability)
        return self.num_nodes - 1

    def path_probability(self, node: int) -> float:
        """That a node and all above it are accepted."""
        probability = 1.0
        while node != ROOT:
            probability *= self.probabilities[node]
            node = self.parents[node]
        return probability

    def tree(self) -> DraftTree:
        """The tree as it is now."""
        return DraftTree(
            token_ids=np.array(self.token_ids, np.int32),
            parents=np.array(self.parents, np.int32),
            probabilities=np.array(self.probabilities, np.float64),
            sources=np.full(self.num_nodes, MODEL, np.int8),
            laws=dict(self.laws),
        )
