"""Speculation with the demo model and all sources: outputs as without, for greedy and seeded requests.

``HYPOTHESIS_PROFILE=fuzz`` takes 500 prompts, else 40.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Running

from syntagma.decoding import GenerationRequest, SamplingParams
from syntagma.decoding.draft_model import load_model_drafter
from syntagma.decoding.draft_sources import new_speculator
from syntagma.decoding.embedded_engine import EmbeddedEngine, demo_model_path
from syntagma.decoding.speculation import SpeculationUsage
from syntagma.grammar import GrammarCompiler, Vocabulary

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from speculation_workloads import WORKLOADS, Task, tasks

NUM_PROMPTS = 500 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 40


@pytest.fixture(scope="module")
def drafting() -> Iterator[Running]:
    """The demo model with all sources of drafts."""
    running = Running(EmbeddedEngine.from_pretrained(device="cpu", new_speculator=speculator))
    yield running
    running.close()


speculator = functools.partial(new_speculator, corpus=['{"name": "Ada", "age": 36}'])


def prompt_of(running: Running, task: Task) -> tuple[int, ...]:
    tokenizer: Any = running.engine.tokenizer
    text = tokenizer.apply_chat_template(
        task.messages, tools=task.tools or None, add_generation_prompt=True, tokenize=False
    )
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def outputs(
    running: Running, workload: str, usage: SpeculationUsage | None = None, **sampling: Any
) -> list[list[int]]:
    """The tokens of every task's output, eight tasks at a time."""
    compiler: GrammarCompiler = running.compiler
    requests = [
        GenerationRequest(
            request_id=f"task-{number}",
            prompt_token_ids=prompt_of(running, task),
            sampling=SamplingParams(**{"max_tokens": 120} | sampling),
            grammar=None if task.schema is None else compiler.compile_json_schema(task.schema),
        )
        for number, task in enumerate(tasks(workload, NUM_PROMPTS // len(WORKLOADS)))
    ]
    gate = asyncio.Semaphore(8)

    async def collect(request: GenerationRequest) -> list[int]:
        token_ids: list[int] = []
        async with gate:
            async for delta in running.engine.generate(request):
                token_ids += delta.token_ids
                if delta.speculation is not None and usage is not None:
                    usage.add(delta.speculation)
        return token_ids

    async def work() -> list[list[int]]:
        return await asyncio.gather(*map(collect, requests))

    return running.run(work())


@pytest.mark.parametrize("workload", WORKLOADS)
def test_greedy_outputs_are_the_same(embedded: Running, drafting: Running, workload: str) -> None:
    usage = SpeculationUsage()
    drafted = outputs(drafting, workload, usage, temperature=0)
    assert drafted == outputs(embedded, workload, temperature=0)
    assert usage.steps < 0.8 * sum(map(len, drafted))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_seed_gives_the_same_output(embedded: Running, drafting: Running, workload: str) -> None:
    sampling = {"seed": 11, "temperature": 0.8, "top_p": 0.95, "frequency_penalty": 0.2}
    assert outputs(drafting, workload, **sampling) == outputs(embedded, workload, **sampling)


def test_a_model_drafts_for_itself(embedded: Running) -> None:
    """The demo model as its own draft model: its likeliest tokens always stand."""

    def speculator(vocabulary: Any, tokenizer: Any, chains_only: bool) -> Any:
        return new_speculator(
            vocabulary,
            tokenizer,
            chains_only,
            sources=("model",),
            new_model_drafter=functools.partial(
                load_model_drafter, demo_model_path(), device="cpu", dtype="float32"
            ),
        )

    running = Running(EmbeddedEngine.from_pretrained(device="cpu", new_speculator=speculator))
    try:
        usage = SpeculationUsage()
        drafted = outputs(running, "extraction", usage, temperature=0)
        assert drafted == outputs(embedded, "extraction", temperature=0)
        assert usage.steps < 0.5 * sum(map(len, drafted))
    finally:
        running.close()


def test_a_draft_model_of_other_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="other tokens"):
        load_model_drafter(
            demo_model_path(), Vocabulary([b"a", b""], stop_ids=[1]), device="cpu", dtype="float32"
        )
