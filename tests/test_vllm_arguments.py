"""vLLM's arguments: which command lines pass them on, and what vLLM's own parser makes of them."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from running import ENVIRONMENT, environment, require_vllm

from syntagma.decoding.draft_sources import corpus_texts
from syntagma.decoding.embedded_engine import demo_model_path
from syntagma.decoding.vllm_support import DRAFT_PROPOSER, TREE_PROPOSER
from syntagma.server import serve as serve_module
from syntagma.server.cli import run
from syntagma.server.loading import LoadingError, arguments_of_settings, load
from syntagma.server.metrics import Metrics
from syntagma.server.settings import Settings, SettingsError, load_settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that reach ``serve``, which is not carried out."""
    found: list[Settings] = []

    def note(settings: Settings) -> int:
        found.append(settings)
        return 0

    monkeypatch.setattr(serve_module, "serve", note)
    return found


def with_vllm(monkeypatch: pytest.MonkeyPatch, *, is_there: bool) -> None:
    find = importlib.util.find_spec
    fake = SimpleNamespace() if is_there else None
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: fake if name == "vllm" else find(name)
    )


@pytest.mark.parametrize(
    ("model", "engine", "is_there", "expected"),
    [
        (None, "auto", True, "embedded"),
        ("m", "auto", True, "vllm"),
        ("m", "auto", False, "embedded"),
        ("m", "embedded", True, "embedded"),
        (None, "vllm", False, "vllm"),
    ],
)
def test_which_engine(
    model: str | None,
    engine: Any,
    is_there: bool,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_vllm(monkeypatch, is_there=is_there)
    assert Settings(model=model, engine=engine).chosen_engine == expected


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["m", "--tensor-parallel-size", "2"], ("--tensor-parallel-size", "2")),
        (["m", "--port", "1", "--enforce-eager"], ("--enforce-eager",)),
        (["m", "--engine-args", "-O0 --seed 3"], ("-O0", "--seed", "3")),
        (
            ["m", "--engine-args=--seed 3", "--quantization", "fp8"],
            ("--seed", "3", "--quantization", "fp8"),
        ),
    ],
)
def test_what_is_not_ours_is_passed_on(
    arguments: Sequence[str], passed: tuple[str, ...], served: list[Settings]
) -> None:
    assert run(["serve", *arguments, "--engine", "vllm"]) == 0
    (settings,) = served
    assert settings.model == "m"
    assert settings.engine_args == passed


