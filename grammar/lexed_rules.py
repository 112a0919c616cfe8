"""A Lark grammar and its lexer -> rules whose words are the texts that Lark accepts.

Between two lexemes a lexer is in a *lexer state*: the context that tells which terminals it looks for,
the guard that the lexemes before have left, and the terminals that must not come next because the
parser would not have made a reduction before them. A rule is written once for each lexer state that it
is met in and each that it leaves (the intersection of a context-free language with a regular one, Bar-
Hillel, Perles and Shamir 1961). Most grammars have few: a guard counts only where what may come next
could make it strike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from syntagma.grammar import ir
from syntagma.grammar.lalr import START_STATE, nullable_rules
from syntagma.grammar.lark_contexts import ANY_STATE, Contexts, Shift, first_terminals
from syntagma.grammar.lark_grammar import LarkGrammar
from syntagma.grammar.lexing import NO_GUARD, LexemeAutomaton, Lexing
from syntagma.grammar.limits import Budget
from syntagma.grammar.rule_alternatives import ANY_END, NO_END, Alternatives, Node

# Parts of a sequence that is written wherever it is needed, instead of once as a rule.
MAX_COPIED = 2
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
    """Within a rule: what may follow, and the states there."""

    node: Node
    parser_state: int
    lexer_state: LexerState


class Token(NamedTuple):
    """A terminal that is read between two lexer states; skipped texts before it included."""

    before: LexerState
    terminal: int
    shift: Shift
    after: LexerState


class RuleCall(NamedTuple):
    """A rule that is met somewhere and left in a lexer state."""

    entry: Entry
    after: LexerState


class LineBegin(NamedTuple):
    """The blanks of a line that is no block's first."""

    before: LexerState
    after: LexerState


Label = Token | RuleCall | LineBegin


@dataclass
class Reading:
    """All ways to read a rule from one entry.

    Attributes:
        exits: lexer states in which it may end.
        callers: places that go on behind it, and where.
        edges: for each place what is read there and where that leads.
        ends: the exit of each place at the end of an alternative.
    """

    exits: dict[LexerState, None] = field(default_factory=dict)
    callers: list[tuple[Entry, Place, Node]] = field(default_factory=list)
    edges: dict[Place, list[tuple[Label, Place]]] = field(default_factory=dict)
    ends: dict[Place, LexerState] = field(default_factory=dict)


