"""The per-request state of a grammar: which tokens may come next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from syntagma.grammar import CompiledGrammar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from syntagma.grammar.matcher_state import MatcherState


class Matcher:
    """Follows one output through a grammar.

    A matcher is a list of states of its grammar, so `fork` copies a list and `rollback` cuts
    one. It is not safe to use from several threads at once; its grammar is.
    """

    def __init__(self, grammar: CompiledGrammar) -> None:
        self.grammar = grammar
        self._recognizer = recognizer = grammar.recognizer
        self._moves = recognizer.moves
        self._was_used = recognizer.store.arena.was_used
        self._bitmask: NDArray[np.int32] | None = None
        self._row = 0
        self._target = memoryview(b"")
        self._stop_ids = frozenset(grammar.vocabulary.stop_ids)
        self._states = [recognizer.initial]
        self._width = (grammar.vocabulary.num_words,)
        self._is_terminated = False

    @property
    def state(self) -> MatcherState | None:
        """The state of the grammar; None once a stop token has been accepted."""
        return None if self._is_terminated else self._states[-1]

    @property
    def num_tokens(self) -> int:
        """Tokens accepted so far, a stop token included."""
        return len(self._states) - 1

    def fill_bitmask(self, bitmask: NDArray[np.int32], row: int = 0) -> None:
        """Write the allowed tokens into one row.

        Args:
            bitmask: int32[rows, num_words]; bit ``t & 31`` of word ``t >> 5`` is token ``t``. The matcher
                keeps a reference to the last one.
            row: which row.

        A stop token is allowed exactly if the output may end here; after one, nothing is allowed but
        stop tokens.

        Raises:
            ValueError: the bitmask's type or width does not fit the vocabulary, or it is read-only.
            IndexError: it has no such row.
        """
        if bitmask is not self._bitmask or row != self._row:
            self._aim_at(bitmask, row)
        state = self._states[-1]
        while not self._is_terminated:
            view = state.view
            if view is None:
                self._recognizer.row(state)
                continue
            self._was_used[state.slot] = 1
            self._target[:] = view
            # Another thread may have needed the row's space meanwhile.
            if state.view is view:
                return
        self._target[:] = self.grammar.vocabulary.stop_row.data

    def _aim_at(self, bitmask: NDArray[np.int32], row: int) -> None:
        """Look at a row once; the next steps as a rule write the same one."""
        self.check_bitmask(bitmask)
        self._target = bitmask[row].data
        self._bitmask, self._row = bitmask, row

    def check_bitmask(self, bitmask: NDArray[np.int32]) -> None:
        """Raises ValueError if the bitmask's type or width does not fit the vocabulary."""
        if bitmask.dtype != np.int32 or bitmask.shape[1:] != self._width:
            raise ValueError(
                f"bitmask must be int32[rows, {self._width[0]}], "
                f"not {bitmask.dtype}{list(bitmask.shape)}"
            )
        if not bitmask.flags.writeable:
            raise ValueError("bitmask must be writable, this one is read-only")

    def accept_token(self, token_id: int) -> bool:
        """Advance by one token; False, and nothing changes, if it is not allowed."""
        state = self._states[-1]
        after = self._moves.get(state.first_move + token_id)
        if after is None or self._is_terminated:
            return self._accept_new(state, token_id)
        self._states.append(after)
        return True

    def _accept_new(self, state: MatcherState, token_id: int) -> bool:
        """`accept_token` for a token that has not been tried in this state, or that ends the output."""
        if token_id in self._stop_ids:
            if not self.is_accepting():
                return False
            self._states.append(state)
            self._is_terminated = True
            return True
        if self._is_terminated or not 0 <= token_id < self.grammar.vocabulary.size:
            return False
        if not self.grammar.vocabulary.spellings[token_id]:
            return False  # a control token; its empty text would lead nowhere, and seem allowed
        after = self._recognizer.advance(state, token_id)
        if after is None:
            return False
        self._states.append(after)
        return True

    def accept_tokens(self, token_ids: Sequence[int]) -> bool:
        """Advance by all tokens; False, and nothing changes, if one of them is not allowed."""
        for count, token_id in enumerate(token_ids):
            if not self.accept_token(token_id):
                self.rollback(count)
                return False
        return True

    def validate_tokens(self, token_ids: Sequence[int]) -> int:
        """How many of the tokens, from the front, could be accepted; nothing changes."""
        probe = self.fork()
        for count, token_id in enumerate(token_ids):
            if not probe.accept_token(token_id):
                return count
        return len(token_ids)

    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens.

        Raises:
            ValueError: fewer tokens have been accepted.
        """
        if not 0 <= num_tokens <= self.num_tokens:
            raise ValueError(f"cannot take back {num_tokens!r} of {self.num_tokens} tokens")
        if num_tokens:
            del self._states[-num_tokens:]
            self._is_terminated = False

    def fork(self) -> Matcher:
        """An independent matcher in the same state."""
        twin = Matcher(self.grammar)
        twin._states = self._states.copy()
        twin._is_terminated = self._is_terminated
        return twin

    def forced_bytes(self) -> bytes:
        """The bytes that the output must go on with, 4096 at most.

        As long as the output may not end and only one byte can follow, that byte is among them. They
        are not tokens: a token may span them and more. Empty if there is a choice at once, and after a
        stop token.
        """
        return b"" if self._is_terminated else self._recognizer.forced_bytes(self._states[-1])

    def closing_cost(self) -> int:
        """How many tokens `closing_tokens` has, the stop token not counted; 0 where the output may end.

        If the shortest completion has more than 65536 bytes, their number: no fewer than the tokens.

        Raises:
            GrammarError: as when compiling, for rules that no output has reached yet.
        """
        return 0 if self._is_terminated else self._recognizer.closing_cost(self._states[-1])

    def closing_tokens(self) -> list[int]:
        """Token ids that complete the output: no completion has fewer bytes.

        No other tokens spell the same bytes with fewer ids. A longer text may take fewer tokens still.
        Where items must be distinct, the completion may have more bytes than the shortest.

        Raises:
            ValueError: the shortest completion has more than 65536 bytes.
            GrammarError: as when compiling, for rules that no output has reached yet.
        """
        return [] if self._is_terminated else self._recognizer.closing_tokens(self._states[-1])

    def is_accepting(self) -> bool:
        """Whether the output may end here."""
        return self._is_terminated or self._recognizer.is_accepting(self._states[-1])

    def is_complete(self) -> bool:
        """Whether the output may end here and can do nothing else: only stop tokens are allowed."""
        if self._is_terminated:
            return True
        if not self.is_accepting():
            return False
        state = self._states[-1]
        while True:
            row = self._recognizer.row(state)
            is_complete = np.array_equal(row, self.grammar.vocabulary.stop_row)
            # Another thread may have needed the row's space meanwhile.
            if state.row is row:
                return is_complete

    def is_terminated(self) -> bool:
        """Whether a stop token has been accepted."""
        return self._is_terminated
