"""The engine behind the small interface of a MaskBench-style harness.

`Engine(tok)` takes an object with ``vocab`` (bytes per id, empty for special tokens), ``eos_id`` and
``words``; `compile` returns a matcher with ``bits``, ``mask``, ``accept``, ``is_accepting``, ``fresh``.
"""

from __future__ import annotations

import functools
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding import Matcher
from syntagma.grammar import CompiledGrammar, CompileLimits, GrammarCompiler, Vocabulary


class EngineMatcher:
    """A matcher that leaves its mask in ``bits``; its calls are the matcher's own bound methods."""

    def __init__(self, grammar: CompiledGrammar, bits: NDArray[np.int32]) -> None:
        matcher = Matcher(grammar)
        self.bits = bits
        self.mask = functools.partial(matcher.fill_bitmask, bits[np.newaxis], 0)
        self.accept = matcher.accept_token
        self.is_accepting = matcher.is_accepting
        self._grammar = grammar

    def fresh(self) -> EngineMatcher:
        """A matcher at the start of the same grammar."""
        return EngineMatcher(self._grammar, self.bits)


class Engine:
    """syntagma with its default settings, except for a longer time limit."""

    kinds: tuple[str, ...] = ("json_schema", "ebnf")

    def __init__(self, tok: Any) -> None:
        self.version = version("syntagma")
        vocabulary = Vocabulary(tok.vocab, stop_ids=[tok.eos_id])
        compiler: Any = GrammarCompiler(vocabulary, limits=CompileLimits(max_seconds=20))
        self._compile = {"json_schema": compiler.compile_json_schema}
        if hasattr(compiler, "compile_ebnf"):
            self._compile["ebnf"] = compiler.compile_ebnf
        self.kinds = tuple(self._compile)
        self._bits = np.zeros(tok.words, np.int32)

    def compile(self, text: str, kind: str = "json_schema") -> EngineMatcher:
        """Compile a schema or grammar given as text; raises `GrammarError` if it is refused."""
        return EngineMatcher(self._compile[kind](text), self._bits)
