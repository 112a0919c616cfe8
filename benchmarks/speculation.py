"""What drafts save: tokens a pass, acceptance by source, wasted nodes, time against no speculation.

    make speculation ARGS="--tasks 60 --rounds 2"
    make speculation ARGS="--tasks 24 --rounds 1 --fixed-costs"  # drafts that do not depend on the machine

Four workloads of the demo model (or of --model), greedy. Every arm is an engine with drafters and texts of its own:
no drafts, all sources, all but one, and one alone. For each task all arms work in turn, so that a busy machine
slows all of them; what the arms wrote must be the same, and where it is not it is counted. The first round sees every
task for the first time; in later rounds the corpus holds the answers, which is told apart.

Reported per workload and arm: tokens a pass, drafted tokens a pass, the share of drafted tokens that stood
(by source for the arm with all), and time: no drafts divided by this arm (above 1 is faster), by the clock and by what the
process has used of the processor, which other work of the machine changes less.

How much is drafted depends on what steps cost, which engines measure: other work of the machine changes it. With
``--fixed-costs`` they learn nothing of it and take each drafted token to cost 2 % of a step.

The last table is a model, not a measurement: passes and drafts as measured here, the cost of a pass as memory and
arithmetic of larger models have it. Its assumptions are printed with it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from speculation_workloads import Task, new_parser, prompt_of, tasks

from syntagma.decoding.draft_sources import new_speculator
from syntagma.decoding.draft_tree import SOURCES, Source
from syntagma.decoding.embedded_engine import EmbeddedEngine
from syntagma.decoding.engine import GenerationRequest, SamplingParams
from syntagma.decoding.speculation import SpeculationUsage
from syntagma.decoding.step_costs import StepCosts
from syntagma.grammar import CompiledGrammar, GrammarCompiler

NO_DRAFTS = "no drafts"
ALL = "all"


@dataclass
class Arm:
    """One engine and what it has done in a workload's round."""

    engine: EmbeddedEngine
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    num_tokens: int = 0
    usage: SpeculationUsage = field(default_factory=SpeculationUsage)
    num_different: int = 0

    @property
    def tokens_per_pass(self) -> float:
        return self.num_tokens / max(1, self.usage.steps)

    @property
    def drafted_per_pass(self) -> float:
        return self.usage.drafted / max(1, self.usage.steps)

    def clear(self) -> None:
        self.seconds = self.cpu_seconds = 0.0
        self.num_tokens = self.num_different = 0
        self.usage = SpeculationUsage()


def arm_sources(available: Sequence[Source]) -> dict[str, tuple[Source, ...]]:
    """The sources of each arm."""
    arms: dict[str, tuple[Source, ...]] = {NO_DRAFTS: (), ALL: tuple(available)}
    for source in available:
        arms[f"without {source}"] = tuple(other for other in available if other != source)
        arms[f"{source} alone"] = (source,)
    return arms


def load_arms(options: argparse.Namespace) -> dict[str, Arm]:
    """Every arm's engine, not started."""
    available = [source for source in SOURCES if source != "model"]
    arms = {}
    for name, sources in arm_sources(available).items():
        if name in (NO_DRAFTS, ALL) or not options.no_ablation:
            make_speculator = functools.partial(
                new_speculator, sources=sources, max_nodes=options.max_draft_tokens
            )
            engine = EmbeddedEngine.from_pretrained(
                options.model,
                device=options.device,
                new_speculator=make_speculator if sources else None,
            )
            arms[name] = Arm(engine)
    return arms


async def run_task(
    arm: Arm, task: Task, prompt: tuple[int, ...], grammar: CompiledGrammar | None, max_tokens: int
) -> list[int]:
    """One request, from beginning to end."""
    request = GenerationRequest(
        request_id="benchmark",
        prompt_token_ids=prompt,
        sampling=SamplingParams(temperature=0, max_tokens=max_tokens),
        grammar=grammar,
    )
    token_ids: list[int] = []
    started, cpu_started = time.perf_counter(), time.process_time()
    async for delta in arm.engine.generate(request):
        token_ids += delta.token_ids
        if delta.speculation is not None:
            arm.usage.add(delta.speculation)
    arm.seconds += time.perf_counter() - started
    arm.cpu_seconds += time.process_time() - cpu_started
    arm.num_tokens += len(token_ids)
    return token_ids


async def run_workload(
    arms: dict[str, Arm], workload: Sequence[Task], compiler: GrammarCompiler, max_tokens: int
) -> None:
    """All tasks, each by all arms in turn; the arm that goes first changes."""
    for arm in arms.values():
        arm.clear()
    names = list(arms)
    for number, task in enumerate(workload):
        prompt = prompt_of(arms[NO_DRAFTS].engine.tokenizer, task)
        grammar = None if task.schema is None else compiler.compile_json_schema(task.schema)
        shift = number % len(names)
        outputs = {}
        for name in names[shift:] + names[:shift]:
            outputs[name] = await run_task(arms[name], task, prompt, grammar, max_tokens)
        for name, token_ids in outputs.items():
            arms[name].num_different += token_ids != outputs[NO_DRAFTS]


async def warm_up(arms: dict[str, Arm], compiler: GrammarCompiler) -> None:
    """Load and compile what the first requests would."""
    task = tasks("editing", 3)[-1]
    grammar = compiler.compile_json_schema(task.schema)
    for arm in arms.values():
        await arm.engine.start()
        for _ in range(2):
            prompt = prompt_of(arm.engine.tokenizer, task)
            await run_task(arm, task, prompt, grammar, 40)


