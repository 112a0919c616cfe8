"""Numba kernel that reads a text from configs."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.config_kernels import (
    FIRST_CONFIGS,
    INCOMPLETE,
    NO_ROOM,
    NUM_MISSING,
    move_configs,
    open_configs,
    step_configs,
)
from syntagma.grammar.kernel_types import (
    Int32Array,
    Int64Array,
    UInt8Array,
    kernel,
    lean_kernel,
)
from syntagma.grammar.lexer_arrays import LexerArrays
from syntagma.grammar.parser_arrays import ParserArrays
from syntagma.grammar.row_set_kernels import sort_rows


@lean_kernel
def _read(
    text: UInt8Array,
    lexer: LexerArrays,
    parser: ParserArrays,
    configs: Int32Array,
    count: int,
    born: Int32Array,
    missing: Int32Array,
    progress: Int64Array,
) -> int:
    """Put the configs after a text in place of the first ``count``; returns how many, or NO_ROOM."""
    for position in range(text.size):
        if count == 0:
            return 0
        opened = open_configs(lexer, parser, configs, 0, count, born, missing, progress)
        if opened == INCOMPLETE:
            return 0
        if opened == NO_ROOM:
            return NO_ROOM
        count = step_configs(lexer, configs, 0, opened, text[position])
        if count == NO_ROOM:
            return NO_ROOM
        move_configs(configs, opened, count, 0)
    sort_rows(configs, count)
    return count


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
    room = FIRST_CONFIGS + 3 * initial.shape[0]
    while True:
        configs = np.empty((room, 2), np.int32)
        born = np.empty(room, np.int32)
        num_missing = progress[NUM_MISSING]
        configs[: initial.shape[0]] = initial
        count = _read(text, lexer, parser, configs, initial.shape[0], born, missing, progress)
        if count != NO_ROOM:
            return configs[:count].copy()
        progress[NUM_MISSING] = num_missing
        room *= 2
