"""Where a lexer's state comes into a Lark grammar: what may be read behind each terminal.

The contextual lexer looks for the terminals that the parser's state has an action for, the state being
the one that the last terminal led to. So rules have to be told apart by the parser's state as far as it
makes a difference: where it decides which terminals are looked for, or that a rule may not end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from syntagma.grammar.lalr import START_STATE, LalrTable, nullable_rules
from syntagma.grammar.lark_grammar import LarkGrammar
from syntagma.grammar.lexing import LexemeAutomaton, Lexing
from syntagma.grammar.limits import Budget

# In place of a parser's state, where none makes a difference.
ANY_STATE = -1


class Shift(NamedTuple):
    """Behind a terminal.

    Attributes:
        context: what is looked for, as a number (see `Contexts`).
        accepts: the terminals that the parser accepts.
    """

    context: int
    accepts: frozenset[int]


@dataclass
class Contexts:
    """The contexts of one grammar.

    Contexts are numbers; in equal contexts the lexemes of every terminal are the same.

    Attributes:
        end: stands for the end of the text in ``refused``.
        start: before the first terminal.
        shifts: for each parser state (or ANY_STATE) and terminal what is behind it.
        gotos: the parser's, or none.
        refused: the parser's, or none.
        alike: for each parser state and symbol that is not read alike in all states the first of the
            states in which it is read as here.
        accepts: for each context and terminal a set of accepted terminals that it was made of.
    """

    end: int
    start: int = 0
    shifts: dict[tuple[int, int], Shift] = field(default_factory=dict)
    gotos: list[dict[int, int]] = field(default_factory=list)
    refused: list[dict[int, frozenset[int]]] = field(default_factory=list)
    alike: dict[tuple[int, int], int] = field(default_factory=dict)
    accepts: list[dict[int, frozenset[int]]] = field(default_factory=list)

    def goto(self, state: int, symbol: int) -> int:
        """The parser's state behind a symbol."""
        return ANY_STATE if state == ANY_STATE else self.gotos[state][symbol]

    def state_for(self, state: int, symbol: int) -> int:
        """The state as far as it makes a difference to a symbol."""
        return self.alike.get((state, symbol), ANY_STATE)

    def shift(self, state: int, terminal: int) -> Shift:
        """What is behind a terminal that is read in a state."""
        return self.shifts[self.state_for(state, terminal), terminal]

    def lexemes(self, context: int, terminal: int, lexing: Lexing) -> LexemeAutomaton | None:
        """The lexemes of a terminal, None where it is not looked for."""
        accepts = self.accepts[context].get(terminal)
        return None if accepts is None else lexing.lexemes(accepts, terminal)

    def ignored(self, context: int, lexing: Lexing) -> tuple[LexemeAutomaton, ...]:
        """What may be skipped."""
        return lexing.ignored(next(iter(self.accepts[context].values()), frozenset()))


def contexts_without_states(grammar: LarkGrammar) -> Contexts:
    """Every terminal is looked for by itself, wherever it may come."""
    contexts = Contexts(len(grammar.terminals))
    contexts.accepts = [{t: frozenset([t]) for t in range(len(grammar.terminals))}]
    for terminal, after in enumerate(_followers(grammar)):
        contexts.shifts[ANY_STATE, terminal] = Shift(0, after)
    return contexts


def contexts_of_parser(
    grammar: LarkGrammar, table: LalrTable, lexing: Lexing, budget: Budget
) -> Contexts:
    """The contexts of Lark's contextual lexer."""
    contexts = Contexts(table.end, gotos=table.gotos, refused=table.refused)
    grouping = _Grouping(lexing)
    numbers = []
    for accepts in table.accepts:
        budget.check_time()
        numbers.append(grouping.number(grammar.looked_for(accepts)))
    contexts.accepts = grouping.accepts
    contexts.start = numbers[START_STATE]
    _add_shifts(contexts, grammar, table, numbers)
    depends = {terminal for _, terminal in contexts.alike}
    for refused in table.refused:
        depends |= {grammar.productions[production].origin for production in refused}
    _add_rules(contexts, grammar, _spread(depends, grammar), budget)
    return contexts


def _add_shifts(
    contexts: Contexts, grammar: LarkGrammar, table: LalrTable, numbers: list[int]
) -> None:
    """What is behind each terminal, for all states together in which that is the same context."""
    by_context: dict[tuple[int, int], list[int]] = {}
    for state, gotos in enumerate(table.gotos):
        for symbol, target in gotos.items():
            if grammar.is_terminal(symbol):
                by_context.setdefault((symbol, numbers[target]), []).append(state)
    num_contexts = Counter(terminal for terminal, _ in by_context)
    for (terminal, context), states in by_context.items():
        accepts = (table.accepts[table.gotos[state][terminal]] for state in states)
        first = states[0] if num_contexts[terminal] > 1 else ANY_STATE
        contexts.shifts[first, terminal] = Shift(context, frozenset().union(*accepts))
        if first != ANY_STATE:
            contexts.alike |= {(state, terminal): first for state in states}


