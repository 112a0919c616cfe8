"""The command line."""

from __future__ import annotations

import gc
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from syntagma.server import serve as serve_module
from syntagma.server.cli import run
from syntagma.server.serve import ready_lines, spare_what_is_loaded
from syntagma.server.settings import Settings, flag_name, setting_names

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def exit_status(*arguments: str) -> int:
    try:
        return run(arguments)
    except SystemExit as error:
        return int(error.code or 0)


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_help_and_version_are_light() -> None:
    code = """
import sys
from syntagma.server.app import create_app, main
sys.argv = ["syntagma", sys.argv[1]]
try:
    main()
except SystemExit as error:
    assert not error.code
heavy = {"torch", "numba", "numpy", "fastapi", "transformers", "uvicorn"} & set(sys.modules)
assert not heavy, heavy
"""
    for flag in ("--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-c", code, flag], capture_output=True, text=True, check=True
        )
        assert "syntagma" in done.stdout


def test_every_setting_is_a_flag_of_serve(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status("serve", "--help") == 0
    text = capsys.readouterr().out
    for key in setting_names():
        assert f"{flag_name(key)} " in text
    for title in ("model and scheduling:", "network:", "grammars:", "limits of a request:"):
        assert title in text


def test_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status() == 2
    assert "serve" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("serve", "--engine", "embedded", "--prot", "1"),
            "unknown argument --prot; did you mean --port?",
        ),
        (("serve", "--max-act=2"), "unknown argument --max-act; did you mean --max-active?"),
        (("serve", "a", "b", "--engine", "embedded"), "unknown argument b"),
        (("serve", "--port", "many"), "port: "),
        (("serve", "--config", "/no/such/file"), "cannot read /no/such/file"),
        (("check", "x", "--port", "1"), "unknown argument --port"),
        (("check", "x", "--kind", "yaml"), "json_schema"),
        (("check", "/no/such/file"), "cannot read /no/such/file"),
        (("check",), "check needs a FILE"),
        (("generate",), "--prompt"),
        (("generate", "--prompt", "a", "--regex", "a", "--choice", "b"), "not allowed with"),
        (("generate", "--prompt", "a", "--schema", "/no/such/file"), "cannot read"),
        (("sevre",), "serve"),
    ],
)
def test_usage_errors(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(*arguments) == 2
    assert told in capsys.readouterr().err


def test_check_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = write(tmp_path / "s.json", json.dumps(SCHEMA))
    choices = write(tmp_path / "choices", "red\ngreen\n")
    pattern = write(tmp_path / "pattern", "[a-z]+\n")
    for arguments in (
        (schema,),
        (schema, "--whitespace", "compact"),
        (choices, "--kind", "choice"),
        (pattern, "--kind", "regex"),
        ("--kind", "json_object"),
    ):
        assert exit_status("check", *arguments) == 0
        printed = capsys.readouterr().out
        assert printed.startswith("ok ")
        for figure in ("KiB", " ms", "hash ", "num_positions"):
            assert figure in printed


def test_check_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "nothing"}}}
    file = write(tmp_path / "s.json", json.dumps(schema))
    assert exit_status("check", file) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("refused  ")
    assert "/properties/x" in printed and "invalid_json_schema" in printed
    assert exit_status("check", write(tmp_path / "t.json", "{")) == 1
    assert "not valid JSON" in capsys.readouterr().out
    assert exit_status("check", write(tmp_path / "r", "(a"), "--kind", "regex") == 1
    assert "line 1" in capsys.readouterr().out


def test_check_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(json.dumps(SCHEMA).encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert exit_status("check", "-") == 0
    assert capsys.readouterr().out.startswith("ok ")


def test_check_with_an_unknown_tokenizer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "s.json", "true")
    write(tmp_path / "tokenizer.json", "{}")
    assert exit_status("check", file, "--tokenizer", str(tmp_path)) == 2
    assert "cannot load the tokenizer" in capsys.readouterr().err


def test_serve_gets_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Settings] = []

    def fake_serve(settings: Settings) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr(serve_module, "serve", fake_serve)
    monkeypatch.setenv("SYNTAGMA_MAX_N", "3")
    config = write(tmp_path / "s.yaml", "max_active: 2")
    arguments = ("serve", "org/m", "--port", "0", "--config", config, "--allow-origin", "a")
    assert exit_status(*arguments, "--allow-origin", "b") == 0
    (settings,) = seen
    assert (settings.model, settings.port, settings.max_n) == ("org/m", 0, 3)
    assert settings.max_active == 2
    assert settings.allow_origin == ("a", "b")


def test_a_model_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status("serve", str(tmp_path), "--engine", "embedded") == 1
    printed = capsys.readouterr()
    assert f"model: {tmp_path}" in printed.out
    assert f"cannot load {tmp_path}" in printed.err


def test_collections_spare_what_is_loaded() -> None:
    before = gc.get_freeze_count()
    try:
        spare_what_is_loaded()
        assert gc.get_freeze_count() > before + 10_000
    finally:
        gc.unfreeze()


