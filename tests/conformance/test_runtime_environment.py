"""What a container finds: arguments, variables, files, user, folder, standard input, and what it must not touch."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conformance import runtime_info
from tests.conformance.world import World, container_of_a_user
from tidegate.kube.api import Object


def _config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _secret(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


@pytest.mark.upstream("runtime", "TestCmdArgs")
async def test_arguments_reach_the_program_word_by_word(world: World) -> None:
    words = ["one", "two words", "--three=3", "$(NOT_THERE)", "a$$b"]
    found = await runtime_info.of(world, {"args": words})
    assert found["host"]["args"] == ["one", "two words", "--three=3", "$(NOT_THERE)", "a$b"]


@pytest.mark.upstream("runtime", "TestCmdArgs")
async def test_a_command_takes_the_place_of_the_images_own(world: World) -> None:
    command = ["python", "-m", "tests.conformance.apps.runtime", "mine"]
    found = await runtime_info.of(world, {"image": "conformance.local/helloworld", "command": command})
    assert found["host"]["args"] == ["mine"]


def _from(kind: str, name: str, key: str) -> Object:
    return {"valueFrom": {kind: {"name": name, "key": key}}}


SOURCES: dict[str, tuple[str, Any, str, str]] = {
    "Secret": ("TestSecretsViaEnv", _secret, "secretKeyRef", "secretRef"),
    "ConfigMap": ("TestConfigsViaEnv", _config_map, "configMapKeyRef", "configMapRef"),
}


@pytest.mark.parametrize(
    ("make", "key_ref", "whole_ref"),
    [pytest.param(*row[1:], marks=pytest.mark.upstream("runtime", row[0]), id=kind) for kind, row in SOURCES.items()],
)
async def test_variables_come_from_a_key_and_from_a_whole_object(
    world: World, make: Any, key_ref: str, whole_ref: str
) -> None:
    await world.create(make("source", FIRST="a value", SECOND="another"))
    container = {
        "env": [{"name": "MINE"} | _from(key_ref, "source", "FIRST")],
        "envFrom": [{"prefix": "ALL_", whole_ref: {"name": "source"}}],
    }
    found = (await runtime_info.of(world, container))["host"]["envVars"]
    assert (found["MINE"], found["ALL_FIRST"], found["ALL_SECOND"]) == ("a value", "a value", "another")


@pytest.mark.upstream("runtime", "TestShouldEnvVars")
async def test_a_container_knows_its_service_configuration_and_revision(world: World) -> None:
    found = (await runtime_info.of(world))["host"]["envVars"]
    assert (found["K_SERVICE"], found["K_CONFIGURATION"]) == (runtime_info.NAME, runtime_info.NAME)
    assert found["K_REVISION"] == f"{runtime_info.NAME}-00001"


@pytest.mark.upstream("runtime", "TestMustEnvVars")
async def test_port_says_where_the_program_is_asked(world: World) -> None:
    # The program listens on $PORT and nowhere else: an answer says that the variable is right.
    found = await runtime_info.of(world, {"ports": [{"containerPort": 8801}]})
    assert found["host"]["envVars"]["PORT"].isdigit()
    if await world.runs_processes():
        pytest.skip("that PORT is the containerPort itself: pods of the process node share the machine's ports")
    assert found["host"]["envVars"]["PORT"] == "8801"


@pytest.mark.upstream("runtime", "TestShouldHaveStdinEOF")
async def test_standard_input_is_at_its_end(world: World) -> None:
    assert (await runtime_info.of(world))["host"]["stdin"] == {"eof": True}


MUST_FILES = {
    "/dev/fd": "/proc/self/fd",
    "/dev/full": "",
    "/dev/null": "",
    "/dev/ptmx": "",
    "/dev/random": "",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/tty": "",
    "/dev/urandom": "",
    "/dev/zero": "",
    "/proc/self/environ": "",
    "/proc/meminfo": "",
}
"""Each with the end of what it links to, if it is a link."""
WRITABLE = "/tmp", "/var/log"
SHOULD_FILES = "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/console"


@pytest.mark.upstream("runtime", "TestMustHaveFiles")
async def test_devices_are_there_and_tmp_and_log_can_be_written(world: World) -> None:
    found = (await runtime_info.of(world, files=(*MUST_FILES, *WRITABLE)))["host"]["files"]
    for name, target in MUST_FILES.items():
        assert "error" not in found[name], (name, found[name])
        assert not target or found[name]["target"] == target
    for name in WRITABLE:
        assert found[name]["is_folder"], name
        assert found[name]["is_writable"], name


@pytest.mark.upstream("runtime", "TestShouldHaveFiles")
async def test_names_of_hosts_and_resolvers_are_there(world: World) -> None:
    found = (await runtime_info.of(world, files=SHOULD_FILES))["host"]["files"]
    missing = [name for name in SHOULD_FILES if "error" in found[name]]
    assert set(missing) <= {"/dev/console"}, missing


@pytest.mark.upstream("runtime", "TestWorkingDirService")
async def test_the_program_starts_in_its_working_dir(world: World) -> None:
    assert (await runtime_info.of(world, {"workingDir": "/tmp"}))["host"]["cwd"] == "/tmp"


@pytest.mark.upstream("runtime", "TestMustRunAsUser")
async def test_the_program_runs_as_the_user_of_its_security_context(world: World) -> None:
    user = (await runtime_info.of(world, _system() | {"securityContext": {"runAsUser": 2020}}))["host"]["user"]
    assert (user["uid"], user["euid"]) == (2020, 2020)


@pytest.mark.upstream("runtime", "TestShouldRunAsUserContainerDefault")
async def test_the_program_runs_as_the_user_of_its_image_without_one(world: World) -> None:
    user = (await runtime_info.of(world, _system()))["host"]["user"]
    assert (user["uid"], user["euid"]) == (65532, 65532)


def _system() -> Object:
    """Return the container of the same program as an image that names its user, and that other users can run."""
    if not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("needs /usr/bin/python3, an interpreter that every user may run")
    if os.geteuid() != 0:
        pytest.skip("users: the process node can become another user only where it is root")
    return container_of_a_user("runtime")


LIMITS = {
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": str(128 << 20),
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    "/sys/fs/cgroup/memory.max": str(128 << 20),
    "/sys/fs/cgroup/cpu.max": "50000 100000",
}
"""Of version 1 of the kernel's interface, then of version 2."""


