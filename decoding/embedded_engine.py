"""The default engine: any Hugging Face causal language model, in this process, on CPU or one GPU.

Nothing of the model runs in the event loop: a thread of its own runs a `Worker`, and what it draws
crosses over once a step.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from syntagma.decoding.admission import check_request, check_speculation
from syntagma.decoding.cached_model import DraftShape, find_draft_shape
from syntagma.decoding.draft_tree import Source
from syntagma.decoding.engine import Engine, EngineStats, GenerationRequest, StepObserver, Tokenizer
from syntagma.decoding.hugging_face_model import HuggingFaceModel
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.speculation import Speculator
from syntagma.decoding.stream import DeltaIterator, RequestQueue, Stream
from syntagma.decoding.worker import Worker
from syntagma.grammar import CompiledGrammar, Vocabulary

# Below this a pass is too short to share, and waiting for a thread whose core is busy elsewhere costs
# far more than it brings: on two busy cores the demo model decoded 140 tokens a second with one
# thread, 15 with two.
_SMALL_MODEL_PARAMETERS = 50_000_000


class EngineOptions(TypedDict, total=False):
    """The options `EmbeddedEngine` has beside those of its model."""

    max_active: int
    max_waiting: int
    prefill_chunk: int
    torch_threads: int | None
    new_matcher: Callable[[CompiledGrammar], Matcher]
    observer: StepObserver | None
    new_speculator: Callable[[Vocabulary, Tokenizer, bool], Speculator] | None


def demo_model_path() -> Path:
    """The folder of the small model that ships with the package."""
    return Path(__file__).parent / "demo_model"


class EmbeddedEngine(Engine):
    """An `Engine` around a model in this process.

    The same seed gives the same text whatever else runs, because each sequence has its own
    forward pass and its own random numbers. With drafts that holds up to rounding, which depends on
    how many tokens a pass reads (docs/speculation.md).

    Args:
        model: a causal language model of transformers, on its device.
        tokenizer: its tokenizer.
        vocabulary: its tokens; ``vocabulary.size`` is the width of the model's logits.
        model_name: what the server calls it.
        max_model_len: prompt and output tokens together, at most.
        max_active: sequences decoded together; n choices are n sequences.
        max_waiting: requests that may wait for a place; one more is an `EngineOverloadedError`.
        prefill_chunk: prompt tokens read in one step, over all sequences. Recurrent models read
            every prompt in one go: most cannot extend their state by several tokens.
        torch_threads: CPU threads of a forward pass; None is one for a small model and PyTorch's
            own choice for a larger one.
        new_matcher: makes the matcher of a choice.
        observer: told about every step, from the worker thread.
        new_speculator: makes the sources of drafts, told whether the model verifies chains only; None:
            nothing is drafted, as with a model that cannot verify drafts.

    Raises:
        ValueError: a limit is below 1.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        *,
        model_name: str,
        max_model_len: int,
        max_active: int = 16,
        max_waiting: int = 256,
        prefill_chunk: int = 512,
        torch_threads: int | None = None,
        new_matcher: Callable[[CompiledGrammar], Matcher] = Matcher,
        observer: StepObserver | None = None,
        new_speculator: Callable[[Vocabulary, Tokenizer, bool], Speculator] | None = None,
    ) -> None:
        if torch_threads is None:
            is_small = model.num_parameters() < _SMALL_MODEL_PARAMETERS
            torch_threads = 1 if is_small else torch.get_num_threads()
        limits = {
            "max_model_len": max_model_len,
            "max_active": max_active,
            "max_waiting": max_waiting,
            "prefill_chunk": prefill_chunk,
            "torch_threads": torch_threads,
        }
        for name, limit in limits.items():
            if limit < 1:
                raise ValueError(f"{name} must be 1 or more, got {limit!r}")
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._model_name = model_name
        self._max_model_len = max_model_len
        self._torch_threads = torch_threads
        self._queue = RequestQueue(max_waiting)
        cached_model = HuggingFaceModel(model)
        self._draft_shape: DraftShape = "none"
        self._draft_sources: tuple[Source, ...] = ()
        speculator = None
        if new_speculator is not None:
            with torch.inference_mode():
                self._draft_shape = find_draft_shape(cached_model)
        if new_speculator is not None and self._draft_shape != "none":
            speculator = new_speculator(vocabulary, tokenizer, self._draft_shape == "chain")
            self._draft_sources = tuple(drafter.source for drafter in speculator.drafters)
        self._worker = Worker(
            cached_model,
            vocabulary,
            self._queue,
            max_model_len=max_model_len,
            max_active=max_active,
            prefill_chunk=prefill_chunk,
            new_matcher=new_matcher,
            observer=observer,
            speculator=speculator,
        )
        self._thread = threading.Thread(target=self._serve, name="embedded-engine", daemon=True)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_model_len: int | None = None,
        model_name: str | None = None,
        **options: Unpack[EngineOptions],
    ) -> EmbeddedEngine:
        """Load a model and its tokenizer.

        Args:
            model: a folder or a name on the Hugging Face hub; None is the demo model.
            device: ``auto`` takes the GPU if there is one.
            dtype: of the weights (``float32``, ``bfloat16``, ...); ``auto`` is the checkpoint's
                own on a GPU and float32 on a CPU.
            max_model_len: None is what the model was made for.
            model_name: None is the hub name, or the folder's.
            options: of the constructor.

        Raises:
            ValueError: ``max_model_len`` exceeds the model's or neither says, or the device is not
                there.
        """
        source = demo_model_path() if model is None else model
        device = chosen_device(device)
        dtype = chosen_dtype(dtype, device)
        network: Any = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
        network.to(device).eval()
        tokenizer = AutoTokenizer.from_pretrained(source)
        context = getattr(network.config.get_text_config(), "max_position_embeddings", None)
        if max_model_len is None:
            max_model_len = context
        if max_model_len is None:
            raise ValueError(f"{source} does not say how long its context is: give max_model_len")
        if context is not None and max_model_len > context:
            raise ValueError(f"max_model_len {max_model_len} exceeds the model's {context}")
        vocabulary = Vocabulary.from_tokenizer(
            tokenizer,
            vocab_size=network.get_output_embeddings().weight.shape[0],
            stop_ids=_stop_ids(network, tokenizer),
        )
        return cls(
            network,
            tokenizer,
            vocabulary,
            model_name=model_name or (Path(source).name if Path(source).is_dir() else str(source)),
            max_model_len=max_model_len,
            **options,
        )

    @property
    def model_name(self) -> str:
        """What the server calls the model."""
        return self._model_name

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens; grammars must be compiled for them."""
        return self._vocabulary

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self._tokenizer

    @property
    def max_model_len(self) -> int:
        """Prompt and output tokens together, at most."""
        return self._max_model_len

    @property
    def draft_shape(self) -> DraftShape:
        """What drafts the model verifies; ``none`` also where none are made."""
        return self._draft_shape

    @property
    def is_running(self) -> bool:
        """Whether the worker thread is alive."""
        return self._thread.is_alive()

    @property
    def num_active(self) -> int:
        """Requests running or waiting now."""
        return self._queue.num_open

    @property
    def stats(self) -> EngineStats:
        """What was done so far, and how many requests run and wait now."""
        num_waiting = self._queue.num_waiting
        return replace(
            self._worker.totals,
            requests_running=max(0, self._queue.num_open - num_waiting),
            requests_waiting=num_waiting,
        )

    async def start(self) -> None:
        """Start the worker thread; an engine starts once.

        Raises:
            RuntimeError: it was started before.
        """
        if self._thread.ident is not None:
            raise RuntimeError("the engine was started before")
        self._queue.start()
        self._thread.start()

    async def shutdown(self) -> None:
        """End the worker thread after its current step; streams still open end with an error."""
        self._queue.stop()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def generate(self, request: GenerationRequest) -> DeltaIterator:
        """Queue a request at once; its deltas come from the iterator. See `Engine.generate`."""
        check_request(request, vocabulary=self._vocabulary, max_model_len=self._max_model_len)
        check_speculation(request, self._draft_sources)
        stream = Stream(request, asyncio.get_running_loop())
        self._queue.submit(stream)
        return DeltaIterator(stream)

    async def abort(self, request_id: str) -> None:
        """End a request at the next step; an unknown id is ignored, it may just have ended."""
        self._queue.abort(request_id)

    def _serve(self) -> None:
        torch.set_num_threads(self._torch_threads)
        with torch.inference_mode():
            self._worker.run()


def chosen_device(device: str) -> str:
    """What ``auto`` stands for.

    Raises:
        ValueError: a GPU is asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but PyTorch finds no GPU")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def chosen_dtype(dtype: str, device: str) -> str:
    """What ``auto`` stands for: on a CPU float32, else the checkpoint's own."""
    return "float32" if dtype == "auto" and device == "cpu" else dtype


def _stop_ids(model: Any, tokenizer: Any) -> set[int] | None:
    """What ends an output by the model's generation settings or its tokenizer; None if neither says.

    Chat models often have one for a turn and one for the text, each named in another place.
    """
    stop_ids: set[int] = set()
    for given in (model.generation_config.eos_token_id, tokenizer.eos_token_id):
        if given is not None:
            stop_ids.update([given] if isinstance(given, int) else given)
    return stop_ids or None
