"""Numba kernels that walk tries with parser configs.

A *config* is a parser state and a lexer state; a matcher state is a set of configs. Reading a byte
moves the lexer; where a terminal is complete, the byte may instead begin the next terminal, in the
parser states behind the complete one. So configs are *opened* before a byte is read: those that begin
behind complete terminals join them. Because grammars are pruned, whatever is alive can be completed, so a
token is allowed exactly when a config survives its last byte.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from syntagma.grammar.alive_kernels import ChildTrie, has_byte, is_wide, know_bytes
from syntagma.grammar.bitmask_kernels import set_bit
from syntagma.grammar.kernel_types import (
    Int32Array,
    Int64Array,
    UInt8Array,
    UInt64Array,
    inlined_kernel,
    kernel,
)
from syntagma.grammar.lexer_arrays import ACCEPTS, DEAD_STATE, LexerArrays, next_state
from syntagma.grammar.parser_arrays import (
    CAN_END,
    GOTO_END,
    GOTO_START,
    LEXER_END,
    LEXER_START,
    LOWEST,
    NOT_LOWERED,
    NOT_MERGED,
    ParserArrays,
    merged_state,
)

FIRST_CONFIGS: Final = 64
NO_ROOM: Final = -1
INCOMPLETE: Final = -2

# More parser states than these that begin behind one byte go on as one, or an ambiguous grammar's
# configs would multiply with every byte.
MERGE_ABOVE: Final = 4

# Fewer children are tried one by one.
MANY_CHILDREN: Final = 3

# Places in the array of a walk's progress.
NUM_MISSING: Final = 0
LOWEST_MET: Final = 1
NUM_INCOMPLETE: Final = 2
NUM_WIDE: Final = 3
MAY_END: Final = 4
NUM_VISITED: Final = 5
NUM_BORN: Final = 6
NUM_NARROW: Final = 7
PROGRESS_SIZE: Final = 8
TOO_MANY: Final = -1

# Columns of a walk's levels: the configs of the node that is open there, and its children to come.
BEGIN, END, NEXT, LAST = range(4)


@kernel
def _first_goto(parser: ParserArrays, parser_state: int, terminal: int) -> int:
    """The first of a parser state's moves, which are sorted, that is not below a terminal."""
    low: int = parser.states[parser_state, GOTO_START]
    high: int = parser.states[parser_state, GOTO_END]
    while low < high:
        middle = (low + high) >> 1
        if parser.gotos[middle, 0] < terminal:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _report(missing: Int32Array, progress: Int64Array, states: Int32Array, count: int) -> None:
    """Note states that must be merged: minus their number, then the states, as many as there is room."""
    room = missing.size - progress[NUM_MISSING]
    count = min(count, room - 1)
    if count < 2:
        return
    at = progress[NUM_MISSING]
    missing[at] = -count
    missing[at + 1 : at + 1 + count] = states[:count]
    progress[NUM_MISSING] += 1 + count


@kernel
def _merge_born(
    parser: ParserArrays, born: Int32Array, num_born: int, missing: Int32Array, progress: Int64Array
) -> int:
    """Merge the parser states that begin behind one byte into the first; 1, or 0 if that is to come."""
    born[:num_born].sort()
    for i in range(1, num_born):
        result = merged_state(parser, born[0], born[i])
        if result == NOT_MERGED:
            born[i - 1] = born[0]
            _report(missing, progress, born[i - 1 :], num_born - i + 1)
            return 0
        born[0] = result
    return 1


