"""How a revision is, by table: what Deployment, PodAutoscaler and pods say, and what the conditions then are."""

import pytest

from controller.reconcile import revision_status
from controller.reconcile.revision_status import Health
from tidegate.contracts import conditions
from tidegate.contracts.conditions import Conditions

PROGRESSING = {"type": "Progressing", "status": "True"}
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too late"}
QUOTA = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}


def deployment(replicas=1, ready=0, *found):
    return {
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 1, "readyReplicas": ready, "conditions": list(found)},
    }


def scaler(ready="True", *, initialised=True, service="hello-private", reason=""):
    made = [{"type": "ScaleTargetInitialized", "status": "True" if initialised else "Unknown"}]
    if ready:
        made.append({"type": "Ready", "status": ready, "reason": reason, "message": ""})
    return {"status": {"serviceName": service, "conditions": made}}


def pod(name="user-container", scheduled="True", created="2024-01-01T00:00:00Z", **state):
    return {
        "metadata": {"name": "p", "creationTimestamp": created},
        "status": {
            "conditions": [
                {"type": "PodScheduled", "status": scheduled, "reason": "Unschedulable", "message": "no node"}
            ],
            "containerStatuses": [{"name": name, **state}],
        },
    }


def waiting(reason):
    return {"state": {"waiting": {"reason": reason, "message": "m"}}}


def exited(code, message=""):
    return {"state": {"running": {}}, "lastState": {"terminated": {"exitCode": code, "message": message}}}


