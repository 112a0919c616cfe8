"""The ASGI application, and the console command's entry."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from syntagma.decoding.engine import Engine
    from syntagma.decoding.grammar_spec import Compiler
    from syntagma.server.compile_pool import CompilePool
    from syntagma.server.metrics import Metrics
    from syntagma.server.settings import Settings


def main() -> None:
    """Run the command line and exit with its status.

    The command is there after a light install as well, of which only ``--version`` can be answered.
    """
    try:
        from syntagma.server.cli import run
    except ModuleNotFoundError as error:
        if sys.argv[1:] == ["--version"]:
            print(f"syntagma {version('syntagma')}")
            return
        sys.exit(
            f"syntagma: {error.name} is not installed; this install holds the client only. "
            "For the commands: pip install 'syntagma[server]'"
        )
    sys.exit(run(sys.argv[1:]))


def create_app(
    settings: Settings,
    engine: Engine,
    compiler: Compiler,
    metrics: Metrics | None = None,
    processes: CompilePool | None = None,
) -> FastAPI:
    """The application; its lifespan starts, warms and shuts down the engine.

    Args:
        settings: resolved settings.
        engine: a running model, not started yet.
        compiler: for the engine's vocabulary.
        metrics: those the engine reports to, if it does.
        processes: where grammars are compiled that take long; None: in threads, as the others.

    Imports happen here because the console command enters through this module, and ``--help`` must
    not wait for the engine's libraries.
    """
    from fastapi import FastAPI
    from starlette.middleware.cors import CORSMiddleware

    from syntagma.server.context import ServerContext
    from syntagma.server.errors import install_error_handlers
    from syntagma.server.metrics import Metrics
    from syntagma.server.middleware import ApiKeyMiddleware, RequestMiddleware
    from syntagma.server.routes import router
    from syntagma.server.warm_up import warm_up

    metrics = metrics or Metrics(engine.model_name)
    context = ServerContext.build(settings, engine, compiler, metrics, processes)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await engine.start()
        if processes is not None:
            processes.start()
        try:
            await warm_up(context)
            context.is_ready = True
            yield
        finally:
            context.shutdown()
            if processes is not None:
                await processes.shutdown()
            await engine.shutdown()

    # Bodies are read by hand, within bounds, so there is no schema to publish.
    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.state.context = context
    app.include_router(router)
    install_error_handlers(app)
    # The last one added is the outermost: CORS answers preflights, which carry no key.
    if settings.api_key is not None:
        app.add_middleware(ApiKeyMiddleware, api_key=settings.api_key.get_secret_value())
    app.add_middleware(RequestMiddleware, metrics=metrics)
    if settings.allow_origin:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allow_origin),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-request-id"],
        )
    return app
