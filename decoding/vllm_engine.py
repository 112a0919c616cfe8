"""The engine for production: vLLM, with our masks in its engine core.

The model runs in vLLM's processes; what draws tokens there obeys the masks of `vllm_grammar`. In this process
each choice becomes text in `vllm_choice`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMClientError
from vllm.inputs.engine import tokens_input
from vllm.lora.request import LoRARequest
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from syntagma.decoding.admission import check_request, check_speculation
from syntagma.decoding.artefact_directory import ArtefactDirectory
from syntagma.decoding.draft_sources import corpus_texts
from syntagma.decoding.engine import (
    Engine,
    EngineError,
    EngineOverloadedError,
    EngineStats,
    EngineStoppedError,
    GenerationRequest,
    StepObserver,
    StepReport,
    Tokenizer,
)
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.sequence import Sequence, text_bitmask
from syntagma.decoding.vllm_arguments import with_our_classes
from syntagma.decoding.vllm_choice import FollowedChoice
from syntagma.decoding.vllm_drafting import VLLM_SOURCES, is_ours
from syntagma.decoding.vllm_reasoning import reasoning_marks
from syntagma.decoding.vllm_sampling import sampling_params_of, ticket_of
from syntagma.decoding.vllm_stream import ChoiceStream, ChoiceTasks
from syntagma.decoding.vllm_support import check_installed
from syntagma.decoding.vllm_tree import check_trees
from syntagma.decoding.vllm_vocabulary import vocabulary_of
from syntagma.grammar import CompileLimits, Vocabulary

logger = logging.getLogger(__name__)

# An ordinary schema is compiled from its source in 1.4 ms, written in 21 ms and read in 8 ms, because a file
# holds all of its rules and a compilation only those that are reached. Sharing pays for grammars that are slow.
# A schema of 128 tools takes 30 ms to compile, 640 to write and 70 to read.
SHARING_SECONDS = 0.5
# What is compiled sooner has a source that is written down at once.
SHORT_SECONDS = 0.005
DEAD_MESSAGE = "vLLM's engine process has died; its log says why, and the server must be restarted"


class VllmEngine(Engine):
    """An `Engine` around vLLM.

    Args:
        arguments: vLLM's own; the scheduler class is ours, and so is the worker's unless one is named.
        model_name: what the server calls the model.
        adapters: LoRA adapters by the names that requests use.
        artefact_dir: where finished grammars wait for the engine's processes; None makes one that goes
            with the engine. Processes on other hosts that do not share it compile for themselves.
        max_waiting: requests that may wait for a place; one more is an `EngineOverloadedError`.
        limits: of compilations in the engine's processes.
        draft_corpus: files of texts that outputs are likely to resemble (`corpus_texts`), which the engine's
            processes read; for drafts of all tenants.
        observer: told about every message of tokens, from the event loop.

    Raises:
        VllmUnsupportedError: the installed vLLM does not fit.
        ValueError: vLLM refuses the arguments, a file of the corpus cannot be read, or there is a corpus and our
            drafts are not asked for.
        OSError: there is no such model, or the directory cannot be made.
        RuntimeError: vLLM's processes do not start.
    """

    def __init__(
        self,
        arguments: AsyncEngineArgs,
        *,
        model_name: str,
        adapters: Mapping[str, Path] | None = None,
        artefact_dir: Path | None = None,
        max_waiting: int = 256,
        limits: CompileLimits | None = None,
        draft_corpus: tuple[Path, ...] = (),
        observer: StepObserver | None = None,
    ) -> None:
        check_installed()
        corpus_texts(map(str, draft_corpus))  # what an engine process says of it is hard to find
        self._model_name = model_name
        self._max_waiting = max_waiting
        self._observer = observer
        self._adapters = _lora_requests(adapters or {}, is_enabled=arguments.enable_lora)
        self._open: dict[str, ChoiceTasks] = {}
        self._num_prompt_tokens = self._num_generated_tokens = self._num_forced_tokens = 0
        self._mask_seconds = 0.0
        self._is_started = False
        self._ending: asyncio.Task[None] | None = None
        with contextlib.ExitStack() as undo:
            directory = artefact_dir
            if directory is None:
                made = tempfile.TemporaryDirectory(prefix="syntagma-", ignore_cleanup_errors=True)
                directory = Path(undo.enter_context(made))
            self._artefacts = ArtefactDirectory(directory)
            arguments = with_our_classes(arguments, directory, limits, draft_corpus)
            config = arguments.create_engine_config(UsageContext.OPENAI_API_SERVER)
            if draft_corpus and not is_ours(config):
                raise ValueError("a draft corpus is for our own drafts, which are not asked for")
            check_trees(config)
            self._tokenizer: Any = cached_tokenizer_from_config(config.model_config)
            self._vocabulary = vocabulary_of(config.model_config, self._tokenizer)
            self._text_bitmask = text_bitmask(self._vocabulary)
            self._marks = reasoning_marks(config.structured_outputs_config, self._tokenizer)
            self._silent_ids = _silent_ids(self._text_bitmask, self._vocabulary.size)
            self._is_speculative = config.speculative_config is not None
            self._draft_sources = VLLM_SOURCES if is_ours(config) else ()
            self._max_model_len = int(config.model_config.max_model_len)
            self._max_running = int(config.scheduler_config.max_num_seqs)
            self._has_priorities = config.scheduler_config.policy == "priority"
            self._llm = AsyncLLM.from_vllm_config(
                config,
                enable_log_requests=arguments.enable_log_requests,
                disable_log_stats=arguments.disable_log_stats,
            )
            self._files = undo.pop_all()

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
        tokenizer: Tokenizer = self._tokenizer
        return tokenizer

    @property
    def max_model_len(self) -> int:
        """Prompt and output tokens together, at most."""
        return self._max_model_len

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the LoRA adapters."""
        return tuple(self._adapters)

    @property
    def artefact_dir(self) -> Path:
        """Where grammars, and what depends on the vocabulary alone, are kept."""
        return self._artefacts.path

    @property
    def is_running(self) -> bool:
        """Started, not shut down, and vLLM's processes live."""
        return self._is_started and not self._llm.errored

    @property
    def num_active(self) -> int:
        """Requests running or waiting now."""
        return len(self._open)

    @property
    def stats(self) -> EngineStats:
        """What was done so far; a request waits until its first token is here.

        Masks and forced tokens are those seen in this process: of outputs that come with log-probabilities.
        """
        num_running = sum(tasks.has_begun for tasks in self._open.values())
        return EngineStats(
            requests_running=num_running,
            requests_waiting=len(self._open) - num_running,
            prompt_tokens_total=self._num_prompt_tokens,
            generated_tokens_total=self._num_generated_tokens,
            forced_tokens_total=self._num_forced_tokens,
            mask_seconds_total=self._mask_seconds,
        )

    async def start(self) -> None:
        """Load the adapters and take requests; vLLM's processes run since the constructor.

        Raises:
            RuntimeError: it was started before.
            EngineError: vLLM cannot load an adapter.
        """
        if self._is_started:
            raise RuntimeError("the engine was started before")
        for adapter in self._adapters.values():
            try:
                await self._llm.add_lora(adapter)
            except Exception as error:
                raise EngineError(f"cannot load adapter {adapter.lora_name!r}: {error}") from error
        self._is_started = True

    async def shutdown(self) -> None:
        """End vLLM's processes; streams still open end with an error. A second call waits for the first."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        self._is_started = False
        self._fail_all(EngineError("the engine was shut down"))
        if self._llm.output_handler is not None:
            self._llm.output_handler.cancel()  # or it would report that the processes have died
        await asyncio.to_thread(self._llm.shutdown)
        del self._llm  # while the interpreter can still run its finaliser
        self._files.close()

    def generate(self, request: GenerationRequest) -> ChoiceStream:
        """Begin a request at once; its deltas come from the iterator. See `Engine.generate`."""
        check_request(
            request,
            vocabulary=self._vocabulary,
            max_model_len=self._max_model_len,
            adapters=self._adapters,
            has_priorities=self._has_priorities,
        )
        check_speculation(request, self._draft_sources)
        if not self.is_running:
            raise EngineStoppedError(
                DEAD_MESSAGE if self._is_started else "the engine is not running"
            )
        request_id = request.request_id
        if request_id in self._open:
            raise ValueError(f"request id {request_id!r} is in use")
        num_choices = sum(tasks.num_choices for tasks in self._open.values())
        if num_choices - self._max_running >= self._max_waiting:
            raise EngineOverloadedError(
                f"{num_choices - self._max_running} requests wait already; "
                f"the limit is {self._max_waiting}"
            )

        async def run_choice(tasks: ChoiceTasks, index: int) -> None:
            await self._run_choice(tasks, request, index)

        tasks = ChoiceTasks(
            request.sampling.n, run_choice, lambda: self._open.pop(request_id, None)
        )
        self._open[request_id] = tasks
        return ChoiceStream(tasks)

    async def abort(self, request_id: str) -> None:
        """End a request; an unknown id is ignored, it may just have ended."""
        tasks = self._open.get(request_id)
        if tasks is not None:
            tasks.is_aborted = True
            ids = [_choice_id(request_id, index) for index in range(tasks.num_choices)]
            await self._llm.abort(ids)

    # -------------------------------------------------------------------------- one choice

    async def _run_choice(self, tasks: ChoiceTasks, request: GenerationRequest, index: int) -> None:
        """Follow a choice from its first token to its end.

        Raises:
            ValueError: vLLM does not take the request.
            EngineStoppedError: vLLM has died.
            EngineError: the request failed.
        """
        choice = self._new_choice(request, index)
        if not choice.is_reasoning and _is_complete(request):  # the grammar's only word is empty
            tasks.send(choice.end("stop"))
            return
        ticket = await self._ticket(request)
        try:
            await self._follow(tasks, choice, ticket)
        except VLLMClientError as error:
            raise ValueError(str(error)) from error
        except EngineDeadError as error:
            raise EngineStoppedError(DEAD_MESSAGE) from error

    async def _ticket(self, request: GenerationRequest) -> str | None:
        """What vLLM is told of the grammar; long sources are written down off the event loop."""
        if request.grammar is None:
            return None
        is_short = request.grammar.compile_seconds < SHORT_SECONDS
        if is_short and request.grammar_spec is not None:
            return self._share(request)
        return await asyncio.to_thread(self._share, request)

    def _share(self, request: GenerationRequest) -> str:
        """The ticket, and beside it the finished grammar where that pays."""
        grammar = request.grammar
        assert grammar is not None, "only grammars are shared"
        if request.grammar_spec is None or grammar.compile_seconds >= SHARING_SECONDS:
            self._artefacts.publish(grammar)
        return ticket_of(request, is_shared=self._artefacts.has(grammar.hash))

    async def _follow(self, tasks: ChoiceTasks, choice: FollowedChoice, ticket: str | None) -> None:
        if tasks.is_aborted:
            tasks.send(choice.end("abort"))
            return
        request, index = choice.output.request, choice.output.index
        results = self._llm.generate(
            tokens_input(list(request.prompt_token_ids)),
            self._sampling_params(choice, ticket),
            _choice_id(request.request_id, index),
            lora_request=None if request.adapter is None else self._adapters[request.adapter],
            priority=request.priority,
            reasoning_ended=None if choice.is_reasoning else True,
        )
        async with aclosing(results):
            async for result in results:
                tasks.send(choice.take(result))
                if choice.is_finished and not result.finished:
                    return  # closing the generator tells vLLM to stop
        if not choice.is_finished:
            raise EngineError("vLLM ended the output without a reason")

    def _new_choice(self, request: GenerationRequest, index: int) -> FollowedChoice:
        reasoning = None
        if request.may_reason and self._marks is not None:
            reasoning = self._marks.follow(request.prompt_token_ids)
        matcher = None
        if request.grammar is not None and request.sampling.logprobs is not None:
            matcher = Matcher(request.grammar)
        output = Sequence.from_request(
            request,
            index,
            vocabulary=self._vocabulary,
            max_model_len=self._max_model_len,
            matcher=matcher,
            text_bitmask=self._text_bitmask,
        )
        return FollowedChoice(output, reasoning, self._count)

    def _sampling_params(self, choice: FollowedChoice, ticket: str | None) -> Any:
        output = choice.output
        return sampling_params_of(
            output.request,
            output.index,
            vocabulary=self._vocabulary,
            max_output_tokens=output.max_output_tokens,
            silent_ids=self._silent_ids_of(choice),
            ticket=ticket,
        )

    def _silent_ids_of(self, choice: FollowedChoice) -> tuple[int, ...]:
        """Control tokens that a choice may not contain, where no grammar sees to that."""
        is_constrained = choice.output.request.grammar is not None and not choice.is_reasoning
        if self._is_speculative or is_constrained:  # vLLM takes no biases beside speculation
            return ()
        if self._marks is None or not choice.is_reasoning:
            return self._silent_ids
        return tuple(i for i in self._silent_ids if i not in self._marks.token_ids)

    def _count(self, report: StepReport) -> None:
        self._num_prompt_tokens += report.num_prompt_tokens
        self._num_generated_tokens += report.num_generated_tokens
        self._num_forced_tokens += report.num_forced_tokens
        self._mask_seconds += sum(report.mask_seconds)
        if self._observer is not None:
            self._observer(report)

    def _fail_all(self, error: EngineError) -> None:
        for tasks in list(self._open.values()):
            tasks.fail(error)


def _lora_requests(adapters: Mapping[str, Path], *, is_enabled: bool) -> dict[str, LoRARequest]:
    """vLLM's records of adapters, which it numbers from 1."""
    if adapters and not is_enabled:
        raise ValueError(f"the adapters {', '.join(adapters)} need --enable-lora")
    return {
        name: LoRARequest(name, number, str(path))
        for number, (name, path) in enumerate(adapters.items(), start=1)
    }


def _is_complete(request: GenerationRequest) -> bool:
    """Whether nothing but the empty output fits."""
    grammar = request.grammar
    return grammar is not None and grammar.accepts_empty_word and Matcher(grammar).is_complete()


def _silent_ids(bitmask: Any, vocab_size: int) -> tuple[int, ...]:
    """The tokens that a bitmask forbids."""
    bits = np.unpackbits(
        bitmask[0].astype("<i4").view(np.uint8), count=vocab_size, bitorder="little"
    )
    return tuple(np.flatnonzero(bits == 0).tolist())


def _choice_id(request_id: str, index: int) -> str:
    return f"{request_id}-{index}"
