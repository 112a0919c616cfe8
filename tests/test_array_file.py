"""Files of arrays: what was written comes back, and nothing else ever does."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import stat
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from syntagma.grammar.array_file import (
    FORMAT_VERSION,
    MAGIC,
    ArrayFile,
    StoreFileError,
    open_arrays,
    write_arrays,
)
from syntagma.grammar.kernel_types import AnyArray

SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

storable = st.sampled_from(["bool", "uint8", "int32", "int64"]).flatmap(
    lambda dtype: npst.arrays(
        dtype, npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)
    )
)
values = st.one_of(st.text(max_size=9), st.integers(-(2**70), 2**70), st.booleans())


def is_same(left: AnyArray, right: AnyArray) -> bool:
    return left.dtype == right.dtype and left.shape == right.shape and bool((left == right).all())


def sample(path: Path) -> dict[str, AnyArray]:
    """A small file of every dtype, with padding behind each array."""
    arrays: dict[str, AnyArray] = {
        "flags": np.array([True, False, True]),
        "bytes": np.arange(7, dtype=np.uint8),
        "table": np.arange(6, dtype=np.int32).reshape(2, 3),
        "long": np.array([-(2**60)]),
    }
    write_arrays(path, kind="sample", key="k", arrays=arrays, fields={"n": 3})
    return arrays


@SETTINGS
@given(
    st.dictionaries(st.text(max_size=5), storable, max_size=5),
    st.dictionaries(st.text(max_size=5), values, max_size=3),
    st.text(max_size=5),
)
def test_what_was_written_comes_back(
    tmp_path: Path, arrays: dict[str, AnyArray], fields: dict[str, Any], key: str
) -> None:
    path = tmp_path / "file"
    write_arrays(path, kind="sample", key=key, arrays=arrays, fields=fields)
    found = open_arrays(path, kind="sample", key=key)
    assert (found.kind, found.key, found.fields) == ("sample", key, fields)
    assert list(found.arrays) == list(arrays)
    assert all(is_same(found.arrays[name], array) for name, array in arrays.items())
    assert all(array.ctypes.data % 64 == 0 for array in found.arrays.values() if array.size)


def test_arrays_are_read_only_or_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    sample(path)
    raw = path.read_bytes()
    with pytest.raises(ValueError, match="read-only"):
        open_arrays(path, kind="sample").arrays["bytes"][0] = 9
    private = open_arrays(path, kind="sample", writable=True).arrays["bytes"]
    private[0] = 9
    assert path.read_bytes() == raw
    assert open_arrays(path, kind="sample").arrays["bytes"][0] == 0


def test_an_array_outlives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    arrays = sample(path)
    found = open_arrays(path, kind="sample").arrays["table"]
    write_arrays(path, kind="sample", key="k", arrays={"table": np.zeros((2, 3), np.int32)})
    path.unlink()
    assert is_same(found, arrays["table"])


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    for array in (np.zeros(3, np.float64), np.array([b"x"], object), np.zeros((), np.int32)):
        with pytest.raises(ValueError, match="not storable"):
            write_arrays(tmp_path / "file", kind="sample", key="", arrays={"a": array})
    with pytest.raises(ValueError, match="header"):
        write_arrays(tmp_path / "file", kind="x" * (1 << 20), key="", arrays={})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        sample(tmp_path / "taken")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_files_are_their_owners(tmp_path: Path) -> None:
    sample(tmp_path / "file")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_kind_and_key_must_be_the_ones_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    sample(path)
    with pytest.raises(StoreFileError, match="holds 'sample', not 'other'"):
        open_arrays(path, kind="other")
    with pytest.raises(StoreFileError, match="belongs to 'k', not to 'other'"):
        open_arrays(path, kind="sample", key="other")
    with pytest.raises(FileNotFoundError):
        open_arrays(tmp_path / "missing", kind="sample")


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    sample(path)
    raw = path.read_bytes()
    for position in range(len(raw)):
        for mask in (1, 0x80, 0xFF):
            changed = bytearray(raw)
            changed[position] ^= mask
            path.write_bytes(changed)
            with pytest.raises(StoreFileError):
                open_arrays(path, kind="sample", key="k")


def test_every_cut_and_every_surplus_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    sample(path)
    raw = path.read_bytes()
    for size in range(len(raw)):
        path.write_bytes(raw[:size])
        with pytest.raises(StoreFileError):
            open_arrays(path, kind="sample", key="k")
    for surplus in (b"\0", b"\0" * 64, raw):
        path.write_bytes(raw + surplus)
        with pytest.raises(StoreFileError):
            open_arrays(path, kind="sample", key="k")


@SETTINGS
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_are_refused(tmp_path: Path, raw: bytes, with_magic: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(MAGIC + struct.pack("<I", FORMAT_VERSION) + raw if with_magic else raw)
    with pytest.raises(StoreFileError):
        open_arrays(path, kind="sample")


def forged(path: Path, header: bytes, data: bytes = b"") -> None:
    """A file with a correct digest over whatever it says."""
    start = -(-(64 + len(header)) // 64) * 64
    prefix = struct.pack("<8sIIQQ", MAGIC, FORMAT_VERSION, len(header), start + len(data), 0)
    rest = header.ljust(start - 64, b"\0") + data
    digest = hashlib.blake2b(prefix + rest, digest_size=32).digest()
    path.write_bytes(prefix + digest + rest)


def header_of(*rows: Any, **changes: Any) -> bytes:
    return json.dumps(
        {"kind": "sample", "key": "k", "fields": {}, "arrays": rows} | changes
    ).encode()


def test_a_forged_file_can_be_well_formed(tmp_path: Path) -> None:
    """The forger of the next test is good enough to be believed."""
    forged(tmp_path / "file", header_of(["a", "int32", [2, 2], 0]), bytes(64))
    found = open_arrays(tmp_path / "file", kind="sample", key="k")
    assert is_same(found.arrays["a"], np.zeros((2, 2), np.int32))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff",
        b"[]",
        b"1" * 10_000,
        header_of(more=1),
        header_of(kind=1),
        header_of(key=None),
        header_of(fields=[]),
        header_of(fields={"a": [1]}),
        header_of(fields={"a": None}),
        header_of(arrays={}),
        header_of(["a", "int32", [2, 2]]),
        header_of(["a", "float64", [2, 2], 0]),
        header_of(["a", "object", [2, 2], 0]),
        header_of(["a", "int32", [], 0]),
        header_of(["a", "int32", [1, 1, 1, 1, 1], 0]),
        header_of(["a", "int32", [-2, -2], 0]),
        header_of(["a", "int32", [True], 0]),
        header_of(["a", "int32", [2.0, 2], 0]),
        header_of(["a", "int32", ["2"], 0]),
        header_of(["a", "int32", [17], 0]),
        header_of(["a", "int32", [2**62, 2**62], 0]),
        header_of(["a", "int32", [2**31, 2**31, 4], 0]),
        header_of(["a", "int32", [4], 4]),
        header_of(["a", "int32", [4], -64]),
        header_of(["a", "int32", [4], 0], ["b", "int32", [4], 0]),
        header_of(["a", "int32", [4], 0], ["b", "int32", [4], 64]),
        header_of(["a", "int32", [0], 0], ["a", "int32", [4], 0]),
        header_of(["a", "bool", [4], 0]),
    ],
    ids=lambda header: header[:90].decode("latin-1"),
)
def test_forged_headers_are_refused(tmp_path: Path, header: bytes) -> None:
    forged(tmp_path / "file", header, bytes([2] * 64))
    with pytest.raises(StoreFileError):
        open_arrays(tmp_path / "file", kind="sample", key="k")


def test_checking_once_looks_at_the_file_again_when_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    sample(path)
    raw = bytearray(path.read_bytes())
    open_arrays(path, kind="sample", verify="once")
    raw[-64] ^= 1
    (tmp_path / "new").write_bytes(raw)
    os.replace(tmp_path / "new", path)
    with pytest.raises(StoreFileError, match="digest"):
        open_arrays(path, kind="sample", verify="once")


def test_checking_once_leaves_the_digest_out(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "file"
    arrays = sample(path)
    open_arrays(path, kind="sample", verify="once")
    monkeypatch.setattr("syntagma.grammar.array_file._digest", lambda content: b"")
    with pytest.raises(StoreFileError, match="digest"):
        open_arrays(path, kind="sample", verify="always")
    found = open_arrays(path, kind="sample", verify="once")
    assert is_same(found.arrays["table"], arrays["table"])


def in_threads(*tasks: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(tasks)) as pool:
        for running in [pool.submit(task) for task in tasks]:
            running.result()


def test_readers_never_see_half_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    found: list[ArrayFile] = []

    def write(value: int) -> None:
        arrays: dict[str, AnyArray] = {"a": np.full(50_000, value, np.int32)}
        for _ in range(10):
            write_arrays(path, kind="s", key="", arrays=arrays)

    def read() -> None:
        found.extend(open_arrays(path, kind="s") for _ in range(40))

    write(0)
    writers = [functools.partial(write, value) for value in (1, 2, 3)]
    in_threads(*writers, read, read)
    assert len(found) == 80
    assert all(np.ptp(file.arrays["a"]) == 0 for file in found)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
