"""States of a grammar that asks for facts about the output, such as that an item has not come before.

Two grammars stand behind one: the one with *marks* (`marks`), and the same without. A state is a state
of each and a `Reading`, which knows the values that have come. Whoever reads a text puts a mark behind an
item that is new, so the marked grammar dies where an item has come before. Nothing that belongs to an
output enters the grammar: there are as many states of rules and lexers as without facts.

A state must also be *viable*: that rules can be completed is sure by themselves, that marks can be had is
not. It is if an item that many values may still become is open (`open_ends`), if nothing that has come
before is like the open items so far (`rivals`), or if a search finds a way.

A mask is the marked grammar's, which says nothing of tokens that cross a mark, and those that the other
grammar allows beyond it. What is done with a token depends on where it leads:

- across one mark to where many values may come: allowed if the item has no rivals;
- along the spelling of a rival, or across several marks: tried, as if it were accepted;
- anywhere else: as the grammars say.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from syntagma.grammar.closing_kernels import fewest_tokens
from syntagma.grammar.closing_tokens import MAX_FORCED_BYTES
from syntagma.grammar.json_reading import End, Frame, Mode, Reading
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.marks import IS_NEW_ITEM, IS_NEW_KEY
from syntagma.grammar.matcher_state import MatcherState
from syntagma.grammar.open_ends import ENOUGH, OpenEnds
from syntagma.grammar.parser import Parser
from syntagma.grammar.recognizer import Recognizer
from syntagma.grammar.remembered_completion import completion
from syntagma.grammar.remembered_state import RememberedState, remembered
from syntagma.grammar.rivals import NONE, Rivals, rivals_of, split_raw
from syntagma.grammar.rule_automata import RuleAutomata
from syntagma.grammar.spelled_walk import SpelledWalk

# What a search tries, in this order: what ends things, then what is short; a line feed only to go on
# behind a carriage return, other white space never.
FIRST_BYTES = b"]}\",:0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ{[-.+ !#$%&'()*/;<=>?@^_`|~"
SEARCH_BYTES = FIRST_BYTES + bytes(range(0x7F, 0xF8)) + b"\\\n"
# Escapes that a search begins: characters that have no other spelling.
ESCAPES = {
    b"\\": {byte: b"\\u" if byte == ord("u") else b"" for byte in b'"\\bfnrtu'},
    b"\\u": {ord("0"): b"\\u0"},
    b"\\u0": {ord("0"): b"\\u00"},
    b"\\u00": {ord("0"): b"\\u00x", ord("1"): b"\\u00x"},
    b"\\u00x": {byte: b"" for byte in b"0123456789abcdef"},
}
MAX_SEARCH_STEPS = 50_000
MAX_OUTLINES = 512
EXPONENT = re.compile(rb"[eE]")
# A number that is zero whatever follows.
ZERO = re.compile(rb"-?[0.]+[eE][-+]?\d*")


class RememberingRecognizer:
    """Matcher states of one grammar with marks over one vocabulary; shared by all its matchers.

    Attributes:
        initial: the state before the first byte.
        moves: stays empty.
        store: the mask store.

    Args:
        marked, unmarked: of the grammar and of `without_marks` of it, over one store.
        ends: of the marked grammar.
    """

    def __init__(self, marked: Recognizer, unmarked: Recognizer, ends: OpenEnds) -> None:
        self.store = marked.store
        self.moves: dict[int, MatcherState] = {}
        self._marked = marked
        self._unmarked = unmarked
        self._ends = ends
        self._vocabulary = marked.store.vocabulary
        self._walk = SpelledWalk(marked.store.trie)
        self._lock = threading.RLock()
        self._with_marks: dict[tuple[int, bool], MatcherState] = {}
        self._outlines: dict[tuple[int, int, Mode], Outline] = {}
        self._next_bytes: dict[int, bytes] = {}
        self._kinds: Int32Array | None = None
        self._with_commas: list[int] | None = None
        self._asks_for_keys = ends.asks_for_keys
        self.initial: MatcherState = RememberedState(marked.initial, unmarked.initial, Reading())

    @classmethod
    def of(cls, automata: RuleAutomata, unmarked: Recognizer) -> RememberingRecognizer:
        """The recognizer of a grammar's rules with marks, given that of its rules without."""
        store = unmarked.store
        parser = Parser(automata, store.pool)
        ends = OpenEnds(parser, automata, store.pool)
        return cls(Recognizer(parser, store), unmarked, ends)

    @property
    def is_satisfiable(self) -> bool:
        """Whether there is any output."""
        with self._lock:
            return self._is_viable(remembered(self.initial))

    @property
    def num_states(self) -> int:
        """States met of both grammars."""
        return self._marked.num_states + self._unmarked.num_states

    @property
    def num_bytes(self) -> int:
        """Memory of what is remembered, roughly; rows belong to the store."""
        rows = 4 * self._vocabulary.num_words * len(self._outlines)
        return (
            self._marked.num_bytes + self._unmarked.num_bytes + rows + 300 * len(self._next_bytes)
        )

    def forget_moves(self) -> None:
        """Drop what is remembered of tokens."""
        self._marked.forget_moves()
        self._unmarked.forget_moves()
        with self._lock:
            self._outlines.clear()

    def is_accepting(self, state: MatcherState) -> bool:
        """Whether the output may end in a state."""
        known = state.is_accepting
        if known is None:
            known = state.is_accepting = self._marked.is_accepting(remembered(state).marked)
        return known

    def advance(self, state: MatcherState, token_id: int) -> MatcherState | None:
        """The state after a token with text, None if it is not allowed."""
        return self.read(state, self._vocabulary.tokens[token_id])

    def read(self, state: MatcherState, text: bytes) -> MatcherState | None:
        """The state after a text, None if no output goes on like that."""
        if not text:
            return None
        with self._lock:
            after = self._go_on(remembered(state), text)
            return after if after is not None and self._is_viable(after) else None

    def forced_bytes(self, state: MatcherState) -> bytes:
        """The bytes that every output has next, MAX_FORCED_BYTES at most."""
        forced = b""
        while len(forced) < MAX_FORCED_BYTES and not self.is_accepting(state):
            run = self._unmarked.forced_bytes(remembered(state).unmarked)
            run = run[: MAX_FORCED_BYTES - len(forced)] or self._only_byte(state)
            after = self.read(state, run)
            if after is None:
                break
            forced += run
            state = after
        return forced

    def closing_cost(self, state: MatcherState) -> int:
        """Tokens of `closing_tokens`."""
        return len(self.closing_tokens(state))

    def closing_tokens(self, state: MatcherState) -> list[int]:
        """Tokens that lead to a state in which the output may end; ValueError if too many.

        What they spell is a shortest completion of the rules alone, changed where that would repeat
        something.
        """
        text = completion(self, remembered(state))
        if not text:
            return []
        byte, _, subtree_end, token_start, token_ids = self.store.trie.arrays
        is_spelled, found = fewest_tokens(
            byte, subtree_end, token_start, token_ids, np.frombuffer(text, np.uint8)
        )
        if not is_spelled:
            raise ValueError(f"no tokens spell the completion {text[:80]!r}")
        tokens: list[int] = found.tolist()
        return tokens

    def row(self, state: MatcherState) -> Int32Array:
        """int32[num_words]: the tokens allowed in a state, stop tokens included; read-only.

        The row may be overwritten once it is no longer ``state.row``; whoever copies it looks again.
        """
        arena = self.store.arena
        with self._lock:
            row = state.row
            if row is not None:
                arena.was_used[state.slot] = 1
                return row
            slot = arena.acquire()
            try:
                self._fill(remembered(state), arena.writable[slot])
            except BaseException:
                arena.release(slot)
                raise
            return arena.publish(slot, state)

    def _go_on(self, state: RememberedState, text: bytes) -> RememberedState | None:
        """The state after a text, marks put where they are due; it may not be viable."""
        unmarked = self._unmarked.read(state.unmarked, text)
        if unmarked is None:
            return None
        reading, ends = state.reading.read(text)
        marked: MatcherState | None = state.marked
        at = 0
        for end in ends:
            if end.offset > at and marked is not None:
                marked = self._marked.read(marked, text[at : end.offset])
            if marked is None:
                return None
            if end.is_new:
                marked = self._past_mark(marked, end)
            at = end.offset
        if at < len(text) and marked is not None:
            marked = self._marked.read(marked, text[at:])
        return None if marked is None else RememberedState(marked, unmarked, reading)

    def _past_mark(self, marked: MatcherState, end: End) -> MatcherState:
        """The state in which whoever waits for a mark has got it."""
        key = marked.first_move, end.is_key
        known = self._with_marks.get(key)
        if known is None:
            after = self._marked.read(marked, IS_NEW_KEY if end.is_key else IS_NEW_ITEM)
            known = marked if after is None else self._marked.joined(marked, after)
            self._with_marks[key] = known
        return known

    def _is_viable(self, state: RememberedState) -> bool:
        """Whether an output goes on from a state; its rules can be completed in any case."""
        return self._is_plainly_viable(state) or self._finds_a_way(state)

    def _is_plainly_viable(self, state: RememberedState) -> bool:
        """Whether more values may still come than earlier ones are in the way."""
        reading = state.reading
        ways = max((self._ends.ways(config) for config in state.configs), default=0.0)
        if ways >= ENOUGH:
            return True
        if reading.mode is Mode.SCALAR and EXPONENT.search(reading.raw):
            # 1e5 is 1e05: ways are not values.
            ways = 0.0
        if ways > reading.num_seen:
            return True
        number = rivals_of(reading).number
        return ways > number if number else reading.is_new is not False

    def _finds_a_way(self, start: RememberedState) -> bool:
        """Depth first, byte by byte, to a state that is viable at sight.

        Where a search ends for want of steps, tokens may be missing from a mask, but never all: what
        was found from a state is found again from the one behind it.
        """
        num_steps = 0
        path = [(start, b"", iter(self.bytes_after(start)))]
        # Zeros with exponents that have been tried, by states and frame: 0e1 and 0e2 are one number.
        zeros: dict[tuple[int, int, int], Frame | None] = {}
        while path:
            state, escape, waiting = path[-1]
            for byte in waiting:
                after_escape = self._escape_after(escape, byte, state.reading)
                if after_escape is None or (byte == ord("\n") and len(path) > 1):
                    continue
                after = self._go_on(state, bytes([byte]))
                if after is None:
                    continue
                if self._is_plainly_viable(after):
                    return True
                if after.reading.mode is Mode.SCALAR and ZERO.fullmatch(after.reading.raw):
                    frame = after.reading.frame
                    key = after.marked.first_move, after.unmarked.first_move, id(frame)
                    if key in zeros:
                        continue
                    zeros[key] = frame
                num_steps += 1
                if num_steps > MAX_SEARCH_STEPS:
                    return False
                path.append((after, after_escape, iter(self.bytes_after(after))))
                break
            else:
                path.pop()
        return False

    def bytes_after(self, state: RememberedState) -> bytes:
        """The bytes that rules allow next, in the order in which a search tries them."""
        unmarked = state.unmarked
        known = self._next_bytes.get(unmarked.first_move)
        if known is None:
            allowed = [
                b for b in SEARCH_BYTES if self._unmarked.read(unmarked, bytes([b])) is not None
            ]
            known = self._next_bytes[unmarked.first_move] = bytes(allowed)
        return known

    def shortest_by_rules(self, state: RememberedState) -> bytes:
        """A shortest completion of the rules alone."""
        tokens = self._vocabulary.tokens
        return b"".join(tokens[t] for t in self._unmarked.closing_tokens(state.unmarked))

    def _escape_after(self, escape: bytes, byte: int, reading: Reading) -> bytes | None:
        """What a search has begun of an escape after a byte; None: it need not try the byte."""
        if not self._vocabulary.spells_all:
            return b""
        if escape:
            return ESCAPES[escape].get(byte)
        return b"\\" if byte == ord("\\") and reading.mode is Mode.STRING else b""

    def _only_byte(self, state: MatcherState) -> bytes:
        """The byte that comes next if no other may; else nothing."""
        found = b""
        for byte in range(256):
            if self.read(state, bytes([byte])) is not None:
                if found:
                    return b""
                found = bytes([byte])
        return found

    def _fill(self, state: RememberedState, row: Int32Array) -> None:
        outline = self._outline(state)
        np.copyto(row, outline.row)
        tried: Iterable[int] = outline.doubtful
        rivals = self._rivals(state)
        if rivals.number or state.reading.is_new is False:
            tried = {*outline.doubtful, *self._along(state, rivals, outline)}
        for token_id in tried:
            text = self._vocabulary.tokens[token_id]
            is_allowed = bool(text) and self.read(state, text) is not None
            bit = np.int32(np.uint32(1 << (token_id & 31)).view(np.int32))
            row[token_id >> 5] = (
                row[token_id >> 5] | bit if is_allowed else row[token_id >> 5] & ~bit
            )
        if self.is_accepting(state):
            np.bitwise_or(row, self._vocabulary.stop_row, row)

    def _rivals(self, state: RememberedState) -> Rivals:
        """The rivals of what is read in a state, where they matter."""
        if any(self._ends.is_watched(config) for config in state.configs):
            return rivals_of(state.reading)
        return NONE

    def _outline(self, state: RememberedState) -> Outline:
        """The mask of a state, and of all with the same rules ahead, if what is read has no rivals."""
        key = (state.marked.first_move, state.unmarked.first_move, state.reading.mode)
        known = self._outlines.get(key)
        if known is None:
            row = self._marked.row(state.marked).copy()
            allowed = self._unmarked.row(state.unmarked) & ~self._vocabulary.stop_row
            # Tokens with the byte of a mark go.
            row &= allowed
            doubtful = self._rekeying(state, row) if self._asks_for_keys else set()
            for token_id in _ids(allowed & ~row):
                if self._is_safe(state, token_id):
                    row[token_id >> 5] |= np.uint32(1 << (token_id & 31)).view(np.int32)
                else:
                    doubtful.add(token_id)
            known = Outline(row, allowed, frozenset(doubtful))
            if state.reading.is_new is not False:
                if len(self._outlines) >= MAX_OUTLINES:
                    self._outlines.clear()
                self._outlines[key] = known
        return known

    def _is_safe(self, state: RememberedState, token_id: int) -> bool:
        """Whether a token crosses one mark, had for sure if what is read has no rivals, to many values."""
        text = self._vocabulary.tokens[token_id]
        _, ends = state.reading.read(text)
        if len(ends) != 1:
            return False
        (end,) = ends
        if end.is_key and not state.reading.is_at_key and b"," in text[: end.offset]:
            # A key of an object that has others.
            return False
        before: MatcherState | None = state.marked
        if end.offset:
            before = self._marked.read(state.marked, text[: end.offset])
        if before is None:
            return False
        after = self._marked.read(self._past_mark(before, end), text[end.offset :])
        return after is not None and self._leads_to_many(after)

    def _rekeying(self, state: RememberedState, row: Int32Array) -> set[int]:
        """The tokens of a row that go on to the next key of an object that was open: it may have none."""
        if self._with_commas is None:
            tokens = self._vocabulary.tokens
            self._with_commas = [t for t, token in enumerate(tokens) if b"," in token]
        found = set()
        for token_id in self._with_commas:
            if row[token_id >> 5] >> (token_id & 31) & 1:
                text = self._vocabulary.tokens[token_id]
                if state.reading.read(text)[0].frame is not state.reading.frame:
                    after = self._marked.read(state.marked, text)
                    if after is None or not self._leads_to_many(after):
                        found.add(token_id)
        return found

    def _leads_to_many(self, marked: MatcherState) -> bool:
        return any(self._ends.ways(config) >= ENOUGH for config in marked.configs)

    def _along(self, state: RememberedState, rivals: Rivals, outline: Outline) -> Iterable[int]:
        """The tokens that may lead to where the state is like what has come before."""
        mode = state.reading.mode
        if mode in (Mode.STRING, Mode.ESCAPE):
            text, begun = split_raw(state.reading.raw)
            texts = {part[len(text) :] for part in rivals.parts if isinstance(part, str)}
            return self._spelling(state, texts, begun, outline, is_quoted=False)
        if mode is Mode.BETWEEN:
            texts = {part for part in rivals.parts if isinstance(part, str)}
            found = self._spelling(state, texts, b"", outline, is_quoted=True) if texts else set()
            if len(texts) < len(rivals.parts):
                kinds = self._kinds_of_tokens()
                found.update(t for t in outline.token_ids if kinds[t] == OTHER)
            return found
        return outline.token_ids

    def _spelling(
        self,
        state: RememberedState,
        texts: Iterable[str],
        begun: bytes,
        outline: Outline,
        *,
        is_quoted: bool,
    ) -> set[int]:
        """The tokens that spell a beginning of some texts, or all of one and more."""
        inside, closed = self._walk.along(texts, begun, is_quoted=is_quoted)
        found = set(self._walk.tokens_below(closed))
        quoted = self._go_on(state, b'"') if is_quoted else state
        stays_open = quoted is not None and all(
            self._ends.stays_open(lexer_state) for _, lexer_state in quoted.configs
        )
        if not stays_open:
            found.update(self._walk.tokens_at(inside))
        return {t for t in found if outline.allowed[t >> 5] >> (t & 31) & 1}

    def _kinds_of_tokens(self) -> Int32Array:
        """For each token, whether it is blank, begins a string, or something else."""
        if self._kinds is None:
            firsts = [token.lstrip(b" \t\r\n")[:1] for token in self._vocabulary.tokens]
            self._kinds = np.array([KINDS.get(first, OTHER) for first in firsts], np.int32)
        return self._kinds


class Outline(NamedTuple):
    """The mask of states with the same rules ahead.

    Attributes:
        row: int32[num_words], the tokens that are allowed if what is read has no rivals; no stop tokens.
        allowed: int32[num_words], those that are allowed by the rules without marks.
        doubtful: those of the latter that must be tried in any case.
    """

    row: Int32Array
    allowed: Int32Array
    doubtful: frozenset[int]

    @property
    def token_ids(self) -> list[int]:
        """The tokens that may be allowed."""
        return _ids(self.allowed)


BLANK, TEXT, OTHER = 0, 1, 2
KINDS = {b"": BLANK, b'"': TEXT}


def _ids(row: Int32Array) -> list[int]:
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    found: list[int] = np.flatnonzero(bits).tolist()
    return found
