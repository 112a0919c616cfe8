"""A pushdown recogniser that follows all readings at once, explored lazily.

A *parser state* stands between two terminals: a set of positions, each on a stack. It is *lowered*,
when a walk first needs it, to the terminals that may come next and the parser state behind each of
them. Lowering returns from rules that may end here, then calls the rules that may begin here; all
calls of a rule share one stack, as in Earley's algorithm (1970), so ambiguous grammars stay
polynomial. Stacks and states are content-addressed and immutable: a matcher can keep, fork and drop
them freely.

**What a state depends on.** Lowering looks at a stack's frames when it returns, and when it puts frames
of several stacks together for a rule that takes the place of several callers: such a stack may stand higher
than some of its frames did. The lowest stack whose frames it looked at has a *height*, the longest way
from there to the bottom. So a caller who walks from a start state over some others looks at most

    depth = max(0, height(start) + 1 - min(lowest of the states it lowered))

frames deep into the start's stacks: a stack of height c that is below a stack of height h, is below
at most h - c frames of it, on every way down. Frames pushed during the walk are higher up and count
too much rather than too little. Two start states with equal ``truncated(state, depth)`` therefore have
equal walks: the same bytes are read, the same terminals end, though states have other numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from syntagma.grammar.closing import Closing
from syntagma.grammar.moves import TAIL
from syntagma.grammar.parser_arrays import NO_HEIGHT, ParserArrays
from syntagma.grammar.parser_table import ParserTable
from syntagma.grammar.rule_automata import RuleAutomata
from syntagma.grammar.stacks import BOTTOM, OUTPUT_ENDS, Frame, Stacks

START_STATE: Final = 0
# Below all heights: a state that asked for a text which is not known has looked deeper than any.
ASKED_FOR_UNKNOWN: Final = -1

# (position, stack)
Item = tuple[int, int]
# The stacks on which a rule is called, with the position to return to, or TAIL: as on that stack.
Callers = list[tuple[int, int]]


class Lowered(NamedTuple):
    """What may follow a parser state.

    Attributes:
        lexers: the lexer states it starts in.
        gotos: the parser state behind each terminal.
        can_end: whether the output may end here.
    """

    lexers: tuple[int, ...]
    gotos: dict[int, int]
    can_end: bool


class Lexers(Protocol):
    """Where lexers are built."""

    def starts(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        """Lexer states that together run the given terminals (sorted, distinct)."""

    def complete_as(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        """The names under which the terminals of a lexer are listed where they are complete."""


class Parser:
    """The parser states of one grammar met so far; append-only.

    Args:
        automata: the grammar's rules; belongs to the parser from now on.
        lexers: the pool that lexers come from.
        sharing: a parser of the same rules that this one shares stacks with; the same items are the
            same place in both.
        takes_doubtful: where a text is asked for that is not known (see `captures`), let any be it;
            otherwise none is.
    """

    def __init__(
        self,
        automata: RuleAutomata,
        lexers: Lexers,
        *,
        sharing: Parser | None = None,
        takes_doubtful: bool = False,
    ) -> None:
        self._automata = automata
        self._pool = lexers
        self._lock: threading.RLock = threading.RLock() if sharing is None else sharing._lock
        self._stacks: Stacks = Stacks() if sharing is None else sharing._stacks
        self._takes_doubtful = takes_doubtful
        # Of the state that is being lowered: whether it asks for a text that is not known, or catches one.
        self._has_doubts = False
        self._catches = False
        self._closing = Closing(automata, self._stacks)
        self._items: list[tuple[Item, ...]] = []
        self._state_ids: dict[tuple[Item, ...], int] = {}
        self._lowered: list[Lowered | None] = []
        self._merges: dict[tuple[int, int], int] = {}
        self._table = ParserTable()
        self._intern([(automata.start, BOTTOM)])

    @property
    def num_states(self) -> int:
        """Parser states met."""
        return len(self._items)

    @property
    def num_stacks(self) -> int:
        """Stacks met."""
        return len(self._stacks.frames)

    @property
    def arrays(self) -> ParserArrays:
        """The current buffers."""
        return self._table.arrays

    def can_end(self, state: int) -> bool:
        """Whether the output may end in a parser state."""
        return self.lower(state).can_end

    def lexers(self, state: int) -> tuple[int, ...]:
        """The lexer states that a parser state starts in; none if nothing may follow."""
        return self.lower(state).lexers

    def targets(self, state: int, terminal: int) -> tuple[int, ...]:
        """The parser states behind a terminal: one, or none if it may not come."""
        target = self.lower(state).gotos.get(terminal)
        return () if target is None else (target,)

    def after_text(self, state: int, text: bytes) -> int:
        """The state that knows of bytes read since its terminals began; see `TextParser`."""
        return state

    def state_of(self, items: tuple[Item, ...]) -> int:
        """The state of some (position, stack) pairs, of this parser or one it shares stacks with."""
        with self._lock:
            return self._intern(list(items))

    def merged(self, states: Sequence[int]) -> int:
        """The state that goes on as any of some states does.

        A walk in which several parser states begin behind the same byte may go on in one of them
        merged; if it always does, the number of its configs cannot explode, however ambiguous the
        terminals are. The states are merged from left to right, and every step is entered in the
        arrays, for `merged_state`.
        """
        with self._lock:
            result = states[0]
            for state in states[1:]:
                if state == result:
                    continue
                pair = (min(result, state), max(result, state))
                known = self._merges.get(pair)
                if known is None:
                    known = self._intern([*self._items[result], *self._items[state]])
                    self._merges[pair] = known
                    self._table.merge(*pair, known, len(self._items))
                result = known
            return result

    def items(self, state: int) -> tuple[Item, ...]:
        """The (position, stack) pairs of a state."""
        return self._items[state]

    def frames(self, stack: int) -> tuple[Frame, ...]:
        """The frames on top of a stack."""
        return self._stacks.frames[stack]

    def lowest(self, state: int) -> int:
        """The height of the lowest stack that lowering a state looked at, NO_HEIGHT if none."""
        self.lower(state)
        return self._table.lowest(state)

    def height(self, state: int) -> int:
        """The height of a state's highest stack."""
        items = self._items[state]
        heights = self._stacks.heights
        if len(items) == 1:
            return heights[items[0][1]]
        return max(heights[stack] for _, stack in items)

    def depth_used(self, state: int) -> int:
        """How many frames below the top lowering a state looked at, at most; 0 if it never returned."""
        return max(0, self.height(state) + 1 - self.lowest(state))

    def tops(self, state: int) -> int | frozenset[int]:
        """A key of a state's positions, whatever their stacks."""
        items = self._items[state]
        if len(items) == 1:
            return items[0][0]
        return frozenset(position for position, _ in items)

    def truncated(self, state: int, depth: int) -> tuple[int, frozenset[tuple[int, int]]]:
        """A key of a state's positions and, on every way down, the topmost ``depth`` frames."""
        with self._lock:
            return depth, frozenset(
                (position, self._stacks.key(stack, depth)) for position, stack in self._items[state]
            )

    def closing_bytes(self, state: int) -> int:
        """Bytes of a shortest completion of the output from a parser state."""
        with self._lock:
            return self._closing.cost(self._items[state])

    def closing_terminals(self, state: int, word_of: Callable[[int], bytes]) -> Iterator[int]:
        """The terminals of a shortest completion; a shortest word of each adds up to `closing_bytes`.

        One by one, because a repetition may ask for very many. Words that come again count as if they
        were shortest ones.

        Args:
            state: the parser state.
            word_of: the shortest word that the caller takes for a terminal.
        """
        steps = self._closing.terminals(self._items[state], word_of)
        while True:
            with self._lock:
                terminal = next(steps, None)
            if terminal is None:
                return
            yield terminal

    def lower(self, state: int) -> Lowered:
        """What may follow a parser state, worked out once."""
        known = self._lowered[state]
        if known is not None:
            return known
        with self._lock:
            known = self._lowered[state]
            if known is not None:
                return known
            moves: dict[int, list[Item]] = {}
            called: dict[int, Callers] = {}
            self._has_doubts = self._catches = False
            items, lowest, can_end = self._return_from(self._items[state])
            for position, stack in items:
                self._follow(position, stack, moves, called)
            if called:
                lowest = min(lowest, self._call(called, moves))
            if self._has_doubts:
                lowest = ASKED_FOR_UNKNOWN
            if self._catches:
                self._note_catches(state, moves)
            terminals = tuple(moves) if len(moves) == 1 else tuple(sorted(moves))
            names = self._pool.complete_as(terminals)
            if names is terminals:
                gotos = {terminal: self._intern(moves[terminal]) for terminal in terminals}
            else:
                gotos = {
                    name: self._intern(moves[terminal])
                    for name, terminal in sorted(zip(names, terminals, strict=True))
                }
            lexers = self._pool.starts(terminals) if terminals else ()
            self._table.lower(state, lexers, gotos, lowest, can_end, len(self._items))
            lowered = self._lowered[state] = Lowered(lexers, gotos, can_end)
            return lowered

    def _return_from(self, items: tuple[Item, ...]) -> tuple[Sequence[Item], int, bool]:
        """Add the items that are reached by returning.

        Returns:
            (items, height of the lowest stack whose frames were looked at, whether the output may end).
        """
        moves_of = self._automata.moves_of
        for position, _ in items:
            if moves_of(position).is_end:
                break
        else:
            return items, NO_HEIGHT, False
        stacks = self._stacks
        reached = list(items)
        seen = set(items)
        lowest = NO_HEIGHT
        can_end = False
        for position, stack in reached:
            if not moves_of(position).is_end:
                continue
            lowest = min(lowest, stacks.heights[stack])
            for frame in stacks.frames[stack]:
                if frame[0] == OUTPUT_ENDS:
                    can_end = True
                elif frame not in seen:
                    seen.add(frame)
                    reached.append(frame)
        return reached, lowest, can_end

    def _follow(
        self, position: int, stack: int, moves: dict[int, list[Item]], called: dict[int, Callers]
    ) -> None:
        """Add a position's terminals and calls."""
        terminals, calls, _, recalled = self._automata.moves_of(position)
        for terminal, target in terminals:
            if terminal in moves:
                moves[terminal].append((target, stack))
            else:
                moves[terminal] = [(target, stack)]
        for found in recalled:
            self._has_doubts |= found.is_doubtful
            if self._takes_doubtful or not found.is_doubtful:
                self._catches |= found.is_caught
                moves.setdefault(found.terminal, []).append((found.target, stack))
        for entry, back in calls:
            if entry in called:
                called[entry].append((back, stack))
            else:
                called[entry] = [(back, stack)]

    def _call(self, called: dict[int, Callers], moves: dict[int, list[Item]]) -> int:
        """Begin the called rules, and those that they begin with, each when all callers are known.

        Returns:
            The height of the lowest stack whose frames were put together with others, or NO_HEIGHT.
        """
        moves_of = self._automata.moves_of
        if len(called) == 1:
            ((entry, callers),) = called.items()
            if not moves_of(entry).calls:
                self._follow(entry, self._stack_of(callers), moves, called)
                return self._lowest_joined(callers)
        lowest = NO_HEIGHT
        num_callers = dict.fromkeys(called, 0)
        found = list(called)
        for entry in found:
            for callee, _ in moves_of(entry).calls:
                if callee in num_callers:
                    num_callers[callee] += 1
                else:
                    num_callers[callee] = 1
                    found.append(callee)
        ready = [entry for entry in found if num_callers[entry] == 0]
        for entry in ready:
            lowest = min(lowest, self._lowest_joined(called[entry]))
            self._follow(entry, self._stack_of(called[entry]), moves, called)
            for callee, _ in moves_of(entry).calls:
                num_callers[callee] -= 1
                if num_callers[callee] == 0:
                    ready.append(callee)
        if len(ready) < len(found):
            raise ValueError("rules of a grammar that is called proper begin with themselves")
        return lowest

    def _lowest_joined(self, callers: Callers) -> int:
        """The height of the lowest stack whose frames `_stack_of` puts together with others."""
        if len(callers) == 1:
            return NO_HEIGHT
        heights = self._stacks.heights
        return min((heights[stack] for back, stack in callers if back == TAIL), default=NO_HEIGHT)

    def _stack_of(self, callers: Callers) -> int:
        """The stack of a rule that is called, or goes on in place of a caller, in several places."""
        stacks = self._stacks
        if len(callers) == 1:
            back, stack = callers[0]
            return stack if back == TAIL else stacks.push(back, stack)
        frames: set[Frame] = set()
        for frame in callers:
            if frame[0] == TAIL:
                frames.update(stacks.frames[frame[1]])
            else:
                frames.add(frame)
        return stacks.of(frames)

    def _note_catches(self, state: int, moves: dict[int, list[Item]]) -> None:
        """What is to be done where terminals of a state catch a text: nothing, it stays unknown."""

    def _intern(self, items: list[Item]) -> int:
        key = (items[0],) if len(items) == 1 else tuple(sorted(set(items)))
        state = self._state_ids.get(key)
        if state is None:
            state = self._state_ids[key] = self._add(key)
        return state

    def _add(self, items: tuple[Item, ...]) -> int:
        self._items.append(items)
        self._lowered.append(None)
        return len(self._items) - 1
