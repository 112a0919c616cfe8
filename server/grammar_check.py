"""``POST /v1/grammars/check``: would this constraint be accepted, what does it mean and cost?"""

from __future__ import annotations

import functools
from typing import Any

from syntagma.server.context import ServerContext
from syntagma.server.errors import ApiError
from syntagma.server.grammar_report import (
    checked_num_samples,
    grammar_report,
    schema_report,
    self_test_report,
)
from syntagma.server.json_body import JsonBody


async def check_grammar(context: ServerContext, payload: JsonBody) -> dict[str, Any]:
    """Compile a constraint without generating anything.

    A refused grammar is a result (``"ok": false``), not a failed request.

    Raises:
        ApiError: the body is no constraint.
        EngineOverloadedError: too many grammars or checks wait.
    """
    body = dict(payload.value)
    asked = body.pop("self_test", None)
    constraint = await payload.run(context.constraints.grammar_check, body)
    num_samples = checked_num_samples(asked, constraint)
    limits = context.compile_limits
    try:
        compilation = await context.compiling.compile(constraint)
    except ApiError as error:
        if error.status != 400:
            raise
        report: dict[str, Any] = {"ok": False, "kind": constraint.kind}
        if constraint.kind == "json_schema":
            look = functools.partial(schema_report, constraint, limits, refusal=error)
            report |= await context.checking.run(look)
        return {"object": "grammar.check", **report, **error.body()}
    grammar = compilation.grammar
    report = await context.checking.run(
        functools.partial(grammar_report, constraint, grammar, limits)
    )
    if num_samples:
        compiler = context.compiling.compiler
        report["self_test"] = await context.checking.run(
            functools.partial(self_test_report, constraint, grammar, compiler, limits, num_samples)
        )
    return {"object": "grammar.check", "cached": compilation.was_cached, **report}
