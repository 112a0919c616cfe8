"""How a code point is spelled in bytes: plain UTF-8, or inside a JSON string.

An encoder turns a partition of the code points into a small prefix-free automaton whose leaves name
the block of the partition that has been spelled; `automata_kernels.expand` puts it in the place of
each symbol.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterator

import numpy as np

from syntagma.grammar import automata_kernels as kernels
from syntagma.grammar import code_points as cp
from syntagma.grammar import dfa as dfas
from syntagma.grammar.kernel_types import Int32Array, UInt8Array

ByteSet = tuple[cp.Range, ...]
Spelling = tuple[ByteSet, ...]
Partition = tuple[cp.CodePointSet, ...]

SHORT_ESCAPES = {
    ord('"'): b'"', ord("\\"): b"\\", ord("/"): b"/", 8: b"b", 9: b"t", 10: b"n", 12: b"f",
    13: b"r",
}  # fmt: skip
RAW_IN_JSON = cp.complement(cp.union(((0, 0x1F),), cp.from_chars('"\\')))


class Encoder(enum.Enum):
    """The spellings of a code point.

    UTF8: its UTF-8 bytes.
    JSON: every way a JSON string may spell it (RFC 8259, section 7): raw, short escape, ``\\uXXXX``
        in either case, surrogate pairs for astral code points; never a lone surrogate.
    """

    UTF8 = "utf8"
    JSON = "json"

    def automaton(self, partition: Partition) -> tuple[Int32Array, Int32Array, UInt8Array]:
        """The spelling automaton of a partition.

        Returns:
            (table int32[E, C], leaf_class int32[E], byte_classes uint8[256]); state 1 is the root,
            ``leaf_class`` is the spelled block's index, or -1 inside a spelling.
        """
        return _automaton(self, partition)

    def spellings(self, points: cp.CodePointSet) -> Iterator[Spelling]:
        """Byte-set sequences that together spell each code point of a set."""
        match self:
            case Encoder.UTF8:
                yield from utf8_spellings(points)
            case Encoder.JSON:
                yield from utf8_spellings(cp.intersection(points, RAW_IN_JSON))
                yield from short_escapes(points)
                yield from unicode_escapes(points)


@functools.lru_cache(maxsize=128)
def _automaton(encoder: Encoder, partition: Partition) -> tuple[Int32Array, Int32Array, UInt8Array]:
    edges: list[tuple[int, ByteSet, int]] = []
    num_states = 1 + len(partition)  # the root, then a leaf for each block
    for index, points in enumerate(partition):
        for spelling in encoder.spellings(points):
            source = 0
            for byte_set in spelling[:-1]:
                edges.append((source, byte_set, num_states))
                source = num_states
                num_states += 1
            edges.append((source, spelling[-1], 1 + index))

    byte_classes, classes_of = _byte_classes({byte_set for _, byte_set, _ in edges})
    edge_source: list[int] = []
    edge_class: list[int] = []
    edge_target: list[int] = []
    for source, byte_set, target in edges:
        found = classes_of[byte_set]
        edge_source += [source] * len(found)
        edge_class += found
        edge_target += [target] * len(found)
    edge_start, order = kernels.csr(edge_source, num_states)
    _, flat, offsets, members = kernels.determinise(
        np.zeros(num_states + 1, np.int32),
        np.zeros(0, np.int32),
        edge_start,
        np.array(edge_class, np.int32)[order],
        np.array(edge_target, np.int32)[order],
        np.ones(num_states, np.bool_),
        np.zeros(1, np.int32),
        int(byte_classes.max()) + 1,
        1 << 30,
    )
    # A leaf is never part of a longer spelling, so it is alone in its subset.
    first = members[offsets[:-1]]
    labels = np.where((first >= 1) & (first <= len(partition)), first, 0).astype(np.int32)
    labels[0] = 0
    table = flat.reshape(offsets.size - 1, -1)
    table, byte_classes, labels = dfas.canonical(table, byte_classes, dfas.START, labels)
    return table, labels - 1, byte_classes


def _byte_classes(byte_sets: set[ByteSet]) -> tuple[UInt8Array, dict[ByteSet, list[int]]]:
    """Classes of bytes that no set tells apart, and the classes of each set."""
    signature = [0] * 256
    for index, byte_set in enumerate(sorted(byte_sets)):
        for low, high in byte_set:
            for byte in range(low, high + 1):
                signature[byte] |= 1 << index
    numbers: dict[int, int] = {}
    byte_classes = np.array([numbers.setdefault(s, len(numbers)) for s in signature], np.uint8)
    classes_of = {
        byte_set: sorted(
            {int(byte_classes[b]) for low, high in byte_set for b in range(low, high + 1)}
        )
        for byte_set in byte_sets
    }
    return byte_classes, classes_of


def utf8_spellings(points: cp.CodePointSet) -> Iterator[Spelling]:
    """UTF-8 (RFC 3629): ranges are cut until each is a product of byte ranges."""
    for limits in ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, cp.MAX_CODE_POINT)):
        for low, high in cp.intersection(points, (limits,)):
            waiting = [(low, high)]
            while waiting:
                low, high = waiting.pop()
                cut = _utf8_cut(low, high)
                if cut is not None:
                    waiting += [(cut, high), (low, cut - 1)]
                    continue
                first, last = chr(low).encode(), chr(high).encode()
                yield tuple(((a, b),) for a, b in zip(first, last, strict=True))


def _utf8_cut(low: int, high: int) -> int | None:
    """Where to cut a range so that trailing bytes vary over their whole range, if needed."""
    for trailing in range(1, 4):
        block = (1 << (6 * trailing)) - 1
        if high <= 0x7F or low >> (6 * trailing) == high >> (6 * trailing):
            continue
        if low & block:
            return (low | block) + 1
        if high & block != block:
            return high & ~block
    return None


def short_escapes(points: cp.CodePointSet) -> Iterator[Spelling]:
    """Backslash and one character."""
    for point, char in SHORT_ESCAPES.items():
        if cp.contains(points, point):
            yield (_one(ord("\\")), _one(char[0]))


def unicode_escapes(points: cp.CodePointSet) -> Iterator[Spelling]:
    """``\\uXXXX``, and two of them for code points above U+FFFF."""
    prefix = (_one(ord("\\")), _one(ord("u")))
    for low, high in cp.intersection(points, ((0, 0xFFFF),)):
        for digits in _hex_spellings(low, high, 4):
            yield prefix + digits
    for low, high in cp.intersection(points, ((0x10000, cp.MAX_CODE_POINT),)):
        for high_range, low_range in _surrogate_pairs(low - 0x10000, high - 0x10000):
            for first in _hex_spellings(*high_range, 4):
                for second in _hex_spellings(*low_range, 4):
                    yield prefix + first + prefix + second


def _surrogate_pairs(low: int, high: int) -> Iterator[tuple[cp.Range, cp.Range]]:
    """Cut a range of 20-bit values into products of high and low surrogates."""
    waiting = [(low, high)]
    while waiting:
        low, high = waiting.pop()
        if low >> 10 != high >> 10:
            if low & 0x3FF:
                waiting += [((low | 0x3FF) + 1, high), (low, low | 0x3FF)]
                continue
            if high & 0x3FF != 0x3FF:
                waiting += [(high & ~0x3FF, high), (low, (high & ~0x3FF) - 1)]
                continue
        yield (
            (0xD800 + (low >> 10), 0xD800 + (high >> 10)),
            (0xDC00 + (low & 0x3FF), 0xDC00 + (high & 0x3FF)),
        )


def _hex_spellings(low: int, high: int, num_digits: int) -> Iterator[Spelling]:
    """Digit-set sequences for the hexadecimal numbers of a range."""
    waiting = [(low, high)]
    while waiting:
        low, high = waiting.pop()
        for trailing in range(1, num_digits):
            block = (1 << (4 * trailing)) - 1
            if low >> (4 * trailing) == high >> (4 * trailing):
                continue
            if low & block:
                waiting += [((low | block) + 1, high), (low, low | block)]
                break
            if high & block != block:
                waiting += [(high & ~block, high), (low, (high & ~block) - 1)]
                break
        else:
            yield tuple(
                _hex_digits((low >> shift) & 15, (high >> shift) & 15)
                for shift in range(4 * (num_digits - 1), -1, -4)
            )


@functools.cache
def _hex_digits(low: int, high: int) -> ByteSet:
    digits = "0123456789abcdef"[low : high + 1]
    return cp.from_chars(digits + digits.upper())


def _one(byte: int) -> ByteSet:
    return ((byte, byte),)
