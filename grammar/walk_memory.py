"""The arrays that walks work with: one set for each thread, whichever grammar it walks for.

With a set for each grammar, every row of a batch of many grammars found some twenty lines of memory cold that have
nothing to do with its grammar; a miss takes as long as a hundred instructions.
"""

from __future__ import annotations

import threading
from typing import Final

import numpy as np

from syntagma.grammar.array_context import ArrayContext
from syntagma.grammar.config_kernels import NUM_MISSING, PROGRESS_SIZE
from syntagma.grammar.kernel_types import Int32Array, UInt8Array, UInt64Array
from syntagma.grammar.lexer_arrays import LexerArrays
from syntagma.grammar.matcher_state import CONFIG
from syntagma.grammar.step_kernels import (
    ALIVE,
    CONFIGS,
    CONTEXT_SIZE,
    FIRST_BYTES,
    LEXER,
    NODES,
    PARSER,
    TOKEN_TEXT,
)
from syntagma.grammar.walk_kernels import WIDE_COLUMNS

MAX_MISSING: Final = 256
MAX_INCOMPLETE: Final = 1024
MAX_WIDE: Final = 1024
FIRST_ROOM: Final = 64


class WalkMemory:
    """Arrays to walk with, in a context for kernels; for one thread and one walk at a time.

    Attributes:
        addresses: int64, the context.
        configs: bytes of the configs that a walk begins with, and of those that it ends with.
        missing: int32, the parser states that a walk has found missing.
        nodes: int32, the nodes that it has left out.
        wide: int32 cells, the wide configs that it has left to the caller.
        progress: int64[8], what it came to; see `walk_tokens`.
        first_bytes: 32 bytes, those with which configs go on (`begin_behind`).
        walker: number of the one whose parser's context is entered; -1: none.
        lexer: the arrays of lexer states that are entered.

    Args:
        token_texts: uint8: all tokens one after another; int32[size + 1]: where each begins.
    """

    def __init__(self, token_texts: tuple[UInt8Array, Int32Array]) -> None:
        self._context = context = ArrayContext(CONTEXT_SIZE)
        self.addresses = context.addresses
        self.missing = np.zeros(MAX_MISSING, np.int32)
        self.nodes = np.zeros(MAX_INCOMPLETE, np.int32)
        wide = np.zeros(MAX_WIDE * WIDE_COLUMNS, np.int32)
        self.wide = wide.data
        progress = np.zeros(PROGRESS_SIZE, np.int64)
        self.progress = progress.data
        first_bytes = np.zeros(4, np.uint64)
        self.first_bytes = first_bytes.data.cast("B")
        self.walker = -1
        self.lexer: LexerArrays | None = None
        context.put(NODES, (self.nodes, wide, self.missing, progress))
        context.put(TOKEN_TEXT, token_texts)
        context.put(FIRST_BYTES, (first_bytes,))
        self.make_room(FIRST_ROOM * CONFIG.size)

    def make_room(self, num_bytes: int) -> None:
        """Let kernels have an array for so many bytes of configs."""
        configs = np.zeros((num_bytes // CONFIG.size, 2), np.int32)
        self.configs = configs.data.cast("B")
        self._context.put(CONFIGS, (configs,))

    def enter_parser(self, walker: int, address: int, size: int) -> None:
        """Let kernels read a parser's context, which the caller keeps alive.

        Args:
            walker: the caller's number. Not the address: another parser may be where one has been.
            address: of the context's first number.
            size: how many numbers it has.
        """
        self.walker = walker
        self._context.put_address(PARSER, address, size)
        # States of another parser that a walk lacked and then did not need.
        self.progress[NUM_MISSING] = 0

    def enter_lexer(self, lexer: LexerArrays, alive: UInt64Array) -> None:
        """Let kernels read lexer states as they are now, and `MaskStore.alive`."""
        self.lexer = lexer
        self._context.put(LEXER, lexer)
        self._context.put(ALIVE, (alive,))


class WalkMemories(threading.local):
    """Each thread's own.

    Attributes:
        mine: of the thread that asks.

    Args:
        token_texts: as for `WalkMemory`.
    """

    def __init__(self, token_texts: tuple[UInt8Array, Int32Array]) -> None:
        self.mine = WalkMemory(token_texts)
