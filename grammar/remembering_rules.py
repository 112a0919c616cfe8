"""Positions with a memory: what may follow them (see `captures`).

What an activation remembers is part of the position it stands at, so parser states stay exact, and nothing
else needs to know. A position that no terminal behind it asks for has none: most rules of a grammar are the
same whatever has been captured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syntagma.grammar import regex_ast as ast
from syntagma.grammar.captures import Captured, Extended, Remembering, Same
from syntagma.grammar.dfa_builder import dfa_from_bytes
from syntagma.grammar.limits import Budget
from syntagma.grammar.memories import NO_MEMORY, UNKNOWN, Memories
from syntagma.grammar.moves import TAIL, Moves, Recalled
from syntagma.grammar.positions import (
    BOUND,
    CALL,
    CAUGHT,
    END,
    ENTRY,
    NONE,
    ORDER,
    READ,
    ROUND,
    WITHIN,
)
from syntagma.grammar.terminals import Language

if TYPE_CHECKING:
    from syntagma.grammar.rule_automata import RuleAutomata


class NoMeaningError(ValueError):
    """Rules that no memory can be kept for."""


class RememberingRules:
    """The positions with a memory of one grammar; grows while a parser explores it.

    Attributes:
        memories: what positions are bound to.

    Args:
        automata: the rules, compiled as a whole.

    Raises:
        NoMeaningError: a grammar that the device has no meaning for: `Same` where nothing can have been
            captured, parts in any order, or memories in rules that begin with themselves.
    """

    def __init__(self, automata: RuleAutomata) -> None:
        self.memories = Memories()
        self._automata = automata
        self._positions = automata.positions
        self._asks: dict[int, bool] = {}
        self._extended: dict[bytes, Language] = {}
        self._check()

    def moves(self, position: int) -> Moves:
        """What may follow a position."""
        kind, memory, inner = self._positions.records[position]
        if kind == CAUGHT:
            return self._automata.moves_of(self.behind(position, UNKNOWN))
        if kind != BOUND:
            memory, inner = NO_MEMORY, position
        terminals, calls, is_end, _ = self._automata.moves_without_memory(inner)
        if memory != NO_MEMORY:
            terminals = tuple((terminal, self.bound(memory, at)) for terminal, at in terminals)
            calls = tuple(
                (self.bound(memory, entry), back if back == TAIL else self.bound(memory, back))
                for entry, back in calls
            )
        recalled = [
            found
            for read in self._automata.frontier(inner)[0]
            if (found := self._recalled(memory, read)) is not None
        ]
        return Moves(terminals, calls, is_end, tuple(recalled))

    def behind(self, caught: int, text: int) -> int:
        """The position behind a terminal, once it is known what it has matched."""
        _, memory, read = self._positions.records[caught]
        _, _, target = self._positions.records[read]
        return self.bound(self.memories.after(memory, self._terminal_at(read), text), target)

    def bound(self, memory: int, position: int) -> int:
        """A position with a memory; the position itself if nothing behind it asks for one."""
        if memory == NO_MEMORY or not self._asks_for_any(position):
            return position
        rule = self._positions.rule_of[position]
        return self._positions.add(BOUND, memory, position, rule)

    def _recalled(self, memory: int, read: int) -> Recalled | None:
        """A terminal that depends on the memory, None if the position reads another."""
        kind, label, target = self._positions.records[read]
        language = self._positions.languages[label] if kind == READ else None
        if not isinstance(language, Remembering):
            return None
        automata, memories = self._automata, self.memories
        is_doubtful = memories.is_doubtful(memory, language)
        if is_doubtful:
            terminal = automata.terminals.terminal_id(self._any_words(language))
        else:
            terminal = automata.terminals.terminal_id(memories.words(memory, language))
        if terminal is None:
            return None
        if language.catches:
            target = self._positions.add(CAUGHT, memory, read, self._positions.rule_of[read])
        else:
            target = self.bound(memory, target)
        return Recalled(terminal, target, automata.length_of(label), is_doubtful, language.catches)

    def _any_words(self, terminal: Remembering) -> Language:
        """What a terminal may match, whatever the text is that it depends on."""
        if not isinstance(terminal, Extended):
            return terminal.pattern
        found = self._extended.get(terminal.key)
        if found is None:
            # A text is made of words that terminals have captured.
            captured = {
                language.key: ast.Automaton(language.dfa)
                for language in self._positions.languages
                if isinstance(language, Captured)
            }
            texts = ast.Repeat(ast.union(list(captured.values())), 0, None)
            words = ast.concat(texts, ast.Automaton(terminal.dfa))
            found = self._extended[terminal.key] = dfa_from_bytes(words, Budget.unlimited())
        return found

    def _terminal_at(self, read: int) -> Remembering:
        language = self._positions.languages[self._positions.records[read][1]]
        if not isinstance(language, Remembering):
            raise TypeError(f"position {read!r} does not depend on the memory")
        return language

    def _asks_for_any(self, position: int) -> bool:
        """Whether a terminal that depends on the memory is ahead, none between that captures anew."""
        known = self._asks.get(position)
        if known is None:
            known = self._asks[position] = self._finds(position, Remembering)
        return known

    def _finds(self, start: int, kind_of_terminal: type[Remembering]) -> bool:
        """Whether a terminal of a kind may meet the memory of a position."""
        seen = {start}
        waiting = [start]
        while waiting:
            position = waiting.pop()
            kind, label, target = self._positions.records[position]
            found: tuple[int, ...] = ()
            if kind == READ:
                language = self._positions.languages[label]
                captures_anew = type(language) is Captured
                if isinstance(language, kind_of_terminal) and not captures_anew:
                    return True
                found = () if isinstance(language, Captured) else (target,)
            elif kind == CALL:
                found = (self._positions.starts[label], target)
            elif kind == ROUND:
                loop = self._positions.loops[label]
                found = (self._positions.starts[loop.body], loop.after)
            elif kind == ENTRY:
                found = (self._positions.starts[label],)
            elif kind == WITHIN:
                found = tuple(map(self._positions.starts.__getitem__, self._component(label)))
            elif kind != END:
                found = self._positions.branches(position)
            for after in found:
                if after != NONE and after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return False

    def _component(self, rule: int) -> tuple[int, ...]:
        return self._automata.left_recursion(rule)[0]

    def _check(self) -> None:
        """Raises NoMeaningError for grammars that have no meaning here."""
        if any(kind == ORDER for kind, _, _ in self._positions.records):
            raise NoMeaningError("parts in any order cannot be together with memories")
        bodies = {loop.body for loop in self._positions.loops}
        for (kind, label, _), rule in zip(
            self._positions.records, self._positions.rule_of, strict=True
        ):
            language = self._positions.languages[label] if kind == READ else None
            if rule in bodies and isinstance(language, Remembering) and language.catches:
                raise NoMeaningError(
                    "a counted repetition cannot catch a text for what is behind it"
                )
        if self._finds(self._automata.start, Same):
            raise NoMeaningError("a rule asks for the same text before any has been captured")
        for rule, start in enumerate(self._positions.starts):
            if self._component(rule) and self._finds(start, Remembering):
                raise NoMeaningError("a rule that begins with itself depends on the memory")
