"""Compiled grammars by source: bounded in entries and bytes, least recently used first out."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from syntagma.grammar import CompiledGrammar, GrammarError


class GrammarCache:
    """An LRU of compiled grammars.

    Grammars grow while they are used, so their sizes are asked again at each insertion, and one that alone has
    become too large goes when it is asked for; it begins anew.
    """

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._grammars: OrderedDict[bytes, CompiledGrammar] = OrderedDict()

    def __len__(self) -> int:
        return len(self._grammars)

    @property
    def num_bytes(self) -> int:
        """Estimated memory of all entries."""
        return sum(grammar.num_bytes for grammar in self._grammars.values())

    def get(self, key: bytes) -> CompiledGrammar | None:
        """The grammar under `key`, now the most recently used, or None."""
        grammar = self._grammars.get(key)
        if grammar is None:
            return None
        if grammar.num_bytes > self._max_bytes:
            del self._grammars[key]
            return None
        self._grammars.move_to_end(key)
        return grammar

    def put(self, key: bytes, grammar: CompiledGrammar) -> int:
        """Store a grammar, unless it alone is too large; returns how many others had to go."""
        if grammar.num_bytes > self._max_bytes:
            return 0
        self._grammars[key] = grammar
        self._grammars.move_to_end(key)
        total = self.num_bytes
        num_evicted = 0
        while len(self._grammars) > self._max_entries or total > self._max_bytes:
            _, dropped = self._grammars.popitem(last=False)
            total -= dropped.num_bytes
            num_evicted += 1
        return num_evicted


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
