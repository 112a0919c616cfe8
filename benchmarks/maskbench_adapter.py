"""The engine behind the small interface of a MaskBench-style harness.

`Engine(tok)` takes an object with ``vocab`` (bytes per id, empty for special tokens), ``eos_id`` and
``words``; `compile` returns a matcher with ``bits``, ``mask``, ``accept``, ``is_accepting``, ``fresh``.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding import Matcher
from syntagma.grammar import CompiledGrammar, CompileLimits, GrammarCompiler, Vocabulary


class EngineMatcher:
    """A matcher that leaves its mask in ``bits``."""

    def __init__(self, grammar: CompiledGrammar, bits: NDArray[np.int32]) -> None:
        self.bits = bits
        self._grammar = grammar
        self._rows = bits[np.newaxis]
        self._matcher = Matcher(grammar)
        self.accept = self._matcher.accept_token
        self.is_accepting = self._matcher.is_accepting

    def mask(self) -> None:
        """Write the allowed tokens into ``bits``."""
        self._matcher.fill_bitmask(self._rows, 0)

    def fresh(self) -> EngineMatcher:
        """A matcher at the start of the same grammar."""
        return EngineMatcher(self._grammar, self.bits)


class Engine:
    """syntagma with its default settings."""

    kinds = ("json_schema",)

    def __init__(self, tok: Any) -> None:
        self.version = version("syntagma")
        vocabulary = Vocabulary(tok.vocab, stop_ids=[tok.eos_id])
        self._compiler = GrammarCompiler(vocabulary, limits=CompileLimits(max_seconds=20))
        self._bits = np.zeros(tok.words, np.int32)

    def compile(self, text: str, kind: str = "json_schema") -> EngineMatcher:
        """Compile a schema given as text; raises `GrammarError` if it is refused."""
        return EngineMatcher(self._compiler.compile_json_schema(text), self._bits)