@pytest.mark.upstream("runtime", "TestMustHaveCgroupConfigured")
async def test_limits_are_those_of_its_control_group(world: World) -> None:
    await world.needs_isolation("ControlGroups", "cgroups")
    limits = {"cpu": "500m", "memory": "128Mi"}
    found = await runtime_info.of(world, {"resources": {"limits": limits}}, contents=tuple(LIMITS))
    told = {name: text for name, text in found["host"]["contents"].items() if text is not None}
    assert told == {name: text for name, text in LIMITS.items() if name in told}
    assert len(told) in (2, 3), "those of one version of the kernel's interface"


@pytest.mark.upstream("runtime", "TestShouldHaveCgroupReadOnly")
async def test_the_control_group_cannot_be_written(world: World) -> None:
    await world.needs_isolation("ReadOnlyKernelFiles", "cgroups")
    found = await runtime_info.of(world)
    assert _is_read_only(found, "/sys/fs/cgroup")


@pytest.mark.upstream("runtime", "TestShouldHaveSysctlReadOnly")
async def test_kernel_settings_cannot_be_written(world: World) -> None:
    await world.needs_isolation("ReadOnlyKernelFiles", "mount namespaces")
    assert _is_read_only(await runtime_info.of(world), "/proc/sys")


def _is_read_only(found: dict[str, Any], path: str) -> bool:
    mounts = [line.split() for line in found["host"]["mounts"]]
    # What is mounted later at the same place is what is seen there.
    options = {mount[1]: mount[3].split(",") for mount in mounts if mount[1] == path or mount[1].startswith(f"{path}/")}
    return bool(options) and all("ro" in one for one in options.values())
