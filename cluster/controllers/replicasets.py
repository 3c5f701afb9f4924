"""ReplicaSet -> Pods: as many as asked for, and when there are too many, the least useful go first.

Pure. Order of removal (as Kubernetes documents it): no node yet, pending, not ready, lower
`controller.kubernetes.io/pod-deletion-cost`, ready for a shorter time, more restarts, younger.
It knows nothing of Deployments.
"""

from __future__ import annotations

from cluster import timestamps
from cluster.controllers import conditions
from cluster.controllers.actions import Action, Create, Delete, PatchStatus, Plan, Record, is_deleting, owner_reference
from tidegate.kube import resources
from tidegate.kube.api import Object, annotations_of, labels_of, name_of, namespace_of

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
FAILURE = "ReplicaFailure"
BURST = 500
"""Most pods created or deleted in one go."""


def plan(replica_set: Object, pods: list[Object], now: float) -> Plan:
    """Return what brings `pods` (those this ReplicaSet controls) to the wanted number; `now` is Unix seconds."""
    if is_deleting(replica_set):
        return Plan()
    active = [pod for pod in pods if is_active(pod)]
    surplus = len(active) - wanted_replicas(replica_set)
    actions: list[Action] = []
    if surplus < 0:
        actions += [Create(resources.PODS, pod_for(replica_set)) for _ in range(min(-surplus, BURST))]
    elif surplus > 0:
        actions += [_delete(pod) for pod in sorted(active, key=removal_key)[: min(surplus, BURST)]]
    status, again_in_s = _status(replica_set, active, now)
    if failure := conditions.find((replica_set.get("status") or {}).get("conditions"), FAILURE):
        status["conditions"] = [failure] if surplus < 0 else None
    if status != (replica_set.get("status") or {}):
        actions.append(PatchStatus(resources.REPLICA_SETS, namespace_of(replica_set), name_of(replica_set), status))
    return Plan(actions, again_in_s)


def failed(replica_set: Object, message: str, now: float) -> list[Action]:
    """Return what tells people and the Deployment that the server refused a pod, with `message`."""
    status = replica_set.get("status") or {}
    found = conditions.merged(
        status.get("conditions"), [conditions.Condition(FAILURE, "True", "FailedCreate", message)], now
    )
    if found == status.get("conditions"):
        return []
    where = (resources.REPLICA_SETS, namespace_of(replica_set), name_of(replica_set))
    event = Record(replica_set, "FailedCreate", f"Error creating: {message}", "Warning")
    return [PatchStatus(*where, {"conditions": found}), event]


def wanted_replicas(obj: Object) -> int:
    """Return spec.replicas; an absent one means 1."""
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def is_active(pod: Object) -> bool:
    """Whether a pod counts: not finished and not on its way out."""
    return not is_deleting(pod) and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def pod_for(replica_set: Object) -> Object:
    """Return a new Pod of the ReplicaSet's template."""
    template = replica_set["spec"]["template"]
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{name_of(replica_set)}-",
            "namespace": namespace_of(replica_set),
            "labels": dict(metadata.get("labels") or {}),
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [owner_reference(replica_set)],
        },
        "spec": template["spec"],
    }


def removal_key(pod: Object) -> tuple[bool, int, bool, int, float, int, float, str]:
    """Return the sort key by which pods are removed, the first to go smallest."""
    status = pod.get("status") or {}
    ready = conditions.find(status.get("conditions"), "Ready")
    is_ready = ready.get("status") == "True"
    restarts = max((int(one.get("restartCount", 0)) for one in status.get("containerStatuses") or []), default=0)
    phase = {"Running": 2, "Unknown": 1}.get(status.get("phase", ""), 0)
    return (
        bool(pod["spec"].get("nodeName")),
        phase,
        is_ready,
        deletion_cost(pod),
        -timestamps.unix_s(ready.get("lastTransitionTime")) if is_ready else 0.0,
        -restarts,
        -timestamps.unix_s(pod["metadata"].get("creationTimestamp")),
        name_of(pod),
    )


def deletion_cost(pod: Object) -> int:
    """Return the pod's deletion cost; unreadable means 0."""
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _delete(pod: Object) -> Delete:
    return Delete(resources.PODS, namespace_of(pod), name_of(pod), str(pod["metadata"]["uid"]))


def _status(replica_set: Object, active: list[Object], now: float) -> tuple[Object, float | None]:
    template_labels = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    min_ready_s = float(replica_set["spec"].get("minReadySeconds") or 0)
    ready = [pod for pod in active if conditions.is_true(pod, "Ready")]
    waits = [_available_in_s(pod, min_ready_s, now) for pod in ready]
    status = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(1 for pod in active if template_labels.items() <= labels_of(pod).items()),
        "readyReplicas": len(ready),
        "availableReplicas": sum(1 for wait_s in waits if wait_s <= 0),
        "observedGeneration": replica_set["metadata"].get("generation", 1),
    }
    return status, min((wait_s for wait_s in waits if wait_s > 0), default=None)


def _available_in_s(pod: Object, min_ready_s: float, now: float) -> float:
    since = timestamps.unix_s(conditions.find(pod["status"].get("conditions"), "Ready").get("lastTransitionTime"))
    return since + min_ready_s - now if min_ready_s else 0.0
