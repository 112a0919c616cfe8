"""Compiling off the event loop but for what is small, each grammar once however many requests ask for it."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from syntagma.decoding.engine import EngineOverloadedError
from syntagma.decoding.grammar_cache import GrammarCache
from syntagma.decoding.grammar_spec import Compiler
from syntagma.grammar import (
    CompiledGrammar,
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    UnsatisfiableGrammarError,
)
from syntagma.server.compile_pool import CompilePool
from syntagma.server.constraints import Constraint
from syntagma.server.errors import MAX_POINTER_CHARS, ApiError, grammar_details, shorten
from syntagma.server.failure_cache import FailureCache
from syntagma.server.metrics import Metrics

logger = logging.getLogger(__name__)

MAX_FAILURES = 1024
# Of grammars that take so long to compile the first mask is worked out at once: the embedded engine would need it within a
# step, and the event loop what it stands on at the first token. For others that is a millisecond.
PREPARED_SECONDS = 0.002
# Of the processor, for what is tried on the event loop.
QUICK_SECONDS = 0.002


@dataclasses.dataclass(frozen=True)
class Compilation:
    """A compiled grammar and whether it was ready before it was asked for."""

    grammar: CompiledGrammar
    was_cached: bool


class CompileService:
    """Constraint -> grammar, with caches for both outcomes.

    Args:
        compiler: its own limits bound every compilation.
        num_threads: compilations that run at once.
        max_pending: compilations running or queued; more are refused as overload.
        max_cache_entries, max_cache_bytes: of the grammar cache.
        failure_ttl_s: how long a refusal is remembered.
        metrics: where to count.
        quick: compiles small schemas on the event loop, under limits that no stream notices; to hand 64 of them over to
            threads, which take turns with the loop, takes longer than to compile them. None: nothing is.
        processes: compile what is not done in a moment; None: all is compiled in the threads.
        clock: for tests.

    Attributes:
        compiler: for whoever has threads of their own.
    """

    def __init__(
        self,
        compiler: Compiler,
        *,
        num_threads: int,
        max_pending: int,
        max_cache_entries: int,
        max_cache_bytes: int,
        failure_ttl_s: float,
        metrics: Metrics,
        quick: Compiler | None = None,
        processes: CompilePool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.compiler = compiler
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="compile")
        self._max_pending = max_pending
        self._metrics = metrics
        self._quick = quick
        self._processes = processes
        self._pending: dict[bytes, asyncio.Task[CompiledGrammar]] = {}
        self.cache: GrammarCache[bytes] = GrammarCache(
            max_entries=max_cache_entries, max_bytes=max_cache_bytes
        )
        self.failures = FailureCache(max_entries=MAX_FAILURES, ttl_s=failure_ttl_s, clock=clock)
        metrics.watch("grammar_queue_depth", "Compilations pending", lambda: len(self._pending))
        metrics.watch("grammar_cache_bytes", "Cached grammars", lambda: self.cache.num_bytes)

    async def compile(self, constraint: Constraint) -> Compilation:
        """The grammar of a constraint, from the cache, a running compilation or a new one.

        Raises:
            ApiError: 400, the constraint is refused; 500, the compiler itself failed.
            EngineOverloadedError: too many compilations wait already.
        """
        key = constraint.cache_key
        if (grammar := self.cache.get(key)) is not None:
            self._metrics.cache_hits.add()
            return Compilation(grammar, was_cached=True)
        self._metrics.cache_misses.add()
        try:
            if (error := self.failures.get(key)) is not None:
                raise error
            # Shielded: the one who asked first may leave without failing the others.
            task = self._pending.get(key) or self._start(key, constraint)
            return Compilation(await asyncio.shield(task), was_cached=False)
        except GrammarError as error:
            # A traceback would keep the whole compilation alive in the cache of failures.
            raise grammar_error(error.with_traceback(None), constraint) from None

    def shutdown(self) -> None:
        """Drop what waits; what runs ends within its time budget."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, key: bytes, constraint: Constraint) -> asyncio.Task[CompiledGrammar]:
        if len(self._pending) >= self._max_pending:
            raise EngineOverloadedError("too many grammars wait to be compiled")
        task = asyncio.create_task(self._compile_once(key, constraint))
        self._pending[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))
        return task

    def _forget(self, key: bytes, task: asyncio.Task[CompiledGrammar]) -> None:
        del self._pending[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            error.with_traceback(None)  # all waiters may have left

    async def _compile_once(self, key: bytes, constraint: Constraint) -> CompiledGrammar:
        started = time.perf_counter()
        outcome = "failed"
        try:
            grammar = await self._grammar_of(constraint)
            outcome = "ok"
        except EngineOverloadedError:
            raise
        except GrammarError as error:
            outcome = "rejected"
            self._metrics.grammar_rejected.add(1, error.code)
            self.failures.put(key, error)
            raise
        except Exception as error:
            logger.error("compiling a %s failed", constraint.kind, exc_info=error)
            raise internal_compile_error() from error
        finally:
            seconds = time.perf_counter() - started
            self._metrics.compile_seconds.observe(seconds, constraint.kind, outcome)
        self._metrics.cache_evictions.add(self.cache.put(key, grammar))
        return grammar

    async def _grammar_of(self, constraint: Constraint) -> CompiledGrammar:
        """Compile here what is done in a moment, and the rest in a process that may be killed."""
        if (grammar := self._quick_grammar_of(constraint)) is not None:
            if grammar.compile_seconds < PREPARED_SECONDS:
                return grammar
            return await self._in_thread(lambda: grammar)
        processes = self._processes
        if processes is None or not processes.is_ready:
            return await self._in_thread(lambda: constraint.compile(self.compiler))
        try:
            return await self._in_thread(lambda: constraint.compile(processes.brief))
        except GrammarLimitError as error:
            if processes.is_final(error):
                # The same again under the whole limits, of which the message is to speak.
                return await self._in_thread(lambda: constraint.compile(self.compiler))
        except UnsatisfiableGrammarError as error:
            if processes.is_final(error):
                raise
        vetted = await processes.vet(constraint.spec)
        return await self._in_thread(
            lambda: processes.load(vetted) or constraint.compile(self.compiler)
        )

    def _quick_grammar_of(self, constraint: Constraint) -> CompiledGrammar | None:
        """Compile it at once; None if that takes longer, or if there is something to be said about it."""
        if self._quick is None or not constraint.may_be_quick:
            return None
        try:
            return constraint.compile(self._quick)
        except GrammarError:
            return None

    async def _in_thread(self, make: Callable[[], CompiledGrammar]) -> CompiledGrammar:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._prepared, make)

    def _prepared(self, make: Callable[[], CompiledGrammar]) -> CompiledGrammar:
        grammar = make()
        if grammar.compile_seconds >= PREPARED_SECONDS:
            grammar.prepare()
        return grammar


def quick_compiler(compiler: GrammarCompiler) -> GrammarCompiler:
    """A compiler for the event loop."""
    limits = compiler.limits
    return compiler.under(
        dataclasses.replace(limits, max_seconds=min(QUICK_SECONDS, limits.max_seconds))
    )


def internal_compile_error() -> ApiError:
    """A bug in the compiler, not a fault of the request; trying again would not help."""
    return ApiError(
        500,
        "The server failed to compile this grammar; it is not known to be wrong.",
        code="grammar_compile_failed",
        kind="server_error",
        headers={"x-should-retry": "false"},
    )


def grammar_error(error: GrammarError, constraint: Constraint) -> ApiError:
    """A refused grammar as a 400 that names the field, the place and the reason."""
    details = grammar_details(error)
    param = constraint.param
    where = ""
    if error.pointer is not None:
        param, pointer = constraint.locate(error.pointer)
        details["pointer"] = shorten(pointer, MAX_POINTER_CHARS)
        where = f" (at {details['pointer'] or 'the root'})"
    elif details.get("line") is not None:
        where = f" (line {details['line']}, column {details['column']})"
    return ApiError(
        400,
        f"{param}: {error.message}{where}",
        code=constraint.error_code_of(param),
        param=param,
        details=details,
    )
