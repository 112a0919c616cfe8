"""What an output must stay clear of: the values that would make its open items equal to earlier ones.

An item that is being read has *rivals*: earlier items of its array that agree with all of it that is
complete. Down in a nested item only the part at hand matters: the string that it would take there, or the
key. An item without rivals is new whatever comes.
"""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

from syntagma.grammar.json_reading import (
    Container,
    Frame,
    Literal,
    Mode,
    Reading,
    Value,
    in_order,
)

# What has been read of a string but for an escape or a character that is not complete.
COMPLETE_PART = re.compile(rb"(?:[^\\]|\\[^u]|\\u[0-9a-fA-F]{4})*")
MANTISSA = re.compile(r"[-.]")
EXPONENT = re.compile(r"[eE]")
# Zeros that may follow in a spelling, at most.
MOST_DIGITS = 256
HIGH_SURROGATES = range(0xD800, 0xDC00)
LONGEST_CHARACTER = 4


class Rivals(NamedTuple):
    """What the text must not go on to spell where it stands.

    Attributes:
        parts: strings for keys and strings, other values; None for going on with anything at all, as
            behind a member on which an earlier item agrees.
        number: of earlier items and keys that they are parts of.
    """

    parts: frozenset[Value | None]
    number: int


NONE = Rivals(frozenset(), 0)


def rivals_of(reading: Reading) -> Rivals:
    """The rivals of all that is open."""
    frame = reading.frame
    if frame is None:
        return NONE
    may_become = _test_of(reading)
    parts: set[Value | None] = set()
    number = 0
    if reading.is_at_key:
        keys = [key for key in frame.seen if may_become(key)]
        parts.update(keys)
        number += len(keys)
    path: list[Frame] = []
    array: Frame | None = frame
    while array is not None:
        if not array.is_object and not (array is frame and reading.mode is Mode.ENDED):
            for item in array.seen:
                found = [p for p in _parts_at(item, path, reading) if may_become(p)]
                if found:
                    parts.update(found)
                    number += 1
        path.append(array)
        array = array.outer
    return Rivals(frozenset(parts), number) if number else NONE


def _parts_at(item: Value, path: list[Frame], reading: Reading) -> Iterator[Value | None]:
    """What an earlier item has where the reading stands, if it agrees with what is complete."""
    value = item
    for depth in range(len(path) - 1, -1, -1):
        frame = path[depth]
        if not isinstance(value, Container):
            return
        completed = in_order(frame.parts)
        if frame.is_object:
            if not isinstance(value.parts, dict) or any(
                value.parts.get(name) != part for name, part in dict(completed).items()
            ):
                return
            if depth == 0 and (reading.mode is Mode.ENDED and completed and frame.key is None):
                yield None
                return
            if frame.key is None:
                yield from value.parts.keys() - dict(completed).keys()
                if len(value.parts) == len(dict(completed)):
                    yield None
                return
            if depth == 0 and reading.mode is Mode.ENDED:
                if frame.key in value.parts:
                    yield None
                return
            if frame.key not in value.parts:
                return
            value = value.parts[frame.key]
        else:
            if isinstance(value.parts, dict) or value.parts[: len(completed)] != tuple(completed):
                return
            if depth == 0 and (
                reading.mode is Mode.ENDED
                or (reading.mode is Mode.BETWEEN and len(value.parts) == len(completed))
            ):
                yield None
                return
            if len(value.parts) == len(completed):
                return
            value = value.parts[len(completed)]
    yield value


def _test_of(reading: Reading) -> Callable[[Value | None], bool]:
    """Tells whether the string, number or literal that is being read may turn out to be a value."""
    if reading.mode in (Mode.STRING, Mode.ESCAPE):
        text = split_raw(reading.raw)[0]
        return lambda value: isinstance(value, str) and value.startswith(text)
    if reading.mode is Mode.SCALAR:
        raw = reading.raw
        if raw[:1] in b"tfn":
            return lambda value: isinstance(value, Literal) and value.value.startswith(raw)
        digits = _digits_in(raw)
        return lambda value: isinstance(value, Fraction) and _digits_of(value).startswith(digits)
    return lambda value: True


def _digits_in(spelled: bytes) -> str:
    """The digits before an exponent, from the first that is not zero on."""
    return MANTISSA.sub("", EXPONENT.split(spelled.decode())[0]).lstrip("0")


@functools.lru_cache(maxsize=4096)
def _digits_of(number: Fraction) -> str:
    """The digits of a decimal number from the first that is not zero on, and zeros behind."""
    numerator, denominator = abs(number.numerator), number.denominator
    # A decimal's denominator divides a power of ten with as many places as it has bits.
    digits = str(numerator * 10 ** denominator.bit_length() // denominator)
    return digits.rstrip("0") + "0" * MOST_DIGITS


def split_raw(raw: bytes) -> tuple[str, bytes]:
    """The characters of a string that has not ended, and the bytes of one that is not complete."""
    part = COMPLETE_PART.match(raw)
    end = 0 if part is None else part.end()
    text, dangling = decoded(raw[:end]), raw[end:]
    if text and ord(text[-1]) in HIGH_SURROGATES:
        start = raw[:end].rindex(b"\\u")
        return text[:-1], raw[start:]
    if not dangling:
        complete = len(raw)
        decoder = codecs.getincrementaldecoder("utf-8")()
        decoder.decode(raw[-LONGEST_CHARACTER:].lstrip(bytes(range(0x80, 0xC0))))
        dangling = decoder.getstate()[0]
        return text, raw[complete - len(dangling) :] if dangling else b""
    return text, dangling


def decoded(raw: bytes) -> str:
    """The characters of the beginning of a string; a character that is cut off at the end is left out."""
    text, _ = codecs.getincrementaldecoder("utf-8")().decode(raw), None
    return _unescaped(text)


ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _unescaped(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        point, short = found.groups()
        return chr(int(point, 16)) if point else SHORT_ESCAPES.get(short, short)

    plain = ESCAPE.sub(character, text)
    if not any(0xD800 <= ord(c) < 0xE000 for c in plain):
        return plain
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
