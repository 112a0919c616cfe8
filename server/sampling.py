"""Request fields -> `SamplingParams`, with the checks that need the engine's or server's limits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from syntagma.decoding.draft_tree import SOURCES
from syntagma.decoding.engine import SamplingParams
from syntagma.decoding.speculation import SpeculationOptions
from syntagma.server.constraints import Constraint
from syntagma.server.errors import ApiError, bad_request, shorten
from syntagma.server.protocol import GenerationBody

MAX_LOGIT_BIAS_ENTRIES = 1024


def sampling_params(
    body: GenerationBody,
    *,
    max_tokens: int | None,
    logprobs: int | None,
    constraint: Constraint | None,
    vocab_size: int,
) -> SamplingParams:
    """How to draw the tokens of one request.

    Raises:
        ApiError: 400 for a value that cannot be meant.
    """
    if constraint is not None:
        _refuse_beside_constraint(body, constraint)
    defaults = SamplingParams()

    def given(value: float | None, default: float) -> float:
        return default if value is None else value

    return SamplingParams(
        temperature=given(body.temperature, defaults.temperature),
        top_p=given(body.top_p, defaults.top_p),
        top_k=max(body.top_k or 0, 0),
        min_p=given(body.min_p, defaults.min_p),
        seed=body.seed,
        presence_penalty=given(body.presence_penalty, defaults.presence_penalty),
        frequency_penalty=given(body.frequency_penalty, defaults.frequency_penalty),
        repetition_penalty=given(body.repetition_penalty, defaults.repetition_penalty),
        logit_bias=_logit_bias(body.logit_bias or {}, vocab_size),
        stop=stop_strings(body),
        max_tokens=max_tokens,
        n=body.num_choices,
        logprobs=logprobs,
        ignore_eos=bool(body.ignore_eos),
    )


def speculation_options(body: GenerationBody) -> SpeculationOptions | None:
    """How drafts are made for a request; None: it does not say."""
    asked = body.speculation
    if asked is None:
        return None
    return SpeculationOptions(
        enabled=True if asked.enabled is None else asked.enabled,
        max_tokens=asked.max_tokens,
        sources=frozenset(SOURCES if asked.sources is None else asked.sources),
    )


def tenant_of(body: GenerationBody) -> str:
    """Whose outputs the drafts of a request may learn from and teach; the name itself is not kept."""
    name = body.safety_identifier or body.user
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest() if name else ""


def stop_strings(body: GenerationBody) -> tuple[str, ...]:
    """The ``stop`` field as a tuple."""
    if body.stop is None:
        return ()
    return (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)


def check_num_choices(num_prompts: int, n: int, max_n: int) -> None:
    """Bound the work of one request.

    Raises:
        ApiError: 400, too many outputs asked for.
    """
    if num_prompts * n > max_n:
        asked = f"n={n}" if num_prompts == 1 else f"{num_prompts} prompts with n={n}"
        raise bad_request(
            f"{asked}: one request may ask for at most {max_n} outputs.",
            param="n" if n > 1 else "prompt",
        )


def check_length(
    num_prompt_tokens: int, max_tokens: int | None, *, max_model_len: int, param: str
) -> None:
    """The prompt must leave room for the output that is asked for.

    Raises:
        ApiError: 400 ``context_length_exceeded``, with the figures.
    """
    room = max_model_len - num_prompt_tokens
    if room < 1:
        raise context_length_error(
            f"The prompt has {num_prompt_tokens} tokens; the model's context of {max_model_len} "
            "leaves no room for an output.",
            param=param,
        )
    if max_tokens is not None and max_tokens > room:
        raise context_length_error(
            f"max_tokens={max_tokens} does not fit: the prompt takes {num_prompt_tokens} of the "
            f"model's context of {max_model_len} tokens, so at most {room} are left.",
            param="max_tokens",
        )


def context_length_error(message: str, *, param: str) -> ApiError:
    """A request that is too long for the model."""
    return bad_request(message, param=param, code="context_length_exceeded")


def _refuse_beside_constraint(body: GenerationBody, constraint: Constraint) -> None:
    if stop_strings(body):
        raise bad_request(
            f"stop would cut an output that {constraint.param} promises to be complete; "
            "leave one of the two out.",
            param="stop",
            code="conflicting_constraints",
        )
    if body.ignore_eos:
        raise bad_request(
            f"ignore_eos contradicts {constraint.param}: a constrained output ends where its "
            "grammar does.",
            param="ignore_eos",
            code="conflicting_constraints",
        )


def _logit_bias(bias: Mapping[str, Any], vocab_size: int) -> dict[int, float]:
    if len(bias) > MAX_LOGIT_BIAS_ENTRIES:
        raise bad_request(
            f"logit_bias has {len(bias)} entries; at most {MAX_LOGIT_BIAS_ENTRIES} are allowed.",
            param="logit_bias",
        )
    result: dict[int, float] = {}
    for key, value in bias.items():
        is_id = key.isascii() and key.isdigit() and len(key) <= 9 and int(key) < vocab_size
        if not is_id:
            raise bad_request(
                f"logit_bias: {shorten(repr(key), 60)} is not a token id of this model "
                f"(0 to {vocab_size - 1}).",
                param="logit_bias",
            )
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not -100 <= value <= 100:
            raise bad_request(
                f"logit_bias: the value for token {key} must be a number from -100 to 100.",
                param="logit_bias",
            )
        result[int(key)] = value
    return result
