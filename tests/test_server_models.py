"""What a model may add to an answer, and adapters as models: reasoning, priorities, names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from server_fakes import MODEL, Server, error_of, serving, sse_events

from syntagma.decoding.engine import Delta, GenerationRequest


def thinks(request: GenerationRequest) -> Iterable[Delta]:
    """Two pieces of reasoning, the second beside the first piece of the answer."""
    yield Delta(index=0, text="", reasoning="so ", token_ids=(1,))
    yield Delta(index=0, text="4", reasoning="be it", token_ids=(2, 3))
    yield Delta(index=0, text="2", token_ids=(4,), finish_reason="stop")


def with_adapters(server: Server, *names: str) -> Server:
    server.engine.adapters = names
    return server


def test_reasoning_is_apart_from_the_answer() -> None:
    async def scenario() -> None:
        async with serving(thinks) as server:
            (choice,) = (await server.chat()).json()["choices"]
            assert choice["message"] == {
                "role": "assistant", "content": "42", "refusal": None, "reasoning": "so be it",
            }  # fmt: skip
            deltas = [
                event["choices"][0]["delta"] for event in sse_events(await server.chat(stream=True))
            ]
            assert deltas == [
                {"role": "assistant", "content": ""},
                {"reasoning": "so "},
                {"reasoning": "be it"},
                {"content": "4"},
                {"content": "2"},
                {},
            ]
            answered = [choice["message"], {"role": "user", "content": "And?"}]
            again = await server.chat(messages=[{"role": "user", "content": "Hi"}, *answered])
            assert again.status_code == 200
            assert "be it" not in server.engine.prompts[-1]

    asyncio.run(scenario())


def test_only_chats_may_reason() -> None:
    async def scenario() -> None:
        async with serving() as server:
            await server.chat()
            await server.complete()
            assert [request.may_reason for request in server.engine.requests] == [True, False]

    asyncio.run(scenario())


def test_adapters_are_models() -> None:
    async def scenario() -> None:
        async with serving() as plain:
            server = with_adapters(plain, "french", "law")
            models = (await server.client.get("/v1/models")).json()["data"]
            assert [model["id"] for model in models] == [MODEL, "french", "law"]
            assert [model.get("parent") for model in models] == [None, MODEL, MODEL]
            assert (await server.client.get("/v1/models/law")).json() == models[2]
            for model in ("law", MODEL, None):
                answer = await server.chat(model=model)
                assert answer.json()["model"] == (model or MODEL)
            answer = await server.complete(model="french")
            assert answer.json()["model"] == "french"
            chosen = [request.adapter for request in server.engine.requests]
            assert chosen == ["law", None, None, "french"]
            refused = await server.chat(model="german")
            assert refused.status_code == 404
            assert "'fake', 'french', 'law'" in error_of(refused)["message"]

    asyncio.run(scenario())


def test_priorities_reach_the_engine() -> None:
    async def scenario() -> None:
        async with serving() as server:
            await server.chat(priority=-2)
            await server.complete()
            assert [request.priority for request in server.engine.requests] == [-2, 0]
            refused = await server.chat(priority=1.5)
            assert error_of(refused)["param"] == "priority"

    asyncio.run(scenario())