def test_a_value_is_not_taken_for_the_model(
    served: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", "--engine", "vllm", "--tensor-parallel-size", "2", "m"]) == 2
    assert "MODEL comes first" in capsys.readouterr().err
    assert not served


def test_the_embedded_engine_takes_none() -> None:
    with pytest.raises(SettingsError, match="engine_args are for vLLM"):
        load_settings({"engine": "embedded", "engine_args": "--seed 3"})
    with pytest.raises(SystemExit):
        run(["serve", "m", "--engine", "embedded", "--tensor-parallel-size", "2"])


def test_settings_that_vllm_has_too() -> None:
    given = Settings(model="m", dtype="float16", max_model_len=99, max_active=7)
    assert arguments_of_settings(given) == [
        "--dtype", "float16", "--max-model-len", "99", "--max-num-seqs", "7",
    ]  # fmt: skip
    assert arguments_of_settings(Settings(model="m")) == []
    with pytest.raises(ValueError, match="device='cuda' is not for vLLM"):
        arguments_of_settings(Settings(model="m", device="cuda"))


def test_a_draft_corpus_is_read_as_documents(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"b": 2}\n', encoding="utf-8")
    (tmp_path / "b.txt").write_text("one\ntext", encoding="utf-8")
    files = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.txt")]
    assert corpus_texts(files) == ['{"a": 1}', '{"b": 2}', "one\ntext"]
    (tmp_path / "c.txt").write_bytes(b"\xff")
    for name in ("c.txt", "missing"):
        with pytest.raises(ValueError, match=f"cannot read the draft corpus .*{name}"):
            corpus_texts([str(tmp_path / name)])


def test_speculation_is_asked_for_explicitly() -> None:
    """The setting's default is for the embedded engine."""
    flag, text = arguments_of_settings(Settings(model="m", speculation=True))
    assert flag == "--speculative-config"
    assert json.loads(text) == {"model": DRAFT_PROPOSER, "num_speculative_tokens": 8}
    _, text = arguments_of_settings(Settings(model="m", speculation=True, max_draft_tokens=3))
    assert json.loads(text)["num_speculative_tokens"] == 3
    assert arguments_of_settings(Settings(model="m", speculation=False)) == []
    with pytest.raises(ValueError, match="max_draft_tokens needs --speculation"):
        arguments_of_settings(Settings(model="m", max_draft_tokens=3))
    with pytest.raises(ValueError, match="draft_model is for the embedded engine"):
        arguments_of_settings(Settings(model="m", draft_model="small"))
    with pytest.raises(ValueError, match="draft_corpus needs --speculation"):
        arguments_of_settings(Settings(model="m", draft_corpus=("a.txt",)))
    arguments_of_settings(Settings(model="m", speculation=True, draft_corpus=("a.txt",)))


@pytest.mark.parametrize("engine", ["embedded", "vllm"])
def test_a_corpus_that_cannot_be_read_ends_the_start(tmp_path: Path, engine: Any) -> None:
    if engine == "vllm":
        require_vllm()
    missing = str(tmp_path / "missing.txt")
    settings = Settings(engine=engine, speculation=True, draft_corpus=(missing,))
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(LoadingError, match=r"cannot read the draft corpus .*missing\.txt"):
            load(settings, Metrics("m"))


def test_a_corpus_is_for_our_own_drafts(tmp_path: Path) -> None:
    """An argument of vLLM's may take the place of what the setting stands for."""
    require_vllm()
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    ngram = {"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_max": 3}
    text = json.dumps(ngram, separators=(",", ":"))
    settings = Settings(
        engine="vllm",
        speculation=True,
        draft_corpus=(str(tmp_path / "a.txt"),),
        engine_args=(f"--speculative-config '{text}'",),
    )
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(LoadingError, match="a draft corpus is for our own drafts"):
            load(settings, Metrics("m"))


def test_trees_are_asked_for_explicitly() -> None:
    """For themselves or beside ``speculation``; the embedded engine has them anyway."""
    for given in (
        Settings(model="m", speculation_tree=True),
        Settings(model="m", speculation=True, speculation_tree=True),
    ):
        _, text = arguments_of_settings(given)
        assert json.loads(text) == {"model": TREE_PROPOSER, "num_speculative_tokens": 16}
    _, text = arguments_of_settings(Settings(model="m", speculation_tree=True, max_draft_tokens=64))
    assert json.loads(text)["num_speculative_tokens"] == 64
    with pytest.raises(ValueError, match="speculation_tree asks for drafts, and speculation=False"):
        arguments_of_settings(Settings(model="m", speculation=False, speculation_tree=True))
    with pytest.raises(LoadingError, match="speculation_tree is for vLLM"):
        load(Settings(engine="embedded", speculation_tree=True), Metrics("m"))


def test_vllms_parser_reads_them() -> None:
    require_vllm()
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from syntagma.decoding.vllm_arguments import engine_arguments

        found = engine_arguments(
            "m", ["--max-model-len", "64", "--max-model-len", "1k", "--enable-lora"]
        )
        assert (found.model, found.max_model_len, found.enable_lora) == ("m", 1000, True)
        with pytest.raises(ValueError, match=r"vLLM does not take .*--no-such-thing"):
            engine_arguments("m", ["--no-such-thing"])
        with pytest.raises(ValueError, match=r"vLLM does not take .*max-model-len"):
            engine_arguments("m", ["--max-model-len", "many"])


TREES = json.dumps({"model": TREE_PROPOSER, "num_speculative_tokens": 4}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--no-such-thing", "cannot load .*vLLM does not take these arguments"),
        ("--scheduler-cls a.B", "masks come from our own class"),
        ("--reasoning-parser deepseek_r1", "could not locate think start/end tokens"),
        ("--reasoning-parser no_such_parser", "no_such_parser. not found"),
        (
            f"--speculative-config '{TREES}' --enable-lora",
            "not supported with LoRA adapters.*leave it",
        ),
        (f"--speculative-config '{TREES}' --kv-cache-dtype fp8", "with a quantised cache"),
        ("--lora-modules french=/nowhere", "french need --enable-lora"),
        ("--enable-lora --lora-modules french", "takes NAME=PATH"),
    ],
)
def test_a_server_says_what_it_does_not_take(arguments: str, message: str) -> None:
    require_vllm()
    settings = Settings(
        model=str(demo_model_path()),
        engine="vllm",
        engine_args=(f"--enforce-eager {arguments}",),
    )
    with environment(**ENVIRONMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(LoadingError, match=message):
            load(settings, Metrics("m"))
