"""The version guard: what fits, what is said where it does not, and that every hook is what we fill."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from running import ENVIRONMENT, environment, require_vllm

from syntagma.decoding import vllm_support
from syntagma.decoding.vllm_support import VllmUnsupportedError, check_version
from syntagma.server.loading import LoadingError, load
from syntagma.server.metrics import Metrics
from syntagma.server.settings import Settings


@pytest.mark.parametrize("version", ["0.32.0", "0.32.1", "0.32.0+cpu", "0.32.1rc1"])
def test_versions_that_fit(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["0.31.9", "0.33.0", "1.0"])
def test_versions_that_do_not(version: str) -> None:
    with pytest.raises(
        VllmUnsupportedError, match=f"vLLM {version} is installed, but .*pip install"
    ):
        check_version(version)


def test_no_vllm_at_all() -> None:
    with pytest.raises(VllmUnsupportedError, match="not installed: pip install"):
        check_version(None)


def test_a_server_says_why_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_support, "installed_version", lambda: "0.99")
    with pytest.raises(LoadingError, match=r"vLLM 0\.99 is installed, but syntagma works with"):
        load(Settings(engine="vllm"), Metrics("m"))


def test_the_plugin_keeps_away_from_what_does_not_fit() -> None:
    """In processes that did not ask, and no vLLM is imported for that."""
    code = (
        "import sys\n"
        "from syntagma.decoding import vllm_plugin\n"
        "vllm_plugin.installed_version = lambda: '0.99'\n"
        "vllm_plugin.register()\n"
        "assert 'vllm' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_documents_name_the_range() -> None:
    text = (Path(__file__).parent.parent / "docs" / "vllm.md").read_text(encoding="utf-8")
    assert vllm_support.SUPPORTED_VERSIONS in text


def test_hooks_are_those_we_fill() -> None:
    require_vllm()
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vllm_support.check_hooks()


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (("vllm.sampling_params", "SamplingParams.no_such", ()), "is not there"),
        (("vllm.no_such_module", "A.b", ()), "is not there"),
        (("vllm.sampling_params", "SamplingParams.clone", ("self", "deep")), "takes"),
    ],
)
def test_hooks_that_differ_are_named(
    hook: tuple[str, str, tuple[str, ...]], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_vllm()
    monkeypatch.setattr(vllm_support, "HOOKS", (hook,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(VllmUnsupportedError, match=f"{hook[0]}.{hook[1]} {message}"):
            vllm_support.check_hooks()


def test_reasoning_that_is_a_part_of_the_answer() -> None:
    """For gpt-oss vLLM names a parser that finds no marks; that is no reason not to serve the model."""
    require_vllm()
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from syntagma.decoding.vllm_reasoning import WITHOUT_MARKS, ReasoningMarks, reasoning_marks

        config = SimpleNamespace(reasoning_parser=WITHOUT_MARKS)
        assert reasoning_marks(config, None) is None
        with pytest.raises(ValueError, match="cannot be given"):
            ReasoningMarks(WITHOUT_MARKS, SimpleNamespace(get_vocab=dict))
