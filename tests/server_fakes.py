"""A scripted engine and compiler, and a client for an app built on them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI

from syntagma.decoding.engine import (
    Delta,
    EngineStats,
    FinishReason,
    GenerationRequest,
    TokenLogprob,
)
from syntagma.grammar import CompiledGrammar, GrammarSyntaxError, Vocabulary
from syntagma.server.app import create_app
from syntagma.server.settings import Settings

MODEL = "fake"
SPECIAL = {"<|end|>": 256, "<|user|>": 257, "<|assistant|>": 258}
VOCABULARY = Vocabulary(
    [bytes([byte]) for byte in range(256)] + [b""] * len(SPECIAL),
    stop_ids=[256],
    special_ids=SPECIAL.values(),
)


class FakeTokenizer:
    """One token a byte; control tokens are parsed wherever their text stands."""

    def __init__(self) -> None:
        self.chat_template: str | None = "fake"
        self.added_tokens_decoder = {
            token_id: FakeAddedToken(text) for text, token_id in SPECIAL.items()
        }

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        ids: list[int] = []
        while text:
            for special, token_id in SPECIAL.items():
                if text.startswith(special):
                    ids.append(token_id)
                    text = text[len(special) :]
                    break
            else:
                ids += text[0].encode()
                text = text[1:]
        return ids

    def decode(self, token_ids: Iterable[int]) -> str:
        names = {token_id: text.encode() for text, token_id in SPECIAL.items()}
        return b"".join(names.get(i) or bytes([i]) for i in token_ids).decode()

    def apply_chat_template(
        self,
        conversation: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None,
        add_generation_prompt: bool,
        tokenize: bool,
    ) -> str:
        text = f"{json.dumps(tools, ensure_ascii=False)}" if tools else ""
        for message in conversation:
            if message["content"] == "refuse me":
                raise ValueError("roles must alternate")
            text += f"<|{message['role']}|>{message['content']}<|end|>"
        return text + "<|assistant|>"


class FakeAddedToken:
    """Enough of `tokenizers.AddedToken`."""

    special = True

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


Script = Callable[[GenerationRequest], Iterable[Delta | Exception]]


def text_deltas(
    *pieces: str, index: int = 0, finish_reason: FinishReason = "stop", logprobs: bool = False
) -> list[Delta]:
    """One delta per piece, one token each; the last one finishes the choice."""
    return [
        Delta(
            index=index,
            text=piece,
            token_ids=(number,),
            logprobs=(logprob(piece.encode()),) if logprobs else (),
            finish_reason=finish_reason if number == len(pieces) - 1 else None,
        )
        for number, piece in enumerate(pieces)
    ]


def logprob(token: bytes) -> TokenLogprob:
    """A token with one alternative that is impossible."""
    top = ((1, token, -0.5), (2, b"\xff", float("-inf")))
    return TokenLogprob(token_id=1, token_bytes=token, logprob=-0.5, top=top, is_forced=True)


def says(*pieces: str, finish_reason: FinishReason = "stop", logprobs: bool = False) -> Script:
    """A script in which each of n choices says the same, interleaved."""

    def script(request: GenerationRequest) -> Iterable[Delta]:
        choices = [
            text_deltas(*pieces, index=i, finish_reason=finish_reason, logprobs=logprobs)
            for i in reversed(range(request.sampling.n))
        ]
        for step in zip(*choices, strict=True):
            yield from step

    return script


class FakeEngine:
    """Follows a script.

    Attributes:
        requests: what was asked for, the warm-up left out.
        ended: request ids whose iterator was closed before its end.
        refusal: raised by `generate` itself.
        gate: awaited before each delta but the first, if there is one.
        waiting: set once a stream waits at the gate.
    """

    model_name = MODEL
    vocabulary = VOCABULARY
    max_model_len = 1000
    adapters: tuple[str, ...] = ()
    num_active = 0
    stats = EngineStats()

    def __init__(self, script: Script | None = None) -> None:
        self.tokenizer = FakeTokenizer()
        self.script = script or says("Hello", " world")
        self.requests: list[GenerationRequest] = []
        self.ended: list[str] = []
        self.refusal: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.waiting = asyncio.Event()
        self.is_running = False

    async def start(self) -> None:
        self.is_running = True

    async def shutdown(self) -> None:
        self.is_running = False

    def generate(self, request: GenerationRequest) -> AsyncIterator[Delta]:
        if request.request_id == "warm-up":
            return self._follow(request, says("warm")(request))
        self.requests.append(request)
        if self.refusal is not None:
            raise self.refusal
        return self._follow(request, self.script(request))

    async def _follow(
        self, request: GenerationRequest, script: Iterable[Delta | Exception]
    ) -> AsyncIterator[Delta]:
        has_ended = False
        try:
            for number, item in enumerate(script):
                if number and self.gate is not None:
                    self.waiting.set()
                    await self.gate.wait()
                if isinstance(item, Exception):
                    raise item
                yield item
            has_ended = True
        finally:
            if not has_ended:
                self.ended.append(request.request_id)

    async def abort(self, request_id: str) -> None:
        self.ended.append(request_id)

    @property
    def prompts(self) -> list[str]:
        """The prompts it was given, control tokens as their text."""
        return [self.tokenizer.decode(request.prompt_token_ids) for request in self.requests]


class FakeCompiler:
    """Accepts everything but what a test forbids.

    Attributes:
        calls: (kind, source, whitespace) of every compilation, the warm-up left out.
        policies: of every compilation of JSON.
        error: raised instead of compiling.
        hold: compilations wait for it, if it is set to an event.
        compile_seconds: that every grammar claims.
        prepared: hashes of those whose first mask was asked for.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, str | None]] = []
        self.policies: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.hold: threading.Event | None = None
        self.num_bytes = 100
        self.compile_seconds = 0.001
        self.prepared: list[str] = []

    def compile_json_schema(
        self, schema: Any, *, schemas: Any = None, **policies: Any
    ) -> CompiledGrammar:
        self.policies.append(policies | {"schemas": schemas})
        return self._compile("json_schema", schema, policies["whitespace"])

    def compile_json_object(self, **policies: Any) -> CompiledGrammar:
        self.policies.append(policies)
        return self._compile("json_object", None, policies["whitespace"])

    def compile_ebnf(self, text: str, *, root: str = "root") -> CompiledGrammar:
        return self._compile("ebnf", text, root)

    def compile_lark(
        self, text: str, *, start: str, semantics: str, files: Any = None, indenter: Any = None
    ) -> CompiledGrammar:
        reading = {"start": start, "semantics": semantics, "files": files}
        self.policies.append(reading if indenter is None else reading | {"indenter": indenter})
        return self._compile("lark", text, None)

    def compile_structural_tag(self, tag: Any, **policies: Any) -> CompiledGrammar:
        self.policies.append(policies)
        return self._compile("structural_tag", tag, policies["whitespace"])

    def compile_language(self, name: str, /, **options: Any) -> CompiledGrammar:
        return self._compile("language", {"language": name, **options}, None)

    def compile_regex(self, pattern: str) -> CompiledGrammar:
        if pattern == "(":
            raise GrammarSyntaxError("a group is not closed", line=1, column=1)
        return self._compile("regex", pattern, None)

    def compile_choice(self, choices: list[str]) -> CompiledGrammar:
        return self._compile("choice", choices, None)

    def _compile(self, kind: str, source: Any, whitespace: str | None) -> Any:
        self.calls.append((kind, source, whitespace))
        if self.hold is not None:
            self.hold.wait()
        if self.error is not None:
            raise self.error
        grammar_hash = f"{len(self.calls):032x}"
        return SimpleNamespace(
            kind=kind,
            prepare=lambda: self.prepared.append(grammar_hash),
            compile_seconds=self.compile_seconds,
            hash=grammar_hash,
            num_bytes=self.num_bytes,
            vocabulary=VOCABULARY,
            shortest_bytes=4,
            witness=b"null",
            witness_tokens=(1, 2),
            describe=lambda: {"kind": kind, "hash": "0", "num_rules": 1, "compile_seconds": 0.001},
        )


