"""How long terminals take to build, from their description to the finished automaton.

    python benchmarks/terminal_building.py [--corpus FOLDER] [--rounds N]

Prints the median of each case in microseconds. With a folder of JSON files it also builds every
distinct pattern, format, length and integer range that their schemas ask for, and prints
percentiles of the first (and only) time and the slowest ones. Nothing is taken from a cache of
finished automata.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from syntagma.grammar import dfa as dfas
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_bytes, strings_other_than
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.errors import GrammarError
from syntagma.grammar.json_formats import FORMATS
from syntagma.grammar.json_numbers import integer_tree
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.json_string_automata import BLOCK_LENGTH, StringBounds
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.pattern_cache import StringConstraints
from syntagma.grammar.warm_up import warm_kernels

LIMITS = CompileLimits()
OPTIONS = JsonOptions()
PATTERNS = [
    r"^[a-z0-9-]+$", r"^\d{4}-\d{2}-\d{2}$", r"^[A-Z]{2,3}$", r"^.{1,255}$", r"^[a-zA-Z0-9_]{1,64}$",
    r"^(foo|bar|baz)$", r"^\S+@\S+$", "foo", r"^\p{L}+$", r"^\p{L}{120}$", r"^[^\s]+$", r"\.json$",
    r"^https?://[^\s/$.?#].[^\s]*$", r"^(\([0-9]{3}\))?[0-9]{3}-[0-9]{4}$", r"^#([0-9a-fA-F]{3}){1,2}$",
    r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$", r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$",
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
]  # fmt: skip
LENGTHS = [(0, 20), (0, 100), (0, 255), (1, None), (3, 50)]
INTEGERS = [(0, None), (0, 100), (1, 65535), (-90, 90), (1900, 2100), (-(2**31), 2**31 - 1)]

Case = tuple[str, Callable[[], Dfa]]


def string(
    patterns: tuple[str, ...] = (),
    formats: tuple[str, ...] = (),
    min_length: int = 0,
    max_length: int | None = None,
) -> Dfa:
    """A JSON string terminal, quotes included."""
    bounds = StringBounds(min_length, max_length, patterns, formats)
    constraints = StringConstraints(
        searched=patterns,
        matched=tuple(p for name in formats for p in FORMATS[name]),
        min_length=min_length if bounds.asks_length else 0,
        max_length=max_length if bounds.asks_length else None,
        is_quoted=True,
    )
    return constraints.build(Budget(LIMITS))


def length(low: int, high: int | None) -> Dfa:
    return string(min_length=low, max_length=high)


def other_than(names: list[str]) -> Dfa:
    return strings_other_than(names, Encoder.JSON, Budget(LIMITS), is_quoted=True)


def integer(low: int | None, high: int | None) -> Dfa:
    return dfa_from_bytes(integer_tree(low, high, OPTIONS), Budget(LIMITS))


def named_cases() -> Iterator[Case]:
    for pattern in PATTERNS:
        yield f"pattern {pattern}", lambda p=pattern: string(patterns=(p,))
    yield "pattern and length", lambda: string(patterns=("^[a-z0-9_.-]+$",), max_length=63)
    for name in FORMATS:
        yield f"format {name}", lambda n=name: string(formats=(n,))
    for low, high in LENGTHS:
        yield f"length {low}..{high}", lambda a=low, b=high: length(a, b)
    for low_value, high_value in INTEGERS:
        yield f"integer {low_value}..{high_value}", lambda a=low_value, b=high_value: integer(a, b)
    yield "literal", lambda: dfas.literal(b'"description"')
    yield "20 words", lambda: dfas.from_words([b'"value-%d"' % i for i in range(20)])
    names = [f"property_{i}" for i in range(20)]
    yield "other than 20 names", lambda: other_than(names)
    cyrillic = [f"поле{chr(0x430 + i % 32)}{i}" for i in range(150)]
    many = [f"property_{i}" for i in range(2000)]
    yield "other than 2000 names", lambda: other_than(many)
    yield "other than 150 non-ASCII names", lambda: other_than(cyrillic)


def corpus_cases(folder: Path) -> Iterator[Case]:
    found: dict[str, Callable[[], Dfa]] = {}
    for path in sorted(folder.glob("*.json")):
        waiting = [json.loads(path.read_text())]
        while waiting:
            node = waiting.pop()
            if isinstance(node, list):
                waiting += node
            if not isinstance(node, dict):
                continue
            waiting += node.values()
            for name, case in schema_cases(node):
                found.setdefault(name, case)
    yield from found.items()


def schema_cases(node: dict[str, Any]) -> Iterator[Case]:
    pattern, form = node.get("pattern"), node.get("format")
    shortest, longest = _integer(node, "minLength") or 0, _integer(node, "maxLength")
    bounds = {
        "patterns": (pattern,) if isinstance(pattern, str) else (),
        "formats": (form,) if isinstance(form, str) and form in FORMATS else (),
        "min_length": shortest,
        "max_length": longest,
    }
    if bounds["patterns"] or bounds["formats"]:
        yield f"string {bounds}", lambda: string(**bounds)
    elif (shortest or longest) and max(shortest, longest or 0) <= BLOCK_LENGTH:
        yield f"length {shortest}..{longest}", lambda: length(shortest, longest)
    low, high = _integer(node, "minimum"), _integer(node, "maximum")
    if node.get("type") == "integer" and (low is not None or high is not None):
        yield f"integer {low}..{high}", lambda: integer(low, high)


def _integer(node: dict[str, Any], keyword: str) -> int | None:
    value = node.get(keyword)
    return int(value) if isinstance(value, int | float) else None


def median_us(build: Callable[[], Dfa], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        _ = build().key
        times.append(time.perf_counter() - start)
        if sum(times) > 2:
            break
    return 1e6 * statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    warm_kernels()
    for name, build in named_cases():
        try:
            build()  # compiles kernels that nothing before needed
            figure = f"{median_us(build, arguments.rounds):10.0f}"
        except GrammarError as error:
            figure = type(error).__name__
        print(f"{figure}  {name}")
    if arguments.corpus is None:
        return
    results: list[tuple[float, str]] = []
    num_refused = 0
    gc.collect()
    for name, build in corpus_cases(arguments.corpus):
        try:
            results.append((median_us(build, 1), name))
        except GrammarError:
            num_refused += 1
    results.sort()
    times = [t for t, _ in results]
    print(f"corpus: {len(times)} terminals, {num_refused} refused")
    for label, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
        print(f"{times[min(len(times) - 1, int(share * len(times)))]:10.0f}  {label}")
    for figure_us, name in results[-12:]:
        print(f"{figure_us:10.0f}  {name[:150]}")


if __name__ == "__main__":
    main()
