"""Rule automata with a stack, explored lazily.

A *parser state* stands between two terminals: a stack and a set of positions of one rule. It is
*lowered*, when a walk first needs it, to the terminals that may come next and the parser states behind
each of them. Stacks are hash-consed and immutable, so a matcher can keep, fork and drop them freely.
"""

from __future__ import annotations

import threading

import numpy as np

from syntagma.grammar.growable import Growable
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.parser_arrays import NOT_LOWERED, ParserArrays
from syntagma.grammar.rule_automata import RuleAutomata

BOTTOM = 0
START_STATE = 0


class Parser:
    """The parser states of one grammar met so far; append-only.

    Args:
        automata: the grammar's rules, pruned; rule 0 is the start.
        pool: where lexers are built.
    """

    def __init__(self, automata: RuleAutomata, pool: LexerPool) -> None:
        self._automata = automata
        self._pool = pool
        self._lock = threading.RLock()
        # Stack s returns to position _frames[s][0] on stack _frames[s][1].
        self._frames: list[tuple[int, int]] = [(-1, -1)]
        self._stack_ids: dict[tuple[int, int], int] = {}
        # A count within a loop makes a position of its own, numbered behind the static ones.
        self._counted: list[tuple[int, int]] = []
        self._counted_ids: dict[tuple[int, int], int] = {}
        self._definitions: list[tuple[int, frozenset[int]]] = []
        self._state_ids: dict[tuple[int, frozenset[int]], int] = {}
        self._can_end: list[bool] = []
        self._lexer_start = Growable(np.int32)
        self._lexer_end = Growable(np.int32)
        self._lexers = Growable(np.int32)
        self._goto_start = Growable(np.int32)
        self._goto_end = Growable(np.int32)
        self._goto_terminal = Growable(np.int32)
        self._goto_target = Growable(np.int32)
        self._intern(BOTTOM, frozenset([automata.starts[0]]))

    @property
    def num_states(self) -> int:
        """Parser states met."""
        return len(self._definitions)

    @property
    def arrays(self) -> ParserArrays:
        """The current buffers."""
        return ParserArrays(
            self._lexer_start.data,
            self._lexer_end.data,
            self._lexers.data,
            self._goto_start.data,
            self._goto_end.data,
            self._goto_terminal.data,
            self._goto_target.data,
        )

    def can_end(self, state: int) -> bool:
        """Whether the output may end in a parser state."""
        self.lower(state)
        return self._can_end[state]

    def lexers(self, state: int) -> list[int]:
        """The lexer states that a parser state starts in; none if nothing may follow."""
        self.lower(state)
        first, last = self._lexer_start.data[state], self._lexer_end.data[state]
        found: list[int] = self._lexers.data[first:last].tolist()
        return found

    def targets(self, state: int, terminal: int) -> list[int]:
        """The parser states behind a terminal."""
        self.lower(state)
        first, last = self._goto_start.data[state], self._goto_end.data[state]
        chosen = self._goto_terminal.data[first:last] == terminal
        found: list[int] = self._goto_target.data[first:last][chosen].tolist()
        return found

    def lower(self, state: int) -> None:
        """Work out what may follow a parser state (once)."""
        if self._lexer_start.data[state] != NOT_LOWERED:
            return
        with self._lock:
            if self._lexer_start.data[state] != NOT_LOWERED:
                return
            moves, can_end = self._closure(*self._definitions[state])
            self._can_end[state] = can_end
            terminals = tuple(sorted(moves))
            names = self._pool.complete_as(terminals)
            goto = [
                (name, self._intern(stack, frozenset(positions)))
                for name, terminal in sorted(zip(names, terminals, strict=True))
                for stack, positions in sorted(moves[terminal].items())
            ]
            starts = self._pool.lexer(terminals) if terminals else ()
            first = self._goto_terminal.extend([terminal for terminal, _ in goto])
            self._goto_target.extend([target for _, target in goto])
            self._goto_start.data[state] = first
            self._goto_end.data[state] = first + len(goto)
            first = self._lexers.extend(starts)
            self._lexer_end.data[state] = first + len(starts)
            # Written last: whoever sees it may rely on the rest.
            self._lexer_start.data[state] = first

    def _closure(
        self, stack: int, positions: frozenset[int]
    ) -> tuple[dict[int, dict[int, set[int]]], bool]:
        """Follow empty moves, calls and returns.

        Returns:
            (terminal -> stack -> positions behind it, whether the output may end here).
        """
        automata = self._automata
        num_static = len(automata.is_end)
        moves: dict[int, dict[int, set[int]]] = {}
        can_end = False
        seen: set[tuple[int, int]] = set()
        fresh_stacks: set[int] = set()
        waiting = [(stack, position) for position in positions]
        while waiting:
            item = waiting.pop()
            if item in seen:
                continue
            seen.add(item)
            stack, position = item
            if position >= num_static:
                entry, count = self._counted[position - num_static]
                loop = automata.loops[entry]
                if count >= loop.min_count:
                    waiting.append((stack, loop.after))
                if loop.max_count is None or count < loop.max_count:
                    after = self._counted_position(entry, min(count + 1, loop.largest_count))
                    pushed = self._push(after, stack)
                    fresh_stacks.add(pushed)
                    waiting.append((pushed, loop.body))
                continue
            if automata.is_end[position]:
                if stack == BOTTOM:
                    can_end = True
                else:
                    back, parent = self._frames[stack]
                    # A round that read nothing need not be counted (see `_relax_empty_rounds`).
                    if not (stack in fresh_stacks and back >= num_static):
                        waiting.append((parent, back))
            if position in automata.loops:
                waiting.append((stack, self._counted_position(position, 0)))
            waiting += [(stack, target) for target in automata.epsilon[position]]
            for callee, target in automata.calls[position]:
                if automata.is_only_end(target):
                    waiting.append((stack, callee))
                else:
                    pushed = self._push(target, stack)
                    fresh_stacks.add(pushed)
                    waiting.append((pushed, callee))
            for terminal, target in automata.terminals[position]:
                moves.setdefault(terminal, {}).setdefault(stack, set()).add(target)
        return moves, can_end

    def _push(self, back: int, parent: int) -> int:
        frame = (back, parent)
        stack = self._stack_ids.get(frame)
        if stack is None:
            stack = self._stack_ids[frame] = len(self._frames)
            self._frames.append(frame)
        return stack

    def _counted_position(self, entry: int, count: int) -> int:
        key = (entry, count)
        position = self._counted_ids.get(key)
        if position is None:
            position = len(self._automata.is_end) + len(self._counted)
            self._counted_ids[key] = position
            self._counted.append(key)
        return position

    def _intern(self, stack: int, positions: frozenset[int]) -> int:
        key = (stack, positions)
        state = self._state_ids.get(key)
        if state is None:
            state = self._state_ids[key] = len(self._definitions)
            self._definitions.append(key)
            self._can_end.append(False)
            self._lexer_start.append(NOT_LOWERED)
            for column in (self._lexer_end, self._goto_start, self._goto_end):
                column.append(0)
        return state
