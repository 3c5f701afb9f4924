"""Node lifecycle: a node whose Lease is stale becomes Unknown, and pods on it not ready, until it renews.

Pure. Pods are not evicted: on one machine the node comes back with them. A pod that is being deleted on a node that
does not exist is removed at once, since nobody else will.
"""

from __future__ import annotations

from cluster import timestamps
from cluster.controllers import conditions
from cluster.controllers.actions import Action, Delete, PatchStatus, Plan, is_deleting
from cluster.controllers.conditions import Condition
from tidegate.kube import resources
from tidegate.kube.api import Object, name_of, namespace_of

GRACE_S = 40.0
"""Age in seconds at which a Lease is stale (Kubernetes' node-monitor-grace-period)."""


def plan(node: Object, lease: Object | None, pods: list[Object], now: float, watched_since: float = 0.0) -> Plan:
    """Return the status writes a stale node needs; otherwise the time at which it would be stale.

    `watched_since` is when this control plane began to look (unix seconds): while it was down nobody could renew.
    """
    renewed = timestamps.unix_s(((lease or {}).get("spec") or {}).get("renewTime"))
    since = max(watched_since, renewed, timestamps.unix_s(node["metadata"].get("creationTimestamp")))
    if now - since <= GRACE_S:
        return Plan(again_in_s=since + GRACE_S - now + 0.1)
    actions: list[Action] = []
    before = (node.get("status") or {}).get("conditions")
    if conditions.find(before, "Ready").get("status") != "Unknown":
        lost = Condition("Ready", "Unknown", "NodeStatusUnknown", "The node stopped renewing its Lease.")
        actions.append(
            PatchStatus(resources.NODES, "", name_of(node), {"conditions": conditions.merged(before, [lost], now)})
        )
    return Plan(actions + [_not_ready(pod, now) for pod in pods if conditions.is_true(pod, "Ready")])


def plan_lost_pods(pods: list[Object]) -> Plan:
    """Return the removal of deleted pods whose node does not exist."""
    return Plan(
        [
            Delete(resources.PODS, namespace_of(pod), name_of(pod), str(pod["metadata"]["uid"]), grace_s=0)
            for pod in pods
            if is_deleting(pod)
        ]
    )


def _not_ready(pod: Object, now: float) -> Action:
    wanted = [Condition("Ready", "False", "NodeNotReady", "the node stopped renewing its Lease")]
    merged = conditions.merged(pod["status"].get("conditions"), wanted, now)
    return PatchStatus(resources.PODS, namespace_of(pod), name_of(pod), {"conditions": merged})
