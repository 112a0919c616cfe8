"""From a compiled grammar to tokens: the matcher, and the engines that draw under its masks.

The engines themselves are imported from their own modules (``syntagma.decoding.embedded_engine``),
because they load heavy libraries.
"""

from syntagma.decoding.engine import (
    Delta,
    Engine,
    EngineError,
    EngineOverloadedError,
    EngineStats,
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
    "FinishReason",
    "GenerationRequest",
    "Matcher",
    "SamplingParams",
    "StepObserver",
    "StepReport",
    "TokenLogprob",
    "Tokenizer",
]
