from __future__ import annotations

import asyncio
import functools
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy_engine as toy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from toy_engine import PROMPT, STOP, VOCABULARY, collect, ids_of, request, run_all, run_one, text_of
from transformers import PreTrainedTokenizerFast

from syntagma.decoding import Delta, EngineError, EngineOverloadedError, Matcher, StepReport
from syntagma.decoding.embedded_engine import EmbeddedEngine
from syntagma.grammar import Vocabulary

TOKEN_IDS = {VOCABULARY.token_bytes(i): i for i in range(VOCABULARY.size)}
LONG_PROMPT = tuple((7 * i) % 200 for i in range(90))


def recomputed_logits(token_ids: list[int]) -> Any:
    """float32[vocab_size] after the tokens, without any cache."""
    with torch.inference_mode():
        return plain_model()(input_ids=torch.tensor([token_ids])).logits[0, -1].numpy()


@functools.cache
def plain_model() -> toy.ToyLlama:
    return toy.toy_model()


def spans(deltas: list[Delta]) -> str:
    """The text the token ids stand for."""
    return b"".join(VOCABULARY.token_bytes(i) for i in ids_of(deltas)).decode(errors="replace")


# ------------------------------------------------------------------------------------ decoding


def test_greedy_is_the_best_token_of_the_whole_text_at_every_step() -> None:
    deltas = run_one(toy.toy_engine(), request(temperature=0, max_tokens=20))
    token_ids = list(PROMPT)
    for token_id in ids_of(deltas):
        logits = recomputed_logits(token_ids)
        logits[[i for i in range(VOCABULARY.size) if VOCABULARY.token_bytes(i) == b""]] = -np.inf
        logits[STOP] = recomputed_logits(token_ids)[STOP]
        assert token_id == logits.argmax()
        token_ids.append(token_id)
    assert len(ids_of(deltas)) == 20
    assert text_of(deltas) == spans(deltas)
    assert deltas[-1].finish_reason == "length"


@pytest.mark.parametrize("prefill_chunk", [1, 7, 89, 90, 512])
def test_prefill_chunks_do_not_change_the_output(prefill_chunk: int) -> None:
    longest_read = 0

    def note(token_ids: list[int]) -> None:
        nonlocal longest_read
        longest_read = max(longest_read, len(token_ids))

    model = toy.toy_model()
    model.before_forward = note
    given = request(prompt=LONG_PROMPT, temperature=0)
    deltas = run_one(toy.toy_engine(model, prefill_chunk=prefill_chunk), given)
    assert ids_of(deltas) == ids_of(run_one(toy.toy_engine(), given))
    assert longest_read == min(prefill_chunk, len(LONG_PROMPT))


def test_a_model_that_cannot_extend_its_cache_reads_prompts_whole() -> None:
    reads: list[int] = []
    model = toy.toy_model()
    model._is_stateful = True
    model.before_forward = lambda token_ids: reads.append(len(token_ids))
    run_one(toy.toy_engine(model, prefill_chunk=8), request(prompt=LONG_PROMPT, max_tokens=3))
    assert reads == [90, 1, 1]


def test_a_long_prompt_lets_others_go_on() -> None:
    """While 90 tokens are read in chunks of 3, a short request begins and ends."""
    reads: list[int] = []
    gate = threading.Event()

    def note(token_ids: list[int]) -> None:
        gate.wait()
        reads.append(len(token_ids))

    model = toy.toy_model()
    model.before_forward = note

    async def client(engine: EmbeddedEngine) -> None:
        long = engine.generate(request("long", prompt=LONG_PROMPT, max_tokens=1))
        short = engine.generate(request("short", prompt=(65, 66, 67, 68), max_tokens=5))
        gate.set()
        for stream in (long, short):
            async for _ in stream:
                pass

    toy.serve(toy.toy_engine(model, prefill_chunk=3), client)
    assert reads.count(3) == 31
    decoded = [step for step, num_tokens in enumerate(reads) if num_tokens == 1]
    assert len(decoded) == 5
    assert decoded[-1] < 15


