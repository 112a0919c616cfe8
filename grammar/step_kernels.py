"""The kernels of one decoding step, called with addresses of arrays (`array_context`).

They unpack what `walk_kernels`, `read_kernels` and `edge_kernels` take one by one. Places in a recognizer's context and in a
trie's come first.
"""

from __future__ import annotations

from typing import Final

from syntagma.grammar.alive_kernels import KNOWLEDGE, NOT_KNOWN, ChildTrie, know_bytes
from syntagma.grammar.alive_kernels import NUM_COLUMNS as ALIVE_COLUMNS
from syntagma.grammar.array_context import (
    int32_table,
    int32_view,
    int64_view,
    uint8_table,
    uint8_view,
    uint64_table,
)
from syntagma.grammar.config_kernels import (
    HAS_DOUBTED,
    INCOMPLETE,
    MAY_END,
    NO_STATE,
    NUM_INCOMPLETE,
    NUM_MISSING,
    NUM_VISITED,
    NUM_WIDE,
    is_lowered,
    may_end,
    state_behind,
)
from syntagma.grammar.edge_kernels import differing_nodes
from syntagma.grammar.kernel_types import (
    Int32Array,
    Int64Array,
    UInt8Array,
    brief_kernel,
    kernel,
)
from syntagma.grammar.lexer_arrays import LexerArrays
from syntagma.grammar.lowering_arrays import GOTOS, LEXERS, MERGED, MERGES, STATES, WIDTHS
from syntagma.grammar.parser_arrays import (
    IS_DOUBTFUL,
    LEXER_END,
    LEXER_START,
    NUM_COLUMNS,
    ParserArrays,
)
from syntagma.grammar.read_kernels import read_bytes
from syntagma.grammar.store_entry import EXIT_SIZE, IS_READY, MAX_DEPTH, TERMINAL
from syntagma.grammar.walk_kernels import WIDE_COLUMNS, walk_tokens

# A recognizer's context: the members of LexerArrays, then what is its own.
LEXER: Final = 0
ALIVE: Final = 4
PARSER: Final = 5  # the addresses of the parser's context
NODES: Final = 6
WIDE: Final = 7
MISSING: Final = 8
PROGRESS: Final = 9
CONFIGS: Final = 10
TOKEN_TEXT: Final = 11
TOKEN_START: Final = 12
FIRST_BYTES: Final = 13
CONTEXT_SIZE: Final = 14
# A trie's context: the members of ChildTrie.

# Instead of a number of configs: the parser must do something first; less than that by n: no room for n.
SOME_MISSING: Final = -1

NO_WIDTH_LIMIT: Final = 1 << 62
# The row of a walk over more nodes than this is kept for other states with the same continuation.
LONG_WALK: Final = 300


@kernel
def _lexer(context: Int64Array) -> LexerArrays:
    return LexerArrays(
        int32_table(context, LEXER, 4),
        int32_view(context, LEXER + 1),
        uint8_table(context, LEXER + 2, 256),
        int32_view(context, LEXER + 3),
    )


@kernel
def _parser(context: Int64Array) -> ParserArrays:
    parser = int64_view(context, PARSER)
    return ParserArrays(
        int32_table(parser, STATES, NUM_COLUMNS),
        int32_view(parser, LEXERS),
        int32_table(parser, GOTOS, WIDTHS[GOTOS]),
        int32_table(parser, MERGES, WIDTHS[MERGED]),
        parser,
    )


@kernel
def _trie(context: Int64Array) -> ChildTrie:
    return ChildTrie(
        uint8_view(context, 0),
        int32_view(context, 1),
        int32_view(context, 2),
        int32_view(context, 3),
        int32_view(context, 4),
        uint8_view(context, 5),
        int32_view(context, 6),
    )


@kernel
def walk(
    context: Int64Array,
    trie: Int64Array,
    max_depth: int,
    initial: Int32Array,
    max_width: int,
    row: Int32Array,
) -> None:
    """`walk_tokens` in a recognizer's and a trie's context."""
    walk_tokens(
        _trie(trie),
        max_depth,
        int32_view(context, NODES),
        _lexer(context),
        uint64_table(context, ALIVE, ALIVE_COLUMNS),
        _parser(context),
        initial,
        max_width,
        int32_table(context, WIDE, WIDE_COLUMNS),
        row,
        int32_view(context, MISSING),
        int64_view(context, PROGRESS),
    )


@kernel
def walk_first(
    context: Int64Array,
    trie: Int64Array,
    max_depth: int,
    count: int,
    max_width: int,
    row: Int32Array,
) -> int:
    """`walk` from the root with the context's first configs.

    Returns:
        How many nodes are incomplete.
    """
    progress = int64_view(context, PROGRESS)
    int32_view(context, NODES)[0] = 0
    progress[NUM_INCOMPLETE] = 1
    walk(context, trie, max_depth, int32_table(context, CONFIGS, 2)[:count], max_width, row)
    return int(progress[NUM_INCOMPLETE])


@brief_kernel
def walk_root(
    context: Int64Array,
    trie: Int64Array,
    max_depth: int,
    count: int,
    max_width: int,
    row: Int32Array,
) -> int:
    """`walk_first` into a row that is cleared first."""
    row[:] = 0
    parser = _parser(context)
    configs = int32_table(context, CONFIGS, 2)
    progress = int64_view(context, PROGRESS)
    progress[NUM_WIDE] = 0
    progress[MAY_END] = 0
    progress[HAS_DOUBTED] = 0
    # What ends inside a terminal was decided when its parser state was lowered.
    for i in range(count):
        progress[HAS_DOUBTED] |= parser.states[configs[i, 0], IS_DOUBTFUL]
    num_incomplete: int = walk_first(context, trie, max_depth, count, max_width, row)
    return num_incomplete


