"""The server's end of one compiling process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from syntagma.grammar import CompileLimits, Vocabulary
from syntagma.server.compile_frames import (
    GRAMMAR_FILE,
    LENGTH,
    MAX_ANSWER_BYTES,
    content_of_setup,
    framed,
)

# Its kernels are compiled already, for the server has loaded them: two or three seconds as a rule.
START_SECONDS = 300.0


class ProcessEndedError(RuntimeError):
    """A compiling process has ended without an answer, or answered what it cannot mean."""


class CompileProcess:
    """A process of `compile_child`, for one question at a time.

    Its files lie in a directory of its own, which goes with it: one that is killed while it writes leaves nothing.
    """

    def __init__(self, process: asyncio.subprocess.Process, scratch: Path) -> None:
        self._process = process
        self._scratch = scratch
        assert process.stdin is not None and process.stdout is not None, "both are pipes"
        self._questions, self._answers = process.stdin, process.stdout

    @classmethod
    async def start(
        cls, vocabulary: Vocabulary, limits: CompileLimits, directory: Path, max_bytes: int
    ) -> CompileProcess:
        """Start a process and wait until it can compile.

        Raises:
            ProcessEndedError: it cannot.
            OSError: it cannot be started, or its directory not be made.
        """
        scratch = Path(tempfile.mkdtemp(prefix=".compiling-", dir=directory))
        try:
            # A session of its own: a Ctrl-C at the server's terminal is the server's to handle.
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "syntagma.server.compile_child"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        started = cls(process, scratch)
        setup: dict[str, str | int] = {
            "directory": str(directory),
            "scratch": str(scratch),
            "max_bytes": max_bytes,
        }
        try:
            async with asyncio.timeout(START_SECONDS):
                answer = await started.ask(content_of_setup(vocabulary, limits, **setup))
            if answer != {"ready": vocabulary.hash}:
                raise ProcessEndedError(f"a compiling process starts with {answer!r:.200}")
        except BaseException as error:
            started.kill()
            await started.wait()
            if isinstance(error, TimeoutError):
                raise ProcessEndedError("a compiling process takes too long to start") from None
            raise
        return started

    @property
    def pid(self) -> int:
        """Its number in the operating system."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self._process.returncode is not None

    @property
    def grammar_file(self) -> Path:
        """Where it has written a grammar, if its answer says so; the next question may replace it."""
        return self._scratch / GRAMMAR_FILE

    async def ask(self, content: bytes) -> dict[str, Any]:
        """The answer to a question. Whoever leaves before it comes must `kill` the process.

        Raises:
            ProcessEndedError: there is none.
        """
        try:
            self._questions.write(framed(content))
            await self._questions.drain()
            (size,) = LENGTH.unpack(await self._answers.readexactly(LENGTH.size))
            if size > MAX_ANSWER_BYTES:
                raise ProcessEndedError(f"a compiling process answers with {size} bytes")
            answer = json.loads(await self._answers.readexactly(size))
        except (OSError, EOFError, ValueError, RecursionError) as error:
            raise ProcessEndedError("a compiling process has ended") from error
        if not isinstance(answer, dict):
            raise ProcessEndedError(f"a compiling process answers {answer!r:.200}")
        return answer

    async def wait(self) -> int:
        """Wait for its end; its exit status, or minus the signal that ended it. Its files are gone then."""
        status = await self._process.wait()
        self._questions.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
        return status

    def kill(self) -> None:
        """End it, whatever it is doing; `wait` tells when."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
