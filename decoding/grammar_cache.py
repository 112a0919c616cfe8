"""Compiled grammars by source: bounded in entries and bytes, least recently used first out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from syntagma.grammar import CompiledGrammar

Key = TypeVar("Key", bound=Hashable)

# Looking at the sizes of all takes a millisecond where there are a thousand.
USES_BETWEEN_LOOKS: Final = 64


class GrammarCache(Generic[Key]):
    """An LRU of compiled grammars.

    Grammars grow while they are used, so sizes are asked again: of all at each insertion and now and then when one is
    asked for, of that one each time. A grammar that alone has become too large goes; it begins anew, and the old one
    is freed with the last output that follows it.

    Args:
        max_entries: grammars at most.
        max_bytes: of all together, as `CompiledGrammar.num_bytes` estimates them.
    """

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._grammars: OrderedDict[Key, CompiledGrammar] = OrderedDict()
        self._uses_until_look = USES_BETWEEN_LOOKS
        self._num_evicted = 0

    def __len__(self) -> int:
        return len(self._grammars)

    @property
    def num_bytes(self) -> int:
        """Estimated memory of all entries."""
        return sum(grammar.num_bytes for grammar in self._grammars.values())

    def get(self, key: Key) -> CompiledGrammar | None:
        """The grammar under `key`, now the most recently used, or None."""
        grammar = self._grammars.get(key)
        if grammar is None:
            return None
        if grammar.num_bytes > self._max_bytes:
            del self._grammars[key]
            return None
        self._grammars.move_to_end(key)
        self._uses_until_look -= 1
        if not self._uses_until_look:
            self._trim()
        return grammar

    def put(self, key: Key, grammar: CompiledGrammar) -> int:
        """Store a grammar, unless it alone is too large; returns how many others had to go since the last call."""
        if grammar.num_bytes <= self._max_bytes:
            self._grammars[key] = grammar
            self._grammars.move_to_end(key)
            self._trim()
        num_evicted, self._num_evicted = self._num_evicted, 0
        return num_evicted

    def _trim(self) -> None:
        self._uses_until_look = USES_BETWEEN_LOOKS
        total = self.num_bytes
        while len(self._grammars) > self._max_entries or total > self._max_bytes:
            _, dropped = self._grammars.popitem(last=False)
            total -= dropped.num_bytes
            self._num_evicted += 1
