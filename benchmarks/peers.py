"""The engines that are measured, behind one small interface.

Engine(vocabulary)               one per process
  .version                       str
  .kinds                         what it compiles: "json_schema", "ebnf", "lark"
  .compile(text, kind)           -> Matcher; raises if it does not take the grammar

Matcher
  .bits                          int32[words]: where `mask` leaves its answer
  .mask()                        compute the tokens allowed next
  .accept(token_id)              -> bool; advance by one token
  .is_accepting()                -> bool: may the output end here?
  .fresh()                       -> Matcher at the start of the same compiled grammar
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from vocabularies import BenchVocabulary

OURS = "syntagma"
PEERS = ("llguidance", "xgrammar")


class BenchMatcher(Protocol):
    """What is called in the measured loop, see the module's text."""

    bits: NDArray[np.int32]
    mask: Callable[[], object]
    accept: Callable[[int], bool]

    def is_accepting(self) -> bool: ...

    def fresh(self) -> BenchMatcher: ...


class BenchEngine(Protocol):
    """A compiler with its vocabulary, see the module's text."""

    version: str
    kinds: tuple[str, ...]

    def compile(self, text: str, kind: str) -> BenchMatcher: ...


class LlguidanceMatcher:
    """llguidance's `LLMatcher`; ``start`` is an untouched copy to begin again from."""

    def __init__(self, inner: Any, bits: NDArray[np.int32], start: Any = None) -> None:
        self.bits = bits
        self._inner = inner
        self._start = inner.deep_copy() if start is None else start
        self._pointer, self._num_bytes = bits.ctypes.data, bits.nbytes
        self.accept = inner.consume_token

    def mask(self) -> None:
        self._inner.unsafe_compute_mask_ptr(self._pointer, self._num_bytes)

    def is_accepting(self) -> bool:
        return bool(self._inner.is_accepting())

    def fresh(self) -> LlguidanceMatcher:
        return LlguidanceMatcher(self._start.deep_copy(), self.bits, self._start)


class Llguidance:
    """llguidance with its default settings."""

    kinds = ("json_schema", "lark")

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        import llguidance

        self.version = version("llguidance")
        self._matcher_class = llguidance.LLMatcher
        self._tokenizer = llguidance.LLTokenizer.from_tiktoken(
            encoder=vocabulary.ranks,
            special_tokens=vocabulary.controls,
            pattern=vocabulary.pattern,
            eos_token=vocabulary.eos_id,
            n_vocab=vocabulary.size,
        )
        self._bits = np.zeros(vocabulary.words, np.int32)

    def compile(self, text: str, kind: str) -> LlguidanceMatcher:
        make = {
            "json_schema": self._matcher_class.grammar_from_json_schema,
            "lark": self._matcher_class.grammar_from_lark,
        }[kind]
        inner = self._matcher_class(self._tokenizer, make(text), log_level=0)
        if inner.is_error():
            raise ValueError(inner.get_error())
        return LlguidanceMatcher(inner, self._bits)


class XgrammarMatcher:
    """xgrammar's `GrammarMatcher`."""

    def __init__(self, engine: Xgrammar, compiled: Any) -> None:
        self.bits = engine.bits
        self._engine = engine
        self._compiled = compiled
        self._inner = engine.matcher_class(compiled)
        self.accept = self._inner.accept_token

    def mask(self) -> None:
        self._inner.fill_next_token_bitmask(self._engine.row)

    def is_accepting(self) -> bool:
        self.mask()
        eos_id = self._engine.eos_id
        return bool(self.bits[eos_id >> 5] >> (eos_id & 31) & 1)

    def fresh(self) -> XgrammarMatcher:
        return XgrammarMatcher(self._engine, self._compiled)


class Xgrammar:
    """xgrammar with its default settings, except that one thread compiles."""

    kinds = ("json_schema", "ebnf")

    def __init__(self, vocabulary: BenchVocabulary) -> None:
        import xgrammar

        self.version = version("xgrammar")
        self.matcher_class = xgrammar.GrammarMatcher
        self.eos_id = vocabulary.eos_id
        info = xgrammar.TokenizerInfo(
            vocabulary.vocab,
            xgrammar.VocabType.RAW,
            vocab_size=vocabulary.size,
            stop_token_ids=[vocabulary.eos_id],
        )
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self.row = xgrammar.allocate_token_bitmask(1, vocabulary.size)
        self.bits: NDArray[np.int32] = self.row.numpy()[0]

    def compile(self, text: str, kind: str) -> XgrammarMatcher:
        if kind == "json_schema":
            return XgrammarMatcher(self, self._compiler.compile_json_schema(text))
        return XgrammarMatcher(self, self._compiler.compile_grammar(text))


CLASSES = {
    # With the defaults of the server.
    OURS: ("maskbench_adapter", "StrictEngine"),
    "llguidance": ("peers", "Llguidance"),
    "xgrammar": ("peers", "Xgrammar"),
}


def is_installed(engine: str) -> bool:
    """Whether an engine of `CLASSES` can be built here."""
    return engine == OURS or importlib.util.find_spec(engine) is not None


def build(engine: str, vocabulary: BenchVocabulary) -> BenchEngine:
    """Build an engine of `CLASSES` by name."""
    module, name = CLASSES[engine]
    built: BenchEngine = getattr(importlib.import_module(module), name)(vocabulary)
    return built
