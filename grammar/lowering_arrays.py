"""The arrays that parser states are lowered with, which kernels append to.

An *arena* is a table with rows in use and rows to come. The arenas of a parser stand in a context
(`array_context`), those of its stacks in another one that several parsers may share. A kernel that finds no
room notes how many rows it wants and gives up; when there is room it begins anew.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from syntagma.grammar.array_context import int32_table, int32_view, int64_view
from syntagma.grammar.kernel_types import Int32Array, Int64Array, kernel, lean_kernel
from syntagma.grammar.parser_arrays import NUM_COLUMNS

# Places in a parser's context. First the arenas: what grows with the states ...
STATES: Final = 0
ITEMS: Final = 1
GOTOS: Final = 2
LEXERS: Final = 3
MOVES: Final = 4
TARGETS: Final = 5
SETS: Final = 6
NAMES: Final = 7
# ... and room to work in.
REACHED: Final = 8
CALLERS: Final = 9
ENTRIES: Final = 10
FOUND: Final = 11
GROUPS: Final = 12
JOINED: Final = 13
# Then what states were merged, (first, second, target), the hash tables, and the rest.
MERGED: Final = 14
MERGES: Final = 15
STATE_SLOTS: Final = 16
SET_SLOTS: Final = 17
COUNTS: Final = 18
STACK_CONTEXT: Final = 19
CONTEXT_SIZE: Final = 20
# Columns of each arena, by its place.
WIDTHS: Final = (NUM_COLUMNS, 2, 2, 1, 5, 2, 4, 3, 2, 3, 4, 3, 2, 2, 3)
NUM_ARENAS: Final = len(WIDTHS)

# Places in the context of stacks.
STACKS: Final = 0
FRAMES: Final = 1
STACK_SLOTS: Final = 2
STACK_COUNTS: Final = 3
STACK_CONTEXT_SIZE: Final = 4
STACK_WIDTHS: Final = (3, 2)

# The stack below all, and where its one frame returns to.
BOTTOM: Final = 0
OUTPUT_ENDS: Final = -1
# Column of stacks, behind those of their frames.
WAS_POPPED: Final = 2

# Columns of moves: reads, calls and flags of a position; the number of an entry while a state is lowered.
FIRST_READ, FIRST_CALL, LAST_MOVE, FLAGS, ENTRY_NUMBER = range(5)
NOT_KNOWN: Final = -1
NO_ENTRY: Final = -1
# Flags of a position: the rule may end there; it asks for a text that is not known; it catches one.
IS_END: Final = 1
HAS_DOUBTS: Final = 2
CATCHES: Final = 4

# Columns of sets, behind those of their names: the lexer states that run them.
FIRST_LEXER, LAST_LEXER = 2, 3
# Columns of names: the terminals of a set in ascending order; beside them the names under which they are
# complete, in ascending order too, each with the place of its terminal.
TERMINAL, NAME, PLACE = range(3)

# Columns of entries: the position, how many callers are to come, the last caller so far; who is ready.
ENTRY, TO_COME, LAST_CALLER, READY = range(4)
NO_CALLER: Final = -1
# Columns of callers: where to return to, on which stack, and the caller before.
BACK, BELOW, BEFORE = range(3)

# Counts, behind the rows in use and the rows that are wanted of each arena.
NUM_REACHED: Final = 2 * NUM_ARENAS
NUM_CALLERS: Final = NUM_REACHED + 1
NUM_ENTRIES: Final = NUM_REACHED + 2
NUM_FOUND: Final = NUM_REACHED + 3
FLAGS_FOUND: Final = NUM_REACHED + 4
END_FOUND: Final = NUM_REACHED + 5
ASKED: Final = NUM_REACHED + 6
ASKED_SLOT: Final = NUM_REACHED + 7
STOPS_AT_TEXTS: Final = NUM_REACHED + 8
NUM_COUNTS: Final = NUM_REACHED + 9
NUM_STACK_COUNTS: Final = 2 * len(STACK_WIDTHS)


class StackArrays(NamedTuple):
    """The stacks met so far, which parsers of the same rules share.

    Attributes:
        stacks: int32[S, 3]. The stack's frames are ``frames[FIRST_PAIR:LAST_PAIR]``. WAS_POPPED: 1 while a
            state is lowered that has returned from it.
        frames: int32[F, 2], (position to return to, stack below).
        slots: int32, a hash table of stacks by their frames.
        counts: int64, stacks and frames in use, and how many were wanted.
    """

    stacks: Int32Array
    frames: Int32Array
    slots: Int32Array
    counts: Int64Array


class Rules(NamedTuple):
    """What is known of positions.

    Attributes:
        moves: int32[P, 5]. A position's reads are ``targets[FIRST_READ:FIRST_CALL]``, (terminal, position
            behind it), its calls ``targets[FIRST_CALL:LAST_MOVE]``, (entry, position to return to or TAIL).
        targets: int32[T, 2].
    """

    moves: Int32Array
    targets: Int32Array


class Work(NamedTuple):
    """Room to lower a state in.

    Attributes:
        reached: int32[R, 2], the (position, stack) pairs that are reached without reading.
        callers: int32[C, 3].
        entries: int32[E, 4], the rules that are called.
        found: int32[F, 3], (terminal, position behind it, stack).
        joined: int32[J, 2], a set that is being put together.
        counts: int64, how much of each is in use.
    """

    reached: Int32Array
    callers: Int32Array
    entries: Int32Array
    found: Int32Array
    joined: Int32Array
    counts: Int64Array


class StateTable(NamedTuple):
    """The states and what is known of sets of terminals.

    Attributes:
        states, gotos: as in `ParserArrays`.
        items: int32[I, 2], (position, stack), ascending in each state.
        slots: int32, a hash table of states by their items.
        sets: int32[S, 4]. The set's terminals and names are ``names[FIRST_PAIR:LAST_PAIR]``, the lexer states
            that run it ``lexers[FIRST_LEXER:LAST_LEXER]``.
        names: int32[N, 3].
        set_slots: int32, a hash table of sets by their terminals.
        groups: int32[G, 2], (terminal, where its pairs begin) of the state that is being lowered.
    """

    states: Int32Array
    gotos: Int32Array
    items: Int32Array
    slots: Int32Array
    sets: Int32Array
    names: Int32Array
    set_slots: Int32Array
    groups: Int32Array


@lean_kernel
def has_room(counts: Int64Array, num_arenas: int, arena: int, size: int, capacity: int) -> bool:
    """Whether an arena has so many rows; if not, they are wanted."""
    if size <= capacity:
        return True
    counts[num_arenas + arena] = max(counts[num_arenas + arena], size)
    return False


@kernel
def rules_of(context: Int64Array) -> Rules:
    return Rules(
        int32_table(context, MOVES, WIDTHS[MOVES]), int32_table(context, TARGETS, WIDTHS[TARGETS])
    )


@kernel
def stacks_of(context: Int64Array) -> StackArrays:
    shared = int64_view(context, STACK_CONTEXT)
    return StackArrays(
        int32_table(shared, STACKS, STACK_WIDTHS[STACKS]),
        int32_table(shared, FRAMES, STACK_WIDTHS[FRAMES]),
        int32_view(shared, STACK_SLOTS),
        int64_view(shared, STACK_COUNTS),
    )


@kernel
def work_of(context: Int64Array) -> Work:
    return Work(
        int32_table(context, REACHED, WIDTHS[REACHED]),
        int32_table(context, CALLERS, WIDTHS[CALLERS]),
        int32_table(context, ENTRIES, WIDTHS[ENTRIES]),
        int32_table(context, FOUND, WIDTHS[FOUND]),
        int32_table(context, JOINED, WIDTHS[JOINED]),
        int64_view(context, COUNTS),
    )


@kernel
def table_of(context: Int64Array) -> StateTable:
    return StateTable(
        int32_table(context, STATES, WIDTHS[STATES]),
        int32_table(context, GOTOS, WIDTHS[GOTOS]),
        int32_table(context, ITEMS, WIDTHS[ITEMS]),
        int32_view(context, STATE_SLOTS),
        int32_table(context, SETS, WIDTHS[SETS]),
        int32_table(context, NAMES, WIDTHS[NAMES]),
        int32_view(context, SET_SLOTS),
        int32_table(context, GROUPS, WIDTHS[GROUPS]),
    )
