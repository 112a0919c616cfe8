"""What a check tells about a constraint, for the endpoint and the command line."""

from __future__ import annotations

import dataclasses
from typing import Any

from syntagma.decoding.self_test import SchemaCompiler, self_test
from syntagma.grammar import (
    CompiledGrammar,
    CompileLimits,
    GrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.schema_examination import SchemaExamination
from syntagma.server.constraints import JSON_KINDS, WITH_JSON, Constraint
from syntagma.server.errors import ApiError, bad_request, shorten

UNSUPPORTED = UnsupportedGrammarError.code

MAX_WITNESS_CHARS = 2_000
MAX_KEYWORDS = 2_000
MAX_LINTS = 200
MAX_SAMPLES = 1_000
# Outputs that failed; one is enough to see what is wrong.
MAX_FAILURES = 5
MAX_FAILURE_CHARS = 500

# Remarks and self-tests take no longer than that.
EXAMINATION_SECONDS = 1.0
SELF_TEST_SECONDS = 10.0
# What JSON objects are checked against.
ANY_OBJECT: dict[str, Any] = {"type": "object"}


def grammar_report(
    constraint: Constraint, grammar: CompiledGrammar, limits: CompileLimits
) -> dict[str, Any]:
    """What a grammar is and costs; slow, so not on the event loop."""
    figures = grammar.describe()
    report: dict[str, Any] = {
        "ok": True,
        "kind": grammar.kind,
        "hash": grammar.hash,
        "num_bytes": grammar.num_bytes,
        "compile_seconds": figures.pop("compile_seconds", None),
        **_shortest(grammar),
    }
    report["figures"] = {k: v for k, v in figures.items() if k not in ("kind", "hash")}
    if constraint.kind in WITH_JSON:
        report["options"] = constraint.policy.keywords()
    if constraint.kind == "json_schema":
        report |= schema_report(constraint, limits)
    return report


def schema_report(
    constraint: Constraint, limits: CompileLimits, *, refusal: ApiError | None = None
) -> dict[str, Any]:
    """The keywords of a schema and remarks on it; nothing if it cannot even be read."""
    try:
        examination = examine(constraint, limits)
    except GrammarError:
        return {}
    keywords = [dataclasses.asdict(use) for use in examination.keywords()]
    lints = [dataclasses.asdict(lint) for lint in examination.lints(is_refused=refusal is not None)]
    if refusal is not None and refusal.details.get("grammar_code") == UNSUPPORTED:
        for use in keywords:
            if use["pointer"] == refusal.details.get("pointer"):
                use["treatment"] = "refused"
    report: dict[str, Any] = {"keywords": keywords[:MAX_KEYWORDS], "lints": lints[:MAX_LINTS]}
    for name, found in (("keywords", keywords), ("lints", lints)):
        if len(report[name]) < len(found):
            report[f"num_{name}"] = len(found)
    return report


def self_test_report(
    constraint: Constraint,
    grammar: CompiledGrammar,
    compiler: SchemaCompiler,
    limits: CompileLimits,
    num_samples: int,
) -> dict[str, Any]:
    """Outputs drawn from a JSON grammar and judged; slow, so not on the event loop."""
    result = self_test(
        grammar,
        examine(constraint, limits),
        compiler,
        num_samples=num_samples,
        max_seconds=SELF_TEST_SECONDS,
    )
    report = dataclasses.asdict(result) | {"is_passed": result.is_passed}
    report["invalid"] = [shorten(t, MAX_FAILURE_CHARS) for t in result.invalid[:MAX_FAILURES]]
    return report


def examine(constraint: Constraint, limits: CompileLimits) -> SchemaExamination:
    """The schema of a JSON constraint.

    Raises:
        GrammarError: it cannot be read.
    """
    seconds = min(limits.max_seconds, EXAMINATION_SECONDS)
    return SchemaExamination(
        ANY_OBJECT if constraint.kind == "json_object" else constraint.source,
        schemas=constraint.schemas,
        options=JsonOptions(**constraint.policy.keywords()),
        limits=dataclasses.replace(limits, max_seconds=seconds),
    )


def checked_num_samples(value: Any, constraint: Constraint) -> int:
    """How many outputs a self-test is to draw; 0: none is asked for.

    Raises:
        ApiError: 400 for what is no such number, or for a constraint that nothing can judge.
    """
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= MAX_SAMPLES:
        raise bad_request(
            f"self_test must be a number of outputs from 0 to {MAX_SAMPLES}.", param="self_test"
        )
    if value and constraint.kind not in JSON_KINDS:
        raise bad_request(
            f"self_test is for JSON; there is no independent judge of a {constraint.kind}.",
            param="self_test",
        )
    return value


def _shortest(grammar: CompiledGrammar) -> dict[str, Any]:
    """A shortest output and its length."""
    found: dict[str, Any] = {"min_bytes": grammar.shortest_bytes}
    try:
        tokens, witness = grammar.witness_tokens, grammar.witness
    except ValueError:
        # It is too long to be written down.
        return found | {"witness": None, "witness_tokens": None}
    text = shorten(witness.decode("utf-8", "replace"), MAX_WITNESS_CHARS)
    return found | {"witness": text, "witness_tokens": len(tokens)}
