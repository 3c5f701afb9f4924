"""Finding Triton and running it, without one: what is missing is named with its fix; what the dead left is swept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtimes.triton import install, locate, process
from runtimes.triton.config import Config
from tidegate.process.settings import SettingsError


def wheel(root: Path, *, stub: str = locate.PYTHON) -> Path:
    """Make the folders of a wheel, with programs that are none; returns its tritonserver."""
    server = root / "pytriton" / "tritonserver"
    executable = server / "bin" / "tritonserver"
    for file in (
        executable,
        server / "backends" / "python" / "libtriton_python.so",
        server / "python_backend_stubs" / stub / locate.STUB,
        root / "nvidia_pytriton.libs" / "libtritonserver.so",
    ):
        file.parent.mkdir(parents=True)
        file.touch(mode=0o755)
    return executable


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(locate.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(locate, "IMAGE", tmp_path / "opt" / "tritonserver")
    monkeypatch.setattr(locate, "_python_library", list)


def test_without_triton_the_message_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"python -m runtimes\.triton\.install"):
        locate.find("", {"PATH": str(tmp_path)})
    with pytest.raises(SettingsError, match="/no/such cannot be run"):
        locate.find("/no/such", {})


def test_the_wheel_beside_the_caches_is_found_and_linked(tmp_path: Path) -> None:
    executable = wheel(install.folder())
    found = locate.find("", {"PATH": ""})
    assert found.executable == executable
    assert found.libraries == (install.folder() / "nvidia_pytriton.libs",)
    backends = locate.link_backends(found, tmp_path)
    assert sorted(each.name for each in (backends / "python").iterdir()) == ["libtriton_python.so", locate.STUB]
    environment = locate.environment(found, {"LD_LIBRARY_PATH": "/x", "PATH": "/bin"}, Path("/p"))
    assert environment == {"LD_LIBRARY_PATH": f"{found.libraries[0]}:/x", "PATH": "/p:/bin"}


def test_a_wheel_without_a_stub_for_this_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"no stub for Python {locate.PYTHON} \(it has 2\.7\)"):
        locate.find(str(wheel(tmp_path, stub="2.7")), {})


def test_an_image_brings_its_own_stub_and_interpreter(tmp_path: Path) -> None:
    executable = wheel(tmp_path)
    (executable.parent.parent / "backends" / "python" / locate.STUB).touch()
    found = locate.find("", {"PATH": str(executable.parent)})
    assert found.stub is None
    assert locate.link_python(found, tmp_path) == Path(sys.executable).parent


def test_models_see_the_packages_of_this_installation(tmp_path: Path) -> None:
    found = locate.find(str(wheel(tmp_path / "wheel")), {})
    python = locate.link_python(found, tmp_path) / "python3"
    code = "import msgspec, sys; print(sys.prefix)"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd="/")
    assert done.stdout.strip() == str(tmp_path / "python")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give model_dir"),
        ({"model_dir": ".", "model_repository": "."}, "one of them"),
        ({"model_dir": "/no/such"}, "there is no folder"),
        ({"model_dir": ".", "model_control": "lazy"}, "not all, explicit or on-demand"),
        ({"model_dir": ".", "max_loaded_models": 2}, "needs model_control on-demand"),
        ({"model_dir": ".", "load_timeout_s": 0.0}, "load_timeout_s: must be positive"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**settings)


async def test_a_program_that_does_not_start_is_an_error_in_bounded_time(tmp_path: Path) -> None:
    executable = wheel(tmp_path)
    executable.write_text("#!/bin/sh\nexit 3\n")
    config = Config(model_dir=str(tmp_path), start_timeout_s=60.0)
    triton = process.Triton(config, locate.find(str(executable), {}), dict(os.environ))
    with pytest.raises(SettingsError, match="tritonserver does not start"):
        await triton.start(completes=False)
    assert await triton.stop(1.0) == 3
    triton.remove()
    assert not triton.work.exists()


async def test_it_listens_on_loopback_with_what_loads_code_locked(tmp_path: Path) -> None:
    config = Config(model_dir=str(tmp_path), triton_args="--rate-limit=off '--x=a b'")
    triton = process.Triton(config, locate.find(str(wheel(tmp_path)), {}), {})
    command = triton.command(completes=True)
    addresses = [each for each in command if each.split("=")[0].endswith("-address")]
    assert [each.partition("=")[2] for each in addresses] == ["127.0.0.1"] * 3
    assert sum(f"model-repository,shared-memory,trace,logging:{process.KEY_HEADER}=" in each for each in command) == 2
    assert "--model-control-mode=explicit" in command
    assert command[-2:] == ["--rate-limit=off", "--x=a b"]
    assert "--disable-auto-complete-config" in triton.command(completes=False)
    triton.remove()


def test_only_what_the_dead_left_is_swept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(process.tempfile, "gettempdir", lambda: str(tmp_path / "none"))
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = [f"tidegate-triton-{dead.pid}-a-b", f"tidegate-triton-{os.getpid()}-a-b", "tidegate-triton-x-y", "other"]
    for name in names:
        (tmp_path / name).touch()
    assert process.sweep() == [str(tmp_path / names[0])]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(names[1:])
