"""Random Lark grammars over a small alphabet, and what Lark accepts."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
from collections.abc import Iterator
from typing import Any

import lark.lexer
from lark import Lark
from lark.exceptions import LarkError, UnexpectedInput
from lark.indenter import Indenter

# Lark warns of terminals that overlap where this package is installed; on some patterns it fails, and
# the grammar would not be LALR for that.
lark.lexer.has_interegular = False

ALPHABET = "ab "
LITERALS = ['"a"', '"b"', '"ab"', '"a"i', '" "']


def random_pattern(rng: random.Random, depth: int = 0) -> str:
    """A regular expression: sets, groups, greedy and lazy repetition, lookaround, anchors."""
    kind = rng.random()
    if depth > 2 or kind < 0.45:
        return rng.choice(["a", "b", "ab", "ba", "[ab]", "[^a]", " ", ".", "aa"])
    part = random_pattern(rng, depth + 1)
    if kind < 0.6:
        return part + random_pattern(rng, depth + 1)
    if kind < 0.75:
        return f"({part}|{random_pattern(rng, depth + 1)}{rng.choice(['', '|'])})"
    if kind < 0.88:
        suffixes = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?"]
        return f"({part}){rng.choice(suffixes)}"
    if rng.random() < 0.4:
        inner = random_pattern(rng, depth + 1)
        look = rng.choice(
            [f"(?={inner})", f"(?!{inner})", f"(?:(?!{inner})[ab ])*", f"(?!{inner}$)"]
        )
    else:
        look = rng.choice(["(?<=a)", "(?<!a)", "(?<![ab])", r"\b", r"\B", "$", r"\Z", "(?m:$)"])
    rest = random_pattern(rng, depth + 1)
    return rng.choice([part + look + rest, part + look, look + part])


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


WIDE_ALPHABET = "ab \n"


def random_terminal_body(rng: random.Random, others: list[str], depth: int = 0) -> str:
    """What a terminal may be built of: literals, ranges, flags, other terminals, operators."""
    kind = rng.random()
    if kind < 0.2 and depth < 2:
        first, second = (random_terminal_body(rng, others, depth + 1) for _ in range(2))
        return f"{first} {second}" if rng.random() < 0.5 else f"({first} | {second})"
    if kind < 0.4 and depth < 2:
        inner = random_terminal_body(rng, others, depth + 1)
        return f"({inner}){rng.choice(['?', '*', '+', '~2', '~1..2', '~0..1'])}"
    if kind < 0.6 and others:
        return rng.choice(others)
    if kind < 0.75:
        return f"/{random_pattern(rng)}/{rng.choice(['', 'i', 's', 'm', 'x', 'is', 'im'])}"
    return rng.choice(['"a"', '"b"i', '"ab"i', '"a".."b"', '"\\n"', '" "', '"A"i', '"ba"'])


def random_expression(rng: random.Random, symbols: list[str], depth: int = 0) -> str:
    """A rule's symbols in a row, with groups, optional parts, counts and uses of templates."""
    parts = []
    for _ in range(rng.choice([0, 1, 1, 2, 2, 3]) if depth == 0 else rng.choice([1, 1, 2])):
        kind = rng.random()
        part = rng.choice(symbols)
        if kind < 0.15 and depth < 2:
            first, second = (random_expression(rng, symbols, depth + 1) for _ in range(2))
            part = f"[{first}]" if rng.random() < 0.4 else f"({first} | {second})"
        elif kind < 0.3:
            template = rng.choice(["list{{{}, {}}}", "_either{{{}, {}}}"])
            part = template.format(part, rng.choice(symbols))
        if not part.startswith("[") and rng.random() < 0.25:
            part += rng.choice(["?", "*", "+", "~2", "~1..2", "~0..2"])
        parts.append(part)
    return " ".join(parts)


def random_wide_grammar(rng: random.Random) -> str:
    """All that Lark's syntax has but `%declare`: `random_grammar` has fewer kinds of everything."""
    terminals = ["A", "B", "C", "_D"][: rng.randint(1, 4)]
    rules = ["start", "x", "_y"][: rng.randint(1, 3)]
    names = ["LETTER", "LCASE_LETTER", "WORD", "WS_INLINE", "NEWLINE", "CNAME"]
    imported = rng.sample(names, rng.choice([0, 0, 1, 2]))
    lines = [f"%import common.{name}" for name in imported[:1]]
    if len(imported) > 1:
        lines.append(f"%import common.{imported[1]} -> IMPORTED")
        imported[1] = "IMPORTED"
    literals = ['"a"', '"b"', '"ab"', '"a"i', '" "', '"\\n"', '"a".."b"', "/b/i"]
    symbols = rng.sample(literals, 4) + (terminals + imported) * 2 + rules
    for rule in rules:
        bodies = []
        for index in range(rng.randint(1, 3)):
            alias = f" -> other{index}" if rule[0] != "_" and rng.random() < 0.2 else ""
            bodies.append(random_expression(rng, symbols) + alias)
        prefix = "" if rule == "_y" else rng.choice(["", "", "?", "!", "?!", "!?"])
        priority = rng.choice(["", "", "", ".1", ".2", ".-1"])
        lines.append(f"{prefix}{rule}{priority}: {' | '.join(bodies)}")
    lines += ["list{item, sep}: item (sep item)*", "_either{one, other}: one | other | one one"]
    for index, terminal in enumerate(terminals):
        body = random_terminal_body(rng, terminals[:index] + imported)
        lines.append(f"{terminal}{rng.choice(['', '', '', '.1', '.2', '.-1'])}: {body}")
    if rng.random() < 0.3:
        changed = rng.choice(["start", *terminals, *imported])
        is_rule = changed == "start"
        body = random_expression(rng, symbols) if is_rule else random_terminal_body(rng, [])
        lines.append(f"%{rng.choice(['extend', 'override'])} {changed}: {body}")
    if rng.random() < 0.4:
        lines.append(f"%ignore {rng.choice(['/ +/', '/[ b]/', 'NL', *terminals, *imported])}")
        lines.append(r"NL: /\n/")
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