@inlined_kernel
def _open(
    lexer: LexerArrays,
    parser: ParserArrays,
    configs: Int32Array,
    begin: int,
    end: int,
    born: Int32Array,
    missing: Int32Array,
    progress: Int64Array,
) -> int:
    """Write the configs that begin behind complete terminals behind ``end``.

    Returns:
        Where they end, NO_ROOM, or INCOMPLETE if parser states are missing. ``born`` gets the
        parser states behind the terminals, progress[NUM_BORN] how many.
    """
    num_born = 0
    is_incomplete = False
    for i in range(begin, end):
        listed = lexer.states[configs[i, 1], ACCEPTS]
        for a in range(listed + 1, listed + 1 + lexer.accepts[listed]):
            g = _first_goto(parser, configs[i, 0], lexer.accepts[a])
            if (
                g == parser.states[configs[i, 0], GOTO_END]
                or parser.gotos[g, 0] != lexer.accepts[a]
            ):
                continue
            is_new = True
            for b in range(num_born):
                if born[b] == parser.gotos[g, 1]:
                    is_new = False
                    break
            if is_new:
                if num_born == born.size:
                    return NO_ROOM
                born[num_born] = parser.gotos[g, 1]
                num_born += 1
    if num_born > MERGE_ABOVE:
        num_born = _merge_born(parser, born, num_born, missing, progress)
        is_incomplete = num_born == 0
    opened = end
    for b in range(num_born):
        target = born[b]
        first = parser.states[target, LEXER_START]
        if first == NOT_LOWERED:
            is_incomplete = True
            if progress[NUM_MISSING] < missing.size:
                missing[progress[NUM_MISSING]] = target
                progress[NUM_MISSING] += 1
            continue
        progress[LOWEST_MET] = min(progress[LOWEST_MET], parser.states[target, LOWEST])
        last = parser.states[target, LEXER_END]
        if opened + last - first > configs.shape[0]:
            return NO_ROOM
        for s in range(first, last):
            configs[opened, 0] = target
            configs[opened, 1] = parser.lexers[s]
            opened += 1
    progress[NUM_BORN] = num_born
    return INCOMPLETE if is_incomplete else opened


@inlined_kernel
def _step(lexer: LexerArrays, configs: Int32Array, begin: int, end: int, byte: int) -> int:
    """Write the configs after one byte behind ``end``; returns how many, or NO_ROOM.

    Args:
        begin, end: opened configs.
    """
    if 2 * end - begin > configs.shape[0]:
        return NO_ROOM
    after_last = end
    for i in range(begin, end):
        after = next_state(lexer, configs[i, 1], byte)
        if after == DEAD_STATE:
            continue
        is_new = True
        for k in range(end, after_last):
            if configs[k, 1] == after and configs[k, 0] == configs[i, 0]:
                is_new = False
                break
        if is_new:
            configs[after_last, 0] = configs[i, 0]
            configs[after_last, 1] = after
            after_last += 1
    return after_last - end


@kernel
def _without_wide(
    trie: ChildTrie,
    lexer: LexerArrays,
    alive: UInt64Array,
    configs: Int32Array,
    count: int,
    max_width: int,
    wide: Int32Array,
    progress: Int64Array,
) -> int:
    """Move the configs that lead to more than ``max_width`` nodes to ``wide``; returns how many stay."""
    progress[NUM_WIDE] = 0
    if max_width >= trie.byte.size:
        # Nothing is that wide; and what is wide is remembered for one trie, the vocabulary's.
        return count
    kept = 0
    num_wide = 0
    for i in range(count):
        if num_wide < wide.shape[0] and is_wide(trie, lexer, alive, configs[i, 1], max_width):
            wide[num_wide] = configs[i]
            num_wide += 1
        else:
            configs[kept] = configs[i]
            kept += 1
    progress[NUM_WIDE] = num_wide
    return kept


@kernel
def _allowed_bytes(
    lexer: LexerArrays,
    alive: UInt64Array,
    configs: Int32Array,
    begin: int,
    end: int,
    allowed: UInt64Array,
    level: int,
) -> None:
    """Collect the bytes with which some opened configs go on."""
    allowed[level] = 0
    for i in range(begin, end):
        state = configs[i, 1]
        know_bytes(lexer, alive, state)
        for w in range(4):
            allowed[level, w] |= alive[state, w]


