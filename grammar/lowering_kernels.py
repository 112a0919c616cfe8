"""Numba kernels that find out what parser states read (see `parser`), as far as the moves of positions are known.

Moves are worked out elsewhere, once for each position, and entered. A kernel that meets a position whose
moves are not there yet says so, and begins anew when they are.
"""

from __future__ import annotations

from typing import Final

from syntagma.grammar.kernel_types import Int32Array, Int64Array, lean_kernel
from syntagma.grammar.lowering_arrays import (
    ASKED,
    BACK,
    BEFORE,
    BELOW,
    CALLERS,
    END_FOUND,
    ENTRIES,
    ENTRY,
    ENTRY_NUMBER,
    FIRST_CALL,
    FIRST_READ,
    FLAGS,
    FLAGS_FOUND,
    FOUND,
    IS_END,
    JOINED,
    LAST_CALLER,
    LAST_MOVE,
    NO_CALLER,
    NO_ENTRY,
    NOT_KNOWN,
    NUM_ARENAS,
    NUM_CALLERS,
    NUM_ENTRIES,
    NUM_FOUND,
    NUM_REACHED,
    OUTPUT_ENDS,
    REACHED,
    READY,
    TO_COME,
    WAS_POPPED,
    Rules,
    StackArrays,
    Work,
    has_room,
)
from syntagma.grammar.moves import TAIL
from syntagma.grammar.parser_arrays import FIRST_PAIR, LAST_PAIR
from syntagma.grammar.row_set_kernels import sort_rows, without_doubles
from syntagma.grammar.stack_kernels import stack_of_joined

# What a kernel returns: done, or what must be done first.
DONE: Final = 0
NO_ROOM: Final = -1
ASKS_FOR_MOVES: Final = -2
ASKS_FOR_LEXERS: Final = -3
CATCHES_TEXT: Final = -4
IS_ENDLESS: Final = -5


@lean_kernel
def add_pairs(
    counts: Int64Array,
    arena: int,
    rows: Int32Array,
    size: int,
    sets: Int32Array,
    members: Int32Array,
    number: int,
) -> int:
    """Write a set's pairs behind the first ``size`` rows of an arena; how many there are then, or NO_ROOM."""
    first, last = sets[number, FIRST_PAIR], sets[number, LAST_PAIR]
    if not has_room(counts, NUM_ARENAS, arena, size + last - first, rows.shape[0]):
        return NO_ROOM
    for i in range(first, last):
        rows[size, 0] = members[i, 0]
        rows[size, 1] = members[i, 1]
        size += 1
    return size


@lean_kernel
def _is_known(rules: Rules, counts: Int64Array, position: int) -> bool:
    """Whether a position's moves are entered; if not, they are asked for."""
    if position < rules.moves.shape[0] and rules.moves[position, FIRST_READ] != NOT_KNOWN:
        return True
    counts[ASKED] = position
    return False


@lean_kernel
def _return_from(rules: Rules, stack: StackArrays, work: Work) -> int:
    """Add the pairs that are reached by returning; from each stack once, that is all its frames at once."""
    counts = work.counts
    reached = work.reached
    at = 0
    while at < counts[NUM_REACHED]:
        position = reached[at, 0]
        below = reached[at, 1]
        at += 1
        if not _is_known(rules, counts, position):
            return ASKS_FOR_MOVES
        if rules.moves[position, FLAGS] & IS_END == 0 or stack.stacks[below, WAS_POPPED] == 1:
            continue
        stack.stacks[below, WAS_POPPED] = 1
        first, last = stack.stacks[below, FIRST_PAIR], stack.stacks[below, LAST_PAIR]
        size = counts[NUM_REACHED]
        if not has_room(counts, NUM_ARENAS, REACHED, size + last - first, reached.shape[0]):
            return NO_ROOM
        for f in range(first, last):
            if stack.frames[f, 0] == OUTPUT_ENDS:
                counts[END_FOUND] = 1
                continue
            reached[size, 0] = stack.frames[f, 0]
            reached[size, 1] = stack.frames[f, 1]
            size += 1
        counts[NUM_REACHED] = size
    return DONE


@lean_kernel
def _entry_number(rules: Rules, work: Work, entry: int) -> int:
    """The number of a rule that is called while a state is lowered, by its entry."""
    counts = work.counts
    if not _is_known(rules, counts, entry):
        return ASKS_FOR_MOVES
    number: int = rules.moves[entry, ENTRY_NUMBER]
    if number == NO_ENTRY:
        number = counts[NUM_ENTRIES]
        if not has_room(counts, NUM_ARENAS, ENTRIES, number + 1, work.entries.shape[0]):
            return NO_ROOM
        rules.moves[entry, ENTRY_NUMBER] = number
        work.entries[number, ENTRY] = entry
        work.entries[number, TO_COME] = 0
        work.entries[number, LAST_CALLER] = NO_CALLER
        counts[NUM_ENTRIES] = number + 1
    return number