@contextlib.contextmanager
def limited_time() -> Iterator[None]:
    """Raises LarkLoopsError after five seconds of processor time, and each second from then on.

    Once is not enough: a loop that allocates is mostly in the garbage collector, and what is raised within the
    callbacks of that (hypothesis has one) is lost. While what it has allocated is freed, the next one comes.
    """

    def stop(*_: Any) -> None:
        raise LarkLoopsError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, 5, 1)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def lark_words(lark: Lark, alphabet: str, max_length: int) -> tuple[set[str], set[str]]:
    """The texts that Lark accepts, and those on which its Earley parser gives up with a bug report.

    Raises:
        LarkLoopsError: it does not come to an end.
    """
    words: set[str] = set()
    failed: set[str] = set()
    for length in range(max_length + 1):
        for letters in itertools.product(alphabet, repeat=length):
            text = "".join(letters)
            try:
                with limited_time():
                    lark.parse(text)
                words.add(text)
            except UnexpectedInput:
                pass
            except RuntimeError:
                failed.add(text)
    return words, failed


def random_body(rng: random.Random, rules: list[str], depth: int = 0) -> str:
    """Symbols in a row: words, brackets, line breaks and blocks, operators behind some."""
    parts = []
    for _ in range(rng.choice([1, 1, 2, 2, 3])):
        kind = rng.random()
        if depth < 2 and kind < 0.2:
            inner = random_body(rng, rules, depth + 1)
            part = f"_NL _INDENT {inner} _DEDENT" if kind < 0.15 else f"_INDENT {inner} _DEDENT"
        elif depth < 2 and kind < 0.3:
            part = f'"(" {random_body(rng, rules, depth + 1)} ")"'
        elif kind < 0.5:
            part = "_NL"
        elif kind < 0.7:
            part = rng.choice(rules)
        else:
            part = rng.choice(["A", "A _NL", "B"])
        if rng.random() < 0.3:
            part = f"({part}){rng.choice('?*+')}"
        parts.append(part)
    return " ".join(parts)


def random_indented_grammar(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """Rules with blocks that are told by indentation, and the indenter's parameters."""
    rules = ["start", "x", "y"][: rng.randint(1, 3)]
    lines = []
    for rule in rules:
        bodies = [random_body(rng, rules) for _ in range(rng.randint(1, 3))]
        usual = ["A _NL", "A _NL _INDENT start _DEDENT", "(A _NL [_INDENT x+ _DEDENT])+"]
        if "x" in rules and rng.random() < 0.5:
            bodies.append(rng.choice(usual))
        lines.append(f"{rule}: {' | '.join(bodies)}")
    newline = rng.choice(
        [r"/\n[ \t]*/", r"/(\n[ \t]*)+/", r"/\n */", r"/(\n *)+/", r"/\s*\n\s*/", r"(/\n[ \t]*/ | /b+/)+",
         r"/\n\t*/", r"/ *\n[ \t]*/"]
    )  # fmt: skip
    lines += [f"_NL: {newline}", rng.choice(['A: "a"', "A: /a+/", "A: /a[a ]*/"])]
    lines += [rng.choice(['B: "b"', "B: /[ab]/", 'B.2: "ab"']), "%declare _INDENT _DEDENT"]
    if rng.random() < 0.4:
        lines.append(rng.choice(['%ignore " "', "%ignore / +/", "%ignore /#[a ]*/"]))
    brackets = '"("' in lines[0] and rng.random() < 0.9
    indenter = {
        "newline": "_NL",
        "open": ["LPAR"] if brackets else [],
        "close": ["RPAR"] if brackets else [],
        "tab_length": rng.choice([1, 2, 3, 8]),
    }
    return "\n".join(lines) + "\n", indenter


def indented_lark(text: str, indenter: dict[str, Any]) -> Lark | None:
    """Lark's LALR parser with an indenter, None if it refuses the grammar."""

    class Made(Indenter):
        NL_type = indenter["newline"]
        OPEN_PAREN_types = indenter["open"]
        CLOSE_PAREN_types = indenter["close"]
        INDENT_type = "_INDENT"
        DEDENT_type = "_DEDENT"
        tab_len = indenter["tab_length"]

    try:
        return Lark(text, parser="lalr", postlex=Made())
    except Exception:  # noqa: BLE001 - some refusals are plain exceptions
        return None


def is_read(lark: Lark, text: str) -> bool:
    """Whether Lark reads a text; an indenter's errors are of several kinds."""
    try:
        with limited_time():
            lark.parse(text)
    except (LarkError, AssertionError, IndexError):
        return False
    return True
