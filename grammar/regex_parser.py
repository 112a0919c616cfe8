"""Regular expression text -> syntax tree.

The dialect is the common core of ECMA-262 (with the ``u`` flag), Python's ``re`` and Rust's
``regex``: literals, escapes, classes, groups, alternation, greedy and lazy repetition, ``^`` and
``$``. Laziness does not change a language. Look-ahead is read at the beginning of a text
(``^(?!x)(?=.*y)...``), where it is one more pattern that the text begins with, or does not. What is not
regular (back-references) or not supported (other look-around, word boundaries) is refused by name. The
parser keeps its own stack, so nesting cannot exhaust Python's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from syntagma.grammar import code_points as cp
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.errors import GrammarSyntaxError, UnsupportedGrammarError
from syntagma.grammar.limits import Budget

DIGIT = cp.from_ranges([(0x30, 0x39)])
WORD = cp.from_ranges([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
SPACE = cp.union(
    cp.from_ranges([(0x09, 0x0D), (0x2000, 0x200A)]),
    cp.from_chars(" \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"),
)
LINE_ENDS = cp.from_chars("\n\r\u2028\u2029")
NOT_LINE_END = cp.complement(LINE_ENDS)

CLASS_ESCAPES = {
    "d": DIGIT,
    "D": cp.complement(DIGIT),
    "w": WORD,
    "W": cp.complement(WORD),
    "s": SPACE,
    "S": cp.complement(SPACE),
}
CONTROL_ESCAPES = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
MAX_COUNT = 10**9
_ASCII = tuple(ast.CharSet(((point, point),)) for point in range(0x80))
_BOUNDS = re.compile(r"\{([0-9]++)(,?+)([0-9]*+)\}")


@dataclass
class _Group:
    """An open group: finished alternatives and the one being read; where it goes if it looks ahead."""

    start: int
    branches: list[ast.Node] = field(default_factory=list)
    parts: list[ast.Node] = field(default_factory=list)
    ahead: list[ast.Node] | None = None

    def close(self) -> ast.Node:
        self.branches.append(ast.concat(*self.parts))
        return ast.union(self.branches)


@dataclass(frozen=True)
class Pattern:
    """A pattern as trees over code points.

    Attributes:
        tree: what matches, but for look-ahead.
        ahead, not_ahead: what the text must begin with beside that, and what it must not.
    """

    tree: ast.Node
    ahead: tuple[ast.Node, ...]
    not_ahead: tuple[ast.Node, ...]

    @property
    def whole(self) -> list[ast.Node]:
        """What all of a text must match for the pattern to match all of it."""
        return [self.tree, *map(_and_anything, self.ahead)]

    @property
    def searched(self) -> list[ast.Node]:
        """What all of a text must match for the pattern to match somewhere in it."""
        tree = ast.concat(ast.ANYTHING, self.tree, ast.ANYTHING)
        return [tree, *map(_and_anything, self.ahead)]

    @property
    def excluded(self) -> list[ast.Node]:
        """What all of a text must not match."""
        return list(map(_and_anything, self.not_ahead))


def _and_anything(tree: ast.Node) -> ast.Node:
    return ast.concat(tree, ast.ANYTHING)


class RegexParser:
    """Parses one pattern; use `parse_regex`."""

    def __init__(self, pattern: str, budget: Budget, *, is_whole: bool) -> None:
        self.pattern = pattern
        self.position = 0
        self.budget = budget
        self.is_whole = is_whole
        self.ahead: list[ast.Node] = []
        self.not_ahead: list[ast.Node] = []

    def parse(self) -> Pattern:
        """The whole pattern."""
        groups = [_Group(0)]
        next_check = 0
        while self.position < len(self.pattern):
            if self.position >= next_check:
                self.budget.check_time()
                # Four characters make one state at least, as a rule; what cannot fit is not read on.
                next_check = self.position + 256
                self.budget.check(
                    "max_nfa_states", self.position // 4, "a pattern's characters / 4"
                )
            char = self.pattern[self.position]
            if char == "(":
                groups.append(self._open_group(groups))
                self.budget.check("max_regex_depth", len(groups) - 1, "nesting of groups")
            elif char == ")":
                if len(groups) == 1:
                    raise self._error("')' closes no group")
                self.position += 1
                group = groups.pop()
                if group.ahead is None:
                    node = self._quantified(group.close(), is_group=True)
                    groups[-1].parts.append(node)
                else:
                    group.ahead.append(group.close())
            elif char == "|":
                if len(groups) == 1 and (self.ahead or self.not_ahead):
                    raise self._unsupported("|", "alternatives beside look-ahead are not supported")
                self.position += 1
                groups[-1].branches.append(ast.concat(*groups[-1].parts))
                groups[-1].parts = []
            else:
                groups[-1].parts.append(self._quantified(self._atom(char)))
        if len(groups) > 1:
            self.position = groups[-1].start
            raise self._error("'(' is never closed")
        return Pattern(groups[0].close(), tuple(self.ahead), tuple(self.not_ahead))

    def _open_group(self, outer: list[_Group]) -> _Group:
        start = self.position
        self.position += 1
        if not self._take("?"):
            return _Group(start)
        if self._take(":"):
            return _Group(start)
        if self._is_at_beginning(outer):
            for mark, found in (("=", self.ahead), ("!", self.not_ahead)):
                if self._take(mark):
                    return _Group(start, ahead=found)
        for mark, name in (
            ("=", "lookahead"), ("!", "negative lookahead"),
            ("<=", "lookbehind"), ("<!", "negative lookbehind"), (">", "atomic group"),
        ):  # fmt: skip
            if self._take(mark):
                self.position = start
                raise self._unsupported(f"(?{mark}", f"{name} is not supported")
        if self._take("P<") or self._take("<"):
            end = self.pattern.find(">", self.position)
            if end < 0 or not self.pattern[self.position : end].isidentifier():
                raise self._error("a group name must be an identifier followed by '>'")
            self.position = end + 1
            return _Group(start)
        self.position = start
        raise self._unsupported("(?", "inline flags and other '(?' extensions are not supported")

    def _is_at_beginning(self, groups: list[_Group]) -> bool:
        """Whether the beginning of the text is the only place to look ahead from."""
        if len(groups) > 1 or groups[0].branches:
            return False
        parts = groups[0].parts
        return (self.is_whole or bool(parts)) and all(isinstance(p, ast.Begin) for p in parts)

    def _atom(self, char: str) -> ast.Node:
        if char in "*+?":
            raise self._error(f"'{char}' repeats nothing")
        if char == "{" and self._bounds() is not None:
            raise self._error("'{' repeats nothing")
        self.position += 1
        if char == "^":
            return ast.Begin()
        if char == "$":
            return ast.End()
        if char == ".":
            return ast.CharSet(NOT_LINE_END)
        if char == "[":
            return ast.CharSet(self._char_class())
        if char == "\\":
            return self._escape_atom()
        if char < "\x80":
            return _ASCII[ord(char)]
        if 0xD800 <= ord(char) <= 0xDFFF:
            raise self._error("a lone surrogate matches no text")
        return ast.CharSet(((ord(char), ord(char)),))

    def _escape_atom(self) -> ast.Node:
        char = self._peek()
        if char in ("b", "B"):
            raise self._unsupported(f"\\{char}", "word boundaries are not supported")
        if char in ("A", "z", "Z"):
            self.position += 1
            return ast.Begin() if char == "A" else ast.End()
        if (char.isdigit() and char != "0") or char == "k":
            raise self._unsupported(f"\\{char}", "back-references are not regular")
        found = self._escape()
        return ast.CharSet(found if isinstance(found, tuple) else cp.from_ranges([(found, found)]))

    def _escape(self) -> cp.CodePointSet | int:
        """Read what follows a backslash: a set, or one code point."""
        char = self._peek()
        self.position += 1
        if char in CLASS_ESCAPES:
            return CLASS_ESCAPES[char]
        if char in CONTROL_ESCAPES:
            return CONTROL_ESCAPES[char]
        if char in ("p", "P"):
            return self._property(negated=char == "P")
        if char == "x":
            return self._hex(2)
        if char == "u":
            return self._unicode_escape()
        if char == "c" and self._peek().isascii() and self._peek().isalpha():
            self.position += 1
            return ord(self.pattern[self.position - 1]) % 32
        if char == "0" and not self._peek(missing="").isdigit():
            return 0
        if char.isascii() and char.isalnum():
            self.position -= 1
            raise self._unsupported(f"\\{char}", "unknown escape")
        return ord(char)

    def _unicode_escape(self) -> int:
        if self._take("{"):
            end = self.pattern.find("}", self.position)
            digits = self.pattern[self.position : end]
            if end < 0 or not _is_hex(digits) or int(digits, 16) > cp.MAX_CODE_POINT:
                raise self._error(r"\u{...} needs a hexadecimal code point")
            self.position = end + 1
            return int(digits, 16)
        first = self._hex(4)
        if 0xD800 <= first <= 0xDBFF and self.pattern.startswith("\\u", self.position):
            mark = self.position
            self.position += 2
            second = self._hex(4)
            if 0xDC00 <= second <= 0xDFFF:
                return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            self.position = mark
        return first

    def _hex(self, count: int) -> int:
        digits = self.pattern[self.position : self.position + count]
        if len(digits) < count or not _is_hex(digits):
            raise self._error(f"expected {count} hexadecimal digits")
        self.position += count
        return int(digits, 16)

    def _property(self, *, negated: bool) -> cp.CodePointSet:
        start = self.position
        end = self.pattern.find("}", start)
        if not self._take("{") or end < 0:
            raise self._error(r"\p needs a property in braces, as in \p{L}")
        name = self.pattern[start + 1 : end]
        self.position = end + 1
        short = name.split("=", 1)[1] if name.startswith(("gc=", "General_Category=")) else name
        try:
            points = cp.general_category(_LONG_CATEGORIES.get(short, short))
        except KeyError:
            self.position = start
            raise self._unsupported(
                f"\\{'P' if negated else 'p'}{{{name}}}",
                "only Unicode general categories are supported",
            ) from None
        return cp.complement(points) if negated else points

    def _char_class(self) -> cp.CodePointSet:
        start = self.position - 1
        negated = self._take("^")
        ranges: list[cp.Range] = []
        while not self._take("]"):  # ECMA-262: [] is the empty set and [^] any character
            if self.position >= len(self.pattern):
                self.position = start
                raise self._error("'[' is never closed")
            low = self._class_member()
            if self._peek(missing="") == "-" and self._peek(1, missing="]") != "]":
                self.position += 1
                high = self._class_member()
                if isinstance(low, tuple) or isinstance(high, tuple):
                    raise self._error("a range needs single characters at both ends")
                if low > high:
                    raise self._error("the range runs backwards")
                ranges.append((low, high))
            else:
                ranges += low if isinstance(low, tuple) else [(low, low)]
        points = cp.from_ranges(ranges)
        return cp.complement(points) if negated else points

    def _class_member(self) -> cp.CodePointSet | int:
        char = self.pattern[self.position]
        self.position += 1
        if char != "\\":
            return ord(char)
        if self._take("b"):
            return 8
        if self._take("-"):
            return ord("-")
        return self._escape()

    def _quantified(self, node: ast.Node, *, is_group: bool = False) -> ast.Node:
        """Apply the repetition that follows an atom, if one does."""
        char = self._peek(missing="")
        if char in ("*", "+", "?"):
            self.position += 1
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        elif char == "{" and (bounds := self._bounds()) is not None:
            low, high, self.position = bounds
        else:
            return node
        if isinstance(node, ast.Begin | ast.End) and not is_group:
            raise self._error("an anchor cannot be repeated")
        if self._take("+"):
            self.position -= 1
            raise self._unsupported("possessive", "possessive repetition is not supported")
        self._take("?")
        if self._peek(missing="") in ("*", "+", "?") or self._bounds() is not None:
            raise self._error("a repetition cannot be repeated; use a group")
        return ast.Repeat(node, low, high)

    def _bounds(self) -> tuple[int, int | None, int] | None:
        """Read ``{n}``, ``{n,}`` or ``{n,m}`` ahead: bounds and the position behind them."""
        found = _BOUNDS.match(self.pattern, self.position)
        if found is None:
            return None
        low, comma, high = found.groups()
        if max(len(low), len(high)) > 9:
            raise self._error(f"a repetition count must be below {MAX_COUNT}")
        min_count = int(low)
        max_count = int(high) if high else (None if comma else min_count)
        if max_count is not None and max_count < min_count:
            raise self._error("the repetition's bounds run backwards")
        return min_count, max_count, found.end()

    def _take(self, text: str) -> bool:
        if self.pattern.startswith(text, self.position):
            self.position += len(text)
            return True
        return False

    def _peek(self, ahead: int = 0, *, missing: str | None = None) -> str:
        index = self.position + ahead
        if index < len(self.pattern):
            return self.pattern[index]
        if missing is None:
            raise self._error("the pattern ends in the middle of an escape")
        return missing

    def _error(self, message: str) -> GrammarSyntaxError:
        line, column = self._where()
        return GrammarSyntaxError(f"regular expression: {message}", line=line, column=column)

    def _unsupported(self, construct: str, message: str) -> UnsupportedGrammarError:
        line, column = self._where()
        return UnsupportedGrammarError(
            f"regular expression: {message}: {construct!r} at line {line}, column {column}",
            keyword=construct,
        )

    def _where(self) -> tuple[int, int]:
        before = self.pattern[: self.position]
        return before.count("\n") + 1, len(before) - before.rfind("\n")


_LONG_CATEGORIES = {
    "Letter": "L", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll", "Mark": "M",
    "Number": "N", "Decimal_Number": "Nd", "Punctuation": "P", "Symbol": "S", "Separator": "Z",
    "Other": "C",
}  # fmt: skip


def _is_hex(text: str) -> bool:
    return bool(text) and all(c in "0123456789abcdefABCDEF" for c in text)


def parse_regex(pattern: str, budget: Budget, *, is_whole: bool = False) -> Pattern:
    """Parse a pattern into trees over code points; anchors stay as `Begin` and `End`.

    Args:
        pattern: the text.
        budget: bounds its size and nesting.
        is_whole: whether it is to match all of a text, so that it need not say where it begins.

    Raises:
        GrammarSyntaxError: malformed, with line and column.
        UnsupportedGrammarError: look-around elsewhere than at the beginning, back-reference, word
            boundary, flag.
        GrammarLimitError: groups nested deeper than ``max_regex_depth``.
    """
    return RegexParser(pattern, budget, is_whole=is_whole).parse()
