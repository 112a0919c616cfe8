"""The kernels of one decoding step, called with addresses of arrays (`array_context`).

They unpack what `walk_kernels` and `edge_kernels` take one by one. Places in a recognizer's context and in a
trie's come first.
"""

from __future__ import annotations

from syntagma.grammar.alive_kernels import NUM_COLUMNS as ALIVE_COLUMNS
from syntagma.grammar.alive_kernels import ChildTrie
from syntagma.grammar.array_context import (
    int32_table,
    int32_view,
    int64_view,
    uint8_table,
    uint8_view,
    uint64_table,
)
from syntagma.grammar.edge_kernels import differing_nodes
from syntagma.grammar.kernel_types import Int32Array, Int64Array, UInt8Array, kernel
from syntagma.grammar.lexer_arrays import LexerArrays
from syntagma.grammar.parser_arrays import NUM_COLUMNS, ParserArrays
from syntagma.grammar.walk_kernels import read_bytes, walk_tokens

# A recognizer's context: the members of LexerArrays and ParserArrays, then what is its own.
LEXER, ALIVE, PARSER, NODES, WIDE, MISSING, PROGRESS, CONFIGS = 0, 4, 5, 9, 10, 11, 12, 13
TOKEN_TEXT, TOKEN_START = 14, 15
CONTEXT_SIZE = 16
# A trie's context: the members of ChildTrie.

NO_ROOM_FOR_CONFIGS = -1


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
    return ParserArrays(
        int32_table(context, PARSER, NUM_COLUMNS),
        int32_view(context, PARSER + 1),
        int32_table(context, PARSER + 2, 2),
        int32_table(context, PARSER + 3, 3),
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
        int32_table(context, WIDE, 2),
        row,
        int32_view(context, MISSING),
        int64_view(context, PROGRESS),
    )


@kernel
def read(context: Int64Array, text: UInt8Array, initial: Int32Array) -> int:
    """`read_bytes` in a recognizer's context; the configs go to its array for them.

    Returns:
        How many there are, or NO_ROOM_FOR_CONFIGS less the number.
    """
    found = read_bytes(
        text,
        _lexer(context),
        _parser(context),
        initial,
        int32_view(context, MISSING),
        int64_view(context, PROGRESS),
    )
    count = found.shape[0]
    configs = int32_table(context, CONFIGS, 2)
    if count > configs.shape[0]:
        return NO_ROOM_FOR_CONFIGS - int(count)
    configs[:count] = found
    return int(count)


@kernel
def read_token(context: Int64Array, token_id: int, initial: Int32Array) -> int:
    """`read` for a token's text."""
    starts = int32_view(context, TOKEN_START)
    text = uint8_view(context, TOKEN_TEXT)[starts[token_id] : starts[token_id + 1]]
    count: int = read(context, text, initial)
    return count


@kernel
def part_from_base(
    context: Int64Array, trie: Int64Array, state: int, base: int, row: Int32Array
) -> int:
    """`differing_nodes` in a recognizer's and a trie's context."""
    nodes = int32_view(context, NODES)
    count: int = differing_nodes(_trie(trie), _lexer(context), state, base, row, nodes)
    return count
