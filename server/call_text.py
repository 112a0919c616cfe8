"""Telling calls from the text around them, while both are being written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from syntagma.server.tool_text import CallReader

# Blanks that are held back; more of them are text.
MAX_GLUE = 1000


@dataclass(frozen=True)
class Text:
    """Content of the message."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """What the model says to itself before it answers, where its format of answers has that."""

    text: str


@dataclass(frozen=True)
class CallBegins:
    """The name of the next call's function is known.

    Attributes:
        call_id: what the model calls the call; None: formats do without, as a rule.
    """

    name: str
    call_id: str | None = None


@dataclass(frozen=True)
class Arguments:
    """More of the arguments of the call that began last."""

    text: str


Event = Text | Reasoning | CallBegins | Arguments


class AnswerReader(Protocol):
    """Tells what an output is made of while it is being written."""

    def feed(self, text: str) -> list[Event]:
        """Take more of the output."""
        ...

    def finish(self) -> list[Event]:
        """What was held back and turned out to be text, at the end of the output."""
        ...


class CallMarks(Protocol):
    """What stands around calls in a format; see `tool_formats.ToolFormat`."""

    @property
    def trigger(self) -> str: ...
    @property
    def closing(self) -> str: ...
    @property
    def separator(self) -> str: ...
    @property
    def is_trigger_in_call(self) -> bool: ...


class OneCall(Protocol):
    """Reads one call; see `tool_text.CallReader`."""

    @property
    def name(self) -> str | None: ...
    @property
    def call_id(self) -> str | None: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def rest(self) -> str: ...

    def feed(self, text: str) -> str: ...


class CallTextReader:
    """Splits an output in a format into text and calls.

    The output is known to obey the format, so that a trigger is always the beginning of a call. What may yet
    become a trigger is held back. Blanks and separators beside calls belong to the format, not to the
    message: blanks before anything else, and both behind a call, are held back until more text comes.
    """

    def __init__(self, form: CallMarks) -> None:
        self._form = form
        self._glue = " \t\r\n" + form.separator
        # Text that may be glue, or the beginning of a trigger.
        self._held = ""
        self._is_beside_call = True
        self._is_in_segment = False
        self._behind_calls = ""
        self._call: OneCall | None = None
        self.num_calls = 0

    def feed(self, text: str) -> list[Event]:
        """Take more of the output."""
        events: list[Event] = []
        while text:
            if self._call is not None:
                text = self._read_call(self._call, text, events)
            elif self._is_in_segment:
                text = self._read_wrapping(text)
            else:
                text = self._read_text(text, events)
        return events

    def finish(self) -> list[Event]:
        """What was held back and turned out to be text, at the end of the output."""
        held, self._held = self._held, ""
        is_dropped = self._is_in_segment or (self.num_calls > 0 and self._is_glue(held))
        return [] if is_dropped or not held else [Text(held)]

    def _read_text(self, text: str, events: list[Event]) -> str:
        """Free text up to a trigger; returns what is behind the trigger."""
        text, self._held = self._held + text, ""
        found = self._find_trigger(text)
        if found is None:
            certain = len(text) - self._num_open(text)
            if self._is_glue(text[:certain]):
                certain = 0
            self._held = text[certain:]
            self._emit(text[:certain], events)
            return ""
        start, end = found
        before = text[:start]
        if not self._is_glue(before):
            self._emit(before, events)
        self._is_in_segment = True
        self._behind_calls = ""
        return text[start if self._form.is_trigger_in_call else end :]

    def _find_trigger(self, text: str) -> tuple[int, int] | None:
        """Where the first trigger begins and ends."""
        start = text.find(self._form.trigger)
        return None if start < 0 else (start, start + len(self._form.trigger))

    def _num_open(self, text: str) -> int:
        """How much of the end of a text may become a trigger."""
        return overlap(text, self._form.trigger)

    def _emit(self, text: str, events: list[Event]) -> None:
        if text:
            self._is_beside_call = False
            events.append(Text(text))

    def _read_wrapping(self, text: str) -> str:
        """What stands around calls, up to the next call or the end of the wrapping."""
        for place, character in enumerate(text):
            if character == "{" and (call := self._new_call()) is not None:
                self._call = call
                return text[place:]
            self._behind_calls += character
            if self._behind_calls.endswith(self._form.closing):
                self._leave()
                return text[place + 1 :]
        return ""

    def _new_call(self) -> OneCall | None:
        """What reads a call from its brace on; None: the brace begins none."""
        return CallReader()

    def _read_call(self, call: OneCall, text: str, events: list[Event]) -> str:
        """A call, from its brace to its brace."""
        is_named = call.name is not None
        arguments = call.feed(text)
        if call.name is not None and not is_named:
            self.num_calls += 1
            events.append(CallBegins(call.name, call.call_id))
        if arguments:
            events.append(Arguments(arguments))
        if not call.is_closed:
            return ""
        self._call = None
        self._behind_calls = ""
        if not self._form.closing:
            self._leave()
        return call.rest

    def _is_glue(self, text: str) -> bool:
        """Whether a text belongs to the calls beside it, as far as can be told."""
        is_blank = len(text) <= MAX_GLUE and not text.strip(self._glue)
        return self._is_beside_call and is_blank

    def _leave(self) -> None:
        self._is_in_segment = False
        self._is_beside_call = True


def overlap(text: str, mark: str) -> int:
    """How much of the end of a text is a beginning of the mark."""
    for length in range(min(len(text), len(mark) - 1), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0
