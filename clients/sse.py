"""Server-sent events, parsed incrementally (WHATWG HTML, section 9.2.6).

Bytes may be cut anywhere: inside a line end, inside a UTF-8 character. Lines are decoded only
when they are whole, so neither matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class ServerSentEvent:
    """One message: its type (``message`` unless named) and its data lines joined by newlines."""

    data: str
    event: str = "message"


class SseParser:
    """Turns chunks of bytes into events.

    An event without its closing blank line is never delivered, as the standard asks: it may be
    half of one.
    """

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._ended_with_cr = False
        self._is_first_line = True
        self._data: list[str] = []
        self._event = ""

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Yield the events that ``chunk`` completes; exhaust it before the next call."""
        for line in self._lines(chunk):
            if line:
                self._take_field(line)
            else:
                yield from self._dispatch()

    def _lines(self, chunk: bytes) -> Iterator[str]:
        if not chunk:
            return
        # A CR ends its line at once; an LF that opens the next chunk belongs to it.
        if self._ended_with_cr:
            chunk = chunk.removeprefix(b"\n")
        self._ended_with_cr = chunk.endswith(b"\r")
        *whole, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            self._pending.append(line)
            joined = b"".join(self._pending)
            self._pending.clear()
            if self._is_first_line:
                joined = joined.removeprefix(_BOM)
                self._is_first_line = False
            yield joined.decode("utf-8", errors="replace")
        if rest:
            self._pending.append(rest)

    def _take_field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        # A comment has an empty name; `id` and `retry` serve reconnecting, which a generation
        # cannot do.

    def _dispatch(self) -> Iterator[ServerSentEvent]:
        data, event = self._data, self._event
        self._data, self._event = [], ""
        if data:
            yield ServerSentEvent("\n".join(data), event or "message")
