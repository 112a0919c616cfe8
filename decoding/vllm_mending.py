"""What is known to be wrong in vLLM's CPU build, found by trying and put right in this process.

`expand_batch_to_tokens` repeats each request's value for all its tokens. The CPU build of 0.32 writes them into
a temporary, so temperatures and truncations under speculation are whatever memory held (vLLM issue 55005).
Greedy batches do not use it; other platforms have another kernel.
"""

from __future__ import annotations

import logging
from typing import Any

import torch

logger = logging.getLogger(__name__)


def mend_expand() -> bool:
    """Replace `expand_batch_to_tokens` if it is broken; True if it was replaced now.

    Its callers are all in its own module and look it up there.
    """
    from vllm.v1.sample import rejection_sampler

    if not expand_is_broken(rejection_sampler):
        return False
    rejection_sampler.expand_batch_to_tokens = expand_batch_to_tokens
    logger.warning("mended expand_batch_to_tokens of this CPU build of vLLM")
    return True


def expand_is_broken(rejection_sampler: Any) -> bool:
    """Whether the module's function gives something else than it should."""
    values = torch.tensor([0.7, 0.9])
    ends = torch.tensor([2, 3], dtype=torch.int32)
    expected = torch.tensor([0.7, 0.7, 0.9])
    for _ in range(2):
        # Memory that was just freed may hold the right numbers by luck; it is given others first.
        torch.full((3,), -1.0)
        if not torch.equal(rejection_sampler.expand_batch_to_tokens(values, ends, 3), expected):
            return True
    return False


def expand_batch_to_tokens(
    x: torch.Tensor,
    cu_num_tokens: torch.Tensor,
    num_tokens: int,
    replace_from: int = 0,
    replace_to: int = 0,
) -> torch.Tensor:
    """Repeat ``x[i]`` for the tokens of request ``i``; arguments as vLLM names them.

    Args:
        x: [batch_size].
        cu_num_tokens: [batch_size], where each request's tokens end.
        num_tokens: of all requests together.
        replace_from, replace_to: a value that is replaced on the way.
    """
    counts = torch.diff(cu_num_tokens, prepend=cu_num_tokens.new_zeros(1)).to(torch.int64)
    value = torch.as_tensor(replace_to, dtype=x.dtype)
    return torch.repeat_interleave(
        torch.where(x == replace_from, value, x), counts, output_size=num_tokens
    )
