"""Finished rows of one vocabulary, in one block of memory that batches are copied from."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.row_memory import allocate_rows

# More would be too much memory to touch at start where rows are long. Where they are short there may be as many as fit
# SHORT_BYTES: 64 outputs of 96 tokens, each with a grammar of its own, meet 6,000 states, and with 1,024 rows no
# state that came again had its row.
MAX_ROWS = 1024
MAX_SHORT_ROWS = 8192
SHORT_BYTES = 4 << 20


class RowOwner(Protocol):
    """Whoever keeps a row in the arena; loses it when the space is needed."""

    row: Int32Array | None
    view: memoryview | None
    slot: int


class RowArena:
    """A fixed number of rows, handed out and taken back by second chance (Corbato 1968).

    Rows are not cleared when they are handed out.

    Args:
        num_words: int32 words of a row.
        max_bytes: size of the whole arena; four rows at least and MAX_ROWS at most, or MAX_SHORT_ROWS where
            they take no more than SHORT_BYTES.

    Attributes:
        rows: int32[capacity, num_words].
        writable: the rows one by one.
        was_used: uint8[capacity]; an owner that reads its row sets its byte, so that rows that are
            not read go first.
    """

    def __init__(self, num_words: int, max_bytes: int) -> None:
        row_bytes = 4 * num_words
        most = max(MAX_ROWS, min(MAX_SHORT_ROWS, SHORT_BYTES // row_bytes))
        self.capacity = max(4, min(most, max_bytes // row_bytes))
        self.rows = allocate_rows(self.capacity, num_words)
        self.was_used = bytearray()
        self.writable = list(self.rows)
        self._published = [_read_only(row) for row in self.rows]
        self.num_evicted = 0
        self._owners: list[weakref.ref[RowOwner] | None] = []
        self._hand = 0
        self._lock = threading.Lock()

    @property
    def num_rows(self) -> int:
        """Rows that have been handed out and not taken back."""
        return len(self._owners)

    @property
    def num_bytes(self) -> int:
        """Memory of all rows."""
        return self.rows.nbytes

    def acquire(self) -> int:
        """A slot whose row the caller may write; it belongs to nobody until `publish`."""
        with self._lock:
            if len(self._owners) < self.capacity:
                self._owners.append(None)
                self.was_used.append(1)
                return len(self._owners) - 1
            while True:
                slot = self._hand
                self._hand = (slot + 1) % self.capacity
                owner_ref = self._owners[slot]
                if owner_ref is None:
                    continue
                if self.was_used[slot]:
                    self.was_used[slot] = 0
                    continue
                owner = owner_ref()
                if owner is not None:
                    owner.view = owner.row = None
                self._owners[slot] = None
                self.num_evicted += 1
                return slot

    def publish(self, slot: int, owner: RowOwner) -> Int32Array:
        """Give the owner its finished row."""
        with self._lock:
            self._owners[slot] = weakref.ref(owner)
            self.was_used[slot] = 1
            owner.slot = slot
            row, owner.view = self._published[slot]
            owner.row = row
            return row

    def release(self, slot: int) -> None:
        """Take back a slot that was acquired and will not be published."""
        with self._lock:
            self.was_used[slot] = 0
            self._owners[slot] = weakref.ref(_NOBODY)


def _read_only(row: Int32Array) -> tuple[Int32Array, memoryview]:
    row.setflags(write=False)
    return row, row.data


class _Nobody:
    """Owns the slots that nobody wants."""

    row: Int32Array | None = None
    view: memoryview | None = None
    slot = -1


_NOBODY = _Nobody()
