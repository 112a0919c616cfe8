"""Settings -> engine and compiler."""

from __future__ import annotations

from typing import Any

from syntagma.decoding.embedded_engine import EmbeddedEngine
from syntagma.decoding.engine import Engine
from syntagma.grammar import CompileLimits, GrammarCompiler
from syntagma.server.metrics import Metrics
from syntagma.server.settings import Settings


class LoadingError(RuntimeError):
    """The model cannot be loaded; the message says which and why."""


def load(settings: Settings, metrics: Metrics) -> tuple[Engine, GrammarCompiler]:
    """Load the model and build the compiler for its tokens.

    Raises:
        LoadingError: there is no such model, or it does not fit the settings.
    """
    engine = load_engine(settings, metrics)
    limits = CompileLimits(
        max_seconds=settings.compile_timeout, max_schema_depth=settings.max_json_depth
    )
    return engine, GrammarCompiler(engine.vocabulary, limits=limits)


def load_engine(settings: Settings, metrics: Metrics) -> Engine:
    """The embedded engine, not started yet.

    Raises:
        LoadingError: there is no such model, or it does not fit the settings.
    """
    options: dict[str, Any] = {
        "device": settings.device,
        "dtype": settings.dtype,
        "max_model_len": settings.max_model_len,
        "max_active": settings.max_active,
        "max_waiting": settings.max_waiting,
    }
    try:
        return EmbeddedEngine.from_pretrained(
            settings.model,
            model_name=settings.public_model_name,
            observer=metrics.observe_step,
            **options,
        )
    except (OSError, ValueError, RuntimeError, AttributeError, ImportError) as error:
        # What transformers and PyTorch raise for models and devices that are not there.
        what = settings.model or "the demo model"
        raise LoadingError(f"cannot load {what}: {error}") from error
