"""Our drafts in a vLLM engine: the same greedy outputs, in fewer steps, and drafts that are of use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running import Running, ids_of, new_vllm_engine, require_vllm, text_of
from test_engine_conformance import KINDS, PROMPT, SPECS, is_word, logprobs_of

from syntagma.decoding import Delta
from syntagma.decoding.engine import StepReport
from syntagma.decoding.speculation import SpeculationOptions, SpeculationUsage
from syntagma.decoding.vllm_support import DRAFT_PROPOSER

NUM_DRAFTS = 6
CONFIG = {"model": DRAFT_PROPOSER, "num_speculative_tokens": NUM_DRAFTS}
QUOTED = PROMPT + ' {"name": "Sofia Chen", "age": 29, "pets": []} yes no Abc 12. '


@pytest.fixture(scope="module")
def drafting() -> Iterator[Running]:
    """An engine process whose scheduler drafts, and in which vLLM counts as well."""
    require_vllm()
    running = Running(new_vllm_engine(speculative_config=CONFIG, disable_log_stats=False))
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
    """No drafts: nothing to be told of them; drafts of a source that is not there: refused."""

    def with_options(**options: Any) -> Any:
        request = drafting.request(QUOTED, SPECS["json_schema"])
        return replace(request, speculation=SpeculationOptions(**options))

    ((without,),) = drafting.answers(with_options(enabled=False))
    assert without[-1].speculation is None
    ((limited,),) = drafting.answers(with_options(max_tokens=1))
    usage = usage_of(limited)
    assert 0 < usage.drafted <= usage.steps
    assert ids_of(without) == ids_of(limited)
    with pytest.raises(ValueError, match="no drafts from 'model'"):
        drafting.answers(with_options(sources=frozenset(["model"])))


@pytest.mark.parametrize("kind", SPECS)
def test_logprobs_are_those_from_before_the_mask(
    drafting: Running, embedded: Running, kind: str
) -> None:
    """Of accepted tokens, of those drawn after a draft and of those without one."""
    expected = embedded.answer(QUOTED, SPECS[kind], logprobs=3)
    drafting.answer(QUOTED, SPECS[kind])
    found = drafting.answer(QUOTED, SPECS[kind], logprobs=3)
    assert ids_of(found) == ids_of(expected)
    if len(ids_of(expected)) > 2 * NUM_DRAFTS:
        assert usage_of(found).accepted > 0
    for entry, other in zip(logprobs_of(found), logprobs_of(expected), strict=True):
        assert entry.token_bytes == other.token_bytes
        assert entry.logprob == pytest.approx(other.logprob, abs=2e-3)
        assert [p for *_, p in entry.top] == pytest.approx([p for *_, p in other.top], abs=2e-3)


# -------------------------------------------------------------------------------------- usage


def usage_of(deltas: list[Delta]) -> SpeculationUsage:
    """What the last delta of a choice says; no other one says anything."""
    assert all(delta.speculation is None for delta in deltas[:-1])
    usage = deltas[-1].speculation
    assert usage is not None
    return usage


def counted(name: str) -> float:
    """A counter of vLLM's in this process."""
    from prometheus_client import REGISTRY

    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == f"vllm:spec_decode_{name}_total"
    )


@pytest.mark.parametrize("kind", SPECS)
def test_usage_adds_up(drafting: Running, kind: str) -> None:
    """A step yields its accepted tokens and one more, unless an accepted one was the last."""
    for _ in range(2):
        deltas = drafting.answer(QUOTED, SPECS[kind])
        usage = usage_of(deltas)
        assert usage.steps + usage.accepted - len(ids_of(deltas)) in (0, 1)
        assert all(0 <= part.accepted <= part.drafted for part in usage.by_source.values())
    assert usage.accepted > 0 or len(ids_of(deltas)) <= 2