def test_a_sliding_window_is_kept_across_chunks() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(3)
    config = MistralConfig(
        vocab_size=VOCABULARY.size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        initializer_range=0.4,
    )
    model: Any = MistralForCausalLM(config).eval()
    given = request(prompt=LONG_PROMPT, temperature=0, n=2)
    whole = run_all(toy.toy_engine(model), given)
    assert ids_of(whole[0][0]) == ids_of(whole[0][1])
    assert whole == run_all(toy.toy_engine(model, prefill_chunk=5), given)


def test_choices_share_one_prefill_and_differ_by_their_seed() -> None:
    engine = toy.toy_engine(max_active=3)
    choices = run_all(engine, request(n=5, seed=40))[0]
    assert engine.stats.prompt_tokens_total == len(PROMPT)
    assert engine.stats.generated_tokens_total == 5 * 12
    for index, deltas in enumerate(choices):
        assert ids_of(deltas) == ids_of(run_one(toy.toy_engine(), request(seed=40 + index)))
    assert len({tuple(ids_of(deltas)) for deltas in choices}) == 5


def test_a_seed_gives_the_same_text_whatever_else_runs() -> None:
    given = request("mine", seed=-3, temperature=1.2, top_p=0.95)
    alone = run_one(toy.toy_engine(), given)
    others = [request(f"other {i}", prompt=LONG_PROMPT[i:], seed=i) for i in range(8)]
    engine = toy.toy_engine(prefill_chunk=16)
    assert run_all(engine, *others[:4], given, *others[4:])[4][0] == alone


def test_without_a_seed_outputs_differ() -> None:
    engine = toy.toy_engine()
    first, second = run_all(engine, request("a", seed=None), request("b", seed=None))
    assert ids_of(first[0]) != ids_of(second[0])


def test_many_streams_all_finish() -> None:
    engine = toy.toy_engine(max_active=4)
    results = run_all(engine, *(request(f"{i}", max_tokens=i + 1) for i in range(16)))
    assert [len(ids_of(deltas)) for [deltas] in results] == list(range(1, 17))
    assert all(deltas[-1].finish_reason == "length" for [deltas] in results)
    assert engine.num_active == 0


def test_the_context_ends_the_output() -> None:
    deltas = run_one(toy.toy_engine(max_model_len=len(PROMPT) + 3), request(max_tokens=None))
    assert len(ids_of(deltas)) == 3
    assert deltas[-1].finish_reason == "length"


def test_a_stop_token_ends_the_output_and_has_no_text() -> None:
    deltas = run_one(toy.toy_engine(), request(ignore_eos=False, logit_bias={STOP: 1000.0}))
    assert [(d.text, d.token_ids, d.finish_reason) for d in deltas] == [("", (STOP,), "stop")]
    deltas = run_one(toy.toy_engine(), request(logit_bias={STOP: 1000.0}))
    assert ids_of(deltas) == [STOP] * 12
    assert deltas[-1].finish_reason == "length"


def test_tokens_without_text_are_never_drawn() -> None:
    bias = {toy.PAD: 1000.0, 299: 1000.0}
    token_ids = ids_of(run_one(toy.toy_engine(), request(logit_bias=bias, max_tokens=30)))
    assert all(VOCABULARY.token_bytes(i) or i == STOP for i in token_ids)


def test_a_stop_string_that_spans_tokens_ends_the_output_before_it() -> None:
    free = run_one(toy.toy_engine(), request(temperature=0, max_tokens=20))
    text = text_of(free)
    stop = text[5:8]
    deltas = run_one(toy.toy_engine(), request(temperature=0, max_tokens=20, stop=("zzz", stop)))
    assert text_of(deltas) == text[: text.index(stop)]
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].stop_reason == stop


def test_a_character_is_not_split_over_deltas() -> None:
    word = toy.compiler().compile_choice(["é€"])
    euro, accent = TOKEN_IDS["€".encode()], TOKEN_IDS["é".encode()]
    bytes_only = {euro: -1000.0, accent: -1000.0}
    deltas = run_one(toy.toy_engine(), request(grammar=word, logit_bias=bytes_only))
    assert [delta.text for delta in deltas] == ["", "é", "", "", "€"]