@brief_kernel
def read(context: Int64Array, text: UInt8Array, count: int) -> int:
    """`read_bytes` from the first configs of a recognizer's context; those behind it take their place.

    Returns:
        How many there are, SOME_MISSING, or SOME_MISSING less their number if there is no room.
    """
    configs = int32_table(context, CONFIGS, 2)
    progress = int64_view(context, PROGRESS)
    found = read_bytes(
        text,
        _lexer(context),
        _parser(context),
        configs[:count],
        int32_view(context, MISSING),
        progress,
    )
    if progress[NUM_MISSING] > 0:
        return SOME_MISSING
    num_found = found.shape[0]
    if num_found > configs.shape[0]:
        return SOME_MISSING - int(num_found)
    configs[:num_found] = found
    return int(num_found)


@brief_kernel
def is_accepting(context: Int64Array, count: int) -> int:
    """`may_end` in the first configs of a recognizer's context: 1, 0 or SOME_MISSING."""
    found = may_end(
        _lexer(context),
        _parser(context),
        int32_table(context, CONFIGS, 2),
        count,
        int32_view(context, MISSING),
        int64_view(context, PROGRESS),
    )
    return SOME_MISSING if found == INCOMPLETE else found


@brief_kernel
def read_token(context: Int64Array, token_id: int, count: int) -> int:
    """`read` for a token's text; progress[MAY_END] becomes what `is_accepting` would say behind it."""
    starts = int32_view(context, TOKEN_START)
    text = uint8_view(context, TOKEN_TEXT)[starts[token_id] : starts[token_id + 1]]
    num_found: int = read(context, text, count)
    progress = int64_view(context, PROGRESS)
    if num_found > 0:
        progress[MAY_END] = is_accepting(context, num_found)
        # Nobody needs to know yet what that lacked.
        progress[NUM_MISSING] = 0
    return num_found


@brief_kernel
def begin_behind(context: Int64Array, parser_state: int, terminal: int) -> int:
    """Put the configs that begin behind a terminal in a recognizer's context, and their first bytes.

    Args:
        parser_state: the terminal ends here.
        terminal: its id.

    Returns:
        How many there are, SOME_MISSING, or SOME_MISSING less their number if there is no room.
        FIRST_BYTES has a bit for each byte with which some of them go on.
    """
    parser = _parser(context)
    lexer = _lexer(context)
    alive = uint64_table(context, ALIVE, ALIVE_COLUMNS)
    configs = int32_table(context, CONFIGS, 2)
    words = uint64_table(context, FIRST_BYTES, 4)
    progress = int64_view(context, PROGRESS)
    target = state_behind(parser, parser_state, terminal)
    if target == NO_STATE:
        return 0
    if not is_lowered(parser, target):
        int32_view(context, MISSING)[0] = target
        progress[NUM_MISSING] = 1
        return SOME_MISSING
    progress[HAS_DOUBTED] |= parser.states[target, IS_DOUBTFUL]
    first, last = parser.states[target, LEXER_START], parser.states[target, LEXER_END]
    count = int(last - first)
    if count > configs.shape[0]:
        return SOME_MISSING - count
    for w in range(4):
        words[0, w] = 0
    for s in range(first, last):
        state = parser.lexers[s]
        configs[s - first, 0] = target
        configs[s - first, 1] = state
        if alive[state, KNOWLEDGE] == NOT_KNOWN:
            know_bytes(lexer, alive, state)
        for w in range(4):
            words[0, w] |= alive[state, w]
    return count


@brief_kernel
def walk_exits(
    context: Int64Array, exits: Int64Array, first: int, parser_state: int, row: Int32Array
) -> int:
    """Add the tokens that leave a wide lexer state at some exits and go on behind them.

    Args:
        exits: `StoreEntry.table`; where a walk turns out long, its exit is no longer ready.
        first: the exit to begin with.
        parser_state: the terminals end here.
        row: int32[num_words], gets more bits.

    Returns:
        The exit that must be seen to first, or how many there are.
    """
    progress = int64_view(context, PROGRESS)
    num_exits = exits.size // EXIT_SIZE
    for number in range(first, num_exits):
        at = EXIT_SIZE * number
        if exits[at + IS_READY] == 0:
            return number
        count = begin_behind(context, parser_state, exits[at + TERMINAL])
        if count == 0:
            continue
        progress[NUM_VISITED] = 0
        trie = int64_view(exits, at // 2)
        if count < 0 or walk_first(
            context, trie, exits[at + MAX_DEPTH], count, NO_WIDTH_LIMIT, row
        ):
            progress[NUM_MISSING] = 0
            return number
        if progress[NUM_VISITED] > LONG_WALK:
            exits[at + IS_READY] = 0
    return num_exits


@kernel
def part_from_base(
    context: Int64Array, trie: Int64Array, state: int, base: int, row: Int32Array
) -> int:
    """`differing_nodes` in a recognizer's and a trie's context."""
    nodes = int32_view(context, NODES)
    count: int = differing_nodes(_trie(trie), _lexer(context), state, base, row, nodes)
    return count