@lean_kernel
def _follow(rules: Rules, work: Work, position: int, below: int) -> int:
    """Add what a position on a stack reads and calls."""
    counts = work.counts
    first, last = rules.moves[position, FIRST_READ], rules.moves[position, FIRST_CALL]
    size = counts[NUM_FOUND]
    if not has_room(counts, NUM_ARENAS, FOUND, size + last - first, work.found.shape[0]):
        return NO_ROOM
    for t in range(first, last):
        work.found[size, 0] = rules.targets[t, 0]
        work.found[size, 1] = rules.targets[t, 1]
        work.found[size, 2] = below
        size += 1
    counts[NUM_FOUND] = size
    counts[FLAGS_FOUND] |= rules.moves[position, FLAGS]
    end = rules.moves[position, LAST_MOVE]
    size = counts[NUM_CALLERS]
    if not has_room(counts, NUM_ARENAS, CALLERS, size + end - last, work.callers.shape[0]):
        return NO_ROOM
    for c in range(last, end):
        number = _entry_number(rules, work, rules.targets[c, 0])
        if number < 0:
            return number
        work.callers[size, BACK] = rules.targets[c, 1]
        work.callers[size, BELOW] = below
        work.callers[size, BEFORE] = work.entries[number, LAST_CALLER]
        work.entries[number, LAST_CALLER] = size
        size += 1
        counts[NUM_CALLERS] = size
    return DONE


@lean_kernel
def _stack_for(stack: StackArrays, work: Work, number: int) -> int:
    """The stack of a rule that is called, or goes on in place of a caller, in one place or several."""
    counts = work.counts
    caller = work.entries[number, LAST_CALLER]
    is_alone = work.callers[caller, BEFORE] == NO_CALLER
    joined = work.joined
    if is_alone:
        below: int = work.callers[caller, BELOW]
        if work.callers[caller, BACK] == TAIL:
            return below
        joined[0, 0] = work.callers[caller, BACK]
        joined[0, 1] = below
        return stack_of_joined(stack, joined, 1)
    size = 0
    while caller != NO_CALLER:
        below = work.callers[caller, BELOW]
        if work.callers[caller, BACK] == TAIL:
            size = add_pairs(counts, JOINED, joined, size, stack.stacks, stack.frames, below)
            if size < 0:
                return NO_ROOM
        else:
            if not has_room(counts, NUM_ARENAS, JOINED, size + 1, joined.shape[0]):
                return NO_ROOM
            joined[size, 0] = work.callers[caller, BACK]
            joined[size, 1] = below
            size += 1
        caller = work.callers[caller, BEFORE]
    sort_rows(joined, size)
    return stack_of_joined(stack, joined, without_doubles(joined, size))


@lean_kernel
def _call(rules: Rules, stack: StackArrays, work: Work) -> int:
    """Begin the called rules, and those that they begin with, each when all callers are known."""
    counts = work.counts
    entries = work.entries
    found = 0
    while found < counts[NUM_ENTRIES]:
        entry = entries[found, ENTRY]
        for c in range(rules.moves[entry, FIRST_CALL], rules.moves[entry, LAST_MOVE]):
            number = _entry_number(rules, work, rules.targets[c, 0])
            if number < 0:
                return number
            entries[number, TO_COME] += 1
        found += 1
    num_ready = 0
    for number in range(found):
        if entries[number, TO_COME] == 0:
            entries[num_ready, READY] = number
            num_ready += 1
    done = 0
    while done < num_ready:
        number = entries[done, READY]
        below = _stack_for(stack, work, number)
        if below < 0:
            return below
        entry = entries[number, ENTRY]
        status = _follow(rules, work, entry, below)
        if status != DONE:
            return status
        for c in range(rules.moves[entry, FIRST_CALL], rules.moves[entry, LAST_MOVE]):
            callee = rules.moves[rules.targets[c, 0], ENTRY_NUMBER]
            entries[callee, TO_COME] -= 1
            if entries[callee, TO_COME] == 0:
                entries[num_ready, READY] = callee
                num_ready += 1
        done += 1
    return DONE if done == found else IS_ENDLESS


@lean_kernel
def _collect(
    states: Int32Array,
    items: Int32Array,
    state: int,
    rules: Rules,
    stack: StackArrays,
    work: Work,
) -> int:
    counts = work.counts
    size = add_pairs(counts, REACHED, work.reached, 0, states, items, state)
    if size < 0:
        return NO_ROOM
    counts[NUM_REACHED] = size
    status = _return_from(rules, stack, work)
    if status != DONE:
        return status
    for i in range(counts[NUM_REACHED]):
        status = _follow(rules, work, work.reached[i, 0], work.reached[i, 1])
        if status != DONE:
            return status
    if counts[NUM_ENTRIES] == 0:
        return DONE
    status = _call(rules, stack, work)
    return status


@lean_kernel
def collect(
    states: Int32Array,
    items: Int32Array,
    state: int,
    rules: Rules,
    stack: StackArrays,
    work: Work,
) -> int:
    """Find what a state reads: ``work.found``, and what else is to be known of it among the counts.

    Returns:
        DONE, NO_ROOM, ASKS_FOR_MOVES of the position in ``counts[ASKED]``, or IS_ENDLESS.
    """
    counts = work.counts
    for place in range(NUM_REACHED, ASKED):
        counts[place] = 0
    status = _collect(states, items, state, rules, stack, work)
    for i in range(counts[NUM_REACHED]):
        stack.stacks[work.reached[i, 1], WAS_POPPED] = 0
    for number in range(counts[NUM_ENTRIES]):
        rules.moves[work.entries[number, ENTRY], ENTRY_NUMBER] = NO_ENTRY
    return status
