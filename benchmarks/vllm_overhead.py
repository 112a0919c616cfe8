"""What grammars cost in vLLM: unconstrained, xgrammar, guidance and ours, interleaved in one run.

    make vllm-overhead
    make vllm-overhead ARGS="--models demo --concurrency 8 --rounds 4"

Every arm has an engine process of its own with the same model and settings; only one arm works at a time, and
the arms take turns, so that a busy machine slows all of them. Each turn sends the same prompts with the same
schemas, so many at once, and waits for all outputs. The peers validate and compile as they do in vLLM's own server:
when the request is made. In every other turn the schemas are new, and in the next one they come again.

Two models: the demo model, and random weights over the tekken vocabulary (131,072 tokens), which comes with
mistral-common, a package that vLLM needs; `--tekken` names another file of that format.

On two quiet cores it takes some three minutes with the demo model and five with the other, times `--restarts`. The machine must
not be busy: where engine and front end do not have a core each, the front end's work counts twice. An engine's process is by
luck up to 4 % faster or slower than another of the same arm, for as long as it lives, also in what has nothing to do with
grammars; so differences of that size need several restarts.

All figures are medians over turns; ratios are taken within a turn, and count more than figures. Per arm:
tokens a second, milliseconds to the first token and between two tokens (p50, p99), milliseconds of an engine's step, the
share of it that is work for grammars (rows of masks, applying them, accepting tokens), milliseconds of the processor to compile a
grammar in the engine, and milliseconds of the processor per token in the front end and in the engine. The last lines of a table
compare ours with the better peer, turn by turn: the median, and between which values the middle half of the turns is; above 1
ours is slower.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

# No import of ours up here: vLLM's processes read this file again, and its CPU build does not start where numba
# was imported first.
from random_model import tekken_path, write_random_model
from vllm_arms import ARMS, PEERS, SMALL_MODEL, Arm, model_arguments
from vllm_step_times import GRAMMAR_WORK

SIGHTS = ("first sight", "seen before")
# Of a turn; fewer would be over before they can be timed.
MIN_REQUESTS = 4
# Where less is better, and what ours is compared in.
COMPARED = ("ms/token", "gap p50", "gap p99", "step ms")


@dataclass
class Turn:
    """What one arm did with all requests of a turn.

    Attributes:
        seconds: from the first request to the last output.
        first, gaps: seconds to each first token, and between two tokens of an output.
        num_tokens, num_finished: of all outputs.
        spent: how much each of `Arm.times` has grown.
    """

    seconds: float = 0.0
    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    num_tokens: int = 0
    num_finished: int = 0
    spent: dict[str, float] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        """By name, as in the tables."""
        spent, num_tokens = self.spent, max(1, self.num_tokens)
        steps, step = max(1.0, spent["steps"]), max(1e-9, spent["step"])
        return {
            "tokens/s": self.num_tokens / self.seconds,
            "first ms": 1e3 * statistics.mean(self.first),
            "gap p50": 1e3 * float(np.percentile(self.gaps, 50)),
            "gap p99": 1e3 * float(np.percentile(self.gaps, 99)),
            "step ms": 1e3 * step / steps,
            "grammar %": 100 * sum(spent[name] for name in GRAMMAR_WORK) / step,
            **{f"{name} %": 100 * spent[name] / step for name in GRAMMAR_WORK},
            "compile": 1e3 * spent["compile_cpu"] / len(self.first),
            "cpu here": 1e3 * spent["cpu_here"] / num_tokens,
            "cpu there": 1e3 * spent["cpu_there"] / num_tokens,
            "ms/token": 1e3 * self.seconds / num_tokens,
        }


async def one_request(arm: Arm, turn: Turn, request_id: str, number: int, max_tokens: int) -> None:
    """Send a request and note when its tokens come."""
    last = time.perf_counter()
    is_first = True
    async for num_tokens, reason in arm.stream(request_id, number, max_tokens):
        now = time.perf_counter()
        (turn.first if is_first else turn.gaps).append(now - last)
        last, is_first = now, False
        turn.num_tokens += num_tokens
        turn.num_finished += reason == "stop"
        if reason == "error":
            raise RuntimeError(f"{arm.name}: request {request_id} failed")


async def one_turn(
    arm: Arm, numbers: Sequence[int], concurrency: int, label: str, max_tokens: int
) -> Turn:
    """One request for each schema, so many at once."""
    turn = Turn()
    waiting = iter(numbers)

    async def take_turns() -> None:
        for number in waiting:
            await one_request(arm, turn, f"{arm.name}-{label}-{number}", number, max_tokens)

    before, started = arm.times(), time.perf_counter()
    await asyncio.gather(*(take_turns() for _ in range(concurrency)))
    turn.seconds = time.perf_counter() - started
    turn.spent = {name: value - before[name] for name, value in arm.times().items()}
    return turn


async def compare(arms: Sequence[Arm], options: argparse.Namespace) -> dict[Any, list[Turn]]:
    """Let the arms take turns; by concurrency, sight and arm."""
    turns: dict[Any, list[Turn]] = {}
    next_number = itertools.count()
    for arm in arms:  # kernels, caches of the tokenizer, and the first schema
        await one_turn(arm, [10**6, 10**6 + 1], 2, "warm-up", options.max_tokens)
    gc.collect()
    gc.freeze()
    for concurrency in options.concurrency:
        for index in range(options.rounds):
            numbers = [next(next_number) for _ in range(max(concurrency, MIN_REQUESTS))]
            order = [arms[(index + i) % len(arms)] for i in range(len(arms))]
            for sight in SIGHTS:
                for arm in order:
                    label = f"{concurrency}-{index}-{sight}"
                    turn = await one_turn(arm, numbers, concurrency, label, options.max_tokens)
                    turns.setdefault((concurrency, sight, arm.name), []).append(turn)
    return turns


def ratio(ours: Sequence[Turn], other: Sequence[Turn], name: str) -> tuple[float, float, float]:
    """The median of ours by the other's, turn by turn, and both quartiles."""
    found = [
        one.figures()[name] / two.figures()[name] for one, two in zip(ours, other, strict=True)
    ]
    low, high = np.percentile(found, (25, 75))
    return statistics.median(found), float(low), float(high)


