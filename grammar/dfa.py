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
        key: 16 bytes, equal if and only if the language is.
    """

    __slots__ = ("__dict__", "accepting", "byte_classes", "key", "transitions")

    def __init__(
        self, transitions: Int32Array, byte_classes: UInt8Array, accepting: BoolArray
    ) -> None:
        for array in (transitions, byte_classes, accepting):
            array.setflags(write=False)
        self.transitions = transitions
        self.byte_classes = byte_classes
        self.accepting = accepting
        digest = hashlib.blake2b(digest_size=16)
        digest.update(np.array(transitions.shape, np.int64).tobytes())
        for array in (transitions, byte_classes, accepting):
            digest.update(array.tobytes())
        self.key = digest.digest()

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
    def is_empty(self) -> bool:
        """Whether no word is accepted."""
        return self.num_states == 2 and not self.accepting[START]

    @property
    def accepts_empty_word(self) -> bool:
        """Whether the empty word is accepted."""
        return bool(self.accepting[START])

    @functools.cached_property
    def shortest_length(self) -> int:
        """Bytes of a shortest word, -1 if there is none."""
        return int(minimise_kernels.shortest_distances(self.transitions, self.accepting)[START])

    def step(self, state: int, byte: int) -> int:
        """The state after one byte."""
        return int(self.transitions[state, self.byte_classes[byte]])

    def accepts(self, word: bytes) -> bool:
        """Whether the whole word is in the language."""
        state = START
        for byte in word:
            state = self.step(state, byte)
        return bool(self.accepting[state])


def from_table(table: Int32Array, byte_classes: UInt8Array, start: int, labels: AnyArray) -> Dfa:
    """The minimal automaton of a table whose state 0 is dead; labels != 0 accept."""
    table, byte_classes, labels = canonical(table, byte_classes, start, labels.astype(np.int32))
    return Dfa(table, byte_classes, labels != 0)


def canonical(
    table: Int32Array, byte_classes: UInt8Array, start: int, labels: Int32Array
) -> tuple[Int32Array, UInt8Array, Int32Array]:
    """Trim, minimise and number a labelled automaton so that equal languages get equal arrays."""
    quotient, labels = minimal(table, start, labels)
    if not labels.any():
        return np.zeros((2, 1), np.int32), np.zeros(256, np.uint8), np.zeros(2, np.int32)
    # Classes are numbered by their first byte, states breadth-first over those classes.
    per_byte = minimise_kernels.equal_columns(quotient)[byte_classes]
    first_seen, inverse = np.unique(per_byte, return_index=True, return_inverse=True)[1:]
    order = np.argsort(first_seen)
    rank = np.empty(order.size, np.uint8)
    rank[order] = np.arange(order.size, dtype=np.uint8)
    reordered = np.ascontiguousarray(quotient[:, per_byte[first_seen[order]]])
    numbered, labels = minimise_kernels.trim(reordered, START, labels)
    return numbered, rank[inverse.reshape(-1)], labels


def minimal(table: Int32Array, start: int, labels: Int32Array) -> tuple[Int32Array, Int32Array]:
    """Trim and merge equivalent states of an automaton over any symbols.

    Returns:
        (table, labels) with 0 dead and 1 the start; if nothing is accepted, these two states.
    """
    table, labels = minimise_kernels.trim(table, start, labels)
    block = minimise_kernels.minimise(table, labels)
    representatives, number = np.unique(block, return_index=True, return_inverse=True)[1:]
    dead, first = number[DEAD], number[START]
    if dead == first:
        return np.zeros((2, table.shape[1]), np.int32), np.zeros(2, np.int32)
    others = np.setdiff1d(np.arange(representatives.size), [dead, first])
    order = np.concatenate([[dead, first], others])
    rank = np.empty(order.size, np.int32)
    rank[order] = np.arange(order.size, dtype=np.int32)
    kept = representatives[order]
    return np.ascontiguousarray(rank[number[table[kept]]]), labels[kept]


def literal(word: bytes) -> Dfa:
    """The automaton of one non-empty word (the common case of `from_words`, without its cost)."""
    symbols = np.frombuffer(word, np.uint8)
    is_used = np.zeros(256, np.bool_)
    is_used[symbols] = True
    used = np.flatnonzero(is_used)
    if used.size == 256:
        return from_words([word])
    first_unused = int(np.argmin(is_used))
    byte_classes = np.empty(256, np.uint8)
    # The class of the unused bytes takes its place by its first byte, as in `canonical`.
    rank = int(np.searchsorted(used, first_unused))
    byte_classes[:] = rank
    byte_classes[used] = np.arange(used.size) + (np.arange(used.size) >= rank)
    transitions = np.zeros((symbols.size + 2, used.size + 1), np.int32)
    states = np.arange(symbols.size)
    transitions[states + 1, byte_classes[symbols]] = states + 2
    accepting = np.zeros(symbols.size + 2, np.bool_)
    accepting[-1] = True
    return Dfa(transitions, byte_classes, accepting)


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
        byte_classes[text], ends, max(1, used.size + offset), text.size + 2
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
    pairs = left.byte_classes.astype(np.int64) * 256 + right.byte_classes
    _, representative, byte_classes = np.unique(pairs, return_index=True, return_inverse=True)
    max_states = budget.limits.max_dfa_states
    num_states, flat, lefts, rights = product_kernels.intersect(
        np.ascontiguousarray(left.transitions[:, left.byte_classes[representative]]),
        np.ascontiguousarray(right.transitions[:, right.byte_classes[representative]]),
        max_states,
    )
    if num_states == kernels.LIMIT_REACHED:
        raise GrammarLimitError(
            f"combining two patterns needs more than max_dfa_states = {max_states} states",
            limit="max_dfa_states",
        )
    in_left = left.accepting[lefts]
    in_right = right.accepting[rights]
    labels = in_left & (in_right if keep_right else ~in_right)
    labels[0] = False
    table = flat.reshape(num_states, representative.size)
    return from_table(table, byte_classes.astype(np.uint8).reshape(-1), START, labels)


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


def without_empty_word(dfa: Dfa) -> Dfa:
    """The language less the empty word."""
    if not dfa.accepts_empty_word:
        return dfa
    # A fresh start state, since the old one may be entered again.
    table = np.vstack([dfa.transitions, dfa.transitions[START : START + 1]])
    labels = np.append(dfa.accepting, False)
    return from_table(table, dfa.byte_classes, table.shape[0] - 1, labels)