CASES = {
    "nothing yet": (Health(None, None, ()), "Unknown Deploying", "Unknown Deploying", "Unknown Deploying"),
    "refused": (Health(None, None, (), "quota"), "False FailedCreate", "Unknown", "Unknown Deploying"),
    "deploying": (
        Health(deployment(1, 0, PROGRESSING), scaler("", initialised=False), ()),
        "Unknown Deploying",
        "Unknown",
        "Unknown Deploying",
    ),
    "pods ready, autoscaler not yet": (
        Health(deployment(1, 1, PROGRESSING), scaler("Unknown", initialised=False, reason="Queued"), ()),
        "Unknown Deploying",
        "True",
        "Unknown Queued",
    ),
    "ready": (Health(deployment(1, 1, PROGRESSING), scaler(), ()), "True", "True", "True"),
    "at zero": (
        Health(deployment(0, 0, PROGRESSING), scaler("False", reason="NoTraffic"), ()),
        "True",
        "True",
        "False NoTraffic",
    ),
    "no service name yet": (
        Health(deployment(0, 0, PROGRESSING), scaler("False", service=""), ()),
        "Unknown Deploying",
        "True",
        "False",
    ),
    "too late": (
        Health(deployment(1, 0, LATE), scaler("", initialised=False), ()),
        "False ProgressDeadlineExceeded",
        "Unknown",
        "Unknown Deploying",
    ),
    "quota": (
        Health(deployment(1, 0, QUOTA), None, ()),
        "False FailedCreate",
        "Unknown",
        "Unknown Deploying",
    ),
    "never scaled": (
        Health(deployment(0, 0, PROGRESSING), scaler("False", initialised=False, reason="NoTraffic"), ()),
        "False ProgressDeadlineExceeded",
        "Unknown",
        "False NoTraffic",
    ),
    "unschedulable": (
        Health(deployment(1, 0, PROGRESSING), scaler("", initialised=False), (pod(scheduled="False"),)),
        "False Unschedulable",
        "Unknown",
        "Unknown Deploying",
    ),
    "unschedulable is no failure where nodes come by themselves": (
        Health(deployment(1, 0), None, (pod(scheduled="False"),), is_always_schedulable=True),
        "Unknown Deploying",
        "Unknown",
        "Unknown Deploying",
    ),
    "image": (
        Health(deployment(1, 0, PROGRESSING), None, (pod(**waiting("ImagePullBackOff")),)),
        "False ImagePullBackOff",
        "Unknown",
        "Unknown Deploying",
    ),
    "image of a revision that was ready": (
        Health(deployment(1, 0, PROGRESSING), scaler(), (pod(**waiting("ImagePullBackOff")),)),
        "True",
        "True",
        "True",
    ),
    "creating": (
        Health(deployment(1, 0, PROGRESSING), None, (pod(**waiting("ContainerCreating")),)),
        "Unknown Deploying",
        "Unknown",
        "Unknown Deploying",
    ),
    "creating for too long": (
        Health(deployment(1, 0, LATE), None, (pod(**waiting("ContainerCreating")),)),
        "False ContainerCreating",
        "Unknown",
        "Unknown Deploying",
    ),
    "crash": (
        Health(deployment(1, 0, PROGRESSING), None, (pod(**exited(5, "boom")),)),
        "Unknown Deploying",
        "False ExitCode5",
        "Unknown Deploying",
    ),
    "crash of a revision that was ready": (
        Health(deployment(1, 0, PROGRESSING), scaler("Unknown", reason="Queued"), (pod(**exited(1)),)),
        "True",
        "False ExitCode1",
        "Unknown Queued",
    ),
    "crash of the sidecar is not the author's": (
        Health(deployment(1, 0, PROGRESSING), None, (pod("queue-proxy", **exited(1)),)),
        "Unknown Deploying",
        "Unknown",
        "Unknown Deploying",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_conditions(case):
    health, resources, healthy, active = CASES[case]
    state = Conditions(conditions.REVISION, {"metadata": {"generation": 1}}, 0.0)
    revision_status.judge(state, health)
    shown = [
        f"{found['status']} {found.get('reason', '')}".strip()
        for found in map(state.get, ("ResourcesAvailable", "ContainerHealthy", "Active"))
    ]
    assert shown == [resources, healthy, active]


@pytest.mark.parametrize(
    ("terminated", "message"),
    [
        ({"exitCode": 5, "message": " no config\n"}, "Container failed with: no config"),
        ({"exitCode": 0}, "container exited with no error"),
        ({"exitCode": 137}, "Container failed with: exit code 137"),
    ],
)
def test_what_an_exit_says(terminated, message):
    state = Conditions(conditions.REVISION, {"metadata": {"generation": 1}}, 0.0)
    found = pod(state={"terminated": terminated})
    revision_status.judge(state, Health(deployment(), None, (found,)))
    assert state.get("ContainerHealthy")["message"] == message


def test_a_finished_init_container_is_no_failure():
    found = pod(**waiting("PodInitializing"))
    found["status"]["initContainerStatuses"] = [{"name": "init", "state": {"terminated": {"exitCode": 0}}}]
    state = Conditions(conditions.REVISION, {"metadata": {"generation": 1}}, 0.0)
    revision_status.judge(state, Health(deployment(), None, (found,)))
    assert not state.is_false("ContainerHealthy")
    found["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] = 3
    revision_status.judge(state, Health(deployment(), None, (found,)))
    assert state.get("ContainerHealthy")["reason"] == "ExitCode3"


def test_pods_that_are_going_say_nothing():
    found = pod(**exited(1))
    found["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    state = Conditions(conditions.REVISION, {"metadata": {"generation": 1}}, 0.0)
    revision_status.judge(state, Health(deployment(), None, (found,)))
    assert not state.is_false("ContainerHealthy")


def test_the_first_reason_for_a_revision_that_never_came_is_kept():
    before = [
        {"type": "ResourcesAvailable", "status": "False", "reason": "ImagePullBackOff", "message": "no such image"}
    ]
    revision = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": before}}
    state = Conditions(conditions.REVISION, revision, 0.0)
    revision_status.judge(state, Health(deployment(0, 0, PROGRESSING), scaler("False", initialised=False), ()))
    assert state.get("ResourcesAvailable")["message"] == "no such image"
