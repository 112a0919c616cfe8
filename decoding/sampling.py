"""How the next token is drawn: pure functions over one row of logits.

The order is fixed: logit bias, penalties, bitmask, temperature, top-k, top-p, min-p, draw. The
truncations come after the mask, so they choose among legal tokens and never empty the set. If the
legal tokens have no probability left (all their logits are -inf or NaN), the grammar wins: they are
then equally likely.

Rows are one-dimensional float arrays, one entry a token; every function leaves its argument alone.
A bitmask row is int32, bit ``token_id & 31`` of word ``token_id >> 5`` set = allowed. Equal logits
rank by token id, lowest first. The law is computed in the precision of the row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.engine import SamplingParams

FloatRow: TypeAlias = NDArray[np.floating[Any]]
TokenIds: TypeAlias = NDArray[np.intp]


def sample(
    logits: FloatRow,
    bitmask_row: NDArray[np.int32],
    params: SamplingParams,
    *,
    prompt_token_ids: Sequence[int],
    output_token_ids: Sequence[int],
    generator: np.random.Generator,
) -> int:
    """Draw the next token; one random number, whatever the law.

    Raises:
        ValueError: the bitmask allows no token.
    """
    token_ids, probabilities = next_law(
        logits,
        bitmask_row,
        params,
        prompt_token_ids=prompt_token_ids,
        output_token_ids=output_token_ids,
    )
    return int(token_ids[draw(probabilities, generator)])


def next_law(
    logits: FloatRow,
    bitmask_row: NDArray[np.int32],
    params: SamplingParams,
    *,
    prompt_token_ids: Sequence[int],
    output_token_ids: Sequence[int],
) -> tuple[TokenIds, FloatRow]:
    """The law that `sample` draws from, as `token_law` gives it.

    Raises:
        ValueError: the bitmask allows no token.
    """
    adjusted = apply_logit_bias(logits, params.logit_bias)
    adjusted = apply_penalties(adjusted, params, prompt_token_ids, output_token_ids)
    masked = apply_bitmask(adjusted, bitmask_row)
    return token_law(masked, bitmask_row, params)


def token_law(
    masked: FloatRow, bitmask_row: NDArray[np.int32], params: SamplingParams
) -> tuple[TokenIds, FloatRow]:
    """The law the next token is drawn from: candidate ids, ascending, and their probabilities.

    Temperature 0 puts all the probability on the best candidate.
    """
    token_ids, scores = _candidates(masked, bitmask_row)
    if params.temperature == 0:
        return token_ids[np.argmax(scores)][np.newaxis], np.ones(1)
    scores = apply_temperature(scores, params.temperature)
    scores = keep_top_k(scores, params.top_k)
    scores = keep_top_p(scores, params.top_p)
    scores = keep_min_p(scores, params.min_p)
    return token_ids, softmax(scores)


def _candidates(masked: FloatRow, bitmask_row: NDArray[np.int32]) -> tuple[TokenIds, FloatRow]:
    """The ids that can be drawn, ascending, and their logits, none of them +inf or NaN.

    What follows works on these alone: under a narrow mask that is a handful of numbers.
    """
    token_ids = np.flatnonzero(masked > -np.inf)  # NaN compares false
    if token_ids.size == 0:
        token_ids = np.flatnonzero(unpack_bitmask(bitmask_row, masked.size))
        if token_ids.size == 0:
            raise ValueError("the bitmask allows no token")
        return token_ids, np.zeros(token_ids.size)
    scores = masked[token_ids]
    if scores.max() == np.inf:  # then only those count
        return token_ids, np.where(scores == np.inf, 0.0, -np.inf)
    return token_ids, scores


def pack_bitmask(allowed: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The bitmask row of one boolean a token; missing bits of the last word are 0."""
    padded = np.zeros(-(-allowed.size // 32) * 32, dtype=np.bool_)
    padded[: allowed.size] = allowed
    return np.packbits(padded, bitorder="little").view("<i4").astype(np.int32)


def unpack_bitmask(bitmask_row: NDArray[np.int32], vocab_size: int) -> NDArray[np.bool_]:
    """One boolean a token."""
    little_endian = np.ascontiguousarray(bitmask_row, dtype="<i4").view(np.uint8)
    return np.unpackbits(little_endian, count=vocab_size, bitorder="little").view(np.bool_)


def apply_bitmask(logits: FloatRow, bitmask_row: NDArray[np.int32]) -> FloatRow:
    """Set the logits of forbidden tokens to -inf."""
    forbidden = logits.dtype.type(-np.inf)
    return np.where(unpack_bitmask(bitmask_row, logits.size), logits, forbidden)


def apply_logit_bias(logits: FloatRow, logit_bias: Mapping[int, float]) -> FloatRow:
    """Add each bias to its token's logit."""
    if not logit_bias:
        return logits
    biased = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf is NaN: never drawn
        biased[list(logit_bias)] += list(logit_bias.values())
    return biased


def apply_penalties(
    logits: FloatRow,
    params: SamplingParams,
    prompt_token_ids: Sequence[int],
    output_token_ids: Sequence[int],
) -> FloatRow:
    """Penalise repetition: Hugging Face's factor first, then OpenAI's two subtractions.

    The repetition penalty divides positive logits and multiplies negative ones, over prompt and
    output; frequency and presence count the output only.
    """
    penalised = logits
    if params.repetition_penalty != 1.0:
        seen = np.unique(np.array([*prompt_token_ids, *output_token_ids], dtype=np.intp))
        before = penalised[seen].astype(np.float64)
        factor = params.repetition_penalty
        penalised = penalised.astype(np.float64)
        penalised[seen] = np.where(before > 0, before / factor, before * factor)
    if (params.frequency_penalty or params.presence_penalty) and len(output_token_ids) > 0:
        seen, counts = np.unique(np.array(output_token_ids, dtype=np.intp), return_counts=True)
        penalised = penalised.astype(np.float64)
        penalised[seen] -= params.frequency_penalty * counts + params.presence_penalty
    return penalised


def apply_temperature(logits: FloatRow, temperature: float) -> FloatRow:
    """Divide by a positive temperature; the best logit becomes 0, so nothing overflows upwards."""
    best: float = logits.max()
    divisor = max(temperature, float(np.finfo(logits.dtype).tiny))  # or it would round to 0
    with np.errstate(over="ignore"):  # down to -inf: a probability of 0 anyway
        return (logits - best) / divisor


def keep_top_k(logits: FloatRow, top_k: int) -> FloatRow:
    """Keep the k best, set the others to -inf; 0 keeps all."""
    if top_k == 0 or top_k >= logits.size:
        return logits
    kept = np.full_like(logits, -np.inf)
    best = best_ids(logits, top_k)
    kept[best] = logits[best]
    return kept


def keep_top_p(logits: FloatRow, top_p: float) -> FloatRow:
    """Keep the fewest best tokens whose probabilities reach ``top_p``, at least one; 1 keeps all."""
    if top_p >= 1:
        return logits
    probabilities = softmax(logits)
    # All tokens below (1 - p) / n together weigh less than 1 - p, so none of them is needed to
    # reach p. Half of it leaves room for rounding. This spares sorting a whole vocabulary.
    likely = np.flatnonzero(probabilities >= (1 - top_p) / (2 * logits.size))
    ranked = likely[np.argsort(-logits[likely], kind="stable")]
    mass = np.cumsum(probabilities[ranked].astype(np.float64))
    num_kept = 1 + int(np.count_nonzero(mass[:-1] < top_p))
    kept = np.full_like(logits, -np.inf)
    kept[ranked[:num_kept]] = logits[ranked[:num_kept]]
    return kept


def keep_min_p(logits: FloatRow, min_p: float) -> FloatRow:
    """Keep tokens at least ``min_p`` times as likely as the best one; 0 keeps all."""
    if min_p == 0:
        return logits
    best: float = logits.max()
    return np.where(logits >= best + math.log(min_p), logits, -np.inf)


def softmax(logits: FloatRow) -> FloatRow:
    """Probabilities; at least one logit must be finite, none may be +inf."""
    best: float = logits.max()
    weights = np.exp(logits - best)
    total: float = weights.sum()
    probabilities: FloatRow = weights / total
    return probabilities


def draw(probabilities: FloatRow, generator: np.random.Generator) -> int:
    """Draw an index with one uniform number; an index of probability 0 never comes up."""
    cumulative = probabilities.astype(np.float64)
    np.cumsum(cumulative, out=cumulative)
    index = np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right")
    last_possible = np.searchsorted(cumulative, cumulative[-1], side="left")
    return int(min(index, last_possible))


def log_softmax(logits: FloatRow) -> NDArray[np.float64]:
    """Natural log-probabilities; NaN counts as -inf, and without any finite logit all are equal."""
    scores = np.nan_to_num(logits.astype(np.float64), nan=-np.inf, neginf=-np.inf)
    best = scores.max()
    if best == -np.inf:
        return np.full_like(scores, -math.log(scores.size))
    scores -= best
    total: float = np.exp(scores).sum()
    return scores - math.log(total)


def best_ids(scores: FloatRow, k: int) -> TokenIds:
    """The ids of the k greatest entries (all, if there are fewer), greatest first."""
    k = min(k, scores.size)
    if k == 0:
        return np.empty(0, dtype=np.intp)
    threshold = np.partition(scores, scores.size - k)[scores.size - k]
    contenders = np.flatnonzero(scores >= threshold)
    return contenders[np.argsort(-scores[contenders], kind="stable")][:k]


def check_sampling_params(params: SamplingParams, vocab_size: int) -> None:
    """Refuse parameters no token can be drawn with.

    Raises:
        ValueError: says which parameter, what was given and what is allowed.
    """
    biased_ids = params.logit_bias.keys()
    for name, is_met, rule in (
        ("temperature", 0 <= params.temperature < math.inf, "0 or more"),
        ("top_p", 0 <= params.top_p <= 1, "from 0 to 1"),
        ("top_k", params.top_k >= 0, "0 (off) or more"),
        ("min_p", 0 <= params.min_p <= 1, "from 0 to 1"),
        ("presence_penalty", math.isfinite(params.presence_penalty), "finite"),
        ("frequency_penalty", math.isfinite(params.frequency_penalty), "finite"),
        ("repetition_penalty", 0 < params.repetition_penalty < math.inf, "above 0"),
        ("max_tokens", params.max_tokens is None or params.max_tokens >= 1, "1 or more"),
        ("n", params.n >= 1, "1 or more"),
        ("logprobs", params.logprobs is None or params.logprobs >= 0, "0 or more"),
        ("stop", "" not in params.stop, "made of strings that are not empty"),
        (
            "logit_bias",
            all(0 <= token_id < vocab_size for token_id in biased_ids),
            f"keyed by token ids below {vocab_size}",
        ),
        (
            "logit_bias",
            not any(math.isnan(bias) for bias in params.logit_bias.values()),
            "made of numbers",
        ),
    ):
        if not is_met:
            raise ValueError(f"{name} must be {rule}, got {getattr(params, name)!r}")
