"""Typed reading of Knative's objects: the parts of a Revision's spec that several processes act on.

Reading never fails: what admission refuses cannot arrive here, and what is absent reads as its documented run-time
default (not the ConfigMap's: defaulting has already written that into the object).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tidegate.contracts import names

Object = Mapping[str, Any]

HTTP1, H2C, GRPC = "http1", "h2c", "grpc"
PORT_NAMES = (HTTP1, H2C, GRPC)
"""What a container's port may be called; `grpc` is h2c by another name."""

ROUTING_ACTIVE, ROUTING_RESERVE, ROUTING_PENDING = "active", "reserve", "pending"


class RevisionSpec(msgspec.Struct, frozen=True):
    """What a Revision asks of its pods. Times are seconds, 0 is "no limit"; `concurrency` 0 is no limit as well."""

    concurrency: int
    timeout_s: int
    response_start_timeout_s: int
    idle_timeout_s: int
    port: int
    protocol: str
    serving_container: int
    """Index of the container that has the port."""


def revision_spec(spec: Object) -> RevisionSpec:
    """Return the typed reading of a Revision's (or template's) spec."""
    containers = spec.get("containers") or [{}]
    index = serving_index(containers)
    port: Object = next(iter(containers[index].get("ports") or []), {})
    return RevisionSpec(
        concurrency=int(spec.get("containerConcurrency") or 0),
        timeout_s=int(spec.get("timeoutSeconds") or 0),
        response_start_timeout_s=int(spec.get("responseStartTimeoutSeconds") or 0),
        idle_timeout_s=int(spec.get("idleTimeoutSeconds") or 0),
        port=int(port.get("containerPort") or names.DEFAULT_USER_PORT),
        protocol=H2C if port.get("name") in (H2C, GRPC) else HTTP1,
        serving_container=index,
    )


def serving_index(containers: Iterable[Object]) -> int:
    """Return the index of the container that serves: the one with a port, else the first."""
    return next((index for index, container in enumerate(containers) if container.get("ports")), 0)


def routing_state(revision: Object) -> str:
    """Return a Revision's routing state; an absent label counts as active."""
    labels = revision["metadata"].get("labels") or {}
    return str(labels.get(names.ROUTING_STATE_LABEL) or ROUTING_ACTIVE)


def routes_of(obj: Object) -> set[str]:
    """Return the names of the Routes that reference a Revision or Configuration, by its annotation."""
    text = (obj["metadata"].get("annotations") or {}).get(names.ROUTES_ANNOTATION, "")
    return {name for name in text.split(",") if name}


def controller_of(obj: Object) -> Object | None:
    """Return the owner reference that controls an object."""
    owners: list[Object] = obj["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """Whether `owner` (the very object, by uid) controls `obj`."""
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == owner["metadata"].get("uid")


def generation_of(revision: Object) -> int:
    """Return the generation of its Configuration that a Revision was made from; 0 when unknown."""
    text = (revision["metadata"].get("labels") or {}).get(names.CONFIGURATION_GENERATION_LABEL, "")
    return int(text) if text.isdigit() else 0
