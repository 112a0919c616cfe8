"""In how many ways an output can still get by the marks that its open items and keys have before them.

A mark can be had where more values may still come than have come before: then one is left that is new, and
whatever contains it is new as well. So they are counted here, in the rules and stacks of a parser of a grammar
with marks. Numbers of ways are lower bounds: with fewer, it depends on the facts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.lowering_arrays import OUTPUT_ENDS
from syntagma.grammar.marks import MARKS, NEW_KEY, is_mark
from syntagma.grammar.parser import Parser
from syntagma.grammar.parser_table import Item
from syntagma.grammar.positions import CALL, END, ENTRY, FORK, ORDER, READ, ROUND
from syntagma.grammar.rule_automata import RuleAutomata
from syntagma.grammar.value_kernels import num_ways, states_ahead, terminals_ahead

# No output has as many items.
ENOUGH = 2.0**48
# Bytes that do not spell the same in two ways. No "e", for 10e1 is 1e2, no capitals, for digits of an escape
# may be either.
SYMBOLS = np.frombuffer(b'0123456789abcdfghijklmnopqrstuvwxyz"', np.uint8)
# Lexer states that more states follow than these are not looked into, unless they are one terminal's.
MAX_AHEAD = 512


class Ahead(NamedTuple):
    """What comes before the next mark.

    Attributes:
        ways: how many values it has, at least.
        can_end: whether the rule can end without a mark.
    """

    ways: float
    can_end: bool


class OpenEnds:
    """Answers for the states of one parser, remembered. Not locked: the owner locks.

    Args:
        parser: of a grammar with marks, none of whose rules is produced on demand.
        automata: its rules.
        pool: its lexer states.
    """

    def __init__(self, parser: Parser, automata: RuleAutomata, pool: LexerPool) -> None:
        self._parser = parser
        self._automata = automata
        self._positions = automata.positions
        self._pool = pool
        self._marks = frozenset(pool.terminal_id(mark.language) for mark in MARKS.values())
        self._rules: list[Ahead] | None = None
        self._ahead: dict[int, Ahead] = {}
        self._ways_of_terminals: dict[int, float] = {}
        self._ways: dict[int, float] = {}
        self._stays: dict[int, bool] = {}
        self._terminals: dict[int, tuple[int, ...]] = {}
        self._parser_states: dict[int, float] = {}
        self._configs: dict[tuple[int, int], float] = {}
        self._watched: dict[int, bool] = {}

    @property
    def asks_for_keys(self) -> bool:
        """Whether the rules ask for keys that are new."""
        key_of_mark = NEW_KEY.language.key
        return any(language.key == key_of_mark for language in self._positions.languages)

    def ways(self, config: tuple[int, int]) -> float:
        """How many values may end what is open in a config; ENOUGH where no mark comes first."""
        known = self._configs.get(config)
        if known is None:
            parser_state, lexer_state = config
            known = self.ways_in_lexer(lexer_state)
            if known < ENOUGH:
                targets = [
                    target
                    for terminal in self._terminals_of(lexer_state)
                    if terminal not in self._marks
                    for target in self._parser.targets(parser_state, terminal)
                ]
                known = max([known, *map(self._ways_behind, targets)])
            self._configs[config] = known
        return known

    def is_watched(self, config: tuple[int, int]) -> bool:
        """Whether a mark stands behind an item or key that is being read in a config, or comes next."""
        parser_state, lexer_state = config
        return self._has_mark_below(parser_state) or any(
            self._has_mark_below(target)
            for terminal in self._pool.complete_in(lexer_state)
            for target in self._parser.targets(parser_state, terminal)
        )

    def _has_mark_below(self, parser_state: int) -> bool:
        """Whether a mark stands behind what comes next, or behind something that it is a part of."""
        known = self._watched.get(parser_state)
        if known is None:
            waiting: list[Item] = list(self._parser.items(parser_state))
            for target in self._parser.gotos(parser_state).values():
                waiting += self._parser.items(target)
            seen = set(waiting)
            known = False
            for position, stack in waiting:
                if self._is_mark(position):
                    known = True
                    break
                for frame in self._parser.frames(stack):
                    if frame[0] != OUTPUT_ENDS and frame not in seen:
                        seen.add(frame)
                        waiting.append(frame)
            self._watched[parser_state] = known
        return known

    def ways_in_lexer(self, lexer_state: int) -> float:
        """How many values may end what a lexer state has begun."""
        known = self._ways.get(lexer_state)
        if known is None:
            known = float(num_ways(self._pool.arrays, lexer_state, SYMBOLS, ENOUGH))
            self._ways[lexer_state] = known
        return known

    def stays_open(self, lexer_state: int) -> bool:
        """Whether many values may end what is begun in a state and in all that follow it.

        But for those in which a terminal is complete.
        """
        known = self._stays.get(lexer_state)
        if known is None:
            ahead = states_ahead(self._pool.arrays, lexer_state, MAX_AHEAD).tolist()
            known = bool(ahead) and all(
                self.ways_in_lexer(state) >= ENOUGH
                for state in ahead
                if not self._pool.complete_in(state)
            )
            self._stays[lexer_state] = known
        return known

    def _terminals_of(self, lexer_state: int) -> tuple[int, ...]:
        """The terminals that a lexer state may still complete; none if that takes too long to say."""
        known = self._terminals.get(lexer_state)
        if known is None:
            pool = self._pool
            if pool.is_dense_terminal(lexer_state):
                known = (pool.terminal_of(lexer_state),)
            else:
                ahead = states_ahead(pool.arrays, lexer_state, MAX_AHEAD)
                known = tuple(dict.fromkeys(terminals_ahead(pool.arrays, ahead).tolist()))
            self._terminals[lexer_state] = known
        return known

    def _ways_behind(self, parser_state: int) -> float:
        """`ways` between two terminals."""
        known = self._parser_states.get(parser_state)
        if known is None:
            known = self._parser_states[parser_state] = self._counted_down(parser_state)
        return known

    def _counted_down(self, parser_state: int) -> float:
        """Follow the stacks as far as no mark is met."""
        most = 0.0
        waiting: list[Item] = list(self._parser.items(parser_state))
        seen = set(waiting)
        for position, stack in waiting:
            ahead = self._ahead_of(position)
            most = max(most, ahead.ways)
            if not ahead.can_end:
                continue
            for frame in self._parser.frames(stack):
                if frame[0] == OUTPUT_ENDS:
                    return ENOUGH
                if frame not in seen:
                    seen.add(frame)
                    waiting.append(frame)
        return most

    def _ahead_of(self, position: int) -> Ahead:
        known = self._ahead.get(position)
        if known is None:
            if self._rules is None:
                self._rules = self._worked_out()
            known = self._ahead[position] = self._walk(position, self._rules, [])
        return known

    def _worked_out(self) -> list[Ahead]:
        """For all rules, by the least fixed point."""
        starts = self._positions.starts
        found = [Ahead(0.0, False)] * len(starts)
        askers: list[set[int]] = [set() for _ in starts]
        waiting = list(range(len(starts)))
        is_waiting = [True] * len(starts)
        while waiting:
            rule = waiting.pop()
            is_waiting[rule] = False
            asked: list[int] = []
            ahead = self._walk(starts[rule], found, asked)
            for callee in asked:
                askers[callee].add(rule)
            if ahead != found[rule]:
                found[rule] = ahead
                for asker in askers[rule]:
                    if not is_waiting[asker]:
                        is_waiting[asker] = True
                        waiting.append(asker)
        return found

    def _walk(self, start: int, rules: list[Ahead], asked: list[int]) -> Ahead:
        """From a position as far as no mark is met; ``asked`` gets the rules that are called."""
        positions = self._positions
        ways = 0.0
        can_end = False
        waiting = [start]
        seen = {start}
        for position in waiting:
            if self._automata.is_dead(position):
                continue
            kind, label, target = positions.records[position]
            found: tuple[int, ...] = ()
            if kind == READ:
                if not self._is_mark(position):
                    ways = max(ways, self._ways_of(label))
                    found = (target,)
            elif kind == CALL:
                asked.append(label)
                ways = max(ways, rules[label].ways)
                if rules[label].can_end:
                    found = (target,)
            elif kind == ROUND:
                loop = positions.loops[label]
                if loop.max_count is None or target < loop.max_count:
                    asked.append(loop.body)
                    ways = max(ways, rules[loop.body].ways)
                if target >= loop.min_count or rules[loop.body].can_end:
                    found = (loop.after,)
            elif kind == FORK:
                found = positions.forks[label]
            elif kind == ORDER:
                order, progress = positions.orders[label], positions.progress_at(position)
                if progress.is_between:
                    found = positions.branches(position)
                else:
                    rests = {part.rest for part, _ in order.steps(progress)}
                    asked += rests
                    ways = max([ways, *(rules[rest].ways for rest in rests)])
                    if all(rules[rest].can_end for rest in rests):
                        found = (order.after,)
            elif kind == ENTRY:
                found = (positions.starts[label],)
            elif kind == END:
                can_end = True
            else:
                found = (target,)
            for after in found:
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return Ahead(ways, can_end)

    def _is_mark(self, position: int) -> bool:
        kind, label, _ = self._positions.records[position]
        return kind == READ and is_mark(self._positions.languages[label])

    def _ways_of(self, label: int) -> float:
        """How many words a terminal has, at least."""
        known = self._ways_of_terminals.get(label)
        if known is None:
            terminal = self._automata.terminal_of(label)
            starts = () if terminal is None else self._pool.lexer((terminal,))
            known = max([0.0, *map(self.ways_in_lexer, starts)])
            self._ways_of_terminals[label] = known
        return known
