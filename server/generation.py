"""Running the engine for one HTTP request: several prompts as one stream, always closed."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast

from syntagma.decoding.engine import Delta, Engine, EngineError, GenerationRequest
from syntagma.decoding.speculation import SpeculationUsage
from syntagma.server.errors import ApiError, bad_request
from syntagma.server.metrics import Metrics

_MAX_BUFFERED = 64


class Generation:
    """The deltas of one or more engine requests, with choices numbered through.

    Choice ``j`` of request ``i`` becomes ``i * n + j``. Iterate after `open`; `aclose` aborts what
    still runs and may be called at any time.
    """

    def __init__(
        self, engine: Engine, requests: Sequence[GenerationRequest], metrics: Metrics
    ) -> None:
        self._engine = engine
        self._requests = requests
        self._metrics = metrics
        self._queue: asyncio.Queue[Delta | Exception | None] = asyncio.Queue(_MAX_BUFFERED)
        self._tasks: list[asyncio.Task[None]] = []
        self._num_running = len(requests)
        self._first: Delta | None = None
        self._is_open = False
        self._started_at = self._last_at = time.perf_counter()
        self.num_generated_tokens = 0
        self.speculation: SpeculationUsage | None = None

    @property
    def num_choices(self) -> int:
        """Choices over all requests."""
        return sum(request.sampling.n for request in self._requests)

    @property
    def num_prompt_tokens(self) -> int:
        """Prompt tokens over all requests."""
        return sum(len(request.prompt_token_ids) for request in self._requests)

    async def open(self) -> None:
        """Start, and wait for the first delta: until then a failure can still be a HTTP status.

        Raises:
            ApiError: 400, the engine does not take the request.
            EngineError: it is overloaded or failed.
        """
        offset = 0
        for request in self._requests:
            self._tasks.append(asyncio.create_task(self._pump(request, offset)))
            offset += request.sampling.n
        try:
            self._first = await self._receive()
        except BaseException:
            await self.aclose()
            raise
        self._is_open = True
        self._metrics.first_token_seconds.observe(time.perf_counter() - self._started_at)
        self._metrics.prompt_tokens.add(self.num_prompt_tokens)

    def __aiter__(self) -> Generation:
        return self

    async def __anext__(self) -> Delta:
        delta, self._first = self._first, None
        if delta is None:
            delta = await self._receive()
        if delta is None:
            raise StopAsyncIteration
        self._count(delta)
        return delta

    async def aclose(self) -> None:
        """Abort what runs; afterwards the engine holds nothing of this request."""
        if self._is_open:
            self._is_open = False
            self._metrics.request_seconds.observe(time.perf_counter() - self._started_at)
            if self._num_running:
                self._metrics.aborted.add()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, request: GenerationRequest, offset: int) -> None:
        """Move one request's deltas into the queue; ends with None or what went wrong."""
        has_started = False
        num_unfinished = request.sampling.n
        try:
            deltas = cast(AsyncGenerator[Delta], self._engine.generate(request))
            async with aclosing(deltas):
                async for delta in deltas:
                    has_started = True
                    num_unfinished -= delta.finish_reason is not None
                    await self._queue.put(dataclasses.replace(delta, index=delta.index + offset))
            if num_unfinished:
                raise EngineError(f"{num_unfinished} choices ended without a finish reason")
        except ValueError as error:
            # The engine's word on a request before its first step; later it would be a bug.
            await self._queue.put(error if has_started else bad_request(str(error)))
        except Exception as error:  # noqa: BLE001 - raised again where the deltas are read
            await self._queue.put(error)
        else:
            await self._queue.put(None)

    async def _receive(self) -> Delta | None:
        while self._num_running:
            item = await self._queue.get()
            if item is None:
                self._num_running -= 1
                continue
            if isinstance(item, Exception):
                raise item
            if item.finish_reason == "abort":
                raise ApiError(
                    503,
                    "The server ended this request, most likely because it is shutting down.",
                    code="aborted",
                    kind="server_error",
                )
            return item
        return None

    def _count(self, delta: Delta) -> None:
        now = time.perf_counter()
        if self.num_generated_tokens:
            self._metrics.inter_token_seconds.observe(now - self._last_at)
        self._last_at = now
        self.num_generated_tokens += len(delta.token_ids)
        self._metrics.generated_tokens.add(len(delta.token_ids))
        if delta.speculation is not None:
            self.speculation = self.speculation or SpeculationUsage()
            self.speculation.add(delta.speculation)
        if delta.finish_reason is not None:
            is_constrained = self._requests[0].grammar is not None
            self._metrics.finished.add(
                1, delta.finish_reason, "grammar" if is_constrained else "none"
            )
            if is_constrained and delta.finish_reason == "length":
                self._metrics.truncated.add()