def test_logprobs_are_those_of_a_plain_forward_pass() -> None:
    given = request(logprobs=3, temperature=0.7, presence_penalty=1.0, logit_bias={65: 3.0})
    token_ids = list(PROMPT)
    for delta in run_one(toy.toy_engine(), given):
        expected = torch.log_softmax(torch.tensor(recomputed_logits(token_ids)).double(), 0)
        (entry,) = delta.logprobs
        assert entry.token_id == delta.token_ids[0]
        assert entry.token_bytes == VOCABULARY.token_bytes(entry.token_id)
        assert entry.logprob == pytest.approx(float(expected[entry.token_id]), abs=1e-4)
        best = torch.topk(expected, 3)
        assert [top[0] for top in entry.top] == best.indices.tolist()
        assert [top[2] for top in entry.top] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert not entry.is_forced
        token_ids.append(entry.token_id)


# --------------------------------------------------------------------------------- constraints


def test_the_output_obeys_the_grammar_and_stops_when_it_is_complete() -> None:
    words = ["ab END", "true", "aé€"]
    engine = toy.toy_engine()
    grammar = toy.compiler().compile_choice(words)
    given = [request(f"{i}", grammar=grammar, seed=i, logprobs=0) for i in range(12)]
    for [deltas] in run_all(engine, *given):
        assert text_of(deltas) in words
        assert deltas[-1].finish_reason == "stop"
        assert STOP not in ids_of(deltas)
    assert engine.stats.generated_tokens_total > engine.stats.forced_tokens_total > 0
    assert engine.stats.mask_seconds_total > 0


def test_a_grammar_that_could_go_on_ends_with_a_stop_token() -> None:
    grammar = toy.compiler().compile_regex("(ab)+")
    deltas = run_one(toy.toy_engine(), request(grammar=grammar, max_tokens=None))
    assert set(text_of(deltas)) == {"a", "b"}
    assert ids_of(deltas)[-1] == STOP
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].stop_reason is None


def test_json_parses() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"enum": ["x", "é", None]}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    grammar = toy.compiler().compile_json_schema(schema)
    given = [request(f"{i}", grammar=grammar, seed=i, max_tokens=None) for i in range(4)]
    for [deltas] in run_all(toy.toy_engine(), *given):
        value = json.loads(text_of(deltas))
        assert isinstance(value["a"], bool)
        assert value["b"] in ["x", "é", None]


def test_forced_tokens_are_marked() -> None:
    grammar = toy.compiler().compile_choice(["x", "y"])
    (delta,) = run_one(toy.toy_engine(), request(grammar=grammar, logprobs=1))
    assert not delta.logprobs[0].is_forced
    grammar = toy.compiler().compile_choice(["x"])
    (delta,) = run_one(toy.toy_engine(), request(grammar=grammar, logprobs=1))
    assert delta.logprobs[0].is_forced


def test_the_empty_word_takes_no_token() -> None:
    grammar = toy.compiler().compile_choice([""])
    engine = toy.toy_engine()
    choices = run_all(engine, request(grammar=grammar, n=3))[0]
    assert [[(d.text, d.token_ids, d.finish_reason) for d in c] for c in choices] == [
        [("", (), "stop")]
    ] * 3
    assert engine.stats.prompt_tokens_total == 0


def test_a_bias_against_every_legal_token_does_not_break_the_grammar() -> None:
    grammar = toy.compiler().compile_choice(["true", "ab"])
    bias = dict.fromkeys(range(VOCABULARY.size), -100.0)
    assert text_of(run_one(toy.toy_engine(), request(grammar=grammar, logit_bias=bias))) in {
        "true",
        "ab",
    }


def test_a_grammar_for_another_vocabulary_is_refused() -> None:
    class Foreign:
        vocabulary = Vocabulary([b"a", b""], stop_ids=[1])

    async def client(engine: EmbeddedEngine) -> None:
        with pytest.raises(ValueError, match="another vocabulary"):
            engine.generate(request(grammar=Foreign()))

    toy.serve(toy.toy_engine(), client)


