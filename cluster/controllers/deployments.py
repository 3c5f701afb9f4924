"""Deployment -> ReplicaSets: one per pod template, moved from old to new within the strategy's limits.

Pure. The ReplicaSet of a template is named `<deployment>-<hash>`, so the same template finds its ReplicaSet again
(that is what a rollback is). It never touches Pods.
"""

from __future__ import annotations

import hashlib
import json

from cluster import timestamps
from cluster.controllers import deployment_status, rollout
from cluster.controllers.actions import (
    Action,
    Create,
    Delete,
    Patch,
    PatchStatus,
    Plan,
    Record,
    is_deleting,
    owner_reference,
)
from cluster.controllers.replicasets import wanted_replicas
from tidegate.kube import resources
from tidegate.kube.api import Object, annotations_of, labels_of, name_of, namespace_of

TEMPLATE_HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def plan(deployment: Object, replica_sets: list[Object], now: float) -> Plan:
    """Return the next step of the rollout, given the ReplicaSets this Deployment controls; `now` is Unix seconds."""
    if is_deleting(deployment):
        return Plan()
    wanted_hash = template_hash(deployment)
    ordered = sorted(replica_sets, key=_age_key)
    new = next((one for one in ordered if labels_of(one).get(TEMPLATE_HASH) == wanted_hash), None)
    old = [one for one in ordered if one is not new]
    actions = _rollout(deployment, new, old)
    actions += _expired(deployment, old)
    status, again_in_s = deployment_status.status(deployment, new, old, now)
    if status != (deployment.get("status") or {}):
        actions.append(PatchStatus(resources.DEPLOYMENTS, namespace_of(deployment), name_of(deployment), status))
    return Plan(actions, again_in_s)


def template_hash(deployment: Object) -> str:
    """Return the ten-letter name of the Deployment's pod template."""
    canonical = json.dumps(deployment["spec"]["template"], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])


def _age_key(replica_set: Object) -> tuple[int, float, str]:
    created = timestamps.unix_s(replica_set["metadata"].get("creationTimestamp"))
    return revision_of(replica_set), created, name_of(replica_set)


