"""A value that is made when somebody asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class MadeOnce(Generic[T]):
    """A value made by the first who asks; may be used from any thread.

    Args:
        make: makes it; called once, unless it raises: then again by the next who asks.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make: Callable[[], T] | None = make
        self._lock = threading.Lock()
        self._value: T | None = None

    @property
    def is_made(self) -> bool:
        """Whether somebody has asked for it."""
        return self._make is None

    def get(self) -> T:
        """The value."""
        if self._make is not None:
            with self._lock:
                if self._make is not None:
                    self._value = self._make()
                    self._make = None
        value: T = self._value  # type: ignore[assignment]
        return value