def test_ready_lines() -> None:
    plain = "\n".join(ready_lines(Settings(), 8000))
    assert "http://127.0.0.1:8000/v1/chat/completions" in plain
    assert "Bearer" not in plain
    keyed: dict[str, Any] = {"api_key": "k", "host": "::1", "ssl_keyfile": "a", "ssl_certfile": "b"}
    secure = "\n".join(ready_lines(Settings(**keyed), 1))
    assert "https://[::1]:1" in secure
    assert "Bearer" in secure


def test_generate(capsys: pytest.CaptureFixture[str]) -> None:
    common = ("generate", "--prompt", "Sofia Chen is 29 years old.", "--seed", "1")
    assert exit_status(*common, "--choice", "red,green") == 0
    assert capsys.readouterr().out in ("red\n", "green\n")
    assert exit_status(*common, "--regex", "[0-9]{3}", "--raw", "--system", "s") == 2
    assert exit_status(*common, "--regex", "[0-9]{3}", "--raw") == 0
    assert len(capsys.readouterr().out) == 4
    assert exit_status(*common, "--regex", "[0-9]{9}", "--max-tokens", "2") == 1
    assert "cut" in capsys.readouterr().err
    assert exit_status(*common, "--regex", "(") == 1
    assert "structured_outputs.regex" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [(["--version"], 0, "syntagma "), (["serve"], 1, "pip install 'syntagma[server]'")],
)
def test_light_install_says_what_is_missing(arguments: list[str], status: int, told: str) -> None:
    code = (
        "import sys; sys.modules['yaml'] = None; "
        f"sys.argv = ['syntagma', *{arguments!r}]; "
        "from syntagma.server.app import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_check_tells_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = {"properties": {"a": {"type": "string", "max_length": 1, "default": 5}}}
    file = write(tmp_path / "s.json", json.dumps(schema))
    assert exit_status("check", file, "--self-test", "5") == 0
    printed = capsys.readouterr().out
    for line in (
        "no effect  /properties/a/max_length, /properties/a/default",
        "lint       5 is not valid against its own schema  (invalid_default at",
        "self-test  passed: 5 outputs, 0 given values",
    ):
        assert line in printed
    assert exit_status("check", file, "--json", "--max-digits", "null") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["options"]["max_digits"] is None
    assert {lint["code"] for lint in report["lints"]} == {
        "invalid_default", "not_strict", "unknown_keyword",
    }  # fmt: skip
    conflict = {"type": "string", "minLength": 2, "maxLength": 1}
    file = write(tmp_path / "u.json", json.dumps(conflict))
    assert exit_status("check", file) == 1
    assert "conflict   /type, /minLength, /maxLength" in capsys.readouterr().out
    rules = write(tmp_path / "g.ebnf", 'root ::= "(" root ")" | "x"')
    assert exit_status("check", rules, "--kind", "ebnf") == 0
    assert "shortest   x  (tokens: 1)" in capsys.readouterr().out
    assert exit_status("check", rules, "--kind", "ebnf", "--self-test", "1") == 1
    assert "self_test is for JSON" in capsys.readouterr().out
    rules = write(tmp_path / "g.lark", 'start: NAME "=" NAME\n%import .names.NAME')
    write(tmp_path / "names.lark", "NAME: /[a-z]+/")
    assert exit_status("check", rules) == 0
    assert "shortest   a=a" in capsys.readouterr().out
    blocks = 'start: (NAME EOL | NAME ":" EOL _INDENT start _DEDENT)+\nNAME: /[a-z]/\nEOL: /(\\n[ \\t]*)+/'
    block_file = write(tmp_path / "blocks.lark", blocks + "\n%declare _INDENT _DEDENT")
    assert exit_status("check", block_file) == 1
    capsys.readouterr()
    assert exit_status("check", block_file, "--indenter", '{"newline": "EOL"}') == 0
    assert "lark" in capsys.readouterr().out
    assert exit_status("check", block_file, "--indenter", '{"newlines": "EOL"}') == 1
    assert "newlines" in capsys.readouterr().out
    assert exit_status("check", block_file, "--indenter", "EOL") == 2
    assert "'EOL' is no JSON object" in capsys.readouterr().err
    for other in (("check", "--language", "csv"), ("check", file)):
        assert exit_status(*other, "--indenter", "{}") == 1
        assert "indenter" in capsys.readouterr().out
    option = ("--option", 'columns=["a", "b"]')
    assert exit_status("check", "--language", "csv", *option, "--option", "delimiter=;") == 0
    assert "shortest   a;b" in capsys.readouterr().out
    assert exit_status("check", "--language", "csvs") == 1
    assert "did you mean 'csv'?" in capsys.readouterr().out
    assert exit_status("check", "--language", "csv", "--option", "columns") == 2
    assert "'columns' is not NAME=VALUE" in capsys.readouterr().err
