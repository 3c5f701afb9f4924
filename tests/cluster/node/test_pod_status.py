"""The published status, and what a restarted node makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from cluster import timestamps
from cluster.node import lifecycle, pod_status, resume
from cluster.node.lifecycle import Container, Termination
from cluster.node.pod_status import Surroundings
from tidegate.kube.api import Object

NOW = 1_800_000_000.0
STAMP = timestamps.text(NOW)


def around(**fields: Any) -> Surroundings:
    return Surroundings("127.0.0.1", "127.1.0.2", STAMP, NOW, 100.0, **fields)


def pod(*names: str, inits: tuple[str, ...] = (), **fields: Any) -> Object:
    spec = {"containers": [{"name": name, "image": "i"} for name in names]}
    if inits:
        spec["initContainers"] = [{"name": name, "image": "i"} for name in inits]
    return {"spec": {**spec, **fields}}


def ended(code: int, signal: int = 0) -> Termination:
    return Termination(code, signal, "Error" if code else "Completed", "", NOW - 5, NOW - 1)


def conditions(status: Object) -> dict[str, str]:
    return {one["type"]: one["status"] for one in status["conditions"]}


def test_a_new_pod() -> None:
    one = pod("a")
    status = pod_status.build(one, lifecycle.containers_of(one["spec"]), around())
    assert status["phase"] == "Pending"
    assert (status["podIP"], status["podIPs"], status["hostIP"]) == ("127.1.0.2", [{"ip": "127.1.0.2"}], "127.0.0.1")
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert conditions(status) == {
        "PodScheduled": "True",
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "ContainersReady": "False",
        "Ready": "False",
    }
    assert status["conditions"][-1]["message"] == "containers with unready status: [a]"


def test_running_and_ready() -> None:
    one = pod("a")
    container = Container("a", {}, state="running", started=True, ready=True, started_unix_s=NOW, run_id="r")
    status = pod_status.build(one, [container], around())
    assert status["phase"] == "Running"
    shown = status["containerStatuses"][0]
    assert shown["state"] == {"running": {"startedAt": STAMP}}
    assert (shown["ready"], shown["started"], shown["containerID"]) == (True, True, "process://r")
    assert conditions(status)["Ready"] == "True"


def test_readiness_gates_hold_ready_back() -> None:
    one = pod("a", readinessGates=[{"conditionType": "example.com/gate"}])
    container = Container("a", {}, state="running", ready=True)
    status = pod_status.build(one, [container], around())
    assert (conditions(status)["ContainersReady"], conditions(status)["Ready"]) == ("True", "False")
    one["status"] = {"conditions": [{"type": "example.com/gate", "status": "True"}]}
    status = pod_status.build(one, [container], around())
    assert conditions(status) == {**conditions(status), "Ready": "True", "example.com/gate": "True"}


def test_transition_times_stay_while_the_status_stays() -> None:
    one = pod("a")
    container = Container("a", {}, state="running", ready=True)
    one["status"] = pod_status.build(one, [container], around())
    later = Surroundings("127.0.0.1", "127.1.0.2", STAMP, NOW + 60, 160.0)
    assert pod_status.build(one, [container], later) == one["status"]
    container.ready = False
    changed = {
        item["type"]: item["lastTransitionTime"] for item in pod_status.build(one, [container], later)["conditions"]
    }
    assert changed["Ready"] == timestamps.text(NOW + 60)
    assert changed["PodScheduled"] == STAMP


def test_waiting_for_a_restart() -> None:
    container = Container("a", {}, state="terminated", restarts=2, backoff_s=40.0, not_before=115.0)
    container.last, container.previous = ended(1), ended(2)
    shown = pod_status.build(pod("a"), [container], around())["containerStatuses"][0]
    message = "back-off 20s restarting failed container=a"
    assert shown["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    assert shown["lastState"]["terminated"]["exitCode"] == 1
    stopping = pod_status.build(pod("a"), [container], around(is_stopping=True))["containerStatuses"][0]
    assert stopping["state"]["terminated"]["exitCode"] == 1
    assert stopping["lastState"]["terminated"]["exitCode"] == 2


def test_completed() -> None:
    container = Container("a", {}, state="terminated")
    container.last = ended(0)
    status = pod_status.build(pod("a", restartPolicy="Never"), [container], around())
    assert status["phase"] == "Succeeded"
    assert status["conditions"][-1]["reason"] == "PodCompleted"
    assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"


def test_init_containers_are_listed_apart() -> None:
    one = pod("a", inits=("i",))
    init = Container("i", {}, is_init=True, state="terminated")
    init.last = ended(0)
    status = pod_status.build(one, [init, Container("a", {}, reason="PodInitializing")], around())
    assert [item["name"] for item in status["initContainerStatuses"]] == ["i"]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert conditions(status)["Initialized"] == "True"


CLASSES = [
    ({}, "BestEffort"),
    ({"requests": {"cpu": "1"}}, "Burstable"),
    ({"limits": {"cpu": "1", "memory": "1Mi"}}, "Guaranteed"),
    ({"limits": {"cpu": "1", "memory": "1Mi"}, "requests": {"cpu": "500m"}}, "Burstable"),
]


@pytest.mark.parametrize(("asked", "expected"), CLASSES)
def test_quality_class(asked: Object, expected: str) -> None:
    assert pod_status.quality_class({"containers": [{"resources": asked}]}) == expected


def resumed(
    state: Object, last: Object | None = None, restarts: int = 0, phase: str = "Running"
) -> tuple[Container, bool]:
    one = pod("a")
    shown = {"name": "a", "state": state, "lastState": last or {}, "restartCount": restarts}
    one["status"] = {"phase": phase, "containerStatuses": [shown]}
    (container,) = containers = lifecycle.containers_of(one["spec"])
    return container, resume.apply(containers, one, NOW, 50.0)


def test_a_running_container_was_lost_with_the_node() -> None:
    container, is_over = resumed({"running": {"startedAt": timestamps.text(NOW - 60)}}, restarts=3)
    assert not is_over
    assert container.last == Termination(137, 9, "Error", resume.LOST_MESSAGE, NOW - 60, NOW)
    assert (container.state, container.restarts, container.not_before) == ("terminated", 3, 50.0)
    assert lifecycle.plan([container], "Always", stopping=False, now=50.0) == [lifecycle.Start("a")]


def test_an_ended_container_stays_ended() -> None:
    state = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    container, is_over = resumed(state, phase="Succeeded")
    assert is_over
    assert container.last is not None
    assert container.last.exit_code == 0


def test_a_container_that_waited_for_its_restart() -> None:
    last = {"terminated": {"exitCode": 4}}
    container, _ = resumed({"waiting": {"reason": "CrashLoopBackOff"}}, last, restarts=1)
    assert container.last is not None
    assert container.last.exit_code == 4


def test_a_container_that_never_ran() -> None:
    container, _ = resumed({"waiting": {"reason": "ErrImagePull"}}, phase="Pending")
    assert (container.state, container.last, container.restarts) == ("waiting", None, 0)
