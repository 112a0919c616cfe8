"""Prometheus metrics; one registry per app, so that two apps in one process do not collide.

Labels are a few fixed words: never text, schemas, hashes or request ids of users.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from syntagma.decoding.engine import Engine, StepReport
from syntagma.decoding.speculation import SpeculationUsage

# A creation time beside every counter would double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
MASK_SECONDS = (3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 0.1)
SHORT_SECONDS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class Metrics:
    """Everything the server counts; all names start with ``syntagma_``."""

    def __init__(self, model_name: str) -> None:
        self.registry = CollectorRegistry()
        self._model_name = model_name

        self.requests = self._counter("requests", "Requests answered", "endpoint", "status")
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens read")
        self.generated_tokens = self._counter("generated_tokens", "Tokens generated")
        self.finished = self._counter("finished", "Choices finished", "reason", "constraint")
        self.truncated = self._counter("truncated", "Constrained outputs cut by a length limit")
        self.aborted = self._counter("aborted", "Requests whose client left before the end")
        self.first_token_seconds = self._histogram(
            "time_to_first_token_seconds", "From request to first token", SECONDS
        )
        self.inter_token_seconds = self._histogram(
            "inter_token_seconds", "Between two deltas of one request", SHORT_SECONDS
        )
        self.request_seconds = self._histogram(
            "request_seconds", "From request to last token", SECONDS
        )

        self.mask_seconds = self._histogram("mask_seconds", "Filling one bitmask", MASK_SECONDS)
        self.forced_tokens = self._counter(
            "forced_tokens", "Tokens the grammar left no choice about"
        )

        self.speculation_steps = self._counter(
            "speculation_steps", "Passes of the model for outputs that drafts may be made for"
        )
        self.drafted_tokens = self._counter("drafted_tokens", "Tokens drafted", "source")
        self.accepted_tokens = self._counter(
            "accepted_tokens", "Drafted tokens that became output", "source"
        )

        self.compile_seconds = self._histogram(
            "grammar_compile_seconds", "Compilations", SHORT_SECONDS, "kind", "outcome"
        )
        self.process_compilations = self._counter(
            "process_compilations", "Grammars that went to a compiling process", "outcome"
        )
        self.grammar_rejected = self._counter("grammar_rejected", "Grammars refused", "code")
        self.cache_hits = self._counter("grammar_cache_hits", "Grammars found compiled")
        self.cache_misses = self._counter("grammar_cache_misses", "Grammars to compile")
        self.cache_evictions = self._counter("grammar_cache_evictions", "Grammars dropped")

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge that reads `value` whenever the metrics are asked for."""
        gauge = Gauge(f"syntagma_{name}", text, ["model_name"], registry=self.registry)
        gauge.labels(self._model_name).set_function(value)

    def watch_engine(self, engine: Engine) -> None:
        """Add gauges of what the engine is doing now."""
        self.watch("requests_active", "Requests in the engine", lambda: engine.num_active)
        self.watch("requests_running", "Requests under way", lambda: engine.stats.requests_running)
        self.watch("requests_waiting", "Requests not begun", lambda: engine.stats.requests_waiting)

    def observe_step(self, report: StepReport) -> None:
        """Count one step of the engine; called from its thread."""
        for seconds in report.mask_seconds:
            self.mask_seconds.observe(seconds)
        if report.num_forced_tokens:
            self.forced_tokens.add(report.num_forced_tokens)
        if report.speculation is not None:
            self._observe_speculation(report.speculation)

    def _observe_speculation(self, usage: SpeculationUsage) -> None:
        self.speculation_steps.add(usage.steps)
        for source, part in usage.by_source.items():
            self.drafted_tokens.add(part.drafted, source)
            self.accepted_tokens.add(part.accepted, source)

    def render(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> LabelledCounter:
        counter = Counter(f"syntagma_{name}", text, ["model_name", *labels], registry=self.registry)
        return LabelledCounter(counter, self._model_name, has_labels=bool(labels))

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> LabelledHistogram:
        histogram = Histogram(
            f"syntagma_{name}",
            text,
            ["model_name", *labels],
            buckets=buckets,
            registry=self.registry,
        )
        return LabelledHistogram(histogram, self._model_name, has_labels=bool(labels))


class LabelledCounter:
    """A counter with ``model_name`` filled in."""

    def __init__(self, counter: Counter, model_name: str, *, has_labels: bool) -> None:
        self._counter = counter
        self._model_name = model_name
        if not has_labels:
            counter.labels(model_name)  # so that it is exposed as 0 from the start

    def add(self, amount: float = 1, *labels: str) -> None:
        """Count `amount` more."""
        self._counter.labels(self._model_name, *labels).inc(amount)


class LabelledHistogram:
    """A histogram with ``model_name`` filled in."""

    def __init__(self, histogram: Histogram, model_name: str, *, has_labels: bool) -> None:
        self._histogram = histogram
        self._model_name = model_name
        if not has_labels:
            histogram.labels(model_name)

    def observe(self, seconds: float, *labels: str) -> None:
        """Record one duration."""
        self._histogram.labels(self._model_name, *labels).observe(seconds)
