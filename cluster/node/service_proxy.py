"""A userland kube-proxy: listens on each Service's clusterIP:port and splices to a ready endpoint, in turn.

Only Services with a selector and a clusterIP inside 127.0.0.0/8, TCP only. Which endpoints there are is
`EndpointSlice` business; carrying the bytes is `splice`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from cluster.node.cluster_names import NamesFile
from cluster.node.splice import Address, Splicer
from tidegate.kube import resources
from tidegate.kube.api import Api, Object, labels_of, name_of, namespace_of
from tidegate.kube.cache import Cache
from tidegate.process import tasks

SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(slots=True, eq=False)
class Listener:
    """One clusterIP:port: the server socket's task and the targets it hands out in turn."""

    address: Address
    targets: list[Address] = field(default_factory=list)
    turn: int = 0
    task: asyncio.Task[None] | None = None

    def next_targets(self) -> list[Address]:
        """Return all targets, beginning with the one whose turn it is."""
        if not self.targets:
            return []
        start = self.turn % len(self.targets)
        self.turn = start + 1
        return self.targets[start:] + self.targets[:start]


def service_ports(service: Object) -> list[tuple[str, Address]]:
    """Return (port name, clusterIP:port) of what is to be listened on for a Service."""
    spec = service.get("spec") or {}
    cluster_ip = str(spec.get("clusterIP") or "")
    if not spec.get("selector") or not cluster_ip.startswith("127."):
        return []
    wanted = [one for one in spec.get("ports") or [] if (one.get("protocol") or "TCP") == "TCP"]
    return [(one.get("name") or "", (cluster_ip, int(one["port"]))) for one in wanted]


def ready_targets(slices: list[Object], port_name: str) -> list[Address]:
    """Return the ready endpoints of a Service's slices for one port."""
    found = []
    for one in slices:
        numbers = [port["port"] for port in one.get("ports") or [] if (port.get("name") or "") == port_name]
        for endpoint in one.get("endpoints") or []:
            if numbers and (endpoint.get("conditions") or {}).get("ready") is not False:
                found += [(address, int(numbers[0])) for address in endpoint["addresses"]]
    return sorted(set(found))


class ServiceProxy:
    """Listens for all Services of the cluster."""

    def __init__(self, api: Api, splicer: Splicer, names_file: Path | None = None) -> None:
        """`names_file`: where pods look up the names of Services."""
        self._splicer = splicer
        self._services = Cache(api, resources.SERVICES)
        self._slices = Cache(api, resources.ENDPOINT_SLICES, indexers={"service": lambda one: (_service_of(one),)})
        self._services.on_change(self._service_changed)
        self._slices.on_change(self._slice_changed)
        self._names = NamesFile(names_file, self._services.objects.values) if names_file else None
        self._listeners: dict[tuple[str, Address], Listener] = {}
        self._listening: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Proxy until cancelled."""
        watches = [tasks.spawn(one.run(), f"watch-{one.resource.plural}") for one in (self._services, self._slices)]
        try:
            await asyncio.gather(*watches)
        finally:
            await tasks.cancel(*watches, *self._listening)

    def _service_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        service = new if new is not None else old
        assert service is not None
        key = f"{namespace_of(service)}/{name_of(service)}"
        if self._names is not None:
            self._names.changed()
        wanted = {address: name for name, address in service_ports(service)} if new is not None else {}
        for where in [one for one in self._listeners if one[0] == key and one[1] not in wanted]:
            listener = self._listeners.pop(where)
            if listener.task is not None:
                listener.task.cancel()
        for address in wanted:
            if (key, address) not in self._listeners:
                listener = self._listeners[key, address] = Listener(address)
                listener.task = tasks.spawn(self._splicer.listen(address, listener.next_targets), f"service-{key}")
                self._listening.add(listener.task)
                listener.task.add_done_callback(self._listening.discard)
        self._refresh(key)

    def _slice_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        one = new if new is not None else old
        assert one is not None
        self._refresh(_service_of(one))

    def _refresh(self, key: str) -> None:
        namespace, _, name = key.partition("/")
        service = self._services.get(name, namespace)
        if service is None:
            return
        slices = self._slices.by_index("service", key)
        for port_name, address in service_ports(service):
            if listener := self._listeners.get((key, address)):
                listener.targets = ready_targets(slices, port_name)


def _service_of(endpoint_slice: Object) -> str:
    return f"{namespace_of(endpoint_slice)}/{labels_of(endpoint_slice).get(SERVICE_NAME, '')}"
