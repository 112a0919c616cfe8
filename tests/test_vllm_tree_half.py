"""Draft trees in half precision: outputs are those without drafts, but for tokens that are as good as equal.

On vLLM's CPU build, and on a GPU where there is one, which is the only test that runs there.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from running import require_vllm

PROGRAM = Path(__file__).with_name("vllm_tree_ties.py")
PER_WORKLOAD = int(os.environ.get("VLLM_TREE_TASKS", "3"))
# Two steps of what eight bits can tell of logits from 16 to 32.
TIE = 0.25


@functools.cache
def outputs(dtype: str, is_eager: bool) -> dict[str, Any]:
    """What `vllm_tree_ties.py` has found."""
    command = [sys.executable, "-W", "ignore", str(PROGRAM), dtype, str(PER_WORKLOAD)]
    command.append(str(is_eager))
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def differences(found: dict[str, Any], others: list[list[int]]) -> list[float]:
    """Of outputs that are not those without drafts: by how much the first token that differs was the better one."""
    first = []
    for output, margins, other in zip(found["outputs"], found["margins"], others, strict=True):
        if output != other:
            pairs = enumerate(zip(output, other, strict=False))
            place = next((i for i, (a, b) in pairs if a != b), min(len(output), len(other)))
            # An output that goes on where the other ends: nothing excuses that.
            first.append(margins[place] if place < len(margins) else float("inf"))
    return first


def check(found: dict[str, Any]) -> None:
    assert found["accepted"] > 0 and found["branching"] > 0
    for others in found["trees"]:
        assert all(margin < TIE for margin in differences(found, others))
    # The control.
    mutant = [margin for others in found["mutant"] for margin in differences(found, others)]
    assert max(mutant, default=0.0) > TIE


def test_bfloat16_on_a_cpu() -> None:
    require_vllm()
    if torch.cuda.is_available():
        pytest.skip("vLLM is built for a GPU here")
    check(outputs("bfloat16", True))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("is_eager", [True, False])
def test_on_a_gpu(dtype: str, is_eager: bool) -> None:
    """Token by token, with CUDA graphs of the parts between attention and without."""
    require_vllm()
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    check(outputs(dtype, is_eager))
