"""The border between the caller's event loop and the engine's worker thread.

Requests go in through a `RequestQueue`. Deltas come out through an `Outbox`, which wakes each event
loop once a step however many streams moved, and are read from a `DeltaIterator`. A caller who lets
go of the iterator leaves a flag behind; the worker drops the request at its next step.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from syntagma.decoding.delta_reader import DeltaReader
from syntagma.decoding.engine import (
    Delta,
    EngineError,
    EngineOverloadedError,
    EngineStoppedError,
    GenerationRequest,
)
from syntagma.decoding.sequence import Sequence


class Stream:
    """What both threads know of a request.

    Attributes:
        request: what is being generated.
        loop: the caller's event loop.
        items: what the caller has yet to read; an error is the last one. The event loop's own.
        choices: empty as long as the request waits. The worker's own.
        is_aborted: set by any thread, read by the worker; never unset.
    """

    def __init__(self, request: GenerationRequest, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.loop = loop
        self.items: asyncio.Queue[Delta | Exception] = asyncio.Queue()
        self.choices: list[Sequence] = []
        self.is_aborted = False


class DeltaIterator(DeltaReader):
    """The caller's end of a stream; it ends after the last delta of every choice.

    Closing it, being cancelled while waiting for it, and forgetting it all abort the request.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.items, stream.request.sampling.n)
        self._stream = stream

    async def aclose(self) -> None:
        """Stop reading; what the request held is freed at the engine's next step."""
        self._num_open = 0
        self._stream.is_aborted = True

    def __del__(self) -> None:
        self._stream.is_aborted = True


class Outbox:
    """What the worker has to tell the callers after a step; used by the worker thread only."""

    def __init__(self) -> None:
        self._items: dict[asyncio.AbstractEventLoop, list[tuple[Stream, Delta | EngineError]]] = {}

    def put(self, stream: Stream, item: Delta | EngineError) -> None:
        """Keep an item for the flush."""
        self._items.setdefault(stream.loop, []).append((stream, item))

    def flush(self) -> None:
        """Hand everything over; a caller whose event loop is closed has left."""
        for loop, items in self._items.items():
            try:
                loop.call_soon_threadsafe(_deliver, items)
            except RuntimeError:
                for stream, _ in items:
                    stream.is_aborted = True
        self._items.clear()


def _deliver(items: list[tuple[Stream, Delta | EngineError]]) -> None:
    for stream, item in items:
        stream.items.put_nowait(item)


class RequestQueue:
    """The open requests by id, and the order in which those not begun will begin.

    It takes none before `start`. Every method may be called from any thread.

    Args:
        max_waiting: requests that may wait at the same time.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._is_running = False
        self._open: dict[str, Stream] = {}
        self._waiting: deque[Stream] = deque()

    @property
    def num_open(self) -> int:
        """Requests running or waiting."""
        return len(self._open)

    @property
    def num_waiting(self) -> int:
        """Requests that have not begun."""
        return len(self._waiting)

    def submit(self, stream: Stream) -> None:
        """Add a request at the end.

        Raises:
            ValueError: its id is in use.
            EngineOverloadedError: too many wait.
            EngineStoppedError: the queue is not started, or stopped.
        """
        request_id = stream.request.request_id
        with self._changed:
            if not self._is_running:
                raise EngineStoppedError("the engine is not running")
            if request_id in self._open:
                raise ValueError(f"request id {request_id!r} is in use")
            if len(self._waiting) >= self._max_waiting:
                raise EngineOverloadedError(
                    f"{len(self._waiting)} requests wait already; the limit is {self._max_waiting}"
                )
            self._open[request_id] = stream
            self._waiting.append(stream)
            self._changed.notify()

    def start(self) -> None:
        """Take requests from now on."""
        with self._changed:
            self._is_running = True

    def stop(self) -> None:
        """Take no more requests, and let `wait_for_work` return False."""
        with self._changed:
            self._is_running = False
            self._changed.notify()

    def wait_for_work(self) -> bool:
        """Sleep as long as no request is open; False once it is stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._open or not self._is_running)
            return self._is_running

    def next_waiting(self) -> Stream | None:
        """Take the request that has waited longest; it stays open."""
        with self._changed:
            return self._waiting.popleft() if self._waiting else None

    def abort(self, request_id: str) -> None:
        """Mark a request for the worker to drop; an unknown id may just have ended."""
        with self._changed:
            if request_id in self._open:
                self._open[request_id].is_aborted = True

    def stream_of(self, request_id: str) -> Stream:
        """The open request of this id."""
        return self._open[request_id]

    def all_open(self) -> list[Stream]:
        """All open requests, in the order they came."""
        with self._changed:
            return list(self._open.values())

    def close(self, stream: Stream) -> None:
        """Forget a request that has ended."""
        with self._changed:
            self._open.pop(stream.request.request_id, None)
            if stream in self._waiting:
                self._waiting.remove(stream)
