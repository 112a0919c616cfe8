"""Random EBNF grammars, as trees and as text in random wording."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from naive_language import Alt, Chars, Lit, Minus, Ref, Rep, Seq, Tree

ALPHABET = "ab,"


def _composites(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    parts = st.lists(children, min_size=1, max_size=3).map(tuple)
    counts = st.sampled_from(
        [(0, 1), (0, None), (1, None), (2, 2), (1, 3), (0, 2), (2, None), (0, 0)]
    )
    return st.one_of(
        parts.map(Seq),
        parts.map(Alt),
        st.tuples(children, counts).map(lambda pair: Rep(pair[0], *pair[1])),
    )


_LITERALS = st.text(ALPHABET, max_size=3).map(Lit)
_SETS = st.tuples(st.text(ALPHABET, min_size=1, max_size=2), st.booleans()).map(
    lambda pair: Chars(*pair)
)
_REGULAR: st.SearchStrategy[Tree] = st.recursive(_LITERALS | _SETS, _composites, max_leaves=5)
_MINUS = st.tuples(_REGULAR, _REGULAR).map(lambda pair: Minus(*pair))


@st.composite
def ebnf_rules(draw: st.DrawFn, *, guarded: bool = False) -> list[Tree]:
    """The rules of a grammar; the first is the root.

    If ``guarded``, calls stand behind a literal, so that nothing is left-recursive.
    """
    num_rules = draw(st.integers(1, 4))
    calls: st.SearchStrategy[Tree] = st.integers(0, num_rules - 1).map(Ref)
    if guarded:
        first = st.sampled_from(ALPHABET).map(Lit)
        calls = st.tuples(first, calls).map(Seq)
    leaf = st.one_of(_LITERALS, _SETS, calls, calls, _MINUS)
    tree = st.recursive(leaf, _composites, max_leaves=6)
    return [draw(tree) for _ in range(num_rules)]


@st.composite
def linear_rules(draw: st.DrawFn) -> list[Tree]:
    """Rules that call each other at one end only, each as an alternative to something regular."""
    num_rules = draw(st.integers(1, 3))
    is_right = draw(st.booleans())
    rules: list[Tree] = []
    for _ in range(num_rules):
        branches: list[Tree] = draw(st.lists(_REGULAR, min_size=1, max_size=2))
        for _ in range(draw(st.integers(1, 2))):
            call: Tree = Ref(draw(st.integers(0, num_rules - 1)))
            if draw(st.booleans()):
                call = Rep(call, 0, 1)
            rest = draw(_REGULAR)
            branches.append(Seq((rest, call) if is_right else (call, rest)))
        rules.append(Alt(tuple(branches)))
    return rules


def name(rule: int) -> str:
    """The name of a rule."""
    return "root" if rule == 0 else f"rule-{rule}"


class Writer:
    """Writes trees as EBNF, with random spaces, comments and ways to say the same."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def grammar(self, rules: list[Tree]) -> str:
        """All rules; the root need not come first."""
        lines = [f"{name(i)}{self.space()}::={self.alternatives(t)}" for i, t in enumerate(rules)]
        self.rng.shuffle(lines)
        return self.rng.choice(["", "\n", "# a grammar\n"]) + "\n".join(lines)

    def space(self) -> str:
        """At least one space."""
        return self.rng.choice([" ", " ", "\t ", "\n  ", " /* x | ( */ ", " # 'comment\n "])

    def alternatives(self, tree: Tree) -> str:
        """A tree where ``|`` may stand."""
        if isinstance(tree, Alt):
            return "|".join(self.alternative(part) for part in tree.parts)
        return self.alternative(tree)

    def alternative(self, tree: Tree) -> str:
        """A tree where a sequence may stand."""
        if tree in (Lit(""), Seq(())):
            return self.rng.choice(["", " ", '""'])
        parts = tree.parts if isinstance(tree, Seq) else (tree,)
        return "".join(self.space() + self.item(part) for part in parts) + self.space()

    def item(self, tree: Tree) -> str:
        """One part of a sequence."""
        if isinstance(tree, Minus):
            left, right = self.repetition(tree.left), self.repetition(tree.right)
            return f"({left}{self.space()}-{self.space()}{right})"
        return self.repetition(tree)

    def repetition(self, tree: Tree) -> str:
        """A part with what repeats it."""
        if not isinstance(tree, Rep):
            return self.atom(tree)
        simple = {(0, 1): "?", (0, None): "*", (1, None): "+"}.get((tree.low, tree.high))
        high = "" if tree.high is None else str(tree.high)
        bounds = f"{{{tree.low}}}" if tree.low == tree.high else f"{{{tree.low}, {high}}}"
        mark = simple if simple is not None and self.rng.random() < 0.8 else bounds
        return self.atom(tree.part) + self.rng.choice(["", " "]) + mark

    def atom(self, tree: Tree) -> str:
        """A part that a repetition may follow."""
        match tree:
            case Lit(text):
                quote = self.rng.choice("\"'")
                return quote + "".join(map(self.char, text)) + quote
            case Chars(chars, negated):
                return f"[{'^' if negated else ''}{''.join(map(self.char, chars))}]"
            case Ref(rule):
                return name(rule)
            case _:
                return f"({self.alternatives(tree)})"

    def char(self, char: str) -> str:
        """A character, or an escape of it."""
        point = ord(char)
        return self.rng.choice(
            [char, char, f"\\x{point:02x}", f"\\u{point:04X}", f"\\U{point:08X}"]
        )
