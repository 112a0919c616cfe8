"""Lexemes of line breaks in two parts: up to the last line feed, and from there on.

An indenter reads the indentation of a line off the blanks behind the last line feed of the lexeme that ends
the line before. Blocks end there, and only then is it known how far the line must be indented. So the
part that counts, the *tail*, is read apart, where the next line begins.
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar import ir
from syntagma.grammar.captures import Deeper, Level
from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.indentation import widths_of
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.lexing import LexemeAutomaton, Lexing

# Labels of what is no lexeme by itself.
HEAD_LABEL = 1


class LineLexemes:
    """The parts of the lexemes of one grammar's line breaks.

    Args:
        lexing: the lexemes.
        newline: the terminal.
        tab_length: how many spaces a tab is worth.
    """

    def __init__(self, lexing: Lexing, newline: int, tab_length: int) -> None:
        self._lexing = lexing
        self._newline = newline
        self._tab_length = tab_length
        self._line_feed = lexing.class_of("\n")
        # Tails by number, from 1 on.
        self._tails: list[LexemeAutomaton] = []
        self._numbers: dict[bytes, int] = {}
        self._splits: dict[bytes, dict[int, ir.Node]] = {}
        self._levels: dict[bytes, ir.Terminal] = {}
        self._deeper: dict[bytes, ir.Terminal] = {}

    def tail(self, number: int) -> LexemeAutomaton:
        """A tail; its labels are those of the lexemes."""
        return self._tails[number - 1]

    def heads(self, automaton: LexemeAutomaton) -> dict[int, ir.Node]:
        """What comes before the last line feed, by the number of the tail behind it."""
        found = self._splits.get(automaton.key)
        if found is None:
            found = self._splits[automaton.key] = self._split(automaton)
        return found

    def _split(self, automaton: LexemeAutomaton) -> dict[int, ir.Node]:
        table = automaton.table
        by_tail: dict[int, list[int]] = {}
        for state in np.flatnonzero(table[:, self._line_feed] != DEAD).tolist():
            tail = self._tail_from(automaton, state)
            if tail.labels.any():
                number = self._numbers.setdefault(tail.key, len(self._tails) + 1)
                if number > len(self._tails):
                    self._tails.append(tail)
                by_tail.setdefault(number, []).append(state)
        # The start is told apart from where it may come again: a head may be empty, a terminal may not.
        again = np.where(table == DEAD, DEAD, table + 1)
        begun = np.concatenate([again[:1], again[START : START + 1], again[1:]])
        found = {}
        for number, states in by_tail.items():
            labels = np.zeros(len(begun), np.int32)
            labels[np.array(states) + 1] = HEAD_LABEL
            ways: list[ir.Node] = [ir.EMPTY] if START in states else []
            head = self._lexing.minimal(begun.astype(np.int32), labels)
            if head.labels.any():
                ways.append(ir.Terminal(self._lexing.language(head, [HEAD_LABEL - 1])))
            found[number] = ir.choice(*ways)
        return found

    def _tail_from(self, automaton: LexemeAutomaton, state: int) -> LexemeAutomaton:
        """A line feed and what may be behind it to the end of the lexeme, without another one."""
        again: Int32Array = np.where(automaton.table == DEAD, DEAD, automaton.table + 1)
        again[:, self._line_feed] = DEAD
        first = np.zeros((1, again.shape[1]), np.int32)
        first[0, self._line_feed] = automaton.table[state, self._line_feed] + 1
        table = np.concatenate([again[:1], first, again[1:]]).astype(np.int32)
        labels = np.concatenate([automaton.labels[:1], [0], automaton.labels[1:]])
        return self._lexing.minimal(table, labels.astype(np.int32))

    def level(self, automaton: LexemeAutomaton, guards: list[int]) -> ir.Terminal:
        """The tails of some guards that are as wide as the block's lines."""
        language = self._lexing.language(automaton, guards)
        found = self._levels.get(language.key)
        if found is None:
            found = self._levels[language.key] = ir.Terminal(Level(language, self._tab_length))
        return found

    def deeper(self, automaton: LexemeAutomaton, guards: list[int]) -> ir.Terminal:
        """The tails of some guards that are wider."""
        language = self._lexing.language(automaton, guards)
        found = self._deeper.get(language.key)
        if found is None:
            found = self._deeper[language.key] = ir.Terminal(Deeper(language, self._tab_length))
        return found

    def check_widths(self) -> None:
        """See that lines may be indented as far as any other, and further: a walk must not get stuck.

        Raises:
            UnsupportedGrammarError: they may not.
            GrammarLimitError: there is no telling.
        """
        languages: dict[bytes, Dfa] = {
            key: terminal.language.dfa for key, terminal in (self._levels | self._deeper).items()
        }
        widths = {
            widths_of(dfa, self._tab_length, self._lexing.budget) for dfa in languages.values()
        }
        if len(widths) > 1 or any(not found.are_endless for found in widths):
            terminal = self._lexing.grammar.terminals[self._newline]
            raise self.unsupported(
                f"terminal {self._lexing.source.shown(terminal.name)} must end with any number of "
                "blanks, for lines may have to be indented as far as others, or further"
            )

    def unsupported(self, message: str) -> UnsupportedGrammarError:
        """Something that an indenter makes, and which is not enforced."""
        terminal = self._lexing.grammar.terminals[self._newline]
        return self._lexing.source.unsupported(message, terminal.position, keyword="indenter")
