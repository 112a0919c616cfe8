"""What a reader finds in the text of an answer with calls."""

from __future__ import annotations

from collections.abc import Iterable

from syntagma.server.call_text import Arguments, CallBegins, CallTextReader, Event, Text


def gathered(reader: CallTextReader, pieces: Iterable[str]) -> tuple[str, list[tuple[str, str]]]:
    """The text, and the calls with their arguments as they are written."""
    events: list[Event] = [event for piece in pieces for event in reader.feed(piece)]
    text = ""
    calls: list[tuple[str, str]] = []
    for event in events + reader.finish():
        match event:
            case Text(more):
                text += more
            case CallBegins(name):
                calls.append((name, ""))
            case Arguments(more):
                calls[-1] = (calls[-1][0], calls[-1][1] + more)
    return text, calls
