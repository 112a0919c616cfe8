"""What the model held likely, on its way from a worker to the scheduler, whose token recycling learns from it.

Only the worker has logits, and only the scheduler knows which requests are drafted for. So the scheduler names them on the
side of what it sends (`ask_for`), the worker looks at their rows before any mask is written (`find_likeliest`) and
sends the likeliest tokens on the side of what it returns (`send_likeliest`): 64 bytes a row. For steps in which nobody
is named the worker does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

_WANTED = "syntagma_wanted"
_LIKELIEST = "syntagma_likeliest"

LikeliestRows: TypeAlias = tuple[NDArray[np.int32], NDArray[np.float64]]
"""int32[num_rows, k] and float64[num_rows, k]: the likeliest tokens of each row, likeliest first, and how likely."""


@dataclass(frozen=True)
class Wanted:
    """Whose rows the scheduler asks for, and how many tokens of each."""

    request_ids: frozenset[str]
    count: int


@dataclass(frozen=True, eq=False)
class Likeliest:
    """The rows of some requests of a step, one request's after the other's.

    Attributes:
        num_rows: of each request; the first is that after its last token, then one for each drafted token.
        token_ids: [num_rows of all, k].
        probabilities: [num_rows of all, k], of the model's own law.
    """

    num_rows: dict[str, int]
    token_ids: torch.Tensor
    probabilities: torch.Tensor


def ask_for(scheduler_output: Any, request_ids: Sequence[str], count: int) -> None:
    """Let a step's workers look at some requests' rows."""
    if request_ids:
        setattr(scheduler_output, _WANTED, Wanted(frozenset(request_ids), count))


def find_likeliest(runner: Any) -> Likeliest | None:
    """What was asked for in the step whose logits the model runner holds; None if nothing was, or it holds none."""
    state = getattr(runner, "execute_model_state", None)
    if state is None or state.logits is None:
        return None
    wanted: Wanted | None = getattr(state.scheduler_output, _WANTED, None)
    if wanted is None:
        return None
    drafts = state.scheduler_output.scheduled_spec_decode_tokens
    num_rows: dict[str, int] = {}
    rows: list[int] = []
    first = 0
    for request_id in runner.input_batch.req_ids:
        number = 1 + len(drafts.get(request_id, ()))
        if request_id in wanted.request_ids:
            num_rows[request_id] = number
            rows += range(first, first + number)
        first += number
    logits = state.logits if len(rows) == len(state.logits) else state.logits[rows]
    values, token_ids = logits.float().topk(min(wanted.count, logits.shape[-1]), dim=-1)
    probabilities = (values - logits.float().logsumexp(dim=-1, keepdim=True)).exp()
    return Likeliest(num_rows, token_ids.int(), probabilities)


def send_likeliest(output: Any, likeliest: Likeliest | None) -> None:
    """Let what was found travel with what the model runner returns."""
    if output is not None and likeliest is not None:
        rows = (likeliest.token_ids.cpu().numpy(), likeliest.probabilities.cpu().numpy())
        setattr(output, _LIKELIEST, (likeliest.num_rows, *rows))


def received_likeliest(output: Any) -> dict[str, LikeliestRows]:
    """The rows that came with what a model runner has returned, by request."""
    found: dict[str, LikeliestRows] = {}
    sent = getattr(output, _LIKELIEST, None)
    if sent is None:
        return found
    num_rows, token_ids, probabilities = sent
    end = 0
    for request_id, number in num_rows.items():
        first, end = end, end + number
        found[request_id] = (token_ids[first:end], probabilities[first:end].astype(np.float64))
    return found
