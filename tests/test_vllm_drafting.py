"""Our drafts in a vLLM engine: the same greedy outputs, in fewer steps, and drafts that are of use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from running import Running, ids_of, new_vllm_engine, require_vllm, text_of
from test_engine_conformance import KINDS, PROMPT, SPECS, is_word

from syntagma.decoding.vllm_support import DRAFT_PROPOSER

NUM_DRAFTS = 6
QUOTED = PROMPT + ' {"name": "Sofia Chen", "age": 29, "pets": []} yes no Abc 12. '


@pytest.fixture(scope="module")
def drafting() -> Iterator[Running]:
    """An engine process whose scheduler drafts."""
    require_vllm()
    config = {
        "model": DRAFT_PROPOSER,
        "num_speculative_tokens": NUM_DRAFTS,
    }
    running = Running(new_vllm_engine(speculative_config=config))
    yield running
    running.close()


@pytest.mark.parametrize("kind", SPECS)
def test_greedy_outputs_stay_the_same(drafting: Running, embedded: Running, kind: str) -> None:
    """One after another, and again when the store knows the output."""
    expected = embedded.answer(QUOTED, SPECS[kind])
    for _ in range(2):
        found = drafting.answer(QUOTED, SPECS[kind])
        assert ids_of(found) == ids_of(expected)
        assert text_of(found) == text_of(expected)
    if len(ids_of(expected)) > 2 * NUM_DRAFTS:
        # Hardly more deltas than the tokens fill: the last run was drafted from the first.
        assert len(found) <= 2 + 2 * len(ids_of(expected)) // NUM_DRAFTS


def test_all_kinds_in_one_batch(drafting: Running, embedded: Running) -> None:
    requests = [drafting.request(QUOTED, SPECS[kind]) for kind in KINDS * 3]
    answers = drafting.answers(*requests)
    for kind, (deltas,) in zip(KINDS * 3, answers, strict=True):
        assert ids_of(deltas) == ids_of(embedded.answer(QUOTED, SPECS[kind]))


def test_temperature(drafting: Running) -> None:
    """Outputs are still words of their grammars."""
    specs = [spec for kind in KINDS if (spec := SPECS[kind]) is not None]
    requests = [
        drafting.request(QUOTED, spec, temperature=0.9, seed=seed, max_tokens=80)
        for seed, spec in enumerate(specs * 3)
    ]
    for spec, (deltas,) in zip(specs * 3, drafting.answers(*requests), strict=True):
        if deltas[-1].finish_reason == "stop":
            assert is_word(spec, text_of(deltas)), text_of(deltas)


@pytest.mark.parametrize("max_tokens", [1, 2, 7])
def test_length_limits_are_met_exactly(
    drafting: Running, embedded: Running, max_tokens: int
) -> None:
    expected = embedded.answer(QUOTED, None, max_tokens=max_tokens)
    found = drafting.answer(QUOTED, None, max_tokens=max_tokens)
    assert ids_of(found) == ids_of(expected)
    assert found[-1].finish_reason == expected[-1].finish_reason


def test_a_request_can_do_without(drafting: Running) -> None:
    """No drafts: a token in each delta; drafts of a source that is not there: refused."""
    from dataclasses import replace

    from syntagma.decoding.speculation import SpeculationOptions

    def with_options(**options: Any) -> Any:
        request = drafting.request(QUOTED, SPECS["json_schema"])
        return replace(request, speculation=SpeculationOptions(**options))

    ((without,),) = drafting.answers(with_options(enabled=False))
    assert max(len(delta.token_ids) for delta in without) == 1
    ((limited,),) = drafting.answers(with_options(max_tokens=1))
    assert max(len(delta.token_ids) for delta in limited) == 2
    assert ids_of(without) == ids_of(limited)
    with pytest.raises(ValueError, match="no drafts from 'model'"):
        drafting.answers(with_options(sources=frozenset(["model"])))
