"""The arms of `vllm_overhead.py`: one vLLM each, alike but for who makes the masks."""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import vllm_step_times

# No import of ours up here: vLLM's processes read this file again, and its CPU build does not start where numba
# was imported first.
ARMS = ("unconstrained", "xgrammar", "guidance", "ours")
PEERS = ("xgrammar", "guidance")


def schema(number: int) -> dict[str, Any]:
    """One of many alike: names differ, so that no arm can compile one for all. Its texts are longer than what is
    generated, so that all arms do the same number of steps.
    """
    return {
        "type": "object",
        "properties": {
            f"name_{number}": {"type": "string", "maxLength": 40},
            f"age_{number}": {"type": "integer"},
            "kind": {"enum": ["person", "animal", f"thing {number}"]},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 4},
            "addresses": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "number": {"type": "integer"}},
                    "required": ["street", "number"],
                    "additionalProperties": False,
                },
                "minItems": 10,
            },
        },
        "required": [f"name_{number}", f"age_{number}", "kind", "tags", "addresses"],
        "additionalProperties": False,
    }


def model_arguments(model: str | None) -> dict[str, Any]:
    """What vLLM is told of a model; the demo model, where none is given, gets settings that start fast on a CPU."""
    if model is not None:
        return {"model": model}
    from syntagma.decoding.embedded_engine import demo_model_path

    return {"model": str(demo_model_path()), **SMALL_MODEL}


# Settings that start fast on a CPU.
SMALL_MODEL: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "kv_cache_memory_bytes": 256 << 20,
    "distributed_executor_backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor",
}


def engine_arguments(arm: str, model: dict[str, Any], options: argparse.Namespace) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs

    return AsyncEngineArgs(
        **model,
        max_model_len=options.max_model_len,
        max_num_seqs=max(options.concurrency),
        disable_log_stats=True,
        worker_extension_cls=vllm_step_times.QUALIFIED_NAME,
        structured_outputs_config={"backend": arm if arm in PEERS else "auto"},
    )


class PeerArm:
    """vLLM as it is, with one of its own backends or none."""

    def __init__(self, arm: str, model: dict[str, Any], options: argparse.Namespace) -> None:
        from vllm.v1.engine.async_llm import AsyncLLM

        self.arm = arm
        self.llm = AsyncLLM.from_engine_args(engine_arguments(arm, model, options))
        self.prompt = self.llm.renderer.tokenizer.encode(options.prompt)

    async def stream(
        self, request_id: str, number: int, max_tokens: int
    ) -> AsyncIterator[tuple[int, str | None]]:
        """Yields how many tokens came, and the finish reason."""
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
        prompt = {"prompt_token_ids": self.prompt}
        async for result in self.llm.generate(prompt, params, request_id):
            output = result.outputs[0]
            yield len(output.token_ids), output.finish_reason

    async def stop(self) -> None:
        if self.llm.output_handler is not None:
            self.llm.output_handler.cancel()  # or it would report that the processes have died
        await asyncio.to_thread(self.llm.shutdown)
        del self.llm


class OurArm:
    """The engine and the compilation of `syntagma serve`."""

    def __init__(self, model: dict[str, Any], options: argparse.Namespace) -> None:
        from syntagma.decoding.vllm_engine import VllmEngine
        from syntagma.grammar import GrammarCompiler
        from syntagma.server.compile_service import CompileService, quick_compiler
        from syntagma.server.metrics import Metrics

        self.engine = VllmEngine(engine_arguments("ours", model, options), model_name="ours")
        compiler = GrammarCompiler(self.engine.vocabulary, cache_dir=self.engine.artefact_dir)
        self.compiling = CompileService(
            compiler,
            num_threads=2,
            max_pending=256,
            max_cache_entries=1024,
            max_cache_bytes=256 << 20,
            failure_ttl_s=30.0,
            metrics=Metrics("ours"),
            quick=quick_compiler(compiler),
        )
        self.prompt = tuple(self.engine.tokenizer.encode(options.prompt))

    async def stream(
        self, request_id: str, number: int, max_tokens: int
    ) -> AsyncIterator[tuple[int, str | None]]:
        """Yields how many tokens came, and the finish reason."""
        from syntagma.decoding import GenerationRequest, SamplingParams
        from syntagma.server.constraints import Constraint

        if not self.engine.is_running:
            await self.engine.start()
        constraint = Constraint("json_schema", schema(number), "response_format")
        request = GenerationRequest(
            request_id=request_id,
            prompt_token_ids=self.prompt,
            sampling=SamplingParams(temperature=0.0, max_tokens=max_tokens),
            grammar=(await self.compiling.compile(constraint)).grammar,
            grammar_spec=constraint.spec,
        )
        async for delta in self.engine.generate(request):
            yield len(delta.token_ids), delta.finish_reason

    async def stop(self) -> None:
        await self.engine.shutdown()


class Arm:
    """An arm with its engine's process, which is watched from outside.

    Attributes:
        name: one of `ARMS`.
        pids: the engine's processes.
    """

    def __init__(
        self, name: str, model: dict[str, Any], options: argparse.Namespace, folder: Path
    ) -> None:
        self.name = name
        times = folder / f"{name}.times"
        self._sums = vllm_step_times.map_file(times)
        before = set(multiprocessing.active_children())
        os.environ[vllm_step_times.FILE_VARIABLE] = str(times)
        try:
            self._inner: Any = (
                OurArm(model, options) if name == "ours" else PeerArm(name, model, options)
            )
        finally:
            del os.environ[vllm_step_times.FILE_VARIABLE]
        self.pids = [child.pid for child in set(multiprocessing.active_children()) - before]
        self.stream = self._inner.stream
        self.stop = self._inner.stop

    def times(self) -> dict[str, float]:
        """The sums of its engine so far, by field, and what both processes have used of the processor."""
        sums = dict(zip(vllm_step_times.FIELDS, self._sums.tolist(), strict=True))
        return sums | {"cpu_here": time.process_time(), "cpu_there": self._cpu_seconds()}

    def _cpu_seconds(self) -> float:
        """What its processes have used so far, all threads together."""
        ticks = 0
        for pid in self.pids:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
            fields = text.rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")
