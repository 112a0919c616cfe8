"""The settings that keep Python's pauses short, and what they rest on."""

from __future__ import annotations

import gc
import sys

import pytest

from syntagma.decoding.interpreter import (
    COLLECTION_THRESHOLDS,
    SWITCH_SECONDS,
    keep_pauses_short,
    short_turns,
)
from syntagma.grammar import GrammarCompiler, Vocabulary


def test_both_are_set() -> None:
    before = sys.getswitchinterval(), gc.get_threshold()
    try:
        keep_pauses_short()
        assert sys.getswitchinterval() == SWITCH_SECONDS
        assert gc.get_threshold() == COLLECTION_THRESHOLDS
    finally:
        sys.setswitchinterval(before[0])
        gc.set_threshold(*before[1])


def test_turns_are_short_as_long_as_anybody_wants_them() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.004)
    try:
        usual = sys.getswitchinterval()
        first, second = short_turns(), short_turns()
        with pytest.raises(ValueError, match="refused"), first:
            second.__enter__()
            raise ValueError("refused")
        assert sys.getswitchinterval() == SWITCH_SECONDS
        second.__exit__(None, None, None)
        assert sys.getswitchinterval() == usual
    finally:
        sys.setswitchinterval(before)


def test_grammars_are_freed_without_the_collector() -> None:
    """Full collections are rare, so nothing large may wait for one."""
    compiler = GrammarCompiler(Vocabulary([bytes([i]) for i in range(256)] + [b""], stop_ids=[256]))

    def work(number: int) -> None:
        grammar = compiler.compile_json_schema(
            {
                "type": "object",
                "properties": {f"a{number}": {"type": "string", "pattern": f"^b{number}c*$"}},
                "required": [f"a{number}"],
            }
        )
        grammar.prepare()
        compiler.compile_ebnf(f'root ::= "x{number}" root "y" | [0-9]+').prepare()

    work(0)
    gc.collect()
    gc.disable()
    try:
        for number in range(1, 20):
            work(number)
        assert gc.collect() < 100  # not one grammar
    finally:
        gc.enable()
