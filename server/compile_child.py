"""A process that compiles grammars for a server: what takes too long, grows too large or crashes does so here.

It reads frames from its standard input (`compile_frames`): first what it is for, then a grammar at a time, and answers each
on its standard output. It ends with its input, and of itself once a grammar has left it too large.
"""

from __future__ import annotations

import gc
import marshal
import os
import resource
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.decoding.interpreter import keep_pauses_short
from syntagma.grammar import (
    CompiledGrammar,
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    Vocabulary,
)
from syntagma.server.compile_frames import (
    GRAMMAR_FILE,
    answer_of_error,
    content_of_answer,
    framed,
    overrun,
    read_frame,
    spec_of_content,
)

# Writing a grammar makes all of its rules, compiling it only those that are reached at once. Where that takes so many times
# as long as compiling did, reading the file would, too.
MAX_WRITING_TIMES = 2
# A process that has grown by more than this part of what it may grows no further: it ends and another one takes its place.
MAX_GROWN_PART = 0.5


def main() -> None:
    """Serve standard input until it ends."""
    # Whatever libraries print goes to the log, not between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    keep_pauses_short()
    setup = read_frame(sys.stdin.buffer)
    if setup is not None:
        serve(marshal.loads(setup), sys.stdin.buffer, answers)


def serve(setup: dict[str, Any], questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer questions to their end, or until this process has grown too large."""
    limits = CompileLimits(**setup["limits"])
    vocabulary = Vocabulary(**setup["vocabulary"])
    compiler = GrammarCompiler(vocabulary, cache_dir=setup["directory"], limits=limits)
    gc.collect()
    gc.freeze()
    before = address_space()
    limit_memory(before + setup["max_bytes"])
    say(answers, {"ready": vocabulary.hash})
    while (content := read_frame(questions)) is not None:
        answer = answer_to(spec_of_content(content), compiler, Path(setup["scratch"]))
        say(answers, answer)
        grown = address_space() - before
        if "out_of_memory" in answer or grown > MAX_GROWN_PART * setup["max_bytes"]:
            return


def answer_to(spec: GrammarSpec, compiler: GrammarCompiler, scratch: Path) -> dict[str, Any]:
    """How compiling a grammar went, and whether it lies in a file now."""
    started = time.thread_time()
    try:
        grammar = spec.compile(compiler)
        compiled_seconds = time.thread_time() - started
        # Of tens of thousands of alternatives the first mask takes far longer than the rules, and so would every later
        # one take a part of a second of somebody's step.
        grammar.prepare()
        if time.thread_time() - started > compiler.limits.max_seconds:
            raise overrun(compiler.limits)
        is_written = write(grammar, scratch / GRAMMAR_FILE, compiled_seconds, compiler.limits)
        return {"compiled": grammar.hash, "is_written": is_written}
    except GrammarError as error:
        return answer_of_error(error)
    except MemoryError:
        return {"out_of_memory": True}
    except Exception:  # noqa: BLE001 - a fault of the compiler, which the server reports as one
        return {"failed": traceback.format_exc(limit=-20)[-4000:]}


def write(grammar: CompiledGrammar, path: Path, seconds: float, limits: CompileLimits) -> bool:
    """Write a grammar that took `seconds` to compile, if that pays and time is left."""
    allowed = min(MAX_WRITING_TIMES * seconds, limits.max_seconds - seconds)
    try:
        grammar.save(path, limits=replace(limits, max_seconds=allowed))
    except (OSError, GrammarError, ValueError):
        return False
    return True


def say(answers: BinaryIO, answer: dict[str, Any]) -> None:
    """Send an answer."""
    answers.write(framed(content_of_answer(answer)))
    answers.flush()


def address_space() -> int:
    """Bytes of this process's address space."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


def limit_memory(num_bytes: int) -> None:
    """Let allocations beyond a size of the address space fail, and crashes leave no core files."""
    resource.setrlimit(resource.RLIMIT_AS, (num_bytes, num_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
