"""Our drafts in vLLM, as chains and as trees, beside vLLM's own methods without a model and no drafts: tokens a pass on
the four workloads of `speculation.py`.

    make vllm-speculation ARGS="--tasks 24"

All arms run the same vLLM with the same model, greedily, one request at a time, each in a process of its own, with as
many drafted tokens at most. vLLM's methods, `ngram` and `suffix`, get vLLM's xgrammar backend or, with ``--masks ours``, our
own, so that all arms write the same. Counted is what vLLM counts: a pass yields the drafted tokens that it accepted
and one more. Told are, too, how many tokens were drafted for one that was said, how many outputs differ from those
without drafts, and the time (arms run one after the other: only an idle machine gives times worth reading).

`suffix` (SuffixDecoding) needs the package `arctic-inference` and is left out without it; `docs/speculation.md` says how to
install it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from speculation_workloads import Task, new_parser, prompt_of, tasks
from vllm_arms import model_arguments

# No import of ours up here: vLLM's CPU build does not start where numba was imported first.
NO_DRAFTS = "none"
PEERS = ("ngram", "suffix")
ARMS = (NO_DRAFTS, *PEERS, "chains", "trees")
ACCEPTED = "vllm:spec_decode_num_accepted_tokens_total"
DRAFTED = "vllm:spec_decode_num_draft_tokens_total"


def speculation(arm: str, num_drafts: int) -> dict[str, Any] | None:
    """What vLLM is told of an arm's drafts; vLLM's methods have its defaults where it has any."""
    if arm == NO_DRAFTS:
        return None
    if arm == "ngram":
        lengths = {"prompt_lookup_min": 2, "prompt_lookup_max": 5}
        return {"method": arm, "num_speculative_tokens": num_drafts, **lengths}
    if arm == "suffix":
        return {"method": arm, "num_speculative_tokens": num_drafts}
    from syntagma.decoding.vllm_support import DRAFT_PROPOSER, TREE_PROPOSER

    proposer = TREE_PROPOSER if arm == "trees" else DRAFT_PROPOSER
    return {"model": proposer, "num_speculative_tokens": num_drafts}


def engine_arguments(arm: str, options: argparse.Namespace) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs

    return AsyncEngineArgs(
        **model_arguments(options.model),
        max_num_seqs=4,
        speculative_config=speculation(arm, options.num_drafts),
    )


class PeerArm:
    """vLLM as it is."""

    def __init__(self, options: argparse.Namespace) -> None:
        from vllm.v1.engine.async_llm import AsyncLLM

        self.llm = AsyncLLM.from_engine_args(engine_arguments(options.arm, options))
        self.tokenizer = self.llm.renderer.tokenizer

    async def one(self, request_id: str, task: Task, prompt: list[int], limit: int) -> list[int]:
        from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

        outputs = None
        if task.schema is not None:
            outputs = StructuredOutputsParams(json=json.dumps(task.schema))
        params = SamplingParams(
            temperature=0.0,
            max_tokens=limit,
            structured_outputs=outputs,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        async for result in self.llm.generate({"prompt_token_ids": prompt}, params, request_id):
            token_ids = list(result.outputs[0].token_ids)
        return token_ids

    async def stop(self) -> None:
        await asyncio.to_thread(self.llm.shutdown)


class OurArm:
    """The engine of `syntagma serve --engine vllm`: with our drafts, with vLLM's, or with none."""

    def __init__(self, options: argparse.Namespace) -> None:
        from syntagma.decoding.vllm_engine import VllmEngine
        from syntagma.grammar import GrammarCompiler

        self.engine = VllmEngine(engine_arguments(options.arm, options), model_name="ours")
        self.tokenizer = self.engine.tokenizer
        self.compiler = GrammarCompiler(self.engine.vocabulary, cache_dir=self.engine.artefact_dir)

    async def one(self, request_id: str, task: Task, prompt: list[int], limit: int) -> list[int]:
        from syntagma.decoding import GenerationRequest, SamplingParams
        from syntagma.decoding.grammar_spec import GrammarSpec

        if not self.engine.is_running:
            await self.engine.start()
        spec = None if task.schema is None else GrammarSpec("json_schema", task.schema)
        request = GenerationRequest(
            request_id=request_id,
            prompt_token_ids=tuple(prompt),
            sampling=SamplingParams(temperature=0.0, max_tokens=limit),
            grammar=None if spec is None else spec.compile(self.compiler),
            grammar_spec=spec,
        )
        return [token async for delta in self.engine.generate(request) for token in delta.token_ids]

    async def stop(self) -> None:
        await self.engine.shutdown()


