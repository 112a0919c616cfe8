"""The caller's end of a request, whichever engine fills the queue behind it."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator

from syntagma.decoding.engine import Delta


class DeltaReader(AsyncIterator[Delta]):
    """Reads a queue of deltas; it ends after the last delta of every choice, or with an error.

    Being cancelled while waiting closes it.

    Args:
        items: what an engine has to say; an error is the last one.
        num_choices: how many finish reasons will come.
    """

    def __init__(self, items: asyncio.Queue[Delta | Exception], num_choices: int) -> None:
        self._items = items
        self._num_open = num_choices

    async def __anext__(self) -> Delta:
        if self._num_open == 0:
            raise StopAsyncIteration
        try:
            item = await self._items.get()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if isinstance(item, Exception):
            self._num_open = 0
            raise item
        if item.finish_reason is not None:
            self._num_open -= 1
        return item

    @abstractmethod
    async def aclose(self) -> None:
        """Stop reading and abort what still runs."""