@kernel
def _walk_below(
    trie: ChildTrie,
    top: int,
    nodes: Int32Array,
    num_incomplete: int,
    lexer: LexerArrays,
    alive: UInt64Array,
    parser: ParserArrays,
    initial: Int32Array,
    max_width: int,
    wide: Int32Array,
    configs: Int32Array,
    born: Int32Array,
    levels: Int64Array,
    allowed: UInt64Array,
    row: Int32Array,
    missing: Int32Array,
    progress: Int64Array,
) -> int:
    """Walk one node and what is below it; returns how many nodes are incomplete by now, or NO_ROOM."""
    count = initial.shape[0]
    configs[:count] = initial
    node = 0
    while count > 0 and node != top:
        opened = _open(lexer, parser, configs, 0, count, born, missing, progress)
        if opened < 0:
            return NO_ROOM
        if node == 0:
            opened = _without_wide(trie, lexer, alive, configs, opened, max_width, wide, progress)
        child = node + 1
        while trie.subtree_end[child] <= top:
            child = trie.subtree_end[child]
        count = _step(lexer, configs, 0, opened, trie.byte[child])
        if count == NO_ROOM:
            return NO_ROOM
        for i in range(count):
            configs[i] = configs[opened + i]
        node = child
    level = 0 if count > 0 else -1
    levels[0, BEGIN] = 0
    levels[0, END] = count
    is_new = True
    while level >= 0:
        if is_new:
            opened = _open(
                lexer,
                parser,
                configs,
                levels[level, BEGIN],
                levels[level, END],
                born,
                missing,
                progress,
            )
            if opened == NO_ROOM:
                return NO_ROOM
            is_new = False
            if opened == INCOMPLETE:
                if num_incomplete < nodes.size:
                    nodes[num_incomplete] = node
                num_incomplete += 1
                level -= 1
                continue
            progress[NUM_VISITED] += 1
            if node == 0:
                progress[MAY_END] = 0
                for b in range(progress[NUM_BORN]):
                    progress[MAY_END] |= parser.states[born[b], CAN_END]
                opened = _without_wide(
                    trie, lexer, alive, configs, opened, max_width, wide, progress
                )
                progress[NUM_NARROW] = opened
            levels[level, END] = opened
            levels[level, NEXT] = trie.child_start[node]
            levels[level, LAST] = trie.child_start[node + 1]
            if levels[level, LAST] - levels[level, NEXT] > MANY_CHILDREN:
                _allowed_bytes(lexer, alive, configs, levels[level, BEGIN], opened, allowed, level)
            else:
                allowed[level] = ~np.uint64(0)
            continue
        place = levels[level, NEXT]
        if place == levels[level, LAST]:
            level -= 1
            continue
        levels[level, NEXT] = place + 1
        byte = trie.child_byte[place]
        if not has_byte(allowed, level, byte):
            continue
        last = levels[level, END]
        count = _step(lexer, configs, levels[level, BEGIN], last, byte)
        if count == NO_ROOM:
            return NO_ROOM
        if count == 0:
            continue
        node = trie.child_node[place]
        for t in range(trie.token_start[node], trie.token_start[node + 1]):
            set_bit(row, trie.token_ids[t])
        if trie.subtree_end[node] > node + 1:
            level += 1
            levels[level, BEGIN] = last
            levels[level, END] = last + count
            is_new = True
    return num_incomplete


