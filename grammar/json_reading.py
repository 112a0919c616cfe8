"""Reading a JSON text bit by bit, to tell which items and keys have come before.

A `Reading` stands behind some part of a text that is known to be the beginning of valid JSON. It is
immutable and shares all it can with those before it, so that outputs can be forked and taken back.

Values are compared as JSON has it: strings by their characters, numbers by what they denote, objects
without regard to order. Of doubled keys the last one counts. Arrays and objects are known by a digest, so
nothing recurses on their depth.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple

# What ends a piece of a string, and a number or literal.
STRING_STOPS = re.compile(rb'["\\]')
SCALAR_STOPS = re.compile(rb"[\s,:\]}]")
WHITESPACE = re.compile(rb"[ \t\r\n]*")

QUOTE, BACKSLASH, COMMA, COLON = b'"\\,:'
OPENING, CLOSING = b"[{", b"]}"
BLANKS = b" \t\r\n"


class Literal(Enum):
    """The values that are neither numbers nor texts; not the constants, because 1 equals True."""

    NULL = b"null"
    FALSE = b"false"
    TRUE = b"true"


class Container:
    """An array or object.

    Attributes:
        parts: the items of an array; the members of an object by name.
    """

    __slots__ = ("digest", "parts")

    def __init__(self, parts: tuple[Value, ...] | dict[str, Value]) -> None:
        self.parts = parts
        if isinstance(parts, dict):
            members = sorted(_digest(name) + _digest(value) for name, value in parts.items())
            self.digest = _hashed(b"{", members)
        else:
            self.digest = _hashed(b"[", [_digest(value) for value in parts])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


Value = str | Fraction | Literal | Container


def _hashed(kind: bytes, parts: list[bytes]) -> bytes:
    return hashlib.blake2b(kind + b"".join(parts), digest_size=20).digest()


def _digest(value: Value) -> bytes:
    if isinstance(value, Container):
        return value.digest
    if isinstance(value, str):
        return _hashed(b'"', [value.encode("utf-8", "surrogatepass")])
    if isinstance(value, Fraction):
        return _hashed(b"0", [b"%d/%d" % value.as_integer_ratio()])
    return _hashed(b"l", [value.value])


class Seen:
    """A set that a new one with one more value shares most of itself with.

    It is a list of sets that grow at least twofold, so adding a value copies few others on average.
    """

    __slots__ = ("_sets",)

    def __init__(self, sets: tuple[frozenset[Value], ...] = ()) -> None:
        self._sets = sets

    def __contains__(self, value: Value) -> bool:
        return any(value in part for part in self._sets)

    def __len__(self) -> int:
        return sum(map(len, self._sets))

    def __iter__(self) -> Iterator[Value]:
        for part in self._sets:
            yield from part

    def with_value(self, value: Value) -> Seen:
        """This set and a value that is not in it."""
        sets = self._sets
        added = frozenset((value,))
        while sets and len(sets[-1]) <= len(added):
            added |= sets[-1]
            sets = sets[:-1]
        return Seen((*sets, added))


NOTHING_SEEN = Seen()


class Chain(NamedTuple):
    """A list that grows at its end and shares its beginning."""

    before: Chain | None
    last: Any


def in_order(chain: Chain | None) -> list[Any]:
    """What a chain holds, first to last."""
    found = []
    while chain is not None:
        found.append(chain.last)
        chain = chain.before
    return found[::-1]


class Frame(NamedTuple):
    """An array or object that is open.

    Attributes:
        outer: what it stands in.
        is_object: or else an array.
        seen: the items, or the keys.
        parts: the items, or (key, value) pairs, that are complete.
        key: the key whose value is being read; None: none yet.
    """

    outer: Frame | None
    is_object: bool
    seen: Seen = NOTHING_SEEN
    parts: Chain | None = None
    key: str | None = None

    @property
    def value(self) -> Container:
        """What it is if it ends now."""
        parts = in_order(self.parts)
        return Container(dict(parts) if self.is_object else tuple(parts))


class Mode(Enum):
    """Where in a text a reading stands."""

    BETWEEN = "between"  # where a value or a key may begin or a container end
    STRING = "string"
    ESCAPE = "escape"  # in a string, behind a backslash
    SCALAR = "scalar"  # in a number or literal
    ENDED = "ended"  # behind a value or a key


class End(NamedTuple):
    """Reading goes on behind an item or key.

    Attributes:
        offset: where in the text.
        is_key: or else an item.
        is_new: whether it is the first of its kind in its object or array.
    """

    offset: int
    is_key: bool
    is_new: bool


class Reading(NamedTuple):
    """What is known behind some part of a text.

    Attributes:
        frame: the innermost open array or object.
        mode: where in it the text is.
        pieces: of the string or scalar that is being read, without the opening quote.
        is_new: whether the item or key that has just ended is the first of its kind; None: nothing has.
    """

    frame: Frame | None = None
    mode: Mode = Mode.BETWEEN
    pieces: Chain | None = None
    is_new: bool | None = None

    @property
    def raw(self) -> bytes:
        """The string or scalar so far, as it is spelled."""
        return b"".join(in_order(self.pieces))

    @property
    def num_seen(self) -> int:
        """How many items and keys all that is open has."""
        number = 0
        frame = self.frame
        while frame is not None:
            number += len(frame.seen)
            frame = frame.outer
        return number

    @property
    def is_at_key(self) -> bool:
        """Whether a key is being read, or comes next if anything does."""
        return self.frame is not None and self.frame.is_object and self.frame.key is None

    def read(self, text: bytes) -> tuple[Reading, list[End]]:
        """The reading behind some more text, and where it has gone on behind an item or key."""
        frame, mode, pieces, is_new = self
        ends: list[End] = []
        i, end = 0, len(text)
        while i < end:
            if mode is Mode.STRING:
                stop = STRING_STOPS.search(text, i)
                if stop is None:
                    pieces, i = Chain(pieces, text[i:]), end
                elif text[stop.start()] == BACKSLASH:
                    pieces, i, mode = Chain(pieces, text[i : stop.end()]), stop.end(), Mode.ESCAPE
                else:
                    pieces, i = Chain(pieces, text[i : stop.start()]), stop.end()
                    spelled = b'"' + b"".join(in_order(pieces)) + b'"'
                    frame, is_new = _with_value(frame, json.loads(spelled, strict=False))
                    pieces, mode = None, Mode.ENDED
            elif mode is Mode.ESCAPE:
                pieces, i, mode = Chain(pieces, text[i : i + 1]), i + 1, Mode.STRING
            elif mode is Mode.SCALAR:
                stop = SCALAR_STOPS.search(text, i)
                i_end = end if stop is None else stop.start()
                pieces, i = Chain(pieces, text[i:i_end]), i_end
                if stop is not None:
                    frame, is_new = _with_value(frame, _scalar(b"".join(in_order(pieces))))
                    pieces, mode = None, Mode.ENDED
            else:
                if is_new is not None:
                    assert frame is not None, "items and keys stand in something"
                    ends.append(End(i, frame.is_object, is_new))
                    is_new = None
                byte = text[i]
                if byte in BLANKS:
                    blank = WHITESPACE.match(text, i)
                    i = end if blank is None else blank.end()
                elif byte == QUOTE:
                    i, mode = i + 1, Mode.STRING
                elif byte in OPENING:
                    i, mode, frame = i + 1, Mode.BETWEEN, Frame(frame, byte == OPENING[1])
                elif byte in CLOSING:
                    assert frame is not None, "nothing is open"
                    if frame.outer is None:
                        frame = None
                    else:
                        frame, is_new = _with_value(frame.outer, frame.value)
                    i, mode = i + 1, Mode.ENDED
                elif byte == COMMA:
                    i, mode = i + 1, Mode.BETWEEN
                    if frame is not None and frame.is_object:
                        frame = frame._replace(key=None)
                elif byte == COLON:
                    i, mode = i + 1, Mode.BETWEEN
                else:
                    mode = Mode.SCALAR
        return Reading(frame, mode, pieces, is_new), ends


def _with_value(frame: Frame | None, value: Value) -> tuple[Frame | None, bool | None]:
    """A frame in which a value or key has ended, and whether that is new if it has to be told."""
    if frame is None:
        return None, None
    if frame.is_object and frame.key is not None:
        return frame._replace(parts=Chain(frame.parts, (frame.key, value))), None
    is_new = value not in frame.seen
    seen = frame.seen.with_value(value) if is_new else frame.seen
    if frame.is_object:
        assert isinstance(value, str), "keys are texts"
        return frame._replace(seen=seen, key=value), is_new
    return frame._replace(seen=seen, parts=Chain(frame.parts, value)), is_new


def _scalar(spelled: bytes) -> Value:
    if spelled[:1] in b"tfn":
        return Literal(spelled)
    return Fraction(Decimal(spelled.decode()))
