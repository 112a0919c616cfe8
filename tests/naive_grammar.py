"""Slow, obvious recognisers of whole grammars, for comparison with the engine.

`NaiveGrammar` reads `ir.Grammar` byte by byte with explicit stacks of what is still to come; nothing
is compiled, merged or remembered. `viable` on a regular expression asks the `regex` package.
"""

from __future__ import annotations

import functools

import regex

from syntagma.grammar import ir
from syntagma.grammar.dfa import DEAD, START
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


@functools.cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def viable(pattern: str, text: str) -> bool:
    """Whether a text is the beginning of a match of the whole pattern."""
    return _compiled(pattern).fullmatch(text, partial=True) is not None


def matches(pattern: str, text: str) -> bool:
    """Whether a text is a match of the whole pattern."""
    return _compiled(pattern).fullmatch(text) is not None