@kernel
def walk_tokens(
    trie: ChildTrie,
    max_depth: int,
    nodes: Int32Array,
    lexer: LexerArrays,
    alive: UInt64Array,
    parser: ParserArrays,
    initial: Int32Array,
    max_width: int,
    wide: Int32Array,
    row: Int32Array,
    missing: Int32Array,
    progress: Int64Array,
) -> None:
    """Allow the tokens that configs at the root of a trie can read.

    Where the parser has not gone yet the walk leaves the subtree out and reports its node, so that
    another walk, when the parser is ready, need only look there.

    Args:
        trie: the trie, ``max_depth`` deep.
        nodes: int32[N], ascending; only these and what is below them are walked. Gets the nodes that
            are incomplete, as many as it has room for.
        alive: uint64[S, 5], what is known of lexer states (`alive_kernels`); gets more.
        initial: int32[K, 2], the configs at the root.
        max_width: configs at the root from which a walk would visit more nodes of the trie than this
            are left out and reported.
        wide: int32[W, 2], gets those configs, as many as it has room for; no more are left out.
        row: int32[words], gets a bit for each surviving token.
        missing: int32[M], gets what the parser must do before the walk is complete: states that
            are not lowered yet, and groups to merge (minus their number, then the states).
        progress: int64[8]. [NUM_MISSING] must be 0 and becomes how much of ``missing`` is in use;
            [LOWEST_MET] is lowered to the lowest height at which a parser state met looked at its
            stack; [NUM_INCOMPLETE] is how many of ``nodes`` to walk, none below an incomplete one, and
            becomes how many are incomplete, or TOO_MANY; [NUM_WIDE] becomes how many configs are left
            out; if the root is walked, [NUM_NARROW] how many are not, and [MAY_END] whether the output may
            end behind a terminal that is complete there; [NUM_VISITED] grows by the nodes at which configs were opened.
    """
    configs = np.empty((FIRST_CONFIGS + 3 * initial.shape[0], 2), np.int32)
    born = np.empty(configs.shape[0], np.int32)
    levels = np.empty((max_depth + 2, 4), np.int64)
    allowed = np.empty((max_depth + 2, 4), np.uint64)
    num_nodes = progress[NUM_INCOMPLETE]
    tops = nodes[:num_nodes].copy()
    num_incomplete = 0
    done_until = 0
    for top in tops:
        if top < done_until:
            continue
        done_until = trie.subtree_end[top]
        found = NO_ROOM
        while found == NO_ROOM:
            found = _walk_below(
                trie,
                top,
                nodes,
                num_incomplete,
                lexer,
                alive,
                parser,
                initial,
                max_width,
                wide,
                configs,
                born,
                levels,
                allowed,
                row,
                missing,
                progress,
            )
            if found == NO_ROOM:
                configs = np.empty((2 * configs.shape[0], 2), np.int32)
                born = np.empty(configs.shape[0], np.int32)
        num_incomplete = found
    progress[NUM_INCOMPLETE] = num_incomplete if num_incomplete <= nodes.size else TOO_MANY


@kernel
def read_bytes(
    text: UInt8Array,
    lexer: LexerArrays,
    parser: ParserArrays,
    initial: Int32Array,
    missing: Int32Array,
    progress: Int64Array,
) -> Int32Array:
    """The configs after a text, int32[C, 2], ascending; none if it cannot be read or all is not known.

    Args:
        initial: int32[K, 2], configs to start in.
        missing, progress: as in `walk_tokens`.
    """
    configs = np.empty((FIRST_CONFIGS + 3 * initial.shape[0], 2), np.int32)
    born = np.empty(configs.shape[0], np.int32)
    count = initial.shape[0]
    configs[:count] = initial
    position = 0
    while position < text.size and count > 0:
        opened = _open(lexer, parser, configs, 0, count, born, missing, progress)
        if opened == INCOMPLETE:
            count = 0
            break
        if opened != NO_ROOM:
            after = _step(lexer, configs, 0, opened, text[position])
        if opened == NO_ROOM or after == NO_ROOM:
            bigger = np.empty((2 * configs.shape[0], 2), np.int32)
            bigger[:count] = configs[:count]
            configs = bigger
            born = np.empty(configs.shape[0], np.int32)
            continue
        for i in range(after):
            configs[i] = configs[opened + i]
        count = after
        position += 1
    for i in range(1, count):
        k = i
        while k > 0 and (
            configs[k - 1, 0] > configs[k, 0]
            or (configs[k - 1, 0] == configs[k, 0] and configs[k - 1, 1] > configs[k, 1])
        ):
            for column in range(2):
                other = configs[k, column]
                configs[k, column] = configs[k - 1, column]
                configs[k - 1, column] = other
            k -= 1
    return configs[:count].copy()
