"""From a compiled grammar to tokens: the matcher, and the engines that draw under its masks.

The names below are loaded when they are first used, so that a part which needs no kernels, such as the plugin
that vLLM loads in all its processes, does not load them. The engines themselves are imported from their own
modules (``syntagma.decoding.embedded_engine``), because they load heavy libraries.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syntagma.decoding.engine import (
        Delta,
        Engine,
        EngineError,
        EngineOverloadedError,
        EngineStats,
        EngineStoppedError,
        FinishReason,
        GenerationRequest,
        SamplingParams,
        StepObserver,
        StepReport,
        Tokenizer,
        TokenLogprob,
    )
    from syntagma.decoding.matcher import Matcher

__all__ = [
    "Delta",
    "Engine",
    "EngineError",
    "EngineOverloadedError",
    "EngineStats",
    "EngineStoppedError",
    "FinishReason",
    "GenerationRequest",
    "Matcher",
    "SamplingParams",
    "StepObserver",
    "StepReport",
    "TokenLogprob",
    "Tokenizer",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "matcher" if name == "Matcher" else "engine"
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
