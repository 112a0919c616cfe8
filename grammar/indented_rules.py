"""Rules of a Lark grammar with an indenter (see `lark_indenter`): blocks that are told by indentation.

The indenter's terminals have no text. What has is the line break before them, whose lexeme holds the
blanks of the next line: it is *open* until it is known how wide they must be. There

- the beginning of a block takes blanks that are wider than those of the lines around it, and a block is an
  activation of a rule, which remembers their width (`captures.Deeper`);
- the end of a block takes none: the line break stays open behind it, but not for the beginning of another;
- anything else takes blanks as wide as those of its block (`captures.Level`).

At the end of the text blocks end without a line break; behind the first of them, nothing else may come.
Between brackets line breaks are skipped; whether brackets are open is part of the context.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from syntagma.grammar import ir
from syntagma.grammar.lark_contexts import Contexts, Shift
from syntagma.grammar.lark_grammar import LarkGrammar, Lines
from syntagma.grammar.lexed_rules import (
    WITHIN_LINE,
    Entry,
    Label,
    LexedRules,
    LexerState,
    LineBegin,
    Place,
    Reading,
    RuleCall,
    Token,
    joined,
)
from syntagma.grammar.lexing import NO_GUARD, LexemeAutomaton, Lexing
from syntagma.grammar.limits import Budget
from syntagma.grammar.line_lexemes import LineLexemes
from syntagma.grammar.rule_alternatives import NO_END, Node

# Of `LexerState.line`, besides WITHIN_LINE and the numbers of tails of open line breaks.
ENDING: Final = -1


class BracketContexts(Contexts):
    """Contexts outside and, behind those, inside brackets."""

    def __init__(self, contexts: Contexts, newline: int) -> None:
        super().__init__(**vars(contexts))
        self.num_outside = len(contexts.accepts)
        self.accepts = contexts.accepts * 2
        self._newline = newline

    def is_inside(self, context: int) -> bool:
        """Whether brackets are open."""
        return context >= self.num_outside

    def ignored(self, context: int, lexing: Lexing) -> tuple[LexemeAutomaton, ...]:
        found = super().ignored(context, lexing)
        newline = self.lexemes(context, self._newline, lexing)
        return (*found, newline) if newline is not None and self.is_inside(context) else found


class IndentedRules(LexedRules):
    """Writes the rules of one grammar with an indenter.

    Raises:
        UnsupportedGrammarError: blocks or brackets that begin in one rule and end in another; line breaks
            that do not take any number of blanks.
    """

    contexts: BracketContexts

    def __init__(
        self,
        grammar: LarkGrammar,
        lines: Lines,
        contexts: Contexts,
        lexing: Lexing,
        budget: Budget,
    ) -> None:
        super().__init__(grammar, BracketContexts(contexts, lines.newline), lexing, budget)
        self.lines = lines
        self.lexemes = LineLexemes(lexing, lines.newline, lines.tab_length)
        blocks = lines.blocks()
        self._check_balanced(blocks, "blocks")
        self._check_balanced(lines.brackets, "brackets")
        self._num_open = self._open_brackets()

    def rules(self) -> ir.Grammar:
        """The rules; the first is the start."""
        found = super().rules()
        self.lexemes.check_widths()
        return found

    def _check_balanced(self, steps: Mapping[int, int], what: str) -> None:
        """Raises UnsupportedGrammarError if what begins in an alternative does not end in it."""
        for production in self.grammar.productions:
            depth = 0
            for symbol in (*production.symbols, None):
                step = steps.get(symbol, 0) if symbol is not None else 0
                depth += step
                if depth < 0 or (symbol is None and depth):
                    name = self.grammar.rule_names[production.origin - len(self.grammar.terminals)]
                    raise self.lexemes.unsupported(
                        f"{what} must begin and end in the same alternative of a rule, "
                        f"which is not so in {self.lexing.source.shown(name)}"
                    )

    def _open_brackets(self) -> dict[int, int]:
        """How many brackets an alternative has opened at each of its nodes (by identity)."""
        found: dict[int, int] = {}
        waiting = list(self.alternatives.of_rule.values())
        found = {id(node): 0 for node in waiting}
        while waiting:
            node = waiting.pop()
            for symbol, after in node.edges.items():
                if id(after) not in found:
                    step = self.lines.brackets.get(symbol, 0)
                    found[id(after)] = found[id(node)] + step
                    waiting.append(after)
        return found

    # --- which states there are ----------------------------------------------------------------

    def step(self, entry: Entry, place: Place) -> None:
        """Go on from a place."""
        state = place.lexer_state
        if place.node.end != NO_END:
            self.leave(entry, place)
        if state.line > WITHIN_LINE and not state.is_held:
            self.begin_line(entry, place)
        for symbol, node in place.node.edges.items():
            if symbol in (self.lines.indent, self.lines.dedent):
                for after in self.after_block(entry, place, symbol, node):
                    self.connect(entry, place, symbol, node, after)
            elif not self.grammar.is_terminal(symbol):
                self.call(entry, place, symbol, node)
            elif state.line == WITHIN_LINE:
                shift = self.shift_behind(entry, place, symbol, node)
                for behind in self.after_token(state, symbol, shift):
                    self.connect(entry, place, symbol, node, Token(state, symbol, shift, behind))

    def begin_line(self, entry: Entry, place: Place) -> None:
        """The line break before a place is over, and the line is within its block."""
        if set(place.node.edges) <= {self.lines.indent}:
            return
        for after in self.line_begins(place.lexer_state):
            goal = place._replace(lexer_state=after)
            label = LineBegin(place.lexer_state, after)
            self.readings[entry].edges[place].append((label, goal))
            self.add(entry, goal)

    def line_begins(self, state: LexerState) -> list[LexerState]:
        """The lexer states behind the blanks of a line."""
        accepts = frozenset(self.contexts.accepts[state.context])
        shift = Shift(state.context, accepts)
        guards = {
            self.guard_before(shift, guard): None for guard in self.lexemes.tail(state.line).guards
        }
        return [LexerState(state.context, guard, state.refused) for guard in guards]

    def after_block(self, entry: Entry, place: Place, symbol: int, node: Node) -> list[Label]:
        """What the beginning or end of a block may be at a place."""
        state = place.lexer_state
        is_open = state.line > WITHIN_LINE
        may_begin = is_open and not state.has_ended_block
        if symbol in state.refused or (symbol == self.lines.indent and not may_begin):
            return []
        shift = self.shift_behind(entry, place, symbol, node)
        if symbol == self.lines.indent:
            guards = self.lexemes.tail(state.line).guards
            found = {LexerState(shift.context, self.guard_before(shift, g)): None for g in guards}
            return [Token(state, symbol, shift, after) for after in found]
        line = state.line if is_open else ENDING
        after = LexerState(shift.context, NO_GUARD, line=line, has_ended_block=is_open)
        return [Token(state, symbol, shift, after)]

    def shift_behind(self, entry: Entry, place: Place, symbol: int, node: Node) -> Shift:
        """What is behind a terminal."""
        shift = self.contexts.shift(place.parser_state, symbol)
        is_inside = self.contexts.is_inside(entry.lexer_state.context)
        if is_inside or self._num_open[id(node)]:
            return shift._replace(context=shift.context + self.contexts.num_outside)
        return shift

    def call(self, entry: Entry, place: Place, symbol: int, node: Node) -> None:
        """A rule is met; between lines it may only be empty or, before a block, begin with it."""
        state = place.lexer_state
        if state.line == WITHIN_LINE:
            state = self.seen_by(symbol, state)
        else:
            is_open = state.line > WITHIN_LINE and not state.has_ended_block
            is_begun = is_open and self.may_begin_block(symbol)
            if symbol not in self.nullable and not is_begun:
                return
            state = state._replace(is_held=True)
        callee = Entry(self.contexts.state_for(place.parser_state, symbol), symbol, state)
        reading = self.read(callee)
        reading.callers.append((entry, place, node))
        for after in list(reading.exits):
            self.connect(entry, place, symbol, node, RuleCall(callee, after))

    def may_begin_block(self, rule: int) -> bool:
        """Whether a rule may begin with the beginning of a block."""
        return self.lines.indent is not None and bool(self.first[rule] >> self.lines.indent & 1)

    def behind(self, place: Place, label: Label) -> LexerState:
        """The lexer state behind what is read at a place; what was held is as it was."""
        after = label.after
        return after._replace(is_held=place.lexer_state.is_held) if after.is_held else after

    def found_after_token(
        self, before: LexerState, terminal: int, shift: Shift
    ) -> list[LexerState]:
        """The lexer states behind a terminal, worked out."""
        if terminal != self.lines.newline:
            return super().found_after_token(before, terminal, shift)
        is_skipped = self.contexts.is_inside(before.context)
        automaton = self.contexts.lexemes(before.context, terminal, self.lexing)
        if is_skipped or automaton is None or terminal in before.refused:
            return []
        tails = {
            tail: None
            for guard in self.guards_behind_skipped(before)
            for tail in self.lexemes.heads(self.lexing.guarded(automaton, guard))
        }
        return [LexerState(shift.context, NO_GUARD, line=tail) for tail in tails]

    # --- rules ---------------------------------------------------------------------------------

    def ways(self, token: Token, automaton: LexemeAutomaton) -> list[ir.Node]:
        """A lexeme that leads to the lexer state behind a token; of a line break what comes first."""
        if token.terminal != self.lines.newline:
            return super().ways(token, automaton)
        head = self.lexemes.heads(automaton).get(token.after.line)
        return [] if head is None else [head]

    def node(self, label: Label) -> ir.Node:
        """A label as part of a rule."""
        if isinstance(label, LineBegin):
            return self.blanks(label.before, label.after)
        if isinstance(label, Token) and label.terminal == self.lines.indent:
            tail = self.lexemes.tail(label.before.line)
            guards = [
                guard
                for guard in tail.guards
                if self.guard_before(label.shift, guard) == label.after.guard
            ]
            return self.lexemes.deeper(tail, guards)
        if isinstance(label, Token) and label.terminal == self.lines.dedent:
            is_first = label.before.line == WITHIN_LINE
            return self.skips(LexerState(*label.before[:2])) if is_first else ir.EMPTY
        return super().node(label)

    def blanks(self, before: LexerState, after: LexerState) -> ir.Terminal:
        """The blanks that lead from an open line break into a line."""
        tail = self.lexemes.tail(before.line)
        shift = Shift(before.context, frozenset(self.contexts.accepts[before.context]))
        guards = [g for g in tail.guards if self.guard_before(shift, g) == after.guard]
        return self.lexemes.level(tail, guards)

    def end(self, state: LexerState) -> ir.Node:
        """What may come before the end of the text."""
        if state.line == WITHIN_LINE or self.contexts.end in state.refused:
            return super().end(state)
        if state.line == ENDING:
            return ir.EMPTY
        return ir.choice(
            *(
                joined(self.blanks(state, after), super(IndentedRules, self).end(after))
                for after in self.line_begins(state)
            )
        )

    def write(self, call: RuleCall) -> None:
        """Define a rule; one that begins with itself as repetitions, for it may hold blocks."""
        self.budget.check_time()
        reading = self.readings[call.entry]
        start = next(iter(reading.edges))
        again = {
            label.after: goal
            for label, goal in reading.edges[start]
            if isinstance(label, RuleCall) and label.entry == call.entry
        }
        if not again:
            body = self.bodies(reading, call.after).get(start, ir.NOTHING)
            self.result.define(self.numbers[call], body)
            return
        first = {}
        rests: dict[tuple[LexerState, LexerState], ir.Node] = {}
        own = reading.edges[start]
        for after in reading.exits:
            bodies = self.bodies(reading, after)
            for before, goal in again.items():
                if goal in bodies:
                    rests[before, after] = bodies[goal]
            ways = [
                joined(self.node(label), bodies[goal])
                for label, goal in own
                if goal in bodies
                and not (isinstance(label, RuleCall) and label.entry == call.entry)
            ]
            if reading.ends.get(start) == after:
                ways.append(ir.EMPTY)
            first[after] = ir.choice(*ways)
        self.result.define(self.numbers[call], self.repeated(call.after, first, rests))

    def repeated(
        self,
        goal: LexerState,
        first: dict[LexerState, ir.Node],
        rests: dict[tuple[LexerState, LexerState], ir.Node],
    ) -> ir.Node:
        """Something first and then rests, each from one lexer state to another, up to one of them."""
        calls = {state: ir.Call(self.result.declare("rests of a rule")) for state in first}
        for state, call in calls.items():
            # What begins and ends in one state may be empty, and a rule must not begin with itself.
            ways = [
                joined(rest, calls[after])
                for (before, after), rest in rests.items()
                if before == state != after
            ]
            if state == goal:
                ways.append(ir.EMPTY)
            again = ir.repeat(rests.get((state, state), ir.NOTHING), 0, None)
            self.result.define(call.rule, joined(again, ir.choice(*ways)))
        return ir.choice(*(joined(body, calls[state]) for state, body in first.items()))

    def bodies(self, reading: Reading, after: LexerState) -> dict[Place, ir.Node]:
        """What may be read from each place on so that the rule ends in a lexer state."""
        num_uses = Counter(goal for edges in reading.edges.values() for _, goal in edges)
        # For each place what leads to the end of the rule (None) or, within a block, out of it.
        found: dict[Place, dict[Place | None, ir.Node]] = {}

        def order(place: Place) -> tuple[int, bool]:
            return place.node.height, place.lexer_state.line != WITHIN_LINE

        for place in sorted(reading.edges, key=order):
            ways: dict[Place | None, list[ir.Node]] = {}
            for label, goal in reading.edges[place]:
                symbol = label.terminal if isinstance(label, Token) else None
                if symbol is not None and symbol == self.lines.dedent:
                    ways.setdefault(goal, []).append(self.node(label))
                elif symbol is not None and symbol == self.lines.indent:
                    for behind, inner in found[goal].items():
                        if behind is not None and found[behind]:
                            block = self.result.add("block", joined(self.node(label), inner))
                            for target, rest in found[behind].items():
                                way = joined(ir.Call(block), rest)
                                ways.setdefault(target, []).append(way)
                else:
                    for target, rest in found[goal].items():
                        ways.setdefault(target, []).append(joined(self.node(label), rest))
            if reading.ends.get(place) == after:
                ways.setdefault(None, []).append(ir.EMPTY)
            found[place] = {
                target: self.rest(parts, is_shared=num_uses[place] > 1)
                for target, parts in ways.items()
            }
        return {place: nodes[None] for place, nodes in found.items() if None in nodes}