def report_rows(arms: dict[str, Arm]) -> list[dict[str, Any]]:
    """What is printed, and written with --json."""
    plain = arms[NO_DRAFTS]
    rows = []
    for name, arm in arms.items():
        row: dict[str, Any] = {
            "arm": name,
            "tokens": arm.num_tokens,
            "passes": arm.usage.steps or arm.num_tokens,
            "tokens_per_pass": 1.0 if name == NO_DRAFTS else arm.tokens_per_pass,
            "drafted_per_pass": arm.drafted_per_pass,
            "wasted_per_pass": (arm.usage.drafted - arm.usage.accepted) / max(1, arm.usage.steps),
            "speed_up": plain.seconds / plain.num_tokens * arm.num_tokens / arm.seconds,
            "cpu_speed_up": plain.cpu_seconds / plain.num_tokens * arm.num_tokens / arm.cpu_seconds,
            "different": arm.num_different,
            "by_source": {s: asdict(part) for s, part in arm.usage.by_source.items()},
        }
        rows.append(row)
    return rows


def print_rows(title: str, rows: Sequence[dict[str, Any]]) -> None:
    print(f"\n{title}: {rows[0]['tokens']} tokens")
    heads = ("tokens/pass", "drafted/pass", "wasted/pass", "speed-up", "by cpu", "different")
    print(f"{'':22}" + "".join(f"{head:>14}" for head in heads))
    for row in rows:
        print(
            f"{row['arm']:22}{row['tokens_per_pass']:14.2f}{row['drafted_per_pass']:14.2f}"
            f"{row['wasted_per_pass']:14.2f}{row['speed_up']:14.2f}{row['cpu_speed_up']:14.2f}"
            f"{row['different']:14d}"
        )
    for source, part in rows[1]["by_source"].items():
        share = part["accepted"] / max(1, part["drafted"])
        print(f"    {source}: {part['accepted']} of {part['drafted']} stood ({share:.0%})")


# ------------------------------------------------------------------------- a model of real sizes

BANDWIDTH = 3.35e12 * 0.7  # bytes a second: an H100 SXM, 70 % of it reached
ARITHMETIC = 989e12 * 0.5  # bfloat16 operations a second, half of it reached
BYTES_PER_WEIGHT = 2
CONTEXT = 2048
HOST_SECONDS = 0.2e-3  # per drafted pass: drafting, masks and verification, as measured here
# Parameters, layers, key-value width (heads x dimension), GPUs that share the weights.
SIZES = {"1B": (1.2e9, 16, 512, 1), "8B": (8e9, 32, 1024, 1), "70B": (70e9, 80, 1024, 4)}


def pass_seconds(size: str, num_tokens: int) -> float:
    """A pass over so many tokens of one request: memory traffic or arithmetic, whichever takes longer."""
    parameters, num_layers, width, num_gpus = SIZES[size]
    cache_bytes = 2 * num_layers * width * BYTES_PER_WEIGHT * CONTEXT
    memory = (BYTES_PER_WEIGHT * parameters + cache_bytes) / (BANDWIDTH * num_gpus)
    return max(memory, 2 * parameters * num_tokens / (ARITHMETIC * num_gpus))


def expected_speed_up(size: str, tokens_per_pass: float, drafted_per_pass: float) -> float:
    """Against one token a pass."""
    drafting = pass_seconds(size, 1 + round(drafted_per_pass)) + HOST_SECONDS
    return tokens_per_pass * pass_seconds(size, 1) / drafting


def print_expectation(by_workload: dict[str, dict[str, Any]]) -> None:
    print("\nExpected speed-up at batch size 1 (a model, not a measurement):")
    print(
        f"  bfloat16 weights and cache of {CONTEXT} tokens read once a pass at {BANDWIDTH / 1e12:.2f} TB/s a GPU\n"
        f"  (H100 SXM at 70 %), or {ARITHMETIC / 1e12:.0f} TFLOP/s (50 %) if that takes longer; 4 GPUs share the 70B\n"
        f"  model without a cost for it; {1000 * HOST_SECONDS:.1f} ms of host work for every pass with drafts;\n"
        "  tokens and drafts a pass as measured above, with this model's acceptance"
    )
    print(f"{'':14}" + "".join(f"{size:>8}" for size in SIZES))
    for workload, row in by_workload.items():
        figures = [
            expected_speed_up(size, row["tokens_per_pass"], row["drafted_per_pass"])
            for size in SIZES
        ]
        print(f"{workload:14}" + "".join(f"{figure:8.2f}" for figure in figures))


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    arms = load_arms(options)
    compiler = GrammarCompiler(arms[NO_DRAFTS].engine.vocabulary)
    await warm_up(arms, compiler)
    results: dict[str, Any] = defaultdict(dict)
    for round_number in range(options.rounds):
        for workload in options.workloads:
            await run_workload(arms, tasks(workload, options.tasks), compiler, options.max_tokens)
            rows = report_rows(arms)
            results[f"round {round_number + 1}"][workload] = rows
            print_rows(f"{workload}, round {round_number + 1}", rows)
    first_round = results["round 1"]
    print_expectation({workload: rows[1] for workload, rows in first_round.items()})
    for arm in arms.values():
        await arm.engine.shutdown()
    return dict(results)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = new_parser(__doc__, num_tasks=40)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--max-draft-tokens", type=int, default=32)
    parser.add_argument("--no-ablation", action="store_true", help="only with and without drafts")
    parser.add_argument("--fixed-costs", action="store_true", help="do not go by measured times")
    parser.add_argument("--json", help="write the figures here, too")
    return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> None:
    with contextlib.ExitStack() as fixed:
        if options.fixed_costs:
            fixed.enter_context(patch.object(StepCosts, "add", lambda *_: None))
        results = asyncio.run(measure(options))
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(parse())
