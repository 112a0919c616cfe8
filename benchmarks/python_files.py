"""Python files through the masks of the language ``python``, token by token.

    python benchmarks/python_files.py [--vocabulary tekken] [--files N] [--no-masks] [FOLDER]

Takes the files of a folder (the standard library) that are smaller than 30 kB and that `ast.parse` reads;
says which of them are refused, and where, and how long masks and moves take.
"""

from __future__ import annotations

import argparse
import ast
import random
import sysconfig
import time
import warnings
from pathlib import Path

import numpy as np
import vocabularies

from syntagma.grammar import CompiledGrammar, CompileLimits, GrammarCompiler, Vocabulary

MAX_FILE_BYTES = 30_000


def sources(folder: Path) -> dict[Path, str]:
    """The files that are to pass."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        if "site-packages" in path.parts or path.stat().st_size >= MAX_FILE_BYTES:
            continue
        try:
            text = path.read_text("utf-8")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        found[path] = text
    return found


class Passage:
    """Texts read by one grammar, with the times of masks and moves.

    Args:
        grammar: the language.
        takes_masks: whether the mask is asked for before every token.
    """

    def __init__(self, grammar: CompiledGrammar, *, takes_masks: bool) -> None:
        self.recognizer = grammar.recognizer
        self.tokens = grammar.vocabulary.tokens
        self.takes_masks = takes_masks
        self.mask_us: list[float] = []
        self.move_us: list[float] = []

    def refused_at(self, token_ids: list[int]) -> int | None:
        """The number of the first token that is refused, their count if only the end is, or None."""
        state = self.recognizer.initial
        for index, token_id in enumerate(token_ids):
            if self.takes_masks:
                started = time.perf_counter()
                row = self.recognizer.row(state)
                self.mask_us.append(1e6 * (time.perf_counter() - started))
                if not row[token_id >> 5] >> (token_id & 31) & 1:
                    return index
            started = time.perf_counter()
            after = self.recognizer.advance(state, token_id)
            self.move_us.append(1e6 * (time.perf_counter() - started))
            if after is None:
                return index
            state = after
        return None if self.recognizer.is_accepting(state) else len(token_ids)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", nargs="?", type=Path, default=sysconfig.get_paths()["stdlib"])
    parser.add_argument("--vocabulary", default="tekken", choices=vocabularies.NAMES)
    parser.add_argument("--files", type=int, help="as many, drawn at random; all if not given")
    parser.add_argument("--no-masks", action="store_true", help="only read")
    arguments = parser.parse_args()
    found = sources(Path(arguments.folder))
    paths = list(found)
    random.Random(0).shuffle(paths)
    paths = paths[: arguments.files]
    bench = vocabularies.load(arguments.vocabulary)
    vocabulary = Vocabulary(bench.vocab, stop_ids=[bench.eos_id])
    compiler = GrammarCompiler(vocabulary, limits=CompileLimits(max_seconds=60))
    grammar = compiler.compile_language("python")
    passage = Passage(grammar, takes_masks=not arguments.no_masks)
    num_refused = 0
    for path in paths:
        token_ids = bench.encode(found[path])
        at = passage.refused_at(token_ids)
        if at is not None:
            num_refused += 1
            before, after = (
                b"".join(bench.vocab[t] for t in part)
                for part in (token_ids[max(0, at - 12) : at], token_ids[at : at + 3])
            )
            print(f"refused: {path.name} {before!r} >> {after!r}")
    print(f"{len(paths) - num_refused} of {len(paths)} files pass")
    print(
        f"compiled in {grammar.compile_seconds:.2f} s, holds {grammar.num_bytes >> 20} MB afterwards"
    )
    for name, times in (("mask", passage.mask_us), ("move", passage.move_us)):
        if times:
            p50, p99, most = np.percentile(times, [50, 99, 100])
            print(
                f"{name}: {len(times)} times, p50 {p50:.0f} us, p99 {p99:.0f} us, max {most:.0f} us"
            )


if __name__ == "__main__":
    main()
