"""`python -m runtimes.triton.install`: put the server of the nvidia-pytriton wheel beside the user's caches.

The wheel is unpacked without what it depends on: of it only `tritonserver`, the Python backend and their libraries are
used, and its requirements would fight with this installation's. The backend was built for numpy 1 (with numpy 2 its
output tensors are empty), so one is put beside it, for the models alone. 73 MB to fetch, 225 MB on disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION, NUMPY_VERSION = "0.7.0", "1.26.4"
NUMPY_NEWEST_PYTHON = (3, 12)
"""Later ones have no numpy 1."""
INSTALL_TIMEOUT_S = 570.0
FIX = "python -m runtimes.triton.install"


def folder() -> Path:
    """Return where the wheel is unpacked."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tidegate" / f"pytriton-{VERSION}"


def numpy_folder() -> Path:
    """Return where the numpy of the models is unpacked, for this version of Python."""
    return folder().parent / f"numpy-{NUMPY_VERSION}-cp{sys.version_info.major}{sys.version_info.minor}"


def install() -> Path:
    """Return the folder with the wheel in it; fetches what is missing. Raises CalledProcessError or TimeoutExpired."""
    _unpack(f"nvidia-pytriton=={VERSION}", folder(), "pytriton")
    if sys.version_info[:2] <= NUMPY_NEWEST_PYTHON:
        _unpack(f"numpy=={NUMPY_VERSION}", numpy_folder(), "numpy")
    return folder()


def _unpack(requirement: str, target: Path, package: str) -> None:
    if (target / package).is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unpacked = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
    try:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        wheel = ["--only-binary", ":all:", "--target", str(unpacked), requirement]
        subprocess.run([*pip, *wheel], check=True, timeout=INSTALL_TIMEOUT_S)
        try:
            unpacked.rename(target)
        except OSError:  # another process was quicker
            if not (target / package).is_dir():
                raise
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


if __name__ == "__main__":
    print(install())