def test_usage_is_what_vllm_counts(drafting: Running) -> None:
    """Many requests at once, of several choices, from a prompt that fills no block of the cache exactly."""
    names = ("num_drafts", "num_draft_tokens", "num_accepted_tokens")
    before = [counted(name) for name in names]
    requests = [
        drafting.request(f"{QUOTED} {i}", None, n=1 + i % 3, max_tokens=50, ignore_eos=True)
        for i in range(8)
    ]
    reports: list[StepReport] = []
    drafting.engine._observer = reports.append  # type: ignore[attr-defined]
    answers = [choice for answer in drafting.answers(*requests) for choice in answer]
    drafting.engine._observer = None  # type: ignore[attr-defined]
    total = SpeculationUsage()
    for deltas in answers:
        assert len(ids_of(deltas)) == 50
        usage = usage_of(deltas)
        assert usage.steps + usage.accepted == 50
        total.add(usage)
    reported = SpeculationUsage()
    for report in reports:
        if report.speculation is not None:
            reported.add(report.speculation)
    assert reported == total
    assert total.accepted > 0
    patience = time.monotonic() + 10
    expected = [total.drafted, total.accepted]
    while time.monotonic() < patience:  # vLLM counts after it has handed outputs over
        found = [counted(name) - old for name, old in zip(names, before, strict=True)]
        if found[1:] == expected:
            break
        time.sleep(0.1)
    assert found[1:] == expected
    assert found[0] <= total.steps


def test_drafts_behind_a_stop_string_were_of_no_use(drafting: Running) -> None:
    """It is found in this process, and vLLM has gone on."""
    text = text_of(drafting.answer(QUOTED, None))
    stop = text[10:13]
    for _ in range(2):
        deltas = drafting.answer(QUOTED, None, stop=(stop,))
        usage = usage_of(deltas)
        assert deltas[-1].stop_reason == stop
        assert usage.accepted < len(ids_of(deltas))
        assert usage.steps + usage.accepted >= len(ids_of(deltas))


def test_an_aborted_request_tells_what_was_done(drafting: Running) -> None:
    async def begin_and_abort() -> list[Delta]:
        request = drafting.request(QUOTED, None, max_tokens=400, ignore_eos=True)
        deltas = []
        async for delta in drafting.engine.generate(request):
            deltas.append(delta)
            if len(deltas) == 5:
                await drafting.engine.abort(request.request_id)
        return deltas

    deltas = drafting.run(begin_and_abort())
    assert deltas[-1].finish_reason == "abort"
    usage = usage_of(deltas)
    assert 5 <= usage.steps <= len(ids_of(deltas)) <= usage.steps + usage.accepted + NUM_DRAFTS + 1
    # Whoever comes next is drafted from what was said until then.
    assert usage_of(drafting.answer(QUOTED, None)).accepted > 0


def test_usage_of_preempted_requests() -> None:
    """A cache for a part of them only: drafts made before a request lost its place were not verified."""
    require_vllm()
    running = Running(
        new_vllm_engine(
            speculative_config=CONFIG, num_gpu_blocks_override=40, enable_prefix_caching=False
        )
    )
    try:
        requests = [
            running.request(f"{QUOTED} {i}", None, max_tokens=120, ignore_eos=True)
            for i in range(6)
        ]
        for (deltas,) in running.answers(*requests):
            usage = usage_of(deltas)
            assert usage.steps + usage.accepted == len(ids_of(deltas)) == 120
    finally:
        running.close()


def test_a_draft_corpus_is_for_all_tenants(tmp_path: Path, embedded: Running) -> None:
    """What the corpus holds is drafted at first sight, for whoever asks; what a tenant was told, for that one alone."""
    require_vllm()
    spec = SPECS["json_schema"]
    expected = embedded.answer(PROMPT, spec)
    (tmp_path / "known.txt").write_text(text_of(expected), encoding="utf-8")
    other = "Anna has a dog and a"
    accepted = {}
    for corpus in ((), (tmp_path / "known.txt",)):
        running = Running(new_vllm_engine(speculative_config=CONFIG, draft_corpus=corpus))
        try:

            def ask(prompt: str, tenant: str) -> int:
                request = running.request(prompt, spec)  # noqa: B023 - called in this round only
                request = replace(
                    request,
                    tenant=tenant,
                    speculation=SpeculationOptions(sources=frozenset({"corpus"})),
                )
                ((deltas,),) = running.answers(request)  # noqa: B023
                return usage_of(deltas).accepted

            accepted[bool(corpus)] = [ask(PROMPT, "a"), ask(PROMPT, "b")]
            first, stranger, again = ask(other, "c"), ask(other, "d"), ask(other, "c")
            assert first == stranger < again
        finally:
            running.close()
    assert accepted[False][0] == accepted[False][1]
    assert all(some > accepted[False][0] + 10 for some in accepted[True])
