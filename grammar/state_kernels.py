"""Numba kernels that lower, find and merge parser states (see `parser`).

They do it as far as all they need is known: the moves of positions, and the lexers that run a set of
terminals. So a walk that comes to known positions on new stacks goes on without asking anybody.
"""

from __future__ import annotations

from syntagma.grammar.array_context import int32_table
from syntagma.grammar.kernel_types import Int32Array, Int64Array, brief_kernel, lean_kernel
from syntagma.grammar.lowering_arrays import (
    ASKED,
    ASKED_SLOT,
    CATCHES,
    END_FOUND,
    FIRST_LEXER,
    FLAGS_FOUND,
    GOTOS,
    GROUPS,
    HAS_DOUBTS,
    ITEMS,
    JOINED,
    LAST_LEXER,
    MERGED,
    MERGES,
    NAME,
    NUM_ARENAS,
    NUM_FOUND,
    PLACE,
    STATES,
    STOPS_AT_TEXTS,
    WIDTHS,
    StateTable,
    Work,
    has_room,
    rules_of,
    stacks_of,
    table_of,
    work_of,
)
from syntagma.grammar.lowering_kernels import (
    ASKS_FOR_LEXERS,
    CATCHES_TEXT,
    DONE,
    NO_ROOM,
    add_pairs,
    collect,
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
    NOT_MERGED,
    enter_merge,
    merged_state,
)
from syntagma.grammar.row_set_kernels import slot_of, sort_rows, without_doubles


@lean_kernel
def intern_state(
    states: Int32Array,
    items: Int32Array,
    slots: Int32Array,
    counts: Int64Array,
    rows: Int32Array,
    first: int,
    count: int,
    column: int,
) -> int:
    """The state of some (position, stack) pairs, which are sorted; the caller has seen to the room."""
    slot = slot_of(rows, first, count, column, 2, states, items, slots)
    known: int = slots[slot]
    if known != EMPTY:
        return known
    number = counts[STATES]
    begin = counts[ITEMS]
    for i in range(count):
        items[begin + i, 0] = rows[first + i, column]
        items[begin + i, 1] = rows[first + i, column + 1]
    states[number, FIRST_PAIR] = begin
    states[number, LAST_PAIR] = begin + count
    states[number, LEXER_START] = NOT_LOWERED
    counts[STATES] = number + 1
    counts[ITEMS] = begin + count
    slots[slot] = number
    added: int = number
    return added


@lean_kernel
def finish(table: StateTable, work: Work, state: int) -> int:
    """Enter what was found for a state: the lexers it runs and the state behind each terminal.

    Returns:
        DONE, NO_ROOM, or ASKS_FOR_LEXERS of the terminals in ``groups``, as many as ``counts[ASKED]``; they
        belong at the slot ``counts[ASKED_SLOT]`` of the sets.
    """
    counts = work.counts
    found = work.found
    groups = table.groups
    sort_rows(found, counts[NUM_FOUND])
    num_found = without_doubles(found, counts[NUM_FOUND])
    counts[NUM_FOUND] = num_found
    if not has_room(counts, NUM_ARENAS, GROUPS, num_found + 1, groups.shape[0]):
        return NO_ROOM
    num_groups = 0
    for i in range(num_found):
        if i == 0 or found[i, 0] != found[i - 1, 0]:
            groups[num_groups, 0] = found[i, 0]
            groups[num_groups, 1] = i
            num_groups += 1
    groups[num_groups, 1] = num_found
    states = table.states
    first_goto = counts[GOTOS]
    first_lexer = last_lexer = 0
    if num_groups > 0:
        slot = slot_of(groups, 0, num_groups, 0, 1, table.sets, table.names, table.set_slots)
        number = table.set_slots[slot]
        if number == EMPTY:
            counts[ASKED] = num_groups
            counts[ASKED_SLOT] = slot
            return ASKS_FOR_LEXERS
        has_states = has_room(
            counts, NUM_ARENAS, STATES, counts[STATES] + num_groups, states.shape[0]
        )
        has_items = has_room(
            counts, NUM_ARENAS, ITEMS, counts[ITEMS] + num_found, table.items.shape[0]
        )
        has_gotos = has_room(
            counts, NUM_ARENAS, GOTOS, first_goto + num_groups, table.gotos.shape[0]
        )
        if not has_states or not has_items or not has_gotos:
            return NO_ROOM
        names = table.sets[number, FIRST_PAIR]
        for i in range(num_groups):
            place = table.names[names + i, PLACE]
            first = groups[place, 1]
            count = groups[place + 1, 1] - first
            table.gotos[first_goto + i, 0] = table.names[names + i, NAME]
            table.gotos[first_goto + i, 1] = intern_state(
                states, table.items, table.slots, counts, found, first, count, 1
            )
        first_lexer, last_lexer = table.sets[number, FIRST_LEXER], table.sets[number, LAST_LEXER]
    counts[GOTOS] = first_goto + num_groups
    states[state, LEXER_END] = last_lexer
    states[state, GOTO_START] = first_goto
    states[state, GOTO_END] = first_goto + num_groups
    states[state, IS_DOUBTFUL] = counts[FLAGS_FOUND] & HAS_DOUBTS != 0
    states[state, CAN_END] = counts[END_FOUND]
    # Written last: whoever sees it may rely on the rest.
    states[state, LEXER_START] = first_lexer
    return DONE


