"""What grammars cost in vLLM: unconstrained, xgrammar, guidance and ours, interleaved in one run.

    make vllm-overhead ARGS="--requests 16 --rounds 3"

Every arm has an engine process of its own with the same model and settings; only one arm works at a time, and
the arms take turns, so that a busy machine slows all of them. Each turn sends the same prompts with the same
schemas, at once, and waits for all outputs. The peers validate and compile as they do in vLLM's own server: when
the request is made. The first turn is the first sight of every schema; later turns find them compiled.

Reported per arm: seconds a turn, seconds to the first token, generated tokens a second, and the ratio of time per
token to the unconstrained arm of the same turn; and processor time per token, here and in the arm's engine process.
Ratios count, not seconds; on a busy machine processor time counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# No import of ours up here: vLLM's processes read this file again, and its CPU build does not start where numba
# was imported first.
ARMS = ("unconstrained", "xgrammar", "guidance", "ours")


def schema(number: int) -> dict[str, Any]:
    """One of many alike: names differ, so that no arm can compile one for all."""
    return {
        "type": "object",
        "properties": {
            f"name_{number}": {"type": "string", "maxLength": 40},
            f"age_{number}": {"type": "integer"},
            "kind": {"enum": ["person", "animal", f"thing {number}"]},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 4},
            "address": {
                "type": "object",
                "properties": {"street": {"type": "string"}, "number": {"type": "integer"}},
                "required": ["street", "number"],
                "additionalProperties": False,
            },
        },
        "required": [f"name_{number}", f"age_{number}", "kind", "tags", "address"],
        "additionalProperties": False,
    }


@dataclass
class Turn:
    """What one arm did with all requests of a turn."""

    seconds: float
    first_token_seconds: float
    num_tokens: int
    num_finished: int
    num_failed: int
    cpu_seconds: tuple[float, float]

    @property
    def cpu_ms_per_token(self) -> tuple[float, float]:
        """In this process and in the engine's."""
        here, there = self.cpu_seconds
        return 1000 * here / max(1, self.num_tokens), 1000 * there / max(1, self.num_tokens)

    @property
    def ms_per_token(self) -> float:
        return 1000 * self.seconds / max(1, self.num_tokens)


