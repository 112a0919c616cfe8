"""Slow, obvious recognisers of whole grammars, for comparison with the engine.

`NaiveGrammar` reads `ir.Grammar` byte by byte with explicit stacks of what is still to come; nothing
is compiled, merged or remembered, and rules must not begin with themselves. `NaiveEarley` spells any
grammar out as productions over bytes and runs Earley's algorithm as in the book. `viable` on a regular
expression asks the `regex` package.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import regex

from syntagma.grammar import ir
from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.vocabulary import Vocabulary

# What is still to come, innermost first: (node, state of the terminal being read or None).
Rest = tuple["Item", ...]
Item = tuple[ir.Node, int | None]

MAX_ITEMS = 40


class NaiveGrammar:
    """A grammar as sets of continuations."""

    def __init__(self, grammar: ir.Grammar) -> None:
        self.rules = grammar.produce_all()
        self.productive_rules: set[int] = set()
        while True:
            found = {r for r, body in enumerate(self.rules) if self.is_productive(body)}
            if found == self.productive_rules:
                break
            self.productive_rules = found

    def is_productive(self, node: ir.Node) -> bool:
        """Whether some word can be made of a node, given what is known of the rules."""
        match node:
            case ir.Terminal(language):
                return not language.dfa.is_empty
            case ir.Sequence(parts):
                return all(map(self.is_productive, parts))
            case ir.Choice(parts):
                return any(map(self.is_productive, parts))
            case ir.Repeat(part, min_count, _):
                return min_count == 0 or self.is_productive(part)
            case ir.Call(rule):
                return rule in self.productive_rules
        raise TypeError(node)

    def start(self) -> set[Rest]:
        """The continuations before the first byte."""
        body = self.rules[0]
        return {((body, None),)} if self.is_productive(body) else set()

    def opened(self, rests: set[Rest]) -> set[Rest]:
        """Expand until every continuation is empty or begins with a terminal that reads on."""
        seen: set[Rest] = set()
        waiting = list(rests)
        while waiting:
            rest = waiting.pop()
            if rest in seen or len(rest) > MAX_ITEMS:
                continue
            seen.add(rest)
            if not rest:
                continue
            (node, state), tail = rest[0], rest[1:]
            match node:
                case ir.Terminal(language):
                    if state is None:
                        waiting.append(((node, START), *tail))
                    elif language.dfa.accepting[state]:
                        waiting.append(tail)
                case ir.Sequence(parts):
                    waiting.append((*((p, None) for p in parts), *tail))
                case ir.Choice(parts):
                    waiting += [((p, None), *tail) for p in parts if self.is_productive(p)]
                case ir.Repeat(part, low, high):
                    if low == 0:
                        waiting.append(tail)
                    if high != 0 and self.is_productive(part):
                        after = ir.Repeat(part, max(0, low - 1), None if high is None else high - 1)
                        waiting.append(((part, None), (after, None), *tail))
                case ir.Call(rule):
                    waiting.append(((self.rules[rule], None), *tail))
        return {
            rest
            for rest in seen
            if not rest or (isinstance(rest[0][0], ir.Terminal) and rest[0][1])
        }

    def step(self, rests: set[Rest], byte: int) -> set[Rest]:
        """The continuations after one byte."""
        after = set()
        for rest in self.opened(rests):
            if rest:
                (node, state), tail = rest[0], rest[1:]
                assert isinstance(node, ir.Terminal) and state is not None
                target = node.language.dfa.step(state, byte)
                if target != DEAD:
                    after.add(((node, target), *tail))
        return after

    def read(self, rests: set[Rest], text: bytes) -> set[Rest]:
        """The continuations after a text."""
        for byte in text:
            rests = self.step(rests, byte)
        return rests

    def may_end(self, rests: set[Rest]) -> bool:
        """Whether nothing more needs to come."""
        return () in self.opened(rests)

    def mask(self, rests: set[Rest], vocabulary: Vocabulary) -> set[int]:
        """Allowed tokens, each tried byte by byte; stop tokens where the output may end."""
        allowed = {
            i for i, token in enumerate(vocabulary.tokens) if token and self.read(rests, token)
        }
        return allowed | (set(vocabulary.stop_ids) if self.may_end(rests) else set())


# A symbol of a production: a nonterminal, or the bytes that one place takes.
Symbol = int | frozenset[int]
# An Earley item: a nonterminal, a production of it, how much of that is read, where it began.
EarleyItem = tuple[int, tuple[Symbol, ...], int, int]


class Place(NamedTuple):
    """The items at one place of a text, those that wait for a nonterminal also by that."""

    items: set[EarleyItem]
    waiting: dict[int, list[EarleyItem]]


Chart = tuple[Place, ...]


class NaiveEarley:
    """Any grammar, ambiguous or left-recursive, by Earley's algorithm (1970) over single bytes.

    Args:
        grammar: the rules; counts of repetitions are written out.
        alphabet: the bytes that words may have.
    """

    def __init__(self, grammar: ir.Grammar, alphabet: bytes) -> None:
        self.alphabet = alphabet
        self.productions: list[set[tuple[Symbol, ...]]] = []
        self._terminals: dict[bytes, int] = {}
        bodies = grammar.produce_all()
        for _ in bodies:
            self.new_symbol()
        for rule, body in enumerate(bodies):
            self.productions[rule].add((self.symbol(body),))
        self.keep_productive()
        self._charts: dict[bytes, Chart] = {}
        self._viable: dict[bytes, bool] = {}

    def new_symbol(self, *productions: tuple[Symbol, ...]) -> int:
        self.productions.append(set(productions))
        return len(self.productions) - 1

    def symbol(self, node: ir.Node) -> int:
        """A nonterminal with the words of a node."""
        match node:
            case ir.Terminal(language):
                if language.key not in self._terminals:
                    self._terminals[language.key] = self.terminal_symbol(language.dfa)
                return self._terminals[language.key]
            case ir.Sequence(parts):
                return self.new_symbol(tuple(map(self.symbol, parts)))
            case ir.Choice(parts):
                return self.new_symbol(*((self.symbol(part),) for part in parts))
            case ir.Repeat(part, low, high):
                one = self.symbol(part)
                if high is None:
                    rest = self.new_symbol(())
                    self.productions[rest].add((one, rest))
                    return self.new_symbol((*[one] * low, rest))
                return self.new_symbol(*((one,) * count for count in range(low, high + 1)))
            case ir.Call(rule):
                return rule
        raise TypeError(node)

    def terminal_symbol(self, dfa: Dfa) -> int:
        symbols = {START: self.new_symbol()}
        for state in (waiting := [START]):
            if dfa.accepting[state]:
                self.productions[symbols[state]].add(())
            for byte in self.alphabet:
                target = dfa.step(state, byte)
                if target == DEAD:
                    continue
                if target not in symbols:
                    symbols[target] = self.new_symbol()
                    waiting.append(target)
                self.productions[symbols[state]].add((frozenset([byte]), symbols[target]))
        return symbols[START]

    def keep_productive(self) -> None:
        """Drop the productions that no word uses."""
        productive: set[int] = set()
        while True:
            found = {
                symbol
                for symbol, productions in enumerate(self.productions)
                for production in productions
                if all(isinstance(part, frozenset) or part in productive for part in production)
            }
            if found == productive:
                break
            productive = found
        self.productions = [
            {
                production
                for production in productions
                if all(isinstance(part, frozenset) or part in productive for part in production)
            }
            for productions in self.productions
        ]

    @property
    def is_empty(self) -> bool:
        return not self.productions[0]

    def chart(self, text: bytes) -> Chart:
        """The items at every place of a text."""
        if text not in self._charts:
            if text:
                before = self.chart(text[:-1])
                scanned = [
                    (symbol, production, read + 1, began)
                    for symbol, production, read, began in before[-1].items
                    if read < len(production)
                    and isinstance(part := production[read], frozenset)
                    and text[-1] in part
                ]
            else:
                before, scanned = (), [(0, production, 0, 0) for production in self.productions[0]]
            self._charts[text] = (*before, self.completed(before, scanned))
        return self._charts[text]

    def completed(self, before: Chart, found: list[EarleyItem]) -> Place:
        """Predict and complete until nothing new is found.

        What is empty may be complete before an item waits for it, so it is remembered.
        """
        here = len(before)
        place = Place(set(), {})
        empty: set[int] = set()
        while found:
            item = found.pop()
            if item in place.items:
                continue
            place.items.add(item)
            symbol, production, read, began = item
            if read == len(production):
                if began == here:
                    empty.add(symbol)
                waiting = before[began].waiting if began < here else place.waiting
                found += [_advanced(other) for other in waiting.get(symbol, ())]
                continue
            part = production[read]
            if not isinstance(part, frozenset):
                place.waiting.setdefault(part, []).append(item)
                found += [(part, predicted, 0, here) for predicted in self.productions[part]]
                if part in empty:
                    found.append(_advanced(item))
        return place

    def is_viable(self, text: bytes) -> bool:
        """Whether some word begins with a text."""
        if text not in self._viable:
            self._viable[text] = (not text or self.is_viable(text[:-1])) and bool(
                self.chart(text)[-1].items
            )
        return self._viable[text]

    def accepts(self, text: bytes) -> bool:
        """Whether a text is a word."""
        return self.is_viable(text) and any(
            symbol == 0 and read == len(production) and began == 0
            for symbol, production, read, began in self.chart(text)[-1].items
        )

    def mask(self, text: bytes, vocabulary: Vocabulary) -> set[int]:
        """Allowed tokens behind a text, each tried alone; stop tokens if it is a word."""
        allowed = {
            i for i, token in enumerate(vocabulary.tokens) if token and self.is_viable(text + token)
        }
        return allowed | (set(vocabulary.stop_ids) if self.accepts(text) else set())


def _advanced(item: EarleyItem) -> EarleyItem:
    symbol, production, read, began = item
    return symbol, production, read + 1, began


@functools.cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def viable(pattern: str, text: str) -> bool:
    """Whether a text is the beginning of a match of the whole pattern."""
    return _compiled(pattern).fullmatch(text, partial=True) is not None


def matches(pattern: str, text: str) -> bool:
    """Whether a text is a match of the whole pattern."""
    return _compiled(pattern).fullmatch(text) is not None
