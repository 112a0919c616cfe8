"""The HTTP endpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from syntagma.server.chat import answer_chat
from syntagma.server.completions import answer_completion
from syntagma.server.context import VERSION, ServerContext, context_of
from syntagma.server.disconnect import until_disconnect
from syntagma.server.errors import ENGINE_STOPPED
from syntagma.server.grammar_check import check_grammar
from syntagma.server.json_body import JsonBody, read_json_object

router = APIRouter()

Handler = Callable[[ServerContext, JsonBody], Awaitable[Response]]


@router.post("/v1/chat/completions")
async def chat_completions(request: Request) -> Response:
    """Answer a chat."""
    return await _handle(request, answer_chat)


@router.post("/v1/completions")
async def completions(request: Request) -> Response:
    """Continue texts."""
    return await _handle(request, answer_completion)


@router.post("/v1/grammars/check")
async def grammars_check(request: Request) -> Response:
    """Compile a constraint and report."""

    async def respond(context: ServerContext, payload: JsonBody) -> Response:
        return JSONResponse(await check_grammar(context, payload))

    return await _handle(request, respond)


@router.get("/v1/models")
async def list_models(request: Request) -> Response:
    """The served model and its adapters."""
    context = context_of(request)
    data = [_model(context, name) for name in context.model_names]
    return JSONResponse({"object": "list", "data": data})


@router.get("/v1/models/{name:path}")
async def get_model(request: Request, name: str) -> Response:
    """The served model or an adapter, by name."""
    context = context_of(request)
    context.check_model(name)
    return JSONResponse(_model(context, name))


@router.get("/health")
async def health() -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/ready")
async def ready(request: Request) -> Response:
    """The engine runs and is warm."""
    context = context_of(request)
    if not context.is_ready:
        return JSONResponse({"status": "starting"}, status_code=503)
    if not context.engine.is_running:
        answer = {"status": "engine stopped", "message": ENGINE_STOPPED}
        return JSONResponse(answer, status_code=503)
    return JSONResponse({"status": "ready"})


@router.get("/version")
async def version() -> Response:
    """The package's version."""
    return JSONResponse({"version": VERSION})


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    text = context_of(request).metrics.render()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def _handle(request: Request, handler: Handler) -> Response:
    """Read the body, then work until the answer is there or the client has left."""
    context = context_of(request)
    payload = await read_json_object(
        request,
        max_bytes=context.settings.max_body_bytes,
        max_depth=context.settings.max_json_depth,
    )

    async def work() -> Response:
        return await handler(context, payload)

    return await until_disconnect(request.receive, work())


def _model(context: ServerContext, name: str) -> dict[str, object]:
    base = context.engine.model_name
    return {
        "id": name,
        "object": "model",
        "created": context.created,
        "owned_by": "syntagma",
        "max_model_len": context.engine.max_model_len,
        **({} if name == base else {"parent": base}),
    }
