"""Runs engines against each other: one process each, in turn, on the same cases.

A case is a grammar with texts to decode. For every case each engine is asked in turn, one at a time,
and the order rotates from case to case, so that ratios hold on a machine whose load drifts. Times are
min(wall clock, CPU time of the process), both read around every single call: on a shared machine
the scheduler takes the core away for milliseconds, and neither clock can read less than the work took.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import peers
import vocabularies

Status = Literal["ok", "refused", "unknown kind", "timeout", "crash"]

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
MIB = 1 << 20
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Case:
    """A grammar and the texts to decode under it.

    Attributes:
        name: unique within a run.
        sources: the grammar as text by kind; an engine takes the first kind that it knows.
        texts: pairs of an output and whether it belongs to the language (None: not known).
    """

    name: str
    sources: dict[str, str]
    texts: list[tuple[str, bool | None]]


@dataclass
class Decoded:
    """One text fed token by token until the first refusal.

    ``step_ns`` is mask + accept of each token; of a refused token the mask alone. ``mismatches``
    counts tokens on which mask and accept disagree.
    """

    expected: bool | None
    accepted: bool = True
    mismatches: int = 0
    step_ns: list[int] = field(default_factory=list)


@dataclass
class Outcome:
    """What one engine did with one case.

    ``first`` are the texts in order on the fresh grammar, ``second`` the same texts once more;
    ``ttfm_ns`` is compilation plus first mask, ``resident`` and ``peak`` are bytes of the process,
    ``num_jit`` counts kernels that numba had to compile meanwhile: 0, or the times are not to be trusted.
    """

    case: str
    engine: str
    status: Status
    error: str = ""
    ttfm_ns: int | None = None
    first: list[Decoded] = field(default_factory=list)
    second: list[Decoded] = field(default_factory=list)
    resident: int = 0
    peak: int = 0
    num_jit: int = 0

    def steps(self, which: Literal["first", "second"] = "first") -> list[int]:
        """Nanoseconds of every step of every text."""
        decoded = self.first if which == "first" else self.second
        return [ns for text in decoded for ns in text.step_ns]

    @property
    def is_right(self) -> bool:
        """Whether all texts whose verdict is known got it."""
        return self.status == "ok" and all(
            text.expected is None or text.expected == text.accepted for text in self.first
        )


# ------------------------------------------------------------------ inside the engine's process


def decode(matcher: peers.BenchMatcher, token_ids: Sequence[int], expected: bool | None) -> Decoded:
    """Feed the tokens until one is refused; time each mask and each accept by both clocks."""
    wall, cpu = time.perf_counter_ns, time.process_time_ns
    bits, mask, accept = matcher.bits, matcher.mask, matcher.accept
    result = Decoded(expected)
    add = result.step_ns.append
    for token_id in token_ids:
        cpu0 = cpu()
        wall0 = wall()
        mask()
        wall1 = wall()
        cpu1 = cpu()
        is_allowed = bool(bits[token_id >> 5] >> (token_id & 31) & 1)
        cpu2 = cpu()
        wall2 = wall()
        is_accepted = accept(token_id)
        wall3 = wall()
        cpu3 = cpu()
        mask_ns = min(wall1 - wall0, cpu1 - cpu0)
        result.mismatches += is_allowed != is_accepted
        if not (is_allowed and is_accepted):
            add(mask_ns)
            result.accepted = False
            return result
        add(mask_ns + min(wall3 - wall2, cpu3 - cpu2))
    result.accepted = matcher.is_accepting()
    return result


def clock_ns(rounds: int = 2000) -> int:
    """What `decode` would call a step that does nothing: the clocks' own cost, nanoseconds."""

    class Idle:
        bits = np.full(1, -1, np.int32)

        def mask(self) -> None: ...

        def accept(self, token_id: int) -> bool:
            return True

        def is_accepting(self) -> bool:
            return True

        def fresh(self) -> Idle:
            return self

    return int(statistics.median(decode(Idle(), [0] * rounds, None).step_ns))


