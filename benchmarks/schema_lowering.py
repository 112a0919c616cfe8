"""How long the front end takes before a first mask can be asked for.

For every JSON file of a folder (an object whose field ``schema`` is a JSON Schema, as MaskBench has
them): parse the text, survey the schema, and produce the rules that can start before the first byte.
Refused schemas are left out. Prints microseconds; in the second pass the patterns of the first are known.

    python -m benchmarks.schema_lowering FOLDER
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np

from syntagma.grammar import CompileLimits, GrammarError, ir
from syntagma.grammar.from_json_schema import json_schema_to_grammar
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.warm_up import warm_kernels

STAGES = ("load", "survey", "first rules", "all")


def produce_first_rules(grammar: ir.Grammar) -> None:
    """Produce what a parser asks for before anything is read."""
    seen: set[int] = set()
    waiting: list[ir.Node] = [ir.Call(0)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ir.Call):
            if node.rule not in seen:
                seen.add(node.rule)
                waiting.append(grammar.body(node.rule))
        elif isinstance(node, ir.Sequence):
            waiting += node.parts[:1]
        elif isinstance(node, ir.Choice):
            waiting += node.parts
        elif isinstance(node, ir.Repeat):
            waiting.append(node.part)


def measure(text: str) -> tuple[list[float], bool] | None:
    """Seconds of each stage and whether lowering went on demand; None: refused."""
    budget = Budget(CompileLimits(max_seconds=20))
    times = [time.perf_counter()]
    try:
        document = SchemaDocument.load(text, budget)
        times.append(time.perf_counter())
        grammar = json_schema_to_grammar(document, JsonOptions(), budget)
        times.append(time.perf_counter())
    except GrammarError:
        return None
    produce_first_rules(grammar)
    times.append(time.perf_counter())
    stages = [after - before for before, after in itertools.pairwise(times)]
    return [*stages, sum(stages)], grammar.is_proper


def main() -> None:
    """Measure every schema of a folder, twice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    paths = sorted(parser.parse_args().folder.glob("*.json"))
    texts = [json.dumps(json.loads(path.read_text())["schema"]) for path in paths]
    warm_kernels()
    for name in ("first pass", "second pass"):
        found = [result for result in map(measure, texts) if result is not None]
        microseconds = 1e6 * np.array([stages for stages, _ in found])
        on_demand = sum(is_proper for _, is_proper in found)
        print(f"{name}: {len(found)} of {len(texts)} schemas, {on_demand} lowered on demand; µs")
        print(f"{'':>12} {'p50':>9} {'p90':>9} {'p99':>9} {'max':>9}")
        for stage, column in zip(STAGES, microseconds.T, strict=True):
            figures = " ".join(f"{np.percentile(column, p):9.0f}" for p in (50, 90, 99, 100))
            print(f"{stage:>12} {figures}")


if __name__ == "__main__":
    main()
