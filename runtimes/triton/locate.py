"""Finds `tritonserver` with its libraries and its Python backend, and says what to do where something is missing.

Two layouts are known: the nvidia-pytriton wheel's (stubs for each Python beside the backends) and NVIDIA's image
(/opt/tritonserver, one stub within the Python backend). Nothing is started or changed here but the folder of links
that the wheel's Python backend needs.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import logging
import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtimes.triton import install
from tidegate.process.settings import SettingsError

log = logging.getLogger(__name__)

IMAGE = Path("/opt/tritonserver/bin/tritonserver")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
STUB = "triton_python_backend_stub"


@dataclass(frozen=True)
class Server:
    """An installed Triton: the program, its backends by name, folders of libraries, the stub of the Python backend.

    `stub` is None where the Python backend brings its own.
    """

    executable: Path
    backends: dict[str, Path]
    libraries: tuple[Path, ...]
    stub: Path | None


def find(setting: str, environ: Mapping[str, str]) -> Server:
    """Return the Triton to run; raises SettingsError that names what is missing and how to get it."""
    executable = Path(setting) if setting else _found(environ)
    if executable is None:
        raise SettingsError(
            f"tritonserver was not found; install it with `{install.FIX}` (with the Python backend), or name one by "
            "--tritonserver or TRITONSERVER"
        )
    if not os.access(executable, os.X_OK) or not executable.is_file():
        raise SettingsError(f"tritonserver: {executable} cannot be run; `{install.FIX}` installs one")
    root = executable.resolve().parent.parent
    backends = {each.name: each for each in sorted((root / "backends").glob("*")) if each.is_dir()}
    wheel_libraries = root.parent.parent / "nvidia_pytriton.libs"
    libraries = [each for each in (root / "lib", wheel_libraries) if each.is_dir()]
    stub = None
    if "python" in backends and not (backends["python"] / STUB).exists():
        stub = _stub(root)
        libraries += _python_library()
    return Server(executable, backends, tuple(libraries), stub)


def environment(server: Server, environ: Mapping[str, str], python: Path) -> dict[str, str]:
    """Return the variables that Triton runs with: its libraries, and the models' interpreter first on PATH.

    The Python backend embeds the interpreter whose `python3` is first on PATH, and ignores PYTHONPATH.
    """
    found = dict(environ)
    paths = [*map(str, server.libraries), *filter(None, [environ.get("LD_LIBRARY_PATH", "")])]
    found["LD_LIBRARY_PATH"] = ":".join(paths)
    found["PATH"] = f"{python}:{environ.get('PATH', os.defpath)}"
    return found


def link_python(server: Server, folder: Path) -> Path:
    """Return the bin folder of the models' interpreter: this one with its packages, and a numpy that the stub can read.

    It is a virtual environment of links below `folder`, made anew for each run since it takes no time.
    """
    if server.stub is None:
        return Path(sys.executable).parent
    home = folder / "python"
    packages = home / "lib" / f"python{PYTHON}" / "site-packages"
    packages.mkdir(parents=True)
    (home / "bin").mkdir()
    base = Path(sys.base_prefix) / "bin"
    (home / "bin" / "python3").symlink_to(base / "python3")
    (home / "pyvenv.cfg").write_text(f"home = {base}\ninclude-system-site-packages = false\n")
    ours = [each for each in sys.path if each and Path(each).is_dir() and "lib-dynload" not in each]
    shared = {str(Path(each)) for each in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))}
    paths = [*_numpy_for_stub(), *(each for each in ours if each not in shared)]
    (packages / "_tidegate.pth").write_text("".join(f"{each}\n" for each in paths))
    return home / "bin"


def link_backends(server: Server, folder: Path) -> Path:
    """Return a folder of backends with the stub for this Python in place, made below `folder`."""
    target = folder / "backends"
    for name, backend in server.backends.items():
        if name != "python" or server.stub is None:
            target.mkdir(exist_ok=True)
            (target / name).symlink_to(backend)
            continue
        (target / name).mkdir(parents=True)
        for file in (*backend.iterdir(), server.stub):
            (target / name / file.name).symlink_to(file)
    return target


def _found(environ: Mapping[str, str]) -> Path | None:
    wheel = importlib.util.find_spec("pytriton")
    roots = [Path(wheel.origin).parent] if wheel is not None and wheel.origin else []
    candidates = [root / "tritonserver" / "bin" / "tritonserver" for root in (*roots, install.folder() / "pytriton")]
    on_path = shutil.which("tritonserver", path=environ.get("PATH"))
    candidates += [*([Path(on_path)] if on_path else []), IMAGE]
    return next((each for each in candidates if each.is_file()), None)


def _stub(root: Path) -> Path:
    stub = root / "python_backend_stubs" / PYTHON / STUB
    if not stub.is_file():
        known = sorted(each.name for each in (root / "python_backend_stubs").glob("*"))
        raise SettingsError(
            f"the Python backend in {root} has no stub for Python {PYTHON} (it has {', '.join(known) or 'none'}): "
            "run this server with one of these"
        )
    return stub


def _numpy_for_stub() -> list[str]:
    """Return the folder of a numpy 1 where this installation has a later one."""
    try:
        major = int(importlib.metadata.version("numpy").partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        major = 0
    if major == 1:
        return []
    if (install.numpy_folder() / "numpy").is_dir():
        return [str(install.numpy_folder())]
    log.warning(
        "the Python backend cannot read arrays of numpy %d: their outputs are empty; `%s` puts a numpy 1 beside it "
        "(up to Python 3.12), or let models hand over tensors by from_dlpack",
        major,
        install.FIX,
    )
    return []


def _python_library() -> list[Path]:
    """Return the folder of libpython where the loader does not know it; raises SettingsError where there is none."""
    name = f"libpython{PYTHON}.so.1.0"
    folder = Path(str(sysconfig.get_config_var("LIBDIR") or ""))
    if (folder / name).is_file():
        return [folder]
    try:
        ctypes.CDLL(name)
    except OSError:
        raise SettingsError(
            f"the Python backend needs {name}, which is not installed (Debian: apt-get install libpython{PYTHON})"
        ) from None
    return []
