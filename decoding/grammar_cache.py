"""Compiled grammars by source: bounded in entries and bytes, least recently used first out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from syntagma.grammar import CompiledGrammar

Key = TypeVar("Key", bound=Hashable)

# Each use asks so many grammars for their sizes, so all are asked within half as many uses as there are grammars.
ASKED_AT_A_USE: Final = 2


@dataclass
class _Entry:
    """A grammar and its size when it was last asked."""

    grammar: CompiledGrammar
    num_bytes: int


class GrammarCache(Generic[Key]):
    """An LRU of compiled grammars.

    Grammars grow while they are used, so sizes are asked again: at each use that of the one in question and those of a few
    others in turn. To ask all at each insertion took longer than to compile one, where there were a hundred. A grammar
    that alone has become too large goes; it begins anew, and the old one is freed with the last output that follows it.

    Attributes:
        num_bytes: estimated memory of all entries, as they were last asked.

    Args:
        max_entries: grammars at most.
        max_bytes: of all together, as `CompiledGrammar.num_bytes` estimates them.
    """

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        # The keys of `_entries` in the order in which they are asked.
        self._turns: OrderedDict[Key, None] = OrderedDict()
        self.num_bytes = 0
        self._num_evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> CompiledGrammar | None:
        """The grammar under `key`, now the most recently used, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._measure(entry)
        if entry.num_bytes > self._max_bytes:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        self._measure_some()
        self._trim()
        return entry.grammar

    def put(self, key: Key, grammar: CompiledGrammar) -> int:
        """Store a grammar, unless it alone is too large; returns how many others had to go since the last call."""
        if key in self._entries:
            self._drop(key)
        num_bytes = grammar.num_bytes
        if num_bytes <= self._max_bytes:
            self._entries[key] = _Entry(grammar, num_bytes)
            self.num_bytes += num_bytes
            self._turns[key] = None
            self._measure_some()
            self._trim()
        num_evicted, self._num_evicted = self._num_evicted, 0
        return num_evicted

    def _measure(self, entry: _Entry) -> None:
        num_bytes = entry.grammar.num_bytes
        self.num_bytes += num_bytes - entry.num_bytes
        entry.num_bytes = num_bytes

    def _measure_some(self) -> None:
        """Ask those whose turn it is."""
        for _ in range(ASKED_AT_A_USE):
            key = next(iter(self._turns))
            self._turns.move_to_end(key)
            self._measure(self._entries[key])

    def _trim(self) -> None:
        while len(self._entries) > self._max_entries or self.num_bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))
            self._num_evicted += 1

    def _drop(self, key: Key) -> None:
        del self._turns[key]
        self.num_bytes -= self._entries.pop(key).num_bytes
