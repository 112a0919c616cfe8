"""The engine for production: vLLM, with our masks in its engine core.

The model runs in vLLM's processes; what draws tokens there obeys the masks of `vllm_grammar`. In this process
each output is followed by a matcher of its own, as in the embedded engine: it turns tokens into text, knows
when nothing can follow, and would notice a token that the grammar does not allow.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMClientError
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from syntagma.decoding import vllm_scheduler, vllm_worker
from syntagma.decoding.admission import check_request, check_speculation
from syntagma.decoding.artefact_directory import ArtefactDirectory
from syntagma.decoding.engine import (
    Delta,
    Engine,
    EngineError,
    EngineOverloadedError,
    EngineStats,
    EngineStoppedError,
    FinishReason,
    GenerationRequest,
    StepObserver,
    StepReport,
    Tokenizer,
    TokenLogprob,
)
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.sequence import Sequence, text_bitmask
from syntagma.decoding.vllm_drafting import VLLM_SOURCES, is_ours
from syntagma.decoding.vllm_grammar import CONFIG_KEY
from syntagma.decoding.vllm_sampling import sampling_params_of, ticket_of
from syntagma.decoding.vllm_stream import ChoiceStream, ChoiceTasks
from syntagma.decoding.vllm_support import check_installed
from syntagma.decoding.vllm_vocabulary import vocabulary_of
from syntagma.grammar import CompiledGrammar, CompileLimits, Vocabulary

logger = logging.getLogger(__name__)

# An ordinary schema is compiled from its source in 1.4 ms, written in 21 ms and read in 8 ms, because a file
# holds all of its rules and a compilation only those that are reached. Sharing pays for grammars that are slow.
SHARING_SECONDS = 0.05
# What is compiled sooner has a source that is written down at once.
SHORT_SECONDS = 0.005
DEAD_MESSAGE = "vLLM's engine process has died; its log says why, and the server must be restarted"


class VllmEngine(Engine):
    """An `Engine` around vLLM.

    Args:
        arguments: vLLM's own; the scheduler class is ours, and so is the worker's unless one is named.
        model_name: what the server calls the model.
        artefact_dir: where finished grammars wait for the engine's processes; None makes one that goes
            with the engine. Processes on other hosts that do not share it compile for themselves.
        max_waiting: requests that may wait for a place; one more is an `EngineOverloadedError`.
        limits: of compilations in the engine's processes.
        new_matcher: makes the matcher that follows a choice here.
        observer: told about every token, from the event loop.

    Raises:
        VllmUnsupportedError: the installed vLLM does not fit.
        ValueError: vLLM refuses the arguments.
        OSError: there is no such model, or the directory cannot be made.
        RuntimeError: vLLM's processes do not start.
    """

    def __init__(
        self,
        arguments: AsyncEngineArgs,
        *,
        model_name: str,
        artefact_dir: Path | None = None,
        max_waiting: int = 256,
        limits: CompileLimits | None = None,
        new_matcher: Callable[[CompiledGrammar], Matcher] = Matcher,
        observer: StepObserver | None = None,
    ) -> None:
        check_installed()
        self._model_name = model_name
        self._max_waiting = max_waiting
        self._new_matcher = new_matcher
        self._observer = observer
        self._open: dict[str, ChoiceTasks] = {}
        self._totals = EngineStats()
        self._is_started = False
        with contextlib.ExitStack() as undo:
            directory = artefact_dir
            if directory is None:
                made = tempfile.TemporaryDirectory(prefix="syntagma-", ignore_cleanup_errors=True)
                directory = Path(undo.enter_context(made))
            self._artefacts = ArtefactDirectory(directory)
            config = _configured(arguments, directory, limits).create_engine_config(
                UsageContext.OPENAI_API_SERVER
            )
            self._tokenizer: Any = cached_tokenizer_from_config(config.model_config)
            self._vocabulary = vocabulary_of(config.model_config, self._tokenizer)
            self._text_bitmask = text_bitmask(self._vocabulary)
            self._silent_ids = _silent_ids(self._text_bitmask, self._vocabulary.size)
            self._is_speculative = config.speculative_config is not None
            self._draft_sources = VLLM_SOURCES if is_ours(config) else ()
            self._max_model_len = int(config.model_config.max_model_len)
            self._max_running = int(config.scheduler_config.max_num_seqs)
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

        Masks and forced tokens are those seen in this process: of outputs that may end, or that come with
        log-probabilities.
        """
        num_running = sum(tasks.has_begun for tasks in self._open.values())
        return replace(
            self._totals,
            requests_running=num_running,
            requests_waiting=len(self._open) - num_running,
        )

    async def start(self) -> None:
        """Take requests; vLLM's processes run since the constructor.

        Raises:
            RuntimeError: it was started before.
        """
        if self._is_started:
            raise RuntimeError("the engine was started before")
        self._is_started = True

    async def shutdown(self) -> None:
        """End vLLM's processes; streams still open end with an error."""
        self._is_started = False
        self._fail_all(EngineError("the engine was shut down"))
        if self._llm.output_handler is not None:
            self._llm.output_handler.cancel()  # or it would report that the processes have died
        await asyncio.to_thread(self._llm.shutdown)
        del self._llm  # while the interpreter can still run its finaliser
        self._files.close()

    def generate(self, request: GenerationRequest) -> ChoiceStream:
        """Begin a request at once; its deltas come from the iterator. See `Engine.generate`."""
        check_request(request, vocabulary=self._vocabulary, max_model_len=self._max_model_len)
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
        output = self._new_output(request, index)
        text = self._prepare(output)
        if output.is_finished or tasks.is_aborted:  # the grammar's only word is empty
            text += "" if output.is_finished else output.finish("abort")
            tasks.send(_delta(output, text))
            return
        ticket = await self._ticket(request)
        try:
            await self._follow(tasks, output, ticket)
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
            return ticket_of(request)
        return await asyncio.to_thread(self._share, request)

    def _share(self, request: GenerationRequest) -> str:
        """The ticket, and beside it the finished grammar where that pays."""
        grammar = request.grammar
        assert grammar is not None, "only grammars are shared"
        if request.grammar_spec is None or grammar.compile_seconds >= SHARING_SECONDS:
            self._artefacts.publish(grammar)
        return ticket_of(request)

    async def _follow(self, tasks: ChoiceTasks, output: Sequence, ticket: str | None) -> None:
        request, index = output.request, output.index
        results = self._llm.generate(
            {"prompt_token_ids": list(request.prompt_token_ids)},
            self._sampling_params(output, ticket),
            _choice_id(request.request_id, index),
        )
        async with aclosing(results):
            if tasks.is_aborted:
                tasks.send(_delta(output, output.finish("abort")))
                return
            async for result in results:
                self._take(tasks, output, result.outputs[0])
                if output.is_finished and not result.finished:
                    return  # closing the generator tells vLLM to stop
        if not output.is_finished:
            raise EngineError("vLLM ended the output without a reason")

    def _take(self, tasks: ChoiceTasks, output: Sequence, news: Any) -> None:
        """Accept the tokens of one message and send what became of them."""
        if output.is_finished:
            return
        text = ""
        num_before = len(output.output_token_ids)
        logprobs: list[TokenLogprob] = []
        for position, token_id in enumerate(news.token_ids):
            if news.logprobs is not None:
                logprobs.append(self._logprob(output, token_id, news.logprobs[position]))
            text += self._accept(output, int(token_id))
            if output.is_finished:
                break
        if news.finish_reason == "error":
            raise EngineError("generation failed in vLLM's engine process; its log says why")
        if news.finish_reason is not None and not output.is_finished:
            text += output.finish(_finish_reason(news.finish_reason))
        token_ids = tuple(output.output_token_ids[num_before:])
        tasks.send(_delta(output, text, token_ids, tuple(logprobs)))

    def _accept(self, output: Sequence, token_id: int) -> str:
        is_first = not output.output_token_ids
        is_forced = output.is_forced
        text = output.accept(token_id)
        self._count(
            StepReport(
                num_prompt_tokens=len(output.request.prompt_token_ids)
                if is_first and output.index == 0
                else 0,
                num_generated_tokens=1,
                num_forced_tokens=int(is_forced),
            )
        )
        return text + self._prepare(output)

    def _prepare(self, output: Sequence) -> str:
        """Look at what may come next, or end the choice if nothing may."""
        if output.is_finished:
            return ""
        output.num_allowed = 0
        if output.matcher is not None:
            # The engine's process works out every mask; here only those that something depends on.
            wants_logprobs = output.request.sampling.logprobs is not None
            if wants_logprobs or output.matcher.is_accepting():
                started = time.perf_counter()
                output.fill_bitmask()
                self._count(StepReport(mask_seconds=(time.perf_counter() - started,)))
        return output.conclude()

    def _new_output(self, request: GenerationRequest, index: int) -> Sequence:
        return Sequence.from_request(
            request,
            index,
            vocabulary=self._vocabulary,
            max_model_len=self._max_model_len,
            matcher=None if request.grammar is None else self._new_matcher(request.grammar),
            text_bitmask=self._text_bitmask,
        )

    def _sampling_params(self, output: Sequence, ticket: str | None) -> Any:
        return sampling_params_of(
            output.request,
            output.index,
            vocabulary=self._vocabulary,
            max_output_tokens=output.max_output_tokens,
            # vLLM takes no biases beside speculation.
            silent_ids=() if self._is_speculative else self._silent_ids,
            ticket=ticket,
        )

    def _logprob(self, output: Sequence, token_id: int, found: dict[int, Any]) -> TokenLogprob:
        num_top = output.request.sampling.logprobs or 0
        ranked = sorted((-entry.logprob, other_id) for other_id, entry in found.items())[:num_top]
        token_bytes = self._vocabulary.token_bytes
        return TokenLogprob(
            token_id=token_id,
            token_bytes=token_bytes(token_id),
            logprob=found[token_id].logprob,
            top=tuple((i, token_bytes(i), -negative) for negative, i in ranked),
            is_forced=output.is_forced,
        )

    def _count(self, report: StepReport) -> None:
        totals = self._totals
        self._totals = EngineStats(
            prompt_tokens_total=totals.prompt_tokens_total + report.num_prompt_tokens,
            generated_tokens_total=totals.generated_tokens_total + report.num_generated_tokens,
            forced_tokens_total=totals.forced_tokens_total + report.num_forced_tokens,
            mask_seconds_total=totals.mask_seconds_total + sum(report.mask_seconds),
        )
        if self._observer is not None:
            self._observer(report)

    def _fail_all(self, error: EngineError) -> None:
        for tasks in list(self._open.values()):
            tasks.fail(error)