def checked_clock_ns() -> int:
    """`clock_ns`, unless the CPU clock is too coarse to measure with: then RuntimeError.

    Linux reads a process's CPU time only at scheduler ticks while a CPU timer or limit is armed
    (ITIMER_PROF, RLIMIT_CPU); nearly every step would then take no time at all.
    """
    cost = clock_ns()
    if cost == 0:
        raise RuntimeError("the process's CPU clock stands still between ticks")
    return cost


def resident_bytes() -> int:
    """Resident memory of this process now, bytes."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """The most resident memory this process ever had, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # Linux keeps the two counters apart and neither is exact: the peak may lag behind.
    return max(peak, resident_bytes())


def run_case(
    engine: peers.BenchEngine, encoded: Sequence[tuple[list[int], bool | None]], case: Case
) -> Iterator[tuple[str, Any]]:
    """Compile, first mask, all texts, all texts again; yields fields of the `Outcome` as they come."""
    kind = next((kind for kind in case.sources if kind in engine.kinds), None)
    if kind is None:
        yield "status", "unknown kind"
        return
    gc.collect()
    cpu0, wall0 = time.process_time_ns(), time.perf_counter_ns()
    try:
        matcher = engine.compile(case.sources[kind], kind)
        matcher.mask()
    except (KeyboardInterrupt, SystemExit):
        raise
    # A panic in a peer's Rust code is a BaseException.
    except BaseException as error:  # noqa: BLE001 (a panic in Rust code is one)
        yield "error", f"{type(error).__name__}: {error}"[:300]
        yield "status", "refused"
        return
    yield "ttfm_ns", min(time.perf_counter_ns() - wall0, time.process_time_ns() - cpu0)
    for which in ("first", "second"):
        for token_ids, expected in encoded:
            yield which, decode(matcher.fresh(), token_ids, expected)
    yield "status", "ok"


def count_jit() -> Callable[[], int]:
    """From now on, count the kernels that numba compiles; those read from its cache do not count."""
    if "numba" not in sys.modules:
        return lambda: 0
    from numba.core import event

    recorder = event.RecordingListener()
    event.register("numba:compile", recorder)
    return lambda: sum(happened.is_start for _, happened in recorder.buffer)


def serve(pipe: Connection, engine_name: str, vocabulary_name: str, memory: int) -> None:
    """The child: build the engine, then answer cases until None comes."""
    vocabulary = vocabularies.load(vocabulary_name)
    engine = peers.build(engine_name, vocabulary)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.collect()
    gc.freeze()
    gc.disable()
    num_jit = count_jit()
    pipe.send((engine.version, checked_clock_ns()))
    while (case := pipe.recv()) is not None:
        encoded = [(vocabulary.encode(text), expected) for text, expected in case.texts]
        for part in run_case(engine, encoded, case):
            pipe.send(part)
        pipe.send(("resident", resident_bytes()))
        pipe.send(("peak", peak_bytes()))
        pipe.send(("num_jit", num_jit()))
        pipe.send(("done", None))


# ------------------------------------------------------------------------------ in the parent


