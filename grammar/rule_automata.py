"""What may be read at each position of a grammar's rules, worked out position by position.

`RuleAutomata.moves_of` sees through everything that reads nothing: alternatives, repetitions that may
stop, rules that may be empty, left recursion. So a call always reads something, no chain of calls comes
back to a rule it began with, and a parser needs to know of terminals, calls and ends only.

A *proper* grammar (see `ir.Grammar`) is compiled rule by rule when a parser enters the rules, and its
terminals get ids when they come next. Any other grammar is compiled as a whole but for its proper rules,
because what can be completed, what may be empty and what is left-recursive depends on all others.
"""

from __future__ import annotations

import dataclasses
from typing import Final, Protocol

from syntagma.grammar import ir
from syntagma.grammar.any_order import UNPRODUCTIVE, AnyOrderPart
from syntagma.grammar.captures import Remembering, pattern_of
from syntagma.grammar.left_recursion import LeftRecursion, find_left_recursion
from syntagma.grammar.limits import Budget
from syntagma.grammar.moves import TAIL, Moves, moves_within_proper
from syntagma.grammar.positions import (
    CALL,
    END,
    ENTRY,
    FORK,
    NONE,
    ORDER,
    READ,
    ROUND,
    WITHIN,
    Loop,
    Positions,
)
from syntagma.grammar.remembering_rules import RememberingRules
from syntagma.grammar.rule_compiler import compile_rule
from syntagma.grammar.shortest import shortest_words
from syntagma.grammar.terminals import Language

NOT_ASKED: Final = -1  # for the id of a terminal


class Terminals(Protocol):
    """Where terminals get their ids."""

    def terminal_id(self, language: Language) -> int | None:
        """The id of a terminal; None if no word of it can be spelled."""

    def shortest_length(self, terminal: int) -> int:
        """Bytes of a shortest word of a terminal."""


# The positions that read, or call something that reads, ascending; and whether the rule may end.
Frontier = tuple[tuple[int, ...], bool]

JUST_THE_END: Frontier = ((), True)


