"""Masks against brute force: every token tried on an independent recogniser, along random walks."""

from __future__ import annotations

import random

import pytest
from fuzz_states import compared, random_grammar, random_vocabulary
from grammar_strategies import plain_grammars
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_grammar import NaiveEarley, NaiveGrammar, matches, viable
from toy import allowed_ids, byte_vocabulary

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompileLimits,
    GrammarCompiler,
    UnsatisfiableGrammarError,
    Vocabulary,
    ir,
)
from syntagma.grammar import dfa as dfas
from syntagma.grammar.limits import Budget
from syntagma.grammar.mask_store import MaskStore

ALPHABET = b"abc,"
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def vocabularies(draw: st.DrawFn, alphabet: bytes = ALPHABET, max_size: int = 60) -> Vocabulary:
    """All single bytes and many longer tokens, which cross terminal boundaries everywhere."""
    letters = st.sampled_from([bytes([b]) for b in alphabet])
    word = st.lists(letters, min_size=2, max_size=6).map(b"".join)
    return byte_vocabulary(draw(st.lists(word, max_size=max_size)), alphabet=alphabet)


@st.composite
def ir_grammars(draw: st.DrawFn, *, is_guarded: bool = False) -> ir.Grammar:
    """Random rules: recursive in every way, ambiguous, empty, without words.

    If guarded, calls stand behind a terminal, so that no rule begins with itself.
    """
    num_rules = draw(st.integers(1, 3 if is_guarded else 4))
    words = st.lists(
        st.lists(st.sampled_from([b"a", b"b", b"c", b","]), min_size=1, max_size=3).map(b"".join),
        min_size=0,
        max_size=3,
    )
    terminal = words.map(lambda found: ir.Terminal(dfas.from_words(found)))
    call = st.integers(0, num_rules - 1).map(ir.Call)
    guarded = st.tuples(terminal, call).map(lambda pair: ir.Sequence(pair))
    leaf = st.one_of(terminal, terminal, guarded if is_guarded else call, st.just(ir.EMPTY))

    def extend(children: st.SearchStrategy[ir.Node]) -> st.SearchStrategy[ir.Node]:
        parts = st.lists(children, min_size=1, max_size=3).map(tuple)
        counts = st.tuples(st.integers(0, 3), st.integers(0, 3) | st.none())
        return st.one_of(
            parts.map(ir.Sequence),
            parts.map(ir.Choice),
            st.tuples(children, counts).map(_repeat),
        )

    grammar = ir.Grammar()
    for index in range(num_rules):
        grammar.add(f"rule {index}", draw(st.recursive(leaf, extend, max_leaves=6)))
    return grammar


def _repeat(pair: tuple[ir.Node, tuple[int, int | None]]) -> ir.Node:
    part, (low, extra) = pair
    return ir.Repeat(part, low, None if extra is None else low + extra)


def compile_ir(vocabulary: Vocabulary, grammar: ir.Grammar) -> Matcher:
    """Run the compiler's back end on hand-made rules."""
    compiler = GrammarCompiler(vocabulary)
    compiled = compiler._finish("regex", grammar, "", Budget(CompileLimits()), 0.0)
    return Matcher(compiled)


@SETTINGS
@given(
    st.one_of(ir_grammars(), plain_grammars()),
    vocabularies(),
    st.randoms(use_true_random=False),
)
def test_masks_equal_brute_force_on_random_rules(
    grammar: ir.Grammar, vocabulary: Vocabulary, rng: random.Random
) -> None:
    naive = NaiveEarley(grammar, ALPHABET)
    if naive.is_empty:
        with pytest.raises(UnsatisfiableGrammarError):
            compile_ir(vocabulary, grammar)
        return
    start = compile_ir(vocabulary, grammar)
    # Several walks, so that one meets rows that others have left.
    for _ in range(3):
        matcher, text = start.fork(), b""
        for _ in range(5):
            expected = naive.mask(text, vocabulary)
            assert expected
            assert allowed_ids(matcher) == expected
            token_id = rng.choice(sorted(expected))
            assert matcher.accept_token(token_id)
            if matcher.is_terminated():
                break
            text += vocabulary.tokens[token_id]


@SETTINGS
@given(ir_grammars(is_guarded=True), vocabularies(max_size=20), st.integers(0, 2**32))
def test_the_oracles_agree(grammar: ir.Grammar, vocabulary: Vocabulary, seed: int) -> None:
    """Earley's algorithm and explicit continuations, where both apply."""
    earley, continuations = NaiveEarley(grammar, ALPHABET), NaiveGrammar(grammar)
    rests, text, rng = continuations.start(), b"", random.Random(seed)
    assert earley.is_empty == (not rests)
    for _ in range(3 if rests else 0):
        expected = continuations.mask(rests, vocabulary)
        assert earley.mask(text, vocabulary) == expected
        token = vocabulary.tokens[rng.choice(sorted(expected))]
        if not token:
            break
        rests, text = continuations.read(rests, token), text + token


