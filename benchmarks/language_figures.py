"""Languages by name: compile time, and the time between masks along usual texts.

    language_figures.py [--vocabulary tekken] [--repeat 3]

Each language is compiled in a process that has its kernels but not its terminals: all before it are
other languages. A token's time is that of its mask and of accepting the token before, on first use.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import cfg_cases
import numpy as np
import vocabularies
from measure import markdown_table, percentile

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import CompileLimits, GrammarCompiler, Vocabulary

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
import go_corpus
import sql_corpus


def texts() -> dict[str, list[str]]:
    """Usual texts of each language."""
    rng = random.Random(7)
    names = cfg_cases.NAMES
    rows = [[rng.choice(names), str(rng.randint(0, 999)), rng.choice(names)] for _ in range(40)]
    bars = ["| " + " | ".join(row) + " |" for row in rows]
    return {
        "arithmetic": [cfg_cases.arithmetic_text(rng) for _ in range(40)],
        "csv": ["\n".join(",".join(row) for row in rows)],
        "go": [go_corpus.FILE],
        "json": [cfg_cases.json_text(rng) for _ in range(10)],
        "json-lines": ["\n".join(cfg_cases.json_text(rng) for _ in range(10))],
        "markdown-table": ["\n".join([bars[0], "| --- | ---: | --- |", *bars[1:]])],
        "sql": [*sql_corpus.USUAL, *(cfg_cases.sql_text(rng) for _ in range(20))],
    }


def times_us(compiler: GrammarCompiler, language: str, tokens: list[list[int]]) -> list[float]:
    """Microseconds of every token.

    Raises:
        ValueError: a text is not of the language.
    """
    grammar = compiler.compile_language(language)
    bitmask = np.zeros((1, grammar.vocabulary.num_words), np.int32)
    found = []
    for token_ids in tokens:
        matcher = Matcher(grammar)
        for token_id in token_ids:
            started = time.perf_counter()
            matcher.fill_bitmask(bitmask, 0)
            is_allowed = matcher.accept_token(token_id)
            found.append((time.perf_counter() - started) * 1e6)
            if not is_allowed:
                raise ValueError(f"{language} refuses {grammar.vocabulary.tokens[token_id]!r}")
        if not matcher.is_accepting():
            raise ValueError(f"{language} does not end with a text")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", choices=vocabularies.NAMES, default="tekken")
    parser.add_argument("--repeat", type=int, default=3, help="compilers; the median counts")
    arguments = parser.parse_args()
    bench = vocabularies.load(arguments.vocabulary)
    found: dict[str, list[tuple[float, list[float]]]] = {}
    for _ in range(arguments.repeat):
        vocabulary = Vocabulary(bench.vocab, stop_ids=[bench.eos_id])
        compiler = GrammarCompiler(vocabulary, limits=CompileLimits.unlimited())
        for language, samples in texts().items():
            seconds = compiler.compile_language(language).compile_seconds
            tokens = [bench.encode(text) for text in samples]
            found.setdefault(language, []).append((seconds, times_us(compiler, language, tokens)))
    rows = []
    for language, runs in found.items():
        per_token = [
            percentile(token, 50) for token in zip(*(times for _, times in runs), strict=True)
        ]
        rows.append(
            (
                language,
                f"{percentile([seconds for seconds, _ in runs], 50) * 1000:.0f} ms",
                str(len(per_token)),
                *(f"{percentile(per_token, p):.1f} µs" for p in (50, 99)),
                f"{max(per_token) / 1000:.1f} ms",
            )
        )
    header = ("language", "compile", "tokens", "TBM p50", "TBM p99", "TBM max")
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
