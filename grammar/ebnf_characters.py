"""The lexical level of EBNF: literals, character classes, escapes, ``#x`` code points.

An escape or ``#x`` number is a Unicode code point, never a byte: ``\\xe9`` is "é", two bytes of
UTF-8, as in GBNF. ``\\x`` takes exactly two hexadecimal digits, ``\\u`` four and ``\\U`` eight.
A backslash before punctuation is that character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from syntagma.grammar import code_points as cp
from syntagma.grammar.grammar_source import GrammarSource

CONTROL_ESCAPES = {
    "0": 0, "a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "e": 27,
}  # fmt: skip
HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}
SHORTHANDS = "dDsSwW"
# ``#x`` begins a comment unless a number stands there by itself.
CODE_POINT = re.compile(r"#x([0-9A-Fa-f]{1,8})(?![0-9A-Za-z_])")
CODE_POINT_IN_CLASS = re.compile(r"#x([0-9A-Fa-f]{1,8})")
_HEX = re.compile(r"[0-9A-Fa-f]*")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


@dataclass
class CharacterReader:
    """Reads characters of a source from a position on, which it advances."""

    source: GrammarSource
    position: int

    def literal(self) -> str:
        """A text in double or single quotes.

        Raises:
            GrammarSyntaxError: not closed on its line, a bad escape, a lone surrogate.
        """
        start = self.position
        quote = self._next()
        chars: list[str] = []
        while self._peek() != quote:
            if self._peek() in ("", "\n"):
                raise self.source.error(
                    f"this literal is never closed on its line with {quote}",
                    start,
                    hint=f"write a line break as \\n and {quote} itself as \\{quote}",
                )
            at = self.position
            point = self._character()
            if cp.contains(cp.SURROGATES, point):
                raise self.source.error(
                    f"U+{point:04X} is half of a surrogate pair, which no text contains",
                    at,
                    hint="write the whole character, as in \\U0001F600",
                )
            chars.append(chr(point))
        self.position += 1
        return "".join(chars)

    def character_class(self) -> cp.CodePointSet:
        """``[...]``, ``[^...]``; ``[^]`` is any character.

        Raises:
            GrammarSyntaxError: not closed on its line, empty, a bad escape, a range that runs
                backwards.
            UnsupportedGrammarError: a shorthand such as ``\\d``.
        """
        start = self.position
        self.position += 1
        negated = self._peek() == "^"
        self.position += negated
        ranges: list[cp.Range] = []
        while self._peek() != "]":
            at = self.position
            low = high = self._class_member(start)
            if self._peek() == "-" and self._peek(1) != "]":
                self.position += 1
                high = self._class_member(start)
            if high < low:
                raise self.source.error(
                    f"the range from U+{low:04X} to U+{high:04X} runs backwards", at
                )
            ranges.append((low, high))
        self.position += 1
        if not ranges and not negated:
            raise self.source.error(
                "an empty character class matches nothing", start, hint='the empty word is ""'
            )
        points = cp.from_ranges(ranges)
        return cp.complement(points) if negated else points

    def code_point(self) -> cp.CodePointSet | None:
        """``#xN`` outside a class, or None where a comment begins."""
        found = CODE_POINT.match(self.source.text, self.position)
        if found is None:
            return None
        point = self._checked(int(found[1], 16), self.position)
        self.position = found.end()
        return cp.from_ranges([(point, point)])

    def _class_member(self, start: int) -> int:
        if self._peek() in ("", "\n"):
            raise self.source.error(
                "this character class is never closed on its line with ]",
                start,
                hint="write a line break as \\n and ] itself as \\]",
            )
        found = CODE_POINT_IN_CLASS.match(self.source.text, self.position)
        if found is not None:
            point = self._checked(int(found[1], 16), self.position)
            self.position = found.end()
            return point
        if self._peek() == "\\" and self._peek(1) and self._peek(1) in SHORTHANDS:
            shorthand = "\\" + self._peek(1)
            raise self.source.unsupported(
                f"the shorthand {shorthand} is not part of EBNF",
                self.position,
                keyword=shorthand,
                hint="write the ranges, as in [0-9A-Za-z_]",
            )
        return self._character()

    def _character(self) -> int:
        """One character, or the escape of one."""
        start = self.position
        char = self._next()
        if char != "\\":
            return ord(char)
        kind = self._peek()
        self.position += 1
        if kind in HEX_ESCAPES:
            return self._hex_escape(start, kind)
        if kind == "0" and self._peek().isdigit():
            raise self.source.error("octal escapes are not part of EBNF", start, hint="use \\xHH")
        if kind in CONTROL_ESCAPES:
            return CONTROL_ESCAPES[kind]
        if _PUNCTUATION.match(kind):
            return ord(kind)
        raise self.source.error("unknown escape", start, hint="a backslash itself is written \\\\")

    def _hex_escape(self, start: int, kind: str) -> int:
        count = HEX_ESCAPES[kind]
        digits = self.source.text[self.position : self.position + count]
        found = _HEX.match(digits)
        if found is None or found.end() < count:
            raise self.source.error(f"\\{kind} needs {count} hexadecimal digits", start)
        self.position += count
        return self._checked(int(digits, 16), start)

    def _checked(self, point: int, position: int) -> int:
        if point > cp.MAX_CODE_POINT:
            raise self.source.error(
                f"U+{point:X} is beyond U+{cp.MAX_CODE_POINT:X}, the last code point", position
            )
        return point

    def _peek(self, ahead: int = 0) -> str:
        return self.source.text[self.position + ahead : self.position + ahead + 1]

    def _next(self) -> str:
        self.position += 1
        return self.source.text[self.position - 1]
