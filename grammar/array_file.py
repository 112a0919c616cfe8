"""Files of named numpy arrays: written at once or not at all, checked before use, mapped into memory.

Layout, all numbers little-endian:

    0   magic, 8 bytes          16  size of the file, uint64        64  header, JSON
    8   format version, uint32  24  zero, 8 bytes                       zeros up to a multiple of 64
    12  header size, uint32     32  BLAKE2b-256 of all other bytes      arrays, each at a multiple of 64

The header is ``{"kind", "key", "fields", "arrays": [[name, dtype, shape, offset], ...]}``; offsets count
from the first array. Sizes and offsets are recomputed and compared, never followed, and the digest is
checked before the header is read. It finds damage; whoever may write the directory can also write the
digest, so readers must still check that what the arrays say makes sense.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import struct
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np

from syntagma.grammar.kernel_types import AnyArray

MAGIC = b"\x93SYNTAG\n"
FORMAT_VERSION = 1
ALIGNMENT = 64
MAX_HEADER_BYTES = 1 << 20
MAX_DIMENSIONS = 4
DTYPES = {"bool": "|b1", "uint8": "|u1", "int32": "<i4", "int64": "<i8"}

_PREFIX = struct.Struct("<8sIIQQ32s")
_DIGEST_AT = 32
_MAX_REMEMBERED = 4096

Field = str | int | bool
FileIdentity = tuple[str, int, int, int, int, int]

_verified: set[FileIdentity] = set()
_verified_lock = threading.Lock()


class StoreFileError(ValueError):
    """A file that is damaged, of another version or not the one asked for; compute it instead."""


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """What a file holds.

    Attributes:
        kind: what sort of thing it is.
        key: which one: the content address of what the arrays were computed from.
        fields: small values beside the arrays.
        arrays: by name; memory-mapped, and valid as long as any of them is referenced.
    """

    kind: str
    key: str
    fields: Mapping[str, Field]
    arrays: Mapping[str, AnyArray]


def write_arrays(
    path: str | os.PathLike[str],
    *,
    kind: str,
    key: str,
    arrays: Mapping[str, AnyArray],
    fields: Mapping[str, Field] | None = None,
) -> None:
    """Write a file that appears under its name only when it is complete.

    Any number of processes may write the same file; the last one to finish wins, and readers keep
    what they have mapped. The file is readable by its owner only.

    Raises:
        OSError: the file system refuses.
        ValueError: a dtype or a number of dimensions that files do not hold, or too many arrays.
    """
    table: list[tuple[str, str, list[int]]] = []
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES or not 1 <= array.ndim <= MAX_DIMENSIONS:
            raise ValueError(f"array {name!r} is not storable: {array.dtype}, shape {array.shape}")
        table.append((name, array.dtype.name, list(array.shape)))
    offsets, data_size = _layout(table)
    header = json.dumps(
        {
            "kind": kind,
            "key": key,
            "fields": dict(fields or {}),
            "arrays": [[*row, offset] for row, offset in zip(table, offsets, strict=True)],
        }
    ).encode()
    if len(header) > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {len(header)} bytes is larger than {MAX_HEADER_BYTES}")
    data_start = _aligned(_PREFIX.size + len(header))
    prefix = _PREFIX.pack(MAGIC, FORMAT_VERSION, len(header), data_start + data_size, 0, bytes(32))
    directory = os.path.dirname(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(prefix=".writing-", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            digest = hashlib.blake2b(prefix[:_DIGEST_AT], digest_size=32)
            file.write(prefix)
            _put(file, digest, header, data_start - _PREFIX.size)
            for array in arrays.values():
                flat = np.ascontiguousarray(array, DTYPES[array.dtype.name]).reshape(-1)
                _put(file, digest, flat.view(np.uint8).data, _aligned(flat.nbytes))
            file.seek(_DIGEST_AT)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def open_arrays(
    path: str | os.PathLike[str],
    *,
    kind: str,
    key: str | None = None,
    verify: Literal["always", "once"] = "always",
    writable: bool = False,
) -> ArrayFile:
    """Map a file after checking it.

    Args:
        path: the file.
        kind: what it must be.
        key: which one it must be; None: any.
        verify: ``"once"`` leaves out the digest if this process has checked this very file (path,
            inode, size, times of change) before.
        writable: let the arrays be written to, which changes this process's copy and never the file.
            Kernels compiled for ordinary arrays take no read-only ones.

    Raises:
        FileNotFoundError: no such file.
        OSError: the file system refuses.
        StoreFileError: the file is not what was asked for, or damaged.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size < _PREFIX.size:
            raise StoreFileError(f"{os.fspath(path)!r} has only {status.st_size} bytes")
        # A private mapping: pages are shared until somebody writes to them.
        content = mmap.mmap(file.fileno(), status.st_size, access=mmap.ACCESS_COPY)
    identity = (
        os.path.abspath(path),
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
    try:
        return _checked(content, kind, key, identity, verify, writable)
    except StoreFileError as error:
        raise StoreFileError(f"{os.fspath(path)!r}: {error}") from None


def _checked(
    content: mmap.mmap,
    kind: str,
    key: str | None,
    identity: FileIdentity,
    verify: str,
    writable: bool,
) -> ArrayFile:
    magic, version, header_size, file_size, zero, digest = _PREFIX.unpack_from(content)
    if magic != MAGIC:
        raise StoreFileError("not a file of arrays")
    if version != FORMAT_VERSION:
        raise StoreFileError(f"format version {version}, this program reads {FORMAT_VERSION}")
    if file_size != len(content) or zero != 0:
        raise StoreFileError(f"{len(content)} bytes long, should be {file_size}")
    data_start = _aligned(_PREFIX.size + header_size)
    if header_size > MAX_HEADER_BYTES or data_start > file_size:
        raise StoreFileError(f"a header of {header_size} bytes is too large")
    with _verified_lock:
        is_known = verify == "once" and identity in _verified
    if not is_known and digest != _digest(content):
        raise StoreFileError("damaged: its digest does not match its content")
    with _verified_lock:
        if len(_verified) >= _MAX_REMEMBERED:
            _verified.clear()
        _verified.add(identity)
    header = _read_header(content[_PREFIX.size : _PREFIX.size + header_size])
    if header["kind"] != kind:
        raise StoreFileError(f"holds {header['kind']!r}, not {kind!r}")
    if key is not None and header["key"] != key:
        raise StoreFileError(f"belongs to {header['key']!r}, not to {key!r}")
    table = _read_table(header["arrays"])
    offsets, data_size = _layout([row[:3] for row in table])
    if [row[3] for row in table] != offsets or data_start + data_size != file_size:
        raise StoreFileError("sizes and offsets of the arrays do not fit the file")
    arrays: dict[str, AnyArray] = {}
    for (name, dtype, shape, _), offset in zip(table, offsets, strict=True):
        array: AnyArray = np.ndarray(
            tuple(shape), DTYPES[dtype], buffer=content, offset=data_start + offset
        )
        if dtype == "bool" and array.size and array.view(np.uint8).max() > 1:
            raise StoreFileError(f"array {name!r} has truth values other than 0 and 1")
        array.setflags(write=writable)
        arrays[name] = array
    return ArrayFile(kind, header["key"], header["fields"], arrays)


def _digest(content: mmap.mmap) -> bytes:
    with memoryview(content) as view:
        digest = hashlib.blake2b(view[:_DIGEST_AT], digest_size=32)
        digest.update(view[_PREFIX.size :])
    return digest.digest()


def _read_header(raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise StoreFileError("its header is not JSON") from None
    if not isinstance(header, dict) or set(header) != {"kind", "key", "fields", "arrays"}:
        raise StoreFileError("its header has other members than it should")
    fields = header["fields"]
    is_typed = isinstance(header["kind"], str) and isinstance(header["key"], str)
    if not is_typed or not isinstance(fields, dict) or not isinstance(header["arrays"], list):
        raise StoreFileError("its header has members of the wrong type")
    if not all(isinstance(value, str | int) for value in fields.values()):
        raise StoreFileError("its fields are not plain values")
    return header


def _read_table(rows: list[Any]) -> list[tuple[str, str, list[int], int]]:
    table: dict[str, tuple[str, str, list[int], int]] = {}
    for row in rows:
        match row:
            case [str(name), str(dtype), list(shape), int(offset)] if dtype in DTYPES:
                is_shape = all(type(size) is int and 0 <= size < 1 << 62 for size in shape)
                if not is_shape or not 1 <= len(shape) <= MAX_DIMENSIONS or name in table:
                    raise StoreFileError(f"array {name!r} has no proper shape or comes twice")
                table[name] = (name, dtype, shape, offset)
            case _:
                raise StoreFileError("its table of arrays is malformed")
    return list(table.values())


def _layout(table: list[tuple[str, str, list[int]]]) -> tuple[list[int], int]:
    """(offset of each array, size of all), in bytes from the first array."""
    offsets = []
    position = 0
    for _, dtype, shape in table:
        offsets.append(position)
        # Python's numbers: a product of hostile sizes grows, it does not wrap around.
        position = _aligned(position + math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize)
    return offsets, position


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT


def _put(file: BinaryIO, digest: Any, data: bytes | memoryview, padded_size: int) -> None:
    for piece in (data, bytes(padded_size - len(data))):
        file.write(piece)
        digest.update(piece)
