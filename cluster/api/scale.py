"""(pure) The scale subresource: a Scale object made of, and written back to, the replica count of its parent."""

from __future__ import annotations

from typing import Any

from cluster.api import rules, status, writes
from cluster.api.kinds import Kind
from tidegate.kube.api import Object

BUILTIN_SCALE = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": "",
}
OPERATORS = {"In": "in", "NotIn": "notin"}


def scale_of(kind: Kind, obj: Object) -> Object:
    """Return the Scale of an object."""
    paths = kind.scale or BUILTIN_SCALE
    metadata = obj["metadata"]
    shown = {field: metadata[field] for field in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    selector = _at(obj, paths.get("labelSelectorPath") or "") if kind.scale else _selector_text(obj)
    current: Object = {"replicas": _at(obj, paths["statusReplicasPath"]) or 0}
    if selector:
        current["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": shown,
        "spec": {"replicas": _at(obj, paths["specReplicasPath"]) or 0},
        "status": current,
    }


def replacement(kind: Kind, scale: Object) -> writes.Change:
    """Return the change that a PUT of `scale` makes to the parent; raises `ApiError`."""

    def change(live: Object) -> Object:
        return _with_replicas(kind, live, scale)

    return change


def patched(kind: Kind, change_scale: writes.Change) -> writes.Change:
    """Return the change to the parent, given the change a patch makes to its Scale."""

    def change(live: Object) -> Object:
        return _with_replicas(kind, live, change_scale(scale_of(kind, live)))

    return change


def _with_replicas(kind: Kind, live: Object, scale: Object) -> Object:
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    name = live["metadata"]["name"]
    if not isinstance(replicas, int) or replicas < 0:
        text = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise status.invalid(kind.named, name, [("spec.replicas", text, "FieldValueInvalid")])
    new = rules.copied(live)
    wanted = (scale.get("metadata") or {}).get("resourceVersion")
    if wanted:
        new["metadata"]["resourceVersion"] = wanted
    _put(new, (kind.scale or BUILTIN_SCALE)["specReplicasPath"], replicas)
    return new


def _steps(path: str) -> list[str]:
    return [step for step in path.split(".") if step]


def _at(obj: Any, path: str) -> Any:
    if not path:
        return None
    for step in _steps(path):
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def _put(obj: Object, path: str, value: Any) -> None:
    *parents, last = _steps(path)
    for step in parents:
        obj = obj.setdefault(step, {})
    obj[last] = value


def _selector_text(obj: Object) -> str:
    selector = (obj.get("spec") or {}).get("selector") or {}
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or []:
        parts.append(_expression_text(expression))
    return ",".join(parts)


def _expression_text(expression: Object) -> str:
    key, operator = expression["key"], expression["operator"]
    if operator in OPERATORS:
        return f"{key} {OPERATORS[operator]} ({','.join(sorted(expression.get('values') or []))})"
    return key if operator == "Exists" else f"!{key}"