def _configured(
    arguments: AsyncEngineArgs, directory: Path, limits: CompileLimits | None
) -> AsyncEngineArgs:
    """The arguments with our classes and options."""
    limits = limits if limits is not None else CompileLimits()
    options = {
        "directory": str(directory),
        "max_seconds": limits.max_seconds,
        "max_schema_depth": limits.max_schema_depth,
    }
    if arguments.reasoning_parser:
        raise ValueError(
            f"reasoning_parser={arguments.reasoning_parser!r} cannot be given: outputs are followed by "
            "their grammars from the first token on"
        )
    if arguments.scheduler_cls is not None:
        raise ValueError(
            f"scheduler_cls={arguments.scheduler_cls!r} cannot be given: masks come from our own class"
        )
    given = arguments.additional_config or {}
    is_default_worker = arguments.worker_cls == "auto"
    return replace(
        arguments,
        scheduler_cls=vllm_scheduler.QUALIFIED_NAME,
        worker_cls=vllm_worker.QUALIFIED_NAME if is_default_worker else arguments.worker_cls,
        additional_config=given | {CONFIG_KEY: options | given.get(CONFIG_KEY, {})},
    )


def _silent_ids(bitmask: Any, vocab_size: int) -> tuple[int, ...]:
    """The tokens that a bitmask forbids."""
    bits = np.unpackbits(
        bitmask[0].astype("<i4").view(np.uint8), count=vocab_size, bitorder="little"
    )
    return tuple(np.flatnonzero(bits == 0).tolist())


def _choice_id(request_id: str, index: int) -> str:
    return f"{request_id}-{index}"


def _finish_reason(reason: str) -> FinishReason:
    if reason == "abort":
        return "abort"
    return "length" if reason == "length" else "stop"


def _delta(
    output: Sequence,
    text: str,
    token_ids: tuple[int, ...] = (),
    logprobs: tuple[TokenLogprob, ...] = (),
) -> Delta:
    return Delta(
        index=output.index,
        text=text,
        token_ids=token_ids,
        logprobs=logprobs,
        finish_reason=output.finish_reason,
        stop_reason=output.detokenizer.stop_reason,
    )