def revision_of(obj: Object) -> int:
    """Return the rollout number in the revision annotation, 0 when it has none."""
    text = annotations_of(obj).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _rollout(deployment: Object, new: Object | None, old: list[Object]) -> list[Action]:
    paused = bool(deployment["spec"].get("paused"))
    recreate = (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"
    if paused:
        return _scale_paused(deployment, new, old)
    if recreate:
        return _recreate(deployment, new, old)
    return _roll(deployment, new, old)


def _roll(deployment: Object, new: Object | None, old: list[Object]) -> list[Action]:
    limit = rollout.of_strategy(deployment["spec"].get("strategy") or {}, wanted_replicas(deployment))
    total_old = sum(wanted_replicas(one) for one in old)
    if new is None:
        return _adopt_revision(deployment, None, old, rollout.new_replicas(0, total_old, limit))
    counts = _counts(new)
    size = rollout.new_replicas(counts.replicas, counts.replicas + total_old, limit)
    actions = _adopt_revision(deployment, new, old, size)
    sizes = rollout.old_replicas([_counts(one) for one in old], counts, limit)
    return actions + [action for one in old for action in _scale(deployment, one, sizes[name_of(one)])]


def _recreate(deployment: Object, new: Object | None, old: list[Object]) -> list[Action]:
    actions = [action for one in old for action in _scale(deployment, one, 0)]
    still_there = any(wanted_replicas(one) or (one.get("status") or {}).get("replicas") for one in old)
    if still_there:
        return actions
    return _adopt_revision(deployment, new, old, wanted_replicas(deployment))


def _scale_paused(deployment: Object, new: Object | None, old: list[Object]) -> list[Action]:
    """A paused Deployment starts no rollout, but its newest ReplicaSet follows the replica count."""
    newest = new or (old[-1] if old else None)
    if newest is None:
        return []
    others = sum(wanted_replicas(one) for one in [*old, *([new] if new else [])] if one is not newest)
    return _scale(deployment, newest, max(0, wanted_replicas(deployment) - others))


def _counts(replica_set: Object) -> rollout.SetCounts:
    available = int((replica_set.get("status") or {}).get("availableReplicas") or 0)
    return rollout.SetCounts(name_of(replica_set), wanted_replicas(replica_set), available)


def _scale(deployment: Object, replica_set: Object, replicas: int) -> list[Action]:
    if wanted_replicas(replica_set) == replicas:
        return []
    patch = {"spec": {"replicas": replicas}}
    resize = Patch(resources.REPLICA_SETS, namespace_of(replica_set), name_of(replica_set), patch)
    return [resize, _scaled(deployment, name_of(replica_set), wanted_replicas(replica_set), replicas)]


def _scaled(deployment: Object, name: str, before: int, after: int) -> Action:
    direction = "up" if after > before else "down"
    message = f"Scaled {direction} replica set {name} from {before} to {after}"
    return Record(deployment, "ScalingReplicaSet", message)


def _adopt_revision(deployment: Object, new: Object | None, old: list[Object], replicas: int) -> list[Action]:
    """Create or resize the new ReplicaSet, and number it above all old ones, on it and on the Deployment."""
    last = max((revision_of(one) for one in old), default=0)
    revision = str(max(last + 1, revision_of(new) if new else 1))
    actions: list[Action]
    if new is None:
        made = replica_set_for(deployment, replicas, revision)
        actions = [Create(resources.REPLICA_SETS, made)]
        if replicas:
            actions.append(_scaled(deployment, name_of(made), 0, replicas))
    else:
        patch: Object = {}
        if wanted_replicas(new) != replicas:
            patch["spec"] = {"replicas": replicas}
        if annotations_of(new).get(REVISION) != revision:
            patch["metadata"] = {"annotations": {REVISION: revision}}
        target = namespace_of(new), name_of(new)
        actions = [Patch(resources.REPLICA_SETS, *target, patch)] if patch else []
        if "spec" in patch:
            actions.append(_scaled(deployment, name_of(new), wanted_replicas(new), replicas))
    if annotations_of(deployment).get(REVISION) != revision:
        numbered = {"metadata": {"annotations": {REVISION: revision}}}
        actions.append(Patch(resources.DEPLOYMENTS, namespace_of(deployment), name_of(deployment), numbered))
    return actions


def replica_set_for(deployment: Object, replicas: int, revision: str) -> Object:
    """Return the ReplicaSet of the Deployment's present template."""
    mark = template_hash(deployment)
    spec = deployment["spec"]
    template = dict(spec["template"])
    metadata = dict(template.get("metadata") or {})
    labels = {**(metadata.get("labels") or {}), TEMPLATE_HASH: mark}
    template["metadata"] = {**metadata, "labels": labels}
    selector = dict(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), TEMPLATE_HASH: mark}
    copied = {key: text for key, text in annotations_of(deployment).items() if not _is_private(key)}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{mark}",
            "namespace": namespace_of(deployment),
            "labels": labels,
            "annotations": {**copied, REVISION: revision},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": spec.get("minReadySeconds") or 0,
            "selector": selector,
            "template": template,
        },
    }


def _is_private(annotation: str) -> bool:
    return annotation in (REVISION, "kubectl.kubernetes.io/last-applied-configuration")


def _expired(deployment: Object, old: list[Object]) -> list[Action]:
    keep = deployment["spec"].get("revisionHistoryLimit")
    empty = [one for one in old if not wanted_replicas(one) and not (one.get("status") or {}).get("replicas")]
    surplus = len(empty) - (10 if keep is None else int(keep))
    return [
        Delete(resources.REPLICA_SETS, namespace_of(one), name_of(one), str(one["metadata"]["uid"]))
        for one in empty[: max(0, surplus)]
        if not is_deleting(one)
    ]
