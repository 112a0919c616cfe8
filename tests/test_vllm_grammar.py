"""Our backend under vLLM's own manager of structured outputs, without an engine.

Rows are compared with those of a matcher that is advanced by hand, for drafts of every shape the scheduler can
hand over: none, legal ones, illegal ones, padded ones, ones that run to the end of the output.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from running import ARGUMENTS, ENVIRONMENT, environment, require_vllm

from syntagma.decoding import Matcher
from syntagma.decoding.artefact_directory import ArtefactDirectory
from syntagma.decoding.embedded_engine import demo_model_path
from syntagma.decoding.grammar_spec import GrammarSpec, GrammarTicket
from syntagma.grammar import CompiledGrammar, GrammarError

NUM_DRAFTS = 4
SPECS = [
    GrammarSpec("json_schema", {"type": "object", "properties": {"a": {"type": "integer"}}}),
    GrammarSpec("regex", "[a-z]{2,5}(, [a-z]{2,5})*"),
    GrammarSpec("choice", ["yes", "no"]),
    GrammarSpec("ebnf", 'root ::= "(" root ")" | [0-9]+'),
]


class FakeRequest:
    """What the manager reads of a request."""

    def __init__(self, request_id: str, text: str, prompt: list[int] | None = None) -> None:
        from vllm.sampling_params import StructuredOutputsParams
        from vllm.v1.structured_output.request import StructuredOutputRequest

        params = StructuredOutputsParams(grammar=text)
        self.request_id = request_id
        self.use_structured_output = True
        self.structured_output_request = StructuredOutputRequest(params=params)
        self.sampling_params = SimpleNamespace(structured_outputs=params, all_stop_token_ids=set())
        self.prompt_token_ids = prompt or [5]
        self.all_token_ids = list(self.prompt_token_ids)

    @property
    def grammar(self) -> Any:
        return self.structured_output_request.grammar


class House:
    """A manager with our backend, and a directory of artefacts beside it."""

    def __init__(self, directory: str) -> None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.structured_output import StructuredOutputManager

        from syntagma.decoding.vllm_grammar import SyntagmaBackend

        arguments = AsyncEngineArgs(
            model=str(demo_model_path()),
            speculative_config={
                "method": "ngram",
                "num_speculative_tokens": NUM_DRAFTS,
                "prompt_lookup_max": 2,
            },
            additional_config={"syntagma": {"directory": directory}},
            **ARGUMENTS,
        )
        config = arguments.create_engine_config()
        self.manager = StructuredOutputManager(config)
        self.backend = SyntagmaBackend(
            config, self.manager.tokenizer, config.model_config.get_vocab_size()
        )
        self.manager.backend = self.backend
        self.compiler = self.backend._compiler
        self.artefacts = ArtefactDirectory(directory)
        self.count = 0

    def request(self, spec: GrammarSpec) -> tuple[FakeRequest, CompiledGrammar]:
        grammar = spec.compile(self.compiler)
        ticket = GrammarTicket(grammar.hash, grammar.vocabulary.hash, spec)
        return self.open(ticket.to_text()), grammar

    def open(self, text: str) -> FakeRequest:
        self.count += 1
        request = FakeRequest(f"r{self.count}", text)
        self.manager.grammar_init(request)
        future = request.structured_output_request._grammar
        if hasattr(future, "exception"):
            future.exception(timeout=60)
        return request

    def rows(self, requests: list[FakeRequest], drafts: dict[str, list[int]] | None = None) -> Any:
        rows = self.manager.grammar_bitmask(
            {request.request_id: request for request in requests},
            [request.request_id for request in requests],
            drafts or {},
        )
        return rows.copy()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    require_vllm()
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield House(str(tmp_path_factory.mktemp("artefacts")))


def row_of(matcher: Matcher) -> Any:
    bitmask = np.zeros((1, matcher.grammar.vocabulary.num_words), np.int32)
    matcher.fill_bitmask(bitmask)
    return bitmask[0]


def legal_tokens(matcher: Matcher) -> list[int]:
    bits = np.unpackbits(row_of(matcher).view(np.uint8), bitorder="little")
    return list(np.flatnonzero(bits))


def walk(matcher: Matcher, num_tokens: int, rng: random.Random) -> list[int]:
    """A random legal way, cut at the end of the output."""
    probe, path = matcher.fork(), []
    while len(path) < num_tokens and not probe.is_terminated():
        path.append(int(rng.choice(legal_tokens(probe))))
        assert probe.accept_token(path[-1])
    return path


def expected_rows(matcher: Matcher, draft: list[int]) -> list[Any]:
    """One row for each position of a draft and one behind it; all is allowed behind an end."""
    probe, rows = matcher.fork(), []
    for token_id in [*draft, None]:
        rows.append(np.full_like(row_of(probe), -1) if probe.is_terminated() else row_of(probe))
        if token_id is not None:
            assert probe.accept_token(token_id)
    return rows


def test_rows_of_drafts_are_those_of_matchers(house: House) -> None:
    """All requests of a step together, each somewhere in its output with a draft of its own."""
    rng = random.Random(0)
    requests, matchers = [], {}
    for spec in SPECS * 4:
        request, grammar = house.request(spec)
        matcher = Matcher(grammar)
        path = walk(matcher, rng.randrange(6), rng)
        if path and path[-1] in grammar.vocabulary.stop_ids:
            path.pop()
        assert house.manager.accept_tokens(request, path)
        assert matcher.accept_tokens(path)
        requests.append(request)
        matchers[request.request_id] = matcher
    for _ in range(5):
        drafts = {
            request.request_id: walk(
                matchers[request.request_id], rng.randrange(NUM_DRAFTS + 1), rng
            )
            for request in requests
        }
        expected = [
            row
            for request in requests
            for row in expected_rows(matchers[request.request_id], drafts[request.request_id])
        ]
        assert np.array_equal(house.rows(requests, drafts), expected)
    assert all(
        request.grammar.matcher.num_tokens == matchers[request.request_id].num_tokens
        for request in requests
    )


def test_padding_leaves_rows_open(house: House) -> None:
    request, grammar = house.request(SPECS[1])
    matcher = Matcher(grammar)
    draft = walk(matcher, 2, random.Random(1))
    rows = house.rows([request], {request.request_id: [*draft, -1, -1]})
    assert np.array_equal(rows[:3], expected_rows(matcher, draft))
    assert (rows[3:] == -1).all()


def test_drafts_are_cut_where_they_become_illegal(house: House) -> None:
    rng = random.Random(2)
    for spec in SPECS * 5:
        request, grammar = house.request(spec)
        matcher = Matcher(grammar)
        path = walk(matcher, 3, rng)
        draft = path + [rng.randrange(grammar.vocabulary.size) for _ in range(2)]
        found = house.manager.validate_tokens(request, draft)
        count = 0
        for token_id in draft:
            if not matcher.accept_token(token_id):
                break
            count += 1
            if matcher.is_terminated():
                break
        assert found == draft[:count]
        assert request.grammar.matcher.num_tokens == 0


def test_illegal_tokens_end_the_request(house: House) -> None:
    request, grammar = house.request(SPECS[2])
    illegal = next(
        i for i in range(grammar.vocabulary.size) if i not in legal_tokens(Matcher(grammar))
    )
    assert not house.manager.accept_tokens(request, [illegal])


def test_tokens_behind_the_end_do_no_harm(house: House) -> None:
    request, grammar = house.request(SPECS[2])
    path = walk(Matcher(grammar), 10, random.Random(3))
    assert path[-1] in grammar.vocabulary.stop_ids
    assert house.manager.accept_tokens(request, [*path, 7, 8])
    assert request.grammar.is_terminated()
    assert house.manager.accept_tokens(request, [9])
    assert house.manager.validate_tokens(request, [9]) == []
    request.grammar.reset()
    assert not request.grammar.is_terminated()
    assert house.manager.accept_tokens(request, path)


def test_the_rows_of_a_step_are_those_of_vllms_own_way(house: House) -> None:
    """Some requests are constrained, some are not, some still read their prompts, some have ended or are gone."""
    from vllm.v1.core.sched.scheduler import Scheduler

    from syntagma.decoding.vllm_scheduler import GrammarScheduler

    rng = random.Random(4)
    requests: dict[str, Any] = {}
    for spec in SPECS * 4:
        request, grammar = house.request(spec)
        house.manager.accept_tokens(request, walk(Matcher(grammar), rng.randrange(12), rng))
        request.is_prefill_chunk = rng.random() < 0.2
        request.use_structured_output = rng.random() < 0.8
        requests[request.request_id] = request
    scheduler: Any = GrammarScheduler.__new__(GrammarScheduler)
    scheduler.requests, scheduler._backend = requests, house.backend
    scheduler.structured_output_manager = house.manager
    for num_scheduled in range(0, len(requests) + 1, 2):
        ids = [*rng.sample(sorted(requests), num_scheduled), "gone"]
        step: Any = SimpleNamespace(
            num_scheduled_tokens=dict.fromkeys(ids, 1),
            scheduled_spec_decode_tokens={},
            has_structured_output_requests=num_scheduled > 2,
        )
        ours = scheduler.get_grammar_bitmask(step)
        rows = None if ours is None else ours.grammar_bitmask.copy()
        expected = Scheduler.get_grammar_bitmask(scheduler, step)
        if expected is None:
            assert ours is None
            continue
        assert np.array_equal(rows, expected.grammar_bitmask)
        assert ours.structured_output_request_ids == expected.structured_output_request_ids
        assert ours.num_acceptable_drafts == expected.num_acceptable_drafts


def test_masks_reach_the_logits_as_by_vllms_own_routine(house: House) -> None:
    """Any order, requests without a mask, masks of requests that are not in the batch, drafts."""
    import torch
    from vllm.v1.structured_output.utils import apply_grammar_bitmask

    from syntagma.decoding.logits_kernels import forbid_tokens
    from syntagma.decoding.vllm_worker import mask_targets

    rng = random.Random(5)
    for _ in range(30):
        ids = [f"r{i}" for i in range(rng.randrange(1, 7))]
        drafts = {i: [0] * rng.randrange(3) for i in ids if rng.random() < 0.5}
        batch, masked = rng.sample(ids, rng.randrange(1, len(ids) + 1)), rng.sample(ids, len(ids))
        num_rows, num_masks = (sum(1 + len(drafts.get(i, [])) for i in x) for x in (batch, masked))
        bitmask = np.random.default_rng(rng.randrange(100)).integers(
            -(2**31), 2**31, (num_masks, 3), np.int32
        )
        logits = torch.arange(num_rows * 90, dtype=torch.float32).reshape(num_rows, 90)
        expected = logits.clone()
        apply_grammar_bitmask(
            SimpleNamespace(scheduled_spec_decode_tokens=drafts),  # type: ignore[arg-type]
            SimpleNamespace(structured_output_request_ids=masked, grammar_bitmask=bitmask),  # type: ignore[arg-type]
            SimpleNamespace(req_ids=batch),  # type: ignore[arg-type]
            expected,
        )
        forbid_tokens(logits.numpy(), mask_targets(batch, masked, drafts), bitmask)
        assert torch.equal(logits, expected)


class BrokenMatcher(Matcher):
    """Fails in the method that is named, once it has accepted a token."""

    def __init__(self, grammar: CompiledGrammar, broken: str) -> None:
        super().__init__(grammar)
        self.broken = broken

    def fill_bitmask(self, bitmask: Any, row: int = 0) -> None:
        self._fail("fill_bitmask")
        super().fill_bitmask(bitmask, row)

    def accept_token(self, token_id: int) -> bool:
        self._fail("accept_token")
        return super().accept_token(token_id)

    def validate_tokens(self, token_ids: Any) -> int:
        self._fail("validate_tokens")
        return super().validate_tokens(token_ids)

    def _fail(self, name: str) -> None:
        if name == self.broken and self.num_tokens:
            raise RuntimeError(f"{name} is broken")


@pytest.mark.parametrize("broken", ["fill_bitmask", "accept_token", "validate_tokens"])
def test_a_broken_matcher_fails_its_own_request_only(house: House, broken: str) -> None:
    """No exception reaches the engine; the request is refused its next token, the others have their rows."""
    request, grammar = house.request(SPECS[1])
    sound = [house.request(spec) for spec in SPECS]
    request.grammar.matcher = BrokenMatcher(grammar, broken)
    path = walk(Matcher(grammar), 2, random.Random(4))
    assert house.manager.accept_tokens(request, path[:1])
    everyone = [sound[0][0], request, *(other for other, _ in sound[1:])]
    rows = house.rows(everyone)
    assert np.array_equal(house.backend.step_rows([each.grammar for each in everyone]), rows)
    if broken == "validate_tokens":
        assert house.manager.validate_tokens(request, path[1:]) == []
    assert not house.manager.accept_tokens(request, path[1:])
    others = [rows[0], *rows[2:]]
    assert np.array_equal(others, [row_of(Matcher(grammar)) for _, grammar in sound])


def test_finished_grammars_come_from_the_directory(house: House) -> None:
    """Without a source; and from the source where there is no artefact."""
    spec = GrammarSpec("regex", "shared [0-9]{1,3}")
    grammar = spec.compile(house.compiler)
    alone = GrammarTicket(grammar.hash, grammar.vocabulary.hash)
    request = house.open(alone.to_text())
    assert isinstance(request.grammar, ValueError)
    assert "not in the shared directory" in str(request.grammar)
    assert house.artefacts.publish(grammar)
    request = house.open(alone.to_text())
    assert np.array_equal(house.rows([request])[0], row_of(Matcher(grammar)))
    fresh, other = house.request(GrammarSpec("regex", "not shared [0-9]{1,3}"))
    assert not house.artefacts.path_of(other.hash).exists()
    assert np.array_equal(house.rows([fresh])[0], row_of(Matcher(other)))


def test_nobody_looks_for_what_was_not_shared(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = GrammarSpec("regex", "nowhere [0-9]{1,3}")
    grammar = spec.compile(house.compiler)
    looked_for: list[str] = []
    monkeypatch.setattr(
        house.backend._artefacts, "load", lambda _, grammar_hash: looked_for.append(grammar_hash)
    )
    for number, is_shared in ((8, False), (9, True)):
        ticket = GrammarTicket(f"{number}" * 32, grammar.vocabulary.hash, spec, is_shared)
        request = house.open(ticket.to_text())
        assert np.array_equal(house.rows([request])[0], row_of(Matcher(grammar)))
    assert looked_for == ["9" * 32]


def test_damaged_artefacts_are_compiled_again(house: House) -> None:
    spec = GrammarSpec("regex", "damaged [0-9]{1,3}")
    grammar = spec.compile(house.compiler)
    house.artefacts.publish(grammar)
    path = house.artefacts.path_of(grammar.hash)
    data = bytearray(path.read_bytes())
    data[-9] ^= 255
    path.write_bytes(bytes(data))
    request, _ = house.request(spec)
    assert np.array_equal(house.rows([request])[0], row_of(Matcher(grammar)))


def test_other_vocabularies_are_told(house: House) -> None:
    request = house.open(GrammarTicket("0" * 32, "1" * 32, SPECS[0]).to_text())
    assert isinstance(request.grammar, ValueError)
    assert "same model and tokenizer" in str(request.grammar)


def test_equal_grammars_are_compiled_once(house: House) -> None:
    first, _ = house.request(SPECS[0])
    second, _ = house.request(SPECS[0])
    assert first.grammar.matcher.grammar is second.grammar.matcher.grammar
    assert first.grammar.matcher is not second.grammar.matcher


def test_bad_grammars_fail_their_request(house: House) -> None:
    request = house.open("root ::= undefined")
    assert isinstance(request.grammar, GrammarError)


TAG = json.dumps(
    {
        "type": "structural_tag",
        "format": {
            "type": "tag",
            "begin": "<",
            "content": {"type": "json_schema", "json_schema": {"const": 7}},
            "end": ">",
        },
    }
)


def test_plain_texts_of_vllms_front_end(house: House) -> None:
    from vllm.v1.structured_output.backend_types import StructuredOutputOptions as Options

    for option, text, word in [
        (Options.JSON, '{"const": 7}', b"7"),
        (Options.REGEX, "b{3}", b"bbb"),
        (Options.CHOICE, '["c"]', b"c"),
        (Options.GRAMMAR, 'root ::= "d"', b"d"),
        (Options.JSON_OBJECT, "", b"{}"),
        (Options.STRUCTURAL_TAG, TAG, b"<7>"),
    ]:
        grammar = house.backend.compile_grammar(option, text)
        assert grammar.matcher.grammar.witness == word
    with pytest.raises(GrammarError, match="missing"):
        house.backend.compile_grammar(Options.STRUCTURAL_TAG, "{}")


class Reasoner:
    """Thinks until the token 9."""

    def is_reasoning_end(self, token_ids: Any) -> bool:
        return 9 in token_ids

    def is_reasoning_end_streaming(self, token_ids: Any, delta: Any) -> bool:
        return 9 in token_ids


def test_thoughts_are_free(house: House) -> None:
    """Before the end of reasoning rows are open and the grammar does not move; behind it, it does."""
    request, grammar = house.request(SPECS[2])
    request.structured_output_request.reasoner = Reasoner()
    house.manager.reasoner_cls = Reasoner
    try:
        assert (house.rows([request]) == -1).all()
        assert house.manager.accept_tokens(request, [3, 4])
        request.all_token_ids += [3, 4]
        path = walk(Matcher(grammar), 1, random.Random(5))
        rows = house.rows([request], {request.request_id: [6, 9, *path]})
        assert (rows[:2] == -1).all()
        assert np.array_equal(rows[2:], expected_rows(Matcher(grammar), path))
        assert house.manager.validate_tokens(request, [6, 9, *path]) == [6, 9, *path]
        request.all_token_ids += [9, *path]
        assert house.manager.accept_tokens(request, [9, *path])
        assert request.grammar.matcher.num_tokens == 1
    finally:
        house.manager.reasoner_cls = None