def report(model: str, turns: dict[Any, list[Turn]], options: argparse.Namespace) -> list[Any]:
    """Print a table for each number of requests at once and each sight; return them as data."""
    rows: list[Any] = []
    for concurrency, sight in itertools.product(options.concurrency, SIGHTS):
        print(f"\n{model} model, {concurrency} at once, {sight}")
        found = {name: turns[concurrency, sight, name] for name in ARMS}
        for name in ARMS:
            every = [turn.figures() for turn in found[name]]
            medians = {key: statistics.median(one[key] for one in every) for key in every[0]}
            medians["x free"] = ratio(found[name], found["unconstrained"], "ms/token")[0]
            ended = sum(turn.num_finished for turn in found[name])
            if name == ARMS[0]:
                print(f"{'':14}" + "".join(f"{key:>10}" for key in medians))
            print(f"{name:14}" + "".join(f"{value:10.3f}" for value in medians.values()))
            key = {"model": model, "concurrency": concurrency, "sight": sight, "arm": name}
            rows.append(key | {"ended": ended} | medians)
        worst = {
            name: max(ratio(found["ours"], found[peer], name) for peer in PEERS)
            for name in COMPARED
        }
        texts = [f"{k} {v[0]:.3f} ({v[1]:.2f}-{v[2]:.2f})" for k, v in worst.items()]
        print("ours / better peer: " + ", ".join(texts))
        rows[-1]["by better peer"] = worst
    return rows


async def measure(
    model: str, arguments: dict[str, Any], options: argparse.Namespace
) -> dict[Any, list[Turn]]:
    """All arms with one model, from start to stop, as often as they are to be begun anew."""
    turns: dict[Any, list[Turn]] = {}
    for restart in range(options.restarts):
        arms: list[Arm] = []
        with tempfile.TemporaryDirectory() as folder:
            try:
                for index in range(len(ARMS)):
                    name = ARMS[(index + restart) % len(ARMS)]
                    arms.append(Arm(name, arguments, options, Path(folder)))
                from syntagma.decoding.interpreter import keep_pauses_short

                keep_pauses_short()  # as our server does; here for all arms
                for key, found in (await compare(arms, options)).items():
                    turns.setdefault(key, []).extend(found)
            finally:
                for arm in arms:
                    await arm.stop()
    return turns


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--models", nargs="+", default=["demo", "tekken"], help="demo, tekken, folders or names"
    )
    parser.add_argument("--tekken", help="a tekken.json; default: mistral-common's")
    parser.add_argument("--concurrency", nargs="+", type=int, default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=3, help="of each sight, for every arm")
    parser.add_argument("--restarts", type=int, default=1, help="engines are begun anew so often")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--max-model-len", type=int, default=512)
    parser.add_argument("--prompt", default="Sofia Chen is 29 years old and lives in Oslo.")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    # Or engines would be left behind: their end is in a `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    rows: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            if model == "tekken":
                write_random_model(Path(folder), tekken_path(options.tekken))
                settings = {"model": folder, **SMALL_MODEL}
            else:
                settings = model_arguments(None if model == "demo" else model)
            rows += report(model, asyncio.run(measure(model, settings, options)), options)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
