"""A state that an output of a grammar can be in."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from syntagma.grammar.kernel_types import Int32Array

# (parser state, lexer state)
Config = tuple[int, int]

# Moves of a state are found at its number times this plus the token.
MOVES_STRIDE: Final = 1 << 32

# How a config is written down.
CONFIG: Final = struct.Struct("2i")


def key_of(configs: Iterable[Config]) -> bytes:
    """Configs, given in ascending order, as the key of a state."""
    return b"".join(CONFIG.pack(*config) for config in configs)


class MatcherState:
    """A set of configs and what is known of it.

    Attributes:
        key: its configs in ascending order, written one behind the other.
        first_move: key of its moves among the recognizer's, less the token.
        row: int32[num_words], the mask with stop tokens where the output may end; None: not at hand.
        view: the row for copying, which is faster than from the array.
        slot: where in the arena the row is.
        is_accepting: whether the output may end here; None: not known yet.
        is_doubtful: whether a text that is not known was asked for to work out its row.
    """

    __slots__ = (
        "__weakref__",
        "first_move",
        "is_accepting",
        "is_doubtful",
        "key",
        "row",
        "slot",
        "view",
    )

    def __init__(self, number: int, key: bytes, is_accepting: bool | None = None) -> None:
        self.key = key
        self.first_move = number * MOVES_STRIDE
        self.row: Int32Array | None = None
        self.view: memoryview | None = None
        self.slot = -1
        self.is_accepting = is_accepting
        self.is_doubtful = False

    @property
    def configs(self) -> tuple[Config, ...]:
        """The configs, in ascending order."""
        return tuple(CONFIG.iter_unpack(self.key))
