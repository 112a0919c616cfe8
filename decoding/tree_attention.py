"""Attention under a draft tree in two parts, by their log-sums: to the context, and among the nodes.

All nodes of a tree see the whole context, so that part needs no mask and any kernel will do; a mask is needed among the
nodes alone, which are few. Softmax over both parts is the mean of the softmax of each, weighted by the exponentials of
their log-sums (Milakov and Gimelshein 2018; Ye et al. 2025, section 2.2). Plain PyTorch, for any device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class PackedTrees:
    """The nodes of several trees, tree after tree, and the same side by side.

    Attributes:
        starts: int32[num_trees + 1], where a tree's nodes begin among all.
        numbers: int32[num_trees], of the nodes.
        width: the largest of these.
        padded: int64[num_trees, width], the nodes; where a tree has fewer, its first.
        places: int64[num_nodes], where the nodes lie in that.
        visible: bool[num_trees, width, width], which nodes a node sees; itself where there is none.
    """

    starts: torch.Tensor
    numbers: torch.Tensor
    width: int
    padded: torch.Tensor
    places: torch.Tensor
    visible: torch.Tensor

    @classmethod
    def of(cls, visible: Sequence[torch.Tensor], device: torch.device) -> PackedTrees:
        """Trees by which of its nodes each node sees: bool[num_nodes, num_nodes], at least one."""
        numbers = torch.tensor([len(seen) for seen in visible])
        starts = torch.cat([numbers.new_zeros(1), numbers.cumsum(0)])
        width = int(numbers.max())
        column = torch.arange(width)
        is_node = column < numbers[:, None]
        firsts = starts[:-1, None]
        padded = torch.where(is_node, firsts + column, firsts)
        whole = torch.eye(width, dtype=torch.bool).repeat(len(visible), 1, 1)
        for tree, seen in enumerate(visible):
            whole[tree, : len(seen), : len(seen)] = seen
        return cls(
            starts=starts.int().to(device),
            numbers=numbers.int().to(device),
            width=width,
            padded=padded.to(device),
            places=is_node.flatten().nonzero().flatten().to(device),
            visible=whole.to(device),
        )


def attend_among(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    trees: PackedTrees,
    scale: float,
    soft_cap: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of nodes to the nodes that they see, in float32.

    Args:
        query: [num_nodes, num_heads, head_size].
        key, value: [num_nodes, num_kv_heads, head_size]; as many heads of queries in turn share one of these.
        scale: of the scores.
        soft_cap: which scores then tend to; 0: none.

    Returns:
        float32[num_nodes, num_heads, head_size], and the log-sums float32[num_heads, num_nodes].
    """
    num_nodes, num_heads, head_size = query.shape
    num_kv_heads = key.shape[1]
    asked = query.float().view(num_nodes, num_kv_heads, -1, head_size)[trees.padded]
    keys, values = key.float()[trees.padded], value.float()[trees.padded]
    scores = torch.einsum("tnhgd,tmhd->thgnm", asked, keys) * scale
    if soft_cap:
        scores = soft_cap * torch.tanh(scores / soft_cap)
    scores = scores.masked_fill(~trees.visible[:, None, None], float("-inf"))
    log_sums = scores.logsumexp(dim=-1)
    answers = torch.einsum("thgnm,tmhd->tnhgd", (scores - log_sums[..., None]).exp(), values)
    flat = answers.reshape(-1, num_heads, head_size)[trees.places]
    sums = log_sums.permute(1, 2, 0, 3).reshape(num_heads, -1)[:, trees.places]
    return flat, sums


def merge_parts(
    one: torch.Tensor, one_sums: torch.Tensor, other: torch.Tensor, other_sums: torch.Tensor
) -> torch.Tensor:
    """Attention over two parts together, in float32.

    Args:
        one, other: [num_rows, num_heads, head_size], what attention to each part gives.
        one_sums, other_sums: [num_heads, num_rows], the log-sums; that of one part may be minus infinity: an empty part.
    """
    # sigmoid(a - b) = exp(a) / (exp(a) + exp(b)), and cannot overflow.
    share = torch.sigmoid(one_sums.float() - other_sums.float()).T[..., None]
    return one.float() * share + other.float() * (1 - share)
