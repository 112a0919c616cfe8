"""Our sampling parameters as vLLM's, for one choice of a request."""

from __future__ import annotations

from typing import Any

from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

from syntagma.decoding.engine import GenerationRequest
from syntagma.decoding.grammar_spec import GrammarTicket
from syntagma.grammar import Vocabulary

BACKEND_NAME = "syntagma"
# Where drafts find a request's own options in vLLM's ``extra_args``.
SPECULATION_KEY = "syntagma_speculation"
# vLLM refuses 0, which here means the best token only; so does this, at any vocabulary's size.
_LEAST_TOP_P = 1e-6


class GrammarSamplingParams(SamplingParams):
    """Sampling parameters whose grammar was checked by our front end.

    vLLM's own check would hand the text to one of its backends. The class survives the way to the engine's
    process as plain `SamplingParams`, and there our scheduler has set the backend.
    """

    def _validate_structured_outputs(
        self, model_config: Any, structured_outputs_config: Any, tokenizer: Any
    ) -> None:
        if self.structured_outputs is not None:
            self.structured_outputs._backend = BACKEND_NAME
            self.structured_outputs._backend_was_auto = True


def sampling_params_of(
    request: GenerationRequest,
    index: int,
    *,
    vocabulary: Vocabulary,
    max_output_tokens: int,
    silent_ids: tuple[int, ...],
    ticket: str | None,
) -> GrammarSamplingParams:
    """How vLLM draws the tokens of one choice.

    Each choice is a request of its own to vLLM, which knows no greedy ``n``. Text and stop strings are our
    business: they need bytes, and vLLM's detokenizer would give other text for unfinished characters.

    Args:
        request, index: which choice of what.
        vocabulary: of the model.
        max_output_tokens: by the request and by the model's context.
        silent_ids: tokens that the output may not contain.
        ticket: `ticket_of` the request's grammar.
    """
    sampling = request.sampling
    may_run_on = request.grammar is None and sampling.ignore_eos
    bias = dict(sampling.logit_bias) | dict.fromkeys(silent_ids, float("-inf"))
    return GrammarSamplingParams(
        temperature=sampling.temperature,
        top_p=max(sampling.top_p, _LEAST_TOP_P),
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=None if sampling.seed is None else (sampling.seed + index) % 2**63,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty,
        logit_bias=bias or None,
        max_tokens=max_output_tokens,
        logprobs=sampling.logprobs,
        ignore_eos=may_run_on,
        stop_token_ids=[] if may_run_on else list(vocabulary.stop_ids),
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        extra_args=_speculation_arguments(request),
        structured_outputs=None if ticket is None else StructuredOutputsParams(grammar=ticket),
    )


def _speculation_arguments(request: GenerationRequest) -> dict[str, Any] | None:
    """What our scheduler's drafts need to know of a request (`vllm_drafting`)."""
    arguments: dict[str, Any] = {}
    if request.tenant:
        arguments["tenant"] = request.tenant
    options = request.speculation
    if options is not None:
        arguments |= {
            "enabled": options.enabled,
            "max_tokens": options.max_tokens,
            "sources": sorted(options.sources),
        }
    return {SPECULATION_KEY: arguments} if arguments else None


def ticket_of(request: GenerationRequest, *, is_shared: bool) -> str:
    """What stands for the request's grammar on its way; takes as long as its source is.

    Args:
        request: has a grammar.
        is_shared: whether the finished grammar is in the shared directory.
    """
    grammar = request.grammar
    assert grammar is not None, "only grammars travel"
    return GrammarTicket(
        grammar.hash, grammar.vocabulary.hash, request.grammar_spec, is_shared
    ).to_text()
