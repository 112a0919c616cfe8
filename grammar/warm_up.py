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
    import numpy as np

    from syntagma.grammar import code_points, json_terminals
    from syntagma.grammar import dfa as dfas
    from syntagma.grammar.arenas import enter_sets, slots_for
    from syntagma.grammar.compiler import GrammarCompiler
    from syntagma.grammar.limits import Budget, CompileLimits
    from syntagma.grammar.mask_store import MaskStore
    from syntagma.grammar.vocabulary import Vocabulary

    limits = CompileLimits(max_seconds=600)
    tokens = [bytes([b]) for b in range(256)] + [b'{"', b'": ', b'",', b"aa", b""]
    compiler = GrammarCompiler(Vocabulary(tokens, stop_ids=[260]), limits=limits)
    schema = {"properties": {"a": {"type": ["string", "integer"], "maxLength": 2}, "aé": {}}}
    # Once as it is, and once with every lexer state in the store, as wide ones are.
    for max_width in (None, 0):
        if max_width is not None:
            compiler._store = MaskStore(compiler.vocabulary, max_width=0, min_wide_nodes=0)
        recognizer = compiler.compile_json_schema({"type": "object", **schema}).recognizer
        state = recognizer.initial
        for byte in b'{"a": "x"':
            recognizer.row(state)
            recognizer.forced_bytes(state)
            recognizer.closing_tokens(state)
            after = recognizer.advance(state, byte)
            assert after is not None
            state = after
        recognizer.is_accepting(state)
    for lexer_state in range(1, compiler.store.pool.num_states):
        compiler.store.entry(lexer_state)
    ebnf = 'root ::= root "+" root | item\nitem ::= [a-z]+ ("," [a-z]* | "")'
    recognizer = compiler.compile_ebnf(ebnf).recognizer
    recognizer.row(recognizer.initial)
    unique = {"type": "array", "uniqueItems": True, "items": {"type": ["string", "boolean"]}}
    remembering = compiler.compile_json_schema(unique).recognizer
    items = remembering.initial
    for byte in b'["a", true':
        remembering.row(items)
        known = remembering.advance(items, byte)
        assert known is not None
        items = known
    no_sets = np.zeros((0, 2), np.int32)
    enter_sets(no_sets, no_sets, 2, 0, 0, slots_for(1))
    words = dfas.from_words([b"a", b"ab"])
    dfas.intersection(words, dfas.literal(b"a"), Budget(limits))
    _ = words.shortest_length
    code_points.general_category("L")  # a scan of all of Unicode
    json_terminals.prebuild()