# ------------------------------------------------------------------------- leaving and failing


def test_leaving_a_stream_frees_its_place() -> None:
    async def client(engine: EmbeddedEngine) -> None:
        left = engine.generate(request("left", max_tokens=None))
        await anext(left)
        await left.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(left)
        await collect(engine, request("next", max_tokens=2))

        forgotten = engine.generate(request("forgotten", max_tokens=None))
        await anext(forgotten)
        del forgotten
        await collect(engine, request("after", max_tokens=2))

        task = asyncio.ensure_future(collect(engine, request("cancelled", max_tokens=None)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await collect(engine, request("last", max_tokens=2))
        assert engine.num_active == 0

    toy.serve(toy.toy_engine(max_active=1), client)


def test_abort_ends_every_choice_whether_it_runs_or_waits() -> None:
    async def client(engine: EmbeddedEngine) -> None:
        running = engine.generate(request("running", max_tokens=None, n=3))
        waiting = asyncio.ensure_future(collect(engine, request("waiting", n=2)))
        await anext(running)
        await engine.abort("waiting")
        for deltas in await waiting:
            assert [delta.finish_reason for delta in deltas] == ["abort"]
        await engine.abort("running")
        await engine.abort("unknown")
        ends = [d.index async for d in running if d.finish_reason == "abort"]
        assert sorted(ends) == [0, 1, 2]
        assert engine.num_active == 0
        assert engine.stats.requests_running == 0

    toy.serve(toy.toy_engine(max_active=1), client)


def test_abort_gives_out_the_text_held_back() -> None:
    passes = threading.Semaphore(3)
    model = toy.toy_model()
    model.before_forward = lambda token_ids: bool(passes.acquire())
    grammar = toy.compiler().compile_regex("a+")
    given = request(grammar=grammar, stop=("a" * 50,), max_tokens=None, logit_bias={STOP: -1000.0})

    async def client(engine: EmbeddedEngine) -> None:
        stream = engine.generate(given)
        deltas = [await anext(stream) for _ in range(3)]
        assert text_of(deltas) == ""
        await engine.abort("r")
        passes.release()  # the pass that may be under way
        deltas += [delta async for delta in stream]
        assert text_of(deltas) == "a" * len(ids_of(deltas))
        assert deltas[-1].finish_reason == "abort"

    try:
        toy.serve(toy.toy_engine(model), client)
    finally:
        passes.release(100)


class FailingMatcher(Matcher):
    """Fails at its third token."""

    def accept_token(self, token_id: int) -> bool:
        if self.num_tokens == 2:
            raise ArithmeticError("the grammar broke")
        return super().accept_token(token_id)


class EmptyMatcher(Matcher):
    """Allows nothing."""

    def fill_bitmask(self, bitmask: Any, row: int = 0) -> None:
        bitmask[row] = 0


class RefusingMatcher(Matcher):
    """Allows what it refuses."""

    def accept_token(self, token_id: int) -> bool:
        return False


@pytest.mark.parametrize(
    ("matcher", "message"),
    [
        (FailingMatcher, "the grammar broke"),
        (EmptyMatcher, "mask is empty"),
        (RefusingMatcher, "refuses token"),
    ],
)
@pytest.mark.parametrize("n", [1, 3])
def test_a_failing_request_fails_alone(matcher: type[Matcher], message: str, n: int) -> None:
    grammar = toy.compiler().compile_regex("(ab)+")
    given = request("mine", grammar=grammar, max_tokens=None, logit_bias={STOP: -1000.0}, n=n)

    async def client(engine: EmbeddedEngine) -> list[list[list[Delta]]]:
        others = [asyncio.ensure_future(collect(engine, request(f"{i}"))) for i in range(4)]
        with pytest.raises(EngineError, match=message):
            await collect(engine, given)
        results = await asyncio.gather(*others)
        assert engine.num_active == 0
        await collect(engine, request("afterwards"))
        return results

    results = toy.serve(toy.toy_engine(new_matcher=matcher), client)
    alone = run_one(toy.toy_engine(), request("0"))
    assert all(choices == [alone] for choices in results)


def test_a_failing_forward_pass_fails_alone() -> None:
    def fail_on_z(token_ids: list[int]) -> None:
        if ord("z") in token_ids and len(token_ids) > 1:
            raise MemoryError("too much for this device")

    model = toy.toy_model()
    model.before_forward = fail_on_z

    async def client(engine: EmbeddedEngine) -> None:
        other = asyncio.ensure_future(collect(engine, request("other")))
        with pytest.raises(EngineError, match="too much for this device"):
            await collect(engine, request("mine", prompt=tuple(b"zz")))
        assert len(ids_of((await other)[0])) == 12

    toy.serve(toy.toy_engine(model), client)


def test_shutdown_ends_all_streams() -> None:
    async def client(engine: EmbeddedEngine) -> None:
        running = engine.generate(request("running", max_tokens=None))
        waiting = engine.generate(request("waiting"))
        await anext(running)
        await engine.shutdown()
        with pytest.raises(EngineError, match="shut down"):
            async for _ in running:
                pass
        with pytest.raises(EngineError, match="shut down"):
            await anext(waiting)
        with pytest.raises(EngineError, match="not running"):
            engine.generate(request())
        assert engine.num_active == 0

    toy.serve(toy.toy_engine(max_active=1), client)


def test_an_engine_serves_between_its_one_start_and_its_end() -> None:
    async def session() -> None:
        engine = toy.toy_engine()
        await engine.shutdown()
        with pytest.raises(EngineError, match="not running"):
            engine.generate(request())
        await engine.start()
        with pytest.raises(RuntimeError, match="started before"):
            await engine.start()
        await collect(engine, request())
        await engine.shutdown()
        await engine.shutdown()

    asyncio.run(session())


def test_a_caller_whose_event_loop_is_gone_has_left() -> None:
    engine = toy.toy_engine(max_active=1)

    async def leave() -> object:
        await engine.start()
        stream = engine.generate(request("left", max_tokens=None))
        await anext(stream)
        return stream

    async def come() -> None:
        await collect(engine, request("next"))
        await engine.shutdown()

    stream = asyncio.run(leave())
    asyncio.run(asyncio.wait_for(come(), timeout=60))
    del stream


def test_a_fault_of_the_engine_itself_leaves_nobody_waiting() -> None:
    def observer(report: StepReport) -> None:
        raise LookupError("no such metric")

    async def client(engine: EmbeddedEngine) -> None:
        with pytest.raises(EngineError, match="no such metric"):
            await collect(engine, request(max_tokens=None))
        with pytest.raises(EngineError, match="not running"):
            engine.generate(request())

    toy.serve(toy.toy_engine(observer=observer), client)


def test_a_full_queue_is_said_at_once() -> None:
    entered, gate = threading.Event(), threading.Event()

    def wait_at_the_gate(token_ids: list[int]) -> None:
        entered.set()
        gate.wait()

    model = toy.toy_model()
    model.before_forward = wait_at_the_gate

    async def client(engine: EmbeddedEngine) -> None:
        tasks = [asyncio.ensure_future(collect(engine, request("running")))]
        await asyncio.to_thread(entered.wait)
        tasks += [asyncio.ensure_future(collect(engine, request(f"{i}"))) for i in range(2)]
        await asyncio.sleep(0)
        assert (engine.stats.requests_running, engine.stats.requests_waiting) == (1, 2)
        assert engine.num_active == 3
        with pytest.raises(EngineOverloadedError, match="limit is 2"):
            engine.generate(request("too many"))
        gate.set()
        assert len(await asyncio.gather(*tasks)) == 3

    try:
        toy.serve(toy.toy_engine(model, max_active=1, max_waiting=2), client)
    finally:
        gate.set()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prompt": ()}, "prompt is empty"),
        ({"prompt": (1,) * 50}, "50 tokens; at most 49"),
        ({"prompt": (1, 300)}, "got 1 to 300"),
        ({"prompt": (-1,)}, "got -1"),
        ({"max_tokens": 0}, "max_tokens must be 1 or more, got 0"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"n": 0}, "n must be"),
        ({"logit_bias": {300: 1.0}}, "logit_bias"),
    ],
)
def test_a_request_out_of_range_is_refused_at_once(wrong: dict[str, Any], message: str) -> None:
    async def client(engine: EmbeddedEngine) -> None:
        with pytest.raises(ValueError, match=message):
            engine.generate(request(**wrong))
        first = engine.generate(request("same"))
        with pytest.raises(ValueError, match="in use"):
            engine.generate(request("same"))
        assert [delta async for delta in first]

    toy.serve(toy.toy_engine(max_model_len=50), client)


