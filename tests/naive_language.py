"""The short words of grammars, by fixed points over sets of words.

Any grammar will do: ambiguous, left-recursive, nullable. `ebnf_words` reads the tests' own syntax
trees, `ir_words` reads `ir.Grammar`; they share nothing with the engine but the terminals' automata.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from syntagma.grammar import ir

Words = frozenset[str]
EMPTY_WORD: Words = frozenset([""])


@dataclass(frozen=True)
class Lit:
    text: str


@dataclass(frozen=True)
class Chars:
    chars: str
    negated: bool = False


@dataclass(frozen=True)
class Ref:
    rule: int


@dataclass(frozen=True)
class Seq:
    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Alt:
    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Rep:
    part: Tree
    low: int
    high: int | None


@dataclass(frozen=True)
class Minus:
    left: Tree
    right: Tree


Tree = Lit | Chars | Ref | Seq | Alt | Rep | Minus


def joined(left: Words, right: Words, max_length: int) -> Words:
    """Concatenations that are short enough."""
    return frozenset(a + b for a in left for b in right if len(a) + len(b) <= max_length)


def repeated(part: Words, low: int, high: int | None, max_length: int) -> Words:
    """``part`` low to high times."""
    words = EMPTY_WORD
    for _ in range(low):
        words = joined(words, part, max_length)
    extra = words
    for _ in range(max_length if high is None else high - low):
        extra = joined(extra, part, max_length) | extra
    return extra


class EbnfWords:
    """Words up to a length over an alphabet, of every rule."""

    def __init__(self, rules: list[Tree], alphabet: str, max_length: int) -> None:
        self.alphabet = alphabet
        self.max_length = max_length
        self.known: list[Words] = [frozenset() for _ in rules]
        while True:
            found = [self.words(tree) for tree in rules]
            if found == self.known:
                break
            self.known = found

    def words(self, tree: Tree) -> Words:
        """The words of a tree, given what is known of the rules."""
        match tree:
            case Lit(text):
                return frozenset([text] if len(text) <= self.max_length else [])
            case Chars(chars, negated):
                return frozenset(c for c in self.alphabet if (c in chars) != negated)
            case Ref(rule):
                return self.known[rule]
            case Seq(parts):
                words = EMPTY_WORD
                for part in parts:
                    words = joined(words, self.words(part), self.max_length)
                return words
            case Alt(parts):
                return frozenset().union(*map(self.words, parts))
            case Rep(part, low, high):
                return repeated(self.words(part), low, high, self.max_length)
            case Minus(left, right):
                return self.words(left) - self.words(right)


class EbnfSpans:
    """Where in one text each rule of an EBNF grammar matches: every pair of ends, found by trying.

    `Minus` must not lead to a rule.
    """

    def __init__(self, rules: list[Tree], text: str) -> None:
        self.text = text
        self.known: list[frozenset[tuple[int, int]]] = [frozenset() for _ in rules]
        while True:
            found = [self.spans(tree) for tree in rules]
            if found == self.known:
                break
            self.known = found

    @property
    def is_word(self) -> bool:
        """Whether the first rule matches the whole text."""
        return (0, len(self.text)) in self.known[0]

    def spans(self, tree: Tree) -> frozenset[tuple[int, int]]:
        """The matches of a tree, given what is known of the rules."""
        text = self.text
        match tree:
            case Lit(word):
                ends = range(len(text) + 1)
                return frozenset((i, i + len(word)) for i in ends if text.startswith(word, i))
            case Chars(chars, negated):
                return frozenset((i, i + 1) for i, c in enumerate(text) if (c in chars) != negated)
            case Ref(rule):
                return self.known[rule]
            case Seq(parts):
                spans = self.nothing
                for part in parts:
                    spans = self.chained(spans, self.spans(part))
                return spans
            case Alt(parts):
                return frozenset().union(*map(self.spans, parts))
            case Rep(part, low, high):
                return self.repeated(self.spans(part), low, high)
            case Minus(left, right):
                return self.spans(left) - self.spans(right)

    @property
    def nothing(self) -> frozenset[tuple[int, int]]:
        return frozenset((i, i) for i in range(len(self.text) + 1))

    def chained(
        self, left: frozenset[tuple[int, int]], right: frozenset[tuple[int, int]]
    ) -> frozenset[tuple[int, int]]:
        return frozenset((i, k) for i, j in left for m, k in right if j == m)

    def repeated(
        self, part: frozenset[tuple[int, int]], low: int, high: int | None
    ) -> frozenset[tuple[int, int]]:
        spans = self.nothing
        for _ in range(low):
            spans = self.chained(spans, part)
        found = spans
        # More rounds than characters bring nothing new: one of them would be empty.
        for _ in range(len(self.text) + 1 if high is None else high - low):
            spans = self.chained(spans, part)
            if spans <= found:
                break
            found |= spans
        return found


class IrWords:
    """The same for `ir` grammars; the alphabet is ASCII."""

    def __init__(self, grammar: ir.Grammar, alphabet: str, max_length: int) -> None:
        self.max_length = max_length
        self.texts = texts(alphabet, max_length)
        bodies = grammar.produce_all()
        self.terminals: dict[bytes, Words] = {}
        self.known: list[Words] = [frozenset() for _ in bodies]
        while True:
            found = [self.words(body) for body in bodies]
            if found == self.known:
                break
            self.known = found

    def words(self, node: ir.Node) -> Words:
        """The words of a node, given what is known of the rules."""
        match node:
            case ir.Terminal(language):
                if language.key not in self.terminals:
                    assert not language.dfa.accepts_empty_word
                    self.terminals[language.key] = frozenset(
                        text for text in self.texts if language.dfa.accepts(text.encode())
                    )
                return self.terminals[language.key]
            case ir.Call(rule):
                return self.known[rule]
            case ir.Sequence(parts):
                words = EMPTY_WORD
                for part in parts:
                    words = joined(words, self.words(part), self.max_length)
                return words
            case ir.Choice(parts):
                return frozenset().union(*map(self.words, parts))
            case ir.Repeat(part, low, high):
                return repeated(self.words(part), low, high, self.max_length)


def texts(alphabet: Iterable[str], max_length: int) -> list[str]:
    """All texts over an alphabet up to a length."""
    return [
        "".join(chars)
        for length in range(max_length + 1)
        for chars in itertools.product(alphabet, repeat=length)
    ]
