"""Streams while hostile grammars come in: how long does any of them stall?

    .venv/bin/python benchmarks/stalls.py --engine vllm
    .venv/bin/python benchmarks/stalls.py --engine embedded

A server process with the demo model serves 8 endless streams. After a quiet time, one request after another brings a
grammar from `hostile.py`. Reported are the gaps between events of a stream, quiet and under attack, and how the
attacks ended. The exit status is 1 if a stream stalled for more than 500 ms under attack or the server did not answer.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from hostile import attacks

MAX_STALL_SECONDS = 0.5
FIELDS = {"json_schema": "json", "regex": "regex", "choice": "choice", "ebnf": "ebnf"}
MODEL = Path(__file__).parent.parent / "decoding" / "demo_model"
ARGUMENTS = {
    "vllm": "--dtype float32 --max-model-len 2048 --enforce-eager --max-num-seqs 32 "
    "--kv-cache-memory-bytes 536870912 --disable-log-stats "
    "--distributed-executor-backend vllm.v1.executor.uniproc_executor.UniProcExecutor",
    "embedded": "",
}


def start_server(port: int, engine: str, further: Sequence[str]) -> subprocess.Popen[bytes]:
    code = "from syntagma.server.app import main; main()"
    command = [sys.executable, "-c", code, "serve", str(MODEL), "--port", str(port)]
    command += ["--engine", engine, *further]
    environment = {"OMP_NUM_THREADS": "1", "VLLM_LOGGING_LEVEL": "ERROR", **os.environ}
    return subprocess.Popen(
        [*command, *ARGUMENTS[engine].split()], env=environment, stdout=subprocess.DEVNULL
    )


async def until_ready(client: httpx.AsyncClient, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            if (await client.get("/ready")).status_code == 200:
                return
        except httpx.TransportError:
            await asyncio.sleep(0.5)
    raise SystemExit("the server did not start")


async def read_stream(client: httpx.AsyncClient, times: list[float], stop: asyncio.Event) -> None:
    """Note when each event comes; begin again when the context is full."""
    body = {"prompt": "x", "stream": True, "max_tokens": 1900, "ignore_eos": True}
    while not stop.is_set():
        async with client.stream("POST", "/v1/completions", json=body) as response:
            async for line in response.aiter_lines():
                if line:
                    times.append(time.perf_counter())
                if stop.is_set():
                    return


def attack(port: int) -> None:
    """Send every hostile grammar; runs in a process of its own, so that making them stalls nobody.

    Prints one JSON line an attack: its name, when it began and ended (on the clock that all processes share),
    and how.
    """
    for one in attacks():
        if one.kind not in FIELDS:
            continue
        constraint: dict[str, Any] = {FIELDS[one.kind]: one.source()}
        body = {"prompt": "x", "max_tokens": 4, "structured_outputs": constraint}
        started = time.perf_counter()
        try:
            response = httpx.post(f"http://127.0.0.1:{port}/v1/completions", json=body, timeout=120)
        except (httpx.HTTPError, ValueError) as error:
            outcome = type(error).__name__
        else:
            outcome = str(response.status_code)
        name = f"{one.group} {one.kind}: {one.name}"
        print(json.dumps([name, started, time.perf_counter(), outcome]), flush=True)


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, its children's not counted: what its threads take from each other."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def gaps(streams: list[list[float]], start: float, end: float) -> list[float]:
    """Between events of each stream within a span of time; streams that begin again leave a gap out."""
    found = []
    for times in streams:
        kept = [t for t in times if start <= t <= end]
        found += [after - before for before, after in itertools.pairwise(kept)]
    return sorted(found)


def report_attacks(attacks: list[Any], streams: list[list[float]]) -> None:
    """How they ended, and the longest gaps with the attacks beside which they fell."""
    print("attacks:", dict(Counter(outcome for *_, outcome in attacks)))
    worst = sorted(
        (
            (max(gaps(streams, start - 0.1, end + 0.1), default=0.0), name, end - start, outcome)
            for name, start, end, outcome in attacks
        ),
        reverse=True,
    )
    for gap, name, seconds, outcome in worst[:10]:
        print(f"  gap {1000 * gap:6.1f} ms  attack {seconds:5.2f} s  {outcome}  {name}")


async def measure(port: int, options: argparse.Namespace) -> int:
    num_streams, quiet_seconds = options.streams, options.quiet_seconds
    server = start_server(port, options.engine, options.server_arguments.split())
    try:
        limits = httpx.Limits(max_connections=num_streams + 8)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=120, limits=limits
        ) as client:
            await until_ready(client, server)
            stop = asyncio.Event()
            streams: list[list[float]] = [[] for _ in range(num_streams)]
            tasks = [asyncio.create_task(read_stream(client, times, stop)) for times in streams]
            await asyncio.sleep(3)
            begun = time.perf_counter()
            await asyncio.sleep(quiet_seconds)
            quiet_end = time.perf_counter()
            spent_before = processor_seconds(server.pid)
            attacker = await asyncio.create_subprocess_exec(
                sys.executable, __file__, "--attack", str(port), stdout=subprocess.PIPE
            )
            lines, _ = await attacker.communicate()
            ended = time.perf_counter()
            spent = processor_seconds(server.pid) - spent_before
            stop.set()
            await asyncio.gather(*tasks)
            ready = (await client.get("/ready")).status_code
    finally:
        server.terminate()
        server.wait()
    worst = 0.0
    for name, start, end in (("quiet", begun, quiet_end), ("under attack", quiet_end, ended)):
        found = gaps(streams, start, end)
        worst = found[-1]
        p50, p99 = statistics.median(found), found[int(0.99 * len(found))]
        print(
            f"{name:13} {end - start:6.1f} s  {len(found):6} events  gap p50 {1000 * p50:6.1f} ms  "
            f"p99 {1000 * p99:6.1f} ms  max {1000 * worst:6.1f} ms"
        )
    report_attacks([json.loads(line) for line in lines.splitlines()], streams)
    print(f"processor time of the server's process under attack: {spent:.1f} s")
    print("ready:", ready)
    return int(worst > MAX_STALL_SECONDS or ready != 200)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Stalls of streams under hostile grammars.")
    parser.add_argument("--engine", choices=ARGUMENTS, default="vllm")
    parser.add_argument(
        "--server-arguments", default="", help="in one string, as --compile-processes=0"
    )
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--quiet-seconds", type=float, default=20)
    parser.add_argument("--attack", type=int, metavar="PORT", help="only send the attacks")
    options = parser.parse_args(arguments)
    if options.attack:
        attack(options.attack)
        return 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    return asyncio.run(measure(port, options))


if __name__ == "__main__":
    sys.exit(main())
