"""Instances come and go: side by side, restarted with everything in place, down without a trace, up without kubectl."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from loadtest import load
from loadtest.figures import ROOT
from loadtest.instance import UP_TIMEOUT_S, Instance, eventually, example, free_port
from loadtest.story import processes_with
from tidegate.kube import connect
from tidegate.kube.client import Client


def write_path_without(tool: str, folder: Path) -> str:
    """Return a PATH on which everything is found but `tool`."""
    folder.mkdir()
    for entry in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(entry).iterdir() if Path(entry).is_dir() else ():
            link = folder / program.name
            if program.name != tool and not link.exists():
                link.symlink_to(program)
    return str(folder)


async def test_a_second_instance_without_kubectl_restarts_with_its_services_and_leaves_nothing(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = Instance(tmp_path / "second", free_port())
    try:
        with monkeypatch.context() as patch:
            patch.setenv("PATH", write_path_without("kubectl", tmp_path / "bin"))
            arguments = ("up", "--port", str(second.port), "--json")
            told = json.loads(await asyncio.to_thread(second.tidegate, *arguments, timeout_s=UP_TIMEOUT_S))
        assert "kubectl is not installed" in json.dumps(told["steps"])
        async with Client(connect.load(second.kubeconfig)) as second.client:
            await second.apply(example("hello", service="twin"))
            await second.wait_service_ready("twin")
        assert (await load.get(second.port, "twin.default.localhost")).status == 200
        assert (await load.get(instance.port, "twin.default.localhost")).status == 404

        # Down and up again: the objects are still there, the service answers.
        await asyncio.to_thread(second.tidegate, "down")
        await asyncio.to_thread(second.tidegate, "up", "--port", str(second.port), timeout_s=UP_TIMEOUT_S)
        assert (await load.get(second.port, "twin.default.localhost")).status == 200
        # The first instance did not notice.
        assert (await load.get(instance.port, "nobody.default.localhost")).status == 404
    finally:
        await asyncio.to_thread(second.tidegate, "down", "--purge", timeout_s=UP_TIMEOUT_S)
    assert not second.state.exists()

    async def nobody_is_left() -> bool:
        return processes_with(f"TIDEGATE_NODE_STATE={second.state}", str(second.state)) == []

    await eventually(nobody_is_left, 30, "no process of the second instance is left", poll_s=0.2)


async def test_up_is_safe_to_repeat(instance: Instance) -> None:
    told = await asyncio.to_thread(
        instance.run, sys.executable, "-m", "tidegate.cli", "status", "--state", str(instance.state)
    )
    assert "gateway" in told
    before = instance.supervisor_pid()
    await asyncio.to_thread(instance.tidegate, "up", "--port", str(instance.port), timeout_s=UP_TIMEOUT_S)
    assert instance.supervisor_pid() == before


async def test_kubectl_shows_the_truth(instance: Instance, kubectl: str) -> None:
    async def is_shown() -> bool:
        shown = await instance.command(kubectl, "get", "pods", "-n", "tidegate-system", "--no-headers")
        rows = sorted([line.split()[0].rsplit("-", 2)[0], *line.split()[1:3]] for line in shown.splitlines())
        return rows == [[name, "1/1", "Running"] for name in ("activator", "autoscaler", "controller", "gateway")]

    await eventually(is_shown, 60, "every component has one pod, and that runs", poll_s=0.5)
    assert "local" in await instance.command(kubectl, "get", "nodes")
    for command in ("api-resources", "version", "get ksvc,kpa,revisions,routes,configurations -A", "get --raw /readyz"):
        await instance.command(kubectl, *command.split())


def readme_commands(instance: Instance) -> list[str]:
    """Return the commands of the README's section By hand that talk to a running instance, turned to this one."""
    section = (ROOT / "README.md").read_text().partition("## By hand")[2]
    block = section.partition("```sh\n")[2].partition("```")[0]
    commands = [line.partition("#")[0].strip() for line in block.splitlines()]
    turned = [
        command.replace(":8080", f":{instance.port}").replace(".venv/bin/tidegate", f"{sys.executable} -m tidegate.cli")
        for command in commands
        if command and not command.startswith(("make ", "export "))
    ]
    assert len(turned) >= 5
    return turned


async def test_the_readme_by_hand(instance: Instance, kubectl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_STATE", str(instance.state))
    told = [await instance.command("bash", "-ec", command) for command in readme_commands(instance)]
    assert "Hello World! (hello-00001)\n" in told
    assert any("default/hello-00001" in text for text in told)