def cpu_seconds_of(pids: Sequence[int]) -> float:
    """What processes have used so far, all threads together."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def model_arguments(model: str | None) -> dict[str, Any]:
    """What vLLM is told of a model; the demo model, where none is given, gets settings that start fast on a CPU."""
    if model is not None:
        return {"model": model}
    from syntagma.decoding.embedded_engine import demo_model_path

    return {
        "model": str(demo_model_path()),
        "dtype": "float32",
        "enforce_eager": True,
        "kv_cache_memory_bytes": 256 << 20,
        "distributed_executor_backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor",
    }


def engine_arguments(arm: str, options: argparse.Namespace) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs

    return AsyncEngineArgs(
        **model_arguments(options.model),
        max_model_len=options.max_model_len,
        max_num_seqs=options.requests,
        disable_log_stats=True,
        structured_outputs_config={"backend": arm if arm in ("xgrammar", "guidance") else "auto"},
    )


class PeerArm:
    """vLLM as it is, with one of its own backends or none."""

    def __init__(self, arm: str, options: argparse.Namespace) -> None:
        from vllm.v1.engine.async_llm import AsyncLLM

        self.arm = arm
        self.llm = AsyncLLM.from_engine_args(engine_arguments(arm, options))
        self.prompt = self.llm.renderer.tokenizer.encode(options.prompt)

    async def one(self, request_id: str, number: int, max_tokens: int) -> tuple[float, int, bool]:
        from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

        outputs = None
        if self.arm != "unconstrained":
            outputs = StructuredOutputsParams(json=json.dumps(schema(number)))
        params = SamplingParams(
            temperature=0.0,
            max_tokens=max_tokens,
            structured_outputs=outputs,
            output_kind=RequestOutputKind.DELTA,
            ignore_eos=outputs is None,
        )
        started = time.perf_counter()
        first, num_tokens, reason = 0.0, 0, None
        async for result in self.llm.generate(
            {"prompt_token_ids": self.prompt}, params, request_id
        ):
            first = first or time.perf_counter() - started
            num_tokens += len(result.outputs[0].token_ids)
            reason = result.outputs[0].finish_reason
        if reason == "error":
            raise RuntimeError("the request failed")
        return first, num_tokens, reason == "stop"

    async def stop(self) -> None:
        await asyncio.to_thread(self.llm.shutdown)
        del self.llm


class OurArm:
    """The engine of `syntagma serve`, compiling included."""

    def __init__(self, options: argparse.Namespace) -> None:
        from syntagma.decoding.vllm_engine import VllmEngine
        from syntagma.grammar import GrammarCompiler

        self.engine = VllmEngine(engine_arguments("ours", options), model_name="ours")
        self.compiler = GrammarCompiler(self.engine.vocabulary, cache_dir=self.engine.artefact_dir)
        self.grammars: dict[int, Any] = {}
        self.prompt = tuple(self.engine.tokenizer.encode(options.prompt))

    async def one(self, request_id: str, number: int, max_tokens: int) -> tuple[float, int, bool]:
        from syntagma.decoding import GenerationRequest, SamplingParams
        from syntagma.decoding.grammar_spec import GrammarSpec

        if not self.engine.is_running:
            await self.engine.start()
        started = time.perf_counter()
        spec = GrammarSpec("json_schema", schema(number))
        if number not in self.grammars:
            self.grammars[number] = await asyncio.to_thread(spec.compile, self.compiler)
        request = GenerationRequest(
            request_id=request_id,
            prompt_token_ids=self.prompt,
            sampling=SamplingParams(temperature=0.0, max_tokens=max_tokens),
            grammar=self.grammars[number],
            grammar_spec=spec,
        )
        first, num_tokens, reason = 0.0, 0, None
        async for delta in self.engine.generate(request):
            first = first or time.perf_counter() - started
            num_tokens += len(delta.token_ids)
            reason = delta.finish_reason
        return first, num_tokens, reason == "stop"

    async def stop(self) -> None:
        await self.engine.shutdown()


async def turn(arm: Any, name: str, index: int, options: argparse.Namespace) -> Turn:
    """All requests at once; the next turn brings half of the schemas again and half new ones."""
    numbers = [index // 2 * options.requests + i for i in range(options.requests)]
    cpu = time.process_time(), cpu_seconds_of(arm.pids)
    started = time.perf_counter()
    results = await asyncio.gather(
        *(arm.one(f"{name}-{index}-{number}", number, options.max_tokens) for number in numbers),
        return_exceptions=True,
    )
    seconds = time.perf_counter() - started
    done = [result for result in results if not isinstance(result, BaseException)]
    for result in results:
        if isinstance(result, BaseException):
            print(f"{name}: {result}")
    return Turn(
        seconds,
        statistics.mean([first for first, _, _ in done] or [0.0]),
        sum(num_tokens for _, num_tokens, _ in done),
        sum(is_finished for _, _, is_finished in done),
        len(results) - len(done),
        (time.process_time() - cpu[0], cpu_seconds_of(arm.pids) - cpu[1]),
    )


async def compare(options: argparse.Namespace) -> dict[str, list[Turn]]:
    """Start all arms, warm them up, and let them take turns."""
    arms: dict[str, Any] = {}
    for name in ARMS:
        before = set(multiprocessing.active_children())
        arms[name] = OurArm(options) if name == "ours" else PeerArm(name, options)
        started = set(multiprocessing.active_children()) - before
        arms[name].pids = [child.pid for child in started]
    turns: dict[str, list[Turn]] = {name: [] for name in ARMS}
    try:
        for name, arm in arms.items():  # kernels, caches of the tokenizer, and the first schema
            await arm.one(f"warm-up-{name}", 10**6, options.max_tokens)
        for index in range(options.rounds):
            order = [ARMS[(index + i) % len(ARMS)] for i in range(len(ARMS))]
            for name in order:
                turns[name].append(await turn(arms[name], name, index, options))
    finally:
        for arm in arms.values():
            await arm.stop()
    return turns


def report(turns: dict[str, list[Turn]]) -> None:
    """A table of medians, first sight and later turns apart."""
    for title, kept in (("first sight of every schema", 0), ("schemas seen before", 1)):
        print(f"\n{title}")
        print(
            f"{'arm':14} {'s/turn':>8} {'first token s':>14} {'tokens/s':>9} "
            f"{'x free':>7} {'cpu ms/token here':>18} {'there':>7} {'ended':>6} {'failed':>7}"
        )
        free = turns["unconstrained"][kept::2]
        for name in ARMS:
            chosen = turns[name][kept::2]
            ratios = [
                one.ms_per_token / other.ms_per_token
                for one, other in zip(chosen, free, strict=True)
            ]
            print(
                f"{name:14} {statistics.median(t.seconds for t in chosen):8.2f} "
                f"{statistics.median(t.first_token_seconds for t in chosen):14.3f} "
                f"{statistics.median(t.num_tokens / t.seconds for t in chosen):9.0f} "
                f"{statistics.median(ratios):7.2f} "
                f"{statistics.median(t.cpu_ms_per_token[0] for t in chosen):18.2f} "
                f"{statistics.median(t.cpu_ms_per_token[1] for t in chosen):7.2f} "
                f"{sum(t.num_finished for t in chosen):6} {sum(t.num_failed for t in chosen):7}"
            )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--model", help="folder or name; default: the demo model")
    parser.add_argument(
        "--requests", type=int, default=16, help="at once, each with its own schema"
    )
    parser.add_argument("--rounds", type=int, default=6, help="turns of every arm; even")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--max-model-len", type=int, default=512)
    parser.add_argument("--prompt", default="Sofia Chen is 29 years old and lives in Oslo.")
    options = parser.parse_args(arguments)
    if options.rounds < 2 or options.rounds % 2:
        parser.error("--rounds must be an even number, 2 or more")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    report(asyncio.run(compare(options)))


if __name__ == "__main__":
    main()