class RuleAutomata:
    """The rules of one grammar; grows while a parser explores it. Not thread-safe.

    Attributes:
        positions: the positions met.
        start: the position before the first byte.
        terminals: gives terminals their ids.
        remembering: the positions with a memory; None: no rule asks for any.

    Args:
        grammar: the rules; rule 0 is the start.
        terminals: gives terminals their ids.
        budget: bounds the positions and, for what is compiled at once, the time, until it is finished.
        is_lazy: compile proper rules when they are entered; for grammars whose terminals can all be
            spelled.

    Raises:
        GrammarLimitError: more than ``max_positions``, or out of time.
    """

    def __init__(
        self, grammar: ir.Grammar, terminals: Terminals, budget: Budget, *, is_lazy: bool = False
    ) -> None:
        self.positions = Positions()
        self.terminals = terminals
        self._grammar = grammar
        self._budget = budget
        self._numbers: dict[int, int] = {}
        # The grammar's rule for each of our own numbers, NONE where it is already compiled.
        self._sources: list[int] = []
        self._terminal_ids: dict[int, int | None] = {}
        self._is_lazy = is_lazy
        # The rules that are known to be proper, whether they are compiled or not.
        self._proper: set[int] = set()
        self._shortest: list[int] | None = None
        # The same as far as rules were compiled when dead ends were pruned; None: nothing was pruned.
        self._pruned: list[int] | None = None
        self._recursion: LeftRecursion | None = None
        self._frontiers: dict[int, Frontier] = {}
        self._moves: dict[int, Moves] = {}
        self.remembering: RememberingRules | None = None
        root = self.positions.new_rule()
        compile_rule(self.positions, root, ir.Call(0), self._number_of)
        self.start = self.positions.starts[root]
        if is_lazy and grammar.is_proper:
            return
        self._compile_all(has_deadline=True)
        remembers = any(isinstance(language, Remembering) for language in self.positions.languages)
        if remembers and self._proper:
            self._is_lazy = False
            self._proper.clear()
            self._compile_all(has_deadline=True)
        self._prune()
        if remembers:
            self.remembering = RememberingRules(self)

    @property
    def is_empty(self) -> bool:
        """Whether the grammar has no words; never so if it is proper."""
        return self.is_dead(self.start)

    @property
    def num_positions(self) -> int:
        """Positions met."""
        return len(self.positions.records)

    @property
    def num_terminals(self) -> int:
        """Terminals met."""
        return len(self.positions.languages)

    @property
    def shortest(self) -> list[int]:
        """Bytes of a shortest word from the positions of rules to their ends (`shortest_words`).

        Compiles what is not compiled yet; positions that are made later have no entry.
        """
        if self._shortest is None:
            self._is_lazy = False
            self._compile_all(has_deadline=False)
            self._shortest = shortest_words(self.positions, self.length_of)
        return self._shortest

    def left_recursion(self, rule: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """A rule's component and the positions behind its left calls there; empty if it has none."""
        if self._recursion is None:
            return (), ()
        return self._recursion.component[rule], self._recursion.returns[rule]

    def terminal_of(self, language: int) -> int | None:
        """The id of a terminal by its language's number, None if no word of it can be spelled."""
        terminal = self._terminal_ids.get(language, NOT_ASKED)
        if terminal == NOT_ASKED:
            asked = self.positions.languages[language]
            terminal = self.terminals.terminal_id(pattern_of(asked))
            self._terminal_ids[language] = terminal
        return terminal

    def _is_remembering(self, language: int) -> bool:
        return isinstance(self.positions.languages[language], Remembering)

    def moves_of(self, position: int) -> Moves:
        """What may follow a position, worked out once."""
        found = self._moves.get(position)
        if found is None:
            found = self._moves[position] = self._compute_moves(position)
        return found

    def _compute_moves(self, position: int) -> Moves:
        if self.remembering is not None:
            return self.remembering.moves(position)
        return self.moves_without_memory(position)

    def moves_without_memory(self, position: int) -> Moves:
        """The moves of a position of the rules, but for terminals that depend on the memory."""
        kind, label, target = self.positions.records[position]
        if kind == READ and not self._is_remembering(label):
            terminal = self.terminal_of(label)
            return Moves(() if terminal is None else ((terminal, target),), (), False)
        if self._pruned is not None and not self._is_proper(kind, label, position):
            return self._moves_of_any(position)
        return moves_within_proper(
            position, self.positions, terminal_of=self.terminal_of, start_of=self._start_of
        )

    def _is_proper(self, kind: int, label: int, position: int) -> bool:
        rule = label if kind == ENTRY else self.positions.rule_of[position]
        return rule in self._proper

    def _moves_of_any(self, position: int) -> Moves:
        """The moves of a position in any grammar, after it was pruned."""
        positions = self.positions
        self._budget.check("max_positions", self.num_positions, "positions of the grammar")
        goal = self._goal_of(position)
        terminals: dict[tuple[int, int], None] = {}
        calls: dict[tuple[int, int], None] = {}
        reads, is_end = self.frontier(position)
        for read in reads:
            kind, label, target = positions.records[read]
            if kind == READ:
                terminal = None if self._is_remembering(label) else self.terminal_of(label)
                if terminal is not None:
                    terminals[terminal, self._within(goal, target)] = None
                continue
            if kind == CALL:
                callee = label
            else:
                loop = positions.loops[label]
                callee = loop.body
                target = positions.round(label, min(target + 1, loop.largest_count))
            calls[positions.add(ENTRY, callee, NONE), self._return(goal, callee, target)] = None
        return Moves(tuple(terminals), tuple(calls), is_end)

    def _goal_of(self, position: int) -> int:
        """The rule on behalf of which a position is read, NONE outside left recursion."""
        kind, label, _ = self.positions.records[position]
        if kind == WITHIN or (kind == ENTRY and self.left_recursion(label)[0]):
            return label
        return NONE

    def _within(self, goal: int, position: int) -> int:
        return position if goal == NONE else self.positions.add(WITHIN, goal, position)

    def _return(self, goal: int, callee: int, target: int) -> int:
        """Where a call returns to, TAIL if the callee may take the caller's place.

        Within left recursion that is so if the goal calls itself last: behind the end of the inner
        word stands the same as behind the outer's, ``E: E "+" E`` being ``E: E ("+" E)*``. Without
        that the frames of ambiguous expressions would grow with their length.
        """
        if goal == NONE:
            kind = self.positions.records[target][0]
            if kind in (READ, CALL):
                return target
            return TAIL if kind == END or self.frontier(target) == JUST_THE_END else target
        behind = self._within(goal, target)
        if goal == callee:
            end = self._within(goal, self.positions.end(goal))
            if self.frontier(behind) == self.frontier(end):
                return TAIL
        return behind

    def frontier(self, position: int) -> Frontier:
        """The reading positions that are reached without reading."""
        found = self._frontiers.get(position)
        if found is None:
            kind, label, target = self.positions.records[position]
            if kind == ENTRY:
                found = self._entry_frontier(label)
            elif kind == WITHIN:
                found = self._walk(target, goal=label)
            else:
                found = self._walk(position, goal=NONE)
            self._frontiers[position] = found
        return found

    def _entry_frontier(self, rule: int) -> Frontier:
        """The reading positions at the start of a rule, those of its component if it has one."""
        component, _ = self.left_recursion(rule)
        if not component:
            return self._walk(self._start_of(rule), goal=NONE)[0], False
        inside = frozenset(component)
        reads = {
            read
            for member in component
            for read in self.frontier(self._start_of(member))[0]
            if self._callee(read) not in inside
        }
        return tuple(sorted(reads)), False

    def _callee(self, read: int) -> int:
        """The rule that a reading position calls, NONE if it reads a terminal."""
        kind, label, _ = self.positions.records[read]
        if kind == READ:
            return NONE
        return label if kind == CALL else self.positions.loops[label].body

    def _walk(self, start: int, goal: int) -> Frontier:
        """Follow what reads nothing; at the end of a rule, what the goal's transform puts there."""
        positions = self.positions
        reads = []
        is_end = False
        seen = {start}
        waiting = [start]
        while waiting:
            position = waiting.pop()
            if self.is_dead(position):
                continue
            kind, label, target = positions.records[position]
            found: tuple[int, ...] = ()
            if kind == READ:
                reads.append(position)
            elif kind == CALL:
                reads.append(position)
                if self._may_be_empty(label):
                    found = (target,)
            elif kind in (FORK, ORDER):
                found = positions.branches(position)
            elif kind == ROUND:
                loop = positions.loops[label]
                if loop.max_count is None or target < loop.max_count:
                    reads.append(position)
                if target >= loop.min_count:
                    found = (loop.after,)
            elif goal == NONE:
                is_end = True
            else:
                is_end = is_end or label == goal
                found = self.left_recursion(label)[1]
            for after in found:
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        reads.sort()
        return tuple(reads), is_end

    def is_dead(self, position: int) -> bool:
        """Whether the end cannot be reached from a position."""
        pruned = self._pruned
        if pruned is None:
            return False
        return position < len(pruned) and pruned[position] == UNPRODUCTIVE

    def _may_be_empty(self, rule: int) -> bool:
        if self._pruned is None or rule in self._proper:
            return False
        return self._pruned[self.positions.starts[rule]] == 0

    def _start_of(self, rule: int) -> int:
        """Where a rule starts; compiles it if need be."""
        start = self.positions.starts[rule]
        if start == NONE:
            num_rules = len(self.positions.starts)
            body = self._grammar.body(self._source_of(rule))
            compile_rule(self.positions, rule, body, self._number_of)
            if rule in self._proper:
                # What it calls is proper too, and so are its counted rounds.
                self._proper.update(range(num_rules, len(self.positions.starts)))
            self._budget.check("max_positions", self.num_positions, "positions of the grammar")
            start = self.positions.starts[rule]
        return start

    def _number_of(self, source: int) -> int:
        number = self._numbers.get(source)
        if number is None:
            number = self._numbers[source] = self.positions.new_rule()
            self._sources += [NONE] * (number - len(self._sources))
            self._sources.append(source)
            if self._is_lazy and source in self._grammar.proper_rules:
                self._proper.add(number)
        return number

    def _source_of(self, rule: int) -> int:
        return self._sources[rule]

    def _compile_all(self, *, has_deadline: bool) -> None:
        """Compile every rule that can be reached, but none that may wait."""
        rule = 0
        while rule < len(self.positions.starts):
            if has_deadline and rule % 256 == 0:
                self._budget.check_time()
            if not self._is_lazy or rule not in self._proper:
                self._start_of(rule)
            rule += 1

    def _prune(self) -> None:
        """Find out what can be completed, what may be empty and what is left-recursive."""
        positions = self.positions

        def length_of(language: int) -> int:
            # Asked for every terminal of large grammars, each of which takes its time to be entered.
            self._budget.check_time()
            return self.length_of(language)

        self._pruned = shortest_words(positions, length_of)
        if not self._proper:
            self._shortest = self._pruned
        self._budget.check_time()
        for number, loop in enumerate(positions.loops):
            # Rounds that may be empty need not be done; a round that cannot be done is none.
            start = self._pruned[positions.starts[loop.body]]
            if start == 0:
                positions.loops[number] = Loop(loop.body, 0, loop.max_count, loop.after)
            elif start == UNPRODUCTIVE:
                positions.loops[number] = Loop(loop.body, loop.min_count, 0, loop.after)
        for number, order in enumerate(positions.orders):
            productive = [
                self._part_cost(part, self._pruned) != UNPRODUCTIVE for part in order.parts
            ]
            alive = sum(1 << i for i, is_alive in enumerate(productive) if is_alive)
            positions.orders[number] = dataclasses.replace(order, alive=alive)
        left_calls = []
        for rule in range(len(positions.starts)):
            if rule % 256 == 0:
                self._budget.check_time()
            left_calls.append([] if rule in self._proper else self._left_calls(rule))
        self._recursion = find_left_recursion(left_calls)
        self._check_copies(self._recursion)

    def _check_copies(self, recursion: LeftRecursion) -> None:
        """Bound the positions that left recursion may make: those of a component for each goal."""
        positions = self.positions
        inner = {
            read
            for rule, component in enumerate(recursion.component)
            if component
            for read in self.frontier(positions.starts[rule])[0]
            if (callee := self._callee(read)) != NONE and recursion.component[callee] is component
        }
        goals = {
            callee
            for read, (kind, _, _) in enumerate(positions.records)
            if kind in (CALL, ROUND)
            and read not in inner
            and (callee := self._callee(read)) != NONE
        }
        num_positions = [0] * len(positions.starts)
        for rule in positions.rule_of:
            num_positions[rule] += 1
        copies = 0
        for component in {id(found): found for found in recursion.component}.values():
            num_goals = sum(rule in goals for rule in component)
            copies += num_goals * sum(num_positions[rule] for rule in component)
        self._budget.check("max_positions", copies, "positions of left-recursive rules, by goal")

    def _left_calls(self, rule: int) -> list[tuple[int, int]]:
        """The (rule, position behind) calls that a rule begins with."""
        positions = self.positions
        found = []
        for read in self.frontier(positions.starts[rule])[0]:
            kind, label, target = positions.records[read]
            if kind == CALL:
                found.append((label, target))
            elif kind == ROUND:
                loop = positions.loops[label]
                found.append(
                    (loop.body, positions.round(label, min(target + 1, loop.largest_count)))
                )
        return found

    def part_cost(self, part: AnyOrderPart) -> int:
        """Bytes of a shortest word of a part in any order, UNPRODUCTIVE if it has none."""
        return self._part_cost(part, self.shortest)

    def _part_cost(self, part: AnyOrderPart, shortest: list[int]) -> int:
        start = self.positions.starts[part.rest]
        rest = 1 if start == NONE else shortest[start]
        head = 0 if part.head == NONE else self.length_of(part.head)
        return UNPRODUCTIVE if UNPRODUCTIVE in (head, rest) else head + rest

    def length_of(self, language: int) -> int:
        """Bytes of a shortest word of a terminal by its language's number, UNPRODUCTIVE if it has none."""
        terminal = self.terminal_of(language)
        return UNPRODUCTIVE if terminal is None else self.terminals.shortest_length(terminal)
