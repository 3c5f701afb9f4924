"""(pure) Built-in kinds served in two forms and stored in one: HPAs (v1, v2) and Events (core, events.k8s.io).

Custom kinds differ in `apiVersion` only. What one form cannot say is dropped on the way, as a client of that form
could not have read it; autoscaling/v1 keeps metrics other than CPU in the stored object only when they are not written.
"""

from __future__ import annotations

from cluster.api.kinds import Kind
from tidegate.kube.api import Object

# events.k8s.io -> core
_EVENT_FIELDS = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_CORE_FIELDS = {core: named for named, core in _EVENT_FIELDS.items()}


def from_stored(kind: Kind, obj: Object) -> Object:
    """Return a stored object, which the caller owns, in the form of `kind`."""
    if kind.is_converted:
        if kind.kind == "Event":
            obj = {_CORE_FIELDS.get(field, field): value for field, value in obj.items()}
        elif kind.kind == "HorizontalPodAutoscaler":
            obj = _without_metrics(obj)
    obj["apiVersion"] = kind.api_version
    return obj


def to_stored(kind: Kind, obj: Object) -> Object:
    """Return an object in the form of `kind` as it is stored; it shares parts with `obj`."""
    if not kind.is_converted:
        return obj
    obj = obj | {"apiVersion": kind.stored_api_version}
    if kind.kind == "Event":
        return {_EVENT_FIELDS.get(field, field): value for field, value in obj.items()}
    spec = obj.get("spec")
    if isinstance(spec, dict) and "targetCPUUtilizationPercentage" in spec:
        kept = {field: value for field, value in spec.items() if field != "targetCPUUtilizationPercentage"}
        percent = spec["targetCPUUtilizationPercentage"]
        obj["spec"] = kept | ({"metrics": [_cpu_metric(percent)]} if percent is not None else {})
    return obj


def _cpu_metric(percent: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _without_metrics(obj: Object) -> Object:
    spec: Object = dict(obj.get("spec") or {})
    for metric in spec.pop("metrics", None) or []:
        resource = metric.get("resource") or {}
        target = resource.get("target") or {}
        if resource.get("name") == "cpu" and target.get("averageUtilization") is not None:
            spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
    spec.pop("behavior", None)
    status = {
        field: value
        for field, value in (obj.get("status") or {}).items()
        if field not in ("conditions", "currentMetrics")
    }
    return obj | {"spec": spec} | ({"status": status} if status else {})
