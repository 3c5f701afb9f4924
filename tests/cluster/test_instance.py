"""Real processes: the API server under kill -9, and the supervisor that starts, restarts and ends it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cluster import children, instance, supervise
from tests.support.hops import free_port
from tidegate.kube import connect, resources
from tidegate.kube.api import ApiError
from tidegate.kube.client import Client, wait_ready

CM = resources.CONFIG_MAPS


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(condition, timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


class Api:
    """An API server process on a state folder."""

    def __init__(self, state: Path, port: int) -> None:
        self.command = [sys.executable, "-m", "cluster.api", "--state", str(state), "--port", str(port)]
        self.state = state
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.state / "kubeconfig").unlink(missing_ok=True)
        log = (self.state.parent / "api.log").open("ab")
        self.process = subprocess.Popen([*self.command, "--controllers", "false"], stdout=log, stderr=log)
        log.close()

    async def ready(self) -> Client:
        await until((self.state / "kubeconfig").exists)
        client = Client(connect.load(self.state / "kubeconfig"))
        await wait_ready(client, 30)
        return client

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.mark.slow
async def test_kill_minus_nine_of_the_api_server_loses_no_acknowledged_write(tmp_path: Path) -> None:
    api = Api(tmp_path / "state", free_port())
    acknowledged: dict[str, str] = {}
    for round_number in range(3):
        api.start()
        client = await api.ready()
        try:
            listed = {one["metadata"]["name"]: one["data"]["k"] for one in (await client.list(CM, "default")).items}
            assert acknowledged.items() <= listed.items()
            for file in ("store.db", "kubeconfig", "pki/ca.key"):
                assert not (api.state / file).stat().st_mode & 0o077, f"{file} is for its owner alone"
            try:
                for number in range(20_000):
                    name = f"r{round_number}-{number % 20}"
                    body = {"metadata": {"name": name, "namespace": "default"}, "data": {"k": f"{number}"}}
                    if number < 20:
                        made = await client.create(CM, body)
                    else:
                        made = await client.patch(CM, name, {"data": {"k": f"{number}"}}, "default")
                    acknowledged[name] = made["data"]["k"]
                    if number == 25:
                        asyncio.get_running_loop().call_later(0.1 + 0.05 * round_number, api.process.kill)
            except ApiError as error:
                assert error.status == 0
        finally:
            await client.close()
            api.kill()
        # The write under way when the server died may or may not have happened: it was never acknowledged.
        name = f"r{round_number}-{number % 20}"
        acknowledged.pop(name, None)
    api.start()
    client = await api.ready()
    listed = {one["metadata"]["name"]: one["data"]["k"] for one in (await client.list(CM, "default")).items}
    await client.close()
    api.kill()
    assert len(acknowledged) >= 50
    assert acknowledged.items() <= listed.items()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(tmp_path / "state")
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    process.stderr.close()


def start(state: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cluster", "--state", str(state)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def pids(state: Path) -> dict[str, int]:
    return json.loads((state / "run.json").read_text())["pids"]


def is_complete(state: Path) -> bool:
    """Whether API server and node are started."""
    return (state / "run.json").exists() and {"api", "node"} <= pids(state).keys()


@pytest.mark.slow
async def test_the_supervisor_restarts_what_is_killed_and_leaves_nothing(supervisor, tmp_path: Path) -> None:
    state = tmp_path / "state"
    await until(lambda: is_complete(state), 60)
    first = pids(state)["api"]
    os.kill(first, signal.SIGKILL)
    # While it is down, the run file may be written without it.
    await until(lambda: pids(state).get("api", first) != first, 60)
    client = Client(connect.load(state / "kubeconfig"))
    await wait_ready(client, 30)
    await client.close()
    memory = Path(f"/proc/{supervisor.pid}/status").read_text().split("VmRSS:")[1].split()[0]
    assert int(memory) < 16 * 1024
    second = await asyncio.to_thread(start(state).communicate)
    assert "an instance already runs in" in second[1]
    everyone = pids(state).values()
    supervisor.send_signal(signal.SIGTERM)
    await until(lambda: supervisor.poll() is not None, 60)
    assert supervisor.returncode == 0
    assert not any(alive(pid) for pid in everyone)
    assert not (state / "run.json").exists()


@pytest.mark.slow
async def test_children_die_with_a_supervisor_that_is_killed(supervisor, tmp_path: Path) -> None:
    state = tmp_path / "state"
    await until(lambda: is_complete(state), 60)
    everyone = list(pids(state).values())
    supervisor.kill()
    await until(lambda: not any(alive(pid) for pid in everyone if pid != supervisor.pid), 60)


def test_a_supervisor_that_was_stopped_and_continued_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    received = iter([0, int(signal.SIGTERM)])
    waits: list[float] = []

    def wait(_signals: object, timeout_s: float) -> int:
        waits.append(timeout_s)
        return next(received)

    monkeypatch.setattr(children, "next_signal", wait)
    monkeypatch.setattr(children.Child, "start", lambda child, _now: setattr(child, "due_s", 1e18))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    supervisor = supervise.Supervisor(tmp_path, 0, "")
    try:
        supervisor.run()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        supervisor._holder.close()
        os.close(supervisor._lock)
    assert len(waits) == 2


WAITER = """
import signal
from cluster import children
numbers = [signal.SIGHUP, signal.SIGTERM]
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
print("waits", flush=True)
print(children.next_signal(numbers, 0.3), flush=True)
print(children.next_signal(numbers, 60), flush=True)
"""


def test_who_was_stopped_while_it_waited_for_signals_has_got_none() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITER], stdout=subprocess.PIPE, text=True) as waiter:
        assert waiter.stdout is not None
        assert waiter.stdout.readline() == "waits\n"
        time.sleep(0.1)  # it waits by now, or there is nothing to find
        waiter.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        waiter.send_signal(signal.SIGCONT)
        assert waiter.stdout.readline() == "0\n"
        waiter.send_signal(signal.SIGTERM)
        assert waiter.stdout.readline() == f"{int(signal.SIGTERM)}\n"


def test_octets_are_held_and_given_back(tmp_path: Path) -> None:
    octet, holder = instance.hold_octet(tmp_path, 0)
    other, second = instance.hold_octet(tmp_path, octet)
    assert other != octet
    holder.close()
    again, third = instance.hold_octet(tmp_path, octet)
    assert again == octet
    second.close()
    third.close()


def test_ports_are_kept_while_they_are_free(tmp_path: Path) -> None:
    with socket.socket() as taken:
        port = free_port()
        taken.bind((instance.API_HOST, port))
        taken.listen()
        assert instance.choose_port(0, port) != port
        with pytest.raises(instance.StartError, match="is taken"):
            instance.choose_port(port, 0)
    assert instance.choose_port(0, port) == port


@pytest.mark.parametrize("text", ["", "{", "[]", '{"octet": "x"}'])
def test_a_broken_instance_file_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "instance.json").write_text(text)
    assert instance.remembered(tmp_path) == {}
    instance.remember(tmp_path, 7, 6443)
    assert instance.remembered(tmp_path) == {"octet": 7, "api_port": 6443}


def test_two_supervisors_never_share_a_folder(tmp_path: Path) -> None:
    held = instance.lock(tmp_path)
    with pytest.raises(instance.StartError, match="already runs"):
        instance.lock(tmp_path)
    os.close(held)
    os.close(instance.lock(tmp_path))


def test_an_instance_does_not_start_on_the_store_of_a_later_release(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db")) as database:
        database.execute("PRAGMA user_version = 99")
    command = [sys.executable, "-m", "cluster", "--state", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert re.search(
        r"^error: .*store.db has format 99, .*: a later release wrote it\. Start it with that", done.stderr
    )


def test_an_api_server_refuses_it_too_with_one_line(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db")) as database:
        database.execute("PRAGMA user_version = 99")
    command = [sys.executable, "-m", "cluster.api", "--state", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "store.db has format 99" in done.stderr
    assert "Traceback" not in done.stderr


def test_restart_pauses_grow_and_start_over_after_a_sound_run(tmp_path: Path) -> None:
    child = children.Child("x", ["/bin/true"], tmp_path / "log")
    pauses = [child.ended(0.0) for _ in range(9)]
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert pauses[-1] == children.PAUSE_LAST_S
    assert child.ended(children.SOUND_AFTER_S + 1) == children.PAUSE_FIRST_S


def test_a_log_that_grows_is_moved_aside_once(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    children.rotate(log)
    with log.open("ab") as writer:
        writer.write(b"x" * children.LOG_LIMIT_BYTES)
        writer.flush()
        children.rotate(log)
        writer.write(b"after")
    assert log.read_bytes() == b"after"
    assert (tmp_path / "x.log.1").stat().st_size == children.LOG_LIMIT_BYTES
