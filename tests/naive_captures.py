"""A slow, obvious recogniser of grammars that remember: explicit stacks, read byte by byte.

Nothing is compiled; a reading is a stack of activations, each with its memory and what is still to come.
Rules must not begin with themselves.
"""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

from syntagma.grammar import ir
from syntagma.grammar.captures import Captured, Extended, Fresh, Remembering, Same
from syntagma.grammar.dfa import DEAD, START
from syntagma.grammar.terminals import Language
from syntagma.grammar.vocabulary import Vocabulary

# Words that are tried to see whether a pattern has a fresh one.
MAX_TRIED = 4


class Memory(NamedTuple):
    """The text captured last and the words that have come since."""

    text: bytes
    seen: frozenset[bytes]


class Activation(NamedTuple):
    """A memory and the nodes that are still to come."""

    memory: Memory
    rest: tuple[ir.Node, ...]


class Reading(NamedTuple):
    """What has been read of the terminal at hand, and the activations, the inner one first."""

    word: bytes
    terminal: Language
    stack: tuple[Activation, ...]


class NaiveCaptures:
    """A grammar as sets of readings.

    Args:
        grammar: the rules.
        letters: the bytes that words of terminals end with, if they can go on for long.
    """

    def __init__(self, grammar: ir.Grammar, letters: bytes) -> None:
        self.rules = grammar.produce_all()
        self.letters = letters
        self.alive: set[int] = set()
        while True:
            found = {rule for rule, body in enumerate(self.rules) if self.is_alive(body)}
            if found == self.alive:
                break
            self.alive = found
        self._states: dict[bytes, tuple[set[Reading], bool]] = {b"": self.opened(self.begin())}

    @property
    def is_empty(self) -> bool:
        return 0 not in self.alive

    def is_alive(self, node: ir.Node) -> bool:
        match node:
            case ir.Sequence(parts):
                return all(map(self.is_alive, parts))
            case ir.Choice(parts):
                return any(map(self.is_alive, parts))
            case ir.Repeat(part, min_count, _):
                return min_count == 0 or self.is_alive(part)
            case ir.Call(rule):
                return rule in self.alive
        return True

    def begin(self) -> set[tuple[Activation, ...]]:
        if self.is_empty:
            return set()
        return {(Activation(Memory(b"", frozenset()), (self.rules[0],)),)}

    def opened(self, stacks: set[tuple[Activation, ...]]) -> tuple[set[Reading], bool]:
        """Go on to the next terminals; whether there need not be any."""
        readings: set[Reading] = set()
        is_end = False
        seen = set(stacks)
        waiting = list(stacks)
        for stack in waiting:
            if not stack:
                is_end = True
                continue
            memory, rest = stack[0]
            found: list[tuple[Activation, ...]] = []
            if not rest:
                found = [stack[1:]]
            else:
                node, below = rest[0], (Activation(memory, rest[1:]), *stack[1:])
                match node:
                    case ir.Terminal(language):
                        readings.add(Reading(b"", language, below))
                    case ir.Call(rule):
                        if rule in self.alive:
                            found = [(Activation(memory, (self.rules[rule],)), *below)]
                    case ir.Sequence(parts):
                        found = [(Activation(memory, (*parts, *rest[1:])), *stack[1:])]
                    case ir.Choice(parts):
                        found = [
                            (Activation(memory, (part, *rest[1:])), *stack[1:])
                            for part in parts
                            if self.is_alive(part)
                        ]
                    case ir.Repeat(part, 0, None):
                        found = [below]
                        if self.is_alive(part):
                            found.append((Activation(memory, (part, *rest)), *stack[1:]))
                    case _:
                        raise TypeError(node)
            for after in found:
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return readings, is_end

    def state(self, text: bytes) -> tuple[set[Reading], bool]:
        known = self._states.get(text)
        if known is None:
            before, _ = self.state(text[:-1])
            readings: set[Reading] = set()
            ended: set[tuple[Activation, ...]] = set()
            for word, terminal, stack in before:
                grown = word + text[-1:]
                memory, rest = stack[0]
                if self.can_go_on(terminal, memory, grown):
                    readings.add(Reading(grown, terminal, stack))
                after = self.matched(terminal, memory, grown)
                if after is not None:
                    ended.add((Activation(after, rest), *stack[1:]))
            begun, is_end = self.opened(ended)
            known = self._states[text] = readings | begun, is_end
        return known

    def is_viable(self, text: bytes) -> bool:
        readings, is_end = self.state(text)
        return is_end or bool(readings)

    @functools.lru_cache(maxsize=100_000)  # noqa: B019
    def can_go_on(self, terminal: Language, memory: Memory, word: bytes) -> bool:
        """Whether a longer word than this one would do."""
        if isinstance(terminal, Same | Extended) and len(word) < len(memory.text):
            return memory.text.startswith(word)
        if isinstance(terminal, Extended):
            return word.startswith(memory.text) and goes_on(terminal, word[len(memory.text) :])
        if not isinstance(terminal, Remembering):
            return goes_on(terminal, word)
        return any(
            self.matched(terminal, memory, word + bytes(rest)) is not None
            for length in range(1, MAX_TRIED + 1)
            for rest in itertools.product(self.letters, repeat=length)
        )

    @functools.lru_cache(maxsize=100_000)  # noqa: B019
    def matched(self, terminal: Language, memory: Memory, word: bytes) -> Memory | None:
        """The memory behind a word of a terminal; None: it is none."""
        text, seen = memory
        match terminal:
            case Extended():
                begins = word.startswith(text) and terminal.dfa.accepts(word[len(text) :])
                return Memory(word, frozenset()) if begins and word != text else None
            case Captured():
                return Memory(word, frozenset()) if terminal.dfa.accepts(word) else None
            case Same():
                return memory if word == text else None
            case Fresh():
                is_fresh = word not in seen and terminal.dfa.accepts(word)
                return Memory(text, seen | {word}) if is_fresh else None
        return memory if terminal.dfa.accepts(word) else None

    def mask(self, text: bytes, vocabulary: Vocabulary) -> set[int]:
        _, is_end = self.state(text)
        found = {
            t for t, token in enumerate(vocabulary.tokens) if token and self.is_viable(text + token)
        }
        return found | set(vocabulary.stop_ids) if is_end else found


def goes_on(language: Language, word: bytes) -> bool:
    """Whether a word is the beginning of a longer one."""
    state = START
    for byte in word:
        state = language.dfa.step(state, byte)
    return any(language.dfa.step(state, byte) != DEAD for byte in range(256))
