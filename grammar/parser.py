"""A pushdown recogniser that follows all readings at once, explored lazily.

A *parser state* stands between two terminals: a set of positions, each on a stack. It is *lowered*,
when a walk first needs it, to the terminals that may come next and the parser state behind each of
them. Lowering returns from rules that may end here, then calls the rules that may begin here; all
calls of a rule share one stack, as in Earley's algorithm (1970), so ambiguous grammars stay
polynomial. Stacks and states are content-addressed and immutable: a matcher can keep, fork and drop
them freely.

What lowering needs, the moves of positions and the lexers that run a set of terminals, is entered into flat
arrays once, and kernels do the rest (`lowering_kernels`, `state_kernels`), also in the middle of a walk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import numpy as np

from syntagma.grammar.closing import Closing
from syntagma.grammar.kernel_types import Int64Array
from syntagma.grammar.lowering_arrays import BOTTOM, CATCHES, HAS_DOUBTS, IS_END
from syntagma.grammar.lowering_kernels import (
    ASKS_FOR_LEXERS,
    ASKS_FOR_MOVES,
    CATCHES_TEXT,
    DONE,
    IS_ENDLESS,
)
from syntagma.grammar.parser_arrays import ParserArrays
from syntagma.grammar.parser_table import Item, ParserTable
from syntagma.grammar.rule_automata import RuleAutomata
from syntagma.grammar.stacks import Frame, Stacks
from syntagma.grammar.state_kernels import find_state, finish_state, lower_state, merge_states

START_STATE: Final = 0


class Lexers(Protocol):
    """Where lexers are built."""

    def starts(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        """Lexer states that together run the given terminals (sorted, distinct)."""

    def complete_as(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        """The names under which the terminals of a lexer are listed where they are complete."""


class Parser:
    """The parser states of one grammar met so far; append-only.

    Args:
        automata: the grammar's rules; belongs to the parser from now on.
        lexers: the pool that lexers come from.
        sharing: a parser of the same rules that this one shares stacks with; the same items are the
            same place in both.
        takes_doubtful: where a text is asked for that is not known (see `captures`), let any be it;
            otherwise none is.
    """

    # Whether `_note_catches` has anything to do.
    _stops_at_texts = False

    def __init__(
        self,
        automata: RuleAutomata,
        lexers: Lexers,
        *,
        sharing: Parser | None = None,
        takes_doubtful: bool = False,
    ) -> None:
        self._automata = automata
        self._pool = lexers
        self.lock: threading.RLock = threading.RLock() if sharing is None else sharing.lock
        self._stacks: Stacks = Stacks() if sharing is None else sharing._stacks
        self._takes_doubtful = takes_doubtful
        self._closing = Closing(automata, self._stacks)
        self._table = ParserTable(self._stacks, stops_at_texts=self._stops_at_texts)
        self.context: Int64Array = self._table.context
        self.state_of(((automata.start, BOTTOM),))

    @property
    def num_states(self) -> int:
        """Parser states met."""
        return self._table.num_states

    @property
    def num_stacks(self) -> int:
        """Stacks met."""
        return len(self._stacks)

    @property
    def num_bytes(self) -> int:
        """Memory of states and stacks, roughly."""
        return self._table.num_bytes + self._stacks.num_bytes

    @property
    def arrays(self) -> ParserArrays:
        """The arrays as they are now."""
        return self._table.arrays

    def can_end(self, state: int) -> bool:
        """Whether the output may end in a parser state."""
        self.lower(state)
        return self._table.can_end(state)

    def lexers(self, state: int) -> tuple[int, ...]:
        """The lexer states that a parser state starts in; none if nothing may follow."""
        self.lower(state)
        return self._table.lexers(state)

    def gotos(self, state: int) -> dict[int, int]:
        """The parser state behind each terminal that may come."""
        self.lower(state)
        return self._table.gotos(state)

    def successors(self, state: int, most: int) -> list[int]:
        """The parser states behind all terminals that may come; none if there are more than ``most``."""
        self.lower(state)
        return self._table.successors(state, most)

    def targets(self, state: int, terminal: int) -> tuple[int, ...]:
        """The parser states behind a terminal: one, or none if it may not come."""
        self.lower(state)
        target = self._table.target(state, terminal)
        return () if target is None else (target,)

    def after_text(self, state: int, text: bytes) -> int:
        """The state that knows of bytes read since its terminals began; see `TextParser`."""
        return state

    def state_of(self, items: Sequence[Item]) -> int:
        """The state of some (position, stack) pairs, of this parser or one it shares stacks with."""
        with self.lock:
            rows = np.array(items, np.int32)
            while (state := find_state(self.context, rows)) < 0:
                self._provide(state)
            return state

    def merged(self, states: Sequence[int]) -> int:
        """The state that goes on as any of some states does.

        A walk in which several parser states begin behind the same byte may go on in one of them
        merged; if it always does, the number of its configs cannot explode, however ambiguous the
        terminals are. The states are merged from left to right, and every step is entered in the
        arrays, for `merged_state`.
        """
        with self.lock:
            result = states[0]
            for state in states[1:]:
                while (merged := merge_states(self.context, result, state)) < 0:
                    self._provide(merged)
                result = merged
            return result

    def items(self, state: int) -> tuple[Item, ...]:
        """The (position, stack) pairs of a state."""
        return self._table.items(state)

    def frames(self, stack: int) -> tuple[Frame, ...]:
        """The frames on top of a stack."""
        return self._stacks.frames(stack)

    def is_doubtful(self, state: int) -> bool:
        """Whether a state asks for a text that is not known."""
        self.lower(state)
        return self._table.is_doubtful(state)

    def closing_bytes(self, state: int) -> int:
        """Bytes of a shortest completion of the output from a parser state."""
        with self.lock:
            return self._closing.cost(self._table.items(state))

    def closing_terminals(self, state: int, word_of: Callable[[int], bytes]) -> Iterator[int]:
        """The terminals of a shortest completion; a shortest word of each adds up to `closing_bytes`.

        One by one, because a repetition may ask for very many. Words that come again count as if they
        were shortest ones.

        Args:
            state: the parser state.
            word_of: the shortest word that the caller takes for a terminal.
        """
        steps = self._closing.terminals(self._table.items(state), word_of)
        while True:
            with self.lock:
                terminal = next(steps, None)
            if terminal is None:
                return
            yield terminal

    def lower(self, state: int) -> None:
        """Find out what may follow a parser state, once: the lexers it runs, the states behind terminals.

        Raises:
            GrammarError: as when compiling, for rules that no output has reached yet.
        """
        table = self._table
        if table.is_lowered(state):
            return
        with self.lock:
            for position in table.positions(state):
                self._enter_moves(position)
            status = lower_state(self.context, state)
            while status != DONE:
                if status == CATCHES_TEXT:
                    self._note_catches(state)
                    while (status := finish_state(self.context, state)) != DONE:
                        self._provide(status)
                else:
                    self._provide(status)
                    status = lower_state(self.context, state)

    def _provide(self, status: int) -> None:
        """Do what a kernel has asked for."""
        table = self._table
        if status == ASKS_FOR_MOVES:
            self._enter_moves(table.asked_position)
        elif status == ASKS_FOR_LEXERS:
            terminals = table.asked_terminals
            table.enter_lexers(
                terminals, self._pool.complete_as(terminals), self._pool.starts(terminals)
            )
        elif status == IS_ENDLESS:
            raise ValueError("rules of a grammar that is called proper begin with themselves")
        else:
            table.grow()

    def _enter_moves(self, position: int) -> None:
        """Let the kernels know of a position's moves, and of those of the rules that it calls."""
        table = self._table
        if table.knows(position):
            return
        waiting = [position]
        for at in waiting:
            if table.knows(at):
                continue
            reads, calls, is_end, recalled = self._automata.moves_of(at)
            flags = IS_END if is_end else 0
            for found in recalled:
                if found.is_doubtful:
                    flags |= HAS_DOUBTS
                if self._takes_doubtful or not found.is_doubtful:
                    flags |= CATCHES if found.is_caught else 0
                    reads += ((found.terminal, found.target),)
            table.enter_moves(at, reads, calls, flags)
            waiting += [entry for entry, _ in calls]

    def _note_catches(self, state: int) -> None:
        """See to the texts that are caught where a state's terminals end."""
