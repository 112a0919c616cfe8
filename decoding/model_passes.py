"""The embedded engine's forward passes: over a part of a prompt, or over a choice's last token and a draft."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.cached_model import CachedModel
from syntagma.decoding.draft_tree import EMPTY_TREE, DraftTree
from syntagma.decoding.recycling_drafter import NUM_SUCCESSORS
from syntagma.decoding.sequence import Sequence
from syntagma.decoding.step_costs import StepCosts

LogitsT = TypeVar("LogitsT")
Likeliest: TypeAlias = tuple[NDArray[np.int32] | None, NDArray[np.float64] | None]


@dataclass(frozen=True)
class Pass(Generic[LogitsT]):
    """A forward pass whose logits have not been fetched.

    Attributes:
        sequence: the choice that it moves on.
        logits: after the choice's last token and after each node of the draft.
        tree: the draft that was read along; empty as a rule.
        seconds: what it has taken so far, drafting included.
    """

    sequence: Sequence
    logits: LogitsT
    tree: DraftTree
    seconds: float


class ModelPasses(Generic[LogitsT]):
    """Runs the model and learns what its steps cost.

    Args:
        model: of the engine.
        max_nodes: drafted tokens in one pass, at most.
    """

    def __init__(self, model: CachedModel[LogitsT], max_nodes: int) -> None:
        self._model = model
        self._step_costs = StepCosts(max_nodes)

    @property
    def can_extend(self) -> bool:
        """Whether a prompt may be read in parts."""
        return self._model.can_extend

    def read(self, sequence: Sequence, num_tokens: int) -> Pass[LogitsT]:
        """A pass over a choice's next tokens, which counts as done; its result is not waited for.

        Args:
            sequence: the choice.
            num_tokens: at most.
        """
        started = time.perf_counter()
        tree = self._propose(sequence)
        token_ids = sequence.uncached_token_ids(num_tokens)
        if tree.num_nodes:
            logits, sequence.cache = self._model.forward_draft(
                token_ids[0], tree, sequence.num_cached, sequence.cache
            )
        else:
            logits, sequence.cache = self._model.forward(token_ids, sequence.cache)
        sequence.num_cached += len(token_ids)
        return Pass(sequence, logits, tree, time.perf_counter() - started)

    def _propose(self, sequence: Sequence) -> DraftTree:
        """A draft to be read along with the choice's last token; none while it reads its prompt."""
        if sequence.drafts is None or sequence.max_draft_depth <= 0:
            return EMPTY_TREE
        return sequence.drafts.propose(
            sequence.matcher, costs=self._step_costs.costs, max_tokens=sequence.max_draft_depth
        )

    def fetch(self, done: Pass[LogitsT]) -> NDArray[np.float32]:
        """A pass's logits: float32[1 + num_nodes, vocab_size]. Notes what it has cost."""
        started = time.perf_counter()
        rows = np.atleast_2d(self._model.fetch(done.logits))
        drafts = done.sequence.drafts
        if drafts is not None and drafts.is_attentive and done.sequence.output_token_ids:
            seconds = done.seconds + time.perf_counter() - started
            self._step_costs.add(done.tree.num_nodes, seconds)
        return rows

    def likeliest(self, done: Pass[LogitsT]) -> Likeliest:
        """What the model held likely, where a drafter learns from it."""
        drafts = done.sequence.drafts
        if drafts is None or not drafts.wants_likeliest:
            return None, None
        return self._model.likeliest(done.logits, NUM_SUCCESSORS)

    def keep(self, sequence: Sequence, tree: DraftTree, accepted: list[int]) -> None:
        """Drop from a choice's cache what was read of a draft and does not stand."""
        if tree.num_nodes and not sequence.is_finished:
            sequence.cache = self._model.keep(sequence.cache, sequence.num_cached, accepted)
            sequence.num_cached += len(accepted)
