"""``syntagma serve``: from settings to a listening server, telling what it does on the way."""

from __future__ import annotations

import asyncio
import copy
import gc
import socket
import sys
import time
from contextlib import suppress
from typing import Any

import uvicorn

from syntagma.decoding.engine import Engine
from syntagma.decoding.interpreter import keep_pauses_short
from syntagma.server.app import create_app
from syntagma.server.loading import LoadingError, compile_pool, load
from syntagma.server.metrics import Metrics
from syntagma.server.settings import Settings, describe

# What is left for the engine's last step and for sending the last events.
ENGINE_SHUTDOWN_SECONDS = 3

EXAMPLE_BODY = """\
{
    "messages": [{"role": "user", "content": "Sofia Chen is 29 years old."}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": {
      "type": "object",
      "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
      "required": ["name", "age"], "additionalProperties": false}}}
  }"""


def serve(settings: Settings) -> int:
    """Load the model, serve until a signal ends it, and return the exit status."""
    keep_pauses_short()
    announce("settings", *describe(settings).splitlines())
    started = time.perf_counter()
    announce(f"loading {settings.model or 'the demo model'}")
    metrics = Metrics(settings.public_model_name)
    try:
        engine, compiler = load(settings, metrics)
    except LoadingError as error:
        print(f"syntagma: {error}", file=sys.stderr)
        return 1
    announce(f"loaded in {time.perf_counter() - started:.1f} s; warming up")
    processes = compile_pool(settings, engine, compiler, metrics)
    app = create_app(settings, engine, compiler, metrics, processes)
    server = Server(server_config(settings, app), settings, engine)
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else 1


def server_config(settings: Settings, app: object) -> uvicorn.Config:
    """uvicorn's view of the settings."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        log_config=log_config(settings),
        lifespan="on",
        ssl_keyfile=settings.ssl_keyfile,
        ssl_certfile=settings.ssl_certfile,
        timeout_graceful_shutdown=settings.shutdown_timeout + ENGINE_SHUTDOWN_SECONDS,
        server_header=False,
    )


def log_config(settings: Settings) -> dict[str, Any]:
    """uvicorn's logging, with this package's loggers beside its own."""
    config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    config["loggers"]["syntagma"] = {
        "handlers": ["default"],
        "level": settings.log_level.upper(),
        "propagate": False,
    }
    return config


class Server(uvicorn.Server):
    """Says where it listens once it does, and ends open streams properly when it stops."""

    def __init__(self, config: uvicorn.Config, settings: Settings, engine: Engine) -> None:
        super().__init__(config)
        self._settings = settings
        self._engine = engine

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        spare_what_is_loaded()
        if self.started and self.servers:
            port = self.servers[0].sockets[0].getsockname()[1]
            announce(*ready_lines(self._settings, port))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for running requests; those that take too long are ended by their engine.

        So a stream ends with an error event, where uvicorn's own way is to cut it off.
        """
        ending = asyncio.create_task(self._end_engine())
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    async def _end_engine(self) -> None:
        await asyncio.sleep(self._settings.shutdown_timeout)
        await self._engine.shutdown()


def spare_what_is_loaded() -> None:
    """Take what stays for good out of the garbage collector's sight.

    PyTorch, numba and the tokenizer are some 400,000 objects; a full collection that looks at them all
    takes a fifth of a second, in which no stream gets a token.
    """
    gc.collect()
    gc.freeze()


def ready_lines(settings: Settings, port: int) -> list[str]:
    """The address and an example."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{settings.scheme}://{host}:{port}"
    lines = [f"ready at {url} with model {settings.public_model_name}; try:"]
    key = "  -H 'authorization: Bearer ...' \\\n" if settings.api_key is not None else ""
    curl = (
        f"curl {url}/v1/chat/completions -H 'content-type: application/json' \\\n"
        f"{key}  -d '{EXAMPLE_BODY}'"
    )
    return lines + curl.splitlines()


def announce(first: str, *further: str) -> None:
    """Print a line of progress, and indented lines below it."""
    print("\n    ".join((f"syntagma: {first}", *further)), flush=True)
