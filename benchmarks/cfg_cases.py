"""Context-free grammars for measuring: JSON, arithmetic and a small SQL, with seeded texts.

`grammars/` holds each language as EBNF, written plainly, and as Lark for engines that read no EBNF.
`reworded` writes the same EBNF as a user would who knows what slows xgrammar down: whitespace inlined, the
characters of a JSON string as right recursion. Neither wording alone is xgrammar's speed; ours should not
tell them apart.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from measure import Case

GRAMMARS = Path(__file__).resolve().parent / "grammars"
LANGUAGES = ("json", "arithmetic", "sql")
WORDINGS = ("plain", "reworded")

NAMES = ["id", "price", "created_at", "customer", "orders", "region", "total_cost", "x", "rate"]


def source(language: str, wording: str) -> str:
    """The EBNF of a language."""
    text = (GRAMMARS / f"{language}.ebnf").read_text(encoding="utf-8")
    return text if wording == "plain" else reworded(text)


def reworded(grammar: str) -> str:
    """The same language with the rule ``blank`` inlined and ``letter*`` as right recursion."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines() if line)
    blank = rules.pop("blank")
    for name, body in rules.items():
        rules[name] = re.sub(r"\bblank\b", lambda _: blank, body)
    if "letter" in rules:
        plain, escape = rules.pop("letter").split(" | ", 1)
        rules["text"] = '"\\"" rest'
        rules["rest"] = f'"\\"" | {plain} rest | {escape} rest'
    return "".join(f"{name} ::= {body}\n" for name, body in rules.items())


def arithmetic_text(rng: random.Random, depth: int = 0) -> str:
    """A random sum."""

    def operand(level: int) -> str:
        pick = rng.random()
        if level > 3 or pick < 0.35:
            return rng.choice([str(rng.randint(0, 9999)), f"{rng.uniform(0, 99):.2f}"])
        if pick < 0.6:
            return rng.choice(NAMES)
        if pick < 0.75:
            arguments = [arithmetic_text(rng, level + 1) for _ in range(rng.randint(1, 3))]
            return f"{rng.choice(['max', 'sqrt', 'clip'])}({', '.join(arguments)})"
        return f"({arithmetic_text(rng, level + 1)})" if pick < 0.92 else f"-{operand(level + 1)}"

    rest = [
        rng.choice([" + ", " - ", "*", " / "]) + operand(depth + 1)
        for _ in range(rng.randint(0, 3))
    ]
    return operand(depth) + "".join(rest)


def sql_text(rng: random.Random, depth: int = 0) -> str:
    """A random query."""

    def value(level: int = 0) -> str:
        pick = rng.random()
        if level > 1 or pick < 0.5:
            return rng.choice(["", "o."]) + rng.choice(NAMES)
        if pick < 0.7:
            return f"{rng.choice(['COUNT', 'SUM', 'MAX'])}({value(level + 1)})"
        return f"{value(level + 1)} {rng.choice('+-*/')} {rng.randint(1, 500)}"

    def condition(level: int = 0) -> str:
        pick = rng.random()
        if pick < 0.5:
            constant = rng.choice([str(rng.randint(0, 9999)), "'New York'", "'it''s'", "'open'"])
            return f"{value(1)} {rng.choice(['=', '<>', '<', '>='])} {constant}"
        if pick < 0.65:
            return f"{value(1)} IN ({', '.join(str(rng.randint(1, 99)) for _ in range(3))})"
        if level > 1 or pick < 0.75:
            return f"{value(1)} IS NOT NULL"
        return f"({condition(level + 1)} {rng.choice(['AND', 'OR'])} {condition(level + 1)})"

    def column() -> str:
        return value() + (f" AS {rng.choice(NAMES)}" if rng.random() < 0.3 else "")

    parts = ["SELECT " + ", ".join(column() for _ in range(rng.randint(1, 4)))]
    if depth < 1 and rng.random() < 0.2:
        parts.append(f"FROM ({sql_text(rng, depth + 1)}) AS o")
    else:
        parts.append("FROM orders AS o")
    for probability, part in (
        (0.4, "LEFT JOIN customers ON o.id = customers.id"),
        (0.8, f"WHERE {condition()}"),
        (0.4, f"GROUP BY {value()}"),
        (0.5, f"ORDER BY {value()} DESC"),
        (0.5, f"LIMIT {rng.randint(1, 100)}"),
    ):
        if rng.random() < probability:
            parts.append(part)
    return " ".join(parts) + ("" if depth else ";")


def json_text(rng: random.Random) -> str:
    """A random JSON document of a few hundred bytes."""

    def value(depth: int) -> object:
        pick = rng.random()
        if depth < 3 and pick < 0.35:
            return {rng.choice(NAMES): value(depth + 1) for _ in range(rng.randint(1, 4))}
        if depth < 3 and pick < 0.5:
            return [value(depth + 1) for _ in range(rng.randint(0, 4))]
        samples = (rng.randint(-99, 9999), rng.uniform(-5, 5), None, True, "Straße 7", 'say "hi"\n')
        return rng.choice([*samples, " ".join(rng.sample(NAMES, 3))])

    return json.dumps({rng.choice(NAMES): value(0) for _ in range(4)}, ensure_ascii=False)


def spoiled(text: str, number: int) -> str:
    """A text that no longer belongs: cut short of its end, or with a bracket too many."""
    if text.endswith((";", "}")):
        return text[:-1] if number % 2 else text[:-1] + ")" + text[-1]
    return text + (" *" if number % 2 else ")")


def cfg_case(language: str, wording: str, num_texts: int = 20) -> Case:
    """One language in one wording, with valid texts and half as many spoiled ones."""
    rng = random.Random(7)
    make = {"json": json_text, "arithmetic": arithmetic_text, "sql": sql_text}[language]
    texts: list[tuple[str, bool | None]] = [(make(rng), True) for _ in range(num_texts)]
    texts += [(spoiled(text, n), False) for n, (text, _) in enumerate(texts[: num_texts // 2])]
    lark = (GRAMMARS / f"{language}.lark").read_text(encoding="utf-8")
    return Case(f"{language}, {wording}", {"ebnf": source(language, wording), "lark": lark}, texts)
