"""LimitRange: fills in what containers of a namespace leave out, and refuses what lies outside the bounds.

The rules (`complete`, `problems`) are pure; `LimitRanges` applies them to pods and claims on their way in. Words are
those of Kubernetes.
"""

from __future__ import annotations

from decimal import Decimal

from cluster import quantities
from cluster.api import pod_amounts, rules, status
from cluster.api.backend import CREATE, Admitted, Backend
from cluster.api.pod_amounts import Amounts
from cluster.store import Collection
from tidegate.kube.api import Object

RANGES = Collection("", "limitranges")


class LimitRanges:
    """`backend.Admission` by the LimitRanges in the store."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def _items(self, write: Admitted) -> list[Object]:
        concerned = write.kind.kind in ("Pod", "PersistentVolumeClaim") and not write.kind.group
        if not concerned or write.operation != CREATE or write.subresource:
            return []
        found = self._backend.store.entries(RANGES, write.key.namespace)
        return [item for entry in found for item in (entry.decode().get("spec") or {}).get("limits") or []]

    async def mutate(self, write: Admitted) -> Object | None:
        """Return the pod with the defaults of its namespace."""
        items = [item for item in self._items(write) if item.get("type") == "Container"]
        if not items or write.obj is None or write.kind.kind != "Pod":
            return write.obj
        pod = rules.copied(write.obj)
        for item in items:
            complete(pod["spec"], item)
        return pod

    async def validate(self, write: Admitted) -> None:
        """Raise `ApiError` Forbidden for a pod or claim outside the bounds."""
        found = [text for item in self._items(write) for text in problems(write.obj or {}, item)]
        if found:
            why = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
            raise status.forbidden(write.kind.named, write.key.name, why)


def defaults(item: Object) -> tuple[Object, Object]:
    """Return the default limits and requests of a Container item, where max and min stand in for what is not said."""
    limits = (item.get("max") or {}) | (item.get("default") or {})
    requests = (item.get("min") or {}) | limits | (item.get("defaultRequest") or {})
    return limits, requests


def complete(spec: Object, item: Object) -> None:
    """Fill in limits and requests of a pod's containers, in place."""
    limits, requests = defaults(item)
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        resources = container.setdefault("resources", {})
        own = resources.get("limits") or {}
        asked = own | (resources.get("requests") or {})
        if limits:
            resources["limits"] = limits | own
        if requests:
            resources["requests"] = requests | asked


def problems(obj: Object, item: Object) -> list[str]:
    """Return what is wrong with a pod or claim under one item of a LimitRange."""
    spec: Object = obj.get("spec") or {}
    kind = item.get("type")
    if kind == "PersistentVolumeClaim" and "resources" in spec:
        amounts = pod_amounts.of_container(spec, "requests")
        return _outside(item, kind, amounts, {}, is_claim=True)
    if "containers" not in spec:
        return []
    if kind == "Pod":
        return _outside(item, kind, pod_amounts.of_pod(spec, "requests"), pod_amounts.of_pod(spec, "limits"))
    found = []
    if kind == "Container":
        for one in [*spec["containers"], *(spec.get("initContainers") or [])]:
            requests, limits = (pod_amounts.of_container(one, field) for field in ("requests", "limits"))
            found += _outside(item, kind, requests, limits)
    return found


def _outside(item: Object, kind: str, requests: Amounts, limits: Amounts, is_claim: bool = False) -> list[str]:
    found = []
    for name, text in (item.get("min") or {}).items():
        low = pod_amounts.amount(text) or Decimal(0)
        found += _beyond("minimum", name, kind, str(text), requests.get(name), low, "request", must=True)
        found += _beyond("minimum", name, kind, str(text), limits.get(name), low, "limit")
    for name, text in (item.get("max") or {}).items():
        high = pod_amounts.amount(text) or Decimal(0)
        found += _beyond("maximum", name, kind, str(text), limits.get(name), high, "limit", must=not is_claim)
        found += _beyond("maximum", name, kind, str(text), requests.get(name), high, "request")
    for name, text in (item.get("maxLimitRequestRatio") or {}).items():
        found += _ratio(name, kind, str(text), requests.get(name), limits.get(name))
    return found


def _beyond(
    bound: str, name: str, kind: str, text: str, given: Decimal | None, limit: Decimal, word: str, must: bool = False
) -> list[str]:
    if given is None:
        return [f"{bound} {name} usage per {kind} is {text}.  No {word} is specified"] if must else []
    is_beyond = given < limit if bound == "minimum" else given > limit
    if not is_beyond:
        return []
    return [f"{bound} {name} usage per {kind} is {text}, but {word} is {quantities.text(given, text)}"]


def _ratio(name: str, kind: str, text: str, request: Decimal | None, limit: Decimal | None) -> list[str]:
    words = f"{name} max limit to request ratio per {kind} is {text}, but"
    if not request or not limit:
        return (
            [f"{words} no request is specified or request is 0"]
            if not request
            else [f"{words} no limit is specified or limit is 0"]
        )
    ratio = limit / request
    return [f"{words} provided ratio is {ratio:.6f}"] if ratio > (pod_amounts.amount(text) or Decimal(0)) else []
