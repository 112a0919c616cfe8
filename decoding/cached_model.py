"""What the embedded engine's worker needs of a model, and how it finds out what a model can verify."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.draft_tree import ROOT, SOURCES, DraftTree

logger = logging.getLogger(__name__)

LogitsT = TypeVar("LogitsT")
DraftShape: TypeAlias = Literal["tree", "chain", "none"]


class CachedModel(Protocol[LogitsT]):
    """A language model that reads a few tokens at a time and remembers the earlier ones.

    Attributes:
        can_extend: a cache that holds tokens can be extended by several at once; if not, prompts
            are read in one go, and nothing is drafted.
    """

    can_extend: bool

    def forward(self, token_ids: list[int], cache: object) -> tuple[LogitsT, object]:
        """Read the tokens that follow those in the cache; None is an empty cache.

        Returns:
            The logits after the last token, still on the device, and the new cache. The cache given
            may have been changed and must not be used again.
        """
        ...

    def forward_draft(
        self, token_id: int, tree: DraftTree, num_cached: int, cache: object
    ) -> tuple[LogitsT, object]:
        """Read a token and a draft of what follows it, in one pass.

        Every node sees the cache, the token and its own ancestors, at the position that its depth says.

        Returns:
            The logits after the token and after each node: ``1 + num_nodes`` rows. The new cache holds
            all of them, in the same order; `keep` drops what does not stand.
        """
        ...

    def keep(self, cache: object, num_tokens: int, nodes: Sequence[int]) -> object:
        """Cut a cache after `forward_draft` to its first tokens and the given nodes, from the first level
        down."""
        ...

    def likeliest(
        self, logits: LogitsT, count: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The likeliest tokens by each row of a draft's logits (or by the only row), likeliest first, and
        their probabilities."""
        ...

    def fetch(self, logits: LogitsT) -> NDArray[np.float32]:
        """Bring logits to the host: float32[vocab_size], or a row for each token of a draft."""
        ...


def find_draft_shape(model: CachedModel[LogitsT]) -> DraftShape:
    """What drafts a model can verify, by trying: a path read in a draft must say what it says alone.

    Trees need a mask of ancestors and a cache that can be cut at will. A model that refuses or ignores the
    mask, or forgets it beyond the draft, gets chains. A cache that holds something else than one entry a
    token, as in state-space models and sliding windows, cannot be cut: nothing is drafted.
    """
    if not model.can_extend:
        return "none"
    shapes: tuple[tuple[DraftShape, DraftTree, list[int]], ...] = (
        ("tree", _PROBE_TREE, [1, 4, 5]),
        ("chain", _PROBE_CHAIN, [0, 1]),
    )
    for shape, tree, path in shapes:
        try:
            if _reads_as_alone(model, tree, path):
                return shape
        except Exception as error:  # noqa: BLE001 - whatever models raise at what they cannot do
            logger.info("the model cannot verify drafts of shape %r: %r", shape, error)
    return "none"


# Small ids, which every vocabulary has.
_PROMPT = [5, 3, 8, 2, 7]
_PROBE_CHAIN = DraftTree.chain([4, 6, 1], [1.0] * 3, "forced")
_PROBE_TREE = DraftTree(
    token_ids=np.array([4, 6, 1, 9, 2, 8], dtype=np.int32),
    parents=np.array([ROOT, ROOT, 0, 0, 1, 4], dtype=np.int32),
    probabilities=np.ones(6),
    sources=np.full(6, SOURCES.index("forced"), dtype=np.int8),
)
# Wider passes round otherwise, in half precision by some hundredths; a wrong mask shows as more.
_TOLERANCE = 0.1


def _reads_as_alone(model: CachedModel[LogitsT], tree: DraftTree, path: list[int]) -> bool:
    """Compare a draft's rows, and what follows when it is cut to a path, with plain reading."""
    token_id, next_id = 7, 3
    rows, cache = _after_prompt(model)
    draft, cache = model.forward_draft(token_id, tree, len(_PROMPT), cache)
    given = model.fetch(draft)
    expected = []
    for node in range(ROOT, tree.num_nodes):
        _, alone = _after_prompt(model)
        for read in [token_id, *tree.token_ids[tree.path(node)].tolist()]:
            rows, alone = model.forward([read], alone)
        expected.append(model.fetch(rows))
    rows, _ = model.forward([next_id], model.keep(cache, len(_PROMPT) + 1, path))
    given = np.vstack([given, model.fetch(rows)])
    _, alone = _after_prompt(model)
    for read in [token_id, *tree.token_ids[path].tolist(), next_id]:
        rows, alone = model.forward([read], alone)
    expected.append(model.fetch(rows))
    return _agree(given, np.vstack(expected))


def _after_prompt(model: CachedModel[LogitsT]) -> tuple[LogitsT, object]:
    return model.forward(list(_PROMPT), None)


def _agree(given: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    return bool((np.abs(given - expected) <= _TOLERANCE * expected.std()).all())
