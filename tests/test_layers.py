"""Imports go one way, grammar -> decoding -> server, and ``clients`` stands alone.

Every import statement counts, also those inside functions and under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = {
    "grammar": {"grammar"},
    "decoding": {"grammar", "decoding"},
    "server": {"grammar", "decoding", "server"},
    "clients": {"clients"},
}
THIRD_PARTY = {
    "grammar": {
        "jsonschema",
        "jsonschema_specifications",
        "lark",
        "numba",
        "numpy",
        "pydantic",
        "referencing",
    },
    "decoding": {"numpy"},
    "server": {
        "fastapi",
        "numpy",
        "prometheus_client",
        "pydantic",
        "pydantic_core",
        "pydantic_settings",
        "starlette",
        "tokenizers",
        "uvicorn",
        "yaml",
    },
    "clients": {"httpx", "pydantic"},
}
# Files of one engine, and what only they may import.
ENGINES = {
    "decoding/embedded_engine.py": {"torch", "transformers"},
    "decoding/hugging_face_model.py": {"torch"},
    "decoding/draft_model.py": {"torch", "transformers"},
    "decoding/tree_attention.py": {"torch"},
    "decoding/sampling.py": {"torch"},
    "decoding/sequence.py": {"torch"},
    "decoding/vllm_*.py": {"packaging", "torch", "transformers", "vllm"},
}


def source_files() -> list[str]:
    return [
        path.relative_to(ROOT).as_posix()
        for layer in LAYERS
        for path in sorted((ROOT / layer).rglob("*.py"))
    ]


def imported_modules(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import; relative ones keep their leading dots."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "syntagma":
                for alias in node.names:
                    yield node.lineno, f"syntagma.{alias.name}"
            else:
                yield node.lineno, module


def violations(file: str, source: str) -> list[str]:
    """What `file`, given relative to the root, may not import."""
    layer = file.partition("/")[0]
    third_party = set(THIRD_PARTY[layer])
    for pattern, engine_only in ENGINES.items():
        if fnmatch(file, pattern):
            third_party |= engine_only
    return [
        f"{file}:{line} imports {module}: {reason}"
        for line, module in imported_modules(source)
        if (reason := refusal(module, layer, third_party))
    ]


def refusal(module: str, layer: str, third_party: set[str]) -> str | None:
    top, _, rest = module.partition(".")
    if not top:
        return "relative"
    if top in LAYERS:
        return f"write syntagma.{module}"
    if top == "syntagma":
        return None if rest.partition(".")[0] in LAYERS[layer] else f"not for {layer}"
    if top in sys.stdlib_module_names or top in third_party:
        return None
    return f"not for this file of {layer}"


@pytest.mark.parametrize("file", source_files())
def test_imports_stay_within_their_layer(file: str) -> None:
    assert not violations(file, (ROOT / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("grammar/dfa.py", "from .nfa import Nfa"),
        ("grammar/dfa.py", "from grammar.nfa import Nfa"),
        ("grammar/dfa.py", "import syntagma.decoding.matcher"),
        ("grammar/dfa.py", "from syntagma import server"),
        ("grammar/dfa.py", "def f():\n    import torch"),
        ("decoding/engine.py", "import torch"),
        ("decoding/engine.py", "from syntagma.server.settings import Settings"),
        ("decoding/embedded_engine.py", "import vllm"),
        ("server/app.py", "if True:\n    from transformers import AutoTokenizer"),
        ("clients/client.py", "from syntagma.grammar import GrammarError"),
        ("clients/client.py", "import numpy as np"),
    ],
)
def test_forbidden_imports_are_found(file: str, source: str) -> None:
    assert len(violations(file, source)) == 1


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("grammar/dfa.py", "import numpy as np, os.path"),
        ("decoding/embedded_engine.py", "import torch.nn"),
        ("decoding/vllm_engine.py", "from vllm.v1.engine import EngineCore"),
        ("server/app.py", "from syntagma.decoding.embedded_engine import EmbeddedEngine"),
        ("clients/client.py", "from syntagma.clients import errors"),
    ],
)
def test_allowed_imports_pass(file: str, source: str) -> None:
    assert not violations(file, source)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("syntagma.clients", {"numba", "numpy", "torch", "transformers", "fastapi", "vllm"}),
        ("syntagma.grammar", {"torch", "transformers", "fastapi", "vllm"}),
        ("syntagma.decoding", {"torch", "transformers", "fastapi", "vllm"}),
        ("syntagma.server.app", {"torch", "transformers", "vllm"}),
    ],
)
def test_importing_a_layer_leaves_the_engines_out(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    command = [sys.executable, "-P", "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert heavy.isdisjoint(loaded)
