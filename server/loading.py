"""Settings -> engine and compiler."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from syntagma.decoding.draft_sources import model_free_speculator
from syntagma.decoding.embedded_engine import EmbeddedEngine, demo_model_path
from syntagma.decoding.engine import Engine
from syntagma.decoding.vllm_support import check_installed
from syntagma.grammar import CompileLimits, GrammarCompiler
from syntagma.server.metrics import Metrics
from syntagma.server.settings import Settings


class LoadingError(RuntimeError):
    """The model cannot be loaded; the message says which and why."""


def load(settings: Settings, metrics: Metrics) -> tuple[Engine, GrammarCompiler]:
    """Load the model and build the compiler for its tokens.

    Raises:
        LoadingError: there is no such model, it does not fit the settings, or vLLM does not fit.
    """
    limits = CompileLimits(
        max_seconds=settings.compile_timeout, max_schema_depth=settings.max_json_depth
    )
    try:
        if settings.chosen_engine == "vllm":
            return load_vllm(settings, metrics, limits)
        engine = load_embedded(settings, metrics)
    except (OSError, ValueError, LookupError, RuntimeError, AttributeError, ImportError) as error:
        # What transformers, PyTorch and vLLM raise for models and devices that are not there.
        what = settings.model or "the demo model"
        raise LoadingError(f"cannot load {what}: {error}") from error
    return engine, GrammarCompiler(engine.vocabulary, limits=limits)


def load_embedded(settings: Settings, metrics: Metrics) -> Engine:
    """The embedded engine, not started yet; raises what transformers and PyTorch raise."""
    options: dict[str, Any] = {
        "device": settings.device,
        "dtype": settings.dtype,
        "max_model_len": settings.max_model_len,
        "max_active": settings.max_active,
        "max_waiting": settings.max_waiting,
    }
    if settings.speculation:
        corpus = corpus_texts(settings.draft_corpus)

        options["new_speculator"] = functools.partial(
            model_free_speculator, corpus=corpus, max_nodes=settings.max_draft_tokens
        )
    return EmbeddedEngine.from_pretrained(
        settings.model,
        model_name=settings.public_model_name,
        observer=metrics.observe_step,
        **options,
    )


def corpus_texts(files: Iterable[str]) -> list[str]:
    """The documents of text files: each line of a ``.jsonl`` file is one, any other file is one.

    Raises:
        LoadingError: a file cannot be read.
    """
    documents: list[str] = []
    for file in files:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise LoadingError(f"cannot read the draft corpus {file}: {error}") from None
        documents += text.splitlines() if file.endswith(".jsonl") else [text]
    return [document for document in documents if document]


def load_vllm(
    settings: Settings, metrics: Metrics, limits: CompileLimits
) -> tuple[Engine, GrammarCompiler]:
    """vLLM, its processes started, and a compiler that shares its files; raises what vLLM raises."""
    check_installed()
    from syntagma.decoding.vllm_arguments import engine_arguments, split_adapters
    from syntagma.decoding.vllm_engine import VllmEngine

    model = settings.model or str(demo_model_path())
    adapters, arguments = split_adapters(settings.engine_args)
    arguments = [*arguments_of_settings(settings), *arguments]
    engine = VllmEngine(
        engine_arguments(model, arguments),
        model_name=settings.public_model_name,
        adapters=adapters,
        artefact_dir=settings.artefact_dir,
        max_waiting=settings.max_waiting,
        limits=limits,
        observer=metrics.observe_step,
    )
    compiler = GrammarCompiler(engine.vocabulary, cache_dir=engine.artefact_dir, limits=limits)
    return engine, compiler


def arguments_of_settings(settings: Settings) -> list[str]:
    """Settings that have a counterpart of another name or place in vLLM, where they were given.

    Raises:
        ValueError: one that has none.
    """
    given = settings.model_fields_set
    if "device" in given and settings.device != "auto":
        raise ValueError(
            f"device={settings.device!r} is not for vLLM, which takes the device it was built for"
        )
    names = {"dtype": "--dtype", "max_model_len": "--max-model-len", "max_active": "--max-num-seqs"}
    return [
        part
        for key, flag in names.items()
        if key in given and (value := getattr(settings, key)) is not None
        for part in (flag, str(value))
    ]
