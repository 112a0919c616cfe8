"""Reading ``{"name": ..., "arguments": ...}`` and JSON strings while they are being written."""

from __future__ import annotations

import json
import re

_STRING = r'"(?:[^"\\]|\\.)*"'
# The grammar fixes both keys and their order; how they are spelt and spaced does not matter here.
_HEADER = re.compile(rf"\s*\{{\s*{_STRING}\s*:\s*({_STRING})\s*,\s*{_STRING}\s*:\s*(?=\S)")
_JSON_SPACE = " \t\r\n"


class JsonNesting:
    """Where one is in a JSON text: in how many brackets, and whether in a string.

    Attributes:
        is_outside: in neither.
    """

    def __init__(self) -> None:
        self.is_outside = True
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    def step(self, character: str) -> None:
        """Take one character more."""
        if self._in_string:
            self._in_string = self._is_escaped or character != '"'
            self._is_escaped = character == "\\" and not self._is_escaped
        elif character == '"':
            self._in_string = True
        elif character in "[{":
            self._depth += 1
        elif character in "]}":
            self._depth -= 1
        self.is_outside = self._depth == 0 and not self._in_string


class CallReader:
    """Splits the text of a call into the function's name and the text of its arguments.

    Attributes:
        call_id: calls of this kind have none.
        name: known as soon as the arguments begin.
        is_closed: the brace that closes the call has come.
        rest: what came behind that brace.
    """

    call_id = None

    def __init__(self) -> None:
        self.name: str | None = None
        self._header = ""
        self._nesting = JsonNesting()
        self._space = ""
        self.is_closed = False
        self.rest = ""

    def feed(self, text: str) -> str:
        """Take more of the output; returns the part that belongs to the arguments."""
        if self.name is None:
            self._header += text
            match = _HEADER.match(self._header)
            if match is None:
                return ""
            self.name = json.loads(match.group(1))
            text = self._header[match.end() :]
        return self._arguments(text)

    def _arguments(self, text: str) -> str:
        """Everything up to the brace that closes the call, without the space before it."""
        taken: list[str] = []
        if self.is_closed:
            self.rest += text
            return ""
        for place, character in enumerate(text):
            if self._nesting.is_outside:
                if character in _JSON_SPACE:
                    self._space += character
                    continue
                if character == "}":
                    self.is_closed = True
                    self.rest = text[place + 1 :]
                    break
            self._nesting.step(character)
            taken.append(self._space + character)
            self._space = ""
        return "".join(taken)


_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NUM_HEX_DIGITS = 4


class JsonStringReader:
    """The characters of the string in ``{"input": "..."}``."""

    def __init__(self) -> None:
        self._is_inside = False
        self._is_closed = False
        self._head = ""
        # An escape that is not complete; then a pair of surrogates may not be.
        self._escape = ""
        self._high = ""

    def feed(self, text: str) -> str:
        """Take more of the text; returns the characters that are certain."""
        taken: list[str] = []
        for character in text:
            if self._is_closed:
                break
            if not self._is_inside:
                self._head += character
                self._is_inside = character == '"' and ":" in self._head
            elif self._escape:
                taken.append(self._in_escape(character))
            elif character == "\\":
                self._escape = character
            elif character == '"':
                self._is_closed = True
            else:
                taken.append(character)
        return "".join(taken)

    def _in_escape(self, character: str) -> str:
        """One more character of an escape; returns what it stands for if it is complete."""
        self._escape += character
        if self._escape[1] != "u":
            self._escape = ""
            return _ESCAPES.get(character, character)
        if len(self._escape) < 2 + _NUM_HEX_DIGITS:
            return ""
        unit = chr(int(self._escape[-_NUM_HEX_DIGITS:], 16))
        self._escape = ""
        if "\ud800" <= unit <= "\udbff":
            self._high = unit
            return ""
        pair, self._high = self._high + unit, ""
        return pair.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
