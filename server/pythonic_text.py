"""Reading calls in Python's notation while they are being written, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from syntagma.server.call_text import CallMarks, CallTextReader

# By their first letters, which no other value has outside of strings.
LITERALS = {"T": ("true", "True"), "F": ("false", "False"), "N": ("null", "None")}


class PythonCallReader:
    """Splits ``f(a=1, b="x")`` into the function's name and its arguments as the text of a JSON object.

    Values are known to be literals whose strings mean the same in JSON, so that only names, ``None``, ``True`` and
    ``False`` have to be written anew.

    Attributes:
        call_id: calls of this kind have none.
        name: known as soon as the parenthesis has come.
        is_closed: the parenthesis that closes the call has come.
        rest: what came behind that parenthesis.
    """

    call_id = None

    def __init__(self) -> None:
        self.name: str | None = None
        self.is_closed = False
        self.rest = ""
        # The name of the function or of an argument, as far as it has come; None: within a value.
        self._word: str | None = ""
        self._depth = 0
        self._in_string = False
        self._is_escaped = False
        # Characters of a literal that is already written.
        self._num_skipped = 0

    def feed(self, text: str) -> str:
        """Take more of the output; returns what it adds to the arguments."""
        taken = []
        for place, character in enumerate(text):
            if self.is_closed:
                self.rest += text[place:]
                break
            taken.append(self._step(character))
        return "".join(taken)

    def _step(self, character: str) -> str:
        if self._word is not None:
            return self._in_name(character, self._word)
        if self._num_skipped:
            self._num_skipped -= 1
            return ""
        if self._in_string:
            self._in_string = self._is_escaped or character != '"'
            self._is_escaped = character == "\\" and not self._is_escaped
            return character
        return self._in_value(character)

    def _in_name(self, character: str, word: str) -> str:
        if self.name is None:
            if character != "(":
                self._word = word + character
                return ""
            self.name, self._word = word, ""
            return "{"
        if character == ")":
            return self._close()
        if character == "=":
            self._word = None
            return f"{json.dumps(word.strip(), ensure_ascii=False)}: "
        self._word = word + character
        return ""

    def _in_value(self, character: str) -> str:
        if character == '"':
            self._in_string = True
        elif character in LITERALS:
            written, read = LITERALS[character]
            self._num_skipped = len(read) - 1
            return written
        elif character in "[{":
            self._depth += 1
        elif character in "]}":
            self._depth -= 1
        elif self._depth == 0 and character == ",":
            self._word = ""
            return ", "
        elif character == ")":
            return self._close()
        return character

    def _close(self) -> str:
        self.is_closed = True
        return "}"


class PythonicTextReader(CallTextReader):
    """Splits an output into text and the calls of some functions in Python's notation."""

    def __init__(self, form: CallMarks, names: Sequence[str]) -> None:
        super().__init__(form)
        self._openings = [f"{form.trigger}{name}(" for name in names]
        self._pattern = re.compile("|".join(map(re.escape, self._openings)))

    def _find_trigger(self, text: str) -> tuple[int, int] | None:
        found = self._pattern.search(text)
        return None if found is None else (found.start(), found.start() + 1)

    def _num_open(self, text: str) -> int:
        at = text.rfind(self._form.trigger)
        is_open = at >= 0 and any(opening.startswith(text[at:]) for opening in self._openings)
        return len(text) - at if is_open else 0

    def _read_wrapping(self, text: str) -> str:
        for place, character in enumerate(text):
            if character == self._form.closing:
                self._leave()
                return text[place + 1 :]
            if character not in self._form.separator:
                self._call = PythonCallReader()
                return text[place:]
        return ""
