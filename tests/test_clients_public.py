"""The SDK's promises: what it exports, that both clients are alike, that it is light."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import syntagma.clients
from syntagma.clients import (
    AsyncChatStream,
    AsyncClient,
    CallOptions,
    ChatOptions,
    ChatStream,
    Client,
    CompletionOptions,
    GrammarOptions,
    JsonPolicies,
    LanguageOptions,
    SyntagmaError,
)

HEAVY = {"torch", "numba", "numpy", "vllm", "transformers", "tokenizers", "fastapi", "starlette"}


def public_methods(owner: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_")
    }


def test_exported_names() -> None:
    exported = syntagma.clients.__all__
    assert exported == sorted(exported)
    assert set(exported) == {
        name
        for name, member in vars(syntagma.clients).items()
        if not name.startswith("_") and not inspect.ismodule(member)
    }
    assert {"Client", "AsyncClient", "ChatResult", "RetryPolicy", "SyntagmaError"} <= set(exported)


def test_every_exception_is_exported_and_drawn() -> None:
    errors = syntagma.clients.errors
    defined = {
        name
        for name, member in vars(errors).items()
        if inspect.isclass(member) and issubclass(member, SyntagmaError)
    }
    assert defined <= set(syntagma.clients.__all__)
    assert all(name in (errors.__doc__ or "") for name in defined)


@pytest.mark.parametrize(
    ("sync_type", "async_type"), [(Client, AsyncClient), (ChatStream, AsyncChatStream)]
)
def test_both_clients_are_alike(sync_type: type, async_type: type) -> None:
    sync_methods, async_methods = public_methods(sync_type), public_methods(async_type)
    assert sync_methods.keys() == async_methods.keys()
    for name, signature in sync_methods.items():
        assert signature.parameters == async_methods[name].parameters, name
    names = [list(inspect.signature(owner).parameters) for owner in (sync_type, async_type)]
    assert names[0] == names[1]


def test_methods() -> None:
    expected = "chat check choice close complete health models parse regex stream"
    assert " ".join(sorted(public_methods(Client))) == expected


@pytest.mark.parametrize("owner", [Client, AsyncClient, ChatStream, AsyncChatStream])
def test_everything_public_is_documented(owner: type) -> None:
    assert owner.__doc__
    assert ">>>" in owner.__doc__
    for name in public_methods(owner):
        assert getattr(owner, name).__doc__, name


@pytest.mark.parametrize(
    ("own", "inherited"),
    [
        (JsonPolicies, set()),
        (CallOptions, JsonPolicies.__optional_keys__),
        (GrammarOptions, set()),
        (LanguageOptions, set()),
        (
            CompletionOptions,
            CallOptions.__optional_keys__
            | GrammarOptions.__optional_keys__
            | LanguageOptions.__optional_keys__,
        ),
        (ChatOptions, CompletionOptions.__optional_keys__),
    ],
)
def test_every_option_is_documented(own: Any, inherited: frozenset[str]) -> None:
    for name in own.__optional_keys__ - inherited:
        assert name in own.__doc__, name


def test_importing_is_light() -> None:
    command = [sys.executable, "-X", "importtime", "-c", "import syntagma.clients"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    assert "syntagma.clients.client" in modules
    assert not HEAVY & {name.partition(".")[0] for name in modules}
    assert not [name for name in modules if name.startswith("syntagma.") and "client" not in name]


def test_imports_only_what_the_light_install_has() -> None:
    folder = Path(syntagma.clients.__file__).parent
    allowed = {"httpx", "pydantic", "__future__"} | sys.stdlib_module_names
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            for name in names:
                is_own = name.startswith("syntagma.clients")
                assert is_own or name.partition(".")[0] in allowed, f"{file.name}: {name}"
