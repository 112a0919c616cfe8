"""The whole server with the embedded engine: what befalls a compiling process befalls no stream."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import httpx
from test_compile_pool import WORDS, until

from syntagma.server.app import create_app
from syntagma.server.loading import compile_pool, load
from syntagma.server.metrics import Metrics
from syntagma.server.settings import Settings

STREAM = {"prompt": "x", "max_tokens": 100, "ignore_eos": True}


def asking_for(field: str, source: Any) -> dict[str, Any]:
    return {"prompt": "x", "max_tokens": 4, "structured_outputs": {field: source}}


def test_streams_go_on_while_processes_end() -> None:
    async def scenario() -> None:
        settings = Settings(compile_processes=1, compile_timeout=1.0)
        metrics = Metrics(settings.public_model_name)
        engine, compiler = load(settings, metrics)
        pool = compile_pool(settings, engine, compiler, metrics)
        assert pool is not None
        app = create_app(settings, engine, compiler, metrics, pool)
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://server", timeout=300) as client,
        ):

            async def post(body: dict[str, Any]) -> httpx.Response:
                return await client.post("/v1/completions", json=body)

            await until(lambda: pool.is_ready)
            stream = asyncio.create_task(post(STREAM))
            # One that hangs: killed, and a 400.
            (pid,) = pool.pids
            os.kill(pid, signal.SIGSTOP)
            refused = await post(asking_for("choice", WORDS))
            assert refused.status_code == 400
            error = refused.json()["error"]
            assert error["param"] == "structured_outputs.choice"
            assert error["limit"] == "max_seconds"
            # One that is killed from outside: its grammar is compiled by the next.
            await until(lambda: pool.pids and pid not in pool.pids)
            (pid,) = pool.pids
            os.kill(pid, signal.SIGSTOP)
            asking = asyncio.create_task(post(asking_for("choice", WORDS[1:])))
            await until(lambda: pool.num_idle == 0)
            os.kill(pid, signal.SIGKILL)
            assert (await asking).status_code == 200
            ended = await stream
            assert ended.status_code == 200
            assert ended.json()["usage"]["completion_tokens"] == STREAM["max_tokens"]
            assert (await post(asking_for("regex", "[ab]+"))).status_code == 200
            assert (await client.get("/ready")).status_code == 200
            counts = (await client.get("/metrics")).text
            for outcome in ("killed", "crashed", "compiled"):
                assert f'outcome="{outcome}"}} 1.0' in counts

    asyncio.run(scenario())


def test_no_processes_where_none_are_wanted() -> None:
    settings = Settings(compile_processes=0)
    nothing: Any = None
    assert compile_pool(settings, nothing, nothing, nothing) is None
