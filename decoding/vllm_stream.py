"""One request's choices as tasks of the event loop, and the iterator that reads what they send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from syntagma.decoding.delta_reader import DeltaReader
from syntagma.decoding.engine import Delta, EngineError

RunChoice = Callable[["ChoiceTasks", int], Coroutine[object, object, None]]


class ChoiceTasks:
    """The engine's end: runs every choice at once.

    The first error of a choice ends the others.

    Args:
        num_choices: how many there are.
        run_choice: coroutine function of a choice; sends deltas, the last one with a finish reason.
        on_end: called once, when every choice has finished or no task runs any more.

    Attributes:
        has_begun: something was sent.
        is_aborted: choices that have not reached vLLM yet are to end at once.
        items: what the caller has yet to read; an error is the last one.
    """

    def __init__(
        self, num_choices: int, run_choice: RunChoice, on_end: Callable[[], object]
    ) -> None:
        self.num_choices = num_choices
        self.has_begun = False
        self.is_aborted = False
        self.items: asyncio.Queue[Delta | Exception] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._num_unfinished = self._num_running = num_choices
        self._on_end = on_end
        self._tasks = [asyncio.create_task(run_choice(self, index)) for index in range(num_choices)]
        for task in self._tasks:
            task.add_done_callback(self._note_end)

    def send(self, delta: Delta) -> None:
        """Hand a delta over."""
        self.has_begun = True
        self.items.put_nowait(delta)
        if delta.finish_reason is not None:
            self._num_unfinished -= 1
            if self._num_unfinished == 0:
                self._on_end()

    def fail(self, error: Exception) -> None:
        """End all choices with an error."""
        self.items.put_nowait(error)
        self.cancel()

    def cancel(self) -> None:
        """End all choices without a word."""
        for task in self._tasks:
            task.cancel()

    def cancel_soon(self) -> None:
        """`cancel`, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs any more
            self._loop.call_soon_threadsafe(self.cancel)

    async def wait(self) -> None:
        """Return when no task runs any more."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._num_running -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, EngineError | ValueError):
                self.fail(error)
            else:
                self.fail(EngineError(f"generation failed: {error!r}"))
        if self._num_running == 0 and self._num_unfinished:
            self._on_end()


class ChoiceStream(DeltaReader):
    """The caller's end: the deltas of all choices, as they come.

    Closing it, being cancelled while waiting for it, and forgetting it all abort the request.
    """

    def __init__(self, tasks: ChoiceTasks) -> None:
        super().__init__(tasks.items, tasks.num_choices)
        self._tasks = tasks

    async def aclose(self) -> None:
        """Stop reading, and wait until vLLM has been told."""
        self._num_open = 0
        self._tasks.cancel()
        await self._tasks.wait()

    def __del__(self) -> None:
        self._tasks.cancel_soon()
