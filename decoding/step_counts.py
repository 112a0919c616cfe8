"""What the embedded engine has done: in the step under way, and since it was started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from syntagma.decoding.draft_tree import DraftTree
from syntagma.decoding.engine import EngineStats, StepReport
from syntagma.decoding.speculation import SpeculationUsage


class StepCounts:
    """Counters of one worker, which alone writes to them."""

    def __init__(self) -> None:
        self._report = StepReport()
        self._usage: SpeculationUsage | None = None
        self._totals = EngineStats()

    @property
    def totals(self) -> EngineStats:
        """The counters of `EngineStats` that only grow, without the step under way; may be read from any thread."""
        return self._totals

    def add(
        self,
        *,
        mask_seconds: tuple[float, ...] = (),
        num_prompt_tokens: int = 0,
        num_generated_tokens: int = 0,
        num_forced_tokens: int = 0,
    ) -> None:
        """Count a part of the step; the names are those of `StepReport`."""
        so_far = self._report
        self._report = StepReport(
            mask_seconds=so_far.mask_seconds + mask_seconds,
            num_prompt_tokens=so_far.num_prompt_tokens + num_prompt_tokens,
            num_generated_tokens=so_far.num_generated_tokens + num_generated_tokens,
            num_forced_tokens=so_far.num_forced_tokens + num_forced_tokens,
        )

    def add_draft(self, tree: DraftTree, accepted: Sequence[int]) -> None:
        """Count what became of a choice's draft, also of an empty one."""
        self._usage = self._usage or SpeculationUsage()
        self._usage.count(tree, accepted)

    def close_step(self) -> StepReport:
        """Add the step to the totals and begin the next one; returns what was done in it."""
        report = replace(self._report, speculation=self._usage)
        self._report, self._usage = StepReport(), None
        totals = self._totals
        self._totals = EngineStats(
            prompt_tokens_total=totals.prompt_tokens_total + report.num_prompt_tokens,
            generated_tokens_total=totals.generated_tokens_total + report.num_generated_tokens,
            forced_tokens_total=totals.forced_tokens_total + report.num_forced_tokens,
            mask_seconds_total=totals.mask_seconds_total + sum(report.mask_seconds),
        )
        return report
