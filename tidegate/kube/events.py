"""Kubernetes Events: short notes for people on the object they concern, shown by `kubectl describe` and `kubectl get
events`.

Best effort by design: an Event that cannot be written is logged and forgotten. Names are unique per event; nothing
here aggregates.
"""

from __future__ import annotations

import datetime
import logging
import uuid

from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object

log = logging.getLogger(__name__)


def reference(obj: Object) -> Object:
    """Return the ObjectReference that points at `obj`."""
    metadata = obj["metadata"]
    return {
        "apiVersion": obj.get("apiVersion", ""),
        "kind": obj.get("kind", ""),
        "name": metadata["name"],
        "namespace": metadata.get("namespace", ""),
        "uid": metadata.get("uid", ""),
        "resourceVersion": metadata.get("resourceVersion", ""),
    }


def build(
    obj: Object, reason: str, message: str, *, component: str, now: datetime.datetime, kind: str = "Normal"
) -> Object:
    """Return the Event object; `kind` is Normal or Warning, `now` an aware UTC time."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    target = reference(obj)
    namespace = target["namespace"] or "default"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{target['name'][:200]}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
        "involvedObject": target,
        "reason": reason,
        "message": message[:1024],
        "type": kind,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": component,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "action": reason,
        "count": 1,
    }


async def record(api: Api, obj: Object, reason: str, message: str, *, component: str, kind: str = "Normal") -> None:
    """Write one Event about `obj`; failures are logged, never raised."""
    now = datetime.datetime.now(datetime.UTC)
    event = build(obj, reason, message, component=component, now=now, kind=kind)
    try:
        await api.create(resources.EVENTS, event)
    except ApiError as error:
        log.info("event %s on %s was not written: %s", reason, event["involvedObject"]["name"], error)
