"""Speculation in the embedded engine: the outputs of no speculation, in fewer passes."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import numpy as np
import pytest
import torch
import toy_engine as toy
from draft_fakes import FakeDrafter, bush_around, drawing, knowing, speculator_of, tree_of
from toy_engine import PROMPT, STOP, VOCABULARY, ids_of, request, run_all, run_one, text_of

from syntagma.decoding import Delta, EngineError, GenerationRequest, StepReport
from syntagma.decoding.cached_model import CachedModel, find_draft_shape
from syntagma.decoding.draft_tree import ROOT, SOURCES, DraftTree
from syntagma.decoding.embedded_engine import EmbeddedEngine
from syntagma.decoding.hugging_face_model import HuggingFaceModel
from syntagma.decoding.speculation import SpeculationOptions

SPECULATION_OFF = SpeculationOptions(enabled=False)


def drafting_engine(*drafters: FakeDrafter, **options: Any) -> EmbeddedEngine:
    return toy.toy_engine(new_speculator=speculator_of(*drafters), **options)


@functools.cache
def plain(**fields: Any) -> list[list[Delta]]:
    """The choices of a request, without drafts."""
    return run_all(toy.toy_engine(), toy.request(**fields))[0]


def knowing_engine(outputs: list[int], **options: Any) -> EmbeddedEngine:
    return drafting_engine(knowing({PROMPT: outputs}, VOCABULARY.size), **options)


def joined(deltas: list[Delta]) -> tuple[str, list[int], Any, Any, Any]:
    """All that a caller sees, however it was cut into deltas."""
    logprobs = [entry for delta in deltas for entry in delta.logprobs]
    last = deltas[-1]
    return text_of(deltas), ids_of(deltas), logprobs, last.finish_reason, last.stop_reason


# ------------------------------------------------------------------------ one pass over a tree


def random_tree(seed: int, num_nodes: int) -> DraftTree:
    generator = np.random.default_rng(seed)
    parents = [int(generator.integers(ROOT, node)) if node else ROOT for node in range(num_nodes)]
    return tree_of(range(20, 20 + num_nodes), parents)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("seed", range(5))
def test_every_node_says_what_its_path_says_alone(seed: int, attention: str) -> None:
    network = toy.toy_model()
    network.set_attn_implementation(attention)
    model = HuggingFaceModel(network)
    tree = random_tree(seed, 12)
    with torch.inference_mode():
        _, cache = model.forward(list(PROMPT), None)
        rows, cache = model.forward_draft(7, tree, len(PROMPT), cache)
        given = model.fetch(rows)
        for node in range(ROOT, tree.num_nodes):
            path = tree.token_ids[tree.path(node)].tolist()
            expected = network(input_ids=torch.tensor([[*PROMPT, 7, *path]])).logits[0, -1].numpy()
            np.testing.assert_allclose(given[1 + node], expected, atol=1e-4)
            assert given[1 + node].argmax() == expected.argmax()


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_cache_goes_on_like_one_that_has_read_the_path(seed: int) -> None:
    network = toy.toy_model()
    model = HuggingFaceModel(network)
    tree = random_tree(seed, 12)
    path = tree.path(int(np.argmax(tree.depths())))
    with torch.inference_mode():
        _, cache = model.forward(list(PROMPT), None)
        _, cache = model.forward_draft(7, tree, len(PROMPT), cache)
        cache = model.keep(cache, len(PROMPT) + 1, path)
        read = [*PROMPT, 7, *tree.token_ids[path].tolist()]
        assert [layer.keys.shape[-2] for layer in cache.layers] == [len(read)] * 2
        for token_id in (9, 8, 30):
            rows, cache = model.forward([token_id], cache)
            read.append(token_id)
            expected = network(input_ids=torch.tensor([read])).logits[0, -1].numpy()
            np.testing.assert_allclose(model.fetch(rows), expected, atol=1e-4)


def shape_of(model: CachedModel[Any]) -> str:
    with torch.inference_mode():
        return find_draft_shape(model)


def test_a_model_is_tried_for_what_it_can_verify() -> None:
    assert shape_of(HuggingFaceModel(toy.toy_model())) == "tree"
    recurrent = HuggingFaceModel(toy.toy_model())
    recurrent.can_extend = False
    assert shape_of(recurrent) == "none"


def test_a_model_that_ignores_the_mask_verifies_chains() -> None:
    class Maskless(HuggingFaceModel):
        def _tree_options(self, tree: DraftTree, num_cached: int) -> dict[str, Any]:
            return {"position_ids": super()._tree_options(tree, num_cached)["position_ids"]}

    class Refusing(HuggingFaceModel):
        def _tree_options(self, tree: DraftTree, num_cached: int) -> dict[str, Any]:
            raise NotImplementedError("no masks here")

    class Misplacing(HuggingFaceModel):
        def _tree_options(self, tree: DraftTree, num_cached: int) -> dict[str, Any]:
            return {"attention_mask": super()._tree_options(tree, num_cached)["attention_mask"]}

    for model in (Maskless, Refusing, Misplacing):
        assert shape_of(model(toy.toy_model())) == "chain"


def test_a_model_with_a_sliding_window_verifies_nothing() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        sliding_window=8,
    )
    assert shape_of(HuggingFaceModel(MistralForCausalLM(config).eval())) == "none"


def test_a_state_space_model_verifies_nothing() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, state_size=4)
    assert shape_of(HuggingFaceModel(MambaForCausalLM(config).eval())) == "none"


def test_an_engine_of_such_a_model_drafts_nothing() -> None:
    model = toy.toy_model()
    model._is_stateful = True
    drafter = knowing({PROMPT: [1] * 12}, VOCABULARY.size)
    engine = toy.toy_engine(model, new_speculator=speculator_of(drafter))
    assert engine.draft_shape == "none"
    deltas = run_one(engine, request())
    assert not drafter.sessions
    assert deltas[-1].speculation is None


# ---------------------------------------------------------------------------- the same outputs

SAMPLINGS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "sampled": {"seed": 3},
    "truncated": {"seed": 4, "temperature": 1.3, "top_k": 9, "top_p": 0.9, "min_p": 0.02},
    "penalised": {
        "seed": 5,
        "repetition_penalty": 1.3,
        "frequency_penalty": 0.7,
        "presence_penalty": 0.4,
    },
    "with logprobs": {"seed": 6, "logprobs": 3},
}


@pytest.mark.parametrize("name", SAMPLINGS)
def test_a_seed_gives_the_same_text_in_fewer_passes(name: str) -> None:
    fields = {"max_tokens": 60, **SAMPLINGS[name]}
    expected = plain(**fields)[0]
    deltas = run_one(knowing_engine(ids_of(expected)), request(**fields))
    text, token_ids, logprobs, *end = joined(deltas)
    expected_text, expected_ids, expected_logprobs, *expected_end = joined(expected)
    assert (text, token_ids, end) == (expected_text, expected_ids, expected_end)
    assert len(logprobs) == len(expected_logprobs)
    for given, wanted in zip(logprobs, expected_logprobs, strict=True):
        assert given.token_id == wanted.token_id
        assert given.logprob == pytest.approx(wanted.logprob, abs=1e-4)
        assert [entry[0] for entry in given.top] == [entry[0] for entry in wanted.top]
    usage = deltas[-1].speculation
    assert usage is not None
    assert usage.steps == len(deltas) < 30
    assert usage.accepted == 60 - usage.steps
    assert usage.drafted > 2 * usage.accepted


def test_logit_bias_counts_at_every_node() -> None:
    bias = {65: 30.0}
    fields: dict[str, Any] = {"temperature": 0, "max_tokens": 20}
    drafter = knowing({PROMPT: [65] * 20}, VOCABULARY.size)
    deltas = run_one(drafting_engine(drafter), request(logit_bias=bias, **fields))
    assert ids_of(deltas) == [65] * 20
    assert len(deltas) < 15


def test_wrong_drafts_change_nothing() -> None:
    expected = plain(max_tokens=30)[0]
    generator = np.random.default_rng(1)

    def guess(prompt: list[int], output: list[int], max_nodes: int, max_depth: int) -> DraftTree:
        return bush_around(generator.integers(256, size=6).tolist(), max_nodes, 256, generator)

    deltas = run_one(drafting_engine(FakeDrafter(guess)), request(max_tokens=30))
    assert ids_of(deltas) == ids_of(expected)


def test_choices_and_neighbours_do_not_disturb_each_other() -> None:
    given = [
        toy.request("a", max_tokens=25, n=3, seed=5),
        toy.request("b", max_tokens=25, seed=9, temperature=0.7),
    ]
    expected = run_all(toy.toy_engine(), *given)
    known = ids_of(expected[0][1])
    answers = run_all(drafting_engine(knowing({PROMPT: known}, VOCABULARY.size)), *given)
    for choices, wanted in zip(answers, expected, strict=True):
        assert [ids_of(deltas) for deltas in choices] == [ids_of(deltas) for deltas in wanted]


def test_a_grammar_is_obeyed_at_every_node() -> None:
    grammar = toy.compiler().compile_regex(r'\{"(true|ab)":(true|END)\}( true)?')
    for seed in range(8):
        fields: dict[str, Any] = {
            "grammar": grammar,
            "ignore_eos": False,
            "seed": seed,
            "max_tokens": 40,
        }
        expected = run_one(toy.toy_engine(), request(**fields))
        deltas = run_one(knowing_engine(ids_of(expected)), request(**fields))
        assert joined(deltas) == joined(expected)
        assert deltas[-1].finish_reason == "stop"


# --------------------------------------------------------------------- ends within a draft


def test_a_stop_string_within_a_draft_ends_the_output() -> None:
    output = [*b"some text EN", *b"D and more that nobody asked for"]
    bias_engine = scripted(output)
    deltas = run_one(
        bias_engine, request(prompt=PROMPT, temperature=0, stop=("END",), max_tokens=40)
    )
    assert text_of(deltas) == "some text "
    assert deltas[-1].stop_reason == "END"
    assert ids_of(deltas) == output[:13]
    assert len(deltas) < 13


def test_a_stop_token_within_a_draft_ends_the_output() -> None:
    output = [*b"abc", STOP, *b"def"]
    deltas = run_one(scripted(output), request(temperature=0, ignore_eos=False, max_tokens=40))
    assert ids_of(deltas) == output[:4]
    assert deltas[-1].finish_reason == "stop"
    usage = deltas[-1].speculation
    assert usage is not None
    assert usage.accepted <= 3


@pytest.mark.parametrize("max_tokens", range(1, 8))
def test_max_tokens_bounds_the_draft(max_tokens: int) -> None:
    deepest = 0
    output = list(b"abcdefghijklmnop")

    def propose(prompt: list[int], sofar: list[int], max_nodes: int, max_depth: int) -> DraftTree:
        nonlocal deepest
        deepest = max(deepest, len(sofar) + max_depth)
        return DraftTree.chain(output[len(sofar) :][:max_depth], [0.9] * max_depth, "prompt")

    engine = scripted(output, FakeDrafter(propose))
    deltas = run_one(engine, request(temperature=0, max_tokens=max_tokens))
    assert ids_of(deltas) == output[:max_tokens]
    assert deltas[-1].finish_reason == "length"
    assert deepest <= max_tokens - 1


def test_the_model_s_context_bounds_the_draft() -> None:
    output = list(b"abcdefghijklmnop" * 3)
    engine = scripted(output, max_model_len=len(PROMPT) + 9)
    deltas = run_one(engine, request(temperature=0, max_tokens=None))
    assert ids_of(deltas) == output[:9]
    assert deltas[-1].finish_reason == "length"


class ScriptedLlama(toy.ToyLlama):
    """A real cache, and logits that continue the prompt with a script, whatever was drafted."""

    script: list[int]

    def forward(self, input_ids: torch.Tensor, **options: Any) -> Any:
        result = super().forward(input_ids=input_ids, **options)
        positions = options.get("position_ids")
        if positions is None:
            end = result["past_key_values"].get_seq_length()
            positions = torch.arange(end - input_ids.shape[1], end)[None]
        rows = positions[0, -result.logits.shape[1] :] - len(PROMPT) + 1
        result.logits = torch.zeros_like(result.logits)
        for row, place in enumerate(rows.tolist()):
            if 0 <= place < len(self.script):
                result.logits[0, row, self.script[place]] = 50.0
        return result


def scripted(
    script: list[int], drafter: FakeDrafter | None = None, **options: Any
) -> EmbeddedEngine:
    """An engine whose greedy output is a script, with a drafter that knows it."""
    toy_model = toy.toy_model()
    toy_model.__class__ = ScriptedLlama
    toy_model.script = script  # type: ignore[assignment]
    if drafter is None:
        drafter = knowing({PROMPT: script}, VOCABULARY.size)
    engine = toy.toy_engine(toy_model, new_speculator=speculator_of(drafter), **options)
    return engine


# ---------------------------------------------------------------------- requests and accounts


def test_a_request_can_do_without() -> None:
    drafter = knowing({PROMPT: ids_of(plain()[0])}, VOCABULARY.size)
    given = GenerationRequest(
        request_id="r",
        prompt_token_ids=PROMPT,
        sampling=request().sampling,
        speculation=SPECULATION_OFF,
    )
    deltas = run_one(drafting_engine(drafter), given)
    assert ids_of(deltas) == ids_of(plain()[0])
    assert deltas[-1].speculation is None
    assert not drafter.sessions


@pytest.mark.parametrize("has_drafters", [True, False])
def test_drafts_that_cannot_be_made_are_refused(has_drafters: bool) -> None:
    engine = drafting_engine(knowing({}, 300)) if has_drafters else toy.toy_engine()

    async def client(engine: EmbeddedEngine) -> None:
        for sources in (frozenset(SOURCES), frozenset({"prompt"}), frozenset({"model"})):
            given = GenerationRequest(
                request_id="r",
                prompt_token_ids=PROMPT,
                sampling=request().sampling,
                speculation=SpeculationOptions(sources=sources),
            )
            if has_drafters and "prompt" in sources:
                await toy.collect(engine, given)
                continue
            with pytest.raises(ValueError, match=r"no drafts from 'model'|makes no drafts"):
                engine.generate(given)

    toy.serve(engine, client)


def test_drafters_follow_the_output_and_are_told_its_end() -> None:
    expected = plain(n=2, max_tokens=20)
    drafter = knowing({PROMPT: ids_of(expected[0])}, VOCABULARY.size)
    run_all(drafting_engine(drafter), request(n=2, max_tokens=20))
    assert [session.output for session in drafter.sessions] == [ids_of(d) for d in expected]
    assert [session.num_finished for session in drafter.sessions] == [1, 1]


def test_the_scope_of_drafts_is_grammar_and_tenant() -> None:
    grammar = toy.compiler().compile_regex("[ab]{3}")
    drafter = knowing({PROMPT: []}, VOCABULARY.size)
    given = GenerationRequest(
        request_id="r",
        prompt_token_ids=PROMPT,
        sampling=request(ignore_eos=False).sampling,
        grammar=grammar,
        tenant="someone",
    )
    run_one(drafting_engine(drafter), given)
    scope = drafter.sessions[0].scope
    assert (scope.grammar_key, scope.tenant) == (grammar.hash, "someone")


def test_a_step_reports_its_drafts() -> None:
    reports: list[StepReport] = []
    expected = ids_of(plain(max_tokens=30)[0])
    engine = knowing_engine(expected, observer=reports.append)
    deltas = run_one(engine, request(max_tokens=30))
    usage = deltas[-1].speculation
    assert usage is not None
    told = [report.speculation for report in reports if report.speculation is not None]
    assert sum(step.steps for step in told) == usage.steps
    assert sum(step.accepted for step in told) == usage.accepted
    assert sum(step.drafted for step in told) == usage.drafted
    assert set(usage.by_source) == {"prompt"}


def test_a_request_can_be_aborted_between_drafts() -> None:
    expected = ids_of(plain(max_tokens=60)[0])
    drafter = knowing({PROMPT: expected}, VOCABULARY.size)

    async def client(engine: EmbeddedEngine) -> tuple[list[Delta], list[Delta]]:
        deltas = []
        async for delta in engine.generate(request("a", max_tokens=10_000)):
            deltas.append(delta)
            if len(deltas) == 3:
                await engine.abort("a")
        after = (await toy.collect(engine, request("b", max_tokens=60)))[0]
        while engine.num_active:
            await asyncio.sleep(0.001)
        return deltas, after

    deltas, after = toy.serve(drafting_engine(drafter), client)
    assert deltas[-1].finish_reason == "abort"
    assert ids_of(after) == expected
    assert drafter.sessions[0].num_finished == 1


def test_a_drafter_s_fault_ends_its_own_request_only() -> None:
    def fail(prompt: list[int], output: list[int], max_nodes: int, max_depth: int) -> DraftTree:
        raise RuntimeError("no idea")

    async def client(engine: EmbeddedEngine) -> list[Delta]:
        with pytest.raises(EngineError, match="no idea"):
            await toy.collect(engine, request("a"))
        given = GenerationRequest(
            request_id="b",
            prompt_token_ids=PROMPT,
            sampling=request().sampling,
            speculation=SPECULATION_OFF,
        )
        return (await toy.collect(engine, given))[0]

    deltas = toy.serve(drafting_engine(FakeDrafter(fail)), client)
    assert ids_of(deltas) == ids_of(plain()[0])


# --------------------------------------------------------------------------- drawn drafts


@pytest.mark.parametrize("is_good", [True, False])
def test_drawn_drafts_keep_the_law_of_the_second_token(is_good: bool) -> None:
    """2,000 outputs of two tokens from four: chi-square with 15 degrees of freedom."""
    letters = list(b"abcd")
    grammar = toy.compiler().compile_regex("[abcd]{2}")
    single_letters = {i: -100.0 for i in range(VOCABULARY.size) if i not in letters}
    law = np.zeros(VOCABULARY.size)
    law[letters] = (0.4, 0.3, 0.2, 0.1) if is_good else (0.0, 0.0, 0.1, 0.9)
    expected = np.array([pair_law(letters)[a, b] for a in range(4) for b in range(4)])
    given = request(
        grammar=grammar,
        ignore_eos=False,
        n=2000,
        temperature=5.0,
        seed=11,
        logit_bias=single_letters,
    )
    engine = drafting_engine(drawing(lambda output: law, 2))
    counts = np.zeros(16)
    for deltas in run_all(engine, given)[0]:
        first, second = (letters.index(byte) for byte in text_of(deltas).encode())
        counts[4 * first + second] += 1
    statistic = ((counts - 2000 * expected) ** 2 / (2000 * expected)).sum()
    assert statistic < 37.7  # exceeded by chance once in 1,000


def pair_law(letters: list[int]) -> Any:
    """float64[4, 4]: the law of two letters at temperature 5, from plain passes."""
    network = toy.toy_model()
    law = np.zeros((4, 4))
    with torch.inference_mode():
        first = conditional(network, [*PROMPT], letters)
        for index, letter in enumerate(letters):
            law[index] = first[index] * conditional(network, [*PROMPT, letter], letters)
    return law


def conditional(network: toy.ToyLlama, token_ids: list[int], letters: list[int]) -> Any:
    logits = network(input_ids=torch.tensor([token_ids])).logits[0, -1].numpy()[letters] / 5.0
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return weights / weights.sum()
