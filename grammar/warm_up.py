"""Compile every kernel before the first request needs it."""

from __future__ import annotations

import threading

_lock = threading.RLock()
_done = False


def warm_kernels() -> None:
    """Run each kernel once on a tiny grammar (seconds the first time, then cached on disk)."""
    global _done
    with _lock:
        if _done:
            return
        # The compiler itself asks for warm kernels, hence the flag before and the import here.
        _done = True
        try:
            _exercise()
        except BaseException:
            _done = False
            raise


def _exercise() -> None:
    from syntagma.grammar import code_points, json_terminals
    from syntagma.grammar import dfa as dfas
    from syntagma.grammar.compiler import GrammarCompiler
    from syntagma.grammar.limits import Budget, CompileLimits
    from syntagma.grammar.vocabulary import Vocabulary

    limits = CompileLimits(max_seconds=600)
    tokens = [bytes([b]) for b in range(256)] + [b'{"', b'": ', b'",', b""]
    compiler = GrammarCompiler(Vocabulary(tokens, stop_ids=[259]), limits=limits)
    schema = {"properties": {"a": {"type": ["string", "integer"]}}, "required": ["a"]}
    recognizer = compiler.compile_json_schema({"type": "object", **schema}).recognizer
    state = recognizer.initial
    for byte in b'{"a": "x"':
        recognizer.row(state)
        after = recognizer.advance(state, byte)
        assert after is not None
        state = after
    recognizer.is_accepting(state)
    words = dfas.from_words([b"a", b"ab"])
    dfas.intersection(words, dfas.literal(b"a"), Budget(limits))
    _ = words.shortest_length
    code_points.general_category("L")  # a scan of all of Unicode
    json_terminals.prebuild()