class Worker:
    """One engine in a process of its own, which is replaced after a timeout or a crash."""

    def __init__(
        self, engine: str, vocabulary: str, *, seconds: float = 20.0, memory: int = 6 << 30
    ) -> None:
        self.engine = engine
        self.seconds = seconds
        self.version = ""
        self.clock_ns = 0
        self._arguments = (engine, vocabulary, memory)
        self._process: Any = None

    def start(self) -> None:
        """Start the process unless it runs; raises RuntimeError if the engine cannot be built."""
        if self._process is not None:
            return
        context = multiprocessing.get_context("spawn")
        self._pipe, child = context.Pipe()
        self._process = context.Process(target=serve, args=(child, *self._arguments), daemon=True)
        self._process.start()
        child.close()
        try:
            self.version, self.clock_ns = self._pipe.recv()
        except EOFError:
            self.stop()
            raise RuntimeError(f"the process of {self.engine} died while starting") from None

    def run(self, case: Case) -> Outcome:
        """Ask for one case; a process that takes longer than it may is ended.

        The limit is on CPU time, as others may share the machine, and four times as long by the wall.
        """
        self.start()
        outcome = Outcome(case.name, self.engine, "crash")
        wall, cpu = time.monotonic(), self._cpu_seconds()
        self._pipe.send(case)
        try:
            while True:
                has_message = self._pipe.poll(POLL_SECONDS)
                used = self._cpu_seconds() - cpu
                if used > self.seconds or time.monotonic() - wall > 4 * self.seconds:
                    self.stop()
                    outcome.status = "timeout"
                    return outcome
                if not has_message:
                    continue
                name, value = self._pipe.recv()
                if name == "done":
                    return outcome
                if name in ("first", "second"):
                    getattr(outcome, name).append(value)
                else:
                    setattr(outcome, name, value)
        except (EOFError, ConnectionResetError):
            self._process.join()
            outcome.error = f"the process ended with {self._process.exitcode}"
            self._process = None
            return outcome

    def _cpu_seconds(self) -> float:
        """CPU time of the process so far, read from outside, which leaves its clock alone."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


@dataclass
class Run:
    """Outcomes of all engines on all cases: ``outcomes[engine][case name]``."""

    outcomes: dict[str, dict[str, Outcome]]
    versions: dict[str, str]
    clock_ns: int

    def common(self) -> list[str]:
        """Cases that every engine finished."""
        finished = [
            {name for name, outcome in by_name.items() if outcome.status == "ok"}
            for by_name in self.outcomes.values()
        ]
        first = next(iter(self.outcomes.values()))
        return [name for name in first if all(name in names for names in finished)]


def run_interleaved(
    cases: Sequence[Case],
    engines: Sequence[str],
    vocabulary: str,
    *,
    seconds: float = 20.0,
    fresh_process: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> Run:
    """Run every case on every engine, in turn.

    Args:
        cases, engines: what to run; engine names as in `peers.CLASSES`.
        vocabulary: a name of `vocabularies.NAMES`.
        seconds: CPU seconds that one case may take, all its texts included.
        fresh_process: a new process for each case, so that no case profits from an earlier one.
        progress: told about each case.
    """
    workers = [Worker(engine, vocabulary, seconds=seconds) for engine in engines]
    outcomes: dict[str, dict[str, Outcome]] = {engine: {} for engine in engines}
    try:
        for number, case in enumerate(cases):
            turn = number % len(workers)
            for worker in workers[turn:] + workers[:turn]:
                outcomes[worker.engine][case.name] = worker.run(case)
                if fresh_process:
                    worker.stop()
            progress(f"{number + 1}/{len(cases)} {case.name}")
    finally:
        for worker in workers:
            worker.stop()
    versions = {worker.engine: worker.version for worker in workers}
    return Run(outcomes, versions, min(worker.clock_ns for worker in workers))


def fill_kernel_cache(cases: Sequence[Case]) -> None:
    """Let numba compile the kernels that the cases need, in a process that is thrown away.

    They are compiled once after an installation and then read from its cache on disk, so no measured
    process should pay for it; what it costs is measured by itself (``startup.py``).
    """
    run_interleaved(cases, [peers.OURS], "bytes")


# ------------------------------------------------------------------------------------ figures


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest-rank percentile; nan of nothing."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def average(values: Sequence[float]) -> float:
    """The mean; nan of nothing."""
    return sum(values) / len(values) if values else math.nan


def median(values: Iterable[float]) -> float:
    """The median of those that are numbers; nan of nothing."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of GitHub's kind: first column to the left, the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " --: |" * (len(header) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def shown(value: float, digits: int = 2) -> str:
    """A number with as many digits as its size deserves; a dash for nan."""
    if math.isnan(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.{digits}f}"
