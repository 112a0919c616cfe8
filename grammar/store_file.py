"""Entries of the mask store in a file, so that a vocabulary's common terminals are walked only once.

An entry is addressed by the key of a terminal's language and the number of a state in its automaton;
both mean the same in every process. Rows and lists of nodes that are equal are stored once.

Arrays, for T terminals, E entries, R distinct rows and L distinct lists:

    terminal_keys   uint8[T, 16], ascending      row_of      int32[E]    rows        int32[R, num_words]
    entry_start     int32[T + 1]                 list_of     int32[E]    list_start  int64[L + 1]
    states          int32[E], ascending for      nodes       int32[...]
                    each terminal
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from syntagma.grammar.array_file import ArrayFile, StoreFileError, open_arrays, write_arrays
from syntagma.grammar.flat_arrays import are_below, check_members, is_partition
from syntagma.grammar.kernel_types import AnyArray, Int32Array

KIND = "mask-store"
KEY_BYTES = 16
DEFAULT_MAX_BYTES = 64 << 20
ENTRY_BYTES = 32

# Names of dtypes, numbers of dimensions.
MEMBERS = {
    "terminal_keys": ("uint8", 2),
    "entry_start": ("int32", 1),
    "states": ("int32", 1),
    "row_of": ("int32", 1),
    "list_of": ("int32", 1),
    "rows": ("int32", 2),
    "list_start": ("int64", 1),
    "nodes": ("int32", 1),
}


@dataclass(frozen=True, eq=False)
class FiledEntry:
    """What one state of one terminal does to the vocabulary.

    Attributes:
        terminal_key: 16 bytes, the key of the terminal's language.
        local_state: the state in the terminal's own automaton.
        interior: int32[num_words], tokens that keep the state alive to their last byte.
        nodes: int32[N], nodes of the token trie at which the terminal may be complete.
    """

    terminal_key: bytes
    local_state: int
    interior: Int32Array
    nodes: Int32Array


class FiledEntries:
    """The entries of a file, by terminal and state; views into the mapped file."""

    def __init__(self, file: ArrayFile) -> None:
        self._arrays = file.arrays
        starts = file.arrays["entry_start"].tolist()
        keys = (bytes(key) for key in file.arrays["terminal_keys"])
        self._ranges = dict(zip(keys, itertools.pairwise(starts), strict=True))

    def __len__(self) -> int:
        return self._arrays["states"].size

    def __iter__(self) -> Iterator[FiledEntry]:
        for key, (first, last) in self._ranges.items():
            for entry, state in enumerate(self._arrays["states"][first:last].tolist(), first):
                yield FiledEntry(key, state, *self._content(entry))

    @property
    def num_bytes(self) -> int:
        """Size of the mapped arrays; the system keeps those parts in memory that are used."""
        return sum(array.nbytes for array in self._arrays.values())

    def get(self, terminal_key: bytes, local_state: int) -> tuple[Int32Array, Int32Array] | None:
        """(interior row, nodes) as in `FiledEntry`, None if the file has no such entry."""
        first, last = self._ranges.get(terminal_key, (0, 0))
        entry = first + int(np.searchsorted(self._arrays["states"][first:last], local_state))
        if entry == last or self._arrays["states"][entry] != local_state:
            return None
        return self._content(entry)

    def _content(self, entry: int) -> tuple[Int32Array, Int32Array]:
        arrays = self._arrays
        part = arrays["list_of"][entry]
        first, last = arrays["list_start"][part], arrays["list_start"][part + 1]
        return arrays["rows"][arrays["row_of"][entry]], arrays["nodes"][first:last]


def write_entries(
    path: str | os.PathLike[str],
    vocabulary_hash: str,
    entries: Iterable[FiledEntry],
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> int:
    """Write entries, most wanted first, until the next one would exceed ``max_bytes``.

    Of several entries for one state the first counts.

    Returns:
        How many entries were written.

    Raises:
        OSError: the file system refuses.
        ValueError: a key that is not 16 bytes, or rows of different lengths.
    """
    places: dict[tuple[bytes, int], tuple[int, int]] = {}
    rows: dict[bytes, int] = {}
    lists: dict[bytes, int] = {}
    size = 0
    num_words: int | None = None
    for entry in entries:
        place = (entry.terminal_key, entry.local_state)
        num_words = entry.interior.size if num_words is None else num_words
        if len(entry.terminal_key) != KEY_BYTES or entry.interior.size != num_words:
            raise ValueError(f"entry {place!r} with {entry.interior.size} words does not fit")
        if place in places:
            continue
        row = entry.interior.astype(np.int32, copy=False).tobytes()
        nodes = entry.nodes.astype(np.int32, copy=False).tobytes()
        size += ENTRY_BYTES + (row not in rows) * len(row) + (nodes not in lists) * len(nodes)
        if size > max_bytes:
            break
        places[place] = (rows.setdefault(row, len(rows)), lists.setdefault(nodes, len(lists)))
    ordered = sorted(places)
    keys, counts = np.unique(
        np.frombuffer(b"".join(key for key, _ in ordered), np.uint8).reshape(-1, KEY_BYTES),
        axis=0,
        return_counts=True,
    )
    ends = np.cumsum([len(nodes) // 4 for nodes in lists], dtype=np.int64)
    targets = np.array([places[place] for place in ordered], np.int32).reshape(-1, 2)
    arrays: dict[str, AnyArray] = {
        "terminal_keys": keys,
        "entry_start": np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        "states": np.array([state for _, state in ordered], np.int32),
        "row_of": targets[:, 0],
        "list_of": targets[:, 1],
        "rows": np.frombuffer(b"".join(rows), np.int32).reshape(len(rows), num_words or 0),
        "list_start": np.concatenate([np.zeros(1, np.int64), ends]),
        "nodes": np.frombuffer(b"".join(lists), np.int32),
    }
    write_arrays(path, kind=KIND, key=vocabulary_hash, arrays=arrays)
    return len(ordered)


def open_entries(
    path: str | os.PathLike[str],
    vocabulary_hash: str,
    *,
    num_words: int,
    num_nodes: int,
    writable: bool = False,
) -> FiledEntries:
    """Map a file of entries.

    Args:
        path: the file.
        vocabulary_hash: `Vocabulary.hash` of the vocabulary they must be for.
        num_words: length of its rows.
        num_nodes: nodes of its token trie.
        writable: as in `open_arrays`.

    Raises:
        FileNotFoundError: no such file.
        OSError: the file system refuses.
        StoreFileError: damaged, for another vocabulary, or with numbers out of range.
    """
    file = open_arrays(path, kind=KIND, key=vocabulary_hash, verify="once", writable=writable)
    arrays = file.arrays
    check_members(arrays, MEMBERS)
    num_terminals, key_bytes = arrays["terminal_keys"].shape
    num_entries = arrays["states"].size
    num_rows, row_words = arrays["rows"].shape
    num_lists = arrays["list_start"].size - 1
    is_sound = (
        key_bytes == KEY_BYTES
        and (num_rows == 0 or row_words == num_words)
        and arrays["row_of"].size == arrays["list_of"].size == num_entries
        and arrays["entry_start"].size == num_terminals + 1
        and is_partition(arrays["entry_start"], num_entries)
        and is_partition(arrays["list_start"], arrays["nodes"].size)
        and are_below(arrays["row_of"], num_rows)
        and are_below(arrays["list_of"], num_lists)
        and are_below(arrays["nodes"], num_nodes)
    )
    if not is_sound:
        raise StoreFileError(f"{os.fspath(path)!r} has entries with numbers out of range")
    return FiledEntries(file)
