"""From process start to the first mask, with warm and cold caches (`make startup`).

Each row is a new process: its stages as min(wall clock, CPU time), with files in the page cache, and the
whole process by its parent's wall clock. "Cold JIT"
starts with an empty numba cache, as right after an installation that has not run `warm_kernels`.
Reading the tokenizer's file is measured apart, because a server does that anyway.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measure
import vocabularies
from measure import median, shown

STAGES = ("import", "kernels", "tokenizer", "vocabulary", "compiler", "compile", "first mask")
SCHEMA = Path(__file__).resolve().parent / "schemas" / "invoice.json"


def stages(vocabulary_name: str, cache_dir: str | None) -> dict[str, float]:
    """Seconds of each stage; for a process that has not imported the engine yet."""
    seconds: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()

    def lap(stage: str) -> None:
        nonlocal wall, cpu
        wall_now, cpu_now = time.perf_counter(), time.process_time()
        seconds[stage] = min(wall_now - wall, cpu_now - cpu)
        wall, cpu = wall_now, cpu_now

    import numpy as np

    from syntagma.decoding import Matcher
    from syntagma.grammar import GrammarCompiler, Vocabulary
    from syntagma.grammar.warm_up import warm_kernels

    lap("import")
    warm_kernels()
    lap("kernels")
    loaded = vocabularies.load(vocabulary_name)
    lap("tokenizer")
    vocabulary = Vocabulary(loaded.vocab, stop_ids=[loaded.eos_id])
    lap("vocabulary")
    options: dict[str, Any] = {}
    if cache_dir is not None:
        options["cache_dir"] = cache_dir
    compiler = GrammarCompiler(vocabulary, **options)
    lap("compiler")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))["schema"]
    matcher = Matcher(compiler.compile_json_schema(schema))
    lap("compile")
    matcher.fill_bitmask(np.zeros((1, vocabulary.num_words), np.int32), 0)
    lap("first mask")
    return seconds


def measured(vocabulary: str, numba_cache: str | None, cache_dir: str | None) -> dict[str, float]:
    """The stages of a new process, and its whole life as ``process``, seconds."""
    environment = dict(os.environ)
    if numba_cache is not None:
        environment["NUMBA_CACHE_DIR"] = numba_cache
    command = [sys.executable, __file__, "--child", "--vocabulary", vocabulary]
    if cache_dir is not None:
        command += ["--cache-dir", cache_dir]
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    seconds: dict[str, float] = json.loads(done.stdout)
    return {**seconds, "process": time.perf_counter() - started}


def has_cache_directory() -> bool:
    """Whether what depends on the vocabulary alone can be kept between processes."""
    from syntagma.grammar import GrammarCompiler

    return "cache_dir" in inspect.signature(GrammarCompiler).parameters


def row(name: str, runs: Sequence[dict[str, float]]) -> list[str]:
    """Medians of some runs; the contract counts everything but the tokenizer's file."""
    middle = {stage: median(run[stage] for run in runs) for stage in (*STAGES, "process")}
    counted = sum(middle[stage] for stage in STAGES if stage != "tokenizer")
    return [
        name,
        *(shown(middle[stage], 3) for stage in STAGES),
        shown(counted),
        shown(middle["process"]),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", choices=vocabularies.NAMES, default="tekken")
    parser.add_argument("--repetitions", type=int, default=3, help="processes for each warm row")
    parser.add_argument("--no-cold-jit", action="store_true", help="leave out the slow row")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--cache-dir", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.child:
        print(json.dumps(stages(arguments.vocabulary, arguments.cache_dir)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        if not arguments.no_cold_jit:
            rows.append(row("cold JIT", [measured(arguments.vocabulary, f"{scratch}/numba", None)]))
        measured(arguments.vocabulary, None, None)
        repeated = range(arguments.repetitions)
        runs = [measured(arguments.vocabulary, None, None) for _ in repeated]
        rows.append(row("warm JIT", runs))
        if has_cache_directory():
            cache_dir = f"{scratch}/vocabulary"
            rows.append(row("cold cache_dir", [measured(arguments.vocabulary, None, cache_dir)]))
            runs = [measured(arguments.vocabulary, None, cache_dir) for _ in repeated]
            rows.append(row("warm cache_dir", runs))
    header = ["seconds", *STAGES, "all but tokenizer", "whole process, wall"]
    print(measure.markdown_table(header, rows))


if __name__ == "__main__":
    main()
