"""metrics.k8s.io/v1beta1: what nodes and pods use now, answered from the nodes' own figures and never stored.

`kubectl top` reads it. The first question after a while takes a second, since a figure of processor time needs two
looks. A node that does not tell is left out of a list. It decides nothing and measures nothing itself.
"""

from __future__ import annotations

import asyncio

from cluster import timestamps
from cluster.api import reads, status
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.api.routing import Target
from cluster.controllers.usage import Amount, Look, Meter
from tidegate.kube.api import ApiError, Object

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"
KINDS = {"nodes": "NodeMetrics", "pods": "PodMetrics"}


class Metrics:
    """Answers reads of the group."""

    def __init__(self, backend: Backend, meter: Meter) -> None:
        self._backend = backend
        self._meter = meter

    async def answer(self, method: str, target: Target, labels: str, fields: str) -> Object:
        """Return an object or a list; `labels` and `fields` are selectors. Raises `ApiError`."""
        named = status.Named(GROUP, target.plural, KINDS.get(target.plural, ""))
        if target.plural not in KINDS or target.version != VERSION or target.subresource:
            raise status.no_such_path()
        if method not in ("GET", "HEAD"):
            raise status.method_not_allowed(named, method.lower())
        if target.name:
            fields = f"metadata.name={target.name}"
        items = await self._items(target, labels, fields)
        if not target.name:
            metadata = {"resourceVersion": str(self._backend.store.revision)}
            return {"kind": f"{named.kind}List", "apiVersion": API_VERSION, "metadata": metadata, "items": items}
        if not items:
            raise status.not_found(named, f"{target.namespace}/{target.name}".lstrip("/"))
        return items[0]

    async def _items(self, target: Target, labels: str, fields: str) -> list[Object]:
        kind = self._kind(target.plural)
        selection = reads.select(kind, target.namespace, labels, fields)
        listed = [entry.decode() for entry in reads.list_entries(self._backend, kind, selection)]
        if target.plural == "nodes":
            looks = await self._looks({one["metadata"]["name"] for one in listed})
            found = [_node(one, looks.get(one["metadata"]["name"])) for one in listed]
        else:
            looks = await self._looks({(one.get("spec") or {}).get("nodeName") or "" for one in listed} - {""})
            found = [_pod(one, looks.get((one.get("spec") or {}).get("nodeName") or "")) for one in listed]
        return [one for one in found if one is not None]

    async def _looks(self, nodes: set[str]) -> dict[str, Look]:
        names = sorted(nodes)
        answers = await asyncio.gather(*(self._meter.look(name) for name in names), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, ApiError):
                raise answer
        return {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, Look)}

    def _kind(self, plural: str) -> Kind:
        kind = self._backend.registry.find("", "v1", plural)
        assert kind is not None, f"{plural} is a built-in kind"
        return kind


def _node(node: Object, look: Look | None) -> Object | None:
    if look is None or look.node is None:
        return None
    return _measured(node, "NodeMetrics", look) | {"usage": _usage(look.node)}


def _pod(pod: Object, look: Look | None) -> Object | None:
    metadata = pod["metadata"]
    used = look.containers.get((metadata["namespace"], metadata["name"])) if look else None
    if look is None or not used:
        return None
    containers = [{"name": name, "usage": _usage(amount)} for name, amount in used.items()]
    return _measured(pod, "PodMetrics", look) | {"containers": containers}


def _measured(obj: Object, kind: str, look: Look) -> Object:
    kept = {key: obj["metadata"][key] for key in ("name", "namespace", "labels") if key in obj["metadata"]}
    return {
        "kind": kind,
        "apiVersion": API_VERSION,
        "metadata": kept | {"creationTimestamp": timestamps.text(look.unix_s)},
        "timestamp": timestamps.text(look.unix_s),
        "window": f"{look.window_s:.3f}s",
    }


def _usage(amount: Amount) -> Object:
    return {"cpu": f"{int(amount.cpu * 1e9)}n", "memory": f"{int(amount.memory) >> 10}Ki"}
