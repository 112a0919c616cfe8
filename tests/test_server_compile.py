"""Compiling: once per grammar, off the loop, bounded, and failures forgotten in time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from server_fakes import VOCABULARY, FakeCompiler

from syntagma.decoding.engine import EngineOverloadedError
from syntagma.grammar import GrammarCompiler, GrammarLimitError, GrammarSyntaxError
from syntagma.server.compile_service import (
    PREPARED_SECONDS,
    QUICK_SECONDS,
    CompileService,
    quick_compiler,
)
from syntagma.server.constraint_kinds import JsonPolicy
from syntagma.server.constraints import Constraint
from syntagma.server.errors import ApiError
from syntagma.server.metrics import Metrics


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def service(
    compiler: FakeCompiler, clock: Callable[[], float] = time.monotonic, **limits: Any
) -> Any:
    options = {
        "num_threads": 2,
        "max_pending": 8,
        "max_cache_entries": 4,
        "max_cache_bytes": 10_000,
        "failure_ttl_s": 30.0,
    }
    return CompileService(compiler, metrics=Metrics("m"), clock=clock, **options | limits)


def regex(pattern: str) -> Constraint:
    return Constraint("regex", pattern, "structured_outputs.regex")


def value(compiling: CompileService, name: str, **labels: str) -> float | None:
    registry = compiling._metrics.registry
    return registry.get_sample_value(f"syntagma_{name}", {"model_name": "m", **labels})


def test_many_ask_once() -> None:
    async def scenario() -> None:
        compiler = FakeCompiler()
        compiler.hold = threading.Event()
        compiling = service(compiler)
        asking = [asyncio.create_task(compiling.compile(regex("a"))) for _ in range(1000)]
        await asyncio.sleep(0)  # every task has run up to its wait
        assert value(compiling, "grammar_queue_depth") == 1
        compiler.hold.set()
        found = await asyncio.gather(*asking)
        assert len(compiler.calls) == 1
        assert len({id(one.grammar) for one in found}) == 1
        assert (await compiling.compile(regex("a"))).was_cached
        assert value(compiling, "grammar_queue_depth") == 0

    asyncio.run(scenario())


SMALL = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("constraint", "is_quick"),
    [
        (Constraint("json_schema", SMALL, "p"), True),
        (Constraint("json_object", None, "p"), True),
        (Constraint("json_schema", SMALL, "p", schemas={"other": {}}), False),
        (Constraint("json_schema", {"enum": ["a" * 5000]}, "p"), False),
        (Constraint("json_schema", {"type": "string", "pattern": "a"}, "p"), False),
        (Constraint("json_schema", {"items": {"format": "uri"}}, "p"), False),
        (Constraint("json_schema", {"multipleOf": 0.01}, "p"), False),
        (Constraint("regex", "a", "p"), False),
    ],
)
def test_small_schemas_are_compiled_at_once(constraint: Constraint, *, is_quick: bool) -> None:
    quick, compiler = FakeCompiler(), FakeCompiler()
    compiling = service(compiler, quick=quick)
    asyncio.run(compiling.compile(constraint))
    assert (len(quick.calls), len(compiler.calls)) == ((1, 0) if is_quick else (0, 1))


def test_what_is_not_quick_is_compiled_in_a_thread() -> None:
    """And what is refused is refused under the whole limits; nobody waits for a first mask on the loop."""

    async def scenario() -> None:
        quick, compiler = FakeCompiler(), FakeCompiler()
        compiling = service(compiler, quick=quick)
        quick.error = GrammarLimitError("no time", limit="max_seconds")
        assert not (await compiling.compile(Constraint("json_schema", SMALL, "p"))).was_cached
        assert len(compiler.calls) == 1
        quick.error = GrammarSyntaxError("as the quick one says")
        compiler.error = GrammarSyntaxError("as the other says")
        with pytest.raises(ApiError, match="as the other says"):
            await compiling.compile(Constraint("json_schema", {"type": 1}, "p"))
        quick.error, quick.compile_seconds = None, PREPARED_SECONDS
        await compiling.compile(Constraint("json_object", None, "p"))
        assert len(quick.prepared) == 1

    asyncio.run(scenario())


def test_the_quick_one_has_a_moment() -> None:
    compiler = GrammarCompiler(VOCABULARY)
    quick = quick_compiler(compiler)
    assert quick.limits.max_seconds == QUICK_SECONDS < compiler.limits.max_seconds
    slow = {"type": "object", "properties": {f"a{i}": {"type": "string"} for i in range(5000)}}
    with pytest.raises(GrammarLimitError) as caught:
        quick.compile_json_schema(slow)
    assert caught.value.limit == "max_seconds"


def test_the_first_may_leave() -> None:
    async def scenario() -> None:
        compiler = FakeCompiler()
        compiler.hold = threading.Event()
        compiling = service(compiler)
        first = asyncio.create_task(compiling.compile(regex("a")))
        second = asyncio.create_task(compiling.compile(regex("a")))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        compiler.hold.set()
        assert (await second).grammar.kind == "regex"
        assert len(compiler.calls) == 1

    asyncio.run(scenario())


def test_all_may_leave_a_failing_compilation() -> None:
    async def scenario() -> None:
        compiler = FakeCompiler()
        compiler.hold = threading.Event()
        compiling = service(compiler)
        only = asyncio.create_task(compiling.compile(regex("(")))
        await asyncio.sleep(0)
        only.cancel()
        with pytest.raises(asyncio.CancelledError):
            await only
        compiler.hold.set()
        with pytest.raises(ApiError, match="not closed"):
            await compiling.compile(regex("("))

    asyncio.run(scenario())


def test_the_queue_is_bounded() -> None:
    async def scenario() -> None:
        compiler = FakeCompiler()
        compiler.hold = threading.Event()
        compiling = service(compiler, max_pending=2)
        asking = [asyncio.create_task(compiling.compile(regex(p))) for p in "abc"]
        await asyncio.sleep(0)
        compiler.hold.set()
        *served, refused = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(refused, EngineOverloadedError)
        assert all(not isinstance(one, BaseException) for one in served)

    asyncio.run(scenario())


def test_the_cache_is_bounded_in_entries_and_bytes() -> None:
    async def scenario() -> None:
        compiler = FakeCompiler()
        compiling = service(compiler)
        for pattern in "abcd":
            await compiling.compile(regex(pattern))
        await compiling.compile(regex("a"))  # now b is the oldest
        await compiling.compile(regex("e"))
        assert len(compiling.cache) == 4
        assert (await compiling.compile(regex("a"))).was_cached
        assert not (await compiling.compile(regex("b"))).was_cached
        compiler.num_bytes = 9_950
        await compiling.compile(regex("large"))
        assert len(compiling.cache) == 1
        assert compiling.cache.num_bytes <= 10_000
        compiler.num_bytes = 20_000
        assert not (await compiling.compile(regex("too large"))).was_cached
        assert (await compiling.compile(regex("large"))).was_cached
        assert value(compiling, "grammar_cache_evictions_total") == 6

    asyncio.run(scenario())


def test_a_grammar_that_outgrows_the_cache_begins_anew() -> None:
    async def scenario() -> None:
        compiler = FakeCompiler()
        compiling = service(compiler)
        found = await compiling.compile(regex("a"))
        assert (await compiling.compile(regex("a"))).was_cached
        found.grammar.num_bytes = 10_001
        assert not (await compiling.compile(regex("a"))).was_cached
        assert (await compiling.compile(regex("a"))).was_cached

    asyncio.run(scenario())


def test_failures_are_remembered_for_a_while() -> None:
    async def scenario() -> None:
        compiler, clock = FakeCompiler(), Clock()
        compiler.error = GrammarSyntaxError("bad", line=1, column=2)
        compiling = service(compiler, clock)
        for _ in range(2):
            with pytest.raises(ApiError, match=r"bad \(line 1, column 2\)") as caught:
                await compiling.compile(regex("a"))
            assert caught.value.status == 400
        assert len(compiler.calls) == 1
        other = Constraint("regex", "a", "elsewhere")
        with pytest.raises(ApiError) as caught:
            await compiling.compile(other)
        assert caught.value.param == "elsewhere"
        assert len(compiler.calls) == 1
        clock.now = 30.0
        compiler.error = None
        await compiling.compile(regex("a"))
        assert len(compiler.calls) == 2

    asyncio.run(scenario())


def test_running_out_of_time_is_not_remembered() -> None:
    async def scenario() -> None:
        compiler = FakeCompiler()
        compiler.error = GrammarLimitError("slow", limit="max_seconds")
        compiling = service(compiler)
        with pytest.raises(ApiError, match="slow"):
            await compiling.compile(regex("a"))
        compiler.error = None
        await compiling.compile(regex("a"))
        assert len(compiler.calls) == 2

    asyncio.run(scenario())


def test_a_bug_is_not_the_requests_fault() -> None:
    async def scenario() -> None:
        compiler = FakeCompiler()
        compiler.error = RecursionError("deep inside")
        compiling = service(compiler)
        with pytest.raises(ApiError) as caught:
            await compiling.compile(regex("a"))
        assert caught.value.status == 500
        assert "deep inside" not in caught.value.message
        assert caught.value.headers["x-should-retry"] == "false"
        seconds = value(compiling, "grammar_compile_seconds_count", kind="regex", outcome="failed")
        assert seconds == 1

    asyncio.run(scenario())


def test_keys_tell_languages_apart() -> None:
    schema = {"properties": {"a": True, "b": True}}
    reordered = {"properties": {"b": True, "a": True}}
    constraints = [
        Constraint("json_schema", schema, "x"),
        Constraint("json_schema", reordered, "x"),
        Constraint("json_schema", schema, "x", JsonPolicy(whitespace="compact")),
        Constraint("json_schema", schema, "x", JsonPolicy(max_string=9)),
        Constraint("json_schema", schema, "x", schemas={"http://a.test/": True}),
        Constraint("regex", "a", "x"),
        Constraint("choice", ["a"], "x"),
        Constraint("choice", ["a", ""], "x"),
        Constraint("json_object", None, "x"),
    ]
    assert len({constraint.cache_key for constraint in constraints}) == len(constraints)
    assert Constraint("regex", "a", "y").cache_key == Constraint("regex", "a", "x").cache_key


def test_failures_are_bounded() -> None:
    async def scenario() -> None:
        compiler = FakeCompiler()
        compiler.error = GrammarSyntaxError("bad")
        compiling = service(compiler)
        compiling.failures._max_entries = 3
        for number in range(10):
            with pytest.raises(ApiError):
                await compiling.compile(regex(str(number)))
        assert len(compiling.failures) == 3

    asyncio.run(scenario())


def test_slow_grammars_come_with_their_first_mask() -> None:
    """Or an engine would work it out within a step: thousands of keys may come first."""

    async def scenario() -> None:
        compiler = FakeCompiler()
        compiling = service(compiler)
        await compiling.compile(regex("quick"))
        assert not compiler.prepared
        compiler.compile_seconds = PREPARED_SECONDS
        slow = await compiling.compile(regex("slow"))
        assert compiler.prepared == [slow.grammar.hash]

    asyncio.run(scenario())


def test_preparing_works_out_the_first_mask() -> None:
    grammar = GrammarCompiler(VOCABULARY).compile_regex("a+")
    assert grammar.recognizer.initial.row is None
    grammar.prepare()
    assert grammar.recognizer.initial.row is not None
