"""A program: greedy outputs of vLLM in half precision, without drafts and with random trees, as JSON.

    python vllm_tree_ties.py DTYPE PER_WORKLOAD IS_EAGER > RESULTS

With few bits a pass over several tokens may decide another way between two tokens that are as good as equal, so with each
token of the outputs without drafts goes by how much it was better than the next best (`test_vllm_tree_half.py` judges).
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import vllm_trees
from vllm_tree_cases import MAX_NODES, cases_of
from vllm_trees import Case, answers, draft_randomly, engine, results, scheduler_of

SEEDS = range(3)


def margins(result: Any) -> list[float]:
    """Of each token, under the grammar's mask."""
    found = []
    for token, step in zip(result.outputs[0].token_ids, result.outputs[0].logprobs, strict=True):
        others = [entry.logprob for other, entry in step.items() if other != token]
        found.append(min(step[token].logprob - max(others, default=-math.inf), 1e9))
    return found


def without_drafts(cases: list[Case], options: dict[str, Any]) -> dict[str, Any]:
    """In one batch, and again one after the other, which rounds otherwise, too."""
    with engine(**options) as llm:
        found = results(llm, cases, logprobs=2)
        alone = [answers(llm, [case])[0] for case in cases]
    return {
        "outputs": [list(result.outputs[0].token_ids) for result in found],
        "margins": [margins(result) for result in found],
        "alone": alone,
    }


def with_trees(
    cases: list[Case], truths: list[list[int]], options: dict[str, Any]
) -> dict[str, Any]:
    """Of several sets of trees; and where nodes see all nodes before them."""
    import torch

    from syntagma.decoding import vllm_tree_worker

    def all_before(tree: Any) -> Any:
        return torch.ones((tree.num_nodes, 1 + tree.num_nodes), dtype=torch.bool).tril(1)

    found: dict[str, Any] = {"accepted": 0, "branching": 0}
    with engine(MAX_NODES, **options) as llm:
        for name in ("trees", "mutant"):
            visible = vllm_tree_worker.visible_nodes
            if name == "mutant":
                vllm_tree_worker.visible_nodes = all_before
            found[name] = []
            for seed in SEEDS:
                drafts = draft_randomly(llm, cases, truths, MAX_NODES, seed)
                scheduler_of(llm).reset_prefix_cache()
                found[name].append(answers(llm, cases))
                if name == "trees":
                    found["accepted"] += drafts.accepted
                    found["branching"] += drafts.branching
            vllm_tree_worker.visible_nodes = visible
    return found


def main(dtype: str, per_workload: int, is_eager: bool) -> None:
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        vllm_trees.register_kernels_once()
    options = {
        "dtype": dtype,
        "enforce_eager": is_eager,
        "logprobs_mode": "processed_logprobs",
    }
    cases = cases_of(per_workload)
    expected = without_drafts(cases, options)
    print(json.dumps(expected | with_trees(cases, expected["outputs"], options)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True")
