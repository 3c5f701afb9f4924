"""A Deployment's status: replica counts and the conditions Available and Progressing.

Pure. `kubectl rollout status` and `kubectl wait` read exactly these fields.
"""

from __future__ import annotations

from cluster import timestamps
from cluster.controllers import conditions, rollout
from cluster.controllers.conditions import Condition
from cluster.controllers.replicasets import FAILURE, wanted_replicas
from tidegate.kube.api import Object, name_of

DEFAULT_DEADLINE_S = 600.0


def status(deployment: Object, new: Object | None, old: list[Object], now: float) -> tuple[Object, float | None]:
    """Return the new status and in how many seconds its progress deadline must be looked at again."""
    before: Object = deployment.get("status") or {}
    counts = _counts(deployment, new, old)
    wanted = [_available(deployment, counts), _progressing(deployment, new, before, counts, now)]
    kept = [one for one in before.get("conditions") or [] if one.get("type") != FAILURE]
    if failure := _failure(new, old):
        wanted.append(failure)
        kept = before.get("conditions") or []
    after = {
        **counts,
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "conditions": conditions.merged(kept, wanted, now, updated=True),
    }
    if _progressed(before, counts):
        _touch(after["conditions"], now)
    ordered = sorted(after["conditions"], key=lambda one: str(one["type"]))
    after["conditions"] = ordered
    unfinished = wanted[1].reason not in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused")
    if not unfinished:
        return after, None
    since = timestamps.unix_s(conditions.find(ordered, "Progressing").get("lastUpdateTime"))
    return after, max(0.1, since + _deadline_s(deployment) - now + 0.1)


def _failure(new: Object | None, old: list[Object]) -> Condition | None:
    for one in [*([new] if new else []), *old]:
        if found := conditions.find((one.get("status") or {}).get("conditions"), FAILURE):
            return Condition(FAILURE, "True", str(found.get("reason")), str(found.get("message")))
    return None


def is_complete(deployment: Object, counts: Object) -> bool:
    """Whether all wanted pods are of the new template and available, and none of an old one is left."""
    replicas = wanted_replicas(deployment)
    return bool(
        counts["updatedReplicas"] == replicas
        and counts["replicas"] == replicas
        and counts["availableReplicas"] == replicas
    )


def _counts(deployment: Object, new: Object | None, old: list[Object]) -> Object:
    sets = [*old, *([new] if new else [])]
    available = sum(_count(one, "availableReplicas") for one in sets)
    asked = sum(wanted_replicas(one) for one in sets)
    return {
        "replicas": sum(_count(one, "replicas") for one in sets),
        "updatedReplicas": _count(new, "replicas") if new else 0,
        "readyReplicas": sum(_count(one, "readyReplicas") for one in sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, max(asked, wanted_replicas(deployment)) - available),
    }


def _count(replica_set: Object, field: str) -> int:
    return int((replica_set.get("status") or {}).get(field) or 0)


def _available(deployment: Object, counts: Object) -> Condition:
    limit = rollout.of_strategy(deployment["spec"].get("strategy") or {}, wanted_replicas(deployment))
    if counts["availableReplicas"] >= limit.replicas - limit.max_unavailable:
        message = "Deployment has minimum availability."
        return Condition("Available", "True", "MinimumReplicasAvailable", message)
    message = "Deployment does not have minimum availability."
    return Condition("Available", "False", "MinimumReplicasUnavailable", message)


def _progressing(deployment: Object, new: Object | None, before: Object, counts: Object, now: float) -> Condition:
    old = conditions.find(before.get("conditions"), "Progressing")
    name = f'ReplicaSet "{name_of(new)}"' if new else f'Deployment "{name_of(deployment)}"'
    if deployment["spec"].get("paused"):
        return Condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
    if new is not None and is_complete(deployment, counts):
        return Condition("Progressing", "True", "NewReplicaSetAvailable", f"{name} has successfully progressed.")
    observed = before.get("observedGeneration") == deployment["metadata"].get("generation", 1)
    # Once complete, a later loss of pods is unavailability, not a new rollout.
    if old.get("reason") == "NewReplicaSetAvailable" and observed:
        return Condition("Progressing", "True", old["reason"], old.get("message", ""))
    moved = _progressed(before, counts)
    if old.get("reason") == "ProgressDeadlineExceeded" and observed and not moved:
        return Condition("Progressing", "False", old["reason"], old.get("message", ""))
    since = timestamps.unix_s(old.get("lastUpdateTime"))
    if old and observed and not moved and now - since > _deadline_s(deployment):
        return Condition("Progressing", "False", "ProgressDeadlineExceeded", f"{name} has timed out progressing.")
    return Condition("Progressing", "True", "ReplicaSetUpdated", f"{name} is progressing.")


def _progressed(before: Object, counts: Object) -> bool:
    old_gone = int(before.get("replicas") or 0) - int(before.get("updatedReplicas") or 0)
    return bool(
        any(
            counts[key] > int(before.get(key) or 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas")
        )
        or counts["replicas"] - counts["updatedReplicas"] < old_gone
    )


def _touch(found: list[Object], now: float) -> None:
    for one in found:
        if one["type"] == "Progressing":
            one["lastUpdateTime"] = timestamps.text(now)


def _deadline_s(deployment: Object) -> float:
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    return DEFAULT_DEADLINE_S if deadline is None else float(deadline)
