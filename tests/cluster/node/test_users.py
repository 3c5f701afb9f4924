"""Users of containers: who they are, and when this node can be them."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.node import images, process, users
from cluster.node.agent import Agent
from cluster.node.environment import ConfigError
from cluster.node.process import Command
from cluster.node.users import User
from tests.cluster.node.conftest import World, come_to_rest, pod
from tidegate.kube import resources

ENV = {"PATH": os.environ["PATH"]}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


@pytest.mark.parametrize(
    ("shared", "own", "image", "user"),
    [
        ({}, {}, None, None),
        ({}, {}, 65532, User(65532, 65532)),
        ({}, {"runAsUser": 2020}, 65532, User(2020, 2020)),
        ({"runAsUser": 7}, {}, 65532, User(7, 7)),
        ({"runAsUser": 7}, {"runAsUser": 0}, None, User(0, 0)),
        ({"runAsUser": 7, "runAsGroup": 8}, {"runAsUser": 9}, None, User(9, 8)),
        ({"runAsUser": 7, "fsGroup": 5, "supplementalGroups": [3, 4]}, {}, None, User(7, 7, (3, 4, 5))),
        ({"fsGroup": 5}, {}, None, User(os.geteuid(), os.getegid(), (5,))),
    ],
)
def test_the_container_decides_then_the_pod_then_the_image(
    shared: dict[str, Any], own: dict[str, Any], image: int | None, user: User | None
) -> None:
    container = {"name": "app", "securityContext": own}
    pod = {"spec": {"securityContext": shared, "containers": [container]}}
    assert users.user_of(pod, container, image) == user


def test_a_group_needs_its_user() -> None:
    with pytest.raises(ConfigError, match="runAsGroup 5 is specified without a runAsUser"):
        users.user_of({"spec": {"securityContext": {"runAsGroup": 5}}}, {"name": "app"})


def test_the_pods_token_is_that_of_the_first_who_names_a_user() -> None:
    containers = [{"name": "a"}, {"name": "b", "securityContext": {"runAsUser": 5}}]
    assert users.pod_user({"spec": {"containers": containers}}) == User(5, 5)
    assert users.pod_user({"spec": {"containers": containers[:1]}}) is None


@as_root
def test_a_folder_that_the_user_cannot_enter_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed" / "pod").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    with pytest.raises(ConfigError, match=r"cannot enter .*chmod o\+x"):
        users.check(User(2020, 2020), tmp_path / "closed" / "pod")
    users.check(User(os.geteuid(), 0), tmp_path / "closed" / "pod")


def test_without_privileges_there_is_one_user_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigError, match="cannot become another"):
        users.check(User(2020, 2020), Path("/"))
    users.check(User(1000, 1000), Path("/"))
    with pytest.raises(ConfigError, match=r"groups \[5\]: this node runs as user 1000"):
        users.check(User(1000, 1000, (5,)), Path("/"))


@as_root
async def test_a_process_has_the_numbers_of_its_user_and_no_others(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        script = "id -u; id -g; id -G"
        command = Command(["sh", "-c", script], ENV, "/", file.fileno(), file.fileno(), user=User(2020, 2021, (5,)))
        assert await process.start_plain(command).ended == 0
    assert (tmp_path / "out").read_text().split() == ["2020", "2021", "2021", "5"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    before = os.umask(0o022)  # another one may close the folders to other users
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folder lets no other user in
        made = World(Path(folder))
        component = images.Pattern("tidegate.dev/gateway", images.Image(("sh", "-c")))
        made.context = dataclasses.replace(made.context, run_as_user=True, catalog=[component, *images.BUILT_IN])
        made.agent = Agent(made.context)
        await made.agent.start()
        try:
            yield made
        finally:
            await made.agent.stop()
            await made.context.splicer.close()
            await come_to_rest()
            os.umask(before)


SECURED = {"securityContext": {"runAsUser": 2020}, "volumes": [{"name": "scratch", "emptyDir": {}}]}


@as_root
@pytest.mark.slow
async def test_a_pods_user_reads_its_token_and_writes_its_folders(world: World) -> None:
    world.folder.chmod(0o711)
    world.context.root.mkdir(mode=0o711, exist_ok=True)
    script = "id -u; touch here /scratch/there && cat $KUBECONFIG >/dev/null && echo fine; sleep 60"
    mount = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
    await world.run(pod("sh", "-c", script, container=mount, **SECURED))
    await world.until(lambda: len(world.output()) == 2)
    assert world.output() == ["2020", "fine"]


@as_root
@pytest.mark.slow
async def test_the_group_of_a_pods_files_may_read_them(world: World) -> None:
    world.folder.chmod(0o711)
    world.context.root.mkdir(mode=0o711, exist_ok=True)
    secret = {"metadata": {"name": "key", "namespace": "default"}, "data": {"word": "c2VzYW1l"}}
    await world.api.create(resources.SECRETS, secret, "default")
    volume = {"name": "key", "secret": {"secretName": "key", "defaultMode": 0o400}}
    mount = {"volumeMounts": [{"name": "key", "mountPath": "/key"}]}
    context = {"runAsUser": 2020, "fsGroup": 3030}
    await world.run(pod("sh", "-c", "cat /key/word", container=mount, securityContext=context, volumes=[volume]))
    await world.until(lambda: world.output() == ["sesame"])


@as_root
@pytest.mark.slow
async def test_a_state_folder_that_is_closed_is_said_and_not_got_around(world: World) -> None:
    await world.run(pod("sh", "-c", "id -u", **SECURED))
    await world.until(lambda: (world.container().get("state") or {}).get("waiting", {}).get("message"))
    waiting = world.container()["state"]["waiting"]
    assert waiting["reason"] == "CreateContainerConfigError"
    assert f"that user cannot enter {world.folder}" in waiting["message"]


@as_root
@pytest.mark.slow
async def test_our_own_components_run_as_the_node(world: World) -> None:
    own = {"image": "tidegate.dev/gateway", "args": ["id -u; sleep 60"]}
    await world.run(pod(container=own, **SECURED))
    await world.until(lambda: world.output() == ["0"])


@as_root
@pytest.mark.slow
async def test_a_working_folder_that_leads_elsewhere_is_not_given_away(world: World) -> None:
    world.folder.chmod(0o711)
    world.context.root.mkdir(mode=0o711, exist_ok=True)
    (world.folder / "precious").mkdir(mode=0o755)
    first = {
        "name": "first",
        "image": "any",
        "command": ["ln", "-s", str(world.folder / "precious"), "/scratch/here"],
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    mount = {"workingDir": "/scratch/here", "volumeMounts": first["volumeMounts"]}
    await world.run(pod("sh", "-c", "pwd -P; sleep 60", container=mount, initContainers=[first], **SECURED))
    await world.until(lambda: world.output() == [str((world.folder / "precious").resolve())])
    assert (world.folder / "precious").stat().st_uid == 0


def test_a_component_with_a_command_is_none() -> None:
    assert users.is_component({"image": "tidegate.dev/queueproxy:1"})
    assert not users.is_component({"image": "tidegate.dev/queueproxy:1", "command": ["sh"]})
    assert not users.is_component({"image": "tidegate.dev/other"})
