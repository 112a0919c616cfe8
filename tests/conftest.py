"""Settings shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from running import Running, new_embedded_engine, new_vllm_engine, require_vllm

settings.register_profile("default", max_examples=100, deadline=None)
settings.register_profile("fuzz", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def embedded() -> Iterator[Running]:
    """The embedded engine with the demo model."""
    running = Running(new_embedded_engine())
    yield running
    running.close()


@pytest.fixture(scope="session")
def vllm_running() -> Iterator[Running]:
    """vLLM with the demo model: one for all tests."""
    require_vllm()
    running = Running(new_vllm_engine())
    yield running
    running.close()


@pytest.fixture(params=["embedded", "vllm"])
def running(request: pytest.FixtureRequest) -> Running:
    """Each engine in turn."""
    name = "embedded" if request.param == "embedded" else "vllm_running"
    found: Running = request.getfixturevalue(name)
    return found
