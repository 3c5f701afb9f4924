"""EndpointSlices read once: which addresses of a Service take requests, and which come up.

Pure. Pods that terminate are in neither set: whoever watches endpoints stops sending to a pod in the moment its
deletion is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.kube.api import Object

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses (IP, port) behind one Service. `not_ready`: with an address, but not ready in Kubernetes' eyes."""

    ready: frozenset[Address] = frozenset()
    not_ready: frozenset[Address] = frozenset()


NOBODY = Endpoints()


def read(slices: Iterable[Object], port_name: str = "http") -> Endpoints:
    """Return the endpoints in all slices of one Service, on the port of that name (or the first port)."""
    ready: set[Address] = set()
    not_ready: set[Address] = set()
    for piece in slices:
        port = _port(piece, port_name)
        if not port:
            continue
        for endpoint in piece.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            if conditions.get("terminating"):
                continue
            # Kubernetes: an unknown `ready` is to be read as true.
            side = not_ready if conditions.get("ready") is False else ready
            side.update((address, port) for address in endpoint.get("addresses") or ())
    return Endpoints(frozenset(ready), frozenset(not_ready - ready))


def _port(piece: Object, port_name: str) -> int:
    ports = piece.get("ports") or ()
    chosen = next((port for port in ports if port.get("name") == port_name), ports[0] if ports else {})
    return int(chosen.get("port") or 0)
