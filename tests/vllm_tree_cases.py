"""A program: outputs of vLLM without drafts and with random trees, as JSON (`test_vllm_tree.py` judges them).

    python vllm_tree_cases.py PER_WORKLOAD SAMPLES > RESULTS

Two engines, one after the other: without drafts, and with trees of up to 64 nodes and a cache so small that requests are
preempted.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
os.environ |= {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}

import vllm_trees
from speculation_workloads import WORKLOADS, prompt_of, tasks
from vllm_trees import (
    Case,
    answers,
    draft_itself,
    draft_randomly,
    engine,
    num_free_blocks,
    results,
)

MAX_NODES = 64
NUM_BLOCKS = 24
CONTEXT = 512
NUM_TREE_SETS = 4
LAW = {"temperature": 2.0, "top_k": 2, "max_tokens": 4, "ignore_eos": True}


def cases_of(per_workload: int) -> list[Case]:
    """Prompts of the four workloads, those with a schema and those without in turn."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(vllm_trees.MODEL)
    columns = [
        [
            Case(
                prompt_of(tokenizer, task),
                None if task.schema is None else json.dumps(task.schema),
            )
            for task in tasks(workload, per_workload)
        ]
        for workload in WORKLOADS
    ]
    return [case for row in zip(*columns, strict=True) for case in row]


def with_options(cases: Sequence[Case], options: Sequence[dict[str, Any]]) -> list[Case]:
    """The cases, each with one of the options in turn."""
    return [
        Case(case.prompt, case.schema, tuple(options[i % len(options)].items()))
        for i, case in enumerate(cases)
    ]


def scenarios(cases: list[Case]) -> dict[str, list[Case]]:
    """Cases that run together; the same without drafts and with."""
    few = cases[:8]
    free = [case for case in cases if case.schema is None][:4]
    return {
        "greedy": cases,
        "seeded": with_options(
            few, [{"temperature": 0.9, "seed": seed, "top_p": 0.95} for seed in range(8)]
        ),
        "penalties": with_options(
            few,
            [
                {"repetition_penalty": 1.3},
                {"frequency_penalty": 0.7, "presence_penalty": 0.3},
                {"temperature": 0.8, "seed": 5, "presence_penalty": 0.5, "top_k": 20},
            ],
        ),
        "minimum": with_options(free, [{"min_tokens": 20}]),
        "allowed": with_options(free, [{"allowed_token_ids": list(range(100, 1500))}]),
        # The outputs end where the model's context does.
        "context": [
            Case(tuple((list(case.prompt) * 30)[: CONTEXT - 12 - i]), None, (("ignore_eos", True),))
            for i, case in enumerate(free)
        ],
    }


