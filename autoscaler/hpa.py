"""Revisions of class `hpa`: the HorizontalPodAutoscaler that scales them, and the status of their PodAutoscaler.

Pure: objects in, objects out. The rules are Knative's: metrics only where a target is asked for (cpu in percent of the
request, memory in MiB per pod, anything else as a metric of pods), `window` as stabilisation both ways, bounds as for
any revision. Such a revision never goes to zero and counts as active. The cluster's own controller does the scaling.
"""

from __future__ import annotations

import math
from typing import Any

from autoscaler import status
from tidegate.contracts import autoscaling_annotations as keys
from tidegate.contracts import names
from tidegate.contracts.autoscaling import AutoscalerConfig, Reachability, resolve_spec
from tidegate.contracts.conditions import Conditions
from tidegate.contracts.decision import ServingMode
from tidegate.contracts.durations import parse_duration
from tidegate.contracts.numbers import INT32_MAX, parse_number

Object = dict[str, Any]

CPU, MEMORY = "cpu", "memory"
MIB = "Mi"


def horizontal_of(autoscaler: Object, config: AutoscalerConfig) -> Object:
    """Return the HorizontalPodAutoscaler of a PodAutoscaler of class `hpa`."""
    metadata = autoscaler["metadata"]
    annotations = metadata.get("annotations") or {}
    spec = resolve_spec(annotations, config=config)
    is_reachable = (autoscaler.get("spec") or {}).get("reachability") != Reachability.UNREACHABLE
    wanted: Object = {
        "scaleTargetRef": autoscaler["spec"]["scaleTargetRef"],
        "maxReplicas": spec.max_scale or INT32_MAX,
    }
    if spec.min_scale > 0 and is_reachable:
        wanted["minReplicas"] = spec.min_scale
    metrics = _metrics(annotations)
    if metrics:
        wanted["metrics"] = metrics
    window_s = _window_s(annotations)
    if window_s is not None:
        rules = {"stabilizationWindowSeconds": window_s}
        wanted["behavior"] = {"scaleUp": rules, "scaleDown": rules}
    owner = {
        "apiVersion": autoscaler["apiVersion"],
        "kind": autoscaler["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": metadata.get("labels") or {},
            "ownerReferences": [owner],
        },
        "spec": wanted,
    }


def is_current(existing: Object | None, wanted: Object) -> bool:
    """Whether the object in the cluster already says what is wanted."""
    if existing is None:
        return False
    owners = existing["metadata"].get("ownerReferences") or [{}]
    is_ours = owners[0].get("uid") == wanted["metadata"]["ownerReferences"][0]["uid"]
    spec = existing.get("spec") or {}
    told = {field: spec.get(field) for field in ("scaleTargetRef", "maxReplicas", "metrics", "behavior")}
    same = all(_within(value, told.get(field)) for field, value in wanted["spec"].items() if field != "minReplicas")
    return is_ours and same and (spec.get("minReplicas") or 1) == wanted["spec"].get("minReplicas", 1)


def status_of(
    autoscaler: Object, horizontal: Object | None, replicas: int | None, ready_pods: int, now_unix: float
) -> Object:
    """Return the status of a PodAutoscaler of class `hpa`; `replicas`: asked of its Deployment now."""
    service = names.private_service_name(autoscaler["metadata"]["name"])
    told = (horizontal or {}).get("status") or {}
    result = Conditions(status.CONDITIONS, autoscaler, now_unix)
    for condition in (status.INITIALIZED, status.BACKENDS_READY, status.ACTIVE):
        result.mark_true(condition)
    desired = told.get("desiredReplicas", replicas)
    return {
        "observedGeneration": autoscaler["metadata"].get("generation", 0),
        "serviceName": service,
        "metricsServiceName": service,
        "desiredScale": -1 if desired is None else int(desired),
        "actualScale": ready_pods,
        "servingMode": str(ServingMode.SERVE),
        "conditions": result.finish(),
    }


def _metrics(annotations: keys.Annotations) -> list[Object]:
    target = _target(annotations)
    if target is None:
        return []
    metric = annotations.get(keys.METRIC[0]) or CPU
    if metric == CPU:
        goal = {"type": "Utilization", "averageUtilization": math.ceil(target)}
        return [{"type": "Resource", "resource": {"name": CPU, "target": goal}}]
    if metric == MEMORY:
        goal = {"type": "AverageValue", "averageValue": f"{int(target)}{MIB}"}
        return [{"type": "Resource", "resource": {"name": MEMORY, "target": goal}}]
    goal = {"type": "AverageValue", "averageValue": str(math.ceil(target))}
    return [{"type": "Pods", "pods": {"metric": {"name": metric}, "target": goal}}]


def _target(annotations: keys.Annotations) -> float | None:
    try:
        target = parse_number(annotations[keys.TARGET[0]])
    except (KeyError, ValueError):
        return None
    return target if 0 < target <= INT32_MAX else None


def _window_s(annotations: keys.Annotations) -> int | None:
    try:
        return int(parse_duration(annotations[keys.WINDOW[0]]))
    except (KeyError, ValueError):
        return None


def _within(wanted: Any, told: Any) -> bool:
    """Whether everything in `wanted` is in `told` too; an API server adds defaults of its own."""
    if isinstance(wanted, dict):
        return isinstance(told, dict) and all(_within(value, told.get(field)) for field, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(told, list) and len(told) == len(wanted) and all(map(_within, wanted, told))
    return bool(wanted == told)
