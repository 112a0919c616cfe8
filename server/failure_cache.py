"""Recent refusals by source."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from syntagma.grammar import GrammarError


class FailureCache:
    """Recent refusals by source, each for a short while, so that a resent bad grammar is cheap.

    Running out of time is never remembered: under load it may hit an innocent grammar.
    """

    def __init__(
        self, *, max_entries: int, ttl_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_entries = max_entries
        self._ttl_s = ttl_s
        self._clock = clock
        self._failures: OrderedDict[bytes, tuple[float, GrammarError]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def get(self, key: bytes) -> GrammarError | None:
        """The refusal under `key` if it has not expired."""
        expiry, error = self._failures.get(key, (0.0, None))
        if error is not None and self._clock() >= expiry:
            del self._failures[key]
            return None
        return error

    def put(self, key: bytes, error: GrammarError) -> None:
        """Remember a refusal."""
        if getattr(error, "limit", None) == "max_seconds":
            return
        self._failures[key] = (self._clock() + self._ttl_s, error)
        self._failures.move_to_end(key)
        while len(self._failures) > self._max_entries:
            self._failures.popitem(last=False)
