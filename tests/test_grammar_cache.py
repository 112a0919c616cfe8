"""The cache of compiled grammars, which grow while they are used."""

from __future__ import annotations

from typing import Any

from toy import accepts, byte_vocabulary

from syntagma.decoding.grammar_cache import USES_BETWEEN_LOOKS, GrammarCache
from syntagma.grammar import GrammarCompiler
from syntagma.grammar.recognizer import BYTES_PER_STATE


class Grown:
    """What the cache asks of a grammar."""

    def __init__(self, num_bytes: int) -> None:
        self.num_bytes = num_bytes


def filled(sizes: dict[str, int], **bounds: int) -> tuple[GrammarCache[str], dict[str, Any]]:
    cache: GrammarCache[str] = GrammarCache(**{"max_entries": 10, "max_bytes": 100} | bounds)
    grammars: dict[str, Any] = {key: Grown(size) for key, size in sizes.items()}
    for key, grammar in grammars.items():
        cache.put(key, grammar)
    return cache, grammars


def test_the_least_recently_used_goes() -> None:
    cache, grammars = filled({"a": 1, "b": 1}, max_entries=2)
    assert cache.get("a") is grammars["a"]
    other: Any = Grown(1)
    assert cache.put("c", other) == 1
    assert cache.get("b") is None
    assert cache.get("a") is grammars["a"]
    assert len(cache) == 2


def test_one_that_outgrew_the_cache_goes_when_it_is_asked_for() -> None:
    cache, grammars = filled({"a": 1, "b": 1})
    grammars["a"].num_bytes = 101
    assert cache.get("a") is None
    assert cache.num_bytes == 1
    assert cache.put("a", grammars["a"]) == 0
    assert cache.get("a") is None


def test_grammars_that_grow_together_are_looked_at_without_an_insertion() -> None:
    cache, grammars = filled({"a": 1, "b": 1, "c": 1})
    for grammar in grammars.values():
        grammar.num_bytes = 60
    for _ in range(USES_BETWEEN_LOOKS):
        assert cache.get("c") is grammars["c"]
    assert cache.num_bytes == 60
    assert cache.get("a") is cache.get("b") is None
    other: Any = Grown(1)
    assert cache.put("d", other) == 2  # told at the next insertion


def test_grammars_that_nest_tell_how_much_they_have_grown() -> None:
    """Parser states that an output has made are counted, also where nothing is remembered of texts."""
    grammar = GrammarCompiler(byte_vocabulary()).compile_ebnf('root ::= "(" root ")" | "x"')
    before = grammar.num_bytes
    depth = 500
    assert accepts(grammar, "(" * depth + "x" + ")" * depth)
    assert grammar.num_bytes >= before + depth * BYTES_PER_STATE
