"""A matcher that raises inside a live engine of vLLM: its request fails and nothing else does."""

from __future__ import annotations

import asyncio
import functools
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from running import Running, collect, ids_of, new_vllm_engine, require_vllm, text_of
from test_engine_conformance import PROMPT, SPECS, is_word

from syntagma.decoding import Delta, EngineError
from syntagma.decoding.grammar_spec import GrammarSpec

FAULTS = ("making", "mask", "accept", "validate", "rollback")


def faulty_engine(**options: Any) -> Iterator[Running]:
    require_vllm()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # vLLM's own
        from syntagma.decoding import vllm_scheduler
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vllm_scheduler, "QUALIFIED_NAME", "faulty_scheduler.FaultyScheduler")
        engine = new_vllm_engine(**options)
    running = Running(engine)
    yield running
    running.close()


@pytest.fixture(scope="module", params=["plain", "speculating"])
def faulty(request: pytest.FixtureRequest) -> Iterator[Running]:
    """An engine that breaks where it is told to; drafts make it validate and roll back, too."""
    config = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 3}
    options = {"speculative_config": config} if request.param == "speculating" else {}
    yield from faulty_engine(**options)


def answers_beside(running: Running, spec: GrammarSpec) -> tuple[Any, list[list[list[Delta]]]]:
    """What became of a request, and of others that ran at the same time."""
    prompt = PROMPT + f" {spec.source} " * 2  # drafts come from what was said before
    others = [running.request(PROMPT, other, max_tokens=100) for other in SPECS.values()]
    broken = running.request(prompt, spec)

    async def work() -> tuple[Any, list[list[list[Delta]]]]:
        tasks = [asyncio.create_task(collect(running.engine, other)) for other in others]
        result = await asyncio.gather(collect(running.engine, broken), return_exceptions=True)
        return result[0], await asyncio.gather(*tasks)

    return running.run(work())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_its_request_alone(faulty: Running, fault: str) -> None:
    spec = GrammarSpec("regex", f"{fault} strikes here, and then no more [a-z]{{30}}")
    broken, beside = answers_beside(faulty, spec)
    is_drafting = faulty.engine._is_speculative  # type: ignore[attr-defined]
    if fault in ("validate", "rollback") and not is_drafting:
        assert text_of(broken[0])  # nothing asked for it
    elif fault == "validate":  # drafts that cannot be checked are none
        assert not isinstance(broken, EngineError) or "engine process" in str(broken)
    else:
        assert isinstance(broken, EngineError), broken
        assert "engine process" in str(broken)
    for wanted, (deltas,) in zip(SPECS.values(), beside, strict=True):
        assert deltas[-1].finish_reason in ("stop", "length")
        if wanted is not None and deltas[-1].finish_reason == "stop":
            assert is_word(wanted, text_of(deltas))
    assert faulty.engine.is_running
    word = functools.partial(re.fullmatch, "well [0-9]{2}")
    assert word(text_of(faulty.answer(PROMPT, GrammarSpec("regex", "well [0-9]{2}"))))


def test_the_same_engine_without_a_fault(faulty: Running, embedded: Running) -> None:
    """What the faults above are measured against: the stand-in changes nothing else."""
    spec = SPECS["json_schema"]
    assert ids_of(faulty.answer(PROMPT, spec)) == ids_of(embedded.answer(PROMPT, spec))
