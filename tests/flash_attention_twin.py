"""What FlashAttention does as draft trees call it, in plain PyTorch, from the description of its arguments."""

from __future__ import annotations

import torch


def flash_attn_varlen_func(
    *,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    max_seqlen_q: int,
    seqused_k: torch.Tensor,
    max_seqlen_k: int,
    softmax_scale: float,
    causal: bool,
    block_table: torch.Tensor,
    softcap: float,
    return_softmax_lse: bool,
    fa_version: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of queries to all of a cache in blocks, without a mask.

    Args:
        q: [num_rows, num_heads, head_size].
        k, v: [num_blocks, block_size, num_kv_heads, head_size].
        cu_seqlens_q: int32[num_requests + 1], where a request's rows begin.
        seqused_k: int32[num_requests], tokens in the cache.
        block_table: int32[num_requests, max_num_blocks].

    Returns:
        As ``q``, and float32[num_heads, num_rows].
    """
    assert not causal and return_softmax_lse and fa_version in (2, 3)
    assert cu_seqlens_q.dtype == seqused_k.dtype == block_table.dtype == torch.int32
    assert len(seqused_k) == len(block_table) == len(cu_seqlens_q) - 1
    assert cu_seqlens_q[-1] == len(q)
    assert cu_seqlens_q.diff().max() <= max_seqlen_q and seqused_k.max() <= max_seqlen_k
    num_rows, num_heads, _ = q.shape
    answers, sums = torch.empty_like(q), torch.empty((num_heads, num_rows))
    num_sharing = num_heads // k.shape[2]
    for request, blocks in enumerate(block_table.long()):
        rows = slice(int(cu_seqlens_q[request]), int(cu_seqlens_q[request + 1]))
        length = int(seqused_k[request])
        num_blocks = -(-length // k.shape[1])
        keys, values = (
            cache[blocks[:num_blocks]].flatten(0, 1)[:length].repeat_interleave(num_sharing, 1)
            for cache in (k, v)
        )
        scores = torch.einsum("nhd,lhd->hnl", q[rows].float(), keys.float()) * softmax_scale
        if softcap:
            scores = softcap * torch.tanh(scores / softcap)
        sums[:, rows] = scores.logsumexp(-1)
        weighted = torch.einsum("hnl,lhd->nhd", scores.softmax(-1), values.float())
        answers[rows] = weighted.to(q.dtype)
    return answers, sums