@lean_kernel
def merge(
    table: StateTable,
    merged: Int32Array,
    merges: Int32Array,
    work: Work,
    first: int,
    second: int,
) -> int:
    """The state that goes on as either of two states does, entered for `merged_state`; or NO_ROOM."""
    known = merged_state(merges, first, second)
    if known != NOT_MERGED:
        return known
    counts = work.counts
    states = table.states
    joined = work.joined
    size = 0
    for state in (first, second):
        size = add_pairs(counts, JOINED, joined, size, states, table.items, state)
        if size < 0:
            return NO_ROOM
    has_states = has_room(counts, NUM_ARENAS, STATES, counts[STATES] + 1, states.shape[0])
    has_items = has_room(counts, NUM_ARENAS, ITEMS, counts[ITEMS] + size, table.items.shape[0])
    number = counts[MERGED]
    has_merges = has_room(counts, NUM_ARENAS, MERGED, number + 1, merged.shape[0])
    if not has_states or not has_items or not has_merges:
        return NO_ROOM
    sort_rows(joined, size)
    size = without_doubles(joined, size)
    target = intern_state(states, table.items, table.slots, counts, joined, 0, size, 0)
    merged[number, 0] = min(first, second)
    merged[number, 1] = max(first, second)
    merged[number, 2] = target
    counts[MERGED] = number + 1
    enter_merge(merges, merged, number)
    return target


@brief_kernel
def lower_state(context: Int64Array, state: int) -> int:
    """Lower a state in a parser's context: `collect`, then `finish` unless a caught text is in the way."""
    table = table_of(context)
    work = work_of(context)
    status = collect(table.states, table.items, state, rules_of(context), stacks_of(context), work)
    if status != DONE:
        return status
    if work.counts[STOPS_AT_TEXTS] != 0 and work.counts[FLAGS_FOUND] & CATCHES != 0:
        return CATCHES_TEXT
    return finish(table, work, state)


@brief_kernel
def finish_state(context: Int64Array, state: int) -> int:
    """`finish` in a parser's context."""
    return finish(table_of(context), work_of(context), state)


@brief_kernel
def merge_states(context: Int64Array, first: int, second: int) -> int:
    """`merge` in a parser's context."""
    merged = int32_table(context, MERGED, WIDTHS[MERGED])
    merges = int32_table(context, MERGES, WIDTHS[MERGED])
    return merge(table_of(context), merged, merges, work_of(context), first, second)


@brief_kernel
def find_state(context: Int64Array, items: Int32Array) -> int:
    """The state of (position, stack) pairs in a parser's context, or NO_ROOM.

    Args:
        items: int32[N, 2], N > 0; they get sorted.
    """
    table = table_of(context)
    work = work_of(context)
    counts = work.counts
    size = items.shape[0]
    has_states = has_room(counts, NUM_ARENAS, STATES, counts[STATES] + 1, table.states.shape[0])
    has_items = has_room(counts, NUM_ARENAS, ITEMS, counts[ITEMS] + size, table.items.shape[0])
    if not has_states or not has_items:
        return NO_ROOM
    sort_rows(items, size)
    size = without_doubles(items, size)
    return intern_state(table.states, table.items, table.slots, counts, items, 0, size, 0)
