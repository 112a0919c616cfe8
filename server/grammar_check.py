"""``POST /v1/grammars/check``: would this constraint be accepted, and what does it cost?"""

from __future__ import annotations

from typing import Any

from syntagma.server.context import ServerContext
from syntagma.server.errors import ApiError


async def check_grammar(context: ServerContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Compile a constraint without generating anything.

    A refused grammar is a result (``"ok": false``), not a failed request.

    Raises:
        ApiError: the body is no constraint.
        EngineOverloadedError: too many grammars wait.
    """
    constraint = context.constraints.grammar_check(payload)
    try:
        compilation = await context.compiling.compile(constraint)
    except ApiError as error:
        if error.status != 400:
            raise
        return {"object": "grammar.check", "ok": False, "kind": constraint.kind, **error.body()}
    grammar = compilation.grammar
    figures = grammar.describe()
    return {
        "object": "grammar.check",
        "ok": True,
        "kind": grammar.kind,
        "hash": grammar.hash,
        "num_bytes": grammar.num_bytes,
        "compile_seconds": figures.pop("compile_seconds", None),
        "cached": compilation.was_cached,
        "figures": {key: value for key, value in figures.items() if key not in ("kind", "hash")},
    }
