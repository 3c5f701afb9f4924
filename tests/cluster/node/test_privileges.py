"""What containers give up: which flags and numbers a security context means, and what the kernel then says of them."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.node import privileges, process, users
from cluster.node.environment import ConfigError
from cluster.node.forkserver import ForkServer
from cluster.node.privileges import ALL, Privileges
from cluster.node.process import Command
from cluster.node.users import User
from tests.cluster.node.conftest import World, pod
from tidegate.process import tasks

ENV = {"PATH": os.environ["PATH"]}
NET_RAW, BIND = privileges.NAMES.index("NET_RAW"), privileges.NAMES.index("NET_BIND_SERVICE")
REST = ",".join(f"-cap_{number}" for number in range(15) if number != NET_RAW)
as_root = pytest.mark.skipif(not process.may_drop(), reason="needs root with all capabilities, to drop some")

CONTEXTS: list[tuple[Any, Privileges, list[str]]] = [
    (None, Privileges(), []),
    ({"allowPrivilegeEscalation": True}, Privileges(), []),
    ({"allowPrivilegeEscalation": False}, Privileges(no_new=True), ["--no-new-privs"]),
    ({"privileged": True, "capabilities": {"drop": ["ALL"]}}, Privileges(), []),
    (
        {"capabilities": {"drop": ["ALL"]}},
        Privileges(dropped=ALL),
        ["--bounding-set", "-all", "--inh-caps", "-all"],
    ),
    (
        {"capabilities": {"drop": ["NET_RAW", "CAP_NET_BIND_SERVICE"]}},
        Privileges(dropped=frozenset({NET_RAW, BIND})),
        ["--bounding-set", "-cap_10,-cap_13", "--inh-caps", "-cap_10,-cap_13"],
    ),
    (
        {"capabilities": {"drop": ["all"], "add": ["NET_RAW"]}},
        Privileges(dropped=ALL - {NET_RAW}),
        ["--bounding-set", REST, "--inh-caps", REST],
    ),
]


@pytest.mark.parametrize(("context", "given_up", "flags"), CONTEXTS)
def test_a_security_context_says_what_is_given_up(context: Any, given_up: Privileges, flags: list[str]) -> None:
    found = privileges.of({"securityContext": context} if context else {})
    assert found == given_up
    assert found.flags(14, may_drop=True) == flags
    assert found.flags(14, may_drop=False) == [flag for flag in flags if flag == "--no-new-privs"]


def test_a_capability_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown capability 'NET_RAWW'"):
        privileges.of({"securityContext": {"capabilities": {"drop": ["NET_RAWW"]}}})


NOT_ROOT: list[tuple[Any, User | None, str]] = [
    ({"runAsNonRoot": True}, None, "will run as root: set runAsUser on a node with --run-as-user true"),
    ({"runAsNonRoot": True, "runAsUser": 7}, None, "set runAsUser on a node with --run-as-user true"),
    ({"runAsNonRoot": True}, User(0, 0), "will run as root: set runAsUser$"),
    ({"runAsNonRoot": True, "runAsUser": 0}, User(0, 0), "runAsUser breaks non-root policy"),
    ({"runAsNonRoot": True, "runAsUser": 7}, User(7, 7), ""),
    ({"runAsNonRoot": False}, None, ""),
    ({}, None, ""),
]


@pytest.mark.parametrize(("context", "user", "message"), NOT_ROOT)
@pytest.mark.parametrize("place", ["pod", "container"])
def test_who_must_not_be_root_is_refused_where_it_would_be(
    monkeypatch: pytest.MonkeyPatch, place: str, context: Any, user: User | None, message: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    container = {"name": "c"} | ({"securityContext": context} if place == "container" else {})
    one = {"spec": {"containers": [container]} | ({"securityContext": context} if place == "pod" else {})}
    if message:
        with pytest.raises(ConfigError, match=message):
            users.check_not_root(one, container, user)
    else:
        users.check_not_root(one, container, user)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if user is None:
        users.check_not_root(one, container, None)


PLAIN: list[tuple[User | None, Privileges, list[int]]] = [
    (None, Privileges(no_new=True, dropped=ALL), [0, 0, 1]),
    (User(2020, 2021, (5,)), Privileges(no_new=True, dropped=ALL), [0, 0, 1]),
    (None, Privileges(no_new=True), [-1, -1, 1]),
]


@as_root
@pytest.mark.parametrize(("user", "given_up", "expected"), PLAIN)
@pytest.mark.parametrize("setpriv", [True, False])
async def test_a_process_has_given_up_what_it_should(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    setpriv: bool,
    user: User | None,
    given_up: Privileges,
    expected: list[int],
) -> None:
    if not setpriv:
        monkeypatch.setattr(process, "_SETPRIV", None)
        if user is not None:
            expected = [0, -1, 1]  # what no program can give it back any more
    with (tmp_path / "out").open("wb") as file:
        out = file.fileno()
        shown = ["grep", "-E", "CapPrm|CapBnd|NoNewPrivs", "/proc/self/status"]
        command = Command(shown, ENV, "/", out, out, user=user, privileges=given_up)
        assert await process.start_plain(command).ended == 0
    found = [int(line.split()[1], 16) for line in (tmp_path / "out").read_text().splitlines()]
    assert [-1 if want < 0 else given for given, want in zip(found, expected, strict=True)] == expected


@as_root
async def test_another_user_without_rights_still_ends_with_the_node(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        given_up = Privileges(no_new=True, dropped=ALL)
        command = Command(
            ["setpriv", "-d"], ENV, "/", file.fileno(), file.fileno(), user=User(2020, 2020), privileges=given_up
        )
        assert await process.start_plain(command).ended == 0
    assert "Parent death signal: KILL" in (tmp_path / "out").read_text()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ForkServer]:
    made = ForkServer([], str(tmp_path), limit=1)
    task = tasks.spawn(made.run(), "forkserver")
    yield made
    await tasks.cancel(task)


@as_root
@pytest.mark.slow
async def test_a_forked_program_has_given_up_the_same(server: ForkServer, tmp_path: Path) -> None:
    text = "import json; s = open('/proc/self/status').read().split(); print(json.dumps(s))"
    with (tmp_path / "out").open("wb") as file:
        given_up = Privileges(no_new=True, dropped=ALL - {NET_RAW})
        command = Command(
            ["python", "-c", text], ENV, "/", file.fileno(), file.fileno(), ("json",), privileges=given_up
        )
        with pytest.raises(Exception, match="being prepared"):
            await server.fork(command)
        await server.wait_ready(60, ["json"])
        assert await (await server.fork(command)).ended == 0
    words = json.loads((tmp_path / "out").read_text())
    for name in ("CapPrm:", "CapEff:", "CapBnd:"):
        assert int(words[words.index(name) + 1], 16) == 1 << NET_RAW, name
    assert words[words.index("NoNewPrivs:") + 1] == "1"


@as_root
@pytest.mark.slow
async def test_a_pod_that_must_not_run_as_root_waits_and_says_why(world: World) -> None:
    await world.run(pod("id", "-u", securityContext={"runAsNonRoot": True}))
    await world.until(lambda: (world.container().get("state") or {}).get("waiting", {}).get("message"))
    waiting = world.container()["state"]["waiting"]
    assert waiting["reason"] == "CreateContainerConfigError"
    assert waiting["message"].startswith("container has runAsNonRoot and image will run as root")
    assert not world.output()
