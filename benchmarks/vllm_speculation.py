"""Our drafts in vLLM, as chains and as trees, beside vLLM's own n-grams: tokens a pass on the four workloads of
`speculation.py`.

    make vllm-speculation ARGS="--tasks 24"

All arms run the same vLLM with the same model, greedily, one request at a time, each in a process of its own, with as
many drafted tokens at most. The n-gram arm uses vLLM's xgrammar backend, ours our own. Counted is what vLLM counts: a
pass yields the drafted tokens that it accepted and one more. Whether the outputs of ours are the same is told, too, and
how many tokens were drafted for one that was said.
(`suffix`, vLLM's other method without a model, needs a package that is not installed with it.)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speculation_workloads import Task, new_parser, prompt_of, tasks
from vllm_arms import model_arguments

# No import of ours up here: vLLM's CPU build does not start where numba was imported first.
ARMS = ("ngram", "chains", "trees")
ACCEPTED = "vllm:spec_decode_num_accepted_tokens_total"
DRAFTED = "vllm:spec_decode_num_draft_tokens_total"


def speculation(arm: str, num_drafts: int) -> dict[str, Any]:
    if arm == "ngram":
        return {
            "method": "ngram",
            "num_speculative_tokens": num_drafts,
            "prompt_lookup_min": 2,
            "prompt_lookup_max": 5,
        }
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


class NgramArm:
    """vLLM as it is."""

    def __init__(self, options: argparse.Namespace) -> None:
        from vllm.v1.engine.async_llm import AsyncLLM

        self.llm = AsyncLLM.from_engine_args(engine_arguments("ngram", options))
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
    """The engine of `syntagma serve --engine vllm --speculation`, with `--speculation-tree` or without."""

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
    """One arm: per workload its outputs and how many tokens were accepted."""
    arm = NgramArm(options) if options.arm == "ngram" else OurArm(options)
    found: dict[str, Any] = {}
    for workload in options.workloads:
        outputs, before = [], (counted(ACCEPTED), counted(DRAFTED))
        for number, task in enumerate(tasks(workload, options.tasks)):
            prompt = list(prompt_of(arm.tokenizer, task))
            name = f"{workload}-{number}"
            outputs.append(await arm.one(name, task, prompt, options.max_tokens))
        await asyncio.sleep(0.5)  # counters follow the last output
        found[workload] = {
            "outputs": outputs,
            "accepted": counted(ACCEPTED) - before[0],
            "drafted": counted(DRAFTED) - before[1],
        }
    await arm.stop()
    return found


def compare(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    results = {}
    for arm in ARMS:
        command = [sys.executable, str(Path(__file__)), *arguments, "--arm", arm]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results[arm] = json.loads(done.stdout.splitlines()[-1])
    columns = "".join(f"{arm:>8}" for arm in ARMS)
    print(f"{'':14}{'tokens':>8}{columns}{'different':>11}{'drafted a token':>20}")
    for workload in options.workloads:
        rows = [results[arm][workload] for arm in ARMS]
        sizes = [sum(map(len, row["outputs"])) for row in rows]
        pairs = list(zip(rows, sizes, strict=True))
        rates = "".join(f"{size / (size - row['accepted']):8.2f}" for row, size in pairs)
        drafted = "".join(f"{row['drafted'] / size:10.2f}" for row, size in pairs[1:])
        ours = zip(rows[1]["outputs"], rows[2]["outputs"], strict=True)
        different = sum(a != b for a, b in ours)
        print(f"{workload:14}{sizes[1]:8}{rates}{different:11}{drafted}")


def main(arguments: Sequence[str]) -> None:
    parser = new_parser(__doc__, num_tasks=24)
    parser.add_argument("--num-drafts", type=int, default=8, help="drafted tokens in a pass")
    parser.add_argument("--arm", choices=ARMS, help="run this one and print what it did")
    options = parser.parse_args(arguments)
    if options.arm is None:
        compare(options, arguments)
    else:
        print(json.dumps(asyncio.run(run(options))))


if __name__ == "__main__":
    main(sys.argv[1:])
