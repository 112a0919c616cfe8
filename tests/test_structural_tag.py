"""Structural tags: their words against a slow reading of them, masks, segments of all kinds, refusals."""

from __future__ import annotations

import itertools
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from naive_tags import LETTERS, formats, is_word
from toy import JSON_TOKENS, accepts, allowed_ids, byte_vocabulary, sample

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompiledGrammar,
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
    Vocabulary,
)
from syntagma.grammar.free_text import TextSearch
from syntagma.grammar.limits import Budget

SETTINGS = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
MAX_LENGTH = 6
WORDS = [
    "".join(letters)
    for length in range(MAX_LENGTH + 1)
    for letters in itertools.product(LETTERS, repeat=length)
]
TOKENS = [b"<a", b"ab", b"a<", b"<<", b"aab", b"b<a", b"</", b"<f>", b'<f>{"', b"</f>", b"}</f>"]
INTEGERS = {
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    vocabulary = byte_vocabulary([*JSON_TOKENS, *TOKENS])
    return GrammarCompiler(vocabulary, limits=CompileLimits(max_seconds=60))


def const(text: str) -> dict[str, Any]:
    return {"type": "const_string", "value": text}


def tag(begin: str, content: dict[str, Any], end: Any) -> dict[str, Any]:
    return {"type": "tag", "begin": begin, "content": content, "end": end}


def calls(**fields: Any) -> dict[str, Any]:
    content = {"type": "json_schema", "json_schema": INTEGERS}
    return {
        "type": "triggered_tags",
        "triggers": ["<f"],
        "tags": [tag("<f>", content, "</f>"), tag("<fg>", const("!"), "</f>")],
        **fields,
    }


def compiled(compiler: GrammarCompiler, fmt: dict[str, Any], **policies: Any) -> CompiledGrammar:
    return compiler.compile_structural_tag({"type": "structural_tag", "format": fmt}, **policies)


def words_of(grammar: CompiledGrammar) -> set[str]:
    """The words over a few letters, by reading them byte by byte."""
    recognizer = grammar.recognizer
    found = set()
    waiting = [("", recognizer.initial)]
    for text, state in waiting:
        if recognizer.is_accepting(state):
            found.add(text)
        for letter in LETTERS if len(text) < MAX_LENGTH else "":
            after = recognizer.read(state, letter.encode())
            if after is not None:
                waiting.append((text + letter, after))
    return found


@SETTINGS
@given(formats())
def test_words_are_those_of_a_slow_reading(compiler: GrammarCompiler, fmt: dict[str, Any]) -> None:
    expected = None
    try:
        grammar = compiled(compiler, fmt)
    except UnsatisfiableGrammarError:
        expected = set()
        found: set[str] = set()
    except GrammarSyntaxError as error:
        # A trigger that cannot come up or is no beginning of its own, free text without an end.
        assume("cannot come up" not in error.message and "exactly one" not in error.message)
        assume("not empty" not in error.message)
        raise
    else:
        found = words_of(grammar)
    reading = {word for word in WORDS if is_word(fmt, word)}
    assert found == reading if expected is None else reading == expected


@SETTINGS
@given(formats(), st.integers(0, 2**32))
def test_masks_allow_what_words_go_on_with(
    compiler: GrammarCompiler, fmt: dict[str, Any], seed: int
) -> None:
    try:
        grammar = compiled(compiler, fmt)
    except GrammarError:
        assume(False)
    matcher = Matcher(grammar)
    rng = random.Random(seed)
    tokens = compiler.vocabulary.tokens
    known = [i for i, t in enumerate(tokens) if t and set(t) <= set(LETTERS.encode())]
    text = b""
    for _ in range(6):
        allowed = allowed_ids(matcher)
        for token_id in known:
            after = grammar.recognizer.read(grammar.recognizer.initial, text + tokens[token_id])
            assert (token_id in allowed) == (after is not None), (text, tokens[token_id])
        is_whole = is_word(fmt, text.decode())
        assert bool(allowed & set(compiler.vocabulary.stop_ids)) == is_whole
        choices = sorted(allowed & set(known))
        if not choices:
            break
        chosen = rng.choice(choices)
        assert matcher.accept_token(chosen)
        text += tokens[chosen]


@given(st.lists(st.text("ab<é", min_size=1, max_size=3), max_size=3), st.text("ab<é", max_size=8))
@settings(deadline=None)
def test_text_search_finds_what_str_finds(words: list[str], text: str) -> None:
    search = TextSearch([word.encode() for word in words], [], Budget.unlimited())
    assert search.without().accepts(text.encode()) == (not any(word in text for word in words))
    first = min((text.index(word) + len(word) for word in words if word in text), default=-1)
    ended = [search.until(number).accepts(text.encode()) for number in range(len(words))]
    assert any(ended) == (first == len(text) and bool(words) and bool(text))
    assert not search.without().accepts(b"\xff") and not search.without().accepts(b"\xc3")


def test_calls_within_text(compiler: GrammarCompiler) -> None:
    grammar = compiled(compiler, calls())
    for text in ("", "hello", "a < b", '<f>{"x": 1}</f>', 'é <f>{"x":2}</f> and <fg>!</f>', "<"):
        assert accepts(grammar, text), text
    for text in ("<f", "<f>", "<f>{}</f>", "<fg>?</f>", "<fx", '<f>{"x": "1"}</f>', "a\xff<f"):
        assert not accepts(grammar, text), text
    assert grammar.kind == "structural_tag"
    assert grammar.witness == b""


def test_at_least_one_and_stop_after_first(compiler: GrammarCompiler) -> None:
    grammar = compiled(compiler, calls(at_least_one=True))
    # As in xgrammar, the first tag then comes at once.
    for text, is_good in [
        ("", False),
        ("hi", False),
        ("hi<fg>!</f>", False),
        ("<fg>!</f>hi", True),
    ]:
        assert accepts(grammar, text) == is_good
    grammar = compiled(compiler, calls(stop_after_first=True))
    for text, is_good in [("", True), ("hi<fg>!</f>", True), ("<fg>!</f>hi", False)]:
        assert accepts(grammar, text) == is_good
    grammar = compiled(compiler, calls(stop_after_first=True, at_least_one=True))
    for text, is_good in [("", False), ("<fg>!</f>", True), ("<fg>!</f><fg>!</f>", False)]:
        assert accepts(grammar, text) == is_good


def test_the_older_form_means_the_same(compiler: GrammarCompiler) -> None:
    schema = {"type": "integer"}
    for source in (schema, json.dumps(schema)):
        old = {
            "type": "structural_tag",
            "triggers": ["<f"],
            "structures": [{"begin": "<f>", "schema": source, "end": "</f>"}],
        }
        for given_as in (old, json.dumps(old)):
            grammar = compiler.compile_structural_tag(given_as)
            for text, is_good in [("", True), ("a<f>12</f>b", True), ("<f>x</f>", False)]:
                assert accepts(grammar, text) == is_good


SEGMENTS: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "json_schema", "json_schema": INTEGERS}, '{"x": 1}', '{"x": "1"}'),
    ({"type": "json_schema", "json_schema": {"const": 3}, "style": "json"}, "3", "4"),
    ({"type": "regex", "pattern": "[a-c]+"}, "abc", "abd"),
    ({"type": "choice", "choices": ["yes", "no"]}, "no", "maybe"),
    ({"type": "grammar", "grammar": 'root ::= "(" root ")" | "."'}, "((.))", "((.)"),
    ({"type": "grammar", "syntax": "ebnf", "start": "s", "grammar": 's ::= "1" s?'}, "111", "1121"),
    (
        {"type": "grammar", "syntax": "lark", "grammar": 'start: "a" NUMBER\nNUMBER: /[0-9]+/'},
        "a12",
        "12",
    ),
    (
        {"type": "repeat", "min": 2, "max": 3, "content": const("ab")},
        "ababab",
        "ab",
    ),
    ({"type": "repeat", "min": 1, "max": -1, "content": const("ab")}, "ab" * 9, ""),
]