def bad_words(cases: Sequence[Case], truths: Sequence[list[int]]) -> list[Case]:
    """Words of two tokens from the middle of what would be said."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(vllm_trees.MODEL)
    return [
        Case(case.prompt, None, (("bad_words", (word,)),))
        for case, truth in zip(cases, truths, strict=True)
        if case.schema is None and (word := tokenizer.decode(truth[2:4]).strip())
    ]


def logprobs_of(found: Sequence[Any]) -> list[list[float]]:
    """Of the tokens said."""
    return [
        [
            step[token].logprob
            for token, step in zip(
                result.outputs[0].token_ids, result.outputs[0].logprobs, strict=True
            )
        ]
        for result in found
    ]


def continued(cases: Sequence[Case], truths: Sequence[list[int]]) -> list[Case]:
    """Prompts that hold an earlier output, whose part of the cache is used again."""
    pairs = zip(cases, truths, strict=True)
    return [Case((*case.prompt, *truth)) for case, truth in pairs if case.schema is None][:4]


def without_drafts(cases: list[Case], num_samples: int) -> dict[str, Any]:
    with engine(max_model_len=CONTEXT) as llm:
        found: dict[str, Any] = {
            name: answers(llm, part) for name, part in scenarios(cases).items()
        }
        found["bad words"] = answers(llm, bad_words(cases, found["greedy"]))
        found["continued"] = answers(llm, continued(cases, found["greedy"]))
        found["logprobs"] = logprobs_of(results(llm, cases[:8], logprobs=2))
        sampled = [Case(unusual(cases))] * num_samples
        found["law"] = answers(llm, sampled, **LAW)
    return found


def with_trees(cases: list[Case], expected: dict[str, Any], num_samples: int) -> dict[str, Any]:
    with engine(MAX_NODES, max_model_len=CONTEXT, num_gpu_blocks_override=NUM_BLOCKS) as llm:
        free_before = num_free_blocks(llm)
        found: dict[str, Any] = {"steps": {}}
        for name, part in scenarios(cases).items():
            for num_nodes in (16, 32, MAX_NODES) if name == "greedy" else (MAX_NODES,):
                drafts = draft_randomly(llm, part, expected[name], num_nodes, num_nodes)
                key = f"greedy {num_nodes}" if name == "greedy" else name
                found[key] = answers(llm, part)
                found["steps"][key] = [drafts.steps, drafts.accepted, drafts.branching]
                found["preemptions"] = found.get("preemptions", 0) + drafts.preemptions
        part = bad_words(cases, expected["greedy"])
        draft_randomly(llm, part, expected["bad words"], MAX_NODES)
        found["bad words"] = answers(llm, part)
        few = cases[:8]
        draft_randomly(llm, few, expected["greedy"], MAX_NODES)
        found["logprobs"] = logprobs_of(results(llm, few, logprobs=2))
        found |= reused(llm, cases, expected)
        found |= aborted(llm, few, expected)
        found["law"], found["steps"]["law"] = law(llm, cases, expected, num_samples)
        found["recycled"] = recycled(llm, cases, num_samples)
        found["free blocks"] = [free_before, num_free_blocks(llm)]
        found["two parts"], found["steps"]["two parts"] = in_two_parts(llm, cases, expected)
        found["mutants"] = mutants(llm, cases[:24], expected)
        found["law of a mutant"] = favoured(llm, cases, expected, num_samples)
    return found


def reused(llm: Any, cases: list[Case], expected: dict[str, Any]) -> dict[str, Any]:
    """Outputs behind a part of the cache that trees have written."""
    free = [case for case in cases if case.schema is None][:4]
    truths = [t for case, t in zip(cases, expected["greedy"], strict=True) if case.schema is None]
    draft_randomly(llm, free, truths[:4], MAX_NODES, 3)
    answers(llm, free)
    longer = continued(cases, expected["greedy"])
    draft_randomly(llm, longer, expected["continued"], MAX_NODES, 4)
    found = results(llm, longer)
    return {
        "continued": [list(result.outputs[0].token_ids) for result in found],
        "cached": [result.num_cached_tokens for result in found],
        "prompts": [len(case.prompt) for case in free],
    }


def aborted(llm: Any, cases: list[Case], expected: dict[str, Any]) -> dict[str, Any]:
    """All but the first, which is aborted while its tree is out."""
    from vllm_trees import sampling_params, scheduler_of

    draft_randomly(llm, cases, expected["greedy"], MAX_NODES, 5)
    before = num_free_blocks(llm)
    core = llm.llm_engine
    for i, case in enumerate(cases):
        core.add_request(str(i), {"prompt_token_ids": list(case.prompt)}, sampling_params(case))
    outputs: dict[str, list[int]] = {}
    waiting = False
    running = scheduler_of(llm).requests
    for _ in range(1000):
        for result in core.step():
            outputs[result.request_id] = list(result.outputs[0].token_ids)
        first = [running[name].spec_token_ids for name in running if name.startswith("0")]
        if not waiting and any(first):
            waiting = True
            core.abort_request(["0"])
        if not core.has_unfinished_requests():
            break
    return {
        "aborted": [outputs[str(i)] for i in range(1, len(cases))],
        "aborted with a tree": waiting,
        "free blocks after abort": [before, num_free_blocks(llm)],
    }


def unusual(cases: list[Case]) -> tuple[int, ...]:
    """A prompt behind which the model is not sure of anything."""
    return cases[3].prompt[::-1]


def law(
    llm: Any, cases: list[Case], expected: dict[str, Any], num_samples: int
) -> tuple[list[list[int]], list[int]]:
    """Many outputs of one prompt, drafted from what it is likely to say, and what became of the drafts."""
    likely = [token for output in expected["law"][:8] for token in output]
    sampled = [Case(unusual(cases))] * num_samples
    drafts = draft_randomly(llm, sampled[:1], [likely], 16)
    found = answers(llm, sampled, **LAW)
    return found, [drafts.steps, drafts.accepted, drafts.branching]


def recycled(llm: Any, cases: list[Case], num_samples: int) -> dict[str, Any]:
    """Drafts of the scheduler itself, from what the model held likely alone; greedily a second time when it is known."""
    from syntagma.decoding.vllm_sampling import SPECULATION_KEY

    def asking(some: Sequence[Case]) -> list[Case]:
        sources = ("extra_args", {SPECULATION_KEY: {"sources": ["recycling"]}})
        return [Case(case.prompt, case.schema, (*case.options, sources)) for case in some]

    found: dict[str, Any] = {}
    parts = scenarios(cases)
    sampled = [Case(unusual(cases))] * num_samples
    for name, part, options in (
        ("greedy", cases, {}),
        ("greedy again", cases, {}),
        ("seeded", parts["seeded"], {}),
        ("penalties", parts["penalties"], {}),
        ("context", parts["context"], {}),
        ("law", sampled, LAW),
    ):
        drafts = draft_itself(llm)
        found[name] = {"outputs": answers(llm, asking(part), **options), **drafts.counts()}
    return found


def in_two_parts(
    llm: Any, cases: list[Case], expected: dict[str, Any]
) -> tuple[list[list[int]], list[int]]:
    """Outputs where the nodes' attention is that for GPUs, with a twin of FlashAttention that reads this cache."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackendImpl

    from syntagma.decoding import vllm_tree_attention, vllm_tree_gpu

    impl = vllm_tree_attention.TreeAttentionImpl
    forward = impl.forward

    def forward_in_two_parts(
        self: Any,
        layer: Any,
        query: Any,
        key: Any,
        value: Any,
        cache: Any,
        metadata: Any,
        output: Any,
        **rest: Any,
    ) -> Any:
        whole = CPUAttentionBackendImpl.forward
        output = whole(self, layer, query, key, value, cache, metadata, output, **rest)
        step = getattr(metadata, "step", None)
        if step is not None:
            self._attend_context = lambda asked, _cache, _metadata: to_context(
                self, layer, asked, cache, metadata
            )
            vllm_tree_gpu.TreeAttentionImpl.attend_nodes(
                self, layer, query, key, value, cache, metadata, output
            )
            step.keep(self, layer, cache, key, value, metadata.slot_mapping)
        return output

    impl.forward = forward_in_two_parts
    drafts = draft_randomly(llm, cases, expected["greedy"], MAX_NODES, 7)
    found = answers(llm, cases)
    impl.forward = forward
    return found, [drafts.steps, drafts.accepted, drafts.branching]


