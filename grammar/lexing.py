"""What Lark's lexers do with a text, as automata.

A *lexeme* is what Lark's lexer takes from the text for a terminal. Lark has three ways, and each is
a set of automata here:

- contextual (its parser is LALR): of the terminals that the parser's state accepts, in Lark's order, the
  first that matches is taken, with the match that Python's search meets first; a literal that a regular
  expression of the same priority matches whole takes its place;
- dynamic (its parser is Earley's): each terminal that may come is matched by itself;
- scannerless, which is not Lark's: any word of a terminal is a lexeme.

Whether a word is a lexeme depends on what comes behind it: there may be a better match that is longer.
So a lexeme ends with a *guard*: the condition on what comes next that no such match is found (see
`conditions`), and that lookaheads within the pattern hold. If the text goes on otherwise, this was not the
lexeme. Guards of several lexemes in a row hold together.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from lark.lexer import Scanner

from syntagma.grammar.classed_nfa import ClassedNfa
from syntagma.grammar.conditions import ALWAYS, NEVER, Conditions
from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.dfa_builder import dfa_from_classes
from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.grammar_source import GrammarSource
from syntagma.grammar.kernel_types import BoolArray, Int32Array
from syntagma.grammar.lark_grammar import LarkGrammar, LarkTerminal
from syntagma.grammar.limits import Budget
from syntagma.grammar.minimise_kernels import canonical
from syntagma.grammar.pattern_subsets import PatternSubsets
from syntagma.grammar.python_regex import PatternBuilder, PatternNfa

Lexer = Literal["contextual", "dynamic", "scannerless"]

NO_GUARD = ALWAYS
IGNORED = -1
# Before 1.3 Lark compares a lexeme with a literal and "$", so a line feed may stand behind it.
BEHIND_LITERAL = "" if hasattr(Scanner, "fullmatch") else r"\n?"
# Of terminals that have no pattern.
NO_START = -1


@dataclass(frozen=True, eq=False)
class LexemeAutomaton:
    """The lexemes of a terminal somewhere, with the guards that they end with.

    Attributes:
        table: int32[states, classes of characters]; 0 is dead, 1 the start.
        labels: int32[states], one more than the guard where a lexeme may end, else 0.
    """

    table: Int32Array
    labels: Int32Array

    @functools.cached_property
    def key(self) -> bytes:
        """Equal for equal automata."""
        digest = hashlib.blake2b(self.table.tobytes(), digest_size=16)
        digest.update(self.labels.tobytes())
        return digest.digest()

    @functools.cached_property
    def guards(self) -> list[int]:
        """The guards that lexemes end with."""
        return [label - 1 for label in np.unique(self.labels).tolist() if label]

    @functools.cached_property
    def begins(self) -> BoolArray:
        """The classes of characters that a lexeme may begin with."""
        begins: BoolArray = self.table[START] != DEAD
        return begins


@dataclass(frozen=True)
class _Scan:
    """What a lexer makes of a text from some point on.

    Attributes:
        table: as in `LexemeAutomaton`.
        lexemes: int32[n, 3]; a state where a lexeme may end, what it is (a terminal or IGNORED), its guard.
    """

    table: Int32Array
    lexemes: Int32Array

    def labels(self, token: int) -> Int32Array:
        """As in `LexemeAutomaton`, of one terminal."""
        labels = np.zeros(len(self.table), np.int32)
        states, _, guards = self.lexemes[self.lexemes[:, 1] == token].T
        labels[states] = guards + 1
        return labels


class Lexing:
    """The lexemes of one grammar.

    Args:
        grammar: its terminals.
        lexer: Lark's way or ours.
        source: for errors.
    """

    def __init__(
        self, grammar: LarkGrammar, lexer: Lexer, source: GrammarSource, budget: Budget
    ) -> None:
        self.grammar = grammar
        self.lexer = lexer
        self.source = source
        self.budget = budget
        nfa = PatternNfa()
        builder = PatternBuilder(nfa, budget)
        self.starts: list[int] = []
        # Where literals begin that take the place of a lexeme.
        self.whole_starts: dict[int, int] = {}
        blocks = grammar.lines.blocks() if grammar.lines is not None else {}
        for number, terminal in enumerate(grammar.terminals):
            if number in blocks:
                self.starts.append(NO_START)
                continue
            try:
                self.starts.append(builder.add(terminal.pattern, number))
                if terminal.text is not None and lexer == "contextual":
                    whole = builder.add(f"(?:{terminal.pattern}){BEHIND_LITERAL}", number)
                    self.whole_starts[number] = whole
            except UnsupportedGrammarError as error:
                raise self._unsupported(error, terminal) from None
        if grammar.lines is not None:
            # So that line feeds are a class of their own.
            builder.add("\n", len(grammar.terminals))
        self.classed = ClassedNfa(nfa, budget)
        self.conditions = Conditions(nfa, self.classed, budget)
        self.sets, self.subsets = (
            PatternSubsets(nfa, self.classed, self.conditions, budget, is_ordered=is_ordered)
            for is_ordered in (False, lexer != "scannerless")
        )
        symbols = self.classed.symbols
        self._first_interval = np.unique(symbols.of_interval, return_index=True)[1]
        self._orders: dict[frozenset[int], tuple[int, ...]] = {}
        self._scans: dict[tuple[int, ...], _Scan] = {}
        self._automata: dict[tuple[tuple[int, ...], int], LexemeAutomaton] = {}
        self._interned: dict[bytes, LexemeAutomaton] = {}
        self._guarded: dict[tuple[bytes, int], LexemeAutomaton] = {}
        self._languages: dict[tuple[bytes, frozenset[int]], Dfa] = {}
        self._covers: dict[tuple[int, int], bool] = {}

    def _unsupported(
        self, error: UnsupportedGrammarError, terminal: LarkTerminal
    ) -> UnsupportedGrammarError:
        return self.source.unsupported(
            f"{error.message}, in {self.source.shown(terminal.name)}",
            terminal.position,
            keyword=error.keyword,
        )

    # --- lexemes -------------------------------------------------------------------------------

    def lexemes(self, accepts: frozenset[int], terminal: int) -> LexemeAutomaton:
        """The lexemes of a terminal where the parser accepts some terminals."""
        if self.lexer != "contextual":
            return self._automaton((terminal,), terminal)
        return self._automaton(self._tried(accepts), terminal)

    def ignored(self, accepts: frozenset[int]) -> tuple[LexemeAutomaton, ...]:
        """What may be skipped there: one automaton, or one for each terminal that is ignored."""
        ignored = sorted(self.grammar.ignored)
        if not ignored:
            return ()
        if self.lexer != "contextual":
            return tuple(self._automaton((terminal,), terminal) for terminal in ignored)
        return (self._automaton(self._tried(accepts), IGNORED),)

    def _tried(self, accepts: frozenset[int]) -> tuple[int, ...]:
        """What a lexer looks for, in order."""
        found = self._orders.get(accepts)
        if found is None:
            terminals = self.grammar.terminals
            everything = accepts | self.grammar.ignored
            found = tuple(sorted(everything, key=lambda number: terminals[number].order))
            self._orders[accepts] = found
        return found

    def _automaton(self, terminals: tuple[int, ...], token: int) -> LexemeAutomaton:
        found = self._automata.get((terminals, token))
        if found is None:
            scan = self._scan(terminals)
            found = self._automata[terminals, token] = self.minimal(scan.table, scan.labels(token))
        return found

    def minimal(self, table: Int32Array, labels: Int32Array) -> LexemeAutomaton:
        """The smallest automaton of a table, with a column for each class."""
        small, class_of, labels = canonical(table, self.classed.symbols.of_interval, START, labels)
        columns = class_of[self._first_interval]
        automaton = LexemeAutomaton(np.ascontiguousarray(small[:, columns]), labels)
        return self._interned.setdefault(automaton.key, automaton)

    def _scan(self, terminals: tuple[int, ...]) -> _Scan:
        """Run a lexer of some terminals, given in Lark's order."""
        found = self._scans.get(terminals)
        if found is None:
            is_contextual = self.lexer == "contextual"
            replacing, embedded = self._literals_within(terminals) if is_contextual else ({}, set())
            found = self._scans[terminals] = self._explored(terminals, replacing, embedded)
        return found

    def _literals_within(self, terminals: tuple[int, ...]) -> tuple[dict[int, list[int]], set[int]]:
        """For each regular expression the literals that take its place, and those tried only so."""
        replacing: dict[int, list[int]] = {}
        embedded = set()
        known = self.grammar.terminals
        literals = [number for number in terminals if known[number].text is not None]
        for number in terminals:
            regex = known[number]
            if regex.text is not None:
                continue
            for other in literals:
                literal = known[other]
                if literal.priority == regex.priority and self._matches(number, other):
                    replacing.setdefault(number, []).append(other)
                    if literal.flags <= regex.flags:
                        embedded.add(other)
        return replacing, embedded

    def _matches(self, number: int, literal: int) -> bool:
        """Whether what a regular expression matches first at a literal's text is all of it."""
        found = self._covers.get((number, literal))
        if found is None:
            text = self.grammar.terminals[literal].text or ""
            state = self._start((self.starts[number],), number)
            for char in text:
                state = int(self.subsets.row(state)[self.class_of(char)])
            found = self._covers[number, literal] = any(
                self.conditions.holds_at_end(guard)
                for _, guard in self.subsets.subsets[state].matched
            )
        return found

    def class_of(self, char: str) -> int:
        """The class of a character."""
        symbols = self.classed.symbols
        interval = int(np.searchsorted(symbols.bounds, ord(char), side="right")) - 1
        return int(symbols.of_interval[interval])

    def _start(self, states: tuple[int, ...], terminal: int) -> int:
        try:
            return self.subsets.start(states)
        except UnsupportedGrammarError as error:
            raise self._unsupported(error, self.grammar.terminals[terminal]) from None

    def _explored(
        self, terminals: tuple[int, ...], replacing: dict[int, list[int]], embedded: set[int]
    ) -> _Scan:
        for terminal in terminals:
            self._start((self.starts[terminal],), terminal)
        tried = tuple(self.starts[number] for number in terminals if number not in embedded)
        others = {number for found in replacing.values() for number in found}
        literals = tuple(self.whole_starts[number] for number in sorted(others))
        start = self.subsets.start(tried), self.sets.start(literals)
        numbers = {start: START}
        waiting = [start]
        rows = [np.zeros(self.classed.count, np.int32)]
        lexemes: list[tuple[int, int, int]] = []
        for state, literal in waiting:
            if (state, literal) != start:
                found = self._lexemes(state, literal, replacing)
                lexemes += [(len(rows), token, guard) for token, guard in found.items()]
            rows.append(self._joint_row(state, literal, numbers, waiting))
            self.budget.check_table(len(rows) * self.classed.count, "states of a lexer")
        return _Scan(np.array(rows), np.array(lexemes, np.int32).reshape(-1, 3))

    def _joint_row(
        self,
        state: int,
        literal: int,
        numbers: dict[tuple[int, int], int],
        waiting: list[tuple[int, int]],
    ) -> Int32Array:
        """The row of a pair of states of subsets and literals; new pairs get numbers."""
        left = self.subsets.row(state)
        right = self.sets.row(literal)
        pairs, place = np.unique(left.astype(np.int64) << 32 | right, return_inverse=True)
        targets = []
        for pair in pairs.tolist():
            goal = pair >> 32, pair & 0xFFFFFFFF
            if goal[0] == DEAD:
                targets.append(DEAD)
                continue
            if goal not in numbers:
                numbers[goal] = len(numbers) + 1
                waiting.append(goal)
            targets.append(numbers[goal])
        row: Int32Array = np.array(targets, np.int32)[place.reshape(-1)]
        return row

    def _lexemes(self, state: int, literal: int, replacing: dict[int, list[int]]) -> dict[int, int]:
        """The tokens of lexemes that end in a state, with their guards."""
        literals = [number for number, _ in self.sets.subsets[literal].matched]
        found: dict[int, int] = {}
        for token, guard in self.subsets.subsets[state].matched:
            if self.lexer == "contextual":
                is_ignored = token in self.grammar.ignored
                token = next((n for n in replacing.get(token, ()) if n in literals), token)
                if is_ignored:
                    token = IGNORED
            found[token] = self.conditions.any_of([found.get(token, NEVER), guard])
        return found

    # --- guards --------------------------------------------------------------------------------

    def guarded(self, automaton: LexemeAutomaton, guard: int) -> LexemeAutomaton:
        """The lexemes behind which a guard from before has not struck, with what is left of it."""
        if guard == NO_GUARD:
            return automaton
        found = self._guarded.get((automaton.key, guard))
        if found is None:
            is_met = np.any(automaton.begins & (self.conditions.row(guard) != ALWAYS))
            found = self._product(automaton, guard) if is_met else automaton
            self._guarded[automaton.key, guard] = found
        return found

    def _product(self, automaton: LexemeAutomaton, guard: int) -> LexemeAutomaton:
        numbers = {(START, guard): START}
        waiting = [(START, guard)]
        rows = [np.zeros(self.classed.count, np.int32)]
        labels = [0]
        for state, alive in waiting:
            label = int(automaton.labels[state])
            both = self.conditions.both(label - 1, alive) if label else NEVER
            labels.append(0 if both == NEVER else both + 1)
            after = automaton.table[state].astype(np.int64)
            pairs, place = np.unique(after << 32 | self.conditions.row(alive), return_inverse=True)
            targets = []
            for pair in pairs.tolist():
                goal = pair >> 32, pair & 0xFFFFFFFF
                if goal[0] == DEAD or goal[1] == NEVER:
                    targets.append(DEAD)
                    continue
                if goal not in numbers:
                    numbers[goal] = len(numbers) + 1
                    waiting.append(goal)
                targets.append(numbers[goal])
            rows.append(np.array(targets, np.int32)[place.reshape(-1)])
            self.budget.check_table(len(rows) * self.classed.count, "states of a guarded lexer")
        return self.minimal(np.array(rows), np.array(labels, np.int32))

    def language(self, automaton: LexemeAutomaton, guards: Sequence[int]) -> Dfa:
        """The lexemes that end with one of some guards, in UTF-8."""
        key = automaton.key, frozenset(guards)
        found = self._languages.get(key)
        if found is None:
            wanted = np.isin(automaton.labels, [guard + 1 for guard in guards]).astype(np.int32)
            found = dfa_from_classes(automaton.table, wanted, self.classed.symbols, self.budget)
            self._languages[key] = found
            self.budget.check_time()
        return found