def counted(name: str) -> float:
    """What this process's engine has counted."""
    from prometheus_client import REGISTRY

    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == name
    )


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """One arm: per workload its outputs, how many tokens were drafted and accepted, and the time."""
    is_plain = options.arm in PEERS and options.masks == "xgrammar"
    arm: PeerArm | OurArm = PeerArm(options) if is_plain else OurArm(options)
    # What the first request would load is loaded before, by a task that is not counted.
    unseen = tasks("editing", options.tasks + 1)[-1]
    await arm.one("warm-up", unseen, list(prompt_of(arm.tokenizer, unseen)), 40)
    found: dict[str, Any] = {}
    for workload in options.workloads:
        await asyncio.sleep(0.5)  # counters follow the last output
        outputs, seconds = [], 0.0
        before = counted(ACCEPTED), counted(DRAFTED)
        for number, task in enumerate(tasks(workload, options.tasks)):
            prompt = list(prompt_of(arm.tokenizer, task))
            started = time.perf_counter()
            outputs.append(await arm.one(f"{workload}-{number}", task, prompt, options.max_tokens))
            seconds += time.perf_counter() - started
        await asyncio.sleep(0.5)
        found[workload] = {
            "outputs": outputs,
            "accepted": counted(ACCEPTED) - before[0],
            "drafted": counted(DRAFTED) - before[1],
            "seconds": seconds,
        }
    await arm.stop()
    return found


def arms_to_run(names: Sequence[str]) -> list[str]:
    """Those that can run here; says why another cannot."""
    if "suffix" in names and find_spec("arctic_inference") is None:
        print("suffix is left out: arctic-inference is not installed (docs/speculation.md)")
        return [name for name in names if name != "suffix"]
    return list(names)


def print_rows(arms: Sequence[str], results: dict[str, Any], workloads: Sequence[str]) -> None:
    """A row for each arm and workload; times and differences are against no drafts, if that ran."""
    heads = ("tokens", "tokens/pass", "drafted/token", "different", "times as fast")
    print(f"{'':22}" + "".join(f"{head:>15}" for head in heads))
    for workload in workloads:
        plain = results.get(NO_DRAFTS, {}).get(workload)
        for arm in arms:
            row = results[arm][workload]
            size = sum(map(len, row["outputs"]))
            rate, drafted = size / (size - row["accepted"]), row["drafted"] / size
            line = f"{workload:14}{arm:8}{size:15}{rate:15.2f}{drafted:15.2f}"
            if plain is not None:
                pairs = zip(row["outputs"], plain["outputs"], strict=True)
                plain_size = sum(map(len, plain["outputs"]))
                faster = plain["seconds"] / plain_size * size / row["seconds"]
                line += f"{sum(a != b for a, b in pairs):15}{faster:15.2f}"
            print(line)


def compare(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    arms = arms_to_run(options.arms)
    results = {}
    for arm in arms:
        command = [sys.executable, str(Path(__file__)), *arguments, "--arm", arm]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results[arm] = json.loads(done.stdout.splitlines()[-1])
        if options.json:  # after each arm: a run takes long
            Path(options.json).write_text(json.dumps(results), encoding="utf-8")
    print_rows(arms, results, options.workloads)


def main(arguments: Sequence[str]) -> None:
    parser = new_parser(__doc__, num_tasks=24)
    parser.add_argument("--num-drafts", type=int, default=16, help="drafted tokens in a pass")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="these only")
    parser.add_argument(
        "--masks",
        choices=("xgrammar", "ours"),
        default="xgrammar",
        help="whose grammar backend the arms with vLLM's methods get",
    )
    parser.add_argument("--json", help="write all outputs and counts here, too")
    parser.add_argument("--arm", choices=ARMS, help="run this one and print what it did")
    options = parser.parse_args(arguments)
    if options.arm is None:
        compare(options, arguments)
    else:
        print(json.dumps(asyncio.run(run(options))))


if __name__ == "__main__":
    main(sys.argv[1:])
