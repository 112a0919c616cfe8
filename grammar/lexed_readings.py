"""A Lark grammar and its lexer -> all ways to read its rules, from one lexer state to another.

Between two lexemes a lexer is in a *lexer state*: the context that tells which terminals it looks for,
the guard that the lexemes before have left, and the terminals that must not come next because the
parser would not have made a reduction before them. A rule is read once for each lexer state that it
is met in (the intersection of a context-free language with a regular one, Bar-Hillel, Perles and Shamir
1961). Of a state only what makes a difference ahead is kept: most grammars have few, for a guard counts only
where what may come next could make it strike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from syntagma.grammar.lalr import nullable_rules
from syntagma.grammar.lark_contexts import ANY_STATE, Contexts, Shift, first_terminals
from syntagma.grammar.lark_grammar import LarkGrammar
from syntagma.grammar.lexing import NO_GUARD, LexemeAutomaton, Lexing
from syntagma.grammar.limits import Budget
from syntagma.grammar.rule_alternatives import ANY_END, NO_END, Alternatives, Node

NONE_REFUSED: frozenset[int] = frozenset()
WITHIN_LINE: Final = 0


class LexerState(NamedTuple):
    """Between two lexemes; ``line`` and so on are for grammars with an indenter (see `indented_rules`).

    Attributes:
        context: what is looked for.
        guard: what must not match what comes next.
        refused: terminals that must not come next.
        line: the line break that is open before this place; WITHIN_LINE: none.
        has_ended_block: whether a block has ended behind it.
        is_held: whether it was open before the rule at hand, so its lines are not for this rule to begin.
    """

    context: int
    guard: int
    refused: frozenset[int] = NONE_REFUSED
    line: int = WITHIN_LINE
    has_ended_block: bool = False
    is_held: bool = False


class Entry(NamedTuple):
    """A rule, met in a state of the parser (where that matters) and of the lexer."""

    parser_state: int
    rule: int
    lexer_state: LexerState


class Place(NamedTuple):
    """Within a rule, where it goes on: what may follow, and the states there."""

    node: Node
    parser_state: int
    lexer_state: LexerState


class Goal(NamedTuple):
    """Where a rule is when something has been read.

    Attributes:
        exit: the lexer state if the rule ends here, None where it may not.
        ahead: where it goes on, None where it may not.
    """

    exit: LexerState | None
    ahead: Place | None


class Token(NamedTuple):
    """A terminal that is read in a lexer state; skipped texts before it included."""

    before: LexerState
    terminal: int
    shift: Shift


class LineBegin(NamedTuple):
    """The blanks of a line that is no block's first."""

    before: LexerState


# An entry stands for the rule that is read from there.
Label = Token | Entry | LineBegin
# What is read, each with the lexer states behind it.
Labels = dict[Label, dict[LexerState, None]]


@dataclass
class Reading:
    """All ways to read a rule from one entry.

    Attributes:
        exits: lexer states in which it may end.
        callers: places that go on behind it, and where.
        start: where it begins; None if the rule has no alternatives.
        edges: for each place what is read there, by where that leads.
    """

    exits: dict[LexerState, None] = field(default_factory=dict)
    callers: list[tuple[Entry, Place, Node]] = field(default_factory=list)
    start: Goal | None = None
    edges: dict[Place, dict[Goal, Labels]] = field(default_factory=dict)


