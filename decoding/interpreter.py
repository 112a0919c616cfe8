"""Python's own pauses, kept short in processes that serve streams and make grammars at the same time."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

# Whoever waits for the interpreter's lock asks for it after so long. A thread that makes steps or runs the event loop
# gives it up at every operation of the model and every system call, and with Python's 5 ms it would wait ten times
# in a step while one grammar is made.
SWITCH_SECONDS = 0.0005
# Net allocations before young objects are looked at, and how often that happens before older ones are. Compiling makes
# hundreds of thousands of objects and no cycles: Python's thresholds of 700, 10 and 10 had all of them looked at again and
# again, half a second each time.
COLLECTION_THRESHOLDS = (10_000, 5, 400)


def keep_pauses_short() -> None:
    """Set both for this process; may be called again."""
    sys.setswitchinterval(SWITCH_SECONDS)
    keep_collections_rare()


def keep_collections_rare() -> None:
    """Set the thresholds alone: where `short_turns` sees to the other."""
    gc.set_threshold(*COLLECTION_THRESHOLDS)


class _Turns:
    """How many threads want short turns, and the interval for when none does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_wanted = 0
        self._usual_seconds = 0.0

    @contextmanager
    def short(self) -> Iterator[None]:
        with self._lock:
            if self._num_wanted == 0:
                self._usual_seconds = sys.getswitchinterval()
                sys.setswitchinterval(min(SWITCH_SECONDS, self._usual_seconds))
            self._num_wanted += 1
        try:
            yield
        finally:
            with self._lock:
                self._num_wanted -= 1
                if self._num_wanted == 0:
                    sys.setswitchinterval(self._usual_seconds)


_TURNS = _Turns()


def short_turns() -> AbstractContextManager[None]:
    """While a grammar is made beside steps.

    At other times short turns are for nothing: a thread that writes messages interrupted each step of 64 outputs for
    0.4 ms, and could as well have waited for the model's next operation.
    """
    return _TURNS.short()
