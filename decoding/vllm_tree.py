"""Draft trees in vLLM, which verifies chains: what travels with a step, and where trees are refused.

A tree's nodes travel as vLLM's drafted tokens do, parents first; which node follows which is written on the side of
what the scheduler sends (`attach_parents`). Cut to any length they are still a tree. From there:

- `vllm_tree_scheduler`: one mask a node.
- `vllm_tree_attention` (CPU), `vllm_tree_gpu` (CUDA): a node sees the output and its ancestors.
- `vllm_tree_worker`: positions by depth; the walk; the cache's entries of the path moved to where a chain's lie.
- `vllm_tree_sampling`: draws along the walk, with vLLM's own sampler.

What the scheduler gets back is a list of tokens as after a chain, and nothing else in vLLM needs to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from syntagma.decoding.draft_tree import ROOT, DraftTree
from syntagma.decoding.vllm_drafting import NullProposer, has_trees
from syntagma.decoding.vllm_support import VllmUnsupportedError, check_tree_hooks

WORKER = "syntagma.decoding.vllm_tree_worker.TreeWorker"
MAX_NODES = 128
"""What vLLM's own sampler takes; nothing here is tried beyond it."""

_ATTRIBUTE = "syntagma_parents"


class TreeProposer(NullProposer):
    """What ``speculative_config`` names where our drafts are to be trees."""


def attach_parents(scheduler_output: Any, trees: Mapping[str, DraftTree]) -> None:
    """Let the parents of the nodes travel with a step; its tokens do anyway."""
    parents = {request_id: tree.parents.tolist() for request_id, tree in trees.items()}
    setattr(scheduler_output, _ATTRIBUTE, parents)


def drafts_of(scheduler_output: Any, request_ids: Sequence[str]) -> list[DraftTree]:
    """The draft of each request of a step: a tree, a chain, or an empty one."""
    parents = getattr(scheduler_output, _ATTRIBUTE, {})
    tokens = scheduler_output.scheduled_spec_decode_tokens
    return [
        _bare_tree(tokens.get(request_id, []), parents.get(request_id))
        for request_id in request_ids
    ]


def _bare_tree(token_ids: Sequence[int], parents: Sequence[int] | None) -> DraftTree:
    number = len(token_ids)
    return DraftTree(
        token_ids=np.array(token_ids, np.int32),
        parents=np.arange(ROOT, number - 1, dtype=np.int32)
        if parents is None
        else np.array(parents, np.int32),
        probabilities=np.zeros(number),
        sources=np.zeros(number, np.int8),
    )


def check_trees(vllm_config: Any) -> None:
    """Refuse what trees would not be right for; nothing to say to a configuration without trees.

    Raises:
        VllmUnsupportedError: naming all that is in the way, or the hooks of vLLM that are others than those that
            were written for.
    """
    from vllm.platforms import current_platform

    if not has_trees(vllm_config):
        return
    check_tree_hooks(current_platform.is_cpu())
    reasons = list(_reasons(vllm_config))
    if reasons:
        raise VllmUnsupportedError(
            "draft trees (--speculation-tree) are not supported with " + ", ".join(reasons) + "; "
            "leave it out to verify chains"
        )


def _reasons(vllm_config: Any) -> Iterator[str]:
    from vllm.platforms import current_platform

    model, parallel = vllm_config.model_config, vllm_config.parallel_config
    if current_platform.is_cuda():
        yield from _reasons_of_gpus(vllm_config)
    elif not current_platform.is_cpu():
        yield f"{current_platform.device_name} devices (the attention is written for CPUs and CUDA)"
    for is_so, what in (
        (model.use_mla, "latent attention (MLA)"),
        (model.is_hybrid or model.is_attention_free or model.has_inner_state, "state-space layers"),
        (model.get_sliding_window() is not None, "sliding windows"),
        (model.attention_chunk_size is not None, "attention in chunks"),
        (model.rswa_window is not None, "sliding windows"),
        (model.uses_alibi, "ALiBi"),
        (model.is_multimodal_model or model.uses_mrope, "multimodal models"),
        (model.is_encoder_decoder, "encoder-decoder models"),
        (model.enable_prompt_embeds, "prompt embeddings"),
        (parallel.pipeline_parallel_size > 1, "pipeline parallelism"),
        (parallel.decode_context_parallel_size > 1, "context parallelism"),
        (parallel.worker_cls != WORKER, f"worker_cls={parallel.worker_cls!r} (theirs is {WORKER})"),
        (vllm_config.kv_transfer_config is not None, "KV connectors"),
        (vllm_config.lora_config is not None, "LoRA adapters"),
        (vllm_config.cache_config.cache_dtype != "auto", "a quantised cache (kv_cache_dtype)"),
        (vllm_config.cache_config.kv_sharing_fast_prefill, "kv_sharing_fast_prefill"),
        (vllm_config.scheduler_config.async_scheduling, "asynchronous scheduling"),
        (vllm_config.use_v2_model_runner, "vLLM's second model runner"),
    ):
        if is_so:
            yield what
    if vllm_config.speculative_config.num_speculative_tokens > MAX_NODES:
        yield f"more than {MAX_NODES} drafted tokens (max_draft_tokens)"


def _reasons_of_gpus(vllm_config: Any) -> Iterator[str]:
    from vllm.v1.attention.backends.registry import AttentionBackendEnum

    attention = vllm_config.attention_config
    for backend in (attention.backend, *attention.backend_per_kind.values()):
        if backend not in (None, AttentionBackendEnum.FLASH_ATTN):
            yield f"the attention backend {backend.name} (theirs is FLASH_ATTN)"
    if vllm_config.parallel_config.use_ubatching:
        yield "batches in two halves (enable_dbo, ubatch_size)"