REGEXES = st.from_regex(
    r"\A(?:[abc,](?:[*+?]|\{[0-2],?[3-5]?\})?|\((?:a|b|c|ab|c,)\|[abc]\)\*?){1,7}\Z"
)


@SETTINGS
@given(REGEXES, vocabularies(), st.randoms(use_true_random=False))
def test_masks_equal_brute_force_on_regexes(
    pattern: str, vocabulary: Vocabulary, rng: random.Random
) -> None:
    check_regex_walk(pattern, vocabulary, rng, num_tokens=10)


def check_regex_walk(
    pattern: str,
    vocabulary: Vocabulary,
    rng: random.Random,
    *,
    num_tokens: int,
    compiler: GrammarCompiler | None = None,
) -> None:
    """Compare masks with viable prefixes along a random walk."""
    matcher = Matcher((compiler or GrammarCompiler(vocabulary)).compile_regex(pattern))
    text = ""
    for _ in range(num_tokens):
        expected = {
            i for i, t in enumerate(vocabulary.tokens) if t and viable(pattern, text + t.decode())
        }
        if matches(pattern, text):
            expected |= set(vocabulary.stop_ids)
        assert allowed_ids(matcher) == expected
        token_id = rng.choice(sorted(expected))
        assert matcher.accept_token(token_id)
        if matcher.is_terminated():
            break
        text += vocabulary.tokens[token_id].decode()


@pytest.mark.parametrize("pattern", ["[ab]{150}c", "(a|bc){100,160},", "a{0,140}b?|c{200}"])
def test_long_repetitions_share_rows_and_stay_exact(pattern: str) -> None:
    """To both ends of the repetition, where states must be told apart again."""
    words = [b"a" * n for n in (2, 3, 5, 9)] + [b"ab", b"bc", b"bca", b"cc", b"ba", b"aab", b"aac"]
    vocabulary = byte_vocabulary(words, alphabet=ALPHABET)
    check_regex_walk(pattern, vocabulary, random.Random(3), num_tokens=120)


@SETTINGS
@given(REGEXES, vocabularies(max_size=20), st.randoms(use_true_random=False))
def test_sharing_rows_changes_nothing(
    pattern: str, vocabulary: Vocabulary, rng: random.Random
) -> None:
    """The same brute force with every terminal, however small, comparing itself with a base."""
    compiler = GrammarCompiler(vocabulary)
    compiler._store = MaskStore(vocabulary, min_wide_nodes=0, max_width=0)
    check_regex_walk(pattern, vocabulary, rng, num_tokens=6, compiler=compiler)


@SETTINGS
@given(ir_grammars(), vocabularies(), st.randoms(use_true_random=False))
def test_every_token_is_accepted_exactly_if_its_bit_is_set(
    grammar: ir.Grammar, vocabulary: Vocabulary, rng: random.Random
) -> None:
    try:
        matcher = compile_ir(vocabulary, grammar)
    except UnsatisfiableGrammarError:
        return
    for _ in range(4):
        allowed = allowed_ids(matcher)
        for token_id in range(vocabulary.size):
            twin = matcher.fork()
            assert twin.accept_token(token_id) == (token_id in allowed)
        assert allowed_ids(matcher) == allowed
        matcher.accept_token(rng.choice(sorted(allowed)))
        if matcher.is_terminated():
            break


def test_branches_that_cannot_be_completed_are_not_entered() -> None:
    """``root ::= "a" | "b" dead; dead ::= "c" dead`` must not offer b."""
    grammar = ir.Grammar()
    grammar.declare("root")
    dead = grammar.declare("dead")
    letter = {c: ir.Terminal(dfas.literal(c)) for c in (b"a", b"b", b"c")}
    grammar.define(0, ir.choice(letter[b"a"], ir.sequence(letter[b"b"], ir.Call(dead))))
    grammar.define(dead, ir.sequence(letter[b"c"], ir.Call(dead)))
    vocabulary = byte_vocabulary([b"bc", b"bcc"], alphabet=ALPHABET)
    matcher = compile_ir(vocabulary, grammar)
    assert allowed_ids(matcher) == {vocabulary.tokens.index(b"a")}