class Readings:
    """Finds the readings of one grammar's rules."""

    def __init__(
        self, grammar: LarkGrammar, contexts: Contexts, lexing: Lexing, budget: Budget
    ) -> None:
        self.grammar = grammar
        self.contexts = contexts
        self.lexing = lexing
        self.budget = budget
        depends = frozenset(symbol for _, symbol in contexts.alike)
        ends = frozenset(p for refused in contexts.refused for p in refused)
        self.alternatives = Alternatives(grammar, depends, ends)
        self.nullable = nullable_rules(grammar)
        self.first = first_terminals(grammar)
        self.readings: dict[Entry, Reading] = {}
        self.todo: list[tuple[Entry, Place]] = []
        self.leaving: list[tuple[Entry, LexerState]] = []
        self.num_places = 0
        self._first_of: dict[Node, int] = {}
        self._known_contexts: dict[Shift, int] = {}
        self._contexts: dict[tuple[frozenset[int], tuple[object, ...]], int] = {}
        self._guards: dict[tuple[int, frozenset[int]], dict[tuple[object, ...], int]] = {}
        self._known_guards: dict[tuple[int, frozenset[int], int], int] = {}
        self._skipped: dict[tuple[int, int], list[tuple[LexemeAutomaton, int, list[int]]]] = {}
        self._behind: dict[tuple[LexerState, int, Shift], list[LexerState]] = {}
        self._seen: dict[tuple[int, LexerState], LexerState] = {}

    def read_all(self, entry: Entry) -> None:
        """Find the readings of a rule and of all that it needs."""
        self.read(entry)
        while self.todo or self.leaving:
            if self.leaving:
                self.leave(*self.leaving.pop())
            else:
                self.step(*self.todo.pop())

    def read(self, entry: Entry) -> Reading:
        """The ways to read a rule, complete once nothing is left to do."""
        reading = self.readings.get(entry)
        if reading is None:
            reading = self.readings[entry] = Reading()
            node = self.alternatives.of_rule.get(entry.rule)
            if node is not None:
                reading.start = self.goal(node, entry.parser_state, entry.lexer_state)
                self.arrive(entry, reading.start)
        return reading

    def goal(self, node: Node, parser_state: int, lexer_state: LexerState) -> Goal:
        """Where a rule is at a node."""
        after = None
        if node.end != NO_END:
            after = lexer_state
            if node.end != ANY_END:
                refused = self.contexts.refused[parser_state].get(node.end)
                if refused:
                    after = after._replace(refused=after.refused | refused)
        if not node.edges:
            return Goal(after, None)
        # The parser's state is left out where it makes no difference to what is ahead.
        state = parser_state if node.depends else ANY_STATE
        return Goal(after, Place(node, state, self.seen_at(node, lexer_state)))

    def arrive(self, entry: Entry, goal: Goal) -> None:
        """A rule gets somewhere."""
        reading = self.readings[entry]
        if goal.exit is not None and goal.exit not in reading.exits:
            self.leaving.append((entry, goal.exit))
        if goal.ahead is not None and goal.ahead not in reading.edges:
            reading.edges[goal.ahead] = {}
            self.todo.append((entry, goal.ahead))
            self.num_places += 1
            if self.num_places % 64 == 0:
                self.budget.check_time()
            self.budget.check(
                "max_positions", 8 * self.num_places, "8 for each place in a Lark rule"
            )

    def step(self, entry: Entry, place: Place) -> None:
        """Go on from a place."""
        for symbol, node in place.node.edges.items():
            if self.grammar.is_terminal(symbol):
                self.shift(
                    entry, place, symbol, node, self.contexts.shift(place.parser_state, symbol)
                )
            else:
                self.call(entry, place, symbol, node, self.seen_by(symbol, place.lexer_state))

    def shift(self, entry: Entry, place: Place, terminal: int, node: Node, shift: Shift) -> None:
        """A terminal is met at a place."""
        before = self.seen_by(terminal, place.lexer_state)
        for after in self.after_token(before, terminal, shift):
            self.connect(entry, place, terminal, node, Token(before, terminal, shift), after)

    def call(self, entry: Entry, place: Place, rule: int, node: Node, state: LexerState) -> None:
        """A rule is met at a place."""
        callee = Entry(self.contexts.state_for(place.parser_state, rule), rule, state)
        reading = self.read(callee)
        reading.callers.append((entry, place, node))
        for after in list(reading.exits):
            self.connect(entry, place, rule, node, callee, after)

    def connect(
        self,
        entry: Entry,
        place: Place,
        symbol: int,
        node: Node,
        label: Label,
        after: LexerState,
    ) -> None:
        """What is read at a place leads somewhere."""
        state = self.contexts.goto(place.parser_state, symbol)
        goal = self.goal(node, state, self.behind(place, after))
        labels = self.readings[entry].edges[place].setdefault(goal, {})
        labels.setdefault(label, {})[after] = None
        self.arrive(entry, goal)

    def behind(self, place: Place, after: LexerState) -> LexerState:
        """The lexer state behind what is read at a place."""
        return after

    def leave(self, entry: Entry, after: LexerState) -> None:
        """A rule ends."""
        reading = self.readings[entry]
        if after in reading.exits:
            return
        reading.exits[after] = None
        for caller, at, node in list(reading.callers):
            self.connect(caller, at, entry.rule, node, entry, after)

    def after_token(self, before: LexerState, terminal: int, shift: Shift) -> list[LexerState]:
        """The lexer states behind a terminal."""
        key = before, terminal, shift
        known = self._behind.get(key)
        if known is None:
            known = self._behind[key] = self.found_after_token(*key)
        return known

    def found_after_token(
        self, before: LexerState, terminal: int, shift: Shift
    ) -> list[LexerState]:
        """The same, worked out."""
        if terminal in before.refused:
            return []
        automaton = self.contexts.lexemes(before.context, terminal, self.lexing)
        if automaton is None:
            return []
        return list(
            {
                LexerState(shift.context, self.guard_before(shift, left)): None
                for guard in self.guards_behind_skipped(before)
                for left in self.lexing.guarded(automaton, guard).guards
            }
        )

    def guards_behind_skipped(self, before: LexerState) -> list[int]:
        """A lexer state's guard, and those behind what may be skipped there."""
        guards = [before.guard]
        for guard in guards:
            for _, after, _ in self.skipped(before.context, guard):
                if after not in guards:
                    guards.append(after)
        return guards

    def skipped(self, context: int, guard: int) -> list[tuple[LexemeAutomaton, int, list[int]]]:
        """What may be skipped: (lexemes, guard behind it, guards that it stands for)."""
        found = self._skipped.get((context, guard))
        if found is None:
            found = self._skipped[context, guard] = []
            shift = Shift(context, frozenset(self.contexts.accepts[context]))
            for automaton in self.contexts.ignored(context, self.lexing):
                guarded = self.lexing.guarded(automaton, guard)
                groups: dict[int, list[int]] = {}
                for left in guarded.guards:
                    groups.setdefault(self.guard_before(shift, left), []).append(left)
                found += [(guarded, after, group) for after, group in groups.items()]
        return found

    def guard_before(self, shift: Shift, guard: int) -> int:
        """A guard that does the same to all that may come next: NO_GUARD if it does nothing."""
        if guard == NO_GUARD:
            return NO_GUARD
        key = shift.context, shift.accepts, guard
        found = self._known_guards.get(key)
        if found is None:
            known = self._guards.setdefault(key[:2], {})
            if not known:
                known[self.effect(shift, NO_GUARD)] = NO_GUARD
            found = self._known_guards[key] = known.setdefault(self.effect(shift, guard), guard)
        return found

    def effect(self, shift: Shift, guard: int) -> tuple[object, ...]:
        """What is left of all lexemes under a guard, and of the end of the text."""
        automata = list(self.contexts.ignored(shift.context, self.lexing))
        for terminal in sorted(shift.accepts):
            automaton = self.contexts.lexemes(shift.context, terminal, self.lexing)
            if automaton is not None:
                automata.append(automaton)
        may_end = self.lexing.conditions.holds_at_end(guard)
        return may_end, *(self.lexing.guarded(automaton, guard).key for automaton in automata)

    def seen_by(self, symbol: int, state: LexerState) -> LexerState:
        """A lexer state that is the same to a symbol; a rule that may be empty passes it on as it is."""
        if symbol in self.nullable:
            return state
        return self.seen(self.first[symbol], state)

    def seen_at(self, node: Node, state: LexerState) -> LexerState:
        """A lexer state that is the same to all that may be read at a node."""
        if state.line != WITHIN_LINE or not self.nullable.isdisjoint(node.edges):
            return state
        bits = self._first_of.get(node)
        if bits is None:
            bits = 0
            for symbol in node.edges:
                bits |= self.first[symbol]
            self._first_of[node] = bits
        return self.seen(bits, state)

    def seen(self, first: int, state: LexerState) -> LexerState:
        """A lexer state that is the same where only some terminals, given as bits, may come next."""
        found = self._seen.get((first, state))
        if found is None:
            accepts = frozenset(t for t in self.contexts.accepts[state.context] if first >> t & 1)
            context = self.same_context(Shift(state.context, accepts))
            guard = self.guard_before(Shift(context, accepts), state.guard)
            refused = frozenset(t for t in state.refused if first >> t & 1)
            found = self._seen[first, state] = LexerState(context, guard, refused)
        return found

    def same_context(self, shift: Shift) -> int:
        """A context in which some terminals, and what may be skipped, have the same lexemes."""
        found = self._known_contexts.get(shift)
        if found is None:
            key = shift.accepts, self.effect(shift, NO_GUARD)
            found = self._known_contexts[shift] = self._contexts.setdefault(key, shift.context)
        return found
