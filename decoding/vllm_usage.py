"""What became of a request's drafts, on its way from the scheduler to the front end.

The scheduler alone knows which drafts it had verified and where they came from. Outputs of vLLM's engine core have a
field for what machines that share encoded images tell each other (``ec_transfer_params``), a dictionary that reaches
the front end as it is. Each output carries there what its request has come to so far, so that nothing is missing
where vLLM joins outputs and keeps the field of the last, or where a request is aborted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from syntagma.decoding.draft_tree import SOURCES, DraftTree
from syntagma.decoding.speculation import SourceUsage, SpeculationUsage

KEY: Final = "syntagma_speculation"

NUM_REMEMBERED: Final = 64
"""Latest tokens that are told apart by their source; a front end is hardly ever further behind."""

DRAWN: Final = -1
"""Stands for a source where a token was drawn, and not drafted."""


class UsageLog:
    """What one request's steps have come to."""

    def __init__(self) -> None:
        self._usage = SpeculationUsage()
        self._latest: deque[int] = deque(maxlen=NUM_REMEMBERED)

    def count(self, tree: DraftTree, accepted: Sequence[int], num_tokens: int) -> None:
        """One step: what was verified, its nodes that stand, and how many tokens the output got."""
        self._usage.count(tree, accepted)
        sources = tree.sources[accepted].tolist()
        self._latest += [*sources, DRAWN][:num_tokens]

    def attach(self, output: Any) -> None:
        """Write it into one of the engine core's outputs."""
        told = {
            "steps": self._usage.steps,
            "by_source": {
                source: [part.drafted, part.accepted]
                for source, part in self._usage.by_source.items()
            },
            "latest": list(self._latest),
        }
        output.ec_transfer_params = (output.ec_transfer_params or {}) | {KEY: told}


def usage_of(result: Any, num_unread: int) -> SpeculationUsage | None:
    """What a result of vLLM says of its request so far; None if it says nothing.

    Args:
        result: vLLM's ``RequestOutput``.
        num_unread: tokens at its end that are not part of the output, because it has ended before them: drafts
            among them were of no use.
    """
    told = (result.ec_transfer_params or {}).get(KEY)
    if told is None:
        return None
    usage = SpeculationUsage(
        steps=told["steps"],
        by_source={source: SourceUsage(*counts) for source, counts in told["by_source"].items()},
    )
    latest = told["latest"]
    for source in latest[max(len(latest) - num_unread, 0) :]:
        if source != DRAWN:
            usage.by_source[SOURCES[source]].accepted -= 1
    return usage
