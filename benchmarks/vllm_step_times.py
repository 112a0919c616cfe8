"""What a step costs inside vLLM's engine process, with any backend of grammars and with none.

vLLM loads `StepTimes` into the worker, which on a CPU is the engine's process; that wraps the few functions that
matter in timers. Sums go to a file that the other process maps: nobody has to be asked for them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUALIFIED_NAME = "vllm_step_times.StepTimes"
FILE_VARIABLE = "SYNTAGMA_STEP_TIMES"

# Seconds of the clock, but of the processor where compiling threads share it with steps.
FIELDS = ("steps", "step", "step_cpu", "fill", "apply", "accept", "compile_cpu")
GRAMMAR_WORK = ("fill", "apply", "accept")


def map_file(path: Path) -> NDArray[np.float64]:
    """The sums, shared by all who map the file."""
    if not path.exists():
        np.zeros(len(FIELDS)).tofile(path)
    return np.memmap(path, np.float64, "r+", shape=(len(FIELDS),))


class StepTimes:
    """Mixed into vLLM's worker; importing it is all it does."""


class _Timers:
    def __init__(self, sums: NDArray[np.float64]) -> None:
        self._sums = sums
        self._begun = (0.0, 0.0)

    def add(self, field: str, amount: float) -> None:
        self._sums[FIELDS.index(field)] += amount

    def time(
        self,
        owner: Any,
        name: str,
        field: str,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Add to a sum what calls of a function take."""
        inner = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            try:
                return inner(*args, **kwargs)
            finally:
                self.add(field, clock() - started)

        setattr(owner, name, timed)

    def time_steps(self, scheduler: Any) -> None:
        """A step runs from its schedule until the scheduler has its output; those without tokens do not count."""
        schedule, update = scheduler.schedule, scheduler.update_from_output

        def timed_schedule(*args: Any, **kwargs: Any) -> Any:
            self._begun = time.perf_counter(), time.thread_time()
            return schedule(*args, **kwargs)

        def timed_update(instance: Any, scheduled: Any, *args: Any) -> Any:
            result = update(instance, scheduled, *args)
            if scheduled.total_num_scheduled_tokens:
                self.add("steps", 1)
                self.add("step", time.perf_counter() - self._begun[0])
                self.add("step_cpu", time.thread_time() - self._begun[1])
            return result

        scheduler.schedule, scheduler.update_from_output = timed_schedule, timed_update


def _install(timers: _Timers) -> None:
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.structured_output import backend_guidance, backend_xgrammar
    from vllm.v1.worker import gpu_model_runner

    timers.time_steps(Scheduler)
    timers.time(gpu_model_runner, "apply_grammar_bitmask", "apply")
    _time_backend(timers, backend_xgrammar.XgrammarBackend, backend_xgrammar.XgrammarGrammar)
    _time_backend(timers, backend_guidance.GuidanceBackend, backend_guidance.GuidanceGrammar)
    begin = Scheduler.__init__

    def begin_and_time(instance: Any, *args: Any, **kwargs: Any) -> None:
        """Only now it is known whose scheduler it is, and that the worker has started."""
        timers.time(type(instance), "get_grammar_bitmask", "fill")
        if type(instance) is not Scheduler:
            from syntagma.decoding import vllm_grammar, vllm_worker

            timers.time(vllm_worker.GrammarWorker, "_has_masked", "apply")
            _time_backend(timers, vllm_grammar.SyntagmaBackend, vllm_grammar.SyntagmaGrammar)
        begin(instance, *args, **kwargs)

    Scheduler.__init__ = begin_and_time


def _time_backend(timers: _Timers, backend: Any, grammar: Any) -> None:
    timers.time(backend, "compile_grammar", "compile_cpu", time.thread_time)
    timers.time(grammar, "accept_tokens", "accept")


if FILE_VARIABLE in os.environ:
    _install(_Timers(map_file(Path(os.environ[FILE_VARIABLE]))))
