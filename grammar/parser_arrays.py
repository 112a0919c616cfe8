"""The part of a grammar's parser that kernels read."""

from __future__ import annotations

from typing import NamedTuple

from syntagma.grammar.kernel_types import Int32Array

NOT_LOWERED = -1


class ParserArrays(NamedTuple):
    """Parser states as flat arrays.

    Parser state ``p`` runs the lexer states ``lexers[lexer_start[p]:lexer_end[p]]``
    (``lexer_start[p] == NOT_LOWERED`` until it is needed). When terminal ``goto_terminal[g]`` is
    complete, for ``goto_start[p] <= g < goto_end[p]``, the parser goes on in ``goto_target[g]``.
    """

    lexer_start: Int32Array
    lexer_end: Int32Array
    lexers: Int32Array
    goto_start: Int32Array
    goto_end: Int32Array
    goto_terminal: Int32Array
    goto_target: Int32Array
