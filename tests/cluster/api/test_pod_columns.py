"""The one-word state of a Pod, and its counts: one row per situation a user meets."""

import pytest

from cluster.api.pod_columns import pod_cells

NOW = 1_700_000_000.0
RUNNING = {"running": {"startedAt": "2023-11-14T22:08:20Z"}}
INITS = [{"name": "i"}, {"name": "j"}]


def waiting(reason):
    return {"waiting": {"reason": reason}}


def ended(code=0, **more):
    return {"terminated": {"exitCode": code, **more}}


def container(state, ready=False, name="a", **more):
    return {"name": name, "state": state, "ready": ready, **more}


READY = {"type": "Ready", "status": "True"}
CASES = {
    "new": ({}, {}, "0/1", "Unknown"),
    "pending": ({}, {"phase": "Pending"}, "0/1", "Pending"),
    "creating": (
        {},
        {"phase": "Pending", "containerStatuses": [container(waiting("ContainerCreating"))]},
        "0/1",
        "ContainerCreating",
    ),
    "running": ({}, {"phase": "Running", "containerStatuses": [container(RUNNING, True)]}, "1/1", "Running"),
    "not ready": ({}, {"phase": "Running", "containerStatuses": [container(RUNNING)]}, "0/1", "Running"),
    "image": (
        {},
        {"phase": "Pending", "containerStatuses": [container(waiting("ErrImagePull"))]},
        "0/1",
        "ErrImagePull",
    ),
    "crash loop": (
        {},
        {"phase": "Running", "containerStatuses": [container(waiting("CrashLoopBackOff"))]},
        "0/1",
        "CrashLoopBackOff",
    ),
    "error": ({}, {"phase": "Failed", "containerStatuses": [container(ended(1, reason="Error"))]}, "0/1", "Error"),
    "exit code": ({}, {"phase": "Failed", "containerStatuses": [container(ended(3))]}, "0/1", "ExitCode:3"),
    "signal": ({}, {"phase": "Failed", "containerStatuses": [container(ended(137, signal=9))]}, "0/1", "Signal:9"),
    "completed": (
        {},
        {"phase": "Succeeded", "containerStatuses": [container(ended(reason="Completed"))]},
        "0/1",
        "Completed",
    ),
    "half completed": (
        {"containers": [{"name": "a"}, {"name": "b"}]},
        {
            "phase": "Running",
            "conditions": [READY],
            "containerStatuses": [container(ended(reason="Completed")), container(RUNNING, True, "b")],
        },
        "1/2",
        "Running",
    ),
    "half completed, not ready": (
        {"containers": [{"name": "a"}, {"name": "b"}]},
        {
            "phase": "Running",
            "containerStatuses": [container(ended(reason="Completed")), container(RUNNING, True, "b")],
        },
        "1/2",
        "NotReady",
    ),
    "evicted": ({}, {"phase": "Failed", "reason": "Evicted"}, "0/1", "Evicted"),
    "gated": (
        {},
        {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
        "0/1",
        "SchedulingGated",
    ),
    "init running": (
        {"initContainers": INITS},
        {"phase": "Pending", "initContainerStatuses": [container(ended(), name="i"), container(RUNNING, name="j")]},
        "0/1",
        "Init:1/2",
    ),
    "init waiting": (
        {"initContainers": INITS},
        {"phase": "Pending", "initContainerStatuses": [container(waiting("PodInitializing"), name="i")]},
        "0/1",
        "Init:0/2",
    ),
    "init crash loop": (
        {"initContainers": INITS},
        {"phase": "Pending", "initContainerStatuses": [container(waiting("CrashLoopBackOff"), name="i")]},
        "0/1",
        "Init:CrashLoopBackOff",
    ),
    "init error": (
        {"initContainers": INITS},
        {"phase": "Failed", "initContainerStatuses": [container(ended(1, reason="Error"), name="i")]},
        "0/1",
        "Init:Error",
    ),
    "init done": (
        {"initContainers": INITS[:1]},
        {
            "phase": "Running",
            "initContainerStatuses": [container(ended(), name="i")],
            "containerStatuses": [container(RUNNING, True)],
        },
        "1/1",
        "Running",
    ),
    "sidecar": (
        {"initContainers": [{"name": "i", "restartPolicy": "Always"}]},
        {
            "phase": "Running",
            "initContainerStatuses": [container(RUNNING, True, "i", started=True)],
            "containerStatuses": [container(RUNNING, True)],
        },
        "2/2",
        "Running",
    ),
}


def pod(spec, status, **metadata):
    return {"metadata": {"name": "p", **metadata}, "spec": {"containers": [{"name": "a"}]} | spec, "status": status}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_state(case):
    spec, status, ready, state = case
    assert pod_cells(pod(spec, status), NOW)[1:3] == [ready, state]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Running"}, "Terminating"),
        ({"phase": "Running", "reason": "NodeLost"}, "Unknown"),
        ({"phase": "Succeeded"}, "Succeeded"),
    ],
)
def test_deleted(status, expected):
    assert pod_cells(pod({}, status, deletionTimestamp="2023-11-14T22:08:20Z"), NOW)[2] == expected


def test_restarts():
    last = {"terminated": {"finishedAt": "2023-11-14T22:08:20Z"}}
    status = {"containerStatuses": [container(RUNNING, restartCount=3, lastState=last)]}
    assert pod_cells(pod({}, status), NOW)[3] == "3 (5m ago)"
    assert pod_cells(pod({}, {"containerStatuses": [container(RUNNING, restartCount=2)]}), NOW)[3] == "2"
    starting = {"initContainerStatuses": [container(waiting("CrashLoopBackOff"), name="i", restartCount=4)]}
    assert pod_cells(pod({"initContainers": INITS}, starting), NOW)[3] == "4"


def test_wide():
    status = {"podIP": "127.1.0.2", "conditions": [{"type": "g", "status": "True"}]}
    spec = {"nodeName": "local", "readinessGates": [{"conditionType": "g"}, {"conditionType": "h"}]}
    created = pod(spec, status, creationTimestamp="2023-11-14T22:08:20Z")
    assert pod_cells(created, NOW)[4:] == ["5m", "127.1.0.2", "local", "<none>", "1/2"]
    assert pod_cells(pod({}, {"podIPs": [{"ip": "127.1.0.3"}]}), NOW)[5:] == ["127.1.0.3", "<none>", "<none>", "<none>"]
