"""Values that grow while they are in use, within a bound of bytes for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from syntagma.grammar.lru import ByteLru

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class GrowingLru(Generic[Key, Value]):
    """Those not used for longest go first. May be used from any thread.

    Args:
        max_bytes: bound on all values.
        size_of: the bytes of one; asked when it is made and whenever it has grown.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[Value], int]) -> None:
        self._lock = threading.Lock()
        self._size_of = size_of
        self._items: ByteLru[Key, Value] = ByteLru(max_bytes)

    def __len__(self) -> int:
        with self._lock:
            return len(self._items)

    @property
    def num_bytes(self) -> int:
        """Of all values, as they were last counted."""
        with self._lock:
            return self._items.num_bytes

    @property
    def num_evicted(self) -> int:
        """Values that were dropped."""
        with self._lock:
            return self._items.num_evicted

    def get(self, key: Key) -> Value | None:
        """The value, now the most recently used; None if it is not there."""
        with self._lock:
            return self._items.get(key)

    def get_or_make(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value, now the most recently used."""
        with self._lock:
            value = self._items.get(key)
            if value is None:
                value = make()
                self._items.put(key, value, self._size_of(value))
            return value

    def note_growth(self, key: Key, value: Value) -> None:
        """Count a value's bytes anew, unless it was dropped meanwhile."""
        with self._lock:
            if self._items.get(key) is value:
                self._items.put(key, value, self._size_of(value))
