"""Draft trees in vLLM: the same outputs as without drafts, whatever the trees; controls that must fail; refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from running import ENVIRONMENT, environment, require_vllm

from syntagma.decoding import vllm_support
from syntagma.decoding.vllm_support import TREE_PROPOSER, VllmUnsupportedError

PROGRAM = Path(__file__).with_name("vllm_tree_cases.py")
PER_WORKLOAD = int(os.environ.get("VLLM_TREE_TASKS", "3"))
NUM_SAMPLES = int(os.environ.get("VLLM_TREE_SAMPLES", "1500"))


@pytest.fixture(scope="module")
def outputs() -> dict[str, Any]:
    """What `vllm_tree_cases.py` has found."""
    require_vllm()
    if torch.cuda.is_available():
        pytest.skip("in float32, for vLLM's CPU build; test_vllm_tree_half.py is for a GPU")
    command = [sys.executable, "-W", "ignore", str(PROGRAM), str(PER_WORKLOAD), str(NUM_SAMPLES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("num_nodes", [16, 32, 64])
def test_greedy_outputs_are_those_without_drafts(outputs: dict[str, Any], num_nodes: int) -> None:
    """In one batch with grammars and without, while requests are preempted; and trees that were of use."""
    found = outputs["found"]
    assert found[f"greedy {num_nodes}"] == outputs["expected"]["greedy"]
    _, accepted, branching = found["steps"][f"greedy {num_nodes}"]
    assert accepted > 0 and branching > 0
    assert found["preemptions"] > 0


def test_attention_in_two_parts(outputs: dict[str, Any]) -> None:
    """As on GPUs, but for the kernel: the same outputs."""
    assert outputs["found"]["two parts"] == outputs["expected"]["greedy"]
    _, accepted, branching = outputs["found"]["steps"]["two parts"]
    assert accepted > 0 and branching > 0


@pytest.mark.parametrize(
    "name", ["seeded", "penalties", "bad words", "minimum", "allowed", "context", "continued"]
)
def test_what_requests_may_ask_for(outputs: dict[str, Any], name: str) -> None:
    """The same text as without drafts, from the same seed too; at the end of the context; on a reused cache."""
    assert outputs["found"][name] == outputs["expected"][name]
    if name == "continued":
        pairs = zip(outputs["found"]["cached"], outputs["found"]["prompts"], strict=True)
        assert any(cached > prompt for cached, prompt in pairs), "no block with an output in it"


def test_log_probabilities(outputs: dict[str, Any]) -> None:
    for found, expected in zip(
        outputs["found"]["logprobs"], outputs["expected"]["logprobs"], strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_abort_leaves_the_others_and_no_blocks(outputs: dict[str, Any]) -> None:
    found = outputs["found"]
    assert found["aborted with a tree"]
    assert found["aborted"] == outputs["expected"]["greedy"][1:8]
    for key in ("free blocks after abort", "free blocks"):
        before, after = found[key]
        assert before == after


@pytest.mark.parametrize("part", ["mask", "positions", "compaction"])
def test_each_part_is_needed(outputs: dict[str, Any], part: str) -> None:
    """Controls: without it outputs differ, and with all of it they do not."""
    mutants = outputs["found"]["mutants"]
    assert mutants["none"] == mutants["none again"] == 0
    assert mutants[part] > 0


def test_the_law_of_samples(outputs: dict[str, Any]) -> None:
    """A chi-square test of two samples, which a sampler that favours drafted tokens does not pass."""
    expected, found = outputs["expected"]["law"], outputs["found"]
    assert found["steps"]["law"][1] > 0
    assert homogeneity(expected, found["law"]) < 4.5
    assert homogeneity(expected, found["law of a mutant"]) > 4.5


@pytest.mark.parametrize("name", ["greedy", "greedy again", "seeded", "penalties", "context"])
def test_recycled_drafts_change_no_output(outputs: dict[str, Any], name: str) -> None:
    """Trees of what workers say that the model held likely; those branch, and stand in part."""
    found = outputs["found"]["recycled"][name]
    assert found["outputs"] == outputs["expected"][name.removesuffix(" again")]
    if name != "greedy":  # at first sight of everything
        assert found["trees"] > 0 and found["accepted"] > 0
    if name == "greedy again":
        assert found["steps"] < outputs["found"]["recycled"]["greedy"]["steps"]


def test_the_law_of_samples_with_recycled_drafts(outputs: dict[str, Any]) -> None:
    """The drafts depend on what was drawn before; the law does not."""
    found = outputs["found"]["recycled"]["law"]
    assert found["trees"] > 0 and found["accepted"] > NUM_SAMPLES / 2
    assert homogeneity(outputs["expected"]["law"], found["outputs"]) < 4.5


def homogeneity(one: list[list[int]], other: list[list[int]]) -> float:
    """The chi-square statistic of two samples of equal size, as deviations of a normal variable (Wilson and Hilferty)."""
    counts = [Counter(map(tuple, sample)) for sample in (one, other)]
    both = counts[0] + counts[1]
    common = [key for key, number in both.items() if number >= 10]
    rows = [[count[key] for key in common] for count in counts]
    for row, sample in zip(rows, (one, other), strict=True):
        row.append(len(sample) - sum(row))
    table = np.array([column for column in zip(*rows, strict=True) if sum(column)], float)
    statistic = float((np.diff(table, axis=1)[:, 0] ** 2 / table.sum(axis=1)).sum())
    spread = 2 / (9 * (len(table) - 1))
    return float(((statistic / (len(table) - 1)) ** (1 / 3) - (1 - spread)) / spread**0.5)


def config_of(**changes: dict[str, Any]) -> Any:
    """A configuration that trees are fine with, with other values in some of its parts."""
    parts: dict[str, dict[str, Any]] = {
        "model_config": {
            "use_mla": False,
            "is_hybrid": False,
            "is_attention_free": False,
            "has_inner_state": False,
            "get_sliding_window": lambda: None,
            "attention_chunk_size": None,
            "rswa_window": None,
            "uses_alibi": False,
            "is_multimodal_model": False,
            "uses_mrope": False,
            "is_encoder_decoder": False,
            "enable_prompt_embeds": False,
        },
        "parallel_config": {
            "pipeline_parallel_size": 1,
            "decode_context_parallel_size": 1,
            "worker_cls": "syntagma.decoding.vllm_tree_worker.TreeWorker",
            "use_ubatching": False,
        },
        "attention_config": {"backend": None, "backend_per_kind": {}},
        "cache_config": {"cache_dtype": "auto", "kv_sharing_fast_prefill": False},
        "scheduler_config": {"async_scheduling": False},
        "speculative_config": {"model": TREE_PROPOSER, "num_speculative_tokens": 64},
    }
    whole = {"kv_transfer_config": None, "lora_config": None, "use_v2_model_runner": False}
    for part, values in parts.items():
        whole[part] = SimpleNamespace(**(values | changes.pop(part, {})))
    return SimpleNamespace(**(whole | changes))


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("model_config", {"use_mla": True}, "latent attention"),
        ("model_config", {"is_hybrid": True}, "state-space layers"),
        ("model_config", {"get_sliding_window": lambda: 4096}, "sliding windows"),
        ("model_config", {"uses_mrope": True}, "multimodal models"),
        ("parallel_config", {"pipeline_parallel_size": 2}, "pipeline parallelism"),
        ("parallel_config", {"worker_cls": "auto"}, "worker_cls='auto'"),
        ("cache_config", {"cache_dtype": "fp8"}, "a quantised cache"),
        ("scheduler_config", {"async_scheduling": True}, "asynchronous scheduling"),
        ("kv_transfer_config", {}, "KV connectors"),
        ("lora_config", {}, "LoRA adapters"),
        ("speculative_config", {"num_speculative_tokens": 129}, "more than 128 drafted tokens"),
    ],
)
def test_what_is_refused_at_start(part: str, values: dict[str, Any], message: str) -> None:
    """Each with its reason; chains are not."""
    require_vllm()
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from syntagma.decoding.vllm_tree import check_trees

        check_trees(config_of())
        refused = config_of(**{part: values})
        with pytest.raises(VllmUnsupportedError, match=rf"{message}.*leave it out"):
            check_trees(refused)
        refused.speculative_config.model = vllm_support.DRAFT_PROPOSER
        check_trees(refused)


def test_hooks_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees alone are; chains go on."""
    require_vllm()
    hook = ("vllm.v1.worker.cpu_model_runner", "CPUModelRunner._sample", ("self", "other"))
    monkeypatch.setattr(vllm_support, "TREE_HOOKS", (hook,))
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from syntagma.decoding.vllm_tree import check_trees

        with pytest.raises(VllmUnsupportedError, match=r"CPUModelRunner\._sample takes"):
            check_trees(config_of())
        vllm_support.check_hooks()
