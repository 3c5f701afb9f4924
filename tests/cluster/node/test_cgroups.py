"""Control groups: where they go and what is written (both versions), and the real ones where this machine allows."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.node import cgroup_plan, cgroups, registration
from cluster.node.agent import Agent
from cluster.node.cgroup_plan import Amounts, Layout, Write
from cluster.node.cgroups import ControlGroups
from cluster.node.config import Config
from tests.cluster.node.conftest import World, come_to_rest, pod
from tidegate.kube import resources

FIRST = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/7 /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
FIRST_OWN = "8:pids:/../..\n4:memory:/docker/7/inner\n1:cpu,cpuacct:/\n0::/\n"
SECOND = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
LAYOUTS = [
    (
        FIRST,
        FIRST_OWN,
        Layout(
            1,
            {
                "cpu": "/sys/fs/cgroup/cpu,cpuacct",
                "memory": "/sys/fs/cgroup/memory/inner",
                "pids": "/sys/fs/cgroup/pids",
            },
            {"cpu": "/sys/fs/cgroup/cpu,cpuacct", "memory": "/sys/fs/cgroup/memory", "pids": "/sys/fs/cgroup/pids"},
        ),
    ),
    (SECOND, "0::/user.slice\n", Layout(2, {"unified": "/sys/fs/cgroup"}, {"unified": "/sys/fs/cgroup"})),
    ("9 1 0:9 / /none rw -  rw\n", "", Layout(missing="no control groups are mounted")),
    ("9 1 0:9 / /no\\040source rw - tmpfs  rw\n" + SECOND, "", Layout(2, *({"unified": "/sys/fs/cgroup"},) * 2)),
    ("23 1 0:1 / / rw - ext4 /dev/sda rw\n", "", Layout(missing="no control groups are mounted")),
    (
        FIRST.replace(" cgroup rw,pids", " cgroup rw,devices"),
        FIRST_OWN,
        Layout(missing="no control groups for pids are mounted"),
    ),
]


@pytest.mark.parametrize(("mounts", "own", "layout"), LAYOUTS)
def test_where_groups_can_be_made(mounts: str, own: str, layout: Layout) -> None:
    assert cgroup_plan.layout(mounts, own) == layout


@pytest.mark.parametrize(
    ("limits", "amounts"),
    [
        (None, Amounts(pids=9)),
        ({"memory": "128Mi"}, Amounts(memory_bytes=128 << 20, pids=9)),
        ({"cpu": "500m"}, Amounts(quota_us=50_000, pids=9)),
        ({"cpu": "2"}, Amounts(quota_us=200_000, pids=9)),
        ({"cpu": "1m"}, Amounts(quota_us=1_000, pids=9)),
        ({"nvidia.com/gpu": "1"}, Amounts(pids=9)),
    ],
)
def test_amounts_are_the_limits_alone(limits: Any, amounts: Amounts) -> None:
    resources = {"requests": {"cpu": "100m", "memory": "1Gi"}} | ({"limits": limits} if limits else {})
    assert cgroup_plan.amounts({"resources": resources}, 9) == amounts
    assert not cgroup_plan.amounts({}, 0).is_limited


ALL = Amounts(1 << 20, 50_000, 7)
WRITES = {
    1: [
        Write("memory", "memory.limit_in_bytes", "1048576"),
        Write("memory", "memory.memsw.limit_in_bytes", "1048576", optional=True),
        Write("cpu", "cpu.cfs_period_us", "100000"),
        Write("cpu", "cpu.cfs_quota_us", "50000", bounded=True),
        Write("pids", "pids.max", "7"),
    ],
    2: [
        Write("unified", "memory.max", "1048576"),
        Write("unified", "memory.swap.max", "0", optional=True),
        Write("unified", "memory.oom.group", "1", optional=True),
        Write("unified", "cpu.max", "50000 100000"),
        Write("unified", "pids.max", "7"),
    ],
}


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_written(version: int) -> None:
    assert cgroup_plan.writes(version, ALL) == WRITES[version]
    assert cgroup_plan.writes(version, Amounts()) == []
    assert cgroup_plan.controllers(1, Amounts(pids=7)) == ("pids",)


def test_kills_for_memory_are_counted_in_both_forms() -> None:
    assert cgroup_plan.oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n") == 3
    assert cgroup_plan.oom_kills("low 0\nhigh 0\nmax 8\noom 2\noom_kill 1\noom_group_kill 1\n") == 1
    assert cgroup_plan.oom_kills("") == 0


def test_the_second_version_on_a_folder_in_its_place(tmp_path: Path) -> None:
    # Ordinary files stand for the kernel's; what is written is the same.
    def prepared(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        for name in ("cgroup.procs", "cgroup.subtree_control", "memory.max", "cpu.max", "memory.events", "pids.max"):
            (folder / name).touch()
        return folder

    layout = Layout(2, {"unified": str(tmp_path)}, {"unified": str(tmp_path)})
    name = ControlGroups(layout, "s").folder("unified").rpartition("/")[2]
    own = prepared(tmp_path / name)
    groups = ControlGroups(layout, "s")
    assert not groups.missing, groups.missing
    group_folder = prepared(prepared(own / "uid") / "of-c")
    group = groups.make("uid", "c", Amounts(1 << 20, 50_000))
    assert (group_folder / "memory.max").read_text() == "1048576"
    assert (group_folder / "cpu.max").read_text() == "50000 100000"
    for folder in (tmp_path, own, own / "uid"):
        assert (folder / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert not (group_folder / "cgroup.subtree_control").read_text()
    assert not group.has_run_out_of_memory()
    (group_folder / "memory.events").write_text("oom_kill 1\n")
    assert group.has_run_out_of_memory()
    group.join(os.getpid())
    assert str(os.getpid()) in (group_folder / "cgroup.procs").read_text()
    assert group.view() == ((str(group_folder), str(tmp_path)),)


def test_where_they_cannot_be_made_there_are_none_and_a_reason(tmp_path: Path) -> None:
    groups = ControlGroups(Layout(2, {"unified": str(tmp_path / "no")}, {}), "s")
    assert groups.missing.startswith("control groups cannot be made: No such file")
    found = ControlGroups(Layout(missing="none are mounted"), "s")
    assert found.missing == "none are mounted"
    config = Config(state="/nowhere", name="n1")
    status = registration.node_status(config, 1, {}, 0.0, {registration.CONTROL_GROUPS: found.missing})
    told = next(one for one in status["conditions"] if one["type"] == "ControlGroups")
    assert (told["status"], told["message"]) == ("False", "none are mounted")


# The machine's own


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[ControlGroups]:
    found = cgroups.find(str(tmp_path))
    if found.missing:
        pytest.skip(found.missing)
    yield found
    found.sweep()
    found.close()


@pytest.fixture
async def world(tmp_path: Path, groups: ControlGroups) -> AsyncIterator[World]:
    made = World(tmp_path)
    made.context = dataclasses.replace(made.context, groups=groups)
    made.agent = Agent(made.context)
    await made.agent.start()
    yield made
    await made.agent.stop()
    await made.context.splicer.close()
    await come_to_rest()


def limited(**limits: str) -> dict[str, Any]:
    return {"resources": {"limits": limits}}


@pytest.mark.slow
async def test_a_container_beyond_its_memory_is_killed_and_says_so(world: World) -> None:
    # It begins when it is in its group; a child of its own is in there too.
    wait = "until grep -q tidegate- /proc/self/cgroup; do sleep 0.01; done"
    script = f"{wait}; {sys.executable} -c 'bytearray(64 << 20)' & wait $!"
    await world.run(pod("sh", "-c", script, container=limited(memory="16Mi"), restartPolicy="Never"))
    await world.until(lambda: (world.container().get("state") or {}).get("terminated"), 30.0)
    end = world.container()["state"]["terminated"]
    assert (end["exitCode"], end["reason"]) == (137, "OOMKilled")


@pytest.mark.slow
async def test_a_groups_folders_go_with_the_pod(world: World, groups: ControlGroups) -> None:
    await world.run(pod("sleep", "60", container=limited(memory="64Mi", cpu="500m")))
    uid = world.pod()["metadata"]["uid"]
    folders = [Path(groups.folder(one), uid) for one in ("memory", "cpu")]
    if groups.layout.version == 2:
        folders = [Path(groups.folder(cgroup_plan.UNIFIED), uid)]
    await world.until(lambda: all((folder / "of-c" / "cgroup.procs").exists() for folder in folders))
    await world.until(lambda: all((folder / "of-c" / "cgroup.procs").read_text() for folder in folders))
    await world.api.delete(resources.PODS, "p", "default")
    await world.until(lambda: not any(folder.exists() for folder in folders))


async def test_what_an_earlier_node_left_is_swept(tmp_path: Path, groups: ControlGroups) -> None:
    await asyncio.to_thread(groups.make, "gone", "c", Amounts(memory_bytes=1 << 24))
    again = cgroups.find(str(tmp_path))
    assert again.sweep() == 1
    assert again.sweep() == 0


def test_no_name_of_a_container_is_one_of_the_kernels(groups: ControlGroups) -> None:
    # Version 1 has a file `tasks` in each group.
    assert groups.make("uid", "tasks", Amounts(1 << 24, 50_000)).controllers
    assert groups.has("uid")
    groups.remove("uid")
    assert not groups.has("uid")


def test_a_container_may_be_allowed_more_than_its_node(tmp_path: Path, groups: ControlGroups) -> None:
    if groups.layout.version != 1:
        pytest.skip("version 2 takes what is above the node's own")
    outer = Path(groups.folder("cpu"), "outer")
    outer.mkdir()
    (outer / "cpu.cfs_quota_us").write_text("100000")
    folders = {**groups.layout.folders, "cpu": str(outer)}
    inner = ControlGroups(dataclasses.replace(groups.layout, folders=folders), str(tmp_path / "inner"))
    try:
        assert inner.make("uid", "c", Amounts(quota_us=400_000)).controllers == ("cpu",)
    finally:
        inner.sweep()
        inner.close()
        outer.rmdir()


def test_a_kernel_without_quotas_has_no_groups(tmp_path: Path) -> None:
    layout = Layout(2, {"unified": str(tmp_path)}, {"unified": str(tmp_path)})
    own = Path(ControlGroups(layout, "s").folder("unified"))
    own.mkdir(exist_ok=True)
    for name in ("cgroup.procs", "memory.max", "pids.max"):
        (own / name).touch()
    assert ControlGroups(layout, "s").missing.endswith("cpu.max")


async def test_what_left_the_session_before_it_was_joined_is_in_as_well(groups: ControlGroups) -> None:
    script = "setsid sleep 60 & echo $!; wait"
    running = await asyncio.create_subprocess_exec(
        "sh", "-c", script, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert running.stdout is not None
    left = int(await running.stdout.readline())
    try:
        async with asyncio.timeout(10):
            while os.getsid(left) != left:
                await asyncio.sleep(0.01)
        group = groups.make("uid", "c", Amounts(pids=20))
        await asyncio.to_thread(group.join, running.pid)
        assert "/uid/of-c" in Path(f"/proc/{left}/cgroup").read_text()
    finally:
        running.kill()
        os.kill(left, signal.SIGKILL)  # it holds the pipe whose end is waited for
        await running.wait()
