"""Engines that run for a whole test session, each in an event loop of its own thread.

vLLM takes half a minute to start, so there is one, and whoever needs it shares it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import os
import threading
import warnings
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from syntagma.decoding import Delta, Engine, GenerationRequest, SamplingParams
from syntagma.decoding.embedded_engine import EmbeddedEngine, demo_model_path
from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.decoding.vllm_support import VllmUnsupportedError, check_version, installed_version
from syntagma.grammar import CompiledGrammar, GrammarCompiler

ResultT = TypeVar("ResultT")

CONTEXT = 512
MAX_RUNNING = 16
TIMEOUT_S = 300

# For vLLM's processes: one thread each, no word about what is as it should be, no network.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
# The smallest engine that serves the demo model. One process fewer than by default: with two cores, waiting
# for a worker's process costs more than the model.
ARGUMENTS: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": CONTEXT,
    "max_num_seqs": MAX_RUNNING,
    "max_num_batched_tokens": 1024,
    "kv_cache_memory_bytes": 256 << 20,
    "disable_log_stats": True,
    "distributed_executor_backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor",
}


@functools.cache
def reason_against_vllm() -> str | None:
    """Why vLLM cannot be tested here; None if it can."""
    try:
        check_version(installed_version())
    except VllmUnsupportedError as error:
        return str(error)
    return None


def require_vllm() -> None:
    """Skip a test where there is no vLLM that fits."""
    if (reason := reason_against_vllm()) is not None:
        pytest.skip(reason)


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Variables for processes that are started in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def new_vllm_engine(
    artefact_dir: Path | None = None,
    adapters: dict[str, Path] | None = None,
    draft_corpus: tuple[Path, ...] = (),
    **options: Any,
) -> Engine:
    """vLLM with the demo model unless another is named; its own warnings are its own business."""
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from vllm.engine.arg_utils import AsyncEngineArgs

        from syntagma.decoding.vllm_engine import VllmEngine

        arguments = AsyncEngineArgs(**{"model": str(demo_model_path())} | ARGUMENTS | options)
        return VllmEngine(
            arguments,
            model_name="demo",
            artefact_dir=artefact_dir,
            adapters=adapters,
            draft_corpus=draft_corpus,
        )


def new_embedded_engine() -> Engine:
    """The embedded engine with the demo model."""
    return EmbeddedEngine.from_pretrained(
        max_model_len=CONTEXT, max_active=MAX_RUNNING, model_name="demo"
    )


class Running:
    """An engine that runs, and what tests ask of it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.compiler = GrammarCompiler(engine.vocabulary)
        self._ids = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-loop")
        self._thread.start()
        self.run(engine.start())

    def close(self) -> None:
        """Stop the engine and the loop.

        vLLM leaves sockets to the garbage collector, which warns of them: here, and not in some test.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.run(self._shut_down_twice())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            del self.engine
            gc.collect()

    async def _shut_down_twice(self) -> None:
        """As a server does that runs out of patience with its outputs."""
        await asyncio.gather(self.engine.shutdown(), self.engine.shutdown())

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """The result of a coroutine in the engine's loop."""
        return asyncio.run_coroutine_threadsafe(
            asyncio.wait_for(work, TIMEOUT_S), self._loop
        ).result()

    def compile(self, spec: GrammarSpec) -> CompiledGrammar:
        """A grammar for the engine's vocabulary."""
        return spec.compile(self.compiler)

    def request(
        self, prompt: str, spec: GrammarSpec | None = None, **sampling: Any
    ) -> GenerationRequest:
        """A request with an id of its own; greedy unless it says otherwise."""
        return GenerationRequest(
            request_id=f"test-{next(self._ids)}",
            prompt_token_ids=tuple(self.engine.tokenizer.encode(prompt)),
            sampling=SamplingParams(**{"temperature": 0.0, "max_tokens": 60} | sampling),
            grammar=None if spec is None else self.compile(spec),
            grammar_spec=spec,
        )

    def answers(self, *requests: GenerationRequest) -> list[list[list[Delta]]]:
        """The deltas of every choice of every request, all of them at the same time."""

        async def work() -> list[list[list[Delta]]]:
            return await asyncio.gather(*(collect(self.engine, request) for request in requests))

        return self.run(work())

    def answer(self, prompt: str, spec: GrammarSpec | None = None, **sampling: Any) -> list[Delta]:
        """The deltas of a request's only choice."""
        return self.answers(self.request(prompt, spec, **sampling))[0][0]


async def collect(engine: Engine, request: GenerationRequest) -> list[list[Delta]]:
    """The deltas of every choice; none comes after a finish reason."""
    choices: list[list[Delta]] = [[] for _ in range(request.sampling.n)]
    async for delta in engine.generate(request):
        assert not choices[delta.index] or choices[delta.index][-1].finish_reason is None
        choices[delta.index].append(delta)
    assert all(deltas[-1].finish_reason is not None for deltas in choices)
    return choices


def text_of(deltas: list[Delta]) -> str:
    """The text of a choice."""
    return "".join(delta.text for delta in deltas)


def ids_of(deltas: list[Delta]) -> list[int]:
    """The tokens of a choice."""
    return [token_id for delta in deltas for token_id in delta.token_ids]
