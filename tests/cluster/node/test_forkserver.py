"""The fork server: what a forked program finds around it, and what happens when the template fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.node import forked_child
from cluster.node.forkserver import CannotFork, ForkServer
from cluster.node.process import Command
from tidegate.process import tasks

PROGRAM = """
import json, os, random, signal, sys
marker = os.environ.get("PROBE_MARKER")
def main():
    print(json.dumps({
        "argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ), "name": __name__,
        "session": os.getsid(0) == os.getpid(), "random": random.random(),
        "files": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
        "term": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "path0": sys.path[0],
    }))
    code = os.environ.get("PROBE_EXIT")
    if code == "raise":
        raise ValueError("broken")
    if code == "wait":
        print("waiting", flush=True)
        signal.pause()
    sys.exit(code and (int(code) if code.isdigit() else code))
if __name__ == "__main__":
    main()
"""


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ForkServer]:
    package = tmp_path / "lib" / "forkprobe"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PROGRAM)
    bad = tmp_path / "lib" / "forkbad"
    bad.mkdir()
    (bad / "__init__.py").write_text("raise RuntimeError('no such hardware')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    made = ForkServer(["forkprobe", "forkbad"], str(tmp_path))
    task = tasks.spawn(made.run(), "forkserver")
    await made.wait_ready()
    yield made
    await tasks.cancel(task)


@contextlib.asynccontextmanager
async def output(tmp_path: Path) -> AsyncIterator[tuple[int, Path]]:
    path = tmp_path / "out"
    with open(path, "wb") as file:
        yield file.fileno(), path


async def run(server: ForkServer, tmp_path: Path, **env: str) -> tuple[int, str]:
    async with output(tmp_path) as (out, path):
        process = await server.fork(Command([sys.executable, "-m", "forkprobe", "a", "b"], env, "/", out, out))
        async with asyncio.timeout(30):
            return await process.ended, path.read_text()


async def test_a_forked_program_sees_only_its_own_surroundings(server: ForkServer, tmp_path: Path) -> None:
    code, text = await run(server, tmp_path, A="1")
    found = json.loads(text)
    assert code == 0
    assert found["argv"][1:] == ["a", "b"]
    assert found["argv"][0].endswith("forkprobe/__main__.py")
    assert (found["cwd"], found["path0"], found["name"]) == ("/", "/", "__main__")
    assert found["env"] == {"A": "1"}
    assert found["session"]
    assert found["term"]
    assert found["files"][:3] == [0, 1, 2]
    assert len(found["files"]) == 4, "only stdio and the descriptor that listed them"
    again = json.loads((await run(server, tmp_path))[1])
    assert again["random"] != found["random"]


@pytest.mark.parametrize(("exit_code", "code"), [("3", 3), ("raise", 1), ("a message", 1)])
async def test_exit_codes(server: ForkServer, tmp_path: Path, exit_code: str, code: int) -> None:
    found, text = await run(server, tmp_path, PROBE_EXIT=exit_code)
    assert found == code
    assert exit_code != "raise" or "ValueError: broken" in text
    assert exit_code != "a message" or text.endswith("a message\n")


async def test_signals_end_it(server: ForkServer, tmp_path: Path) -> None:
    async with output(tmp_path) as (out, path):
        command = Command(["python", "-m", "forkprobe"], {"PROBE_EXIT": "wait"}, "/", out, out)
        process = await server.fork(command)
        async with asyncio.timeout(30):
            while "waiting" not in path.read_text():
                await asyncio.sleep(0.005)
            shown = Path(f"/proc/{process.pid}/cmdline").read_text().rstrip("\0")
            assert shown == "python -m forkprobe"
            process.signal_group(signal.SIGTERM)
            assert await process.ended == -signal.SIGTERM


@pytest.mark.slow
async def test_children_die_with_the_template_and_another_comes(server: ForkServer, tmp_path: Path) -> None:
    async with output(tmp_path) as (out, _):
        command = Command(["python", "-m", "forkprobe"], {"PROBE_EXIT": "wait"}, "/", out, out)
        process = await server.fork(command)
        old = server.pid
        os.kill(old, signal.SIGKILL)
        async with asyncio.timeout(30):
            assert await process.ended == -signal.SIGKILL
            while server.pid in (0, old):
                await asyncio.sleep(0.01)
        await server.wait_ready()
        assert (await run(server, tmp_path))[0] == 0
        async with asyncio.timeout(30):
            while is_running(process.pid):
                await asyncio.sleep(0.005)


def is_running(pid: int) -> bool:
    """Whether the process is more than a zombie."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


REFUSED = [
    (["sleep", "1"], "^$"),
    ([sys.executable, "-m", "other"], "not in the template's list"),
    ([sys.executable, "-m", "forkbad"], "could not import forkbad: RuntimeError: no such hardware"),
]


@pytest.mark.parametrize(("argv", "message"), REFUSED)
async def test_what_cannot_be_forked(server: ForkServer, argv: list[str], message: str) -> None:
    with pytest.raises(CannotFork, match=message):
        await server.fork(Command(argv, {}, "/", 1, 2))


async def test_not_ready_yet() -> None:
    with pytest.raises(CannotFork, match="is being prepared"):
        await ForkServer(["x"], "").fork(Command(["python", "-m", "x"], {}, "/", 1, 2))


async def test_an_environment_that_is_too_large(server: ForkServer) -> None:
    with pytest.raises(CannotFork, match="too large"):
        await server.fork(Command(["python", "-m", "forkprobe"], {"A": "x" * 200_000}, "/", 1, 2))


def test_numpys_random_state_is_a_new_one_each_time() -> None:
    numpy = pytest.importorskip("numpy")
    before = numpy.random.get_state()
    try:
        drawn = set()
        for _ in range(3):
            forked_child._seed(numpy)
            assert not numpy.random.get_state(legacy=False)["has_gauss"]
            drawn.add(numpy.random.random())
        assert len(drawn) == 3
    finally:
        numpy.random.set_state(before)


def test_a_random_generator_of_another_kind_is_seeded_its_own_way() -> None:
    class Random:
        seeded = 0

        def set_state(self, state: object) -> None:
            raise ValueError("set_state can only be used with legacy MT19937 state instances.")

        def seed(self) -> None:
            self.seeded += 1

    numpy = SimpleNamespace(random=Random(), frombuffer=lambda data, dtype: data, uint32=None)
    forked_child._seed(numpy)
    assert numpy.random.seeded == 1
