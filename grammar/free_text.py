"""Free text: any text in which some strings do not come up, or do so for the first time at its end.

The strings are searched for with the automaton of Aho and Corasick, "Efficient string matching: an aid to
bibliographic search" (1975). It reads bytes: in UTF-8 a string's bytes stand nowhere but where the string
does.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.code_points import ANY
from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.dfa_builder import dfa_from_code_points
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.kernel_types import Int32Array, UInt8Array
from syntagma.grammar.limits import Budget


@functools.cache
def any_text() -> Dfa:
    """Any text in UTF-8, the empty one included."""
    tree = ast.Repeat(ast.CharSet(ANY), 0, None)
    return dfa_from_code_points(tree, Encoder.UTF8, Budget.unlimited())


class TextSearch:
    """Looks for some strings in a text.

    Where several end at the same byte, the longest of them counts.

    Args:
        ends: strings that a text may end with.
        excluded: strings that must not come up before; of equal ones these count.
        budget: bounds the size of the automaton.

    Raises:
        GrammarLimitError: the strings are too long altogether.
    """

    def __init__(self, ends: Sequence[bytes], excluded: Sequence[bytes], budget: Budget) -> None:
        self._budget = budget
        self._excluded = len(ends)
        words = [*ends, *excluded]
        used = sorted(set(b"".join(words)))
        self._byte_classes: UInt8Array = np.zeros(256, np.uint8)
        offset = 0 if len(used) == 256 else 1
        self._byte_classes[used] = np.arange(len(used)) + offset
        num_states = sum(map(len, words)) + 2
        budget.check(
            "max_dfa_states", num_states, "bytes of all triggers, ends and excluded strings"
        )
        budget.check_table(num_states * (len(used) + offset), "states of free text")
        self._table, self._found = _aho_corasick(
            [self._byte_classes[np.frombuffer(word, np.uint8)].tolist() for word in words],
            num_states,
            len(used) + offset,
        )

    def until(self, end: int) -> Dfa:
        """The texts that end where one of all strings is complete for the first time, the end of that number."""
        table = self._table.copy()
        table[self._found >= 0] = DEAD
        return self._texts(table, self._found == end)

    def without(self) -> Dfa:
        """The texts in which none of the strings comes up."""
        accepting = self._found < 0
        accepting[DEAD] = False
        return self._texts(np.where(accepting[self._table], self._table, DEAD), accepting)

    def _texts(self, table: np.ndarray, accepting: np.ndarray) -> Dfa:
        self._budget.check_time()
        found = dfas.from_table(
            np.ascontiguousarray(table, np.int32), self._byte_classes, START, accepting
        )
        return dfas.intersection(found, any_text(), self._budget)


def _aho_corasick(
    words: list[list[int]], max_states: int, num_classes: int
) -> tuple[Int32Array, Int32Array]:
    """The table of a search and, for each state, the number of the word that ends there or -1.

    Of words that end in the same state the longest counts, of equal words the last.
    """
    table = np.zeros((max_states, num_classes), np.int32)
    found = np.full(max_states, -1, np.int32)
    num_states = START + 1
    for number, word in enumerate(words):
        state = START
        for symbol in word:
            if table[state, symbol] == DEAD:
                table[state, symbol] = num_states
                num_states += 1
            state = int(table[state, symbol])
        found[state] = number
    # Breadth first: a state's shorter suffix has its row before the state itself.
    suffix = {START: START}
    waiting = [START]
    for state in waiting:
        shorter = suffix[state]
        if found[state] < 0:
            found[state] = found[shorter]
        fallback = table[shorter].copy() if state != START else np.full(num_classes, START)
        for symbol in np.flatnonzero(table[state]).tolist():
            child = int(table[state, symbol])
            suffix[child] = int(fallback[symbol])
            waiting.append(child)
        table[state] = np.where(table[state] == DEAD, fallback, table[state])
    return table[:num_states], found[:num_states]
