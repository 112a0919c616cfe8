"""Parser states by themselves: terminals are single letters, lexers do nothing."""

from __future__ import annotations

import itertools
import random

import pytest
from grammar_strategies import counted, nested_grammars, plain_grammar, plain_grammars
from hypothesis import given
from hypothesis import strategies as st
from naive_grammar import NaiveEarley
from naive_lowering import Unfolding, lowered

from syntagma.grammar import CompileLimits, GrammarLimitError, ir, parser_table, stacks
from syntagma.grammar.embedding import Embedding
from syntagma.grammar.ir_fold import fold, rebuilt
from syntagma.grammar.limits import Budget
from syntagma.grammar.parser import START_STATE, Parser
from syntagma.grammar.parser_arrays import (
    CAN_END,
    GOTO_END,
    GOTO_START,
    LEXER_END,
    LEXER_START,
    NOT_LOWERED,
    NOT_MERGED,
    merged_state,
)
from syntagma.grammar.rule_automata import RuleAutomata
from syntagma.grammar.terminals import Language, WordList

ALPHABET = b"abc,"


class Words:
    """Terminals with one word each; the id is the index of the word."""

    def __init__(self, unspellable: bytes = b"") -> None:
        self.words: list[bytes] = []
        self.unspellable = unspellable

    def terminal_id(self, language: Language) -> int | None:
        word = min(language.words) if isinstance(language, WordList) else shortest_word(language)
        if set(word) & set(self.unspellable):
            return None
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)

    def shortest_length(self, terminal: int) -> int:
        return len(self.words[terminal])


def shortest_word(language: Language) -> bytes:
    """The first shortest word."""
    for length in itertools.count(1):
        for letters in itertools.product(ALPHABET, repeat=length):
            if language.dfa.accepts(bytes(letters)):
                return bytes(letters)
    raise AssertionError


