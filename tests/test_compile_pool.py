"""Compiling in processes: the same answers, and whatever befalls a process befalls no one else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from server_fakes import VOCABULARY, FakeCompiler

from syntagma.decoding.grammar_spec import GrammarSpec
from syntagma.decoding.matcher import Matcher
from syntagma.grammar import (
    CompiledGrammar,
    CompileLimits,
    GrammarCompiler,
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.server.compile_child import answer_to, write
from syntagma.server.compile_frames import (
    answer_of_error,
    content_of_answer,
    content_of_spec,
    error_of_answer,
    spec_of_content,
)
from syntagma.server.compile_pool import CompilePool, brief_limits
from syntagma.server.compile_service import CompileService
from syntagma.server.constraints import Constraint
from syntagma.server.errors import ApiError
from syntagma.server.metrics import Metrics

ERRORS = [
    GrammarError("bad", pointer="/a"),
    GrammarSyntaxError("bad", line=3, column=4),
    UnsupportedGrammarError("bad", keyword="$dynamicRef", pointer=""),
    UnsatisfiableGrammarError("bad", conflict=("/a", "/b")),
    GrammarLimitError("bad", limit="max_rules", given=10**30),
]
# More words than are compiled in the server's process.
WORDS = [f"word {number}" for number in range(30_000)]

MANY_WORDS = [f"{number} {word}" for number in range(4) for word in WORDS]


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(VOCABULARY, limits=CompileLimits(max_seconds=20))


@asynccontextmanager
async def running(
    compiler: GrammarCompiler, directory: Path | None = None, **options: Any
) -> AsyncIterator[CompilePool]:
    """A pool whose first process is ready; it leaves nothing behind."""
    defaults = {"num_processes": 1, "max_bytes": 1 << 30}
    pool = CompilePool(
        compiler, directory=directory, metrics=Metrics("m"), **{**defaults, **options}
    )
    pool.start()
    try:
        await until(lambda: pool.is_ready)
        yield pool
    finally:
        pids = pool.pids
        await pool.shutdown()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        assert not list(pool.directory.glob(".compiling-*"))
        assert pool.directory.exists() == (directory is not None)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.02)


def count(pool: CompilePool, outcome: str) -> float:
    labels = {"model_name": "m", "outcome": outcome}
    name = "syntagma_process_compilations_total"
    return pool.metrics.registry.get_sample_value(name, labels) or 0.0


def first_rows(grammar: CompiledGrammar, text: bytes) -> list[list[int]]:
    """The masks along a text."""
    matcher = Matcher(grammar)
    row = np.zeros((1, grammar.vocabulary.num_words), np.int32)
    found = []
    for byte in text:
        matcher.fill_bitmask(row)
        found.append(row[0].tolist())
        assert matcher.accept_token(byte)
    return found


# ------------------------------------------------------------------------- what travels


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_refusals_travel_whole(error: GrammarError) -> None:
    answer = json.loads(content_of_answer(answer_of_error(error)))
    found = error_of_answer(answer)
    assert type(found) is type(error)
    assert vars(found) == vars(error)
    assert str(found) == str(error)


def test_an_endless_refusal_is_no_refusal() -> None:
    answer = answer_of_error(GrammarError("x" * (2 << 20)))
    assert set(json.loads(content_of_answer(answer))) == {"failed"}


def test_specs_travel_whole() -> None:
    spec = GrammarSpec(
        "lark",
        {"a": [1, "\ud800", None, 2**70, 1.5]},
        {"whitespace": "compact"},
        {"http://a.test/": True},
        start="x",
        semantics="scannerless",
        files={"a": "b"},
    )
    assert spec_of_content(content_of_spec(spec)) == spec


def test_what_takes_longer_to_write_than_to_compile_is_not_written(
    tmp_path: Path, compiler: GrammarCompiler
) -> None:
    items = {"type": "array", "items": {"type": "integer"}}
    grammar = compiler.compile_json_schema(items)
    file = tmp_path / "grammar.arrays"
    assert not write(grammar, file, 0.0, compiler.limits)
    assert not write(grammar, file, compiler.limits.max_seconds, compiler.limits)
    assert not list(tmp_path.iterdir())
    assert write(grammar, file, 0.5 * compiler.limits.max_seconds, compiler.limits)
    assert compiler.load(file).hash == grammar.hash
    assert not write(grammar, tmp_path / "missing" / "grammar.arrays", 1.0, compiler.limits)


def test_faults_of_the_compiler_are_told(tmp_path: Path, compiler: GrammarCompiler) -> None:
    answer = answer_to(GrammarSpec("language", 5), compiler, tmp_path)
    assert "Traceback" in answer["failed"]


# -------------------------------------------------------------------- what may befall one


def test_answers_are_those_of_the_server(compiler: GrammarCompiler, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(compiler, tmp_path) as pool:
            spec = GrammarSpec("choice", WORDS)
            vetted = await pool.vet(spec)
            assert vetted.is_written
            loaded = pool.load(vetted)
            assert loaded is not None
            ours = spec.compile(compiler)
            assert loaded.hash == ours.hash
            assert first_rows(loaded, b"word 2") == first_rows(ours, b"word 2")
            # An engine's process finds it there.
            assert (tmp_path / f"grammar-{ours.hash}.arrays").exists()
            with pytest.raises(GrammarSyntaxError, match="never closed"):
                await pool.vet(GrammarSpec("regex", "("))
            with pytest.raises(RuntimeError, match="Traceback"):
                await pool.vet(GrammarSpec("language", 5))
            assert [count(pool, o) for o in ("compiled", "refused", "failed")] == [1, 1, 1]

    asyncio.run(scenario())


def test_a_process_that_ends_is_replaced(compiler: GrammarCompiler) -> None:
    async def scenario() -> None:
        async with running(compiler) as pool:
            (pid,) = pool.pids
            os.kill(pid, signal.SIGSTOP)
            asking = asyncio.create_task(pool.vet(GrammarSpec("regex", "a+")))
            await until(lambda: pool.num_idle == 0)
            os.kill(pid, signal.SIGKILL)
            vetted = await asking  # by another one
            assert pid not in pool.pids
            assert count(pool, "crashed") == count(pool, "compiled") == 1
            loaded = pool.load(vetted)
            assert loaded is not None
            assert loaded.kind == "regex"
            assert pool.load(vetted) is None  # nobody else looks for it

    asyncio.run(scenario())


def test_a_grammar_that_ends_processes_is_refused(compiler: GrammarCompiler) -> None:
    async def scenario() -> None:
        async with running(compiler) as pool:

            async def end_each() -> None:
                ended: set[int] = set()
                while True:
                    await until(lambda: set(pool.pids) - ended and pool.num_idle == 0)
                    for pid in set(pool.pids) - ended:
                        os.kill(pid, signal.SIGKILL)
                        ended.add(pid)

            ending = asyncio.create_task(end_each())
            with pytest.raises(GrammarLimitError, match="ends the process") as caught:
                await pool.vet(GrammarSpec("choice", MANY_WORDS))  # long enough to be met at work
            ending.cancel()
            assert caught.value.limit == "compile_memory_bytes"
            assert (await pool.vet(GrammarSpec("regex", "a+"))).is_written

    asyncio.run(scenario())


def test_a_process_that_does_not_answer_is_killed() -> None:
    async def scenario() -> None:
        compiler = GrammarCompiler(VOCABULARY, limits=CompileLimits(max_seconds=0.1))
        async with running(compiler) as pool:
            (pid,) = pool.pids
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(GrammarLimitError, match=r"longer than 0.1 s") as caught:
                await pool.vet(GrammarSpec("regex", "a+"))
            assert caught.value.limit == "max_seconds"
            assert count(pool, "killed") == 1
            await until(lambda: pool.pids and pid not in pool.pids)
            assert (await pool.vet(GrammarSpec("regex", "a+"))).is_written

    asyncio.run(scenario())


def test_memory_is_bounded(compiler: GrammarCompiler) -> None:
    async def scenario() -> None:
        async with running(compiler, max_bytes=24 << 20) as pool:
            with pytest.raises(GrammarLimitError) as caught:
                await pool.vet(GrammarSpec("choice", MANY_WORDS))
            assert caught.value.limit == "compile_memory_bytes"
            assert (await pool.vet(GrammarSpec("regex", "a+"))).is_written

    asyncio.run(scenario())


# -------------------------------------------------------------------------- the service


def service(pool: CompilePool, compiler: GrammarCompiler) -> CompileService:
    return CompileService(
        compiler,
        num_threads=2,
        max_pending=8,
        max_cache_entries=4,
        max_cache_bytes=1 << 30,
        failure_ttl_s=30.0,
        metrics=pool.metrics,
        processes=pool,
    )


def test_small_grammars_stay_here_and_large_ones_go(compiler: GrammarCompiler) -> None:
    async def scenario() -> None:
        async with running(compiler) as pool:
            compiling = service(pool, compiler)
            await compiling.compile(Constraint("regex", "a+", "p"))
            with pytest.raises(ApiError, match="never closed"):
                await compiling.compile(Constraint("regex", "(", "p"))
            assert count(pool, "compiled") == count(pool, "refused") == 0
            found = await compiling.compile(Constraint("choice", WORDS, "p"))
            assert count(pool, "compiled") == 1
            assert first_rows(found.grammar, b"word 29999")
            assert (await compiling.compile(Constraint("choice", WORDS, "p"))).was_cached
            compiling.shutdown()

    asyncio.run(scenario())


def test_limits_are_told_as_they_are(compiler: GrammarCompiler) -> None:
    """Those of this process are a part of the whole ones, of which a user is to hear."""

    async def refusal(work: Awaitable[Any]) -> str:
        with pytest.raises(ApiError) as caught:
            await work
        return caught.value.message

    async def scenario() -> None:
        async with running(compiler) as pool:
            compiling = service(pool, compiler)
            whole = compiler.limits.max_enum_values
            too_many = Constraint("choice", [str(number) for number in range(whole + 1)], "p")
            message = await refusal(compiling.compile(too_many))
            assert f"max_enum_values = {whole}" in message
            assert count(pool, "refused") == 0
            positions = Constraint("regex", "(a|bc){3,9999}" * 30, "p")
            with pytest.raises(GrammarLimitError) as caught:
                positions.compile(compiler)
            assert caught.value.message in await refusal(compiling.compile(positions))
            compiling.shutdown()

    asyncio.run(scenario())


def test_all_is_compiled_here_until_a_process_is_ready(compiler: GrammarCompiler) -> None:
    async def scenario() -> None:
        pool = CompilePool(
            compiler, num_processes=1, max_bytes=1 << 30, directory=None, metrics=Metrics("m")
        )
        compiling = service(pool, compiler)
        found = await compiling.compile(Constraint("choice", WORDS, "p"))
        assert first_rows(found.grammar, b"word 1")
        compiling.shutdown()
        await pool.shutdown()

    asyncio.run(scenario())


def test_what_this_process_cannot_decide_is_not_final(compiler: GrammarCompiler) -> None:
    pool = CompilePool(
        compiler, num_processes=1, max_bytes=1 << 30, directory=None, metrics=Metrics("m")
    )
    whole = compiler.limits
    undecided = [
        GrammarLimitError("slow", limit="max_seconds"),
        GrammarLimitError("large", limit="max_rules", given=whole.max_rules),
        GrammarLimitError("large", limit="max_dfa_states"),
        UnsatisfiableGrammarError("why, there was no time to find out", pointer=""),
    ]
    final = [
        GrammarLimitError("too large", limit="max_rules", given=whole.max_rules + 1),
        GrammarLimitError("too deep", limit="max_schema_depth", given=129),
        UnsatisfiableGrammarError("no word"),
        UnsatisfiableGrammarError("these two", pointer="", conflict=("/a", "/b")),
        GrammarSyntaxError("bad"),
    ]
    assert [pool.is_final(error) for error in undecided] == [False] * len(undecided)
    assert [pool.is_final(error) for error in final] == [True] * len(final)
    asyncio.run(pool.shutdown())


def test_the_first_mask_counts(tmp_path: Path) -> None:
    """Rules are made when a mask asks for them: a schema of many keys is compiled at once, and its mask is not."""

    def work() -> None:
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass

    class Compiler(FakeCompiler):
        limits = CompileLimits(max_seconds=0.05)

        def compile_regex(self, pattern: str) -> Any:
            return SimpleNamespace(prepare=work)

    compiler: Any = Compiler()
    answer = answer_to(GrammarSpec("regex", "a"), compiler, tmp_path)
    assert answer["refused"] == "grammar_limit"
    assert answer["fields"]["limit"] == "max_seconds"


def test_brief_limits_are_within_the_whole_ones() -> None:
    whole = CompileLimits(max_seconds=0.01)
    brief = brief_limits(whole)
    assert brief.max_seconds == 0.01
    assert all(getattr(brief, name) <= value for name, value in vars(whole).items())
