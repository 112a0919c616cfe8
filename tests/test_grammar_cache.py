"""The cache of compiled grammars, which grow while they are used."""

from __future__ import annotations

from typing import Any

from toy import accepts, byte_vocabulary

from syntagma.decoding.grammar_cache import ASKED_AT_A_USE, GrammarCache
from syntagma.grammar import GrammarCompiler
from syntagma.grammar.recognizer import BYTES_PER_STATE


class Grown:
    """What the cache asks of a grammar."""

    def __init__(self, num_bytes: int) -> None:
        self.size = num_bytes
        self.times_asked = 0

    @property
    def num_bytes(self) -> int:
        self.times_asked += 1
        return self.size


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
    grammars["a"].size = 101
    assert cache.get("a") is None
    assert cache.num_bytes == 1
    assert cache.put("a", grammars["a"]) == 0
    assert cache.get("a") is None


def test_grammars_that_grow_together_are_looked_at_without_an_insertion() -> None:
    cache, grammars = filled({"a": 1, "b": 1, "c": 1})
    for grammar in grammars.values():
        grammar.size = 60
    for _ in grammars:
        assert cache.get("c") is grammars["c"]
    assert cache.num_bytes == 60
    assert cache.get("a") is cache.get("b") is None
    other: Any = Grown(1)
    assert cache.put("d", other) == 2  # told at the next insertion


def test_an_insertion_asks_no_more_of_them_the_more_there_are() -> None:
    cache, grammars = filled({str(i): 1 for i in range(500)}, max_entries=500, max_bytes=10**6)
    assert cache.num_bytes == 500
    assert sum(one.times_asked for one in grammars.values()) == (1 + ASKED_AT_A_USE) * 500
    for number, grammar in enumerate(grammars.values()):
        grammar.size = number
    for _ in range(500 // ASKED_AT_A_USE):
        cache.get("1")
    assert cache.num_bytes == sum(range(500))


def test_one_put_again_counts_once() -> None:
    cache, grammars = filled({"a": 1, "b": 2})
    other: Any = Grown(5)
    for _ in range(3):
        cache.put("a", other)
    assert cache.num_bytes == 7 and len(cache) == 2
    assert cache.get("b") is grammars["b"]


def test_grammars_that_nest_tell_how_much_they_have_grown() -> None:
    """Parser states that an output has made are counted, also where nothing is remembered of texts."""
    grammar = GrammarCompiler(byte_vocabulary()).compile_ebnf('root ::= "(" root ")" | "x"')
    before = grammar.num_bytes
    depth = 500
    assert accepts(grammar, "(" * depth + "x" + ")" * depth)
    assert grammar.num_bytes >= before + depth * BYTES_PER_STATE
