"""Standby pods of a revision: a Deployment and a headless Service of their own, beside the revision's.

Pure. Standby pods are the revision's pods in everything but their labels, so neither its Service nor the autoscaler
takes them for pods in rotation; activators send them what finds no other place (docs/decisions/0018). Their number is
the annotation's from when the revision is ready, while routes lead to it, and zero otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.reconcile import metadata
from controller.reconcile.outcome import Action, Apply, Delete, Object
from tidegate.contracts import autoscaling, autoscaling_extensions, conditions, names


@dataclass(frozen=True, slots=True)
class Pair:
    """A Deployment and the Service that selects its pods."""

    deployment: Object | None
    service: Object | None


def actions(revision: Object, regular: Pair, observed: Pair, reachability: str) -> list[Action]:
    """Return what a revision's standby pods need; `regular` is its desired Deployment and private Service."""
    asked = autoscaling_extensions.standby_pods_of(metadata.own_annotations(revision))
    existing = (observed.deployment, observed.service)
    if not asked:
        return [Delete(one) for one in existing if one is not None and not metadata.is_foreign(one, revision)]
    wanted = wanted_of(revision, regular, asked if _is_needed(revision, observed.deployment, reachability) else 0)
    pairs = zip(existing, (wanted.deployment, wanted.service), strict=True)
    return [Apply(desired) for one, desired in pairs if desired is not None and metadata.needs_apply(one, desired)]


def wanted_of(revision: Object, regular: Pair, replicas: int) -> Pair:
    """Return both objects, made of the revision's own."""
    name, uid = revision["metadata"]["name"], revision["metadata"]["uid"]
    assert regular.deployment is not None and regular.service is not None
    selector = {names.STANDBY_LABEL: name, names.STANDBY_UID_LABEL: uid}
    spec = regular.deployment["spec"]
    pod = spec["template"]["metadata"]
    template = spec["template"] | {"metadata": pod | {"labels": _out_of_rotation(pod["labels"]) | selector}}
    deployment = _renamed(regular.deployment, names.standby_deployment_name(name), selector)
    service = _renamed(regular.service, names.standby_service_name(name), selector)
    own = {"replicas": replicas, "selector": {"matchLabels": selector}, "template": template}
    return Pair(
        metadata.stamped(deployment | {"spec": spec | own}),
        metadata.stamped(service | {"spec": service["spec"] | {"selector": selector}}),
    )


def _is_needed(revision: Object, observed: Object | None, reachability: str) -> bool:
    """A revision that nobody can reach needs none, and one that is not ready yet has to start its first pod first."""
    if reachability != autoscaling.Reachability.REACHABLE.value:
        return False
    return conditions.is_ready(revision) or bool(((observed or {}).get("spec") or {}).get("replicas"))


def _out_of_rotation(labels: dict[str, str]) -> dict[str, str]:
    """Return a pod's labels without those by which the revision's pods are found."""
    return {key: value for key, value in labels.items() if key not in (names.REVISION_LABEL, names.REVISION_UID_LABEL)}


def _renamed(obj: Object, name: str, labels: dict[str, str]) -> Object:
    head = obj["metadata"]
    annotations = {key: value for key, value in head["annotations"].items() if key != metadata.DIGEST_ANNOTATION}
    return obj | {"metadata": head | {"name": name, "labels": head["labels"] | labels, "annotations": annotations}}
