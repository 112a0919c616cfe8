"""Minimal byte automata with a canonical form: equal language, equal arrays, equal key."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable

import numpy as np

from syntagma.grammar import automata_kernels as kernels
from syntagma.grammar import minimise_kernels, product_kernels, word_kernels
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.kernel_types import AnyArray, BoolArray, Int32Array, UInt8Array
from syntagma.grammar.limits import Budget

DEAD = 0
START = 1


class Dfa:
    """An immutable minimal automaton over bytes without dead states (but state 0).

    Attributes:
        transitions: int32[num_states, num_classes]; 0 is `DEAD`, 1 is `START`.
        byte_classes: uint8[256], the column of each byte.
        accepting: bool[num_states].
    """

    __slots__ = ("__dict__", "accepting", "byte_classes", "transitions")

    def __init__(
        self, transitions: Int32Array, byte_classes: UInt8Array, accepting: BoolArray
    ) -> None:
        for array in (transitions, byte_classes, accepting):
            array.flags.writeable = False
        self.transitions = transitions
        self.byte_classes = byte_classes
        self.accepting = accepting

    @functools.cached_property
    def key(self) -> bytes:
        """16 bytes, equal if and only if the language is."""
        # Hashing takes longest, and large tables have few runs in a row.
        digest = hashlib.blake2b(digest_size=16)
        for array in (self.byte_classes, self.accepting, kernels.move_runs(self.transitions)):
            digest.update(array.data)
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dfa) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def dfa(self) -> Dfa:
        """Itself, as any language has an automaton."""
        return self

    @property
    def num_states(self) -> int:
        """States, the dead one included."""
        return len(self.transitions)

    @property
    def num_bytes(self) -> int:
        """Bytes of the arrays."""
        return self.transitions.nbytes + self.byte_classes.nbytes + self.accepting.nbytes

    @property
    def is_empty(self) -> bool:
        """Whether no word is accepted."""
        return self.num_states == 2 and not self.accepting[START]

    @property
    def accepts_empty_word(self) -> bool:
        """Whether the empty word is accepted."""
        return bool(self.accepting[START])

    @functools.cached_property
    def is_finite(self) -> bool:
        """Whether there are finitely many words: no state can be met twice."""
        source, column = np.nonzero(self.transitions)
        target = self.transitions[source, column]
        first = np.searchsorted(source, np.arange(self.num_states + 1))
        num_incoming = np.bincount(target, minlength=self.num_states)
        num_left = self.num_states - 1
        waiting = (np.flatnonzero(num_incoming[START:] == 0) + START).tolist()
        while waiting:
            # No state that is left leads here any more.
            state = waiting.pop()
            num_left -= 1
            for other in target[first[state] : first[state + 1]].tolist():
                num_incoming[other] -= 1
                if num_incoming[other] == 0:
                    waiting.append(other)
        return num_left == 0

    @functools.cached_property
    def shortest_length(self) -> int:
        """Bytes of a shortest word, -1 if there is none."""
        return int(kernels.shortest_length(self.transitions, self.accepting, START))

    def step(self, state: int, byte: int) -> int:
        """The state after one byte."""
        return int(self.transitions[state, self.byte_classes[byte]])

    def accepts(self, word: bytes) -> bool:
        """Whether the whole word is in the language."""
        state = START
        for byte in word:
            state = self.step(state, byte)
        return bool(self.accepting[state])


def from_table(table: Int32Array, byte_classes: AnyArray, start: int, labels: AnyArray) -> Dfa:
    """The minimal automaton of a table whose state 0 is dead; labels != 0 accept."""
    table, class_of, labels = minimise_kernels.canonical(
        table, byte_classes.astype(np.int32), start, labels.astype(np.int32)
    )
    return Dfa(table, class_of.astype(np.uint8), labels != 0)


def literal(word: bytes) -> Dfa:
    """The automaton of one non-empty word (the common case of `from_words`, without its cost)."""
    table, byte_classes = word_kernels.word_table(np.frombuffer(word, np.uint8))
    accepting = np.zeros(len(word) + 2, np.bool_)
    accepting[-1] = True
    return Dfa(table, byte_classes, accepting)


def from_words(words: Iterable[bytes], budget: Budget | None = None) -> Dfa:
    """The automaton of a finite language.

    Raises:
        GrammarLimitError: it is larger than the budget, if there is one, allows.
    """
    ordered = sorted(set(words))
    text = np.frombuffer(b"".join(ordered), np.uint8)
    ends = np.cumsum(np.array([len(w) for w in ordered], np.int64))
    used = np.unique(text)
    byte_classes = np.zeros(256, np.uint8)
    # Class 0 is every unused byte unless all are used.
    offset = 0 if used.size == 256 else 1
    byte_classes[used] = np.arange(used.size) + offset
    table, labels = word_kernels.trie_of_sorted(
        byte_classes[text].astype(np.int32), ends, max(1, used.size + offset), text.size + 2
    )
    if budget is not None:
        budget.check_table(table.size, "states of a list of words")
    return from_table(table, byte_classes, START, labels)


def intersection(left: Dfa, right: Dfa, budget: Budget) -> Dfa:
    """Words of both languages."""
    return _product(left, right, budget, keep_right=True)


def difference(left: Dfa, right: Dfa, budget: Budget) -> Dfa:
    """Words of the first language only."""
    return _product(left, right, budget, keep_right=False)


def _product(left: Dfa, right: Dfa, budget: Budget, *, keep_right: bool) -> Dfa:
    class_of, left_class, right_class = product_kernels.joint_classes(
        left.byte_classes.astype(np.int32), right.byte_classes.astype(np.int32)
    )
    num_states, table, labels = product_kernels.product(
        left.transitions.copy(),  # writable, as kernels are compiled for
        right.transitions.copy(),
        left.accepting.astype(np.int32),
        right.accepting.astype(np.int32),
        left_class,
        right_class,
        not keep_right,
        budget.max_rows(left_class.size),
    )
    if num_states == kernels.LIMIT_REACHED:
        raise product_too_large(budget)
    return from_table(table, class_of, START, labels)


def product_too_large(budget: Budget) -> GrammarLimitError:
    """The error of a product that met its bound."""
    return GrammarLimitError(
        "combining two patterns needs more than "
        f"max_dfa_states = {budget.limits.max_dfa_states} states",
        limit="max_dfa_states",
    )


def restrict(dfa: Dfa, spellable: BoolArray) -> Dfa:
    """The words that use only the given bytes (bool[256])."""
    if spellable.all():
        return dfa
    # A class may hold bytes of both kinds: give the forbidden ones a dead column of their own.
    num_classes = dfa.transitions.shape[1]
    byte_classes = np.where(spellable, dfa.byte_classes.astype(np.int64), num_classes)
    table = np.hstack([dfa.transitions, np.zeros((dfa.num_states, 1), np.int32)])
    used, byte_classes = np.unique(byte_classes, return_inverse=True)
    return from_table(
        np.ascontiguousarray(table[:, used]),
        byte_classes.astype(np.uint8).reshape(-1),
        START,
        dfa.accepting,
    )


def surrounded(body: Dfa, byte: int) -> Dfa:
    """``byte`` body ``byte``, for a body in which that byte never continues a whole word."""
    num_states, num_classes = body.transitions.shape
    byte_classes = body.byte_classes.copy()
    byte_classes[byte] = num_classes
    start, end = num_states, num_states + 1
    table = np.zeros((num_states + 2, num_classes + 1), np.int32)
    table[:num_states, :num_classes] = body.transitions
    inside = body.transitions[:, body.byte_classes[byte]]
    table[:num_states, num_classes] = np.where(body.accepting, end, inside)
    table[start, num_classes] = START
    labels = np.zeros(num_states + 2, np.int32)
    labels[end] = 1
    return from_table(table, byte_classes, start, labels)


def behind_first_byte(dfa: Dfa) -> Dfa:
    """What may follow the first byte of the words, for words that all begin with the same byte.

    No word may come back to the start: that state is left out, and the others stay as they are.
    """
    table = dfa.transitions[START:] - 1
    table[table < 0] = DEAD
    table[DEAD] = DEAD
    return Dfa(table, dfa.byte_classes, dfa.accepting[START:].copy())


def without_empty_word(dfa: Dfa) -> Dfa:
    """The language less the empty word."""
    if not dfa.accepts_empty_word:
        return dfa
    # A fresh start state, since the old one may be entered again.
    table = np.vstack([dfa.transitions, dfa.transitions[START : START + 1]])
    labels = np.append(dfa.accepting, False)
    return from_table(table, dfa.byte_classes, table.shape[0] - 1, labels)
