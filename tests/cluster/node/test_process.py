"""Process groups: start, end, signals; tokens and bounds of splicing beside them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.node import process, tokens
from cluster.node.process import Command, StartError
from cluster.node.splice import Splicer
from cluster.node.tokens import Tokens
from tests.support import loopback, servers
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object, Resource, Unreachable
from tidegate.process import tasks

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
async def sink() -> AsyncIterator[int]:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=["setpriv", "preexec"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to tie a child's life to ours."""
    if request.param == "preexec":
        monkeypatch.setattr(process, "_SETPRIV", None)
    return str(request.param)


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9)])
async def test_exit_codes(way: str, sink: int, script: str, code: int) -> None:
    child = process.start_plain(Command(["sh", "-c", script], ENV, "/", sink, sink))
    async with asyncio.timeout(30):
        assert await child.ended == code
    child.signal_group(signal.SIGTERM)  # nothing to signal is no error


async def test_a_child_leads_a_session_and_has_only_its_own(way: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open(out, "wb") as file:
        script = "ps -o sid= -p $$; echo $$; ls /proc/self/fd | wc -l; env | grep -vE '^(PWD|SHLVL|_)='; pwd"
        child = process.start_plain(
            Command(["sh", "-c", script], {**ENV, "A": "1"}, "/tmp", file.fileno(), file.fileno())
        )
        async with asyncio.timeout(30):
            await child.ended
    session, pid, descriptors, *rest = out.read_text().split()
    assert session == pid == str(child.pid)
    assert int(descriptors) == 4, "stdio, and the folder that ls reads"
    assert sorted(rest) == sorted([f"PATH={ENV['PATH']}", "A=1", "/tmp"])


MISSING = [
    (["no-such-program"], "executable file not found in \\$PATH"),
    (["/no/such"], "no such file"),
    (["/etc/passwd"], "permission denied"),
]


@pytest.mark.parametrize(("argv", "message"), MISSING)
async def test_what_cannot_be_run(sink: int, argv: list[str], message: str) -> None:
    with pytest.raises(StartError, match=message):
        process.start_plain(Command(argv, ENV, "/", sink, sink))


async def test_a_missing_folder(sink: int) -> None:
    with pytest.raises(StartError, match="cannot run"):
        process.start_plain(Command(["true"], ENV, "/no/such/folder", sink, sink))


async def test_a_relative_command_is_found_in_its_folder(tmp_path: Path, sink: int) -> None:
    program = tmp_path / "run.sh"
    program.write_text("#!/bin/sh\nexit 5\n")
    program.chmod(0o755)
    child = process.start_plain(Command(["./run.sh"], ENV, str(tmp_path), sink, sink))
    async with asyncio.timeout(30):
        assert await child.ended == 5


async def test_terminate_kills_after_the_grace(sink: int, tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    script = f"trap '' TERM; : > {deaf}; while :; do sleep 0.01; done"
    child = process.start_plain(Command(["sh", "-c", script], ENV, "/", sink, sink))
    async with asyncio.timeout(30):
        while not deaf.exists():
            await asyncio.sleep(0.005)
    began = time.monotonic()
    await process.terminate(child, 0.1, kill_wait_s=30.0)
    assert child.ended.result() == -signal.SIGKILL
    assert time.monotonic() - began > 0.09


async def test_a_token_serves_pods_that_start_together_and_no_account_that_was_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, now = FakeApi(), 1e9
    monkeypatch.setattr(tokens.time, "time", lambda: now)
    kept = Tokens(api)
    assert await kept.token("d", "robot") == await kept.token("d", "robot") == "token-of-robot"
    assert len(api.calls) == 1
    now += 1.5
    await kept.token("d", "robot")
    assert len(api.calls) == 2, "the account of that name may be another one by now"
    now += 1.5
    api.refuse("create", resources.SERVICE_ACCOUNTS, Unreachable("away"))
    assert await kept.token("d", "robot") == "token-of-robot", "an old token is better than none"
    api.refuse("create", resources.SERVICE_ACCOUNTS, ApiError(404, "NotFound", "no account"))
    with pytest.raises(ApiError):
        await kept.token("d", "robot")


async def test_a_pods_own_token_is_bound_to_it_and_renewed_after_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Object] = []

    class Api(FakeApi):
        async def create(self, resource: Resource, obj: Object, *rest: str, **more: bool) -> Object:
            asked.append(obj)
            return {"status": {"token": "t", "expirationTimestamp": "2001-09-09T02:46:40Z"}}  # 1e9 + 3600 s

    monkeypatch.setattr(tokens.time, "time", lambda: 1e9)
    pod = {"metadata": {"name": "p", "namespace": "d", "uid": "u"}, "spec": {"serviceAccountName": "robot"}}
    kept = await Tokens(Api()).for_pod(pod, "vault", 3600)
    assert kept == tokens.Kept("t", 1e9 + 2880)
    assert asked[0]["metadata"] == {"name": "robot", "namespace": "d"}
    assert asked[0]["spec"] == {
        "expirationSeconds": 3600,
        "audiences": ["vault"],
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"},
    }
    monkeypatch.setattr(tokens.time, "time", lambda: 1e9 - 7 * 86400)
    assert (await Tokens(Api()).for_pod(pod, "", 7 * 86400)).renew_unix_s == 1e9 - 6 * 86400
    assert "audiences" not in asked[1]["spec"]


async def connected(address: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as soon as somebody listens."""
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return await asyncio.open_connection(*address)
        await asyncio.sleep(0.005)


async def test_connections_beyond_the_limit_are_closed() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await reader.read()

    splicer = Splicer(limit=1)
    async with servers.serving(hold) as target, servers.serving(hold) as free:
        address = (f"127.{loopback.octet()}.0.5", free)
        listening = tasks.spawn(splicer.listen(address, lambda: [("127.0.0.1", target)]), "listen")
        async with asyncio.timeout(30):
            first, writer = await connected(address)
            assert await first.readexactly(5) == b"hello"
            second, other = await asyncio.open_connection(*address)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await second.readexactly(1)
        for one in (writer, other):
            one.close()
        await tasks.cancel(listening)
        await splicer.close()
