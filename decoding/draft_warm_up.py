"""Compile the drafters' kernels before the first request needs them."""

from __future__ import annotations

import functools

from syntagma.decoding.draft_store import DraftStore
from syntagma.decoding.drafter import DraftScope
from syntagma.decoding.suffix_drafters import CorpusDrafter, PromptDrafter


@functools.cache
def warm_draft_kernels() -> None:
    """Run each kernel once on a few tokens (seconds the first time, then cached on disk)."""
    drafter = CorpusDrafter(DraftStore("", corpus=[[1, 2, 3] * 200]))
    for found in (PromptDrafter(), drafter):
        session = found.begin([1, 2, 3, 1, 2], DraftScope())
        session.extend([3, 4])
        session.propose(None, max_nodes=2, max_depth=2)
