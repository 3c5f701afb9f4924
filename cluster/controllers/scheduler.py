"""Scheduler: a pod without a node gets the node that fits and carries the fewest pods.

Pure. It looks at readiness, `unschedulable`, node selector, taints, and requests against allocatable (extended
resources such as `nvidia.com/gpu` included). No affinity, no preemption: past one machine, Kubernetes schedules.
"""

from __future__ import annotations

import collections
from decimal import Decimal

from cluster import quantities
from cluster.controllers import conditions
from cluster.controllers.actions import Action, Patch, PatchStatus, Plan, Record, is_deleting
from cluster.controllers.conditions import Condition
from tidegate.kube import resources
from tidegate.kube.api import Object, labels_of, name_of, namespace_of

DEFAULT_SCHEDULER = "default-scheduler"


def is_unscheduled(pod: Object) -> bool:
    """Whether the pod waits for this scheduler."""
    status = pod.get("status") or {}
    return (
        not pod["spec"].get("nodeName")
        and not is_deleting(pod)
        and status.get("phase") not in ("Succeeded", "Failed")
        and (pod["spec"].get("schedulerName") or DEFAULT_SCHEDULER) == DEFAULT_SCHEDULER
        and not pod["spec"].get("schedulingGates")
    )


def plan(pod: Object, nodes: list[Object], placed: list[Object], now: float) -> Plan:
    """Bind `pod` to one of `nodes`, given the living pods that have a node; or say in its status why not."""
    if not is_unscheduled(pod):
        return Plan()
    by_node: dict[str, list[Object]] = collections.defaultdict(list)
    for one in placed:
        by_node[one["spec"]["nodeName"]].append(one)
    refusals = {name_of(node): refusal(pod, node, by_node[name_of(node)]) for node in nodes}
    fitting = [node for node in nodes if not refusals[name_of(node)]]
    if fitting:
        best = min(fitting, key=lambda node: (len(by_node[name_of(node)]), name_of(node)))
        bind = Patch(resources.PODS, namespace_of(pod), name_of(pod), {"spec": {"nodeName": name_of(best)}})
        where = f"{namespace_of(pod)}/{name_of(pod)} to {name_of(best)}"
        return Plan([bind, Record(pod, "Scheduled", f"Successfully assigned {where}")])
    return Plan(_unschedulable(pod, [reason for reason in refusals.values() if reason], now))


def refusal(pod: Object, node: Object, present: list[Object]) -> str:
    """Return why `node`, which carries the pods `present`, cannot take the pod; empty when it can."""
    spec = node.get("spec") or {}
    if not conditions.is_true(node, "Ready"):
        return "node(s) were not ready"
    if spec.get("unschedulable"):
        return "node(s) were unschedulable"
    if not (pod["spec"].get("nodeSelector") or {}).items() <= labels_of(node).items():
        return "node(s) didn't match Pod's node affinity/selector"
    for taint in spec.get("taints") or []:
        if taint.get("effect") != "PreferNoSchedule" and not _tolerates(pod, taint):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    return _lacking(pod, node, present)


def requests(pod: Object) -> dict[str, Decimal]:
    """Return what the pod asks for, per resource; its own place counts as one of `pods`."""
    spec = pod["spec"]
    total: dict[str, Decimal] = collections.defaultdict(Decimal)
    for container in spec.get("containers") or []:
        for resource, amount in _container_requests(container).items():
            total[resource] += amount
    for container in spec.get("initContainers") or []:
        for resource, amount in _container_requests(container).items():
            total[resource] = max(total[resource], amount)
    for resource, text in (spec.get("overhead") or {}).items():
        total[resource] += quantities.parse(text)
    total["pods"] = Decimal(1)
    return total


def _container_requests(container: Object) -> dict[str, Decimal]:
    asked = container.get("resources") or {}
    # A limit without a request is a request of the same size.
    merged = {**(asked.get("limits") or {}), **(asked.get("requests") or {})}
    return {resource: quantities.parse(text) for resource, text in merged.items()}


def _lacking(pod: Object, node: Object, present: list[Object]) -> str:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    used: dict[str, Decimal] = collections.defaultdict(Decimal)
    for one in present:
        for resource, amount in requests(one).items():
            used[resource] += amount
    for resource, amount in requests(pod).items():
        if amount and used[resource] + amount > quantities.parse(allocatable.get(resource, "0")):
            return "Too many pods" if resource == "pods" else f"Insufficient {resource}"
    return ""


def _tolerates(pod: Object, taint: Object) -> bool:
    return any(_matches(one, taint) for one in pod["spec"].get("tolerations") or [])


def _matches(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("operator") == "Exists":
        return not toleration.get("key") or bool(toleration["key"] == taint["key"])
    return bool(toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or ""))


def _unschedulable(pod: Object, refusals: list[str], now: float) -> list[Action]:
    counted = sorted(collections.Counter(refusals).items())
    reasons = ", ".join(f"{count} {reason}" for reason, count in counted)
    message = (
        f"0/{len(refusals)} nodes are available: {reasons}." if refusals else "no nodes available to schedule pods"
    )
    before = (pod.get("status") or {}).get("conditions")
    if conditions.find(before, "PodScheduled").get("message") == message:
        return []
    wanted = [Condition("PodScheduled", "False", "Unschedulable", message)]
    status = {"phase": "Pending", "conditions": conditions.merged(before, wanted, now)}
    return [
        PatchStatus(resources.PODS, namespace_of(pod), name_of(pod), status),
        Record(pod, "FailedScheduling", message, "Warning"),
    ]
