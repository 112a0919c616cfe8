"""Draft trees in an engine of its own process: killed in mid-tree and started again; reasoning; models that are refused."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import shutil
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from branching_log import LOG_VARIABLE, BranchingLog
from running import (
    CONTEXT,
    Running,
    collect,
    environment,
    ids_of,
    new_vllm_engine,
    require_vllm,
    text_of,
)
from safetensors.torch import load_file, save_file
from test_engine_conformance import KINDS, PROMPT, SPECS, is_word
from test_vllm_requests import END_OF_THOUGHT, PROMPTS, thinking, write_model

from syntagma.decoding import EngineError
from syntagma.decoding.embedded_engine import EmbeddedEngine, demo_model_path
from syntagma.decoding.vllm_support import DRAFT_PROPOSER, TREE_PROPOSER, VllmUnsupportedError

TREES = {"model": TREE_PROPOSER, "num_speculative_tokens": 16}
FULL_STOP = 18  # a token of the demo model
CHAINS = {"model": DRAFT_PROPOSER, "num_speculative_tokens": 8}
QUOTED = PROMPT + ' {"name": "Sofia Chen", "age": 29, "pets": []} yes no Abc 12. ' * 3


@contextmanager
def branching(folder: Path, name: str, **options: Any) -> Iterator[tuple[Running, BranchingLog]]:
    """An engine whose trees branch, and what its scheduler writes down; artefacts are in the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # vLLM's own
        from syntagma.decoding import vllm_scheduler
    log = folder / f"{name}.log"
    with pytest.MonkeyPatch.context() as patch, environment(**{LOG_VARIABLE: str(log)}):
        patch.setattr(vllm_scheduler, "QUALIFIED_NAME", "branching_scheduler.BranchingScheduler")
        engine = new_vllm_engine(folder / "artefacts", speculative_config=TREES, **options)
    running = Running(engine)
    try:
        yield running, BranchingLog(log)
    finally:
        running.close()


def ask_all_twice(running: Running, log: BranchingLog, expected: dict[str, list[int]]) -> None:
    """Right outputs, the second time behind blocks from the cache; and all blocks are given back."""
    before = log.num_trees()
    for _ in range(2):
        requests = [running.request(QUOTED, SPECS[kind]) for kind in expected]
        for kind, (deltas,) in zip(expected, running.answers(*requests), strict=True):
            assert ids_of(deltas) == expected[kind], kind
    assert log.num_trees() > before
    assert log.lost_blocks() == 0


async def stop_in_mid_tree(process: Any, log: BranchingLog) -> None:
    """Hold a process while trees have been sent and nothing has come back."""
    state = Path(f"/proc/{process.pid}/stat")
    for _ in range(10_000):
        os.kill(process.pid, signal.SIGSTOP)
        while state.read_text().rpartition(")")[2].split()[0] != "T":
            await asyncio.sleep(0.0005)
        if log.is_in_mid_tree():
            return
        os.kill(process.pid, signal.SIGCONT)
        await asyncio.sleep(0.0005)
    raise AssertionError("no trees")


def test_an_engine_that_was_killed_can_be_started_again(embedded: Running, tmp_path: Path) -> None:
    """Its process dies in mid-tree; the next one, on the same directory, says the same and loses no block."""
    require_vllm()
    expected = {kind: ids_of(embedded.answer(QUOTED, SPECS[kind])) for kind in SPECS}
    spec = SPECS["json_schema"]

    def without_source(running: Running) -> list[int]:
        """The engine's process has the grammar from the directory alone."""
        request = replace(running.request(QUOTED, spec), grammar_spec=None)
        return ids_of(running.answers(request)[0][0])

    # Engines that other tests share go on beside this one.
    others = {process.pid for process in multiprocessing.active_children()}
    with branching(tmp_path, "first") as (running, log):
        ask_all_twice(running, log, expected)
        assert without_source(running) == expected["json_schema"]
        (process,) = (p for p in multiprocessing.active_children() if p.pid not in others)

        async def kill_in_mid_tree() -> bool:
            request = running.request(QUOTED, max_tokens=300, ignore_eos=True)
            deltas = running.engine.generate(request)
            await anext(deltas)
            await stop_in_mid_tree(process, log)
            process.kill()
            try:
                async for _ in deltas:  # those that were on their way
                    pass
            except EngineError:  # not kept, for its traceback holds vLLM's sockets
                return True
            return False

        assert running.run(kill_in_mid_tree())
        process.join(20)
        assert log.is_in_mid_tree()
        assert not running.engine.is_running
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the sockets of an engine that has died
        gc.collect()
    kept = sorted((tmp_path / "artefacts").glob("grammar-*"))
    assert kept
    with branching(tmp_path, "second") as (running, log):
        assert without_source(running) == expected["json_schema"]
        ask_all_twice(running, log, expected)
        assert sorted((tmp_path / "artefacts").glob("grammar-*")) == kept

        async def leave_in_mid_tree() -> None:
            request = running.request(QUOTED, max_tokens=300, ignore_eos=True)
            beside = running.request(QUOTED, spec)
            async for delta in running.engine.generate(request):
                if len(delta.token_ids) > 1:
                    break
            await running.engine.abort(request.request_id)
            (found,) = await collect(running.engine, beside)
            assert ids_of(found) == expected["json_schema"]

        running.run(leave_in_mid_tree())
        assert log.lost_blocks() == 0