def to_context(impl: Any, layer: Any, asked: Any, cache: Any, metadata: Any) -> tuple[Any, Any]:
    """Attention of nodes to what is in the cache before them, from blocks as the CPU build has them."""
    import torch
    from flash_attention_twin import flash_attn_varlen_func

    step = metadata.step
    lengths = metadata.seq_lens[step.requests] - step.packed.numbers
    blocks = [
        impl._read(layer, cache, metadata.block_table[tree.request], int(length))
        for tree, length in zip(step.trees, lengths, strict=True)
    ]
    # One block for each request.
    longest = int(lengths.max())
    shape = (len(blocks), longest, impl.num_kv_heads, impl.head_size)
    keys, values = torch.zeros(shape), torch.zeros(shape)
    for i, (some_keys, some_values) in enumerate(blocks):
        keys[i, : some_keys.shape[1]] = some_keys.transpose(0, 1)
        values[i, : some_values.shape[1]] = some_values.transpose(0, 1)
    return flash_attn_varlen_func(
        q=asked,
        k=keys,
        v=values,
        cu_seqlens_q=step.packed.starts,
        max_seqlen_q=step.packed.width,
        seqused_k=lengths.int(),
        max_seqlen_k=longest,
        softmax_scale=impl.scale,
        causal=False,
        block_table=torch.arange(len(blocks), dtype=torch.int32)[:, None],
        softcap=impl.logits_soft_cap or 0.0,
        return_softmax_lse=True,
        fa_version=2,
    )


def favoured(
    llm: Any, cases: list[Case], expected: dict[str, Any], num_samples: int
) -> list[list[int]]:
    """Outputs where drafted tokens are drawn more often than they should be."""
    from syntagma.decoding import vllm_tree_worker

    sample_along = vllm_tree_worker.sample_along

    def mutant(sampler: Any, logits: Any, trees: Any, *rest: Any) -> Any:
        first = 0
        for tree in trees:
            for node, parent in enumerate(tree.parents.tolist()):
                logits[first + 1 + parent, tree.token_ids[node]] += 6.0
            first += 1 + tree.num_nodes
        return sample_along(sampler, logits, trees, *rest)

    vllm_tree_worker.sample_along = mutant
    found, _ = law(llm, cases, expected, num_samples)
    vllm_tree_worker.sample_along = sample_along
    return found


def mutants(llm: Any, cases: list[Case], expected: dict[str, Any]) -> dict[str, int]:
    """How many outputs differ where one part of the scheme is left out."""
    import torch

    from syntagma.decoding import vllm_tree_worker

    core = llm.llm_engine.engine_core.engine_core
    runner = core.model_executor.driver_worker.worker.model_runner

    def num_different() -> int:
        """Over several sets of trees: not every tree has the output on a branch that needs all parts."""
        number = 0
        for seed in range(6, 6 + NUM_TREE_SETS):
            draft_randomly(llm, cases, expected["greedy"], MAX_NODES, seed)
            core.scheduler.reset_prefix_cache()
            pairs = zip(answers(llm, cases), expected["greedy"], strict=False)
            number += sum(a != b for a, b in pairs)
        return number

    def all_before(tree: Any) -> Any:
        return torch.ones((tree.num_nodes, 1 + tree.num_nodes), dtype=torch.bool).tril(1)

    found = {"none": num_different()}
    visible, vllm_tree_worker.visible_nodes = vllm_tree_worker.visible_nodes, all_before
    found["mask"] = num_different()
    vllm_tree_worker.visible_nodes = visible
    for name, hook in (("positions", "_set_positions"), ("compaction", "_compact")):
        setattr(runner, hook, lambda *_: None)
        found[name] = num_different()
        delattr(runner, hook)
    found["none again"] = num_different()
    return found


def main(per_workload: int, num_samples: int) -> None:
    random.seed(0)
    vllm_trees.register_kernels_once()
    cases = cases_of(per_workload)
    expected = without_drafts(cases, num_samples)
    found = with_trees(cases, expected, num_samples)
    print(json.dumps({"expected": expected, "found": found}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