@pytest.mark.parametrize("limit", ["max_active", "max_waiting", "prefill_chunk", "torch_threads"])
def test_limits_below_one_are_refused(limit: str) -> None:
    with pytest.raises(ValueError, match=f"{limit} must be 1 or more, got 0"):
        toy.toy_engine(**{limit: 0})


def test_the_observer_sees_what_the_totals_add_up() -> None:
    reports: list[StepReport] = []
    engine = toy.toy_engine(observer=reports.append)
    grammar = toy.compiler().compile_choice(["ab END", "true"])
    run_all(engine, request("a", grammar=grammar), request("b", n=2))
    stats = engine.stats
    assert sum(r.num_prompt_tokens for r in reports) == stats.prompt_tokens_total
    assert sum(r.num_generated_tokens for r in reports) == stats.generated_tokens_total
    assert sum(r.num_forced_tokens for r in reports) == stats.forced_tokens_total
    assert sum(sum(r.mask_seconds) for r in reports) == pytest.approx(stats.mask_seconds_total)


# ------------------------------------------------------------------------------------- loading


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy model with a byte-level tokenizer of its own, on disk."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<pad>", "<end>", "<turn>"])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    model = toy.toy_model(max_position_embeddings=64)
    model.generation_config.eos_token_id = [258]
    model.save_pretrained(folder)
    return folder