def write_thoughtful_model(folder: Path) -> Path:
    """The demo model with tokens for reasoning, which ends its reasoning where it would end a sentence."""
    path = write_model(folder) / "model.safetensors"
    tensors = load_file(path)
    rows = tensors["model.embed_tokens.weight"]
    rows[END_OF_THOUGHT] = 1.01 * rows[FULL_STOP]
    save_file(tensors, path, metadata={"format": "pt"})
    return folder


def test_drafts_of_outputs_that_reason(tmp_path: Path) -> None:
    """Chains until the reasoning ends, which may be within one, and trees behind it.

    The oracle are two requests to the embedded engine: free until the end of a sentence, and constrained behind it.
    """
    require_vllm()
    model = write_thoughtful_model(tmp_path / "model")
    embedded = Running(
        EmbeddedEngine.from_pretrained(
            str(model), max_model_len=CONTEXT, max_active=16, model_name="demo"
        )
    )
    pairs = [(prompt, kind) for prompt in PROMPTS[:5] for kind in KINDS]
    expected = []
    try:
        for prompt, kind in pairs:
            ids = ids_of(embedded.answer(prompt))
            if FULL_STOP in ids:
                thought = (*ids[: ids.index(FULL_STOP)], END_OF_THOUGHT)
                plain = embedded.request(prompt, SPECS[kind], max_tokens=60 - len(thought))
                whole = replace(plain, prompt_token_ids=(*plain.prompt_token_ids, *thought))
                ids = [*thought, *ids_of(embedded.answers(whole)[0][0])]
            expected.append(ids)
    finally:
        embedded.close()
    lengths = [ids.index(END_OF_THOUGHT) for ids in expected if END_OF_THOUGHT in ids]
    assert 0 in lengths and max(lengths) >= 4
    options = {"model": str(model), "reasoning_parser": "deepseek_r1"}
    with branching(tmp_path, "thoughtful", **options) as (running, log):
        for _ in range(2):
            requests = [thinking(running, prompt, kind) for prompt, kind in pairs]
            found = [ids_of(deltas) for (deltas,) in running.answers(*requests)]
            assert found == expected
        assert log.num_trees() > 0
        assert log.lost_blocks() == 0


SMALL = {
    "vocab_size": 4096,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 1024,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
WINDOWS = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "sliding_window": 64,
    "head_dim": 32,
}
REFUSED: dict[str, dict[str, Any]] = {
    "sliding windows": WINDOWS,
    "state-space layers": {
        "architectures": ["MambaForCausalLM"],
        "model_type": "mamba",
        "state_size": 16,
        "conv_kernel": 4,
        "expand": 2,
    },
    "latent attention": {
        "architectures": ["DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v2",
        "kv_lora_rank": 32,
        "q_lora_rank": None,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 16,
        "v_head_dim": 16,
    },
}


def model_of(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """A model of random weights with the demo model's tokens, as arguments of vLLM."""
    for path in demo_model_path().iterdir():
        if "token" in path.name:
            shutil.copy(path, folder)
    (folder / "config.json").write_text(json.dumps(SMALL | config))
    return {"model": str(folder), "load_format": "dummy"}


@pytest.mark.parametrize("reason", REFUSED)
def test_models_that_are_refused_at_start(tmp_path: Path, reason: str) -> None:
    """Through the engine's own start, by the configuration of a model of that kind."""
    require_vllm()
    with pytest.raises(VllmUnsupportedError, match=rf"{reason}.*leave it out"):
        new_vllm_engine(speculative_config=TREES, **model_of(tmp_path, REFUSED[reason]))


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("pipeline parallelism", {"pipeline_parallel_size": 2}),
        ("LoRA adapters", {"enable_lora": True}),
        ("worker_cls", {"worker_cls": "syntagma.decoding.vllm_worker.GrammarWorker"}),
    ],
)
def test_settings_that_are_refused_at_start(reason: str, options: dict[str, Any]) -> None:
    require_vllm()
    with pytest.raises(VllmUnsupportedError, match=rf"{reason}.*leave it out"):
        new_vllm_engine(
            **{"speculative_config": TREES, "distributed_executor_backend": "mp"} | options
        )


def test_what_trees_are_refused_for_is_served_with_chains(tmp_path: Path) -> None:
    """As the message says: the same model without the flag."""
    require_vllm()
    model = model_of(tmp_path, WINDOWS)
    running = Running(new_vllm_engine(speculative_config=CHAINS, **model))
    try:
        spec = SPECS["json_schema"]
        assert spec is not None
        deltas = running.answer(QUOTED, spec, max_tokens=300)
        assert deltas[-1].finish_reason == "length" or is_word(spec, text_of(deltas))
        usage = deltas[-1].speculation
        assert usage is not None and usage.accepted > 0
    finally:
        running.close()
