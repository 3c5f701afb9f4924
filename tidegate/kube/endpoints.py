"""EndpointSlices read once: which addresses of a Service take requests, which come up, and which stand by.

Pure. Pods that terminate are in neither set: whoever watches endpoints stops sending to a pod in the moment its
deletion is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.contracts import internal_tls, names
from tidegate.kube.api import Object

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses (IP, port) behind one Service. `not_ready`: with an address, but not ready in Kubernetes' eyes;
    `standby`: ready, but only for requests that find no other place."""

    ready: frozenset[Address] = frozenset()
    not_ready: frozenset[Address] = frozenset()
    standby: frozenset[Address] = frozenset()
    secure: frozenset[Address] = frozenset()
    """Those of all sets that are spoken to in TLS."""


NOBODY = Endpoints()


def read(slices: Iterable[Object], port_name: str = "http", *, prefers_tls: bool = False) -> Endpoints:
    """Return the endpoints in all slices of one Service, on the port of that name (or the first port).

    `prefers_tls`: on the port for TLS of those slices that have one.
    """
    ready: set[Address] = set()
    not_ready: set[Address] = set()
    standby: set[Address] = set()
    secure: set[Address] = set()
    for piece in slices:
        is_secure = prefers_tls and any(port.get("name") == internal_tls.PORT_NAME for port in piece.get("ports") or ())
        port = _port(piece, internal_tls.PORT_NAME if is_secure else port_name)
        if not port:
            continue
        stands_by = names.STANDBY_LABEL in ((piece.get("metadata") or {}).get("labels") or {})
        for endpoint in piece.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            if conditions.get("terminating"):
                continue
            # Kubernetes: an unknown `ready` is to be read as true.
            is_ready = conditions.get("ready") is not False
            if stands_by and not is_ready:
                continue  # a pod that is asked for comes as soon as one that stands by
            side = standby if stands_by else ready if is_ready else not_ready
            addresses = [(address, port) for address in endpoint.get("addresses") or ()]
            side.update(addresses)
            if is_secure:
                secure.update(addresses)
    return Endpoints(frozenset(ready), frozenset(not_ready - ready), frozenset(standby - ready), frozenset(secure))


def _port(piece: Object, port_name: str) -> int:
    ports = piece.get("ports") or ()
    chosen = next((port for port in ports if port.get("name") == port_name), ports[0] if ports else {})
    return int(chosen.get("port") or 0)
