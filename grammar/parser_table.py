"""The arrays of one grammar's parser states while they grow; see `lowering_arrays` for what is in them."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Final

import numpy as np

from syntagma.grammar.arenas import Arenas, enter_sets, slots_for
from syntagma.grammar.kernel_types import Int32Array, Int64Array
from syntagma.grammar.lowering_arrays import (
    ASKED,
    ASKED_SLOT,
    CONTEXT_SIZE,
    FIRST_CALL,
    FIRST_LEXER,
    FIRST_READ,
    FLAGS,
    FOUND,
    GOTOS,
    GROUPS,
    ITEMS,
    LAST_LEXER,
    LAST_MOVE,
    LEXERS,
    MERGED,
    MERGES,
    MOVES,
    NAME,
    NAMES,
    NOT_KNOWN,
    NUM_ARENAS,
    NUM_COUNTS,
    NUM_FOUND,
    PLACE,
    SET_SLOTS,
    SETS,
    STATE_SLOTS,
    STATES,
    STOPS_AT_TEXTS,
    TARGETS,
    TERMINAL,
    WIDTHS,
)
from syntagma.grammar.parser_arrays import (
    CAN_END,
    EMPTY,
    FIRST_PAIR,
    GOTO_END,
    GOTO_START,
    IS_DOUBTFUL,
    LAST_PAIR,
    LEXER_END,
    LEXER_START,
    NOT_LOWERED,
    NUM_COLUMNS,
    ParserArrays,
    enter_merge,
)
from syntagma.grammar.stacks import Stacks

# Rows of the arenas at first.
CAPACITIES: Final = (64, 64, 64, 64, 128, 128, 32, 64, 32, 64, 32, 64, 64, 64, 16)

# (position, stack)
Item = tuple[int, int]
Pairs = Sequence[tuple[int, int]]


class ParserTable:
    """The parser states of one grammar as flat arrays, with what they are made from.

    Attributes:
        context: int64, for kernels.

    Args:
        stacks: what the states' positions stand on.
        stops_at_texts: whether lowering stops at states that catch a text.
    """

    def __init__(self, stacks: Stacks, *, stops_at_texts: bool) -> None:
        self._arenas = arenas = Arenas(WIDTHS, CAPACITIES, CONTEXT_SIZE, NUM_COUNTS)
        self._stacks = stacks
        self._count = arenas.count
        self._count[STOPS_AT_TEXTS] = stops_at_texts
        self._merges = _merges_for(CAPACITIES[MERGED])
        self._set_slots = slots_for(CAPACITIES[SETS])
        arenas.context.put(
            MERGES,
            (
                self._merges,
                slots_for(CAPACITIES[STATES]),
                self._set_slots,
                arenas.counts,
                stacks.arenas.context.addresses,
            ),
        )
        self.context: Int64Array = arenas.context.addresses

    @property
    def num_states(self) -> int:
        """Parser states met."""
        return self._count[STATES]

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays, without the stacks'."""
        return self._arenas.num_bytes

    @property
    def arrays(self) -> ParserArrays:
        """The arrays as they are now, for kernels that walk."""
        rows = self._arenas.rows
        return ParserArrays(
            rows(STATES), rows(LEXERS)[:, 0], rows(GOTOS), self._merges, self.context
        )

    def is_lowered(self, state: int) -> bool:
        """Whether it is known what may follow a state."""
        return bool(self._states[NUM_COLUMNS * state + LEXER_START] != NOT_LOWERED)

    def items(self, state: int) -> tuple[Item, ...]:
        """The (position, stack) pairs of a state, ascending."""
        found = self._part(ITEMS, state, FIRST_PAIR, LAST_PAIR)
        return tuple(zip(found[::2], found[1::2], strict=True))

    def positions(self, state: int) -> memoryview:
        """The positions of a state, ascending; one that is on several stacks so many times."""
        return self._part(ITEMS, state, FIRST_PAIR, LAST_PAIR)[::2]

    def lexers(self, state: int) -> tuple[int, ...]:
        """The lexer states that a lowered state runs."""
        return tuple(self._part(LEXERS, state, LEXER_START, LEXER_END))

    def gotos(self, state: int) -> dict[int, int]:
        """The parser state behind each terminal of a lowered state."""
        found = self._part(GOTOS, state, GOTO_START, GOTO_END)
        return dict(zip(found[::2], found[1::2], strict=True))

    def target(self, state: int, terminal: int) -> int | None:
        """The parser state behind a terminal of a lowered state, None if it may not come."""
        found = self._part(GOTOS, state, GOTO_START, GOTO_END)
        at = 2 * bisect.bisect_left(found[::2], terminal)
        return found[at + 1] if at < len(found) and found[at] == terminal else None

    def successors(self, state: int, most: int) -> list[int]:
        """The parser states behind the terminals of a lowered state; none if there are more than ``most``."""
        found = self._part(GOTOS, state, GOTO_START, GOTO_END)
        return found[1::2].tolist() if len(found) <= 2 * most else []

    def can_end(self, state: int) -> bool:
        """Whether the output may end in a lowered state."""
        return bool(self._states[NUM_COLUMNS * state + CAN_END])

    def is_doubtful(self, state: int) -> bool:
        """Whether a lowered state asks for a text that is not known."""
        return bool(self._states[NUM_COLUMNS * state + IS_DOUBTFUL])

    @property
    def _states(self) -> memoryview:
        return self._arenas.cells[STATES]

    def _part(self, place: int, state: int, begin: int, end: int) -> memoryview:
        """What columns of a state say where it is."""
        row, width = NUM_COLUMNS * state, WIDTHS[place]
        states = self._states
        return self._arenas.cells[place][width * states[row + begin] : width * states[row + end]]

    def knows(self, position: int) -> bool:
        """Whether a position's moves are entered."""
        cell = WIDTHS[MOVES] * position + FIRST_READ
        moves = self._arenas.cells[MOVES]
        return cell < len(moves) and moves[cell] != NOT_KNOWN

    def enter_moves(self, position: int, reads: Pairs, calls: Pairs, flags: int) -> None:
        """Enter what may follow a position; no kernel may be running."""
        cells, count = self._arenas.cells, self._count
        first = count[TARGETS]
        last_read = first + len(reads)
        end = last_read + len(calls)
        row = WIDTHS[MOVES] * position
        if row >= len(cells[MOVES]) or 2 * end > len(cells[TARGETS]):
            self._make_room((MOVES, position + 1), (TARGETS, end))
        targets = cells[TARGETS]
        cell = 2 * first
        for label, target in reads:
            targets[cell] = label
            targets[cell + 1] = target
            cell += 2
        for label, target in calls:
            targets[cell] = label
            targets[cell + 1] = target
            cell += 2
        count[TARGETS] = end
        moves = cells[MOVES]
        moves[row + FIRST_CALL] = last_read
        moves[row + LAST_MOVE] = end
        moves[row + FLAGS] = flags
        moves[row + FIRST_READ] = first

    @property
    def asked_position(self) -> int:
        """The position whose moves a kernel has asked for."""
        return self._count[ASKED]

    @property
    def asked_terminals(self) -> tuple[int, ...]:
        """The terminals whose lexers a kernel has asked for, ascending."""
        return tuple(self._arenas.cells[GROUPS][: 2 * self._count[ASKED] : 2])

    def enter_lexers(
        self, terminals: tuple[int, ...], names: tuple[int, ...], lexers: tuple[int, ...]
    ) -> None:
        """Enter the lexers that run the terminals that were asked for; no kernel may be running.

        Args:
            terminals: `asked_terminals`.
            names: the name under which each of them is complete.
            lexers: the lexer states.
        """
        cells, count = self._arenas.cells, self._count
        number, first_name, first_lexer = count[SETS], count[NAMES], count[LEXERS]
        last_name, last_lexer = first_name + len(terminals), first_lexer + len(lexers)
        width = WIDTHS[NAMES]
        places: Sequence[int] = range(len(names))
        if names is not terminals:
            places = sorted(places, key=names.__getitem__)
        has_grown = (
            WIDTHS[SETS] * number >= len(cells[SETS])
            or width * last_name > len(cells[NAMES])
            or last_lexer > len(cells[LEXERS])
        )
        if has_grown:
            self._make_room((SETS, number + 1), (NAMES, last_name), (LEXERS, last_lexer))
        table = cells[NAMES]
        row = width * first_name
        for terminal, place in zip(terminals, places, strict=True):
            table[row + TERMINAL] = terminal
            table[row + NAME] = names[place]
            table[row + PLACE] = place
            row += width
        table = cells[LEXERS]
        for index, lexer in enumerate(lexers, first_lexer):
            table[index] = lexer
        table = cells[SETS]
        row = WIDTHS[SETS] * number
        table[row + FIRST_PAIR] = first_name
        table[row + LAST_PAIR] = last_name
        table[row + FIRST_LEXER] = first_lexer
        table[row + LAST_LEXER] = last_lexer
        count[SETS], count[NAMES], count[LEXERS] = number + 1, last_name, last_lexer
        if has_grown:
            self._enter_sets(number)
        else:
            self._set_slots[count[ASKED_SLOT]] = number

    def found(self) -> memoryview:
        """(terminal, position behind it, stack) of all that was found for a state, to be changed."""
        return self._arenas.cells[FOUND][: WIDTHS[FOUND] * self._count[NUM_FOUND]]

    def add_twin(self, state: int) -> int:
        """Another state with the items of a state, which is not found by them."""
        number = self._count[STATES]
        if NUM_COLUMNS * number >= len(self._states):
            self._make_room((STATES, number + 1))
        states = self._states
        twin, row = NUM_COLUMNS * number, NUM_COLUMNS * state
        states[twin + FIRST_PAIR], states[twin + LAST_PAIR] = states[row], states[row + LAST_PAIR]
        states[twin + LEXER_START] = NOT_LOWERED
        self._count[STATES] = number + 1
        return number

    def _make_room(self, *wanted: tuple[int, int]) -> None:
        """Let arenas have so many rows in all."""
        for place, num_rows in wanted:
            self._count[NUM_ARENAS + place] = num_rows
        self.grow()

    def grow(self) -> None:
        """Make the room that a kernel has wanted; none may be running."""
        self._stacks.grow()
        arenas = self._arenas
        grown = arenas.grow()
        if STATES in grown:
            slots = slots_for(arenas.capacity(STATES))
            enter_sets(arenas.rows(STATES), arenas.rows(ITEMS), 2, 0, self.num_states, slots)
            arenas.context.put(STATE_SLOTS, (slots,))
        if SETS in grown:
            self._set_slots = slots_for(arenas.capacity(SETS))
            arenas.context.put(SET_SLOTS, (self._set_slots,))
            self._enter_sets(0)
        if MERGED in grown:
            self._merges = _merges_for(arenas.capacity(MERGED))
            for number in range(self._count[MERGED]):
                enter_merge(self._merges, arenas.rows(MERGED), number)
            # Not before all are in it: others may be reading.
            arenas.context.put(MERGES, (self._merges,))

    def _enter_sets(self, first: int) -> None:
        sets, names = self._arenas.rows(SETS), self._arenas.rows(NAMES)
        enter_sets(sets, names, 1, first, self._count[SETS], self._set_slots)


def _merges_for(capacity: int) -> Int32Array:
    return np.full((slots_for(capacity).size, 3), EMPTY, np.int32)
