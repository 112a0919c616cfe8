"""Entries of the mask store in a file, against a dictionary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syntagma.grammar.array_file import StoreFileError, open_arrays, write_arrays
from syntagma.grammar.kernel_types import AnyArray
from syntagma.grammar.store_file import (
    KIND,
    FiledEntries,
    FiledEntry,
    open_entries,
    write_entries,
)

SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUM_WORDS = 3
NUM_NODES = 50

# Few keys, rows and lists, so that some come twice.
keys = st.sampled_from([bytes(16), bytes(range(16)), b"\xff" * 16]) | st.binary(
    min_size=16, max_size=16
)
rows = st.lists(st.sampled_from([0, -1, 7]), min_size=NUM_WORDS, max_size=NUM_WORDS)
node_lists = st.lists(st.integers(0, NUM_NODES - 1), max_size=4)
entry_lists = st.lists(
    st.builds(
        lambda key, state, row, nodes: FiledEntry(
            key, state, np.array(row, np.int32), np.array(nodes, np.int32)
        ),
        keys,
        st.integers(0, 5) | st.integers(0, 2**31 - 1),
        rows,
        node_lists,
    ),
    max_size=30,
)


def opened(path: Path) -> FiledEntries:
    return open_entries(path, "v", num_words=NUM_WORDS, num_nodes=NUM_NODES)


def as_dictionary(
    entries: list[FiledEntry],
) -> dict[tuple[bytes, int], tuple[list[int], list[int]]]:
    found: dict[tuple[bytes, int], tuple[list[int], list[int]]] = {}
    for entry in entries:
        content = (entry.interior.tolist(), entry.nodes.tolist())
        found.setdefault((entry.terminal_key, entry.local_state), content)
    return found


@SETTINGS
@given(entry_lists, keys, st.integers(0, 6))
def test_entries_come_back_and_no_others(
    tmp_path: Path, entries: list[FiledEntry], key: bytes, state: int
) -> None:
    expected = as_dictionary(entries)
    assert write_entries(tmp_path / "file", "v", entries) == len(expected)
    found = opened(tmp_path / "file")
    assert len(found) == len(expected)
    assert as_dictionary(list(found)) == expected
    for place in [*expected, (key, state)]:
        content = found.get(*place)
        if place in expected:
            assert content is not None
            assert (content[0].tolist(), content[1].tolist()) == expected[place]
            assert content[0].dtype == content[1].dtype == np.int32
        else:
            assert content is None


def entry(state: int, row: list[int], nodes: list[int]) -> FiledEntry:
    return FiledEntry(bytes(16), state, np.array(row, np.int32), np.array(nodes, np.int32))


def test_equal_rows_and_lists_are_stored_once(tmp_path: Path) -> None:
    entries = [entry(state, [state % 2] * NUM_WORDS, [state % 3]) for state in range(100)]
    write_entries(tmp_path / "file", "v", entries)
    arrays = open_arrays(tmp_path / "file", kind=KIND).arrays
    assert arrays["rows"].shape == (2, NUM_WORDS)
    assert arrays["nodes"].size == 3


@SETTINGS
@given(entry_lists, st.integers(0, 2000))
def test_a_file_is_bounded_and_holds_the_first_entries(
    tmp_path: Path, entries: list[FiledEntry], max_bytes: int
) -> None:
    path = tmp_path / "file"
    count = write_entries(path, "v", entries, max_bytes=max_bytes)
    # Beside the entries: the prefix, the header and the padding of eight arrays, and what lies
    # between them.
    assert path.stat().st_size <= max_bytes + 2048
    expected = as_dictionary(entries)
    assert as_dictionary(list(opened(path))) == dict(list(expected.items())[:count])
    if count < len(expected):
        assert max_bytes < len(expected) * (32 + 4 * NUM_WORDS + 16)


def test_a_file_for_another_vocabulary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_entries(path, "v", [entry(0, [1] * NUM_WORDS, [NUM_NODES - 1])])
    with pytest.raises(StoreFileError, match="belongs to 'v'"):
        open_entries(path, "w", num_words=NUM_WORDS, num_nodes=NUM_NODES)
    with pytest.raises(StoreFileError, match="out of range"):
        open_entries(path, "v", num_words=NUM_WORDS + 1, num_nodes=NUM_NODES)
    with pytest.raises(StoreFileError, match="out of range"):
        open_entries(path, "v", num_words=NUM_WORDS, num_nodes=NUM_NODES - 1)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "missing")


def test_entries_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    first = entry(0, [1] * NUM_WORDS, [])
    short_key = FiledEntry(b"short", 0, first.interior, first.nodes)
    for other in (short_key, entry(1, [1] * (NUM_WORDS + 1), [])):
        with pytest.raises(ValueError, match="does not fit"):
            write_entries(tmp_path / "file", "v", [first, other])


@SETTINGS
@given(entry_lists.filter(bool), st.data())
def test_forged_numbers_never_lead_outside(
    tmp_path: Path, entries: list[FiledEntry], data: st.DataObject
) -> None:
    """Either the file is refused, or every entry can be read and is within its bounds."""
    path = tmp_path / "file"
    write_entries(path, "v", entries)
    arrays: dict[str, AnyArray] = {
        name: array.copy() for name, array in open_arrays(path, kind=KIND).arrays.items()
    }
    names = [name for name, array in arrays.items() if array.size]
    name = data.draw(st.sampled_from([n for n in names if n not in ("rows", "terminal_keys")]))
    array = arrays[name]
    at = data.draw(st.integers(0, array.size - 1))
    value = int(array[at])
    near = st.integers(max(value - 2, -(2**31)), min(value + 2, 2**31 - 1))
    array[at] = data.draw(near | st.sampled_from([-(2**31), -1, 0, NUM_NODES, 2**31 - 1]))
    write_arrays(path, kind=KIND, key="v", arrays=arrays)
    try:
        found = opened(path)
    except StoreFileError:
        return
    for filed in found:
        found.get(filed.terminal_key, filed.local_state)
        assert filed.interior.size == NUM_WORDS
        assert ((filed.nodes >= 0) & (filed.nodes < NUM_NODES)).all()


def test_forged_shapes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_entries(path, "v", [entry(s, [1] * NUM_WORDS, [s]) for s in range(4)])
    arrays = dict(open_arrays(path, kind=KIND).arrays)
    for name, array in arrays.items():
        others = [array[:-1], array.reshape(1, -1, 1), array.astype(np.bool_)]
        # Whichever is left out: what refers to it then points outside, or is of another length.
        for other in others:
            write_arrays(path, kind=KIND, key="v", arrays=arrays | {name: other})
            with pytest.raises(StoreFileError):
                opened(path)
        write_arrays(
            path, kind=KIND, key="v", arrays={n: a for n, a in arrays.items() if n != name}
        )
        with pytest.raises(StoreFileError):
            opened(path)
