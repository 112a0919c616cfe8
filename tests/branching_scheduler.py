"""The scheduler of draft trees, whose trees branch most and that writes down what it does: for tests that name it in place of ours.

Lines of three numbers go to a file that is named in the environment: trees on their way, requests, free blocks of the
cache. The first is written before there are requests. It imports vLLM.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from branching_log import LOG_VARIABLE

from syntagma.decoding.vllm_tree_scheduler import TreeScheduler


class BranchingScheduler(TreeScheduler):
    """Ours, as though drafted tokens cost next to nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._drafts._costs = np.linspace(1.0, 1.0001, self._drafts._max_drafts + 1)
        self._log = open(os.environ[LOG_VARIABLE], "a", buffering=1)  # noqa: SIM115 - as long as the process
        self._write(0)

    def _write(self, num_trees: int) -> None:
        free = self.kv_cache_manager.block_pool.get_num_free_blocks()
        self._log.write(f"{num_trees} {len(self.requests)} {free}\n")

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        output = super().schedule(*args, **kwargs)
        self._write(len(self._trees))
        return output

    def update_from_output(self, *args: Any, **kwargs: Any) -> Any:
        found = super().update_from_output(*args, **kwargs)
        self._write(0)
        return found

    def finish_requests(self, *args: Any, **kwargs: Any) -> Any:
        found = super().finish_requests(*args, **kwargs)
        self._write(0)
        return found
