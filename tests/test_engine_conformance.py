"""The same requests to every engine, with the same guarantees.

What is asked of all: an output is a word of its grammar or was cut, text is whole, logprobs are the model's own,
and at temperature 0 the same tokens come from the same model.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from typing import Any

import jsonschema
import pytest
from running import CONTEXT, Running, collect, ids_of, text_of

from syntagma.decoding import Delta
from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.grammar import GrammarCompiler

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "pets": {"type": "array", "items": {"enum": ["cat", "dog"]}, "maxItems": 3},
    },
    "required": ["name", "age", "pets"],
    "additionalProperties": False,
}
PROMPT = "Sofia Chen is 29 years old."
SPECS = {
    "none": None,
    "json_schema": GrammarSpec("json_schema", PERSON),
    "json_text": GrammarSpec("json_schema", json.dumps(PERSON), {"whitespace": "compact"}),
    "regex": GrammarSpec("regex", "[A-Z][a-z]{1,9} [0-9]{2,4}(\\.|!)"),
    "choice": GrammarSpec("choice", ["yes", "no", "grün", "日本 😀"]),
    "ebnf": GrammarSpec("ebnf", 'root ::= "(" root ")" root | [0-9]{1,2}'),
}
KINDS = [name for name in SPECS if name != "none"]


def is_word(spec: GrammarSpec, text: str) -> bool:
    """What somebody else says about an output."""
    match spec.kind:
        case "json_schema":
            schema = json.loads(spec.source) if isinstance(spec.source, str) else spec.source
            return jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))
        case "regex":
            return re.fullmatch(spec.source, text) is not None
        case "choice":
            return text in spec.source
    return is_balanced(text)


def is_balanced(text: str) -> bool:
    """Whether a text is a word of the EBNF grammar above: brackets, read from the left."""
    num_numbers = 1  # those that must still come
    for symbol in re.findall(r"[0-9]{1,2}|.", text, re.DOTALL):
        if symbol == "(":
            num_numbers += 1
        elif symbol == ")":
            num_numbers += 0
        elif symbol.isdigit():
            num_numbers -= 1
        else:
            return False
    return num_numbers == 0 and text.count("(") == text.count(")")


@pytest.mark.parametrize("kind", SPECS)
def test_greedy_tokens_are_the_same_everywhere(
    running: Running, embedded: Running, kind: str
) -> None:
    spec = SPECS[kind]
    expected = embedded.answer(PROMPT, spec, logprobs=3)
    found = running.answer(PROMPT, spec, logprobs=3)
    assert ids_of(found) == ids_of(expected)
    assert text_of(found) == text_of(expected)
    assert found[-1].finish_reason == expected[-1].finish_reason
    for delta, other in zip(logprobs_of(found), logprobs_of(expected), strict=True):
        assert delta.token_bytes == other.token_bytes
        assert delta.is_forced == other.is_forced
        assert delta.logprob == pytest.approx(other.logprob, abs=2e-3)
        assert [p for *_, p in delta.top] == pytest.approx([p for *_, p in other.top], abs=2e-3)


def logprobs_of(deltas: list[Delta]) -> list[Any]:
    return [entry for delta in deltas for entry in delta.logprobs]


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_outputs_are_words_or_cut(running: Running, kind: str) -> None:
    spec = SPECS[kind]
    assert spec is not None
    requests = [
        running.request("Say something.", spec, temperature=1.0, seed=seed, max_tokens=80)
        for seed in range(6)
    ]
    for (deltas,) in running.answers(*requests):
        assert deltas[-1].finish_reason in ("stop", "length")
        if deltas[-1].finish_reason == "stop":
            assert is_word(spec, text_of(deltas)), text_of(deltas)


def test_logprobs_are_the_models_own_under_a_mask(running: Running) -> None:
    """A forced token does not become certain by being forced."""
    deltas = running.answer(PROMPT, GrammarSpec("choice", ["zebra"]), logprobs=2)
    entries = logprobs_of(deltas)
    assert text_of(deltas) == "zebra"
    assert all(entry.logprob < -0.5 for entry in entries[:1])
    assert all(len(entry.top) == 2 for entry in entries)
    assert all(entry.top[0][2] >= entry.top[1][2] for entry in entries)


def test_no_token_follows_where_nothing_may_follow(running: Running) -> None:
    """The end of a choice is known without a stop token being drawn."""
    deltas = running.answer(PROMPT, GrammarSpec("choice", ["no"]))
    vocabulary = running.engine.vocabulary
    assert b"".join(vocabulary.token_bytes(i) for i in ids_of(deltas)) == b"no"
    assert not set(ids_of(deltas)) & set(vocabulary.stop_ids)
    assert deltas[-1].finish_reason == "stop"


def test_text_is_whole_characters(running: Running) -> None:
    """Tokens of the demo model are bytes outside ASCII; no piece of text may hold half a character."""
    for (deltas,) in running.answers(
        *(running.request("?", SPECS["choice"], temperature=2.0, seed=seed) for seed in range(8))
    ):
        assert all("\ufffd" not in delta.text for delta in deltas)
        assert text_of(deltas) in ("yes", "no", "grün", "日本 😀")


def test_choices_are_those_of_single_requests(running: Running) -> None:
    """Choice i is what the seed plus i gives alone."""
    spec = GrammarSpec("regex", "[a-z]{12}")
    request = running.request(PROMPT, spec, temperature=1.0, seed=40, n=3)
    (choices,) = running.answers(request)
    assert len(choices) == 3
    assert len({text_of(deltas) for deltas in choices}) == 3
    for index, deltas in enumerate(choices):
        alone = running.answer(PROMPT, spec, temperature=1.0, seed=40 + index)
        assert text_of(alone) == text_of(deltas)


def test_greedy_choices_are_equal(running: Running) -> None:
    (choices,) = running.answers(running.request(PROMPT, n=2, max_tokens=8))
    assert ids_of(choices[0]) == ids_of(choices[1])
    assert [len(ids_of(deltas)) for deltas in choices] == [8, 8]


def test_a_seed_reproduces_its_text(running: Running) -> None:
    texts = [text_of(running.answer(PROMPT, temperature=1.0, seed=5)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert texts[0] != text_of(running.answer(PROMPT, temperature=1.0, seed=6))


def test_stop_strings_end_the_output_and_are_left_out(running: Running) -> None:
    whole = text_of(running.answer(PROMPT, ignore_eos=True, temperature=1.0, seed=3))
    stop = whole[20:23]
    deltas = running.answer(PROMPT, ignore_eos=True, temperature=1.0, seed=3, stop=(stop,))
    assert text_of(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].stop_reason == stop


def test_lengths(running: Running) -> None:
    deltas = running.answer(PROMPT, ignore_eos=True, max_tokens=7)
    assert len(ids_of(deltas)) == 7
    assert deltas[-1].finish_reason == "length"
    cut = running.answer(PROMPT, SPECS["json_schema"], max_tokens=3)
    assert cut[-1].finish_reason == "length"


def test_the_context_ends_an_output(running: Running) -> None:
    prompt = PROMPT * 20
    request = running.request(prompt, ignore_eos=True, max_tokens=None)
    ((deltas,),) = running.answers(request)
    assert len(request.prompt_token_ids) + len(ids_of(deltas)) == CONTEXT
    assert deltas[-1].finish_reason == "length"


def test_logit_bias_and_penalties_reach_the_law(running: Running) -> None:
    """A bias decides a greedy draw; a bias on a token that the mask forbids does nothing."""
    encode = running.engine.tokenizer.encode
    (token_id,) = encode("7", add_special_tokens=False)
    deltas = running.answer(PROMPT, logit_bias={token_id: 100.0}, max_tokens=3)
    assert ids_of(deltas) == [token_id] * 3
    deltas = running.answer(PROMPT, GrammarSpec("choice", ["no"]), logit_bias={token_id: 100.0})
    assert text_of(deltas) == "no"


def test_control_tokens_do_not_come_out(running: Running) -> None:
    vocabulary = running.engine.vocabulary
    special = set(vocabulary.special_ids) - set(vocabulary.stop_ids)
    bias = dict.fromkeys(special, 100.0)
    deltas = running.answer(PROMPT, logit_bias=bias, max_tokens=5)
    assert not special & set(ids_of(deltas))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"logit_bias": {10**6: 1.0}}, "logit_bias"),
    ],
)
def test_impossible_parameters_are_refused(
    running: Running, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        running.answer(PROMPT, **change)


def test_impossible_prompts_are_refused(running: Running) -> None:
    for prompt, message in (((), "empty"), ((1,) * CONTEXT, "room"), ((10**6,), "from 0 to")):
        request = running.request("x")
        object.__setattr__(request, "prompt_token_ids", prompt)
        with pytest.raises(ValueError, match=message):
            running.answers(request)


def test_a_grammar_of_another_vocabulary_is_refused(running: Running) -> None:
    from toy import byte_vocabulary

    request = running.request("x")
    other = GrammarCompiler(byte_vocabulary()).compile_choice(["a"])
    object.__setattr__(request, "grammar", other)
    with pytest.raises(ValueError, match="another vocabulary"):
        running.answers(request)


def test_abort_ends_a_stream(running: Running) -> None:
    request = running.request(PROMPT, ignore_eos=True, max_tokens=None, n=2)

    async def work() -> list[Delta]:
        deltas = []
        async for delta in running.engine.generate(request):
            if not deltas:
                await running.engine.abort(request.request_id)
                await running.engine.abort("unknown")
            deltas.append(delta)
        return deltas

    deltas = running.run(work())
    assert [d.finish_reason for d in deltas if d.finish_reason] == ["abort", "abort"]
    assert sum(len(delta.token_ids) for delta in deltas) < 2 * (CONTEXT - 100)


def test_leaving_frees_the_place(running: Running) -> None:
    async def work() -> None:
        for _ in range(3):
            stream: Any = running.engine.generate(
                running.request(PROMPT, ignore_eos=True, max_tokens=None)
            )
            await anext(stream)
            await stream.aclose()
        while running.engine.num_active:
            await asyncio.sleep(0.01)

    running.run(work())
    assert running.answer(PROMPT, max_tokens=2)


def test_an_id_is_used_once_at_a_time(running: Running) -> None:
    request = running.request(PROMPT, max_tokens=20, ignore_eos=True)

    async def work() -> None:
        stream = running.engine.generate(request)
        await anext(stream)
        with pytest.raises(ValueError, match="in use"):
            await collect(running.engine, request)
        async for _ in stream:
            pass

    running.run(work())
    assert running.answers(request)


def test_counts(running: Running) -> None:
    before = running.engine.stats
    spec = GrammarSpec("choice", ["zebra"])
    request = running.request(PROMPT, spec, n=2, temperature=1.0, logprobs=0)
    (choices,) = running.answers(request)
    after = running.engine.stats
    num_generated = sum(len(ids_of(deltas)) for deltas in choices)
    assert after.generated_tokens_total - before.generated_tokens_total == num_generated
    num_prompt = after.prompt_tokens_total - before.prompt_tokens_total
    assert num_prompt == len(request.prompt_token_ids)
    assert after.mask_seconds_total > before.mask_seconds_total
    assert (after.requests_running, after.requests_waiting) == (0, 0)


def test_64_grammars_at_once_do_not_mix(running: Running) -> None:
    """Every output belongs to its own grammar, and no other output of them fits it."""
    cases = []
    for number in range(64):
        word = f"w{number:02}"
        spec, pattern = [
            (GrammarSpec("regex", f"{word}-[a-z]{{3,9}}!"), f"{word}-[a-z]{{3,9}}!"),
            (
                GrammarSpec("json_schema", {"const": [word, number]}, {"whitespace": "compact"}),
                rf'\["{word}",{number}\]',
            ),
            (GrammarSpec("choice", [f"{word} a", f"{word} b"]), f"{word} [ab]"),
            (GrammarSpec("ebnf", f'root ::= "{word}" [0-9]{{1,4}} ";"'), f"{word}[0-9]{{1,4}};"),
        ][number % 4]
        cases.append((running.request("Go.", spec, temperature=1.0, seed=number), pattern))
    random.Random(1).shuffle(cases)
    answers = running.answers(*(request for request, _ in cases))
    for (_, pattern), (deltas,) in zip(cases, answers, strict=True):
        assert deltas[-1].finish_reason == "stop"
        assert re.fullmatch(pattern, text_of(deltas)), text_of(deltas)