def test_from_pretrained_loads_a_folder(saved_model: Path) -> None:
    engine = EmbeddedEngine.from_pretrained(saved_model, device="cpu", torch_threads=1)
    assert engine.model_name == "tiny"
    assert engine.max_model_len == 64
    assert engine.vocabulary.size == VOCABULARY.size
    assert engine.vocabulary.stop_ids == (257, 258)
    prompt = tuple(engine.tokenizer.encode("Once"))
    assert b"".join(map(engine.vocabulary.token_bytes, prompt)) == b"Once"
    assert len(ids_of(run_one(engine, request(prompt=prompt)))) == 12


def test_a_model_without_a_context_length_needs_one_given(saved_model: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(
        vocab_size=VOCABULARY.size,
        hidden_size=16,
        num_hidden_layers=2,
        state_size=4,
        eos_token_id=257,
        pad_token_id=256,
        bos_token_id=None,
    )
    folder = saved_model.parent / "recurrent"
    PreTrainedTokenizerFast.from_pretrained(saved_model).save_pretrained(folder)
    MambaForCausalLM(config).save_pretrained(folder)
    with pytest.raises(ValueError, match="give max_model_len"):
        EmbeddedEngine.from_pretrained(folder, device="cpu")
    engine = EmbeddedEngine.from_pretrained(folder, device="cpu", max_model_len=80, prefill_chunk=4)
    [choices] = run_all(engine, request(n=2, temperature=0))
    assert [len(ids_of(deltas)) for deltas in choices] == [12, 12]


def test_from_pretrained_refuses_more_context_than_the_model_has(saved_model: Path) -> None:
    with pytest.raises(ValueError, match="max_model_len 65 exceeds the model's 64"):
        EmbeddedEngine.from_pretrained(saved_model, device="cpu", max_model_len=65)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_said(saved_model: Path) -> None:
    with pytest.raises(ValueError, match="no GPU"):
        EmbeddedEngine.from_pretrained(saved_model, device="cuda")
