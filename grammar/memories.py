"""What the rules of an output remember: texts and memories, by number.

A text is a path in a tree, so a word that is being read costs a node a byte, and equal texts are equal
numbers. A memory is a text and the words that have come since it was captured; either may be unknown,
where tokens are looked at all at once and nobody keeps track of what each spells.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from syntagma.grammar.captures import (
    Captured,
    Deeper,
    Extended,
    Fresh,
    Level,
    Remembering,
    Same,
    words_of,
)
from syntagma.grammar.indentation import width_of
from syntagma.grammar.terminals import Language

NO_TEXT: Final = 0
UNKNOWN: Final = -1
# Nothing has been captured, and no words have come.
NO_MEMORY: Final = 0


class Memory(NamedTuple):
    """What one activation of a rule remembers.

    Attributes:
        text: the number of the text captured last, or UNKNOWN.
        seen: the numbers of the words that have come since; None: unknown.
    """

    text: int
    seen: frozenset[int] | None


class Memories:
    """The texts and memories met so far; append-only."""

    def __init__(self) -> None:
        # Of each text, the one without its last byte and that byte.
        self._parents: list[tuple[int, int]] = [(NO_TEXT, 0)]
        self._longer: dict[tuple[int, int], int] = {}
        self._memories: list[Memory] = [Memory(NO_TEXT, frozenset())]
        self._numbers: dict[Memory, int] = {self._memories[0]: NO_MEMORY}

    def __len__(self) -> int:
        return len(self._parents) + len(self._memories)

    def text_after(self, text: int, word: bytes) -> int:
        """The number of a text with some more bytes."""
        for byte in word:
            key = (text, byte)
            longer = self._longer.get(key)
            if longer is None:
                longer = self._longer[key] = len(self._parents)
                self._parents.append(key)
            text = longer
        return text

    def text_of(self, text: int) -> bytes:
        """The bytes of a text."""
        found = bytearray()
        while text != NO_TEXT:
            text, byte = self._parents[text]
            found.append(byte)
        return bytes(found[::-1])

    def after(self, memory: int, terminal: Remembering, word: int) -> int:
        """The memory once a terminal has matched a text, which may be UNKNOWN.

        The word of an `Extended` terminal is all it has matched.
        """
        text, seen = self._memories[memory]
        if isinstance(terminal, Deeper) and word != UNKNOWN:
            width = width_of(self.text_of(word), terminal.tab_length)
            word = self.text_after(NO_TEXT, b" " * width)
        if isinstance(terminal, Captured):
            return self._number(Memory(word, frozenset()))
        if isinstance(terminal, Fresh):
            known = None if seen is None or word == UNKNOWN else seen | {word}
            return self._number(Memory(text, known))
        return memory

    def is_doubtful(self, memory: int, terminal: Remembering) -> bool:
        """Whether what a terminal may match cannot be told for a memory; `Same` of no text neither."""
        text, seen = self._memories[memory]
        if isinstance(terminal, Fresh):
            return seen is None
        if isinstance(terminal, Same):
            return text in (UNKNOWN, NO_TEXT)
        return isinstance(terminal, Extended | Level | Deeper) and text == UNKNOWN

    def words(self, memory: int, terminal: Remembering) -> Language:
        """What a terminal may match for a memory, if that can be told."""
        text, seen = self._memories[memory]
        taken = () if seen is None else sorted(self.text_of(word) for word in seen)
        return words_of(terminal, self.text_of(text), taken)

    def _number(self, memory: Memory) -> int:
        number = self._numbers.get(memory)
        if number is None:
            number = self._numbers[memory] = len(self._memories)
            self._memories.append(memory)
        return number
