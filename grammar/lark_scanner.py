"""Lark text -> its words and where they stand, before the `lark` package sees it.

The package's own reader meets some texts with exponential or quadratic time or with deep recursion:
literals that are never closed (its patterns for them backtrack), long runs of blank lines, deep
nesting. Those are told here, with their place; what passes is read by the package in time that is
linear in its length. Positions of names are kept for errors that the package reports without a place.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from syntagma.grammar.errors import GrammarLimitError, GrammarSyntaxError
from syntagma.grammar.grammar_source import GrammarSource
from syntagma.grammar.limits import Budget

# Lark's pattern for the end of a line reads a run of blank lines in quadratic time.
MAX_BLANKS = 2_000
# Digits of a priority or a count.
MAX_DIGITS = 9
# Terminal definitions times words: what resolving references among terminals costs at most.
MAX_TERMINAL_WORK = 4_000_000

_WORD = re.compile(
    r"""
      (?P<blank>[ \t\f\r\n]++)
    | (?P<comment>(?://|\#)[^\n]*+)
    | (?P<string>"(?:\\[^\n]|[^"\\\n])*+"i?)
    | (?P<regex>/(?!/)(?:\\.|[^/\\])*+/[imslux]*+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*+)
    | (?P<number>[0-9]++)
    | (?P<directive>%[a-z]++)
    | (?P<dots>\.\.)
    | (?P<arrow>->)
    | (?P<escape>\\[ ]*+\n)
    | (?P<mark>[][(){}|:?*+~,.!<>&=;@$^'`%-])
    """,
    re.VERBOSE | re.DOTALL,
)
DIRECTIVES = ("ignore", "import", "declare", "override", "extend")
# What llguidance adds to Lark's syntax.
_LLGUIDANCE_DIRECTIVES = ("json", "llguidance", "regex", "lark")


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of the text.

    Attributes:
        kind: which group of the pattern above matched.
        text: the piece.
        position: where it begins.
    """

    kind: str
    text: str
    position: int


def scan_lark(source: GrammarSource, budget: Budget) -> list[Word]:
    """The words of a grammar, without blanks and comments.

    Raises:
        GrammarSyntaxError: a literal or bracket that is not closed, or a character that means nothing.
        UnsupportedGrammarError: extensions of Lark's syntax that other programs read.
        GrammarLimitError: nested too deeply, or parts that the `lark` package would read too slowly.
    """
    words = list(_words(source, budget))
    _check_nesting(words, source, budget)
    _check_extensions(words, source)
    num_terminals = sum(
        first.kind == "name" and first.text.isupper() and second.text in (":", ".")
        for first, second in itertools.pairwise(words)
    )
    if num_terminals * len(words) > MAX_TERMINAL_WORK:
        raise GrammarLimitError(
            f"{num_terminals} terminals in a grammar of {len(words)} words are too many: their product "
            f"may be {MAX_TERMINAL_WORK} at most; fewer alternatives, or a regular expression for some "
            "terminals, will do",
            limit="max_rules",
            given=num_terminals,
        )
    return words


def _words(source: GrammarSource, budget: Budget) -> Iterator[Word]:
    text = source.text
    position = 0
    while position < len(text):
        found = _WORD.match(text, position)
        if found is None:
            raise _unreadable(source, position)
        kind = found.lastgroup or ""
        word = Word(kind, found.group(), position)
        if kind == "blank":
            if len(word.text) > MAX_BLANKS:
                raise source.error(f"more than {MAX_BLANKS} blanks in a row", position)
        elif kind == "number" and len(word.text) > MAX_DIGITS:
            raise source.error(f"a number may have {MAX_DIGITS} digits at most", position)
        elif kind != "comment":
            yield word
        position = found.end()
        if position % 64 == 0:
            budget.check_time()


def _unreadable(source: GrammarSource, position: int) -> GrammarSyntaxError:
    char = source.text[position]
    if char == '"':
        return source.error('this string is never closed on its line with "', position)
    if char == "/":
        return source.error("this regular expression is never closed with /", position)
    return source.error(f"{char!r} means nothing here", position)


_CLOSING = {")": "(", "]": "[", "}": "{"}


def _check_nesting(words: list[Word], source: GrammarSource, budget: Budget) -> None:
    open_brackets: list[Word] = []
    for word in words:
        if word.kind != "mark":
            continue
        if word.text in ("(", "[", "{"):
            open_brackets.append(word)
            budget.check("max_regex_depth", len(open_brackets), "nesting of groups")
        elif word.text in _CLOSING:
            if not open_brackets or open_brackets[-1].text != _CLOSING[word.text]:
                raise source.error(f"{word.text!r} closes nothing", word.position)
            open_brackets.pop()
    if open_brackets:
        last = open_brackets[-1]
        raise source.error(f"{last.text!r} is never closed", last.position)


def _check_extensions(words: list[Word], source: GrammarSource) -> None:
    for index, word in enumerate(words):
        after = words[index + 1] if index + 1 < len(words) else Word("", "", 0)
        if word.kind == "directive" and word.text[1:] in _LLGUIDANCE_DIRECTIVES:
            raise source.unsupported(
                f"{word.text} is an extension of llguidance, not part of Lark",
                word.position,
                keyword=word.text,
            )
        if word.kind == "directive" and word.text[1:] not in DIRECTIVES:
            known = ", ".join(f"%{name}" for name in DIRECTIVES)
            raise source.error(
                f"there is no directive {source.shown(word.text)}",
                word.position,
                hint=f"Lark has {known}",
            )
        if word.text == "<":
            raise source.unsupported(
                "tokens of the vocabulary, <...>, are an extension of llguidance",
                word.position,
                keyword="<...>",
            )
        if word.text in ("&", "="):
            raise source.unsupported(
                f"{word.text!r} is an extension of llguidance, not part of Lark",
                word.position,
                keyword=word.text,
            )
        if word.text == "~" and after.kind != "number":
            raise source.error(
                "'~' needs a count or a range of counts behind it, as in item~2..5", word.position
            )
