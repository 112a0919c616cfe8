"""A Lark grammar and its lexer -> rules whose words are the texts that Lark accepts.

A rule is written once for each entry (see `lexed_readings`) and each set of lexer states that it is left in:
those behind which its caller goes on in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from syntagma.grammar import ir
from syntagma.grammar.lalr import START_STATE
from syntagma.grammar.lark_contexts import Contexts, Shift
from syntagma.grammar.lark_grammar import LarkGrammar
from syntagma.grammar.lexed_readings import (
    Entry,
    Label,
    Labels,
    LexerState,
    LineBegin,
    Place,
    Readings,
    Token,
)
from syntagma.grammar.lexing import NO_GUARD, LexemeAutomaton, Lexing
from syntagma.grammar.limits import Budget

# Parts of a sequence that is written wherever it is needed, instead of once as a rule.
MAX_COPIED = 2

Exits = frozenset[LexerState]
# How a rule goes on: whether it may end, and from where else.
Continuation = tuple[bool, Place | None]


class LexedRules(Readings):
    """Writes the rules of one grammar."""

    def __init__(
        self, grammar: LarkGrammar, contexts: Contexts, lexing: Lexing, budget: Budget
    ) -> None:
        super().__init__(grammar, contexts, lexing, budget)
        self.result = ir.Grammar()
        self.numbers: dict[tuple[Entry, Exits], int] = {}
        self.tokens: dict[tuple[Token, Exits] | LexerState, ir.Node] = {}
        self.waiting: list[tuple[Entry, Exits]] = []
        self._bodies: dict[tuple[Entry, Exits], dict[Place, ir.Node]] = {}
        self._rests: dict[tuple[Entry, Place, Exits], ir.Call] = {}

    def rules(self) -> ir.Grammar:
        """The rules; the first is the start."""
        before = LexerState(self.contexts.start, NO_GUARD)
        state = self.contexts.state_for(START_STATE, self.grammar.start)
        entry = Entry(state, self.grammar.start, before)
        self.read_all(entry)
        start = self.result.declare("start")
        by_end: dict[ir.Node, list[LexerState]] = {}
        for after in self.readings[entry].exits:
            by_end.setdefault(self.end(after), []).append(after)
        ways = [
            ir.Sequence((ir.Call(self.rule(entry, frozenset(exits))), end))
            for end, exits in by_end.items()
        ]
        self.result.define(start, ir.choice(*ways))
        while self.waiting:
            self.write(*self.waiting.pop())
        return self.result

    def rule(self, entry: Entry, exits: Exits) -> int:
        """The number of a rule."""
        number = self.numbers.get((entry, exits))
        if number is None:
            name = self.grammar.rule_names[entry.rule - len(self.grammar.terminals)]
            number = self.numbers[entry, exits] = self.result.declare(name)
            self.waiting.append((entry, exits))
            self.budget.check("max_rules", len(self.result.rules), "rules with their lexer states")
        return number

    def write(self, entry: Entry, exits: Exits) -> None:
        """Define a rule; one that begins with itself as repetitions."""
        self.budget.check_time()
        again = self.again(entry)
        body = self.repeated(entry, exits, again) if again else self.first_part(entry, exits)
        self.result.define(self.numbers[entry, exits], body)

    # --- rules that begin with themselves -------------------------------------------------------

    def again(self, entry: Entry) -> dict[Place, Exits]:
        """Where a rule goes on that has begun with itself, and behind which of its exits."""
        found: dict[Place, dict[LexerState, None]] = {}
        reading = self.readings[entry]
        if reading.start is not None and reading.start.ahead is not None:
            for goal, labels in reading.edges[reading.start.ahead].items():
                if entry in labels and goal.ahead is not None:
                    found.setdefault(goal.ahead, {}).update(labels[entry])
        return {place: frozenset(exits) for place, exits in found.items()}

    def repeated(self, entry: Entry, exits: Exits, again: dict[Place, Exits]) -> ir.Node:
        """``x: part | x rest`` as a part and rests, each from one place to go on from to another."""
        if list(again.values()) == [exits]:
            (place,) = again
            part, rest = self.first_part(entry, exits), self.rest_to(entry, place, exits)
            if part == rest:
                return ir.repeat(part, 1, None)
            return joined(part, ir.repeat(rest, 0, None))
        ways = [self.first_part(entry, exits)]
        for place, before in again.items():
            part = self.first_part(entry, before)
            ways.append(joined(part, self.rests(entry, place, exits, again)))
        return ir.choice(*ways)

    def rests(self, entry: Entry, place: Place, exits: Exits, again: dict[Place, Exits]) -> ir.Call:
        """What may follow a rule's beginning at a place where it goes on, up to some of its exits."""
        call = self._rests.get((entry, place, exits))
        if call is not None:
            return call
        # The rests from all places are written together, for they lead to each other.
        calls = {other: ir.Call(self.result.declare("rests of a rule")) for other in again}
        for other, call in calls.items():
            self._rests[entry, other, exits] = call
            # What leads back to its own place may be empty, and a rule must not begin with itself.
            ways = [
                joined(self.rest_to(entry, other, before), calls[goal])
                for goal, before in again.items()
                if goal != other
            ]
            ways.append(self.rest_to(entry, other, exits))
            loop = ir.repeat(self.rest_to(entry, other, again[other]), 0, None)
            self.result.define(call.rule, joined(loop, ir.choice(*ways)))
        return calls[place]

    def rest_to(self, entry: Entry, place: Place, exits: Exits) -> ir.Node:
        """What may be read from a place on to some exits."""
        return self.bodies(entry, exits).get(place, ir.NOTHING)

    def first_part(self, entry: Entry, exits: Exits) -> ir.Node:
        """A rule but for what begins with the rule itself."""
        start = self.readings[entry].start
        if start is None:
            return ir.NOTHING
        found = self.goes_on((start.exit in exits, start.ahead), self.bodies(entry, exits))
        return ir.NOTHING if found is None else found

    # --- bodies --------------------------------------------------------------------------------

    def bodies(self, entry: Entry, exits: Exits) -> dict[Place, ir.Node]:
        """What may be read from each place on so that a rule is left in one of some lexer states.

        What begins with the rule itself is left out.
        """
        found = self._bodies.get((entry, exits))
        if found is None:
            found = self._bodies[entry, exits] = self.found_bodies(entry, exits)
        return found

    def found_bodies(self, entry: Entry, exits: Exits) -> dict[Place, ir.Node]:
        """The same, worked out."""
        reading = self.readings[entry]
        groups = {place: self.grouped(entry, place, exits) for place in reading.edges}
        num_uses = Counter(place for group in groups.values() for _, place in group)
        found: dict[Place, ir.Node] = {}
        for place in sorted(groups, key=lambda place: place.node.height):
            ways = [
                joined(self.any_of(labels), rest)
                for continuation, labels in groups[place].items()
                if (rest := self.goes_on(continuation, found)) is not None
            ]
            if ways:
                found[place] = self.rest(ways, is_shared=num_uses[place] > 1)
        return found

    def grouped(self, entry: Entry, place: Place, exits: Exits) -> dict[Continuation, Labels]:
        """What is read at a place, by how the rule goes on to some exits."""
        reading = self.readings[entry]
        is_start = reading.start is not None and place == reading.start.ahead
        groups: dict[Continuation, Labels] = {}
        for goal, labels in reading.edges[place].items():
            group = groups.setdefault((goal.exit in exits, goal.ahead), {})
            for label, after in labels.items():
                if not (is_start and label == entry):
                    group.setdefault(label, {}).update(after)
        return {continuation: group for continuation, group in groups.items() if group}

    def goes_on(self, continuation: Continuation, found: dict[Place, ir.Node]) -> ir.Node | None:
        """What comes in a continuation, None where there is no way."""
        may_end, place = continuation
        rest = None if place is None else found.get(place)
        return with_end(rest) if may_end else rest

    def rest(self, ways: list[ir.Node], *, is_shared: bool) -> ir.Node:
        """One of some ways to go on in a rule, a rule of its own where that is shorter."""
        body = ir.choice(*ways)
        is_long = isinstance(body, ir.Sequence) and len(body.parts) > MAX_COPIED
        if is_shared and (len(ways) > 1 or is_long):
            return ir.Call(self.result.add("rest of a rule", body))
        return body

    def any_of(self, labels: Labels) -> ir.Node:
        """One of some labels as part of a rule."""
        return ir.choice(*(self.node(label, frozenset(after)) for label, after in labels.items()))

    def node(self, label: Label, exits: Exits) -> ir.Node:
        """A label that leads to one of some lexer states as part of a rule."""
        if isinstance(label, LineBegin):
            raise TypeError("only an indenter tells where lines begin")
        return (
            self.token(label, exits)
            if isinstance(label, Token)
            else ir.Call(self.rule(label, exits))
        )

    # --- lexemes -------------------------------------------------------------------------------

    def token(self, token: Token, exits: Exits) -> ir.Node:
        """A lexeme and what may be skipped before it."""
        known = self.tokens.get((token, exits))
        if known is not None:
            return known
        context, guard = token.before[:2]
        automaton = self.contexts.lexemes(context, token.terminal, self.lexing)
        ways = (
            []
            if automaton is None
            else self.ways(token, exits, self.lexing.guarded(automaton, guard))
        )
        skipped = self.skipped(context, guard)
        if not skipped:
            found = self.tokens[token, exits] = ir.choice(*ways)
            return found
        name = self.grammar.terminals[token.terminal].name
        rule = self.result.declare(name)
        call = self.tokens[token, exits] = ir.Call(rule)
        for skip, after in self.skip_nodes(skipped):
            before = self.seen_by(token.terminal, LexerState(context, after))
            ways.append(ir.Sequence((skip, self.token(token._replace(before=before), exits))))
        self.result.define(rule, ir.choice(*ways))
        return call

    def ways(self, token: Token, exits: Exits, automaton: LexemeAutomaton) -> list[ir.Node]:
        """A lexeme that leads to one of some lexer states behind a token."""
        wanted = {after.guard for after in exits}
        guards = [
            left for left in automaton.guards if self.guard_before(token.shift, left) in wanted
        ]
        return [ir.Terminal(self.lexing.language(automaton, guards))] if guards else []

    def end(self, state: LexerState) -> ir.Node:
        """What may come before the end of the text."""
        return ir.NOTHING if self.contexts.end in state.refused else self.skips(state)

    def skips(self, state: LexerState) -> ir.Node:
        """What may be skipped where nothing is read."""
        context = state.context
        guard = self.guard_before(Shift(context, frozenset()), state.guard)
        key = LexerState(context, guard)
        known = self.tokens.get(key)
        if known is not None:
            return known
        rule = self.result.declare("end")
        call = self.tokens[key] = ir.Call(rule)
        skipped = self.skipped(context, guard)
        may_end = self.lexing.conditions.holds_at_end(guard)
        ways: list[ir.Node] = [ir.EMPTY if may_end else ir.NOTHING]
        ways += [
            ir.Sequence((skip, self.skips(LexerState(context, after))))
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
    if first == ir.EMPTY:
        return rest
    return ir.Sequence((first, *rest.parts) if isinstance(rest, ir.Sequence) else (first, rest))


def with_end(rest: ir.Node | None) -> ir.Node:
    """What may come next, or the end."""
    if rest is None:
        return ir.EMPTY
    return ir.Choice((*rest.parts, ir.EMPTY)) if isinstance(rest, ir.Choice) else ir.optional(rest)
