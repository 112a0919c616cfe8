"""For vLLM's own server: our backend, chosen by whoever runs it.

vLLM calls `register` in every process, front end, engine and workers, as often as it likes. Constrained
requests go to our backend if ``SYNTAGMA_VLLM_PLUGIN=1`` is set, or for engines whose ``additional_config`` has
``{"syntagma": {"plugin": true}}``; all others are passed on untouched. ``SYNTAGMA_VLLM_PLUGIN=0`` keeps even
the looking away. Where the variable is 1, the known fault of speculation on CPU is mended as well.

Our own server needs none of this: it has a scheduler class.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

from syntagma.decoding.vllm_support import (
    VllmUnsupportedError,
    check_installed,
    check_version,
    installed_version,
)

logger = logging.getLogger(__name__)

VARIABLE = "SYNTAGMA_VLLM_PLUGIN"
# A compilation in the front end holds up its event loop, as the checks of vLLM's own backends do.
FRONT_END_SECONDS = 0.5
_MARK = "is_from_syntagma"
# Of engines whose additional_config asks for us; kept alive, so that no other object gets their identity.
_chosen_configs: dict[int, Any] = {}


def register() -> None:
    """Put our functions around vLLM's; a second call changes nothing.

    Raises:
        VllmUnsupportedError: the variable asks for us, and the installed vLLM does not fit.
    """
    asked = os.environ.get(VARIABLE)
    if asked == "0":
        return
    try:
        check_installed() if asked == "1" else check_version(installed_version())
    except VllmUnsupportedError:
        if asked == "1":
            raise
        return
    from vllm.sampling_params import SamplingParams
    from vllm.v1.engine.input_processor import InputProcessor
    from vllm.v1.structured_output import StructuredOutputManager

    _wrap(InputProcessor, "__init__", _note_choice)
    _wrap(SamplingParams, "_validate_structured_outputs", _validate)
    _wrap(StructuredOutputManager, "grammar_init", _grammar_init)
    if asked == "1":
        from vllm.v1.sample.rejection_sampler import RejectionSampler

        _wrap(RejectionSampler, "__init__", _mend_first)


def _wrap(owner: type, name: str, around: Callable[..., Any]) -> None:
    """Let `around` decide what becomes of a method's calls; it gets the original first."""
    original = getattr(owner, name)
    if hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        return around(original, self, *args, **kwargs)

    setattr(wrapper, _MARK, True)
    setattr(owner, name, wrapper)


def _note_choice(
    original: Callable[..., Any], self: Any, vllm_config: Any, *args: Any, **kwargs: Any
) -> None:
    """`InputProcessor.__init__`: an engine of this front end."""
    original(self, vllm_config, *args, **kwargs)
    if _asks_for_us(vllm_config):
        config = vllm_config.structured_outputs_config
        _chosen_configs[id(config)] = config


def _asks_for_us(vllm_config: Any) -> bool:
    from syntagma.decoding.vllm_options import CONFIG_KEY

    additional = vllm_config.additional_config
    options = additional.get(CONFIG_KEY, {}) if isinstance(additional, dict) else {}
    return bool(options.get("plugin"))


def _validate(
    original: Callable[..., Any],
    self: Any,
    model_config: Any,
    structured_outputs_config: Any,
    tokenizer: Any,
) -> None:
    """`SamplingParams._validate_structured_outputs`: in the front end, for each request."""
    outputs = self.structured_outputs
    is_ours = os.environ.get(VARIABLE) == "1" or id(structured_outputs_config) in _chosen_configs
    if outputs is None or structured_outputs_config is None or not is_ours:
        original(self, model_config, structured_outputs_config, tokenizer)
        return
    from vllm.exceptions import VLLMValidationError
    from vllm.v1.structured_output.request import get_structured_output_key

    from syntagma.decoding.vllm_grammar import spec_of
    from syntagma.decoding.vllm_sampling import BACKEND_NAME
    from syntagma.grammar import GrammarError

    try:
        spec = spec_of(*get_structured_output_key(outputs))
        spec.compile(_front_end_compiler(_Model(model_config, tokenizer)))
    except (GrammarError, ValueError) as error:
        raise VLLMValidationError(f"structured_outputs: {error}") from error
    outputs._backend = BACKEND_NAME
    outputs._backend_was_auto = True


class _Model:
    """A model's configuration and tokenizer as the key of a cache; equal if the configuration is the same."""

    def __init__(self, config: Any, tokenizer: Any) -> None:
        self.config = config
        self.tokenizer = tokenizer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Model) and other.config is self.config

    def __hash__(self) -> int:
        return id(self.config)


@functools.lru_cache(maxsize=4)
def _front_end_compiler(model: _Model) -> Any:
    from syntagma.decoding.vllm_vocabulary import vocabulary_of
    from syntagma.grammar import CompileLimits, GrammarCompiler

    limits = CompileLimits(max_seconds=FRONT_END_SECONDS)
    return GrammarCompiler(vocabulary_of(model.config, model.tokenizer), limits=limits)


def _grammar_init(original: Callable[..., Any], self: Any, request: Any) -> None:
    """`StructuredOutputManager.grammar_init`: in the engine's process, when a request comes in."""
    from syntagma.decoding.vllm_grammar import SyntagmaBackend
    from syntagma.decoding.vllm_sampling import BACKEND_NAME

    params = request.sampling_params
    outputs = None if params is None else params.structured_outputs
    if self.backend is None and outputs is not None and outputs._backend == BACKEND_NAME:
        self.backend = SyntagmaBackend(
            self.vllm_config,
            tokenizer=self.tokenizer,
            vocab_size=self.vllm_config.model_config.get_vocab_size(),
        )
    original(self, request)


def _mend_first(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
    """`RejectionSampler.__init__`: in a worker that speculates, when its kernels are in place."""
    from vllm.platforms import current_platform

    from syntagma.decoding.vllm_mending import mend_expand

    if current_platform.is_cpu():
        mend_expand()
    original(self, *args, **kwargs)
