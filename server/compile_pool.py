"""Processes that compile what takes long: one that runs too long is killed, one that ends is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from syntagma.decoding.artefact_directory import ArtefactDirectory
from syntagma.decoding.engine import EngineOverloadedError
from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.grammar import (
    CompiledGrammar,
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    UnsatisfiableGrammarError,
)
from syntagma.server.compile_frames import content_of_spec, error_of_answer, overrun
from syntagma.server.compile_process import CompileProcess, ProcessEndedError
from syntagma.server.metrics import Metrics

logger = logging.getLogger(__name__)

# What is compiled in the server's own process ends within this time, and its sizes are such a part of the limits. Of 810
# ordinary schemas a few take longer.
BRIEF_SECONDS = 0.05
BRIEF_SIZES = {
    "max_source_bytes": 16,
    "max_enum_values": 10,
    "max_nfa_states": 10,
    "max_dfa_states": 10,
    "max_rules": 10,
    "max_positions": 10,
}
# A process watches its own processor time. One that has not answered after so many times the limit, and a second, hangs.
MAX_WAITING_TIMES = 2
GRACE_SECONDS = 1.0
# For a process that is free, while others are at work or one is replaced.
MAX_WAIT_SECONDS = 30.0
# One of them may be ended by what lies outside of it.
MAX_ATTEMPTS = 2
MAX_PAUSE_SECONDS = 60.0
MAX_OWN_BYTES = 64 << 20
HASH = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Vetted:
    """A grammar that a process has compiled within its limits.

    Attributes:
        grammar_hash: its content's.
        is_written: whether it lies in the pool's directory; otherwise it takes less to compile than to read.
    """

    grammar_hash: str
    is_written: bool


class CompilePool:
    """A few processes for one compiler's grammars.

    Args:
        compiler: the server's own; its limits hold in the processes.
        num_processes: how many.
        max_bytes: that compiling may add to a process's memory.
        directory: where grammars are left for others to find; None makes one that goes with the pool.
        metrics: where to count.

    Attributes:
        brief: compiles what takes a moment, in this process.
        metrics: as given.
    """

    def __init__(
        self,
        compiler: GrammarCompiler,
        *,
        num_processes: int,
        max_bytes: int,
        directory: Path | None,
        metrics: Metrics,
    ) -> None:
        self._compiler = compiler
        self._num_processes = num_processes
        self._max_bytes = max_bytes
        self.metrics = metrics
        self._idle: asyncio.Queue[CompileProcess] = asyncio.Queue()
        self._keepers: list[asyncio.Task[None]] = []
        self._alive: set[CompileProcess] = set()
        self._has_started = False
        self._files = contextlib.ExitStack()
        self._is_shared = directory is not None
        if directory is None:
            made = tempfile.TemporaryDirectory(prefix="syntagma-", ignore_cleanup_errors=True)
            directory = Path(self._files.enter_context(made))
        self._artefacts = ArtefactDirectory(directory, **self._bounds())
        self._max_wait_seconds = MAX_WAITING_TIMES * compiler.limits.max_seconds + GRACE_SECONDS
        self.brief = compiler.under(brief_limits(compiler.limits))
        metrics.watch("compile_processes", "Processes that compile", lambda: len(self._alive))

    @property
    def is_ready(self) -> bool:
        """Whether there are processes to ask, or will be at once: not while the first ones start, nor where none can."""
        return self._has_started

    def is_final(self, error: GrammarError) -> bool:
        """Whether a process would refuse a grammar in the same words as `brief` did."""
        match error:
            case GrammarLimitError(limit="max_seconds"):
                return False
            case GrammarLimitError():
                whole = getattr(self._compiler.limits, error.limit, 0)
                return error.limit not in BRIEF_SIZES or (error.given or 0) > whole
            case UnsatisfiableGrammarError():
                # What excludes what in a schema is looked for as long as time is left.
                return error.pointer is None or bool(error.conflict)
            case _:
                return True

    @property
    def pids(self) -> tuple[int, ...]:
        """The numbers of the processes that are alive and ready."""
        return tuple(process.pid for process in self._alive)

    @property
    def num_idle(self) -> int:
        """Processes that wait for a grammar."""
        return self._idle.qsize()

    @property
    def directory(self) -> Path:
        """Where the processes have their files."""
        return self._artefacts.path

    def start(self) -> None:
        """Start the processes, and do not wait for them."""
        self._keepers = [asyncio.create_task(self._keep_one()) for _ in range(self._num_processes)]

    async def shutdown(self) -> None:
        """Kill the processes and remove what they have left."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._files.close()

    async def vet(self, spec: GrammarSpec) -> Vetted:
        """Have a grammar compiled.

        Raises:
            GrammarError: it is refused; a `GrammarLimitError` also if it would not end, or has ended two processes.
            EngineOverloadedError: no process has become free.
            RuntimeError: a fault of the compiler.
        """
        content = await asyncio.to_thread(content_of_spec, spec)
        for _ in range(MAX_ATTEMPTS):
            process = await self._free_process()
            try:
                return await self._vet_in(process, content)
            except ProcessEndedError as error:
                self.metrics.process_compilations.add(1, "crashed")
                logger.warning("compiling a %s has ended its process: %s", spec.kind, error)
        raise GrammarLimitError(
            "compiling it ends the process that does it: it takes too much memory, or the compiler has a fault",
            limit="compile_memory_bytes",
        )

    def load(self, vetted: Vetted) -> CompiledGrammar | None:
        """A grammar from its file, if there is one; slow, so not on the event loop."""
        if not vetted.is_written:
            return None
        try:
            return self._artefacts.load(self._compiler, vetted.grammar_hash)
        finally:
            if not self._is_shared:
                self._artefacts.path_of(vetted.grammar_hash).unlink(missing_ok=True)

    def _bounds(self) -> dict[str, int]:
        return {} if self._is_shared else {"max_bytes": MAX_OWN_BYTES}

    async def _vet_in(self, process: CompileProcess, content: bytes) -> Vetted:
        """`vet` in one process, which goes back to the idle ones if it has answered."""
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                answer = await process.ask(content)
            found = self._take(answer, process)
        except TimeoutError:
            process.kill()
            self.metrics.process_compilations.add(1, "killed")
            raise overrun(self._compiler.limits) from None
        except BaseException:
            process.kill()
            raise
        self._idle.put_nowait(process)
        if isinstance(found, Exception):
            raise found
        return found

    def _take(self, answer: dict[str, Any], process: CompileProcess) -> Vetted | Exception:
        """What an answer says; its file is moved before the process may write another one.

        Raises:
            ProcessEndedError: the process is of no more use.
        """
        outcome = next(iter(answer), None)
        try:
            match answer:
                case {"compiled": str(grammar_hash), "is_written": bool(is_written)}:
                    if HASH.fullmatch(grammar_hash) is None:
                        raise ValueError(f"no hash: {grammar_hash!r:.50}")
                    if is_written:
                        self._artefacts.adopt(process.grammar_file, grammar_hash)
                    found: Vetted | Exception = Vetted(grammar_hash, is_written)
                case {"refused": str()}:
                    found = error_of_answer(answer)
                case {"failed": str(reason)}:
                    found = RuntimeError(reason)
                case {"out_of_memory": True}:
                    raise ValueError("it has no more memory")
                case _:
                    raise ValueError(f"no answer: {answer!r:.100}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ProcessEndedError(str(error)) from error
        self.metrics.process_compilations.add(1, str(outcome))
        return found

    async def _free_process(self) -> CompileProcess:
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                while (process := await self._idle.get()).has_ended:
                    pass
        except TimeoutError:
            raise EngineOverloadedError("too many grammars take long to compile") from None
        return process

    async def _keep_one(self) -> None:
        """Keep one process alive."""
        pause = 1.0
        while True:
            try:
                process = await CompileProcess.start(
                    self._compiler.vocabulary,
                    self._compiler.limits,
                    self.directory,
                    self._max_bytes,
                )
            except (ProcessEndedError, OSError) as error:
                logger.error("a compiling process does not start: %s", error)
                self._has_started = bool(self._alive)
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
                continue
            pause = 1.0
            self._alive.add(process)
            self._has_started = True
            self._idle.put_nowait(process)
            try:
                status = await process.wait()
                logger.warning("a compiling process has ended with status %d", status)
            finally:
                self._alive.remove(process)
                process.kill()
                await process.wait()


def brief_limits(limits: CompileLimits) -> CompileLimits:
    """The limits of what is compiled in the server's own process."""
    sizes = {name: getattr(limits, name) // part for name, part in BRIEF_SIZES.items()}
    return replace(limits, max_seconds=min(BRIEF_SECONDS, limits.max_seconds), **sizes)
