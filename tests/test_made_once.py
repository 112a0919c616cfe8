"""What is made when somebody asks for it, and grammars that are followed only when an output asks."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from toy import JSON_TOKENS, accepts, byte_vocabulary

from syntagma.grammar import GrammarCompiler
from syntagma.grammar.made_once import MadeOnce


def test_all_who_ask_at_once_get_one_value() -> None:
    asking = threading.Barrier(8)
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    value = MadeOnce(make)
    assert not value.is_made

    def ask() -> object:
        asking.wait(timeout=60)
        return value.get()

    with ThreadPoolExecutor(8) as threads:
        found = {id(future.result()) for future in [threads.submit(ask) for _ in range(8)]}
    assert found == {id(made[0])} and len(made) == 1 and value.is_made


def test_who_fails_to_make_it_leaves_it_to_the_next() -> None:
    answers = iter([ValueError("not yet"), None])

    def make() -> str:
        error = next(answers)
        if error is not None:
            raise error
        return "made"

    value = MadeOnce(make)
    with pytest.raises(ValueError, match="not yet"):
        value.get()
    assert not value.is_made
    assert value.get() == value.get() == "made"


def test_a_schema_is_followed_when_an_output_asks() -> None:
    compiler = GrammarCompiler(byte_vocabulary(JSON_TOKENS))
    grammar = compiler.compile_json_schema(
        {"type": "object", "properties": {"a": {"type": "null"}}}
    )
    assert not grammar.accepts_empty_word
    assert grammar.num_bytes > 0 and grammar.hash
    assert not grammar.followers.is_made
    assert accepts(grammar, '{"a": null}') and not accepts(grammar, '{"a": 1}')
    assert grammar.followers.is_made
    assert grammar.recognizer is grammar.recognizer and grammar.parser is grammar.parser


@pytest.mark.parametrize(("pattern", "is_empty"), [("a*", True), ("", True), ("a+", False)])
def test_whether_an_output_may_be_empty(pattern: str, is_empty: bool) -> None:
    grammar = GrammarCompiler(byte_vocabulary()).compile_regex(pattern)
    assert grammar.accepts_empty_word == is_empty
    assert grammar.recognizer.is_accepting(grammar.recognizer.initial) == is_empty