def _add_rules(
    contexts: Contexts, grammar: LarkGrammar, depends: frozenset[int], budget: Budget
) -> None:
    """Find out in which states a rule is read alike, by refining a partition of (state, rule)."""
    by_origin = grammar.by_origin()
    pairs = [
        (state, symbol)
        for state, gotos in enumerate(contexts.gotos)
        for symbol in gotos
        if symbol in depends and not grammar.is_terminal(symbol)
    ]
    walks = {pair: _walk(*pair, contexts, grammar, by_origin, depends) for pair in pairs}
    class_of = {pair: pair[1] for pair in pairs}
    num_classes = 0
    while True:
        numbers: dict[tuple[object, ...], int] = {}
        refined = {}
        for pair in pairs:
            fixed, parts = walks[pair]
            key = (class_of[pair], fixed, tuple([class_of[part] for part in parts]))
            refined[pair] = numbers.setdefault(key, len(numbers))
        budget.check_time()
        class_of = refined
        if len(numbers) == num_classes:
            break
        num_classes = len(numbers)
    first: dict[int, int] = {}
    for pair in pairs:
        contexts.alike[pair] = first.setdefault(class_of[pair], pair[0])


def _walk(
    state: int,
    rule: int,
    contexts: Contexts,
    grammar: LarkGrammar,
    by_origin: dict[int, list[int]],
    depends: frozenset[int],
) -> tuple[tuple[object, ...], list[tuple[int, int]]]:
    """What decides how a rule is read in a state: terminals and ends, and rules in states."""
    fixed: list[object] = []
    parts = []
    for production in by_origin.get(rule, ()):
        at = state
        for symbol in grammar.productions[production].symbols:
            if symbol in depends:
                if grammar.is_terminal(symbol):
                    fixed.append(contexts.alike[at, symbol])
                else:
                    parts.append((at, symbol))
            at = contexts.gotos[at][symbol]
        fixed.append(contexts.refused[at].get(production))
    return tuple(fixed), parts


class _Grouping:
    """Numbers sets of accepted terminals so that sets with one number do not contradict each other."""

    def __init__(self, lexing: Lexing) -> None:
        self.lexing = lexing
        self.accepts: list[dict[int, frozenset[int]]] = []
        self._known: dict[frozenset[int], int] = {}
        self._keys: list[dict[int, bytes]] = []
        self._ignored: list[list[bytes]] = []

    def number(self, accepts: frozenset[int]) -> int:
        """The number of a set; a new one where its lexemes differ from those of all sets before."""
        known = self._known.get(accepts)
        if known is not None:
            return known
        keys = {t: self.lexing.lexemes(accepts, t).key for t in accepts}
        ignored = [automaton.key for automaton in self.lexing.ignored(accepts)]
        for number, others in enumerate(self._keys):
            if ignored == self._ignored[number] and all(
                others.get(t, key) == key for t, key in keys.items()
            ):
                break
        else:
            number = len(self._keys)
            self._keys.append({})
            self._ignored.append(ignored)
            self.accepts.append({})
        for terminal, key in keys.items():
            if terminal not in self._keys[number]:
                self._keys[number][terminal] = key
                self.accepts[number][terminal] = accepts
        self._known[accepts] = number
        return number


def _spread(depends: set[int], grammar: LarkGrammar) -> frozenset[int]:
    """The symbols and all rules that may contain them."""
    waiting = list(grammar.productions)
    while True:
        left = []
        for production in waiting:
            if production.origin not in depends:
                if depends.isdisjoint(production.symbols):
                    left.append(production)
                else:
                    depends.add(production.origin)
        if len(left) == len(waiting):
            return frozenset(depends)
        waiting = left


def first_terminals(grammar: LarkGrammar) -> list[int]:
    """The terminals that each symbol may begin with, as bits."""
    nullable = nullable_rules(grammar)
    first = [1 << s if grammar.is_terminal(s) else 0 for s in range(grammar.num_symbols)]
    is_changed = True
    while is_changed:
        is_changed = False
        for production in grammar.productions:
            bits = first[production.origin]
            for symbol in production.symbols:
                bits |= first[symbol]
                if symbol not in nullable:
                    break
            is_changed |= bits != first[production.origin]
            first[production.origin] = bits
    return first


def _followers(grammar: LarkGrammar) -> list[frozenset[int]]:
    """The terminals that may come next behind each terminal."""
    nullable = nullable_rules(grammar)
    first = first_terminals(grammar)
    follow = [0] * grammar.num_symbols
    is_changed = True
    while is_changed:
        is_changed = False
        for production in grammar.productions:
            bits = follow[production.origin]
            for symbol in reversed(production.symbols):
                is_changed |= bool(bits & ~follow[symbol])
                follow[symbol] |= bits
                bits = first[symbol] | (bits if symbol in nullable else 0)
    count = len(grammar.terminals)
    return [frozenset(t for t in range(count) if bits >> t & 1) for bits in follow[:count]]