@dataclass
class Server:
    """A running app and what it runs on."""

    app: FastAPI
    client: httpx.AsyncClient
    engine: FakeEngine
    compiler: FakeCompiler

    async def chat(self, **fields: Any) -> httpx.Response:
        """A chat request; a short user message unless given."""
        body = {"messages": [{"role": "user", "content": "Hi"}]} | fields
        return await self.client.post("/v1/chat/completions", json=body)

    async def complete(self, **fields: Any) -> httpx.Response:
        """A completion request; a short prompt unless given."""
        return await self.client.post("/v1/completions", json={"prompt": "Hi"} | fields)


@asynccontextmanager
async def serving(
    script: Script | None = None, *, headers: dict[str, str] | None = None, **settings: Any
) -> AsyncIterator[Server]:
    """An app on fakes, started, warmed and joined to a client without a network."""
    engine, compiler = FakeEngine(script), FakeCompiler()
    app = create_app(Settings(**settings), engine, compiler)
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app):
        compiler.calls.clear()
        compiler.policies.clear()
        async with httpx.AsyncClient(
            transport=transport, base_url="http://server", headers=headers
        ) as client:
            yield Server(app, client, engine, compiler)


def sse_events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a finished stream, which must end with [DONE]."""
    lines = [line for line in response.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error object; checks the shape that every error has."""
    error = response.json()["error"]
    assert isinstance(error["message"], str) and 0 < len(error["message"]) <= 1000
    assert {"message", "type", "param", "code"} <= error.keys()
    should_not_retry = response.headers.get("x-should-retry") == "false"
    assert should_not_retry or response.status_code in (429, 500, 503)
    return dict(error)
