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
from syntagma.grammar.lexed_readings import (
    WITHIN_LINE,
    Entry,
    Goal,
    Label,
    Labels,
    LexerState,
    LineBegin,
    Place,
    Token,
)
from syntagma.grammar.lexed_rules import Continuation, Exits, LexedRules, joined, with_end
from syntagma.grammar.lexing import NO_GUARD, LexemeAutomaton, Lexing
from syntagma.grammar.limits import Budget
from syntagma.grammar.line_lexemes import LineLexemes
from syntagma.grammar.rule_alternatives import Node

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
        if state.line > WITHIN_LINE and not state.is_held:
            self.begin_line(entry, place)
        for symbol, node in place.node.edges.items():
            if not self.grammar.is_terminal(symbol):
                self.call_between_lines(entry, place, symbol, node)
                continue
            shift = self.shift_behind(entry, place, symbol, node)
            if symbol in (self.lines.indent, self.lines.dedent):
                for after in self.after_block(state, symbol, shift):
                    label = Token(state, symbol, shift)
                    self.connect(entry, place, symbol, node, label, after)
            elif state.line == WITHIN_LINE:
                self.shift(entry, place, symbol, node, shift)

    def begin_line(self, entry: Entry, place: Place) -> None:
        """The line break before a place is over, and the line is within its block."""
        if set(place.node.edges) <= {self.lines.indent}:
            return
        for after in self.line_begins(place.lexer_state):
            # A rule that ends here leaves the line to its caller.
            goal = self.goal(place.node, place.parser_state, after)._replace(exit=None)
            labels = self.readings[entry].edges[place].setdefault(goal, {})
            labels.setdefault(LineBegin(place.lexer_state), {})[after] = None
            self.arrive(entry, goal)

    def line_begins(self, state: LexerState) -> list[LexerState]:
        """The lexer states behind the blanks of a line."""
        accepts = frozenset(self.contexts.accepts[state.context])
        shift = Shift(state.context, accepts)
        guards = {
            self.guard_before(shift, guard): None for guard in self.lexemes.tail(state.line).guards
        }
        return [LexerState(state.context, guard, state.refused) for guard in guards]

    def after_block(self, state: LexerState, symbol: int, shift: Shift) -> list[LexerState]:
        """The lexer states behind the beginning or end of a block."""
        is_open = state.line > WITHIN_LINE
        may_begin = is_open and not state.has_ended_block
        if symbol in state.refused or (symbol == self.lines.indent and not may_begin):
            return []
        if symbol == self.lines.indent:
            guards = self.lexemes.tail(state.line).guards
            found = {LexerState(shift.context, self.guard_before(shift, g)): None for g in guards}
            return list(found)
        line = state.line if is_open else ENDING
        return [LexerState(shift.context, NO_GUARD, line=line, has_ended_block=is_open)]

    def shift_behind(self, entry: Entry, place: Place, symbol: int, node: Node) -> Shift:
        """What is behind a terminal."""
        shift = self.contexts.shift(place.parser_state, symbol)
        is_inside = self.contexts.is_inside(entry.lexer_state.context)
        if is_inside or self._num_open[id(node)]:
            return shift._replace(context=shift.context + self.contexts.num_outside)
        return shift

    def call_between_lines(self, entry: Entry, place: Place, rule: int, node: Node) -> None:
        """A rule is met; between lines it may only be empty or, before a block, begin with it."""
        state = place.lexer_state
        if state.line == WITHIN_LINE:
            state = self.seen_by(rule, state)
        else:
            is_open = state.line > WITHIN_LINE and not state.has_ended_block
            is_begun = is_open and self.may_begin_block(rule)
            if rule not in self.nullable and not is_begun:
                return
            state = state._replace(is_held=True)
        self.call(entry, place, rule, node, state)

    def may_begin_block(self, rule: int) -> bool:
        """Whether a rule may begin with the beginning of a block."""
        return self.lines.indent is not None and bool(self.first[rule] >> self.lines.indent & 1)

    def behind(self, place: Place, after: LexerState) -> LexerState:
        """The lexer state behind what is read at a place; what was held is as it was."""
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

    def ways(self, token: Token, exits: Exits, automaton: LexemeAutomaton) -> list[ir.Node]:
        """A lexeme that leads to one of some lexer states; of a line break what comes first."""
        if token.terminal != self.lines.newline:
            return super().ways(token, exits, automaton)
        heads = self.lexemes.heads(automaton)
        lines = {after.line for after in exits}
        return [head for line, head in heads.items() if line in lines]

    def node(self, label: Label, exits: Exits) -> ir.Node:
        """A label that leads to one of some lexer states as part of a rule."""
        if isinstance(label, LineBegin):
            return self.blanks(label.before, exits)
        if isinstance(label, Token) and label.terminal == self.lines.indent:
            tail = self.lexemes.tail(label.before.line)
            wanted = {after.guard for after in exits}
            guards = [g for g in tail.guards if self.guard_before(label.shift, g) in wanted]
            return self.lexemes.deeper(tail, guards)
        if isinstance(label, Token) and label.terminal == self.lines.dedent:
            is_first = label.before.line == WITHIN_LINE
            return self.skips(LexerState(*label.before[:2])) if is_first else ir.EMPTY
        return super().node(label, exits)

    def blanks(self, before: LexerState, exits: Exits) -> ir.Terminal:
        """The blanks that lead from an open line break into a line."""
        tail = self.lexemes.tail(before.line)
        shift = Shift(before.context, frozenset(self.contexts.accepts[before.context]))
        wanted = {after.guard for after in exits}
        guards = [g for g in tail.guards if self.guard_before(shift, g) in wanted]
        return self.lexemes.level(tail, guards)

    def end(self, state: LexerState) -> ir.Node:
        """What may come before the end of the text."""
        if state.line == WITHIN_LINE or self.contexts.end in state.refused:
            return super().end(state)
        if state.line == ENDING:
            return ir.EMPTY
        by_end: dict[ir.Node, list[LexerState]] = {}
        for after in self.line_begins(state):
            by_end.setdefault(super().end(after), []).append(after)
        return ir.choice(
            *(joined(self.blanks(state, frozenset(exits)), end) for end, exits in by_end.items())
        )

    def found_bodies(self, entry: Entry, exits: Exits) -> dict[Place, ir.Node]:
        """What may be read from each place on so that a rule is left in one of some lexer states."""
        edges = self.readings[entry].edges
        groups = {place: self.grouped(entry, place, exits) for place in edges}
        num_uses = Counter(place for group in groups.values() for _, place in group)
        # For each place what leads to the end of the rule (None) or, within a block, out of it.
        found: dict[Place, dict[Goal | None, ir.Node]] = {}

        def order(place: Place) -> tuple[int, bool]:
            return place.node.height, place.lexer_state.line != WITHIN_LINE

        for place in sorted(edges, key=order):
            ways: dict[Goal | None, list[ir.Node]] = {}
            for goal, labels in edges[place].items():
                self._add_blocks(ways, goal, labels, exits, found)
            for continuation, labels in groups[place].items():
                read = self.any_of(labels)
                for target, rest in self._going_on(continuation, found).items():
                    ways.setdefault(target, []).append(joined(read, rest))
            found[place] = {
                target: self.rest(parts, is_shared=num_uses[place] > 1)
                for target, parts in ways.items()
            }
        return {place: nodes[None] for place, nodes in found.items() if None in nodes}

    def grouped(self, entry: Entry, place: Place, exits: Exits) -> dict[Continuation, Labels]:
        """What is read at a place but for blocks, by how the rule goes on to some exits."""
        blocks = self.lines.blocks()
        groups = {}
        for continuation, labels in super().grouped(entry, place, exits).items():
            others = {
                label: after
                for label, after in labels.items()
                if not (isinstance(label, Token) and label.terminal in blocks)
            }
            if others:
                groups[continuation] = others
        return groups

    def _add_blocks(
        self,
        ways: dict[Goal | None, list[ir.Node]],
        goal: Goal,
        labels: Labels,
        exits: Exits,
        found: dict[Place, dict[Goal | None, ir.Node]],
    ) -> None:
        """The ends of blocks at a place, and whole blocks that begin there."""
        for label, after in labels.items():
            if not isinstance(label, Token):
                continue
            if label.terminal == self.lines.dedent:
                ways.setdefault(goal, []).append(self.node(label, frozenset(after)))
            elif label.terminal == self.lines.indent and goal.ahead is not None:
                for behind, inner in found[goal.ahead].items():
                    if behind is None:
                        continue
                    rests = self._going_on((behind.exit in exits, behind.ahead), found)
                    if rests:
                        node = self.node(label, frozenset(after))
                        block = ir.Call(self.result.add("block", joined(node, inner)))
                        for target, rest in rests.items():
                            ways.setdefault(target, []).append(joined(block, rest))

    def _going_on(
        self, continuation: Continuation, found: dict[Place, dict[Goal | None, ir.Node]]
    ) -> dict[Goal | None, ir.Node]:
        """What comes in a continuation, by what it leads to."""
        may_end, place = continuation
        rests = {} if place is None else dict(found[place])
        if may_end:
            rests[None] = with_end(rests.get(None))
        return rests