@pytest.mark.parametrize(("content", "good", "bad"), SEGMENTS)
def test_segments_carry_any_grammar(
    compiler: GrammarCompiler, content: dict[str, Any], good: str, bad: str
) -> None:
    fmt = calls(tags=[tag("<f>", content, "</f>")])
    grammar = compiled(compiler, fmt)
    assert accepts(grammar, f"see <f>{good}</f> and <f>{good}</f>")
    assert not accepts(grammar, f"see <f>{bad}</f>")


@pytest.mark.parametrize(
    "content",
    [
        {"type": "regex", "pattern": r'[^b]*"\\[^b]?'},
        {"type": "choice", "choices": ['a"b\\', "\n\t\x00\x1f", "é", ""]},
        {"type": "grammar", "grammar": 'root ::= "(" root ")" | [^a-z]'},
    ],
)
def test_json_strings_of_texts(compiler: GrammarCompiler, content: dict[str, Any]) -> None:
    plain = compiled(compiler, content)
    quoted = compiled(compiler, {"type": "json_string", "content": content})
    texts = ["".join(t) for n in range(4) for t in itertools.product('"\\\n(a)', repeat=n)]
    texts += ['a"b\\', "\n\t\x00\x1f", "é", '\x00\x1f\x10\x7f"\\', "((\x0b))", "(((/)))"]
    num_good = 0
    for text in texts:
        is_good = accepts(plain, text)
        num_good += is_good
        assert accepts(quoted, json.dumps(text, ensure_ascii=False)) == is_good, text
    assert num_good >= 3
    rng = random.Random(5)
    for _ in range(20):
        found = sample(quoted, rng, max_tokens=60)
        assert found is None or accepts(plain, json.loads(found))


