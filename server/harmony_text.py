"""Reading answers in channels while they are being written."""

from __future__ import annotations

import re

from syntagma.server.call_text import Arguments, CallBegins, Event, Reasoning, Text, overlap

MESSAGE, END = "<|message|>", "<|end|>"
_CHANNEL = re.compile(r"<\|channel\|>(\w+)")
_CALLED = re.compile(r" to=functions\.([^\s<]+)")
Kind = type[Text] | type[Reasoning] | type[Arguments]


class HarmonyTextReader:
    """Splits an output into reasoning, text and a call.

    The output is known to obey the format (`harmony_format`). Messages of a kind are told as one, with a line
    break between them.
    """

    def __init__(self) -> None:
        self._held = ""
        # Of the message that is being written; None: within its head.
        self._kind: Kind | None = None
        # Nothing comes behind it.
        self._is_last = False
        self._told: set[Kind] = set()

    def feed(self, text: str) -> list[Event]:
        """Take more of the output."""
        self._held += text
        events: list[Event] = []
        goes_on = True
        while goes_on:
            kind = self._kind
            goes_on = self._read_head(events) if kind is None else self._read_body(kind, events)
        return events

    def finish(self) -> list[Event]:
        """What was held back and turned out to be text, at the end of the output."""
        held, self._held = self._held, ""
        return [] if self._kind is None or not held else [self._kind(held)]

    def _read_head(self, events: list[Event]) -> bool:
        """What is said of a message, if that is complete; whether to go on."""
        head, mark, body = self._held.partition(MESSAGE)
        channel, called = _CHANNEL.search(head), _CALLED.search(head)
        if not mark or channel is None:
            return False
        self._held = body
        if called is not None:
            events.append(CallBegins(called[1]))
            self._kind = Arguments
        else:
            self._kind = Reasoning if channel[1] == "analysis" else Text
        self._is_last = called is not None or channel[1] == "final"
        if self._kind in self._told:
            events.append(self._kind("\n"))
        return True

    def _read_body(self, kind: Kind, events: list[Event]) -> bool:
        """More of a message; whether to go on behind it."""
        held = self._held
        end = -1 if self._is_last else held.find(END)
        if end >= 0:
            certain, self._held = held[:end], held[end + len(END) :]
            self._kind = None
        else:
            num_open = 0 if self._is_last else overlap(held, END)
            certain, self._held = held[: len(held) - num_open], held[len(held) - num_open :]
        if certain:
            events.append(kind(certain))
            self._told.add(kind)
        return end >= 0
