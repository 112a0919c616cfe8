"""Draws along draft trees, with vLLM's own sampler.

Level by level: for all requests that are still on their way, the token that follows the node where each stands is drawn
as vLLM draws the token after an output. So a token costs the random numbers that it costs without drafts, in the same
order (a request's seed gives the same text), and penalties, bad words, truncations and log-probabilities are those of
vLLM, for the output with the path below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from vllm.v1.outputs import LogprobsTensors, SamplerOutput
from vllm.v1.sample.logits_processor import LogitsProcessors

from syntagma.decoding.draft_tree import DraftTree
from syntagma.decoding.verification import Walk

PLACEHOLDER = -1
"""What vLLM takes for no token."""


def sample_along(
    sampler: Any,
    logits: torch.Tensor,
    trees: Sequence[DraftTree],
    metadata: Any,
    raw_logits: torch.Tensor | None = None,
) -> tuple[SamplerOutput, list[list[int]]]:
    """Draw for each request until no child of its tree has the token.

    Args:
        sampler: vLLM's, or ours if there are ``raw_logits``.
        logits: [num_rows, vocab_size]; the requests' rows one after the other, of each the row of the token before
            the draft and then one for each node.
        trees: one for each request.
        metadata: vLLM's, of the batch.
        raw_logits: as they were before the masks, where log-probabilities are to be those; else None.

    Returns:
        What vLLM's rejection sampler gives: int32[num_requests, num_levels] with `PLACEHOLDER` where nothing was
        drawn; and for each request the nodes that stand.
    """
    firsts = np.cumsum([0, *(1 + tree.num_nodes for tree in trees)])[:-1].tolist()
    walks = [Walk(tree) for tree in trees]
    active = list(range(len(trees)))
    levels: list[tuple[list[int], SamplerOutput]] = []
    drawn: list[list[int]] = [[] for _ in trees]
    while active:
        rows = torch.tensor([firsts[i] + 1 + walks[i].node for i in active], device=logits.device)
        if raw_logits is not None:
            sampler.raw_logits = raw_logits[rows]
        is_first = not levels
        output = sampler(
            logits=logits[rows],
            sampling_metadata=metadata if is_first else _narrowed(metadata, active, drawn),
        )
        levels.append((active, output))
        for i, token_id in zip(active, output.sampled_token_ids[:, 0].tolist(), strict=True):
            drawn[i].append(token_id)
        active = [i for i in active if walks[i].step(drawn[i][-1])]
    return _joined(len(trees), levels), [walk.accepted for walk in walks]


def _narrowed(metadata: Any, active: list[int], drawn: list[list[int]]) -> Any:
    """The metadata of some requests, with what was drawn for them appended to their outputs.

    Of logits processors vLLM has only that of ``min_tokens`` beside drafts, and requests that it applies to have none.
    """

    def some(values: torch.Tensor | None) -> torch.Tensor | None:
        return None if values is None else values[active]

    def renumbered(by_request: dict[int, Any] | None) -> dict[int, Any] | None:
        if by_request is None:
            return None
        return {new: by_request[old] for new, old in enumerate(active) if old in by_request}

    outputs = metadata.output_token_ids
    is_whole = metadata.no_penalties
    return replace(
        metadata,
        temperature=some(metadata.temperature),
        top_p=some(metadata.top_p),
        top_k=some(metadata.top_k),
        generators=renumbered(metadata.generators),
        prompt_token_ids=some(metadata.prompt_token_ids),
        frequency_penalties=metadata.frequency_penalties
        if is_whole
        else some(metadata.frequency_penalties),
        presence_penalties=metadata.presence_penalties
        if is_whole
        else some(metadata.presence_penalties),
        repetition_penalties=metadata.repetition_penalties
        if is_whole
        else some(metadata.repetition_penalties),
        output_token_ids=[[*outputs[i], *drawn[i]] for i in active] if outputs else [],
        allowed_token_ids_mask=some(metadata.allowed_token_ids_mask),
        bad_words_token_ids=renumbered(metadata.bad_words_token_ids),
        logitsprocs=LogitsProcessors(),
        logprob_token_ids=renumbered(metadata.logprob_token_ids),
        spec_token_ids=None,
        thinking_budget_state_holder=None,
    )


def _joined(num_requests: int, levels: list[tuple[list[int], SamplerOutput]]) -> SamplerOutput:
    """The draws of all levels as one output, with a row for each request."""
    first = levels[0][1]
    tokens = first.sampled_token_ids.new_full((num_requests, len(levels)), PLACEHOLDER)
    for level, (active, output) in enumerate(levels):
        tokens[active, level] = output.sampled_token_ids[:, 0]
    found = first.logprobs_tensors
    if found is None:
        return SamplerOutput(sampled_token_ids=tokens, logprobs_tensors=None)
    columns = [
        part.new_zeros((num_requests, len(levels), *part.shape[1:])) for part in _parts(found)
    ]
    for level, (active, output) in enumerate(levels):
        for column, part in zip(columns, _parts(output.logprobs_tensors), strict=True):
            column[active, level] = part
    ids, logprobs, ranks = (column.flatten(0, 1) for column in columns)
    return SamplerOutput(
        sampled_token_ids=tokens, logprobs_tensors=LogprobsTensors(ids, logprobs, ranks)
    )


def _parts(found: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return found.logprob_token_ids, found.logprobs, found.selected_token_ranks
