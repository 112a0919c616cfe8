"""How good a source's drafts have been for one output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.draft_tree import ROOT, DraftTree
from syntagma.decoding.rest import Rest

DECAY: Final = 0.95
"""An observation's weight falls by this with each later one."""

PRIOR_WEIGHT: Final = 2.0
"""Before the output has shown anything, estimates are taken as they are with this much confidence."""

MAX_ESTIMATE: Final = 0.995

PATIENCE: Final = 4
"""After so many drafts in a row that would have been of no use a source rests."""


class SourceRecord:
    """Compares a source's drafts with what the output became, whether they were verified or not.

    That costs the model nothing and is not biased by the choice of what is verified: a source whose drafts
    are not used gets its chance as soon as they would have been right.

    Attributes:
        rest: whether to do without the source; drafts whose first token is wrong are useless.
    """

    def __init__(self) -> None:
        self._expected = PRIOR_WEIGHT
        self._hits = PRIOR_WEIGHT
        self.rest = Rest(PATIENCE)

    def calibrated(self, tree: DraftTree) -> NDArray[np.float64]:
        """float64[num_nodes]: the tree's estimates, corrected by how right the earlier ones were."""
        factor = self._hits / self._expected
        return np.asarray(np.minimum(tree.probabilities * factor, MAX_ESTIMATE), np.float64)

    def compare(self, tree: DraftTree, token_ids: Sequence[int]) -> bool:
        """The output went on by these tokens where the source had proposed this tree.

        Returns:
            Whether the first token was among the tree's.
        """
        was_useful = False
        node = ROOT
        children = tree.children()
        for token_id in token_ids:
            below = children.get(node)
            if below is None:
                break
            hit = next((child for child in below if tree.token_ids[child] == token_id), None)
            self._expected = _faded(self._expected) + float(tree.probabilities[below].sum())
            self._hits = _faded(self._hits) + float(hit is not None)
            if hit is None:
                break
            was_useful = True
            node = hit
        self.rest.note(was_useful)
        return was_useful


def _faded(weight: float) -> float:
    return PRIOR_WEIGHT + (weight - PRIOR_WEIGHT) * DECAY
