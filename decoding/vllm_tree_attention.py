"""Attention under which the nodes of a draft tree see their ancestors; for vLLM's CPU build.

vLLM's kernel is causal: a node would see all nodes before it. So it does the batch as it does without trees, and for
the nodes of trees, which are few, attention is done again in PyTorch, in float32, with the ancestors' mask. What a
block of the cache looks like inside is the kernel's business and differs between processors; it is found out by writing
numbers with vLLM's writer and looking where they lie (`block_order`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from vllm import _custom_ops as ops
from vllm.v1.attention.backends.cpu_attn import (
    CPUAttentionBackend,
    CPUAttentionBackendImpl,
    CPUAttentionMetadata,
    CPUAttentionMetadataBuilder,
)
from vllm.v1.attention.backends.registry import AttentionBackendEnum

from syntagma.decoding.vllm_support import VllmUnsupportedError
from syntagma.decoding.vllm_tree_step import AttendsNodes, TreeInBatch, TreeStep, check_layer

OVERRIDDEN = AttentionBackendEnum.CPU_ATTN
QUALIFIED_NAME = f"{__name__}.TreeAttentionBackend"
WARNING = "draft trees (--speculation-tree) are experimental; without it chains are verified"
# Numbers below this are exact in bfloat16.
_BASE = 128


class TreeAttentionBackend(CPUAttentionBackend):
    """vLLM's, with our classes."""

    @staticmethod
    def get_impl_cls() -> type[TreeAttentionImpl]:
        return TreeAttentionImpl

    @staticmethod
    def get_builder_cls() -> type[TreeAttentionMetadataBuilder]:
        return TreeAttentionMetadataBuilder


@dataclass
class TreeAttentionMetadata(CPUAttentionMetadata):
    """vLLM's, and the trees of the step; None: there are none."""

    step: TreeStep | None = None

    def take(self, step: TreeStep) -> None:
        """Let the layers know the trees."""
        self.step = step


class TreeAttentionMetadataBuilder(CPUAttentionMetadataBuilder):
    """vLLM's; the model runner puts the trees in."""

    def build(self, *args: Any, **kwargs: Any) -> TreeAttentionMetadata:
        return TreeAttentionMetadata(**vars(super().build(*args, **kwargs)))


class TreeAttentionImpl(AttendsNodes, CPUAttentionBackendImpl):
    """vLLM's, and the nodes of trees once more."""

    def check(self, name: str) -> None:
        """Refuse layers whose attention is more than what is done here for the nodes.

        Raises:
            VllmUnsupportedError: naming the layer.
        """
        check_layer(name, self, no_window=-1)

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
        for tree in step.trees:
            self._attend(layer, query, kv_cache, metadata, output, tree)

    def _attend(
        self,
        layer: Any,
        query: torch.Tensor,
        kv_cache: torch.Tensor,
        metadata: TreeAttentionMetadata,
        output: torch.Tensor,
        tree: TreeInBatch,
    ) -> None:
        """Overwrite the output of a tree's nodes."""
        length = int(metadata.seq_lens[tree.request])
        keys, values = self._read(layer, kv_cache, metadata.block_table[tree.request], length)
        nodes = slice(tree.rows.start + 1, tree.rows.stop)
        asked = query[nodes].float()
        num_nodes, num_heads, head_size = asked.shape
        asked = asked.view(num_nodes, self.num_kv_heads, -1, head_size)
        scores = torch.einsum("nhgd,hld->hgnl", asked, keys) * self.scale
        if self.logits_soft_cap:
            scores = self.logits_soft_cap * torch.tanh(scores / self.logits_soft_cap)
        scores[..., length - len(tree.rows) :].masked_fill_(~tree.visible, float("-inf"))
        answers = torch.einsum("hgnl,hld->nhgd", scores.softmax(dim=-1), values)
        output[nodes].copy_(answers.reshape(num_nodes, num_heads, head_size))

    def _read(
        self, layer: Any, kv_cache: torch.Tensor, block_ids: torch.Tensor, length: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """float32[num_kv_heads, length, head_size] twice: the keys and values of a request."""
        _, num_heads, block_size, _ = kv_cache.shape
        blocks = block_ids[: -(-length // block_size)].long()
        head_size = self.head_size
        # [num_blocks, num_kv_heads, 2, block_size * head_size]
        found = kv_cache[blocks].view(len(blocks), num_heads, 2, block_size * head_size)
        orders = block_order(layer.isa, kv_cache.dtype, block_size, head_size)
        parts = []
        for part, order in enumerate(orders):
            rows = found[:, :, part, order].view(-1, num_heads, block_size, head_size)
            joined = rows.transpose(0, 1).reshape(num_heads, -1, head_size)
            parts.append(joined[:, :length].float())
        return parts[0], parts[1]


@functools.cache
def block_order(
    isa: str, dtype: torch.dtype, block_size: int, head_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where in a block of one head the elements lie, token by token: int64[block_size * head_size], for keys and values.

    Raises:
        VllmUnsupportedError: the writer does more than moving elements.
    """
    number = torch.arange(block_size * head_size)
    lying = torch.zeros((2, number.numel()), dtype=torch.int64)
    unit = 1
    while unit < number.numel():
        cells = (number // unit % _BASE).to(dtype).view(block_size, 1, head_size)
        cache = torch.zeros((1, 1, 2 * block_size, head_size), dtype=dtype)
        key_cache, value_cache = cache.chunk(2, dim=2)
        slots = torch.arange(block_size)
        ops.cpu_attn_reshape_and_cache(cells, cells, key_cache, value_cache, slots, isa)
        lying += unit * cache.view(2, -1).long()
        unit *= _BASE
    if not torch.equal(lying.sort(dim=1).values, number.expand(2, -1)):
        raise VllmUnsupportedError(
            f"the cache's blocks ({isa}, {dtype}, {block_size} tokens of {head_size}) cannot be read, which draft "
            "trees (--speculation-tree) need; leave it out to verify chains"
        )
    keys, values = lying.argsort(dim=1)
    return keys, values
