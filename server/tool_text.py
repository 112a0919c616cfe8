"""Reading ``{"name": ..., "arguments": ...}`` and JSON strings while they are being written."""

from __future__ import annotations

import json
import re

_STRING = r'"(?:[^"\\]|\\.)*"'
# The grammar fixes both keys and their order; how they are spelt and spaced does not matter here.
_HEADER = re.compile(rf"\s*\{{\s*{_STRING}\s*:\s*({_STRING})\s*,\s*{_STRING}\s*:\s*(?=\S)")
_JSON_SPACE = " \t\r\n"


class CallReader:
    """Splits the text of a call into the function's name and the text of its arguments.

    Attributes:
        name: known as soon as the arguments begin.
        is_closed: the brace that closes the call has come.
        rest: what came behind that brace.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._header = ""
        self._depth = 0
        self._in_string = False
        self._is_escaped = False
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
            if self._in_string:
                self._step_in_string(character)
            elif self._depth == 0 and character in _JSON_SPACE:
                self._space += character
                continue
            elif self._depth == 0 and character == "}":
                self.is_closed = True
                self.rest = text[place + 1 :]
                break
            else:
                self._step_outside(character)
            taken.append(self._space + character)
            self._space = ""
        return "".join(taken)

    def _step_in_string(self, character: str) -> None:
        if self._is_escaped:
            self._is_escaped = False
        elif character == "\\":
            self._is_escaped = True
        elif character == '"':
            self._in_string = False

    def _step_outside(self, character: str) -> None:
        if character == '"':
            self._in_string = True
        elif character in "[{":
            self._depth += 1
        elif character in "]}":
            self._depth -= 1


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