def test_a_token_may_cross_many_terminals() -> None:
    grammar = ir.Grammar()
    letters = [ir.Terminal(dfas.literal(bytes([b]))) for b in b"abc,abc"]
    grammar.add("root", ir.sequence(*letters))
    vocabulary = byte_vocabulary([b"abc,abc", b"abc,ab", b"bc,abc", b"abc,aba"], alphabet=ALPHABET)
    matcher = compile_ir(vocabulary, grammar)
    tokens = {vocabulary.tokens[i] for i in allowed_ids(matcher)}
    assert tokens == {b"a", b"abc,abc", b"abc,ab"}
    assert matcher.accept_token(vocabulary.tokens.index(b"abc,abc"))
    assert allowed_ids(matcher) == set(vocabulary.stop_ids)


def test_huge_counts_cost_nothing() -> None:
    grammar = ir.Grammar()
    grammar.add("root", ir.Repeat(ir.Terminal(dfas.literal(b"ab")), 10**9, 10**12))
    matcher = compile_ir(byte_vocabulary(alphabet=ALPHABET), grammar)
    for byte in b"ababab":
        assert matcher.accept_token(ALPHABET.index(byte))
    assert not matcher.is_accepting()
    assert matcher.grammar.shortest_bytes == 2 * 10**9


def test_rounds_that_read_nothing_do_not_loop() -> None:
    """``((a?){3})*`` and ``(a?){1000000000}``: empty rounds need not be counted."""
    letter = ir.optional(ir.Terminal(dfas.literal(b"a")))
    for body in (
        ir.Repeat(ir.Repeat(letter, 3, 3), 0, None),
        ir.Repeat(letter, 10**9, 10**9),
        ir.Repeat(ir.Repeat(letter, 0, None), 2, None),
    ):
        grammar = ir.Grammar()
        grammar.add("root", body)
        matcher = compile_ir(byte_vocabulary(alphabet=ALPHABET), grammar)
        for _ in range(5):
            assert matcher.is_accepting()
            assert matcher.accept_token(ALPHABET.index(b"a"))


def test_a_rule_that_is_only_itself_has_no_words() -> None:
    grammar = ir.Grammar()
    grammar.add("root", ir.Call(0))
    with pytest.raises(UnsatisfiableGrammarError):
        compile_ir(byte_vocabulary(alphabet=ALPHABET), grammar)


def test_a_rule_may_be_itself_or_something_else() -> None:
    """Tail calls to itself add nothing and must not loop."""
    grammar = ir.Grammar()
    grammar.add("root", ir.choice(ir.Call(0), ir.Terminal(dfas.literal(b"a"))))
    matcher = compile_ir(byte_vocabulary(alphabet=ALPHABET), grammar)
    assert allowed_ids(matcher) == {0}


def test_a_rule_may_begin_with_itself() -> None:
    """``list ::= list "," "a" | "a"``."""
    grammar = ir.Grammar()
    letter, comma = ir.Terminal(dfas.literal(b"a")), ir.Terminal(dfas.literal(b","))
    grammar.add("list", ir.choice(ir.sequence(ir.Call(0), comma, letter), letter))
    vocabulary = byte_vocabulary([b"a,", b",a", b"a,a,a", b",,"], alphabet=ALPHABET)
    matcher = compile_ir(vocabulary, grammar)
    (stop,) = vocabulary.stop_ids
    tokens = {vocabulary.tokens[i]: i for i in range(vocabulary.size - 1)}
    assert allowed_ids(matcher) == {tokens[b"a"], tokens[b"a,"], tokens[b"a,a,a"]}
    assert matcher.accept_token(tokens[b"a,a,a"])
    assert allowed_ids(matcher) == {tokens[b","], tokens[b",a"], stop}


def test_bytes_without_a_token_of_their_own_are_not_used() -> None:
    """With no token for c alone, words with c could be begun and never finished."""
    tokens = [b"a", b"b", b"bc", b"ac", b""]
    vocabulary = Vocabulary(tokens, stop_ids=[4])
    matcher = Matcher(GrammarCompiler(vocabulary).compile_choice(["ab", "acb", "bcc"]))
    assert {tokens[i] for i in allowed_ids(matcher)} == {b"a"}
    with pytest.raises(UnsatisfiableGrammarError):
        GrammarCompiler(vocabulary).compile_choice(["c", "cc"])


