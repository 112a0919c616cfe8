"""Regular expressions in Python's syntax, as Lark's terminals are, -> automata whose moves are in order.

What a terminal matches is not only a set of words: of the words that a text begins with Python takes
the one that its search meets first. A `PatternNfa` keeps what decides that: the branches of a state are
tried in order (Thompson's construction with priorities, as in RE2 and in Cox, "Regular Expression
Matching: the Virtual Machine Approach", 2009). Repetitions whose part may be empty end after an empty
round, as in Python, which takes a second copy of the part.

Patterns are read by Python's own parser, so their syntax is Python's by construction.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from syntagma.grammar import code_points as cp
from syntagma.grammar.code_points import CodePointSet
from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.limits import Budget

_parser: Any = importlib.import_module("re._parser")

CHAR, FORK, BEHIND, MATCH, AHEAD, NOT_AHEAD = range(6)
# The number of what lookaheads look for, which is no pattern by itself.
LOOKED_FOR = -1
# No character from here on has another case (Unicode 16).
BEHIND_CASED = 0x20000


def parse_pattern(pattern: str) -> Any:
    """Python's syntax tree of a pattern.

    Raises:
        re.error, ValueError, OverflowError: not a pattern.
        RecursionError: nested too deeply.
    """
    # In a group: as part of Lark's lexer a pattern must not begin with flags for the whole.
    return _parser.parse(f"(?:{pattern})")


@dataclass
class PatternNfa:
    """The automata of any number of patterns, with one numbering of states.

    Attributes:
        kinds: CHAR, FORK, BEHIND, MATCH, AHEAD or NOT_AHEAD.
        labels: the set that is read (CHAR), or that the last character must be in (BEHIND); else empty.
        targets: where a state leads, in order; for MATCH the number of the pattern, for AHEAD and NOT_AHEAD
            the state behind and the one from which on a match must be found, or none.
    """

    kinds: list[int] = field(default_factory=list)
    labels: list[CodePointSet] = field(default_factory=list)
    targets: list[tuple[int, ...]] = field(default_factory=list)

    def add(self, kind: int, label: CodePointSet, targets: tuple[int, ...]) -> int:
        """A new state."""
        self.kinds.append(kind)
        self.labels.append(label)
        self.targets.append(targets)
        return len(self.kinds) - 1


# What follows a part: the state if nothing has been read since the last round of a repetition around
# it began, and the state if something has.
_Pair = tuple[int, int]


class PatternBuilder:
    """Adds patterns to an automaton."""

    def __init__(self, nfa: PatternNfa, budget: Budget) -> None:
        self.nfa = nfa
        self.budget = budget

    def add(self, pattern: str, number: int) -> int:
        """The state where a pattern begins; where it has matched it leads to a MATCH of that number.

        Raises:
            UnsupportedGrammarError: lookbehind at more than one character, back-references, atomic groups.
            GrammarLimitError: more than ``max_nfa_states``.
        """
        end = self.nfa.add(MATCH, (), (number,))
        return self._sequence(parse_pattern(pattern), (end, end), re.UNICODE.value)[0]

    def _sequence(self, items: Any, after: _Pair, flags: int) -> _Pair:
        # Recursion is as deep as groups nest, which Python's parser has met before.
        for op, argument in reversed(list(items)):
            after = self._item(str(op), argument, after, flags)
        return after

    def _item(self, op: str, argument: Any, after: _Pair, flags: int) -> _Pair:
        match op:
            case "SUBPATTERN":
                _, added, removed, items = argument
                return self._sequence(items, after, (flags | added) & ~removed)
            case "BRANCH":
                pairs = [self._sequence(items, after, flags) for items in argument[1]]
                return self._fork(pairs)
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeat(argument, after, flags, is_lazy=op == "MIN_REPEAT")
            case "ASSERT" | "ASSERT_NOT":
                return self._assertion(argument, after, flags, is_negative=op == "ASSERT_NOT")
            case "AT":
                return self._anchor(str(argument), after, flags)
            case "FAILURE":
                return self._fork([])
        points = _characters(op, argument, flags)
        if points is None:
            raise _unsupported(*_NAMES.get(op, (f"the construct {op}", op)))
        state = self._state(CHAR, points, (after[1],))
        return state, state

    def _assertion(self, argument: Any, after: _Pair, flags: int, *, is_negative: bool) -> _Pair:
        direction, items = argument
        if direction > 0:
            end = self._state(MATCH, (), (LOOKED_FOR,))
            begin = self._sequence(items, (end, end), flags)[0]
            return self._both(NOT_AHEAD if is_negative else AHEAD, (), after, begin)
        points = _characters(items[0][0], items[0][1], flags) if len(items) == 1 else None
        if points is None:
            raise _unsupported("lookbehind at more than one character", "(?<=")
        return self._both(BEHIND, cp.complement(points) if is_negative else points, after)

    def _anchor(self, name: str, after: _Pair, flags: int) -> _Pair:
        """Anchors and word boundaries, as what they look at."""
        end = self._both(NOT_AHEAD, (), after, self._looked_for(cp.ANY))
        if name in ("AT_BOUNDARY", "AT_NON_BOUNDARY"):
            word = _category("WORD", bool(flags & re.ASCII))
            kinds = (NOT_AHEAD, AHEAD) if name == "AT_BOUNDARY" else (AHEAD, NOT_AHEAD)
            within, outside = (
                self._both(kind, (), after, self._looked_for(word)) for kind in kinds
            )
            return self._fork(
                [
                    self._both(BEHIND, word, within),
                    self._both(BEHIND, cp.complement(word), outside),
                ]
            )
        if name == "AT_END_STRING":
            return end
        is_multiline = bool(flags & re.MULTILINE)
        line_feed = cp.from_chars("\n")
        if name == "AT_END":
            behind = None if is_multiline else self._looked_for(cp.ANY)
            return self._fork(
                [end, self._both(AHEAD, (), after, self._looked_for(line_feed, behind))]
            )
        # What is not the beginning of a lexeme is the beginning of a line, or nothing's.
        is_line = is_multiline and name == "AT_BEGINNING"
        return self._both(BEHIND, line_feed if is_line else (), after)

    def _looked_for(self, points: CodePointSet, not_behind: int | None = None) -> int:
        """A character to look for, which something else must not stand behind."""
        end = self._state(MATCH, (), (LOOKED_FOR,))
        if not_behind is not None:
            end = self._state(NOT_AHEAD, (), (end, not_behind))
        return self._state(CHAR, points, (end,))

    def _both(self, kind: int, label: CodePointSet, after: _Pair, *others: int) -> _Pair:
        """A state that reads nothing, before both of what may follow."""
        first = self._state(kind, label, (after[0], *others))
        if after[0] == after[1]:
            return first, first
        return first, self._state(kind, label, (after[1], *others))

    def _repeat(self, argument: Any, after: _Pair, flags: int, *, is_lazy: bool) -> _Pair:
        low, high, items = argument
        has_bound = str(high) != "MAXREPEAT"
        if not has_bound and low <= 1 and not _may_be_empty(items):
            # One copy: its end is the choice whether to go on.
            loop = self._state(FORK, (), ())
            part = self._sequence(items, (loop, loop), flags)[0]
            self.nfa.targets[loop] = _ordered(part, after[1], is_lazy)
            if low == 1:
                return part, part
            if after[0] == after[1]:
                return loop, loop
            return self._state(FORK, (), _ordered(part, after[0], is_lazy)), loop
        if has_bound:
            for _ in range(high - low):
                after = self._optional(items, after, after, flags, is_lazy)
        else:
            loop = self._state(FORK, (), ())
            first, second = self._optional(items, after, (loop, loop), flags, is_lazy)
            self.nfa.targets[loop] = (second,)
            after = first, second
        for _ in range(low):
            after = self._sequence(items, after, flags)
        return after

    def _optional(self, items: Any, after: _Pair, again: _Pair, flags: int, is_lazy: bool) -> _Pair:
        """A round that need not be done: behind an empty one comes the end, behind others ``again``."""
        found = []
        for end in dict.fromkeys(after):
            part = self._sequence(items, (end, again[1]), flags)[0]
            found.append(self._state(FORK, (), _ordered(part, end, is_lazy)))
        return found[0], found[-1]

    def _fork(self, pairs: list[_Pair]) -> _Pair:
        first = self._state(FORK, (), tuple(pair[0] for pair in pairs))
        if all(pair[0] == pair[1] for pair in pairs):
            return first, first
        return first, self._state(FORK, (), tuple(pair[1] for pair in pairs))

    def _state(self, kind: int, label: CodePointSet, targets: tuple[int, ...]) -> int:
        if len(self.nfa.kinds) % 256 == 0:
            self.budget.check_time()
            self.budget.check("max_nfa_states", len(self.nfa.kinds), "states of all terminals")
        return self.nfa.add(kind, label, targets)


_NAMES = {
    "GROUPREF": ("a back-reference", "\\1"),
    "GROUPREF_EXISTS": ("a conditional group", "(?(1)"),
    "ATOMIC_GROUP": ("an atomic group", "(?>"),
    "POSSESSIVE_REPEAT": ("a possessive repetition", "*+"),
}


def _unsupported(what: str, keyword: str) -> UnsupportedGrammarError:
    return UnsupportedGrammarError(f"{what} is not supported in terminals", keyword=keyword)


def _ordered(part: int, end: int, is_lazy: bool) -> tuple[int, int]:
    return (end, part) if is_lazy else (part, end)


def _may_be_empty(items: Any) -> bool:
    return bool(items.getwidth()[0] == 0)


def _characters(op: Any, argument: Any, flags: int) -> CodePointSet | None:
    """The characters that an item reads, one of them; None if it does something else."""
    match str(op):
        case "LITERAL":
            points: CodePointSet = ((argument, argument),)
        case "NOT_LITERAL":
            return cp.complement(_folded(((argument, argument),), flags))
        case "ANY":
            return cp.ANY if flags & re.DOTALL else cp.complement(cp.from_chars("\n"))
        case "IN":
            return _class(argument, flags)
        case _:
            return None
    return cp.from_ranges(_folded(points, flags))


def _class(items: Any, flags: int) -> CodePointSet:
    is_negated = False
    ranges: list[tuple[int, int]] = []
    categories: list[CodePointSet] = []
    for op, argument in items:
        match str(op):
            case "NEGATE":
                is_negated = True
            case "LITERAL":
                ranges.append((argument, argument))
            case "RANGE":
                ranges.append(tuple(argument))
            case _:
                categories.append(_category(str(argument), bool(flags & re.ASCII)))
    points = _folded(cp.from_ranges(ranges), flags, cp.union(*categories))
    return cp.complement(points) if is_negated else points


@functools.lru_cache(maxsize=1024)
def _folded(points: CodePointSet, flags: int, others: CodePointSet = ()) -> CodePointSet:
    """What Python takes for a set of characters where case is ignored, or the set itself.

    A character of the text is in lower case when it is compared: with the characters in lower case and
    those that have the same upper case, and with categories as they are.

    Args:
        points: characters of the pattern.
        others: what its categories hold.
    """
    if not flags & re.IGNORECASE:
        return cp.union(points, others)
    is_ascii = bool(flags & re.ASCII)
    lower_of, same_upper = _case_tables(is_ascii)
    changed = _changed(is_ascii)
    lowered = [(lower_of[c],) * 2 for c in _among(points, lower_of)]
    wanted = cp.union(cp.difference(points, changed), cp.from_ranges(lowered))
    more = [(o, o) for c in _among(wanted, same_upper) for o in same_upper[c]]
    wanted = cp.union(wanted, cp.from_ranges(more), others)
    capital = [(c, c) for c, lower in lower_of.items() if cp.contains(wanted, lower)]
    return cp.union(cp.difference(wanted, changed), cp.from_ranges(capital))


def _among(points: CodePointSet, keys: Mapping[int, object]) -> list[int]:
    """The keys that are in a set."""
    if sum(high - low for low, high in points) < 64:
        return [c for low, high in points for c in range(low, high + 1) if c in keys]
    return [c for c in keys if cp.contains(points, c)]


@functools.cache
def _changed(is_ascii: bool) -> CodePointSet:
    """The characters that have another lower case."""
    return cp.from_ranges((c, c) for c in _case_tables(is_ascii)[0])


@functools.cache
def _case_tables(is_ascii: bool) -> tuple[dict[int, int], dict[int, list[int]]]:
    """The lower case of each character that has another, and lower case characters of one upper case."""
    lower_of: dict[int, int] = {}
    by_upper: dict[str, list[int]] = {}
    for point in range(128 if is_ascii else BEHIND_CASED):
        char = chr(point)
        lower = ord(char.lower()[0])
        if lower != point:
            lower_of[point] = lower
        elif not is_ascii and char.upper() != char:
            by_upper.setdefault(char.upper(), []).append(point)
    groups = [group for group in by_upper.values() if len(group) > 1]
    return lower_of, {c: [o for o in group if o != c] for group in groups for c in group}


@functools.cache
def _category(name: str, is_ascii: bool) -> CodePointSet:
    """The characters of ``\\d``, ``\\w``, ``\\s`` or their complements, as Python has them."""
    name = name.removeprefix("CATEGORY_")
    if name.startswith("NOT_"):
        return cp.complement(_category(name.removeprefix("NOT_"), is_ascii))
    pattern = re.compile({"DIGIT": r"\d+", "WORD": r"\w+", "SPACE": r"\s+"}[name])
    points = np.arange(128 if is_ascii else cp.MAX_CODE_POINT + 1, dtype="<u4")
    text = points.tobytes().decode("utf-32-le", "surrogatepass")
    return cp.from_ranges((found.start(), found.end() - 1) for found in pattern.finditer(text))
