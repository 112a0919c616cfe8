"""Further engines beside the one of the session: another that speculates and shares its artefacts, and a pair
of replicas behind one front end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from running import Running, ids_of, new_vllm_engine, text_of
from test_engine_conformance import KINDS, PROMPT, SPECS, is_word

from syntagma.decoding import EngineError
from syntagma.decoding.grammar_spec import GrammarSpec

NUM_DRAFTS = 3


@pytest.fixture(scope="module")
def speculating(vllm_running: Running) -> Iterator[Running]:
    """A second engine process on the first one's directory, which drafts from what was said before."""
    engine: Any = vllm_running.engine
    config = {"method": "ngram", "num_speculative_tokens": NUM_DRAFTS, "prompt_lookup_max": 3}
    running = Running(new_vllm_engine(engine.artefact_dir, speculative_config=config))
    yield running
    running.close()


@pytest.mark.parametrize("kind", SPECS)
def test_drafts_do_not_change_greedy_outputs(
    speculating: Running, embedded: Running, kind: str
) -> None:
    """The prompt holds what the output will say, so that drafts are accepted, and others refused."""
    prompt = PROMPT + ' {"name": "Sofia Chen", "age": 29, "pets": []} yes no Abc 12. '
    expected = embedded.answer(prompt, SPECS[kind])
    found = speculating.answer(prompt, SPECS[kind])
    assert ids_of(found) == ids_of(expected)
    assert text_of(found) == text_of(expected)
    if kind == "json_schema":  # several tokens in one step: drafts were accepted
        assert max(len(delta.token_ids) for delta in found) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_drafts_and_temperature(speculating: Running, kind: str) -> None:
    """Outputs are still words of their grammars, all kinds in the same batch."""
    prompt = PROMPT + ' {"name": "Sofia Chen", "age": 29, "pets": ["cat", "dog"]} '
    specs = [spec for name in [kind, *KINDS] if (spec := SPECS[name]) is not None]
    requests = [
        speculating.request(prompt, spec, temperature=0.8, seed=seed, max_tokens=80)
        for seed, spec in enumerate(specs)
    ]
    for spec, (deltas,) in zip(specs, speculating.answers(*requests), strict=True):
        if deltas[-1].finish_reason == "stop":
            assert is_word(spec, text_of(deltas)), text_of(deltas)


def test_one_process_finds_what_another_has_compiled(
    vllm_running: Running, speculating: Running
) -> None:
    """The second engine is told a hash and no source."""
    first: Any = vllm_running.engine
    spec = GrammarSpec("regex", "from the other process [0-9]{2}")
    # Slow grammars are shared, and those that come without a source.
    vllm_running.answers(replace(vllm_running.request(PROMPT, spec), grammar_spec=None))
    request = replace(speculating.request(PROMPT, spec), grammar_spec=None)
    assert request.grammar is not None
    assert (first.artefact_dir / f"grammar-{request.grammar.hash}.arrays").exists()
    ((deltas,),) = speculating.answers(request)
    assert is_word(spec, text_of(deltas))


class NoDirectory:
    """In place of an `ArtefactDirectory`: a front end that shares none with its engine."""

    def has(self, grammar_hash: str) -> bool:
        return False

    def publish(self, grammar: Any) -> bool:
        return False


def test_without_a_shared_directory_the_source_is_compiled(
    vllm_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request without either fails, and the others beside it do not."""
    monkeypatch.setattr(vllm_running.engine, "_artefacts", NoDirectory())
    spec = GrammarSpec("regex", "nobody has seen this [0-9]{2}")
    assert is_word(spec, text_of(vllm_running.answer(PROMPT, spec)))
    lost = GrammarSpec("regex", "nor this [0-9]{2}")
    request = replace(vllm_running.request(PROMPT, lost), grammar_spec=None)
    with pytest.raises(EngineError, match="engine process"):
        vllm_running.answers(request)
    assert is_word(spec, text_of(vllm_running.answer(PROMPT, spec)))


def test_a_grammar_under_the_wrong_name_is_not_used(vllm_running: Running) -> None:
    """The engine's process compiles the source instead."""
    engine: Any = vllm_running.engine
    right, wrong = GrammarSpec("regex", "right [0-9]{2}"), GrammarSpec("regex", "[A-Z]{9}")
    path = engine.artefact_dir / f"grammar-{vllm_running.compile(right).hash}.arrays"
    vllm_running.compile(wrong).save(path)
    assert is_word(right, text_of(vllm_running.answer(PROMPT, right)))
    request = replace(vllm_running.request(PROMPT, right), grammar_spec=None)
    path.unlink()
    assert is_word(right, text_of(vllm_running.answers(request)[0][0]))


def test_two_replicas_behind_one_front_end(embedded: Running) -> None:
    """Data-parallel size 2: both engine processes take requests, and both know the grammars."""
    running = Running(new_vllm_engine(data_parallel_size=2, max_num_seqs=4))
    try:
        requests = [running.request(PROMPT, SPECS[kind]) for kind in KINDS * 2]
        answers = running.answers(*requests)
        for kind, (deltas,) in zip(KINDS * 2, answers, strict=True):
            assert ids_of(deltas) == ids_of(embedded.answer(PROMPT, SPECS[kind]))
    finally:
        running.close()
