"""Reading calls between marks while they are being written."""

from __future__ import annotations

import re
from typing import Protocol

from syntagma.server.call_text import CallMarks, CallTextReader, OneCall
from syntagma.server.tool_text import JsonNesting


class MarkedCalls(CallMarks, Protocol):
    """What stands around calls and in front of their arguments; see `marked_formats.MarkedFormat`."""

    @property
    def head(self) -> str: ...


class MarkedCallReader:
    """Reads the arguments of a call, a JSON object.

    Attributes:
        name: of the function.
        call_id: what the model calls the call, if it does.
        is_closed: the brace that closes the arguments has come.
        rest: what came behind that brace.
    """

    def __init__(self, name: str, call_id: str | None) -> None:
        self._announced: str | None = None
        self._name = name
        self.call_id = call_id
        self.is_closed = False
        self.rest = ""
        self._nesting = JsonNesting()

    @property
    def name(self) -> str | None:
        """Known with the first piece of the arguments."""
        return self._announced

    def feed(self, text: str) -> str:
        """Take more of the output; returns the part that belongs to the arguments."""
        self._announced = self._name
        for place, character in enumerate(text):
            self._nesting.step(character)
            if character == "}" and self._nesting.is_outside:
                self.is_closed = True
                self.rest = text[place + 1 :]
                return text[: place + 1]
        return text


class MarkedTextReader(CallTextReader):
    """Splits an output into text and the calls of its section."""

    def __init__(self, form: MarkedCalls) -> None:
        super().__init__(form)
        head = re.escape(form.head).replace(r"\{name\}", r"(?P<name>[\w-]+)")
        head = head.replace(r":\{number\}", r"(?P<number>:[0-9]+)")
        self._head = re.compile(f"{head}$")
        self._is_numbered = "{number}" in form.head

    def _new_call(self) -> OneCall | None:
        found = self._head.search(self._behind_calls)
        if found is None:
            return None
        name = found["name"]
        call_id = f"functions.{name}{found['number']}" if self._is_numbered else None
        return MarkedCallReader(name, call_id)
