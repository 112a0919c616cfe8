"""Random grammars in plain productions, and short notation for hand-made ones."""

from __future__ import annotations

from hypothesis import strategies as st

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.terminals import WordList


def plain_grammar(**rules: str) -> ir.Grammar:
    """Rules from alternatives of space-separated symbols, as in ``E='E + E | a', F=''``.

    Names of rules are calls, all else are literals; an alternative without symbols is empty. The first
    rule is the start.
    """
    grammar = ir.Grammar()
    numbers = {name: grammar.declare(name) for name in rules}
    for name, text in rules.items():
        grammar.define(
            numbers[name],
            ir.Choice(
                tuple(
                    ir.Sequence(tuple(_symbol(word, numbers) for word in alternative.split()))
                    for alternative in text.split("|")
                )
            ),
        )
    return grammar


def _symbol(word: str, numbers: dict[str, int]) -> ir.Node:
    if word in numbers:
        return ir.Call(numbers[word])
    return ir.Terminal(WordList([word.encode()]))


@st.composite
def plain_grammars(draw: st.DrawFn, letters: str = "abc,") -> ir.Grammar:
    """Random productions: short alternatives, half of the symbols calls, often at the front."""
    names = "ABCD"[: draw(st.integers(1, 4))]
    symbol = st.sampled_from([*names, *letters])
    alternative = st.lists(symbol, max_size=3).map(" ".join)
    rules = {name: draw(st.lists(alternative, min_size=1, max_size=4)) for name in names}
    for name in names:
        if draw(st.booleans()):
            rules[name].append(draw(st.sampled_from(letters)))
    return plain_grammar(**{name: " | ".join(rules[name]) for name in names})


@st.composite
def nested_grammars(draw: st.DrawFn) -> ir.Grammar:
    """Brackets around brackets, whose stacks differ far below and agree above."""
    inner = draw(st.sampled_from(["A", "B", "A B", "B A", "A A"]))
    other = draw(st.sampled_from(["c", "A", ", A", "A c | c", "A , A | A c c | c", "B c | c", ""]))
    return plain_grammar(
        A=f"a {inner} b | a b" + draw(st.sampled_from(["", " | c", " | "])), B=other
    )


def counted(word: bytes, low: int, high: int | None) -> ir.Node:
    """A repeated literal."""
    return ir.Repeat(ir.Terminal(dfas.literal(word)), low, high)
