"""Settings -> engine and compiler."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from syntagma.decoding.draft_sources import corpus_texts, new_speculator
from syntagma.decoding.drafter import Drafter
from syntagma.decoding.embedded_engine import (
    EmbeddedEngine,
    chosen_device,
    chosen_dtype,
    demo_model_path,
)
from syntagma.decoding.engine import Engine
from syntagma.decoding.vllm_support import DRAFT_PROPOSER, TREE_PROPOSER, check_installed
from syntagma.grammar import CompileLimits, GrammarCompiler, Vocabulary
from syntagma.server.compile_pool import CompilePool
from syntagma.server.metrics import Metrics
from syntagma.server.settings import Settings

VLLM_DRAFT_TOKENS = 8
"""Drafted tokens that vLLM verifies in one step where nothing is said: each takes a row of masks."""
VLLM_TREE_NODES = 16
"""Likewise, where drafts are trees."""

logger = logging.getLogger(__name__)


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


def compile_pool(
    settings: Settings, engine: Engine, compiler: GrammarCompiler, metrics: Metrics
) -> CompilePool | None:
    """The processes that compile what takes long, not started yet; None: there are to be none."""
    if not settings.compile_processes:
        return None
    return CompilePool(
        compiler,
        num_processes=settings.compile_processes,
        max_bytes=settings.compile_memory_bytes,
        directory=engine.artefact_dir,
        metrics=metrics,
    )


def load_embedded(settings: Settings, metrics: Metrics) -> Engine:
    """The embedded engine, not started yet; raises what transformers and PyTorch raise."""
    options: dict[str, Any] = {
        "device": settings.device,
        "dtype": settings.dtype,
        "max_model_len": settings.max_model_len,
        "max_active": settings.max_active,
        "max_waiting": settings.max_waiting,
    }
    if settings.speculation_tree:
        raise ValueError("speculation_tree is for vLLM; the embedded engine verifies trees anyway")
    if settings.speculation:
        corpus = corpus_texts(settings.draft_corpus)
        options["new_speculator"] = functools.partial(
            new_speculator,
            corpus=corpus,
            new_model_drafter=model_drafter_of(settings),
            max_nodes=settings.max_draft_tokens,
        )
    engine = EmbeddedEngine.from_pretrained(
        settings.model,
        model_name=settings.public_model_name,
        observer=metrics.observe_step,
        **options,
    )
    if settings.speculation and engine.draft_shape == "none":
        logger.warning("this model cannot verify drafts: one token a pass")
    return engine


def model_drafter_of(settings: Settings) -> Callable[[Vocabulary], Drafter] | None:
    """Loads the draft model beside the target model; None: there is none."""
    if settings.draft_model is None:
        return None
    from syntagma.decoding.draft_model import load_model_drafter

    device = chosen_device(settings.device)
    dtype = chosen_dtype(settings.dtype, device)
    return functools.partial(load_model_drafter, settings.draft_model, device=device, dtype=dtype)


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
        draft_corpus=tuple(map(Path, settings.draft_corpus)),
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
    if settings.draft_model is not None:
        raise ValueError(
            "draft_model is for the embedded engine; vLLM's own drafters are asked for with "
            "--speculative-config"
        )
    has_trees = settings.speculation_tree
    if has_trees and not settings.speculation:
        raise ValueError("speculation_tree asks for drafts, and speculation=False for none")
    has_drafts = has_trees or ("speculation" in given and settings.speculation)
    if "max_draft_tokens" in given and not has_drafts:
        raise ValueError(
            "max_draft_tokens needs --speculation on vLLM, which does not draft by default"
        )
    if settings.draft_corpus and not has_drafts:
        raise ValueError(
            "draft_corpus needs --speculation on vLLM, which does not draft by default"
        )
    names = {"dtype": "--dtype", "max_model_len": "--max-model-len", "max_active": "--max-num-seqs"}
    arguments = [
        part
        for key, flag in names.items()
        if key in given and (value := getattr(settings, key)) is not None
        for part in (flag, str(value))
    ]
    if has_drafts:
        # Not by default: vLLM schedules one step after the other then, and refuses some parameters.
        usual = VLLM_TREE_NODES if has_trees else VLLM_DRAFT_TOKENS
        most = settings.max_draft_tokens if "max_draft_tokens" in given else usual
        proposer = TREE_PROPOSER if has_trees else DRAFT_PROPOSER
        drafts = {"model": proposer, "num_speculative_tokens": most}
        arguments += ["--speculative-config", json.dumps(drafts)]
    return arguments
