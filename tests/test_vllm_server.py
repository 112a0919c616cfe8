"""``syntagma serve --engine vllm`` as a command, up to the death of its engine's process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from running import ARGUMENTS, ENVIRONMENT, require_vllm

from syntagma.decoding.embedded_engine import demo_model_path

START_SECONDS = 300
NAMES = {"kv_cache_memory_bytes": "kv-cache-memory-bytes"}


def command_line(port: int) -> list[str]:
    """Ours first, then vLLM's own arguments as a user of vLLM knows them."""
    own = ["--engine", "vllm", "--port", str(port), "--dtype", "float32", "--max-model-len", "512"]
    theirs = []
    for key, value in ARGUMENTS.items():
        flag = "--" + key.replace("_", "-")
        if key not in ("dtype", "max_model_len"):
            theirs += [flag] if value is True else [flag, str(value)]
    code = "import sys; from syntagma.server.app import main; main()"
    return [sys.executable, "-c", code, "serve", str(demo_model_path()), *own, *theirs]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """The command in a process of its own, in a session of its own."""

    def __init__(self, log: Path) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command_line(port),
                env={**os.environ, **ENVIRONMENT},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/ready", timeout=10).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.3)
        raise AssertionError(self.log.read_text(errors="replace")[-4000:])

    def engine_processes(self) -> list[int]:
        """Children of the server that are not helpers of multiprocessing."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(path.read_text().rpartition(")")[2].split()[1])
                command = path.with_name("cmdline").read_bytes()
            except (OSError, ValueError):
                continue
            if parent == self.process.pid and b"EngineCore" in command:
                found.append(int(path.parent.name))
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    require_vllm()
    server = Server(tmp_path_factory.mktemp("server") / "log")
    try:
        server.wait()
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, constraint: dict[str, Any], **fields: Any) -> Any:
    return client.completions.create(
        model=str(demo_model_path()),
        prompt="Sofia Chen is 29 years old.",
        extra_body={"structured_outputs": constraint},
        **fields,
    )


def test_constrained_answers(client: openai.OpenAI) -> None:
    answer = ask(client, {"regex": "[a-z]{3} [0-9]{2}"}, n=3, temperature=1, seed=1, logprobs=2)
    assert len(answer.choices) == 3
    for choice in answer.choices:
        assert re.fullmatch("[a-z]{3} [0-9]{2}", choice.text)
        assert choice.finish_reason == "stop"
        assert choice.logprobs.top_logprobs
    assert answer.usage.completion_tokens > 0


def test_streams(client: openai.OpenAI) -> None:
    chunks = list(ask(client, {"choice": ["grün", "日本 😀"]}, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) in ("grün", "日本 😀")
    assert len(chunks) > 2


def test_bad_grammars_never_reach_the_engine(server: Server, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, {"regex": "("})
    assert caught.value.code == "invalid_regex"
    with pytest.raises(openai.BadRequestError):
        ask(client, {"json": {"type": 5}})
    assert "r0" not in server.log.read_text(errors="replace")


def test_leaving_frees_the_place(server: Server) -> None:
    body = {"prompt": "x", "stream": True, "max_tokens": 450, "ignore_eos": True}
    for _ in range(3):
        with httpx.stream(
            "POST", f"{server.url}/v1/completions", json=body, timeout=60
        ) as response:
            assert response.status_code == 200
            next(response.iter_bytes())
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and metric(server, "requests_active"):
        time.sleep(0.1)
    assert metric(server, "requests_active") == 0


def metric(server: Server, name: str) -> float:
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    (found,) = re.findall(rf"^syntagma_{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
    return float(found)


def test_the_death_of_the_engine_is_told(server: Server) -> None:
    """The last test of this file: a stream ends with an error, requests and ``/ready`` with a 503."""
    (engine,) = server.engine_processes()
    body = {"prompt": "x", "stream": True, "max_tokens": 500, "ignore_eos": True}
    killer = threading.Timer(0.0, os.kill, (engine, signal.SIGKILL))
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        killer.start()
        rest = "\n".join(lines)
    killer.join()
    assert '"engine_stopped"' in rest
    deadline = time.monotonic() + 30
    while httpx.get(f"{server.url}/ready", timeout=30).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    answer = httpx.get(f"{server.url}/ready", timeout=30)
    assert answer.status_code == 503
    assert answer.json()["status"] == "engine stopped"
    assert "must be restarted" in answer.json()["message"]
    refused = httpx.post(f"{server.url}/v1/completions", json={"prompt": "x"}, timeout=30)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "engine_stopped"
    assert httpx.get(f"{server.url}/health", timeout=30).status_code == 200
    assert server.stop() == 0
