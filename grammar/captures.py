"""Terminals that remember what they matched, or ask for what others matched.

A grammar may need a text to come again: the name of an element at its end, an indentation on every line
of a block. So each activation of a rule has a *memory*: the text captured last and the words that have
come since. A call hands the caller's memory on, and what the callee does to it is forgotten when it
returns.

| terminal | its words | what it does |
| --- | --- | --- |
| `Captured` | those of its pattern | its word is the text from now on; no words have come |
| `Extended` | the text, then a word of its pattern | likewise |
| `Same` | the text | |
| `Fresh` | those of its pattern that have not come | its word has come |
| `Level` | those of its pattern that are as wide as the text (see `indentation`) | |
| `Deeper` | those of its pattern that are wider | so many blanks are the text from now on |

Such a terminal stands in a rule as any other, as the language of an `ir.Terminal`. What it means for a memory is
made when a parser gets there (`memories`), so a grammar grows with the texts that its outputs capture.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.indentation import of_width, width_of
from syntagma.grammar.ir_fold import children
from syntagma.grammar.limits import Budget
from syntagma.grammar.terminals import Language, WordList


class Remembering:
    """A terminal whose words or effect depend on the memory.

    Its own language, that of the pattern, is what it may match whatever the memory is; it is what
    costs are reckoned by, too.

    Args:
        pattern: a language without the empty word.
    """

    catches = True

    def __init__(self, pattern: Language) -> None:
        self.pattern = pattern

    @property
    def key(self) -> bytes:
        """The pattern's."""
        return self.pattern.key

    @property
    def dfa(self) -> Dfa:
        """The pattern's."""
        return self.pattern.dfa

    @property
    def shortest_length(self) -> int:
        """The pattern's."""
        return self.pattern.shortest_length


class Captured(Remembering):
    """A word of the pattern, which becomes the text."""


class Extended(Captured):
    """The text and a word of the pattern, which together become the text."""


class Same(Remembering):
    """The text; the pattern is that of whoever captures it."""

    catches = False


class Fresh(Remembering):
    """A word of the pattern that has not come since the text was captured.

    Raises:
        ValueError: the pattern has only so many words, so one day there would be none left.
    """

    def __init__(self, pattern: Language) -> None:
        super().__init__(pattern)
        if pattern.dfa.is_finite:
            raise ValueError("a pattern of finitely many words cannot always have a fresh one")


class Level(Remembering):
    """A word of the pattern that is as wide as the text; no text is as wide as none.

    Args:
        tab_length: the width of a tab.
    """

    catches = False

    def __init__(self, pattern: Language, tab_length: int) -> None:
        super().__init__(pattern)
        self.tab_length = _checked(tab_length)


class Deeper(Captured):
    """A word of the pattern that is wider than the text; spaces of its width become the text.

    Args:
        tab_length: the width of a tab.
    """

    def __init__(self, pattern: Language, tab_length: int) -> None:
        super().__init__(pattern)
        self.tab_length = _checked(tab_length)


MAX_TAB_LENGTH: Final = 64


def _checked(tab_length: int) -> int:
    if not 0 < tab_length <= MAX_TAB_LENGTH:
        raise ValueError(f"a tab is 1 to {MAX_TAB_LENGTH} wide, not {tab_length!r}")
    return tab_length


# In files: how a terminal depends on the memory, by number; 0: not at all. Behind these, those that go by
# the width of a text, two for each length of a tab.
KINDS: Final = (Captured, Extended, Same, Fresh)
WIDE_KINDS: Final = (Level, Deeper)
NUM_KINDS: Final = 1 + len(KINDS) + len(WIDE_KINDS) * MAX_TAB_LENGTH


def kind_of(language: Language) -> int:
    """The number of a terminal's kind."""
    if isinstance(language, Level | Deeper):
        kind = WIDE_KINDS.index(type(language))
        return 1 + len(KINDS) + len(WIDE_KINDS) * (language.tab_length - 1) + kind
    return 1 + KINDS.index(type(language)) if isinstance(language, Remembering) else 0


def of_kind(number: int, pattern: Language) -> Language:
    """A terminal by the number of its kind; ValueError as `Fresh`."""
    if number > len(KINDS):
        tab, kind = divmod(number - 1 - len(KINDS), len(WIDE_KINDS))
        return WIDE_KINDS[kind](pattern, tab + 1)
    return KINDS[number - 1](pattern) if number else pattern


def pattern_of(language: Language) -> Language:
    """The pattern of a terminal that depends on the memory; any other as it is."""
    return language.pattern if isinstance(language, Remembering) else language


def is_remembering(node: ir.Node) -> bool:
    """Whether a node is a terminal that depends on the memory."""
    return isinstance(node, ir.Terminal) and isinstance(node.language, Remembering)


def remembers(body: ir.Node) -> bool:
    """Whether such a terminal stands in a rule's body."""
    waiting = [body]
    while waiting:
        node = waiting.pop()
        if is_remembering(node):
            return True
        waiting += children(node)
    return False


def words_of(terminal: Remembering, text: bytes, seen: Iterable[bytes]) -> Language:
    """What a terminal may match for a memory; `Same` of no text has no words."""
    if isinstance(terminal, Same):
        return WordList([text])
    if isinstance(terminal, Extended) and text:
        return behind(text, terminal.dfa)
    if isinstance(terminal, Level | Deeper):
        width = width_of(text, terminal.tab_length)
        return of_width(
            terminal.dfa, terminal.tab_length, width, is_more=isinstance(terminal, Deeper)
        )
    taken = list(seen) if isinstance(terminal, Fresh) else []
    if taken:
        return dfas.difference(terminal.dfa, dfas.from_words(taken), Budget.unlimited())
    return terminal.pattern


def behind(text: bytes, dfa: Dfa) -> Dfa:
    """A text and then a word of a language."""
    bytes_used = sorted(set(text))
    num_states, num_classes = dfa.transitions.shape
    byte_classes = dfa.byte_classes.astype(np.int32)
    table = np.zeros((num_states + len(text), num_classes + len(bytes_used)), np.int32)
    table[:num_states, :num_classes] = dfa.transitions
    for column, byte in enumerate(bytes_used, num_classes):
        table[:num_states, column] = dfa.transitions[:, dfa.byte_classes[byte]]
        byte_classes[byte] = column
    for index, byte in enumerate(text):
        last = index == len(text) - 1
        table[num_states + index, byte_classes[byte]] = (
            dfas.START if last else num_states + index + 1
        )
    labels = np.append(dfa.accepting, np.zeros(len(text), np.bool_))
    used, class_of = np.unique(byte_classes, return_inverse=True)
    return dfas.from_table(
        np.ascontiguousarray(table[:, used]),
        class_of.astype(np.uint8).reshape(-1),
        num_states,
        labels,
    )
