"""Settings: four layers, one order, and no name that nothing reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from syntagma.server.settings import (
    Settings,
    SettingsError,
    describe,
    flag_name,
    load_settings,
    setting_names,
    variable_name,
)


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path / "s.yaml", "port: 1\nmax_n: 2\nmax-active: 3\nhost: file\n")
    monkeypatch.setenv("SYNTAGMA_PORT", "4")
    monkeypatch.setenv("SYNTAGMA_MAX_N", "5")
    settings = load_settings({"port": "6"}, config=config)
    assert settings.port == 6
    assert settings.max_n == 5
    assert settings.max_active == 3
    assert settings.host == "file"
    assert settings.compile_threads == 2


def test_config_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTAGMA_CONFIG", write(tmp_path / "s.yaml", "port: 1"))
    assert load_settings({}).port == 1
    other = write(tmp_path / "t.yaml", "port: 2")
    assert load_settings({}, config=other).port == 2


@pytest.mark.parametrize("key", setting_names())
def test_every_setting_has_three_names(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = {
        "engine": "embedded",
        "engine_args": "--seed 3",
        "ssl_keyfile": "k",
        "ssl_certfile": "c",
        "allow_origin": "https://a,https://b",
        "whitespace": "compact",
        "log_level": "error",
        "property_order": "any",
        "numbers": "any",
        "formats": "known",
        "slips": "annotate",
        "tool_call_parser": "hermes",
        "compile_memory_bytes": "100000000",
        "additional_properties_default": "false",
        "speculation": "false",
        "speculation_tree": "true",
        "string_escapes": "canonical",
    }
    text = samples.get(key, "9")
    both = {"ssl_keyfile": "k", "ssl_certfile": "c"} if key.startswith("ssl") else {}
    if key == "engine_args":
        both = {"engine": "vllm"}
    by_flag = load_settings({**both, key: text})
    config = write(tmp_path / "s.yaml", yaml.safe_dump({**both, key: text}))
    by_file = load_settings({}, config=config)
    monkeypatch.setenv(variable_name(key), text)
    by_variable = load_settings({k: v for k, v in both.items() if k != key})
    assert by_flag == by_file == by_variable
    assert getattr(by_flag, key) != Settings.model_fields[key].default
    assert flag_name(key).startswith("--")
    assert Settings.model_fields[key].description


def test_lists_of_origins(tmp_path: Path) -> None:
    expected = ("https://a", "https://b")
    assert load_settings({"allow_origin": ["https://a", "https://b"]}).allow_origin == expected
    config = write(tmp_path / "s.yaml", "allow_origin: [https://a, https://b]")
    assert load_settings({}, config=config).allow_origin == expected


def test_unknown_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTAGMA_BASE_URL", "http://x")  # the client's
    load_settings({})
    monkeypatch.setenv("SYNTAGMA_PROT", "1")
    with pytest.raises(SettingsError, match=r"SYNTAGMA_PROT .* did you mean SYNTAGMA_PORT\?"):
        load_settings({})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot: 1", r"'prot' in .* did you mean port\?"),
        ("zzzzzzzz: 1", "is not a setting$"),
        ("- a", "must map settings to values"),
        ("a: [", "is not YAML"),
        ("port: many", "port: .*--port, SYNTAGMA_PORT or the config file"),
        ("1: 2", "'1'"),
    ],
)
def test_bad_files(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        load_settings({}, config=write(tmp_path / "s.yaml", text))


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings({}, config=str(tmp_path / "none.yaml"))
    assert load_settings({}, config=write(tmp_path / "s.yaml", "")) == load_settings({})


def test_impossible_values(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags in ({"port": "-1"}, {"max_n": "0"}, {"log_level": "loud"}, {"ssl_keyfile": "k"}):
        with pytest.raises(SettingsError, match=next(iter(flags))):
            load_settings(flags)
    monkeypatch.setenv("SYNTAGMA_API_KEY", "")
    with pytest.raises(SettingsError, match="api_key"):
        load_settings({})


def test_description_hides_the_key_and_can_be_read_back(tmp_path: Path) -> None:
    settings = load_settings({"api_key": "s3cret", "model": "a: b" * 50, "allow_origin": ["x"]})
    text = describe(settings)
    assert "s3cret" not in text + repr(settings)
    assert [line.split(":")[0] for line in text.splitlines()] == list(setting_names())
    again = load_settings({}, config=write(tmp_path / "s.yaml", text))
    assert again.model_dump(exclude={"api_key"}) == settings.model_dump(exclude={"api_key"})


def test_names() -> None:
    settings = load_settings({})
    assert settings.public_model_name == "syntagma-demo"
    assert load_settings({"model": "org/m"}).public_model_name == "org/m"
    named = load_settings({"model": "org/m", "served_model_name": "m"})
    assert named.public_model_name == "m"
    assert settings.scheme == "http"
    assert load_settings({"ssl_keyfile": "k", "ssl_certfile": "c"}).scheme == "https"