class SameLexers:
    """A lexer is its terminals."""

    def starts(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        assert list(terminals) == sorted(set(terminals))
        return terminals

    def complete_as(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        return terminals


class LetterParser:
    """A parser that reads words of its terminals."""

    def __init__(
        self, grammar: ir.Grammar, *, limits: CompileLimits | None = None, is_lazy: bool = False
    ) -> None:
        self.words = Words()
        budget = Budget(limits or CompileLimits(max_seconds=600))
        self.automata = RuleAutomata(grammar, self.words, budget, is_lazy=is_lazy)
        self.parser = Parser(self.automata, SameLexers())

    def followers(self, state: int) -> set[bytes]:
        return {self.words.words[terminal] for terminal in self.parser.lexers(state)}

    def after(self, state: int, word: bytes) -> int | None:
        self.parser.lower(state)
        if word not in self.words.words:
            return None
        targets = self.parser.targets(state, self.words.words.index(word))
        return targets[0] if targets else None

    def read(self, text: bytes, state: int = START_STATE) -> int | None:
        """The state after single letters, None if they cannot come."""
        for byte in text:
            after = self.after(state, bytes([byte]))
            if after is None:
                return None
            state = after
        return state

    def accepts(self, text: bytes) -> bool:
        state = self.read(text)
        return state is not None and self.parser.can_end(state)


def texts(max_length: int, alphabet: bytes = ALPHABET) -> list[bytes]:
    return [
        bytes(letters)
        for length in range(max_length + 1)
        for letters in itertools.product(alphabet, repeat=length)
    ]


def check_language(grammar: ir.Grammar, max_length: int, *, is_lazy: bool = False) -> LetterParser:
    """The parser's words and beginnings of words are those of the naive recogniser."""
    naive = NaiveEarley(grammar, ALPHABET)
    parser = LetterParser(grammar, is_lazy=is_lazy)
    assert parser.automata.is_empty == naive.is_empty
    if not naive.is_empty:
        for text in texts(max_length):
            state = parser.read(text)
            assert (state is not None) == naive.is_viable(text)
            assert (state is not None and parser.parser.can_end(state)) == naive.accepts(text)
    return parser


@given(plain_grammars())
def test_language_of_random_productions(grammar: ir.Grammar) -> None:
    check_language(grammar, 4)


NAMED = {
    "direct": plain_grammar(E="E , a | a"),
    "ambiguous": plain_grammar(E="E E | a"),
    "ambiguous and empty": plain_grammar(E="E E | a |"),
    "two operators": plain_grammar(E="E , E | E b E | a"),
    "layers": plain_grammar(E="E , T | T", T="T b F | F", F="a | c E c"),
    "indirect": plain_grammar(A="B a | c", B="A b | ,"),
    "mutual, three rules": plain_grammar(A="B a", B="C b | b", C="A c | B , | c"),
    "hidden": plain_grammar(A="N A b | a", N="c |"),
    "hidden twice": plain_grammar(A="N M A b | a", N="M M", M=", |"),
    "hidden behind itself": plain_grammar(A="A A b | a |"),
    "only itself": plain_grammar(A="A | a"),
    "in a circle": plain_grammar(A="B | a", B="C", C="A | b"),
    "nothing but empty": plain_grammar(A="N A | a", N="N N |"),
    "unproductive branch": plain_grammar(A="A D | a", D="b D"),
    "left and right": plain_grammar(A="A , A | B", B="A b | a"),
    "called from outside": plain_grammar(S="a E b | c F c", E="F a | a", F="E b | b"),
    "inner goal": plain_grammar(E="E b E c | a"),
    "exponential with plain frames": plain_grammar(A="B A b | C A c | ,", B="a", C="a"),
    "palindromes": plain_grammar(P="a P a | b P b | a | b |"),
}


@pytest.mark.parametrize("name", NAMED)
def test_language_of_named_grammars(name: str) -> None:
    check_language(NAMED[name], 6)


def counted_grammars() -> dict[str, ir.Grammar]:
    """Counted repetition in all places where it matters."""
    a, comma = ir.Terminal(WordList([b"a"])), ir.Terminal(WordList([b","]))
    itself, other = ir.Call(0), ir.Call(1)
    found = {}

    def add(name: str, *bodies: ir.Node) -> None:
        found[name] = grammar = ir.Grammar()
        for body in bodies:
            grammar.add("rule", body)

    add("of itself", ir.choice(ir.sequence(ir.Repeat(itself, 2, 3), comma), a))
    add("of itself, optional", ir.choice(ir.sequence(ir.Repeat(itself, 0, 2), comma), a))
    add("behind nothing", ir.sequence(ir.Repeat(ir.optional(comma), 2, 3), ir.optional(itself), a))
    add("through another", ir.choice(ir.Repeat(other, 2, 2), a), ir.choice(itself, comma))
    add("nested", ir.Repeat(ir.Repeat(ir.optional(a), 2, 2), 1, 2))
    add("of stars", ir.Repeat(ir.Repeat(a, 0, None), 2, 3))
    add("star of stars", ir.Repeat(ir.Repeat(a, 0, None), 0, None))
    add("plus of plus", ir.Repeat(ir.Repeat(ir.choice(a, comma), 1, None), 1, None))
    add("no rounds", ir.sequence(ir.Repeat(a, 0, 0), comma))
    add("one round", ir.Repeat(a, 1, 1))
    add("at least two", ir.sequence(ir.Repeat(a, 2, None), comma))
    add("rounds without words", ir.choice(ir.Repeat(ir.NOTHING, 0, 3), ir.Repeat(ir.NOTHING, 2, 3)))
    add("bounds crossed", ir.choice(counted(b"a", 3, 2), comma))
    return found


@pytest.mark.parametrize("name", counted_grammars())
def test_language_of_counted_repetition(name: str) -> None:
    check_language(counted_grammars()[name], 6)


def test_words_of_lark_agree() -> None:
    """An independent judge of membership."""
    lark = pytest.importorskip("lark", reason="lark is not installed")
    for name, grammar in NAMED.items():
        lines = []
        for rule, body in enumerate(grammar.produce_all()):
            assert isinstance(body, ir.Choice)
            alternatives = []
            for sequence in body.parts:
                assert isinstance(sequence, ir.Sequence)
                symbols = []
                for part in sequence.parts:
                    if isinstance(part, ir.Call):
                        symbols.append(f"r{part.rule}")
                    else:
                        assert isinstance(part, ir.Terminal)
                        symbols.append(f'"{shortest_word(part.language).decode()}"')
                alternatives.append(" ".join(symbols))
            lines.append(f"r{rule}: " + " | ".join(alternatives))
        judge = lark.Lark("\n".join(lines), start="r0", parser="earley", lexer="dynamic_complete")
        parser = LetterParser(grammar)
        for text in texts(4):
            try:
                judge.parse(text.decode())
                expected = True
            except lark.exceptions.LarkError:
                expected = False
            assert parser.accepts(text) == expected, (name, text)


# Growth


def sizes(grammar: ir.Grammar, text: bytes) -> tuple[int, int, int]:
    """(states, stacks, frames) after a text of which every beginning is read."""
    parser = LetterParser(grammar)
    assert parser.read(text) is not None
    num_stacks = parser.parser.num_stacks
    num_frames = sum(len(parser.parser.frames(stack)) for stack in range(num_stacks))
    return parser.parser.num_states, num_stacks, num_frames


@pytest.mark.parametrize(
    ("grammar", "unit"),
    [
        (plain_grammar(E="E E | a"), b"a"),
        (plain_grammar(E="E E E | E E | a |"), b"a"),
        (plain_grammar(E="E , E | E b E | a"), b"a,ab"),
        (plain_grammar(E="E , T | T", T="T b F | F", F="a | c E c"), b"a,ab"),
        (plain_grammar(L="L a | a"), b"a"),
        (plain_grammar(L="a L | a"), b"a"),
        (plain_grammar(L="M a | a", M="L , |"), b"a,"),
    ],
)
def test_lists_and_expressions_need_no_more_states_when_longer(
    grammar: ir.Grammar, unit: bytes
) -> None:
    assert sizes(grammar, unit * 5) == sizes(grammar, unit * 50)


@pytest.mark.parametrize(
    ("grammar", "unit"),
    [
        (plain_grammar(S="a S b S |"), b"a"),
        (plain_grammar(A="B A b | C A c | ,", B="a", C="a"), b"a"),
        (plain_grammar(A="B A | C A | , ", B="a", C="a"), b"a"),
        (plain_grammar(A="a A a | a A b | a A | a"), b"a"),
        (plain_grammar(S="a S S | a"), b"a"),
        (plain_grammar(S="S S S b | S S b | a"), b"a"),
        (plain_grammar(P="a P a | b P b | a | b |"), b"ab"),
    ],
)
def test_ambiguous_grammars_grow_by_polynomials(grammar: ir.Grammar, unit: bytes) -> None:
    """States and stacks linearly, frames at most by the square."""
    small, large = sizes(grammar, unit * 50), sizes(grammar, unit * 200)
    assert large[0] <= 4.5 * small[0]
    assert large[1] <= 4.5 * small[1]
    assert large[2] <= 18 * small[2]


# Lowering


def beginnings(parser: LetterParser, start: int, length: int) -> tuple[set[bytes], set[int]]:
    """The texts up to a length that can be read from a state, and the states that are met."""
    found, states = {b""}, {start}
    level = [(b"", start)]
    for _ in range(length):
        level = [
            (text + word, target)
            for text, state in level
            for word in parser.followers(state)
            if (target := parser.after(state, word)) is not None
        ]
        found |= {text for text, _ in level}
        states |= {state for _, state in level}
    for state in states:
        parser.parser.lower(state)
    return found, states


def check_lowering(parser: LetterParser, num_terminals: int) -> None:
    """All states up to some terminals from the start are the twin's."""
    unfolding = Unfolding(parser.parser)
    for state in sorted(beginnings(parser, START_STATE, num_terminals)[1]):
        expected = lowered(parser.automata, unfolding.items(state), unfolding)
        gotos = parser.parser.gotos(state)
        assert {t: unfolding.items(target) for t, target in gotos.items()} == expected.behind
        assert parser.parser.can_end(state) == expected.can_end
        assert parser.parser.lexers(state) == tuple(sorted(expected.behind))


@given(st.one_of(plain_grammars(), nested_grammars()))
def test_states_are_lowered_as_by_the_twin(grammar: ir.Grammar) -> None:
    parser = LetterParser(grammar)
    if not parser.automata.is_empty:
        check_lowering(parser, 4)


@pytest.mark.parametrize("name", NAMED)
def test_states_are_lowered_in_little_room(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array has to grow, most of them several times."""
    monkeypatch.setattr(parser_table, "CAPACITIES", (1,) * len(parser_table.CAPACITIES))
    monkeypatch.setattr(stacks, "FIRST_STACKS", 1)
    parser = LetterParser(NAMED[name])
    check_lowering(parser, 6)
    states = range(parser.parser.num_states)
    items = [parser.parser.items(state) for state in states]
    assert len(set(items)) == len(items)
    assert [parser.parser.state_of(found[::-1]) for found in items] == list(states)


def test_many_items_are_told_apart() -> None:
    """More of everything than is sorted by insertion, more terminals than arrays have room for at first."""
    letters = [chr(ord("a") + i) for i in range(26)]
    words = [one + other for one in letters for other in letters]
    parser = LetterParser(plain_grammar(S=" | ".join(f"{word} S" for word in words) + " | x"))
    check_lowering(parser, 1)
    state = parser.parser.merged(
        [target for target in parser.parser.gotos(START_STATE).values()] * 2
    )
    assert set(parser.parser.items(state)) == {
        item
        for target in parser.parser.gotos(START_STATE).values()
        for item in parser.parser.items(target)
    }


# Merging


@given(plain_grammars(), st.integers(0, 2**32))
def test_merged_states_read_what_any_reads(grammar: ir.Grammar, seed: int) -> None:
    parser = LetterParser(grammar)
    if parser.automata.is_empty:
        return
    states = sorted(beginnings(parser, START_STATE, 3)[1])
    chosen = random.Random(seed).choices(states, k=2)
    merged = parser.parser.merged(chosen)
    expected = set().union(*(beginnings(parser, state, 3)[0] for state in chosen))
    assert beginnings(parser, merged, 3)[0] == expected
    assert parser.parser.can_end(merged) == any(map(parser.parser.can_end, chosen))


def chart_states(parser: LetterParser, text: bytes) -> list[int]:
    """The states born at each place of a text, merged place by place, as a walk over bytes does."""
    born: dict[int, list[int]] = {0: [START_STATE]}
    for place in range(len(text) + 1):
        if place not in born:
            continue
        state = parser.parser.merged(sorted(set(born[place])))
        born[place] = [state]
        for word in parser.followers(state):
            if text.startswith(word, place):
                target = parser.after(state, word)
                assert target is not None
                born.setdefault(place + len(word), []).append(target)
    return [state for (state,) in born.values()]


def test_words_that_overlap_need_no_more_states_than_places() -> None:
    """Followed one by one, the readings of ``aaaa...`` would be as many as Fibonacci's numbers."""
    counts = []
    for length in (50, 100, 200):
        parser = LetterParser(plain_grammar(A="B A b | C A c | ,", B="a", C="a | aa"))
        assert len(chart_states(parser, b"a" * length)) == length + 1
        counts.append((parser.parser.num_states, parser.parser.num_stacks))
    for small, large in itertools.pairwise(counts):
        assert large[0] <= 2.2 * small[0]
        assert large[1] <= 2.2 * small[1]


@given(plain_grammars(), st.integers(0, 2**32))
def test_merges_are_found_in_the_arrays(grammar: ir.Grammar, seed: int) -> None:
    """Also after the arrays have grown."""
    parser = LetterParser(grammar)
    if parser.automata.is_empty:
        return
    states = sorted(beginnings(parser, START_STATE, 4)[1])
    rng = random.Random(seed)
    entered = {}
    for _ in range(60):
        first, second = rng.choices(states, k=2)
        if (first, second) not in entered and (second, first) not in entered and first != second:
            assert merged_state(parser.parser.arrays.merges, first, second) == NOT_MERGED
        entered[first, second] = parser.parser.merged([first, second])
    arrays = parser.parser.arrays
    assert len(arrays.states) >= parser.parser.num_states
    for (first, second), target in entered.items():
        assert merged_state(arrays.merges, first, second) == target
        assert merged_state(arrays.merges, second, first) == target


# Shortest completions


def test_deep_stacks_need_no_recursion() -> None:
    parser = LetterParser(plain_grammar(S="a S b | c"))
    deep = parser.read(b"a" * 20_000)
    assert deep is not None
    assert parser.parser.closing_bytes(deep) == 20_001


@given(st.one_of(plain_grammars(), nested_grammars()), st.integers(0, 2**32))
def test_shortest_completion(grammar: ir.Grammar, seed: int) -> None:
    """As long as the shortest of all completions that are tried, and one of them."""
    parser = LetterParser(grammar)
    if parser.automata.is_empty:
        return
    rng, state, text = random.Random(seed), START_STATE, b""
    for _ in range(5):
        check_completion(parser, state)
        words = sorted(parser.followers(state))
        if not words:
            break
        text += (word := rng.choice(words))
        target = parser.after(state, word)
        assert target is not None
        state = target


def check_completion(parser: LetterParser, state: int) -> None:
    length = parser.parser.closing_bytes(state)
    level, tried = {state}, 0
    while tried < min(length, 8):
        assert not any(map(parser.parser.can_end, level))
        level = {
            target
            for state in level
            for word in parser.followers(state)
            if (target := parser.after(state, word)) is not None
        }
        tried += 1
    assert any(map(parser.parser.can_end, level)) or length > 8
    steps = [
        parser.words.words[terminal]
        for terminal in parser.parser.closing_terminals(state, lambda _: b"")
    ]
    assert len(b"".join(steps)) == length
    end = parser.read(b"".join(steps), state)
    assert end is not None and parser.parser.can_end(end)


@pytest.mark.parametrize("name", NAMED | counted_grammars())
def test_shortest_completion_everywhere(name: str) -> None:
    parser = LetterParser((NAMED | counted_grammars())[name])
    for state in beginnings(parser, START_STATE, 4)[1]:
        check_completion(parser, state)


def test_completions_of_huge_repetitions_come_one_by_one() -> None:
    grammar = ir.Grammar()
    grammar.add("root", counted(b"a", 10**9, None))
    parser = LetterParser(grammar)
    state = parser.read(b"aaa")
    assert state is not None
    assert parser.parser.closing_bytes(state) == 10**9 - 3
    steps = parser.parser.closing_terminals(state, lambda _: b"")
    assert [next(steps) for _ in range(100)] == [0] * 100


# Rules compiled when they are entered


def test_proper_grammars_are_compiled_as_they_are_entered() -> None:
    asked = []
    grammar = ir.Grammar(is_proper=True)

    def produce(rule: int) -> None:
        asked.append(rule)
        inner = grammar.declare("inner")
        letter = ir.Terminal(WordList([b"ab"[rule % 2 :][:1]]))
        last = ir.Terminal(WordList([b","]))
        grammar.define(rule, ir.choice(ir.sequence(letter, ir.Call(inner), last), last))

    grammar.produce = produce
    grammar.declare("root")
    parser = LetterParser(grammar, is_lazy=True)
    assert (asked, parser.words.words) == ([], [])
    assert parser.followers(START_STATE) == {b"a", b","}
    assert (asked, parser.words.words) == ([0], [b",", b"a"])
    state = parser.read(b"abab")
    assert state is not None
    assert asked == [0, 1, 2, 3]
    assert parser.followers(state) == {b"a", b","}
    assert asked == [0, 1, 2, 3, 4]
    assert parser.accepts(b"aba" + b"," * 4)
    assert not parser.accepts(b"aba" + b"," * 3)


@st.composite
def proper_grammars(draw: st.DrawFn) -> ir.Grammar:
    """Every alternative begins with a letter and one has no calls; repetitions, also of nothing."""
    num_rules = draw(st.integers(1, 3))
    letter = st.sampled_from([b"a", b"b", b","]).map(lambda word: ir.Terminal(WordList([word])))
    part: st.SearchStrategy[ir.Node] = st.one_of(
        letter, st.integers(0, num_rules - 1).map(ir.Call), letter.map(ir.optional)
    )
    counts = st.sampled_from([(0, None), (1, None), (0, 1), (2, 3), (0, 2), (2, None), (0, 0)])
    repeated: st.SearchStrategy[ir.Node] = st.tuples(part, counts).map(
        lambda pair: ir.Repeat(pair[0], *pair[1])
    )
    grammar = ir.Grammar(is_proper=True)
    for _ in range(num_rules):
        alternatives: list[ir.Node] = [draw(letter)]
        for _ in range(draw(st.integers(0, 2))):
            rest = draw(st.lists(st.one_of(part, repeated), max_size=2))
            alternatives.append(ir.sequence(draw(letter), *rest))
        grammar.add("rule", ir.Choice(tuple(alternatives)))
    return grammar


def check_closing_along_a_walk(lazy: LetterParser, whole: LetterParser, seed: int) -> None:
    """Two parsers of one grammar need the same bytes to the end, wherever a random output has come."""
    rng, text = random.Random(seed), b""
    for _ in range(6):
        ours, theirs = lazy.read(text), whole.read(text)
        assert ours is not None and theirs is not None
        assert lazy.parser.closing_bytes(ours) == whole.parser.closing_bytes(theirs)
        check_completion(lazy, ours)
        words = sorted(lazy.followers(ours))
        if not words:
            break
        text += rng.choice(words)


@given(proper_grammars(), st.integers(0, 2**32))
def test_lazy_and_whole_compilation_agree(grammar: ir.Grammar, seed: int) -> None:
    lazy = check_language(grammar, 4, is_lazy=True)
    whole = LetterParser(grammar)
    check_closing_along_a_walk(lazy, whole, seed)


def with_guest(host: ir.Grammar, guest: ir.Grammar) -> ir.Grammar:
    """The host's rules with the guest's words in the place of the letter c."""
    found = ir.Grammar()
    for name in host.names:
        found.declare(name)
    call = Embedding(found).embed(guest)

    def changed(node: ir.Node, parts: list[ir.Node]) -> ir.Node:
        is_letter = isinstance(node, ir.Terminal) and node.language.dfa.accepts(b"c")
        return call if is_letter else rebuilt(node, parts)

    for rule, body in enumerate(host.produce_all()):
        found.define(rule, fold(body, changed))
    return found


@given(plain_grammars(), proper_grammars(), st.integers(0, 2**32))
def test_proper_rules_within_any_grammar(host: ir.Grammar, guest: ir.Grammar, seed: int) -> None:
    lazy = check_language(with_guest(host, guest), 4, is_lazy=True)
    whole = LetterParser(with_guest(host, guest))
    if whole.automata.is_empty:
        return
    check_closing_along_a_walk(lazy, whole, seed)


def test_proper_rules_are_compiled_as_they_are_entered() -> None:
    guest = ir.Grammar(is_proper=True)
    letter, last = ir.Terminal(WordList([b"b"])), ir.Terminal(WordList([b","]))
    for inner in (1, 2, 2):
        guest.add("rule", ir.choice(ir.sequence(letter, ir.Call(inner), last), last))
    grammar = with_guest(plain_grammar(A="A a c | a"), guest)
    parser = LetterParser(grammar, is_lazy=True)
    assert grammar.rules[1:] == [None]
    assert parser.read(b"aa") is not None
    assert grammar.rules[1:] == [None]
    state = parser.read(b"aab")
    assert state is not None
    assert [body is None for body in grammar.rules[1:]] == [False, True]
    parser.followers(state)
    assert [body is None for body in grammar.rules[1:]] == [False, False, True]
    assert parser.parser.closing_bytes(state) == 2
    assert [body is None for body in grammar.rules[1:]] == [False, False, False]
    assert parser.accepts(b"aabb,,,a,")


def test_a_grammar_wrongly_called_proper_is_found_out() -> None:
    grammar = plain_grammar(E="E a | a")
    grammar.is_proper = True
    with pytest.raises(ValueError, match="begin with themselves"):
        LetterParser(grammar, is_lazy=True).followers(START_STATE)


# The arrays that kernels read


@given(plain_grammars())
def test_arrays_say_what_the_methods_say(grammar: ir.Grammar) -> None:
    parser = LetterParser(grammar)
    if parser.automata.is_empty:
        return
    states = beginnings(parser, START_STATE, 4)[1]
    arrays = parser.parser.arrays
    for state in states:
        lexers = arrays.lexers[arrays.states[state, LEXER_START] : arrays.states[state, LEXER_END]]
        assert tuple(lexers.tolist()) == parser.parser.lexers(state)
        gotos = arrays.gotos[arrays.states[state, GOTO_START] : arrays.states[state, GOTO_END]]
        found = {terminal: target for terminal, target in gotos.tolist()}
        assert len(found) == len(gotos)
        assert arrays.states[state, CAN_END] == parser.parser.can_end(state)
        for terminal in parser.parser.lexers(state):
            assert parser.parser.targets(state, terminal) == (found[terminal],)
    for state in range(parser.parser.num_states):
        if state not in states and state < len(arrays.states):
            assert arrays.states[state, LEXER_START] == NOT_LOWERED


# Hostile grammars


def chain(count: int, last: str, *, tail: str = "") -> ir.Grammar:
    rules = {f"A{i}": f"A{i + 1} {tail}" for i in range(count)}
    return plain_grammar(**rules, **{f"A{count}": last})


@pytest.mark.parametrize("tail", ["", "b"])
@pytest.mark.parametrize("last", ["a", "A0 , | a", "A0 A0 | a |"])
def test_long_chains_of_rules(tail: str, last: str) -> None:
    """Deep nesting of calls, and components of thousands of rules."""
    count = 3000
    parser = LetterParser(chain(count, last, tail=tail))
    expected = b"a" + (b"b" * count if tail else b"")
    end = parser.read(expected)
    assert end is not None and parser.parser.can_end(end)
    assert parser.parser.closing_bytes(START_STATE) == (
        0 if last.endswith("|") and not tail else len(expected) - last.endswith("|")
    )


def test_limits_on_positions() -> None:
    limits = CompileLimits(max_seconds=600, max_positions=1000)
    with pytest.raises(GrammarLimitError) as caught:
        LetterParser(chain(2000, "a"), limits=limits)
    assert caught.value.limit == "max_positions"


def test_a_square_of_goals_and_positions_ends_at_a_limit() -> None:
    count = 120
    rules = {
        f"A{i}": f"A{(i + 1) % count} a | {' | '.join(f'c A{(i + j) % count} b' for j in range(count))} | a"
        for i in range(count)
    }
    limits = CompileLimits(max_seconds=600, max_positions=50_000)
    with pytest.raises(GrammarLimitError) as caught:
        LetterParser(plain_grammar(**rules), limits=limits)
    assert caught.value.limit == "max_positions"


def test_deep_nesting_of_nodes() -> None:
    node: ir.Node = ir.Terminal(WordList([b"a"]))
    for depth in range(30_000):
        node = (
            ir.Sequence((node,)),
            ir.Choice((node,)),
            ir.Repeat(node, 0, None),
            ir.Repeat(node, 1, 2),
        )[depth % 4]
    grammar = ir.Grammar()
    grammar.add("root", node)
    parser = LetterParser(grammar)
    assert parser.accepts(b"aaa")


def test_out_of_time() -> None:
    with pytest.raises(GrammarLimitError) as caught:
        LetterParser(chain(10, "a"), limits=CompileLimits(max_seconds=-1))
    assert caught.value.limit == "max_seconds"
