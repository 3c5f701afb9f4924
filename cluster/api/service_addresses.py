"""The clusterIPs of Services: each gets one of the service network and keeps it; the pool is rebuilt from the store.

Allocation walks forward through the network, so two creations under way at once never get the same address.
"""

from __future__ import annotations

import ipaddress

from cluster.api import status
from cluster.api.node_ports import NodePorts
from cluster.store import Change, Collection, Key, Store
from tidegate.kube.api import Object

SERVICES = Collection("", "services")
NAMED = status.Named("", "services", "Service")


class ServiceAddresses:
    """Completes Services on write. `cidr` is the service network."""

    def __init__(self, store: Store, cidr: str) -> None:
        self._store = store
        self._network = ipaddress.ip_network(cidr)
        self._node_ports = NodePorts(store)
        self._used: dict[str, str] = {}
        self._next = 1
        for entry in store.entries(SERVICES):
            self._note(entry.decode())
        store.observe(SERVICES, self._changed)

    def move_in(self) -> None:
        """Give every Service an address of this network whose own is of another: the instance's network changed."""
        for entry in self._store.entries(SERVICES):
            service = entry.decode()
            address = (service.get("spec") or {}).get("clusterIP")
            if not address or address == "None" or _is_inside(address, self._network):
                continue
            service["spec"]["clusterIP"] = self._free(service)
            service["spec"]["clusterIPs"] = [service["spec"]["clusterIP"]]
            metadata = service["metadata"]
            self._store.put(Key("", "services", metadata["namespace"], metadata["name"]), service, entry.revision)

    def _changed(self, change: Change) -> None:
        service = change.entry.decode()
        uid = service["metadata"]["uid"]
        self._used = {address: owner for address, owner in self._used.items() if owner != uid}
        if change.type != "DELETED":
            self._note(service)

    def _note(self, service: Object) -> None:
        address = (service.get("spec") or {}).get("clusterIP")
        if address and address != "None":
            self._used[address] = service["metadata"]["uid"]

    def prepare(self, obj: Object, old: Object | None, dry_run: bool) -> None:
        """Give a Service addresses and ports; raises `ApiError` Invalid for one that is taken, outside or changed."""
        spec = obj.get("spec")
        if not isinstance(spec, dict):
            return
        if spec.get("type") == "ExternalName":
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
            return
        before = ((old or {}).get("spec") or {}).get("clusterIP")
        given = spec.get("clusterIP")
        if before and given and before != given:
            text = f'Invalid value: ["{given}"]: may not change once set'
            raise status.invalid(NAMED, obj["metadata"]["name"], [("spec.clusterIPs[0]", text, "FieldValueInvalid")])
        spec["clusterIP"] = before or given or self._free(obj)
        spec["clusterIPs"] = [spec["clusterIP"]]
        if given and not before and given != "None":
            self._check(obj, given)
        self._node_ports.complete(obj, old)

    def _check(self, obj: Object, address: str) -> None:
        problem = ""
        if not _is_inside(address, self._network):
            problem = (
                f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {self._network}"
            )
        elif self._used.get(address, obj["metadata"].get("uid")) != obj["metadata"].get("uid"):
            problem = "provided IP is already allocated"
        if problem:
            text = f'Invalid value: "{address}": failed to allocate IP {address}: {problem}'
            raise status.invalid(NAMED, obj["metadata"]["name"], [("spec.clusterIPs", text, "FieldValueInvalid")])

    def _free(self, obj: Object) -> str:
        size = self._network.num_addresses - 2
        for _ in range(size):
            address = str(self._network[self._next])
            self._next = self._next % size + 1
            if address not in self._used:
                return address
        raise status.internal(f"failed to allocate IP for {obj['metadata'].get('name')}: range is full")


def _is_inside(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False