def test_any_order_of_a_segment(compiler: GrammarCompiler) -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}}
    content = {"type": "json_schema", "json_schema": schema, "any_order": True}
    grammar = compiled(compiler, content)
    assert accepts(grammar, '{"b": 2, "a": 1}')
    assert not accepts(compiled(compiler, {**content, "any_order": False}), '{"b": 2, "a": 1}')


def test_policies_hold_in_segments(compiler: GrammarCompiler) -> None:
    grammar = compiled(compiler, calls(), whitespace="compact")
    assert accepts(grammar, '<f>{"x":1}</f>')
    assert not accepts(grammar, '<f>{"x": 1}</f>')
    assert grammar.options is not None and grammar.options.whitespace == "compact"


def test_random_walks_hold_whole_calls(compiler: GrammarCompiler) -> None:
    grammar = compiled(compiler, calls(at_least_one=True))
    rng = random.Random(1)
    num_calls = 0
    for _ in range(40):
        text = sample(grammar, rng, max_tokens=300)
        if text is None:
            continue
        for body in re.findall(r"<f>(.*?)</f>", text.decode(), re.DOTALL):
            num_calls += 1
            assert type(json.loads(body)["x"]) is int
    assert num_calls > 10


def test_saved_and_loaded(compiler: GrammarCompiler, tmp_path: Any) -> None:
    grammar = compiled(compiler, calls())
    grammar.save(tmp_path / "grammar")
    loaded = compiler.load(tmp_path / "grammar")
    assert loaded.hash == grammar.hash and loaded.kind == "structural_tag"
    assert accepts(loaded, 'a<f>{"x": 1}</f>b') and not accepts(loaded, "<f>")


