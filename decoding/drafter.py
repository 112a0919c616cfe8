"""What proposes drafts: a drafter is shared by all requests, a session of it follows one output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.draft_tree import DraftTree, Source
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.tree_pruning import Guess


@dataclass(frozen=True, kw_only=True)
class DraftScope:
    """Whose text a session may learn from and be drafted for.

    Attributes:
        grammar_key: content hash of the grammar; empty without one.
        tenant: who asked; one tenant's text never reaches another's drafts.
    """

    grammar_key: str = ""
    tenant: str = ""


class DraftSession(ABC):
    """Follows one output; not safe to use from several threads at once."""

    @abstractmethod
    def extend(self, token_ids: Sequence[int]) -> None:
        """The output has gone on by these tokens."""

    @abstractmethod
    def propose(self, matcher: Matcher | None, *, max_nodes: int, max_depth: int) -> DraftTree:
        """What may come next: at most ``max_nodes`` nodes, at most ``max_depth`` tokens deep.

        The matcher is that of the output and left as it was found. A drafter may ask it; what it
        proposes is pruned by the grammar afterwards in any case.
        """

    def after(
        self, matcher: Matcher, path: Sequence[int], *, max_tokens: int, path_probability: float
    ) -> list[Guess]:
        """What a leaf of any draft goes on with, as far as that is nearly certain; most drafters leave it as it is.

        Args:
            matcher: behind the leaf, left as it was found.
            path: the tokens from the output's end to the leaf.
            max_tokens: of the chain returned.
            path_probability: that what was appended to the draft so far stands, if the draft does.
        """
        return []

    def learn(  # noqa: B027 - most drafters have no use for it
        self,
        token_ids: Sequence[int],
        successors: NDArray[np.int32],
        probabilities: NDArray[np.float64],
    ) -> None:
        """What the model said after tokens that it has just read, accepted or not.

        Args:
            token_ids: the tokens read.
            successors: int32[len(token_ids), k], the k likeliest next tokens, likeliest first.
            probabilities: float64[len(token_ids), k], theirs.
        """

    def finish(self) -> None:  # noqa: B027 - some drafters keep nothing
        """The output has ended; a drafter that learns from whole outputs takes it in now."""


class Drafter(Protocol):
    """A source of drafts. `begin` may be called from any thread."""

    @property
    def source(self) -> Source: ...

    def begin(self, prompt_token_ids: Sequence[int], scope: DraftScope) -> DraftSession: ...
