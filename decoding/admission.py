"""The checks that every engine makes before it takes a request."""

from __future__ import annotations

from collections.abc import Collection, Container

from syntagma.decoding.draft_tree import SOURCES, Source
from syntagma.decoding.engine import GenerationRequest
from syntagma.decoding.sampling import check_sampling_params
from syntagma.grammar import Vocabulary


def check_request(
    request: GenerationRequest,
    *,
    vocabulary: Vocabulary,
    max_model_len: int,
    adapters: Container[str] = (),
    has_priorities: bool = False,
) -> None:
    """Refuse what the model cannot carry out.

    Args:
        request: what is asked for.
        vocabulary, max_model_len: of the model.
        adapters: those that a request may name.
        has_priorities: whether a request may have one.

    Raises:
        ValueError: the prompt is empty or does not fit, a token id is not in the vocabulary, the grammar
            is for another one, a sampling parameter is out of range, or the engine has no such adapter
            or no priorities.
    """
    check_sampling_params(request.sampling, vocabulary.size)
    _check_prompt(request.prompt_token_ids, vocabulary.size, max_model_len)
    grammar = request.grammar
    if grammar is not None and grammar.vocabulary.hash != vocabulary.hash:
        raise ValueError("the grammar was compiled for another vocabulary than this model's")
    if request.adapter is not None and request.adapter not in adapters:
        raise ValueError(f"there is no adapter {request.adapter!r} here")
    if request.priority and not has_priorities:
        raise ValueError(
            f"priority={request.priority!r} cannot be given: this engine has no priorities; vLLM has them with "
            "--scheduling-policy priority"
        )


def check_speculation(request: GenerationRequest, sources: Collection[Source]) -> None:
    """Refuse drafts that an engine cannot make; a request that says nothing gets those it can.

    Args:
        request: it may ask for drafts.
        sources: where this engine's drafts come from.

    Raises:
        ValueError: there are none, or not from a source that is asked for.
    """
    options = request.speculation
    if options is None or not options.enabled:
        return
    if not sources:
        raise ValueError(
            "speculation: this engine makes no drafts; leave the field out, or start the server with "
            "speculation and a model that can verify drafts"
        )
    missing = sorted(options.sources - set(sources))
    if missing and options.sources != frozenset(SOURCES):
        raise ValueError(
            f"speculation: this engine has no drafts from {missing[0]!r}, only from "
            f"{', '.join(source for source in SOURCES if source in sources)}"
        )


def _check_prompt(token_ids: tuple[int, ...], vocab_size: int, max_model_len: int) -> None:
    if not token_ids:
        raise ValueError("the prompt is empty; it needs at least one token")
    if len(token_ids) >= max_model_len:
        raise ValueError(
            f"the prompt has {len(token_ids)} tokens; at most {max_model_len - 1} leave "
            f"room for output in the model's context of {max_model_len}"
        )
    # Checked here because an id out of range would end a GPU's whole context.
    if not 0 <= min(token_ids) <= max(token_ids) < vocab_size:
        raise ValueError(
            f"prompt token ids must be from 0 to {vocab_size - 1}, "
            f"got {min(token_ids)} to {max(token_ids)}"
        )