BAD: list[tuple[dict[str, Any], type[GrammarError], str, str]] = [
    ({"type": "any_txt"}, UnsupportedGrammarError, "/type", "did you mean 'any_text'"),
    ({"type": "token", "token": 5}, GrammarSyntaxError, "/token", "no special token 5"),
    ({"type": "exclude_token"}, UnsupportedGrammarError, "/type", "special tokens"),
    ({"type": "any_text", "max_tokens": 5}, UnsupportedGrammarError, "/max_tokens", "max_tokens"),
    ({"type": "any_text", "exclude": ["a"]}, UnsupportedGrammarError, "/exclude", "'excludes'"),
    ({"type": "any_text", "excludes": [""]}, GrammarSyntaxError, "/excludes/0", "everywhere"),
    ({"type": "any_text", "excludes": ["\ud800"]}, GrammarSyntaxError, "/excludes/0", "surrogate"),
    ({"type": "const_string"}, GrammarSyntaxError, "", "'value' is missing"),
    ({"type": "const_string", "value": 5}, GrammarSyntaxError, "/value", "must be a string"),
    ({"type": "sequence", "elements": []}, GrammarSyntaxError, "/elements", "empty"),
    ({"type": "sequence", "elements": [5]}, GrammarSyntaxError, "/elements/0", "an object"),
    (tag("[", {"type": "any_text"}, ""), GrammarSyntaxError, "/content/type", "end"),
    (tag("[", {"type": "any_text"}, []), GrammarSyntaxError, "/end", "needs an end"),
    (tag("[", const("a"), {"type": "token"}), GrammarSyntaxError, "/end", "'token' is missing"),
    (calls(triggers=[]), GrammarSyntaxError, "/tags/0/begin", "none is"),
    (calls(triggers=["<", "<f"]), GrammarSyntaxError, "/tags/0/begin", "2 are"),
    (calls(triggers=["<f", "x"]), GrammarSyntaxError, "/triggers/1", "no tag begins"),
    (calls(triggers=["<f>", "<fg", "x<f>"], tags=[
        tag("<f>", const("a"), ""), tag("x<f>", const("a"), ""), tag("<fg", const("a"), "")
    ], excludes=["f"]), GrammarSyntaxError, "", "cannot come up"),
    (calls(at_least_one=1), GrammarSyntaxError, "/at_least_one", "true or false"),
    ({"type": "repeat", "min": 3, "max": 2, "content": const("a")}, GrammarSyntaxError, "", "min"),
    ({"type": "dispatch", "rules": [["a"]]}, GrammarSyntaxError, "/rules/0", "a pattern"),
    ({"type": "regex", "pattern": "("}, GrammarSyntaxError, "/pattern", ""),
    ({"type": "choice", "choices": []}, GrammarSyntaxError, "/choices", "non-empty"),
    ({"type": "grammar", "grammar": "root ::= x"}, GrammarSyntaxError, "/grammar", "'x'"),
    ({"type": "grammar", "grammar": "", "syntax": "abnf"}, GrammarSyntaxError, "/syntax", "lark"),
    (
        {"type": "json_schema", "json_schema": {"properties": {"a": {"type": "strin"}}}},
        GrammarSyntaxError,
        "/json_schema/properties/a/type",
        "",
    ),
    (
        {"type": "json_schema", "json_schema": {"type": "string", "enum": [5]}},
        UnsatisfiableGrammarError,
        "/json_schema",
        "",
    ),
    (
        {"type": "json_schema", "json_schema": True, "style": "no_such_xml"},
        UnsupportedGrammarError,
        "/style",
        "json",
    ),
    (
        {"type": "json_schema", "json_schema": {"type": "array", "uniqueItems": True}},
        UnsupportedGrammarError,
        "/json_schema",
        "uniqueItems",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fmt", "kind", "pointer", "message"), BAD)
def test_refusals_name_the_place(
    compiler: GrammarCompiler,
    fmt: dict[str, Any],
    kind: type[GrammarError],
    pointer: str,
    message: str,
) -> None:
    with pytest.raises(kind) as caught:
        compiled(compiler, fmt)
    assert caught.value.pointer is not None
    assert caught.value.pointer.startswith("/format" + pointer), caught.value.pointer
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{", "not JSON"),
        ("[]", "a JSON object"),
        (5, "a JSON object"),
        ({"type": "structural"}, "must be"),
        ({"type": "structural_tag"}, "'format' is missing"),
        ({"type": "structural_tag", "format": {}}, "'type' is missing"),
        ({"type": "structural_tag", "structures": []}, "empty"),
        ({"type": "structural_tag", "structures": [{}], "triggers": ["a"]}, "'schema' is missing"),
        ('{"type": 1, "type": 2}', "given twice"),
    ],
)
def test_what_is_no_structural_tag(compiler: GrammarCompiler, source: Any, message: str) -> None:
    with pytest.raises(GrammarSyntaxError, match=message):
        compiler.compile_structural_tag(source)


SPECIAL = {"<|call|>": 2, "<|call|>x": 3, "<|end|>": 4}
SPECIAL_IDS = {**SPECIAL, "<|stop|>": 1, "<|other|>": 5}
LETTER = {
    letter: 6 + i for i, letter in enumerate('abcdefghijklmnopqrstuvwxyz<|>{}[]: 0123456789"')
}


@pytest.fixture(scope="module")
def special_compiler() -> GrammarCompiler:
    """Tokens 1 to 5 are special; the text of one is also that of a token with text, and 0 is a lone byte."""
    texts = [b"\xfd", b"<|stop|>", *(name.encode() for name in SPECIAL), b"<|other|>"]
    texts += [letter.encode() for letter in LETTER] + [b"<|call|>", b"\xfd<|call|>"]
    texts += [bytes([b]) for b in range(256) if bytes([b]) not in texts]
    vocabulary = Vocabulary(
        texts, stop_ids=[1], special_ids=SPECIAL_IDS.values(), special_names=SPECIAL_IDS
    )
    return GrammarCompiler(vocabulary)


def token(name: str | int) -> dict[str, Any]:
    return {"type": "token", "token": name}


def test_special_tokens_are_literals(special_compiler: GrammarCompiler) -> None:
    content = {"type": "regex", "pattern": "[0-9]+"}
    grammar = compiled(special_compiler, tag(token("<|call|>"), content, token(4)))  # type: ignore[arg-type]
    matcher = Matcher(grammar)
    assert allowed_ids(matcher) == {2}
    assert not matcher.accept_token(0) and not matcher.accept_token(3)
    assert not matcher.accept_token(LETTER["<"])
    assert matcher.forced_bytes() == b""
    assert matcher.accept_token(2)
    digits = {LETTER[digit] for digit in "0123456789"}
    assert allowed_ids(matcher) == digits
    assert matcher.accept_token(LETTER["7"])
    assert allowed_ids(matcher) == digits | {4}
    assert matcher.accept_tokens([4, 1]) and matcher.is_terminated()
    assert len(grammar.witness_tokens) == 3
    assert grammar.witness_tokens[0] == 2 and grammar.witness_tokens[2] == 4


def test_free_text_holds_no_special_tokens(special_compiler: GrammarCompiler) -> None:
    fmt = {
        "type": "token_triggered_tags",
        "trigger_tokens": ["<|call|>", "<|call|>x"],
        "tags": [
            tag(token("<|call|>"), const("a"), token("<|end|>")),  # type: ignore[arg-type]
            tag(token("<|call|>x"), {"type": "any_text"}, token("<|end|>")),  # type: ignore[arg-type]
        ],
    }
    grammar = compiled(special_compiler, fmt)
    matcher = Matcher(grammar)
    spelled = [LETTER[letter] for letter in "<|call|>"]
    assert matcher.accept_tokens(spelled)
    allowed = allowed_ids(matcher)
    assert {1, 2, 3, *LETTER.values()} <= allowed
    assert allowed.isdisjoint({0, 4, 5})
    assert matcher.accept_token(2)
    assert allowed_ids(matcher) == {LETTER["a"]}
    assert matcher.accept_token(LETTER["a"])
    assert allowed_ids(matcher) == {4}
    assert matcher.accept_tokens([4, LETTER["b"], 3, *spelled])
    assert 4 in allowed_ids(matcher) and 2 not in allowed_ids(matcher)
    assert matcher.accept_tokens([4, 1])
    texts = [special_compiler.vocabulary.output_bytes(i) for i in (2, LETTER["a"], 4, 1)]
    assert b"".join(texts) == b"<|call|>a<|end|>"


def test_special_tokens_that_are_not_there(special_compiler: GrammarCompiler) -> None:
    for name, message in [
        ("<|cal|>", "did you mean '<|call|>'"),
        ("<|stop|>", "no special token"),
        (1, "no special token"),
        ("a", "written as a string"),
        (True, "no special token"),
    ]:
        with pytest.raises(GrammarSyntaxError, match=re.escape(message)):
            compiled(special_compiler, token(name))


def test_special_tokens_leave_other_masks_alone(special_compiler: GrammarCompiler) -> None:
    vocabulary = special_compiler.vocabulary
    plain = Vocabulary(vocabulary.tokens, stop_ids=[1], special_ids=SPECIAL_IDS.values())
    assert plain.hash != vocabulary.hash
    for pattern in (".*", "[a-z]{2}<.call.>", "(.|\\n)+x"):
        one = Matcher(special_compiler.compile_regex(pattern))
        other = Matcher(GrammarCompiler(plain).compile_regex(pattern))
        for letter in "ab<":
            assert allowed_ids(one) == allowed_ids(other)
            assert one.accept_token(LETTER[letter]) and other.accept_token(LETTER[letter])


def test_limits(compiler: GrammarCompiler) -> None:
    deep: dict[str, Any] = const("a")
    for _ in range(100_000):
        deep = {"type": "optional", "content": deep}
    with pytest.raises(GrammarLimitError):
        compiled(compiler, deep)
    with pytest.raises(GrammarLimitError):
        compiled(compiler, {"type": "any_text", "excludes": ["ab" * 2_000_000]})
    strict = GrammarCompiler(compiler.vocabulary)
    numbers = [f"{number:05d}" for number in range(40_000)]
    tags = [tag(number, const("a"), "") for number in numbers]
    for few in (numbers[:5_000], numbers):
        with pytest.raises(GrammarLimitError):
            compiled(strict, calls(triggers=few, tags=tags[: len(few)]))
    with pytest.raises(GrammarLimitError):
        compiled(strict, {"type": "any_text", "excludes": ["a" * 1_800_000]})
    shallow = const("a")
    for _ in range(60):
        shallow = {"type": "optional", "content": shallow}
    assert accepts(compiled(compiler, shallow), "a")


def test_the_example_of_the_documentation(compiler: GrammarCompiler) -> None:
    text = (Path(__file__).parent.parent / "docs" / "grammars.md").read_text("utf-8")
    (example,) = re.findall(
        r'```json\n(\{"response_format": \{"type": "structural_tag".*?)```', text, re.DOTALL
    )
    grammar = compiler.compile_structural_tag(json.loads(example)["response_format"])
    assert accepts(grammar, 'So: <function=add>{"a": 1}</function>.')
    assert not accepts(grammar, "So: <function=sub>")
    named = set(
        re.findall(r"`([a-z_]+)`", text.split("| format | its texts |")[1].split("\n\n")[0])
    )
    assert {"triggered_tags", "token_triggered_tags", "json_string", "dispatch", "tag"} <= named
