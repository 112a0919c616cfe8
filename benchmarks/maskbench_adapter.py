"""The engine behind the small interface of a MaskBench-style harness.

`Engine(tok)` takes an object with ``vocab`` (bytes per id, empty for special tokens), ``eos_id`` and
``words``; `compile` returns a matcher with ``bits``, ``mask``, ``accept``, ``is_accepting``, ``fresh``.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
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
    """syntagma as one would run it for schemas that others wrote, with a longer time limit.

    Properties come in any order, for instances are given in one of their own. What validators pass over
    has no effect: formats that nobody knows, keywords that look like a slip of the pen. By default both are
    refused, so that whoever wrote the schema hears of it, and properties come in the schema's order, which
    is what models do best.
    """

    kinds: tuple[str, ...] = ("json_schema", "ebnf", "lark")
    schema_options: Mapping[str, Any] = {
        "property_order": "any",
        "formats": "known",
        "slips": "annotate",
    }

    def __init__(self, tok: Any) -> None:
        self.version = version("syntagma")
        vocabulary = Vocabulary(tok.vocab, stop_ids=[tok.eos_id])
        compiler = GrammarCompiler(vocabulary, limits=CompileLimits(max_seconds=20))
        self._compile: dict[str, Callable[..., CompiledGrammar]] = {
            "json_schema": functools.partial(compiler.compile_json_schema, **self.schema_options),
            "ebnf": compiler.compile_ebnf,
            "lark": compiler.compile_lark,
        }
        self._bits = np.zeros(tok.words, np.int32)

    def compile(self, text: str, kind: str = "json_schema") -> EngineMatcher:
        """Compile a schema or grammar given as text; raises `GrammarError` if it is refused."""
        return EngineMatcher(self._compile[kind](text), self._bits)


class StrictEngine(Engine):
    """The default policies."""

    schema_options: Mapping[str, Any] = {}


class SpecEngine(Engine):
    """The policies that follow the specification to the letter, as the official test suite does.

    Formats annotate, properties come in any order, numbers may be spelled in any way. The suite's
    ``remotes``, in the folder that ``SUITE_REMOTES`` names, are given as documents where a schema speaks
    of them.
    """

    schema_options: Mapping[str, Any] = {
        "formats": "annotate",
        "property_order": "any",
        "numbers": "any",
    }
    host = "http://localhost:1234/"

    def __init__(self, tok: Any) -> None:
        super().__init__(tok)
        folder = os.environ.get("SUITE_REMOTES")
        paths = sorted(Path(folder).rglob("*.json")) if folder else []
        self._documents = {
            self.host + path.relative_to(folder or "").as_posix(): json.loads(path.read_text())
            for path in paths
        }

    def compile(self, text: str, kind: str = "json_schema") -> EngineMatcher:
        """As `Engine.compile`, with the documents."""
        if kind != "json_schema" or self.host not in text:
            return super().compile(text, kind)
        return EngineMatcher(self._compile[kind](text, schemas=self._documents), self._bits)
