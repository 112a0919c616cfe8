"""What a request to vLLM may ask for beside tokens: reasoning before the answer, an adapter, a priority.

One engine for all three: a copy of the demo model whose tokenizer calls two control tokens ``<think>`` and
``</think>``, with adapters written by hand.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from running import Running, collect, ids_of, new_vllm_engine, require_vllm, text_of
from safetensors.torch import save_file
from test_engine_conformance import KINDS, PROMPT, SPECS, is_word

from syntagma.decoding import Delta, GenerationRequest
from syntagma.decoding.embedded_engine import demo_model_path

RANK = 8
THINK, END_OF_THOUGHT, STOP = 2, 3, 1  # control tokens of the demo model under other names
PROMPTS = [
    f"{name} is {age} years old and" for name in ("Sofia Chen", "Omar") for age in range(20, 25)
]


def write_model(folder: Path) -> Path:
    """The demo model with tokens for reasoning."""
    shutil.copytree(demo_model_path(), folder)
    path = folder / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    for old, new in (("<|system|>", "<think>"), ("<|user|>", "</think>")):
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return folder


def write_adapter(folder: Path, scale: float) -> Path:
    """A LoRA adapter with random weights; ``scale`` 0 changes nothing."""
    config = json.loads((demo_model_path() / "config.json").read_text(encoding="utf-8"))
    size, draw = config["hidden_size"], torch.Generator().manual_seed(3)
    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        for name in ("q_proj", "v_proj"):
            prefix = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{prefix}.lora_A.weight"] = torch.randn(RANK, size, generator=draw)
            tensors[f"{prefix}.lora_B.weight"] = scale * torch.randn(size, RANK, generator=draw)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    about = {
        "peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "bias": "none",
        "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": "demo",
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    require_vllm()
    folder = tmp_path_factory.mktemp("models")
    adapters = {
        "changed": write_adapter(folder / "changed", 0.05),
        "unchanged": write_adapter(folder / "unchanged", 0.0),
    }
    running = Running(
        new_vllm_engine(
            model=str(write_model(folder / "model")),
            adapters=adapters,
            reasoning_parser="deepseek_r1",
            enable_lora=True,
            max_loras=2,
            max_lora_rank=RANK,
            scheduling_policy="priority",
            max_num_seqs=4,
        )
    )
    yield running
    running.close()


def thinking(
    running: Running, prompt: str, kind: str = "none", end_bias: float = 0.0, **sampling: Any
) -> GenerationRequest:
    """A request that may reason; the bias makes a model that never learnt to do so end it."""
    bias = {"logit_bias": {END_OF_THOUGHT: end_bias}} if end_bias else {}
    return replace(running.request(prompt, SPECS[kind], **bias | sampling), may_reason=True)


def reasoning_of(deltas: list[Delta]) -> str:
    return "".join(delta.reasoning for delta in deltas)


@pytest.mark.parametrize("kind", SPECS)
def test_the_grammar_begins_behind_the_reasoning(asked: Running, kind: str) -> None:
    requests = [
        thinking(asked, prompt, kind, 7.0, temperature=1.0, seed=seed, max_tokens=100)
        for seed, prompt in enumerate(PROMPTS)
    ]
    spec, reasonings = SPECS[kind], 0
    for (deltas,) in asked.answers(*requests):
        reasonings += bool(reasoning_of(deltas))
        has_answer = END_OF_THOUGHT in ids_of(deltas)
        assert has_answer or not text_of(deltas)
        assert not any(delta.text for delta in deltas if not has_answer)
        assert "think>" not in reasoning_of(deltas) + text_of(deltas)
        if spec is not None and deltas[-1].finish_reason == "stop":
            assert has_answer
            assert is_word(spec, text_of(deltas)), text_of(deltas)
    assert reasonings


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_that_of_a_prompt_with_the_reasoning_in_it(asked: Running, kind: str) -> None:
    """At temperature 0; the oracle is a request that may not reason."""
    num_compared = 0
    for prompt in PROMPTS[:4]:
        (deltas,) = asked.answers(thinking(asked, prompt, kind, 9.0))[0]
        ids = ids_of(deltas)
        if END_OF_THOUGHT not in ids:
            continue
        cut = ids.index(END_OF_THOUGHT) + 1
        plain = asked.request(prompt, SPECS[kind], max_tokens=60 - cut)
        whole = replace(plain, prompt_token_ids=(*plain.prompt_token_ids, *ids[:cut]))
        ((expected,),) = asked.answers(whole)
        assert ids[cut:] == ids_of(expected)
        assert text_of(deltas) == text_of(expected)
        # A prompt in which the reasoning has ended leaves nothing to reason about.
        ((again,),) = asked.answers(replace(whole, may_reason=True, request_id=f"again {prompt}"))
        assert ids_of(again) == ids_of(expected)
        num_compared += 1
    assert num_compared


def test_who_may_not_reason_is_constrained_at_once(asked: Running, embedded: Running) -> None:
    for kind in KINDS:
        found = asked.answer(PROMPT, SPECS[kind])
        assert ids_of(found) == ids_of(embedded.answer(PROMPT, SPECS[kind]))
        assert not reasoning_of(found)


def test_an_output_that_stops_within_its_reasoning_was_cut(asked: Running) -> None:
    request = thinking(asked, PROMPT, "json_schema", logit_bias={STOP: 90.0})
    ((deltas,),) = asked.answers(request)
    assert deltas[-1].finish_reason == "length"
    assert not text_of(deltas)
    free = thinking(asked, PROMPT, logit_bias={STOP: 90.0})
    assert asked.answers(free)[0][0][-1].finish_reason == "stop"


def test_adapters(asked: Running) -> None:
    assert asked.engine.adapters == ("changed", "unchanged")
    for kind, spec in SPECS.items():
        plain = asked.request(PROMPT, spec)
        changed = replace(plain, adapter="changed", request_id=f"changed {kind}")
        unchanged = replace(plain, adapter="unchanged", request_id=f"unchanged {kind}")
        ((one,), (other,), (same,)) = asked.answers(plain, changed, unchanged)
        assert ids_of(one) == ids_of(same)
        if kind in ("none", "json_schema"):
            assert ids_of(one) != ids_of(other)
        if spec is not None and other[-1].finish_reason == "stop":
            assert is_word(spec, text_of(other))


def test_smaller_priorities_go_first(asked: Running) -> None:
    """Four places: of what waits for one, the request that came last is served first."""
    ended: list[str] = []

    async def follow(request: GenerationRequest) -> None:
        await collect(asked.engine, request)
        ended.append(request.request_id)

    def request(name: str, priority: int) -> GenerationRequest:
        found = asked.request(PROMPT, max_tokens=60, ignore_eos=True)
        return replace(found, request_id=name, priority=priority)

    async def work() -> None:
        names = [f"first {n}" for n in range(4)] + [f"later {n}" for n in range(4)]
        tasks = [asyncio.create_task(follow(request(name, 1))) for name in names]
        while asked.engine.stats.requests_running < 4:
            await asyncio.sleep(0.005)
        await asyncio.gather(*tasks, follow(request("urgent", 0)))

    asked.run(work())
    assert ended.index("urgent") < min(ended.index(f"later {n}") for n in range(4))


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"adapter": "nobody"}, "no adapter 'nobody'"), ({"priority": 3}, "has no priorities")],
)
def test_what_an_engine_does_not_have_is_refused(
    embedded: Running, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        embedded.answers(replace(embedded.request(PROMPT), **fields))
