"""What surrounds the answers: probes, models, keys, ids, limits, and errors in one form."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from server_fakes import MODEL, error_of, says, serving

from syntagma.decoding.engine import EngineError, EngineOverloadedError
from syntagma.grammar import GrammarLimitError
from syntagma.server.json_body import nesting_depth, parse_json


def test_probes_and_models() -> None:
    async def scenario() -> None:
        async with serving() as server:
            client = server.client
            assert (await client.get("/health")).json() == {"status": "ok"}
            assert (await client.get("/ready")).json() == {"status": "ready"}
            assert "version" in (await client.get("/version")).json()
            (model,) = (await client.get("/v1/models")).json()["data"]
            assert model["id"] == MODEL
            assert model["object"] == "model"
            assert (await client.get(f"/v1/models/{MODEL}")).json() == model
            missing = await client.get("/v1/models/org/other")
            assert missing.status_code == 404
            assert error_of(missing)["code"] == "model_not_found"

    asyncio.run(scenario())


def test_not_ready_once_the_engine_has_failed() -> None:
    async def scenario() -> None:
        async with serving() as server:
            transport = httpx.ASGITransport(app=server.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                assert (await client.get("/ready")).status_code == 200
                server.engine.is_running = False
                refused = await client.get("/ready")
                assert refused.status_code == 503
                assert refused.json()["status"] == "engine stopped"
                assert "must be restarted" in refused.json()["message"]

    asyncio.run(scenario())


def test_not_ready_before_the_start_and_after_the_end() -> None:
    async def scenario() -> None:
        async with serving() as server:
            engine, app = server.engine, server.app
            assert engine.is_running
        assert not engine.is_running
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            assert (await client.get("/ready")).status_code == 503
            assert (await client.get("/health")).status_code == 200

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/health", 405),
    ],
)
def test_wrong_paths_and_methods(method: str, path: str, status: int) -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.client.request(method, path)
            assert response.status_code == status
            assert error_of(response)["type"] == "invalid_request_error"

    asyncio.run(scenario())


def test_api_key() -> None:
    async def scenario() -> None:
        async with serving(api_key="s3cret") as server:
            for headers in (
                {},
                {"authorization": "s3cret"},
                {"authorization": "Bearer wrong"},
                {"authorization": "Bearer"},
                {"authorization": "Basic s3cret"},
            ):
                response = await server.client.get("/v1/models", headers=headers)
                assert response.status_code == 401
                assert error_of(response)["code"] == "invalid_api_key"
                assert response.headers["www-authenticate"] == "Bearer"
                assert "s3cret" not in response.text
            raw = await server.client.get(
                "/v1/models", headers=[(b"authorization", b"Bearer \xff")]
            )
            assert raw.status_code == 401
            right = {"authorization": "Bearer s3cret"}
            assert (await server.client.get("/v1/models", headers=right)).status_code == 200
            for path in ("/health", "/ready", "/metrics", "/version"):
                assert (await server.client.get(path)).status_code == 200
            unknown = await server.client.post("/v1/anything", content=b"x" * 100)
            assert unknown.status_code == 401

    asyncio.run(scenario())


def test_request_ids() -> None:
    async def scenario() -> None:
        async with serving() as server:
            response = await server.client.get("/health", headers={"x-request-id": "abc-1"})
            assert response.headers["x-request-id"] == "abc-1"
            for bad in ("a b", "x" * 65, ""):
                response = await server.client.get("/health", headers={"x-request-id": bad})
                assert len(response.headers["x-request-id"]) == 32
            response = await server.client.get("/nothing")
            assert len(response.headers["x-request-id"]) == 32

    asyncio.run(scenario())


def test_browsers_may_call_from_named_origins_only() -> None:
    async def scenario() -> None:
        preflight = {
            "origin": "https://a.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,x-stainless-os",
        }
        path = "/v1/chat/completions"
        async with serving() as server:
            response = await server.client.options(path, headers=preflight)
            assert "access-control-allow-origin" not in response.headers
        async with serving(api_key="k", allow_origin=("https://a.example",)) as server:
            response = await server.client.options(path, headers=preflight)
            assert response.status_code == 200
            assert response.headers["access-control-allow-origin"] == "https://a.example"
            other = preflight | {"origin": "https://b.example"}
            assert (await server.client.options(path, headers=other)).status_code == 400

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"null", "invalid_json"),
        (b'"messages"', "invalid_json"),
        (b'{"messages": NaN}', "invalid_json"),
        (b'{"seed": -Infinity}', "invalid_json"),
        (b'{"seed": 1e400}', "invalid_json"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "invalid_json"),
        (b'{"seed": 1, "seed": 2}', "invalid_json"),
        (b'{"user": "\xff"}', "invalid_json"),
        (b'{"user": "\\ud83d"}', "invalid_json"),
        ('{"user": "a"}'.encode("utf-16"), "invalid_json"),
        (b'{"a":' * 129 + b"1" + b"}" * 129, "json_too_deep"),
        (b"[" * 100_000, "json_too_deep"),
    ],
)
def test_bodies_that_are_not_read(body: bytes, code: str) -> None:
    async def scenario() -> None:
        async with serving() as server:
            for path in ("/v1/chat/completions", "/v1/completions", "/v1/grammars/check"):
                response = await server.client.post(path, content=body)
                assert response.status_code == 400
                assert error_of(response)["code"] == code

    asyncio.run(scenario())


def test_nesting_is_counted_outside_strings() -> None:
    assert nesting_depth(b'{"a": [1, {"[[[": "{\\"{{"}], "b": "\\\\"}') == 3
    assert nesting_depth(b'"' + b"[" * 1000) == 0
    assert nesting_depth(b"") == 0
    assert nesting_depth(b"]]]][") <= 1
    deep: Any = 1
    for _ in range(100):
        deep = [{"a": deep}]
    assert nesting_depth(json.dumps(deep).encode()) == 200


def test_what_json_allows_is_read() -> None:
    text = '{"é": "\\ud83d\\ude00", "a": [1.5, -0, 1e3, true, null], "\\\\ud800": {}}'
    assert parse_json(text.encode(), max_depth=9) == {
        "é": "😀",
        "a": [1.5, 0, 1000.0, True, None],
        "\\ud800": {},
    }


def test_large_bodies() -> None:
    async def scenario() -> None:
        async with serving(max_body_bytes=100_000) as server:
            path = "/v1/chat/completions"
            announced = await server.client.post(path, content=b"x" * 100_001)
            assert announced.status_code == 413

            async def pieces() -> Any:
                for _ in range(10):
                    yield b"x" * 20_000

            streamed = await server.client.post(path, content=pieces())
            assert streamed.status_code == 413
            assert error_of(streamed)["code"] == "body_too_large"
            fits = await server.chat(user="x" * 90_000)
            assert fits.status_code == 200

    asyncio.run(scenario())


def test_overload_may_be_retried() -> None:
    async def scenario() -> None:
        async with serving() as server:
            server.engine.refusal = EngineOverloadedError("256 requests wait already")
            for stream in (False, True):
                response = await server.chat(stream=stream)
                assert response.status_code == 429
                assert response.headers["retry-after"] == "1"
                assert "x-should-retry" not in response.headers
                assert error_of(response)["code"] == "engine_overloaded"

    asyncio.run(scenario())


def test_failures_tell_no_internals() -> None:
    async def scenario() -> None:
        async with serving() as server:
            for secret in (EngineError("cuda:0 /secret"), KeyError("/secret")):
                server.engine.refusal = secret
                response = await server.chat()
                assert response.status_code == 500
                assert "secret" not in response.text
                assert error_of(response)["type"] == "server_error"
                assert len(response.headers["x-request-id"]) == 32

    asyncio.run(scenario())


def test_a_request_the_engine_does_not_take() -> None:
    async def scenario() -> None:
        async with serving() as server:
            server.engine.refusal = ValueError("the prompt is empty")
            response = await server.chat()
            assert response.status_code == 400
            assert error_of(response)["message"] == "the prompt is empty"

    asyncio.run(scenario())


def test_an_aborted_request_is_no_answer() -> None:
    async def scenario() -> None:
        async with serving(says("a", finish_reason="abort")) as server:
            response = await server.chat()
            assert response.status_code == 503
            assert error_of(response)["code"] == "aborted"

    asyncio.run(scenario())


def test_an_engine_that_forgets_to_finish() -> None:
    async def scenario() -> None:
        async with serving(lambda request: []) as server:
            assert (await server.chat()).status_code == 500
            assert (await server.chat(stream=True)).status_code == 500

    asyncio.run(scenario())


def test_messages_are_cut() -> None:
    async def scenario() -> None:
        async with serving() as server:
            error = GrammarLimitError("x" * 5000, limit="max_rules", pointer="/a" * 5000)
            server.compiler.error = error
            response = await server.chat(response_format={"type": "json_object"})
            assert response.status_code == 400
            assert len(response.content) < 3000
            assert error_of(response)["limit"] == "max_rules"
            for field in ("x" * 5000, "guided_" + "y" * 5000):
                response = await server.chat(**{field: 1})
                assert len(response.content) < 1000

    asyncio.run(scenario())


def test_grammar_check() -> None:
    async def scenario() -> None:
        async with serving() as server:

            async def check(**body: Any) -> httpx.Response:
                return await server.client.post("/v1/grammars/check", json=body)

            first = (await check(json_schema={"type": "object"}, whitespace="compact")).json()
            assert first["ok"] is True
            assert first["kind"] == "json_schema"
            assert first["num_bytes"] == 100
            assert first["compile_seconds"] == 0.001
            assert first["figures"] == {"num_rules": 1}
            assert first["cached"] is False
            again = (await check(json_schema={"type": "object"}, whitespace="compact")).json()
            assert again["cached"] is True
            assert again["hash"] == first["hash"]
            assert (await check(choice=["a"])).json()["kind"] == "choice"
            refused = await check(regex="(")
            assert refused.status_code == 200
            assert refused.json()["ok"] is False
            assert refused.json()["error"]["code"] == "invalid_regex"
            assert refused.json()["error"]["line"] == 1
            for body in ({}, {"regex": "a", "choice": ["a"]}, {"regx": "a"}, {"regex": 1}):
                assert (await check(**body)).status_code == 400

    asyncio.run(scenario())


def test_metrics() -> None:
    async def scenario() -> None:
        async with serving() as server:
            await server.chat(response_format={"type": "json_object"})
            await server.chat(response_format={"type": "json_object"})
            await server.chat(structured_outputs={"regex": "("})
            await server.client.get("/no/such/path")
            text = (await server.client.get("/metrics")).text
            label = f'model_name="{MODEL}"'
            for line in (
                f"syntagma_grammar_cache_hits_total{{{label}}} 1.0",
                f'syntagma_grammar_rejected_total{{code="grammar_syntax",{label}}} 1.0',
                f'syntagma_finished_total{{constraint="grammar",{label},reason="stop"}} 2.0',
                f"syntagma_generated_tokens_total{{{label}}} 4.0",
                f"syntagma_grammar_queue_depth{{{label}}} 0.0",
                f"syntagma_aborted_total{{{label}}} 0.0",
            ):
                assert line in text
            assert 'endpoint="other"' in text
            assert "/no/such/path" not in text
            assert "syntagma_mask_seconds_bucket" in text
            assert "syntagma_grammar_cache_bytes" in text

    asyncio.run(scenario())