class LexedRules:
    """Writes the rules of one grammar."""

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
        self.num_places = 0
        self._guards: dict[tuple[int, frozenset[int]], dict[tuple[object, ...], int]] = {}
        self._known_guards: dict[tuple[int, frozenset[int], int], int] = {}
        self._skipped: dict[tuple[int, int], list[tuple[LexemeAutomaton, int, list[int]]]] = {}
        self._behind: dict[tuple[LexerState, int, Shift], list[LexerState]] = {}
        self._seen: dict[tuple[int, LexerState], LexerState] = {}
        self.result = ir.Grammar()
        self.numbers: dict[RuleCall, int] = {}
        self.tokens: dict[Token | LexerState, ir.Node] = {}
        self.waiting: list[RuleCall] = []

    def rules(self) -> ir.Grammar:
        """The rules; the first is the start."""
        before = LexerState(self.contexts.start, NO_GUARD)
        state = self.contexts.state_for(START_STATE, self.grammar.start)
        entry = Entry(state, self.grammar.start, before)
        self.read(entry)
        while self.todo:
            self.step(*self.todo.pop())
        start = self.result.declare("start")
        ways = [
            ir.Sequence((ir.Call(self.rule(RuleCall(entry, after))), self.end(after)))
            for after in self.readings[entry].exits
        ]
        self.result.define(start, ir.choice(*ways))
        while self.waiting:
            self.write(self.waiting.pop())
        return self.result

    # --- which states there are ----------------------------------------------------------------

    def read(self, entry: Entry) -> Reading:
        """The ways to read a rule, complete once nothing is left to do."""
        reading = self.readings.get(entry)
        if reading is None:
            reading = self.readings[entry] = Reading()
            node = self.alternatives.of_rule.get(entry.rule)
            if node is not None:
                self.add(entry, self.place(node, entry.parser_state, entry.lexer_state))
        return reading

    def place(self, node: Node, parser_state: int, lexer_state: LexerState) -> Place:
        """A place; the parser's state is left out where it makes no difference to what is ahead."""
        return Place(node, parser_state if node.depends else ANY_STATE, lexer_state)

    def add(self, entry: Entry, place: Place) -> None:
        """A place is reached."""
        edges = self.readings[entry].edges
        if place not in edges:
            edges[place] = []
            self.todo.append((entry, place))
            self.num_places += 1
            if self.num_places % 64 == 0:
                self.budget.check_time()
            self.budget.check(
                "max_positions", 8 * self.num_places, "8 for each place in a Lark rule"
            )

    def step(self, entry: Entry, place: Place) -> None:
        """Go on from a place."""
        if place.node.end != NO_END:
            self.leave(entry, place)
        for symbol, node in place.node.edges.items():
            if self.grammar.is_terminal(symbol):
                shift = self.contexts.shift(place.parser_state, symbol)
                for after in self.after_token(place.lexer_state, symbol, shift):
                    token = Token(place.lexer_state, symbol, shift, after)
                    self.connect(entry, place, symbol, node, token)
                continue
            state = self.contexts.state_for(place.parser_state, symbol)
            callee = Entry(state, symbol, self.seen_by(symbol, place.lexer_state))
            reading = self.read(callee)
            reading.callers.append((entry, place, node))
            for after in list(reading.exits):
                self.connect(entry, place, symbol, node, RuleCall(callee, after))

    def connect(self, entry: Entry, place: Place, symbol: int, node: Node, label: Label) -> None:
        """What is read at a place leads to the next."""
        state = self.contexts.goto(place.parser_state, symbol)
        goal = self.place(node, state, self.behind(place, label))
        self.readings[entry].edges[place].append((label, goal))
        self.add(entry, goal)

    def behind(self, place: Place, label: Label) -> LexerState:
        """The lexer state behind what is read at a place."""
        return label.after

    def leave(self, entry: Entry, place: Place) -> None:
        """A rule ends."""
        after = place.lexer_state
        if place.node.end != ANY_END:
            refused = self.contexts.refused[place.parser_state].get(place.node.end)
            if refused:
                after = after._replace(refused=after.refused | refused)
        reading = self.readings[entry]
        reading.ends[place] = after
        if after in reading.exits:
            return
        reading.exits[after] = None
        for caller, at, node in list(reading.callers):
            self.connect(caller, at, entry.rule, node, RuleCall(entry, after))

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

    def seen_by(self, rule: int, state: LexerState) -> LexerState:
        """A lexer state that is the same to a rule; one that may be empty passes it on as it is."""
        if rule in self.nullable:
            return state
        found = self._seen.get((rule, state))
        if found is not None:
            return found
        bits = self.first[rule]
        accepts = frozenset(t for t in self.contexts.accepts[state.context] if bits >> t & 1)
        guard = self.guard_before(Shift(state.context, accepts), state.guard)
        found = self._seen[rule, state] = LexerState(state.context, guard, state.refused & accepts)
        return found

    # --- rules ---------------------------------------------------------------------------------

    def rule(self, call: RuleCall) -> int:
        """The number of a rule."""
        number = self.numbers.get(call)
        if number is None:
            name = self.grammar.rule_names[call.entry.rule - len(self.grammar.terminals)]
            number = self.numbers[call] = self.result.declare(name)
            self.waiting.append(call)
            self.budget.check("max_rules", len(self.result.rules), "rules with their lexer states")
        return number

    def write(self, call: RuleCall) -> None:
        """Define a rule."""
        self.budget.check_time()
        reading = self.readings[call.entry]
        start = next(iter(reading.edges))
        bodies = self.bodies(reading, call.after)
        body = self.repetition(call, reading, start, bodies) or bodies[start]
        self.result.define(self.numbers[call], body)

    def repetition(
        self, call: RuleCall, reading: Reading, start: Place, bodies: dict[Place, ir.Node]
    ) -> ir.Node | None:
        """``x: part | x part`` as a repetition, where both parts are read between the same states."""
        behind = start.node.edges.get(call.entry.rule)
        if behind is None or len(reading.exits) != 1 or start.node.end != NO_END:
            return None
        others = {symbol: node for symbol, node in start.node.edges.items() if node is not behind}
        again = [(label, goal) for label, goal in reading.edges[start] if goal.node is behind]
        if (
            behind.edges != others
            or behind.end != NO_END
            or [label for label, _ in again] != [call]
        ):
            return None
        if again[0][1] not in bodies:
            return None
        ways = [
            joined(self.node(label), bodies[goal])
            for label, goal in reading.edges[start]
            if label != call and goal in bodies
        ]
        part, rest = ir.choice(*ways), bodies[again[0][1]]
        if part == rest:
            return ir.repeat(part, 1, None)
        return ir.Sequence((part, ir.repeat(rest, 0, None)))

    def bodies(self, reading: Reading, after: LexerState) -> dict[Place, ir.Node]:
        """What may be read from each place on so that the rule ends in a lexer state."""
        num_uses = Counter(goal for edges in reading.edges.values() for _, goal in edges)
        found: dict[Place, ir.Node] = {}
        for place in sorted(reading.edges, key=lambda place: place.node.height):
            ways = [
                joined(self.node(label), found[goal])
                for label, goal in reading.edges[place]
                if goal in found
            ]
            if reading.ends.get(place) == after:
                ways.append(ir.EMPTY)
            if ways:
                found[place] = self.rest(ways, is_shared=num_uses[place] > 1)
        return found

    def rest(self, ways: list[ir.Node], *, is_shared: bool) -> ir.Node:
        """One of some ways to go on in a rule, a rule of its own where that is shorter."""
        body = ir.choice(*ways)
        is_long = isinstance(body, ir.Sequence) and len(body.parts) > MAX_COPIED
        if is_shared and (len(ways) > 1 or is_long):
            return ir.Call(self.result.add("rest of a rule", body))
        return body

    def node(self, label: Label) -> ir.Node:
        """A label as part of a rule."""
        if isinstance(label, LineBegin):
            raise TypeError("only an indenter tells where lines begin")
        return ir.Call(self.rule(label)) if isinstance(label, RuleCall) else self.token(label)

    def token(self, token: Token) -> ir.Node:
        """A lexeme and what may be skipped before it."""
        known = self.tokens.get(token)
        if known is not None:
            return known
        context, guard = token.before[:2]
        automaton = self.contexts.lexemes(context, token.terminal, self.lexing)
        ways = [] if automaton is None else self.ways(token, self.lexing.guarded(automaton, guard))
        skipped = self.skipped(context, guard)
        if not skipped:
            found = self.tokens[token] = ir.choice(*ways)
            return found
        name = self.grammar.terminals[token.terminal].name
        rule = self.result.declare(name)
        call = self.tokens[token] = ir.Call(rule)
        ways += [
            ir.Sequence((skip, self.token(token._replace(before=LexerState(context, after)))))
            for skip, after in self.skip_nodes(skipped)
        ]
        self.result.define(rule, ir.choice(*ways))
        return call

    def ways(self, token: Token, automaton: LexemeAutomaton) -> list[ir.Node]:
        """A lexeme that leads to the lexer state behind a token."""
        guards = [
            left
            for left in automaton.guards
            if self.guard_before(token.shift, left) == token.after.guard
        ]
        return [ir.Terminal(self.lexing.language(automaton, guards))] if guards else []

    def end(self, state: LexerState) -> ir.Node:
        """What may come before the end of the text."""
        return ir.NOTHING if self.contexts.end in state.refused else self.skips(state)

    def skips(self, state: LexerState) -> ir.Node:
        """What may be skipped where nothing is read."""
        known = self.tokens.get(state)
        if known is not None:
            return known
        rule = self.result.declare("end")
        call = self.tokens[state] = ir.Call(rule)
        skipped = self.skipped(state.context, state.guard)
        may_end = self.lexing.conditions.holds_at_end(state.guard)
        ways: list[ir.Node] = [ir.EMPTY if may_end else ir.NOTHING]
        ways += [
            ir.Sequence((skip, self.skips(state._replace(guard=after))))
            for skip, after in self.skip_nodes(skipped)
        ]
        self.result.define(rule, ir.choice(*ways))
        return call

    def skip_nodes(
        self, skipped: Iterable[tuple[LexemeAutomaton, int, list[int]]]
    ) -> list[tuple[ir.Node, int]]:
        return [
            (ir.Terminal(self.lexing.language(automaton, guards)), after)
            for automaton, after, guards in skipped
        ]


def joined(first: ir.Node, rest: ir.Node) -> ir.Node:
    """Two parts in a row."""
    if rest == ir.EMPTY:
        return first
    return ir.Sequence((first, *rest.parts) if isinstance(rest, ir.Sequence) else (first, rest))
