"""``syntagma generate``: one output from the shell, by the same code that serves requests."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from syntagma.decoding.engine import EngineError
from syntagma.server.chat import answer_chat
from syntagma.server.check import InputError, read_text
from syntagma.server.completions import answer_completion
from syntagma.server.context import ServerContext
from syntagma.server.errors import ApiError, as_api_error
from syntagma.server.json_body import JsonBody
from syntagma.server.language_flags import given_language
from syntagma.server.loading import LoadingError, load
from syntagma.server.metrics import Metrics
from syntagma.server.settings import Settings


def generate(parsed: argparse.Namespace, settings: Settings) -> int:
    """Print one output.

    Returns:
        Exit status: 0 a complete output, 1 refused, failed or cut, 2 nothing to read.
    """
    try:
        payload = request_payload(parsed)
        context = load_context(settings)
    except (InputError, LoadingError) as error:
        print(f"syntagma: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return asyncio.run(print_output(context, payload))


def request_payload(parsed: argparse.Namespace) -> dict[str, Any]:
    """The request that says the same as the command line.

    Raises:
        InputError: the schema cannot be read, or there is no place for the system's text.
    """
    payload: dict[str, Any] = {}
    if parsed.raw and parsed.system is not None:
        raise InputError("--system needs the chat template, which --raw leaves out")
    if parsed.raw:
        payload["prompt"] = parsed.prompt
    else:
        system = [{"role": "system", "content": parsed.system}] if parsed.system else []
        payload["messages"] = [*system, {"role": "user", "content": parsed.prompt}]
    for name in ("max_tokens", "temperature", "top_p", "seed"):
        if getattr(parsed, name) is not None:
            payload[name] = getattr(parsed, name)
    if (constraint := structured_outputs(parsed)) is not None:
        payload["structured_outputs"] = constraint
    return payload


def structured_outputs(parsed: argparse.Namespace) -> dict[str, Any] | None:
    """The constraint flags as a request field.

    Raises:
        InputError: the schema cannot be read.
    """
    if parsed.schema is not None:
        return {"json": read_text(parsed.schema)}
    if parsed.regex is not None:
        return {"regex": parsed.regex}
    if parsed.choice is not None:
        return {"choice": parsed.choice.split(",")}
    if parsed.json_object:
        return {"json_object": True}
    return given_language(parsed)


def load_context(settings: Settings) -> ServerContext:
    """Model, compiler and all, as the server has them.

    Raises:
        LoadingError: the model cannot be loaded.
    """
    metrics = Metrics(settings.public_model_name)
    engine, compiler = load(settings, metrics)
    return ServerContext.build(settings, engine, compiler, metrics)


async def print_output(context: ServerContext, payload: dict[str, Any]) -> int:
    """Answer the request and print its text."""
    answer = answer_completion if "prompt" in payload else answer_chat
    await context.engine.start()
    try:
        response = await answer(context, JsonBody(payload, 0))  # nobody else waits for the loop
    except (ApiError, EngineError) as error:
        print(f"syntagma: {as_api_error(error).message}", file=sys.stderr)
        return 1
    finally:
        context.shutdown()
        await context.engine.shutdown()
    choice = json.loads(bytes(response.body))["choices"][0]
    print(choice["text"] if "prompt" in payload else choice["message"]["content"])
    if choice["finish_reason"] == "length":
        print("syntagma: the output was cut at its length limit", file=sys.stderr)
        return 1
    return 0
