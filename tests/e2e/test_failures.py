"""kill -9 of every process in turn: each comes back by itself, and services keep answering."""

from __future__ import annotations

import os
import signal

import pytest

from loadtest import chapters, load, tools
from loadtest.instance import Instance, eventually, example

SHORT = {"autoscaling.knative.dev/window": "6s"}


@pytest.mark.parametrize(
    "component", ["activator", "gateway", "controller", "autoscaler", "cluster.api", "cluster.node"]
)
async def test_a_killed_process_comes_back_and_a_service_wakes(instance: Instance, component: str) -> None:
    name = "survivor"
    await tools.apply(instance, example("hello", service=name, annotations=SHORT))
    await tools.wait_ready(instance, name)
    revision = await instance.revision_of(name)
    pid = chapters.pid_of(instance, component)
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: chapters.is_replaced(instance, component, pid), 90, f"{component} is started again")

    async def answers() -> bool:
        return (await load.get(instance.port, f"{name}.default.localhost")).status == 200

    await eventually(answers, 90, "the service answers")
    await eventually(lambda: chapters.all_ready(instance), 90, "all components are ready")
    await instance.wait_zero(revision, 90)
    reply = await load.get(instance.port, f"{name}.default.localhost")
    assert reply.status == 200, reply


async def test_a_running_service_answers_while_the_control_plane_is_down(instance: Instance) -> None:
    name = "steadfast"
    annotations = {"autoscaling.knative.dev/min-scale": "1"}
    await tools.apply(instance, example("hello", service=name, annotations=annotations))
    await tools.wait_ready(instance, name)
    assert (await load.get(instance.port, f"{name}.default.localhost")).status == 200
    for component in ("controller", "autoscaler", "cluster.api"):
        os.kill(chapters.pid_of(instance, component), signal.SIGKILL)
        run = await load.steady(instance.port, f"{name}.default.localhost", "/", connections=2, seconds=2)
        assert run.lost == 0, (component, run.statuses)
    await eventually(lambda: chapters.all_ready(instance), 120, "all components are ready")
