"""Hostile grammars while streams run on vLLM: refused or served, and nobody else comes to harm.

How long streams stall is measured by ``benchmarks/stalls.py``; here they must reach their end.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from running import Running, collect, ids_of
from test_server_live import HOSTILE

from syntagma.decoding import Delta, EngineError
from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.grammar import CompileLimits, GrammarCompiler, GrammarError

KINDS = {"regex": "regex", "json": "json_schema", "choice": "choice"}
NUM_STREAMS = 8


def hostile_specs() -> list[GrammarSpec]:
    specs: list[GrammarSpec] = []
    for constraint in HOSTILE.values():
        ((field, source),) = constraint.items()
        kind: Any = KINDS[field]
        specs.append(GrammarSpec(kind, source))
    return specs


def test_streams_end_beside_hostile_grammars(vllm_running: Running) -> None:
    """As the server does it: compiled first under limits, and only what passes goes to the engine."""
    running = vllm_running
    compiler = GrammarCompiler(
        running.engine.vocabulary, limits=CompileLimits(max_seconds=2, max_schema_depth=128)
    )
    plain = GrammarSpec("regex", "[a-z]{300}")
    streams = [
        running.request("x", plain, temperature=1.0, seed=i, max_tokens=60)
        for i in range(NUM_STREAMS)
    ]

    async def attack(spec: GrammarSpec) -> str:
        try:
            grammar = await asyncio.to_thread(spec.compile, compiler)
        except GrammarError:
            return "refused"
        request = running.request("x", None, max_tokens=2)
        object.__setattr__(request, "grammar", grammar)
        object.__setattr__(request, "grammar_spec", spec)
        try:
            await collect(running.engine, request)
        except EngineError:
            return "failed"
        return "served"

    async def work() -> tuple[list[list[list[Delta]]], list[str]]:
        answers = asyncio.gather(*(collect(running.engine, request) for request in streams))
        outcomes = [await attack(spec) for spec in hostile_specs()]
        return await answers, outcomes

    answers, outcomes = running.run(work())
    assert {"refused", "served"} <= set(outcomes), outcomes
    assert "failed" not in outcomes
    for (deltas,) in answers:
        assert deltas[-1].finish_reason == "length"
        assert len(ids_of(deltas)) == 60
    assert running.engine.is_running


def test_bad_sources_fail_in_the_engine_alone(vllm_running: Running) -> None:
    """A front end that did not compile first: the request fails in the engine's process, others go on."""
    from syntagma.decoding.grammar_spec import GrammarTicket

    running = vllm_running
    engine: Any = running.engine
    grammar = running.compile(GrammarSpec("choice", ["a"]))
    bad = GrammarTicket("f" * 32, grammar.vocabulary.hash, GrammarSpec("regex", "("))

    async def work() -> tuple[str | None, list[list[Delta]]]:
        from vllm.sampling_params import StructuredOutputsParams

        from syntagma.decoding.vllm_sampling import GrammarSamplingParams

        beside = asyncio.create_task(
            collect(engine, running.request("x", max_tokens=40, ignore_eos=True))
        )
        params = GrammarSamplingParams(
            max_tokens=4, structured_outputs=StructuredOutputsParams(grammar=bad.to_text())
        )
        reason = None
        async for result in engine._llm.generate({"prompt_token_ids": [5]}, params, "bad"):
            reason = result.outputs[0].finish_reason
        return reason, await beside

    reason, beside = running.run(work())
    assert reason == "error"
    assert len(ids_of(beside[0])) == 40


@pytest.mark.parametrize("field", ["max_waiting"])
def test_a_full_queue_is_told(vllm_running: Running, field: str) -> None:
    from syntagma.decoding import EngineOverloadedError

    engine: Any = vllm_running.engine
    before = engine._max_waiting
    engine._max_waiting = 1

    async def work() -> int:
        requests = [vllm_running.request("x", max_tokens=30, ignore_eos=True) for _ in range(20)]
        results = await asyncio.gather(
            *(collect(engine, request) for request in requests), return_exceptions=True
        )
        return sum(isinstance(result, EngineOverloadedError) for result in results)

    try:
        assert vllm_running.run(work()) == 20 - (engine._max_running + 1)
    finally:
        engine._max_waiting = before
