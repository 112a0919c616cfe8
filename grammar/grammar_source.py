"""The text of a grammar: where things are, and errors that point there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from syntagma.grammar.errors import GrammarSyntaxError, UnsupportedGrammarError

SNIPPET_LENGTH = 40
# Closeness of names is quadratic in their length and linear in their number.
MAX_NAMES_COMPARED = 500
MAX_NAME_LENGTH_COMPARED = 60


@dataclass(frozen=True)
class GrammarSource:
    """A grammar's text; positions are offsets in characters.

    Attributes:
        text: the grammar.
        syntax: what it is written in, for messages.
    """

    text: str
    syntax: str = "EBNF"

    def error(self, message: str, position: int, *, hint: str = "") -> GrammarSyntaxError:
        """The text is malformed at a position."""
        line, column = self.line_and_column(position)
        return GrammarSyntaxError(self._message(message, position, hint), line=line, column=column)

    def unsupported(
        self, message: str, position: int, *, keyword: str, hint: str = ""
    ) -> UnsupportedGrammarError:
        """A construct that is understood but not enforced."""
        line, column = self.line_and_column(position)
        return UnsupportedGrammarError(
            f"{self._message(message, position, hint)} (line {line}, column {column})",
            keyword=keyword,
        )

    def line_and_column(self, position: int) -> tuple[int, int]:
        """Both count from 1."""
        before = self.text[:position]
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    def shown(self, text: str) -> str:
        """A quoted piece of the source, cut where it is long."""
        short = text if len(text) <= SNIPPET_LENGTH else text[: SNIPPET_LENGTH - 1] + "…"
        return repr(short)

    def _message(self, message: str, position: int, hint: str) -> str:
        line = self.text[position:].split("\n", 1)[0].rstrip()
        place = f"near {self.shown(line)}" if line else "at the end of the line"
        return f"{self.syntax}: {message}, {place}" + (f"; {hint}" if hint else "")


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like a given one, if any is."""
    if len(name) > MAX_NAME_LENGTH_COMPARED:
        return None
    candidates = [k for k in known if len(k) <= MAX_NAME_LENGTH_COMPARED]
    found = difflib.get_close_matches(name, candidates[:MAX_NAMES_COMPARED], n=1)
    return found[0] if found else None
