"""Work that checks ask for, apart from what running requests wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from syntagma.decoding.engine import EngineOverloadedError


class CheckService:
    """One thread, so that any number of checks takes no more than one processor from the others.

    Args:
        max_pending: checks running or waiting; more are refused as overload.
    """

    def __init__(self, *, max_pending: int) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._max_pending = max_pending
        self._num_pending = 0

    async def run(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the work returns.

        Raises:
            EngineOverloadedError: too many checks wait already.
        """
        if self._num_pending >= self._max_pending:
            raise EngineOverloadedError("too many grammars wait to be checked")
        self._num_pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._num_pending -= 1

    def shutdown(self) -> None:
        """Drop what waits; what runs ends within its time budget."""
        self._pool.shutdown(wait=False, cancel_futures=True)
