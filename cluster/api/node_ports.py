"""The node ports of Services of type NodePort and LoadBalancer: each port gets one of the range and keeps it.

Numbers only, so that objects look as on any cluster: the process node does not listen on them. Taken ports are
remembered from what is stored; allocation walks forward, so two creations under way at once never get the same.
"""

from __future__ import annotations

from cluster.api import status
from cluster.store import Change, Collection, Store
from tidegate.kube.api import Object

SERVICES = Collection("", "services")
NAMED = status.Named("", "services", "Service")
FIRST, LAST = 30000, 32767
TYPES = ("NodePort", "LoadBalancer")

Taken = tuple[str, int]
"""Protocol and number."""


class NodePorts:
    """Completes Services on write."""

    def __init__(self, store: Store) -> None:
        self._used: dict[Taken, str] = {}
        self._next = FIRST
        for entry in store.entries(SERVICES):
            self._note(entry.decode())
        store.observe(SERVICES, self._changed)

    def _changed(self, change: Change) -> None:
        service = change.entry.decode()
        uid = service["metadata"]["uid"]
        if uid in self._used.values():
            self._used = {taken: owner for taken, owner in self._used.items() if owner != uid}
        if change.type != "DELETED":
            self._note(service)

    def _note(self, service: Object) -> None:
        for port in (service.get("spec") or {}).get("ports") or []:
            if number := port.get("nodePort"):
                self._used[port.get("protocol") or "TCP", number] = service["metadata"]["uid"]

    def complete(self, obj: Object, old: Object | None) -> None:
        """Give each port its node port, in place; raises `ApiError` Invalid for one that is taken or out of range."""
        spec: Object = obj.get("spec") or {}
        ports = [port for port in spec.get("ports") or [] if isinstance(port, dict)]
        if spec.get("type") not in TYPES:
            return
        before = {_identity(port): port.get("nodePort") for port in ((old or {}).get("spec") or {}).get("ports") or []}
        uid = obj["metadata"].get("uid", "")
        for index, port in enumerate(ports):
            protocol = port.get("protocol") or "TCP"
            if given := port.get("nodePort"):
                self._check(obj, index, (protocol, given), uid)
            elif kept := before.get(_identity(port)):
                port["nodePort"] = kept
            elif spec.get("allocateLoadBalancerNodePorts") is not False or spec["type"] == "NodePort":
                port["nodePort"] = self._free(protocol)

    def _check(self, obj: Object, index: int, taken: Taken, uid: str) -> None:
        problem = ""
        if not isinstance(taken[1], int) or not FIRST <= taken[1] <= LAST:
            problem = f"provided port is not in the valid range. The range of valid ports is {FIRST}-{LAST}"
        elif self._used.get(taken, uid) != uid:
            problem = "provided port is already allocated"
        if problem:
            cause = (f"spec.ports[{index}].nodePort", f"Invalid value: {taken[1]}: {problem}", "FieldValueInvalid")
            raise status.invalid(NAMED, obj["metadata"].get("name", ""), [cause])

    def _free(self, protocol: str) -> int:
        for _ in range(LAST - FIRST + 1):
            number = self._next
            self._next = FIRST if number == LAST else number + 1
            if (protocol, number) not in self._used:
                return number
        raise status.internal("failed to allocate a nodePort: range is full")


def _identity(port: Object) -> tuple[object, object]:
    return port.get("port"), port.get("protocol") or "TCP"
