"""Attention under which the nodes of a draft tree see their ancestors; for CUDA devices with FlashAttention.

Experimental, and never run on a GPU: written after vLLM's sources, and tested on a CPU with a stand-in for the one kernel
that it calls. Of the ways that vLLM's kernels leave open it is attention in two parts (`tree_attention`):

- to the context by FlashAttention, as vLLM calls it, but without a mask, since nodes see all of it;
- among the nodes, in PyTorch, under the ancestors' mask, from the keys and values of the step itself;
- both merged by their log-sums.

FlexAttention, with a mask of its own, would compile anew for new shapes and evaluate the mask over thousands of tokens for the
sake of the last few; Triton's kernel takes one mask (``qq_bias``) for the whole batch, where each request has its tree.

What it costs beside chains: nodes go through FlashAttention twice, since vLLM's call for the batch, whose answers for
nodes are thrown away, is left as it is; some twenty small kernels a layer; and no CUDA graphs of whole steps, in
which nothing of this would be called.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from vllm.platforms import current_platform
from vllm.utils.torch_utils import canonicalize_singleton_dim_strides
from vllm.v1.attention.backend import AttentionCGSupport
from vllm.v1.attention.backends.flash_attn import (
    FlashAttentionBackend,
    FlashAttentionImpl,
    FlashAttentionMetadata,
    FlashAttentionMetadataBuilder,
)
from vllm.v1.attention.backends.registry import AttentionBackendEnum

from syntagma.decoding.tree_attention import attend_among, merge_parts
from syntagma.decoding.vllm_support import VllmUnsupportedError
from syntagma.decoding.vllm_tree_step import AttendsNodes, TreeStep, check_layer

# Elsewhere there is no such kernel; tests put a twin in its place.
flash_attn_varlen_func: Any = None
if current_platform.is_cuda():
    flash_attn_varlen_func = importlib.import_module(
        "vllm.v1.attention.backends.fa_utils"
    ).flash_attn_varlen_func

OVERRIDDEN = AttentionBackendEnum.FLASH_ATTN
QUALIFIED_NAME = f"{__name__}.TreeAttentionBackend"
WARNING = (
    "draft trees (--speculation-tree) on a GPU are experimental: this code has never been run on one; "
    "without it chains are verified"
)
_VERSIONS = (2, 3)


class TreeAttentionBackend(FlashAttentionBackend):
    """vLLM's, with our classes."""

    @staticmethod
    def get_impl_cls() -> type[TreeAttentionImpl]:
        return TreeAttentionImpl

    @staticmethod
    def get_builder_cls() -> type[TreeAttentionMetadataBuilder]:
        return TreeAttentionMetadataBuilder


@dataclass
class TreeAttentionMetadata(FlashAttentionMetadata):
    """vLLM's, and the trees of the step.

    Attributes:
        step: None: there are none.
        context_lens: int32[num_trees], how many tokens in the cache are no nodes.
        context_blocks: int32[num_trees, max_num_blocks], rows of the block table.
    """

    step: TreeStep | None = None
    context_lens: torch.Tensor | None = None
    context_blocks: torch.Tensor | None = None

    def take(self, step: TreeStep) -> None:
        """Let the layers know the trees; what is the same for all of them is worked out here."""
        if self.step is step:
            return
        self.step = step
        self.context_lens = self.seq_lens[step.requests] - step.packed.numbers
        self.context_blocks = self.block_table[step.requests]


class TreeAttentionMetadataBuilder(FlashAttentionMetadataBuilder):
    """vLLM's; the model runner puts the trees in."""

    # A graph of a whole step replays kernels, and calls no `forward`; vLLM then takes graphs of the parts between.
    _cudagraph_support: ClassVar[AttentionCGSupport] = AttentionCGSupport.NEVER

    def build(self, *args: Any, **kwargs: Any) -> TreeAttentionMetadata:
        return TreeAttentionMetadata(**vars(super().build(*args, **kwargs)))


class TreeAttentionImpl(AttendsNodes, FlashAttentionImpl):
    """vLLM's, and the nodes of trees once more."""

    def check(self, name: str) -> None:
        """Refuse layers whose attention is more than what is done here for the nodes.

        Raises:
            VllmUnsupportedError: naming the layer.
        """
        check_layer(name, self, no_window=(-1, -1))
        if self.vllm_flash_attn_version not in _VERSIONS:
            raise VllmUnsupportedError(
                f"layer {name} runs with FlashAttention {self.vllm_flash_attn_version}, and draft trees "
                f"(--speculation-tree) are written for {_VERSIONS}; leave it out to verify chains"
            )

    def attend_nodes(
        self,
        layer: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        kv_cache: torch.Tensor,
        metadata: TreeAttentionMetadata,
        output: torch.Tensor,
    ) -> None:
        """Overwrite the output of the nodes of all trees."""
        step: Any = metadata.step
        asked = query[step.nodes]
        answers, sums = self._attend_context(asked, kv_cache, metadata)
        among, among_sums = attend_among(
            asked, key[step.nodes], value[step.nodes], step.packed, self.scale, self.logits_soft_cap
        )
        output[step.nodes] = merge_parts(answers, sums, among, among_sums).to(output.dtype)

    def _attend_context(
        self, asked: torch.Tensor, kv_cache: torch.Tensor, metadata: TreeAttentionMetadata
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention to what is in the cache before the nodes: [num_nodes, num_heads, head_size], and the log-sums."""
        step: Any = metadata.step
        # [num_blocks, num_kv_heads, block_size, 2 * head_size] to [num_blocks, block_size, num_kv_heads, head_size]
        both = kv_cache.transpose(1, 2)
        keys = canonicalize_singleton_dim_strides(both[..., : self.head_size])
        values = canonicalize_singleton_dim_strides(both[..., self.head_size :])
        answers, sums = flash_attn_varlen_func(
            q=asked,
            k=keys,
            v=values,
            cu_seqlens_q=step.packed.starts,
            max_seqlen_q=step.packed.width,
            seqused_k=metadata.context_lens,
            max_seqlen_k=metadata.max_seq_len,
            softmax_scale=self.scale,
            causal=False,
            block_table=metadata.context_blocks,
            softcap=self.logits_soft_cap,
            return_softmax_lse=True,
            fa_version=self.vllm_flash_attn_version,
        )
        return answers, sums
