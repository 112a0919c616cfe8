"""Random Lark grammars over a small alphabet, and what Lark accepts."""

from __future__ import annotations

import itertools
import random
import signal
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedInput

ALPHABET = "ab "
LITERALS = ['"a"', '"b"', '"ab"', '"a"i', '" "']


def random_pattern(rng: random.Random, depth: int = 0) -> str:
    """A regular expression: sets, groups, greedy and lazy repetition, lookbehind."""
    kind = rng.random()
    if depth > 2 or kind < 0.45:
        return rng.choice(["a", "b", "ab", "ba", "[ab]", "[^a]", " ", ".", "aa"])
    part = random_pattern(rng, depth + 1)
    if kind < 0.6:
        return part + random_pattern(rng, depth + 1)
    if kind < 0.75:
        return f"({part}|{random_pattern(rng, depth + 1)}{rng.choice(['', '|'])})"
    if kind < 0.95:
        suffixes = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?"]
        return f"({part}){rng.choice(suffixes)}"
    behind = rng.choice(["(?<=a)", "(?<!a)", "(?<![ab])"])
    return part + behind + random_pattern(rng, depth + 1)


def random_grammar(rng: random.Random) -> str:
    """Rules, terminals with priorities and flags, ignored ones."""
    terminals = ["A", "B", "C"][: rng.randint(0, 3)]
    rules = ["start", "x", "y"][: rng.randint(1, 3)]
    lines = []
    for rule in rules:
        alternatives = []
        for _ in range(rng.randint(1, 3)):
            symbols = LITERALS + terminals * 3 + rules + rules[1:]
            parts = [
                rng.choice(symbols) + (rng.choice("?*+") if rng.random() < 0.25 else "")
                for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))
            ]
            alternatives.append(" ".join(parts))
        lines.append(f"{rule}{rng.choice(['', '', '', '.1', '.2'])}: {' | '.join(alternatives)}")
    for terminal in terminals:
        pattern = f"/{random_pattern(rng)}/{rng.choice(['', '', 'i', 's'])}"
        others = ['"a"', '"ab"', '"b"+', '"a" | "ab"', '("a"|"b")~1..2', '"ba"i', '"aab"']
        body = pattern if rng.random() < 0.6 else rng.choice(others)
        lines.append(f"{terminal}{rng.choice(['', '', '', '.1', '.2'])}: {body}")
    if rng.random() < 0.4:
        ignored = ['" "', "/ +/", "/ /", '"b"', "/a?b/", *terminals]
        lines.append(f"%ignore {rng.choice(ignored)}")
    return "\n".join(lines) + "\n"


def lark_of(text: str) -> Lark | None:
    """Lark's parser: LALR where that works, else Earley; None if Lark refuses the grammar."""
    for parser in ("lalr", "earley"):
        try:
            return Lark(text, parser=parser)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001, S112 - some refusals are plain exceptions
            continue
    return None


class LarkLoopsError(Exception):
    """Lark's LALR parser makes empty reductions for ever on some grammars."""


def lark_words(lark: Lark, alphabet: str, max_length: int) -> tuple[set[str], set[str]]:
    """The texts that Lark accepts, and those on which its Earley parser gives up with a bug report.

    Raises:
        LarkLoopsError: it does not come to an end.
    """

    def stop(*_: Any) -> None:
        raise LarkLoopsError

    before = signal.signal(signal.SIGVTALRM, stop)
    words: set[str] = set()
    failed: set[str] = set()
    try:
        for length in range(max_length + 1):
            for letters in itertools.product(alphabet, repeat=length):
                text = "".join(letters)
                signal.setitimer(signal.ITIMER_VIRTUAL, 5)
                try:
                    lark.parse(text)
                    words.add(text)
                except UnexpectedInput:
                    pass
                except RuntimeError:
                    failed.add(text)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return words, failed
