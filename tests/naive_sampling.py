"""Slow twins of `syntagma.decoding.sampling` and of the detokenizer's stop strings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from syntagma.decoding.engine import SamplingParams

TIE = 1e-9


class NearTie(Exception):
    """A truncation falls so close to a boundary that rounding decides."""


def naive_log_softmax(logits: Sequence[float]) -> list[float]:
    best = max(logits)
    total = math.fsum(math.exp(logit - best) for logit in logits)
    return [logit - best - math.log(total) for logit in logits]


def naive_law(
    logits: Sequence[float],
    allowed: Sequence[int],
    params: SamplingParams,
    prompt: Sequence[int],
    output: Sequence[int],
) -> dict[int, float]:
    """Token id -> probability of being drawn, for every token that can be drawn."""
    scores = _penalised(logits, params, prompt, output)
    legal = {i: scores[i] for i in sorted(allowed) if scores[i] > -math.inf}
    if not legal:
        legal = {i: 0.0 for i in sorted(allowed)}
    if params.temperature == 0:
        return {max(legal, key=lambda i: (legal[i], -i)): 1.0}
    best = max(legal.values())
    legal = {i: (score - best) / params.temperature for i, score in legal.items()}
    ranked = sorted(legal, key=lambda i: (-legal[i], i))
    if params.top_k:
        ranked = ranked[: params.top_k]
    ranked = _top_p(_probabilities(legal, ranked), ranked, params.top_p)
    law = _probabilities(legal, ranked)
    return _min_p(law, params.min_p)


def _penalised(
    logits: Sequence[float], params: SamplingParams, prompt: Sequence[int], output: Sequence[int]
) -> list[float]:
    scores = []
    for token_id, logit in enumerate(logits):
        score = logit + params.logit_bias.get(token_id, 0.0)
        if token_id in prompt or token_id in output:
            factor = params.repetition_penalty
            score = score / factor if score > 0 else score * factor
        count = list(output).count(token_id)
        score -= params.frequency_penalty * count + params.presence_penalty * (count > 0)
        scores.append(score)
    return scores


def _probabilities(scores: Mapping[int, float], kept: Sequence[int]) -> dict[int, float]:
    total = math.fsum(math.exp(scores[i]) for i in kept)
    return {i: math.exp(scores[i]) / total for i in kept}


def _top_p(law: Mapping[int, float], ranked: list[int], top_p: float) -> list[int]:
    if top_p >= 1:
        return ranked
    kept: list[int] = []
    for token_id in ranked:
        mass = math.fsum(law[i] for i in kept)
        if kept and abs(mass - top_p) < TIE:
            raise NearTie
        if kept and mass >= top_p:
            break
        kept.append(token_id)
    return kept


def _min_p(law: Mapping[int, float], min_p: float) -> dict[int, float]:
    threshold = min_p * max(law.values())
    if min_p and any(abs(p - threshold) < TIE for p in law.values()):
        raise NearTie
    kept = {i: p for i, p in law.items() if p >= threshold}
    total = math.fsum(kept.values())
    return {i: p / total for i, p in kept.items()}


def naive_stop(text: str, stop: Sequence[str]) -> tuple[str, str | None]:
    """The output before the first place where a stop string is complete, and that stop string."""
    for end in range(1, len(text) + 1):
        complete = [s for s in stop if text[:end].endswith(s)]
        if complete:
            longest = max(complete, key=len)
            return text[: end - len(longest)], longest
    return text, None