def test_an_ambiguous_token_has_few_configs() -> None:
    """Within one token there are exponentially many ways to cut a row of a's into rules."""
    letter = {c: ir.Terminal(dfas.literal(c)) for c in (b"a", b"aa", b"b", b"c", b",")}
    grammar = ir.Grammar()
    root = grammar.declare("A")
    one = grammar.add("B", letter[b"a"])
    other = grammar.add("C", ir.choice(letter[b"a"], letter[b"aa"]))
    grammar.define(
        root,
        ir.choice(
            ir.sequence(ir.Call(one), ir.Call(root), letter[b"b"]),
            ir.sequence(ir.Call(other), ir.Call(root), letter[b"c"]),
            letter[b","],
        ),
    )
    vocabulary = byte_vocabulary([b"a" * 16, b"a" * 16 + b",", b"," + b"c" * 8, b"c" * 17])
    compiler = GrammarCompiler(vocabulary)
    matcher = Matcher(compiler._finish("regex", grammar, "", Budget(compiler.limits), 0.0))
    assert matcher.accept_token(vocabulary.tokens.index(b"a" * 16))
    assert len(matcher._states[-1].configs) < 100
    for text in (b"a" * 16, b",", b"c" * 7):
        for token in sorted(allowed_ids(matcher)):
            assert matcher.fork().accept_token(token)
        assert all(matcher.accept_token(byte) for byte in text)
    # 32 a's make 16 to 32 rounds.
    assert {matcher.grammar.vocabulary.tokens[t] for t in allowed_ids(matcher)} >= {b"b", b"c"}
    assert all(matcher.accept_token(ord("c")) for _ in range(9))
    assert matcher.is_accepting()
    assert all(matcher.accept_token(ord("b")) for _ in range(16))
    assert matcher.is_accepting()
    assert allowed_ids(matcher) == set(vocabulary.stop_ids)


def test_rows_hold_at_every_depth() -> None:
    """Also where they come from the store, tokens that close as many objects as are open among them."""
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#"}, "b": {"type": "integer"}},
        "additionalProperties": False,
    }
    vocabulary = byte_vocabulary(
        [b'{"', b'"a":', b"}}", b"}}}", b'{"a":{', b"}}}}}}", b'"a', b'{"b":']
    )
    compiler = GrammarCompiler(vocabulary)
    compiler._store = MaskStore(vocabulary, max_width=0)
    grammar = compiler.compile_json_schema(schema, whitespace="compact")
    matcher = Matcher(grammar)
    for _ in range(30):
        for byte in b'{"a":':
            accepted = {t for t in range(vocabulary.size) if matcher.fork().accept_token(t)}
            assert allowed_ids(matcher) == accepted != set()
            assert matcher.accept_token(byte)


def test_rows_are_not_shared_between_callers() -> None:
    """In the middle of a separator it is settled who called, and so what stands behind it."""

    def word(text: bytes) -> ir.Node:
        return ir.Terminal(dfas.literal(text))

    grammar = ir.Grammar()
    root, inner = grammar.declare("root"), grammar.declare("inner")
    separator = word(b", ")
    grammar.define(
        root,
        ir.Choice(
            (
                ir.Sequence((word(b"("), ir.Call(inner), separator, word(b"1"))),
                ir.Sequence((word(b"["), ir.Call(inner), separator, word(b"2"))),
            )
        ),
    )
    grammar.define(
        inner, ir.Choice((ir.Sequence((word(b"a"), ir.Call(inner), word(b"c"))), word(b"b")))
    )
    vocabulary = byte_vocabulary([b" 1", b" 2", b", 1", b", 2"])
    start = compile_ir(vocabulary, grammar)
    for opening, last in ((b"(", b"1"), (b"[", b"2"), (b"(", b"1")):
        matcher = start.fork()
        assert all(matcher.accept_token(byte) for byte in opening + b"b,")
        assert {vocabulary.tokens[i] for i in allowed_ids(matcher)} == {b" ", b" " + last}


def test_rows_are_not_shared_where_frames_were_put_together() -> None:
    """What takes the place of several callers has a stack that stands higher than some of its frames did."""
    short, call = ir.Terminal(dfas.from_words([b"c", b"ab", b"bb"])), ir.Call(0)
    start = ir.choice(call, ir.Terminal(dfas.from_words([b"cc,"])))
    grammar = ir.Grammar()
    grammar.add("root", ir.choice(short, ir.sequence(start, ir.Repeat(call, 2, 2), call)))
    longer = [b"ab", b"abb,", b"bb,", b"bb,a,", b"bba", b"bc,cab", b"c,", b"ca", b"cababc", b"cb"]
    vocabulary = byte_vocabulary(longer, alphabet=ALPHABET)
    for seed in range(4):
        assert len(list(compared(grammar, vocabulary, random.Random(seed), max_width=0))) > 300


@pytest.mark.parametrize("seed", range(8))
def test_masks_equal_brute_force_wherever_a_grammar_leads(seed: int) -> None:
    """A sample of what ``make fuzz`` does."""
    rng = random.Random(seed)
    max_width = (None, 0, 2, 6)[seed % 4]
    num_states = 0
    while num_states < 300:
        grammar, vocabulary = random_grammar(rng), random_vocabulary(rng)
        num_states += len(list(compared(grammar, vocabulary, rng, max_width=max_width)))
