"""The Node object of this node: created at start, its status and Lease renewed, so that the cluster knows it lives.

Building is pure; `Registration` writes. It never touches pods.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

from cluster import timestamps
from cluster.node.config import Config, pairs
from cluster.node.context import HOST_IP
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object

log = logging.getLogger(__name__)

RENEW_S = 10.0
LEASE_S = 40
LEASE_NAMESPACE = "kube-node-lease"
TAINT = "tidegate.dev/process-node"
CONTROL_GROUPS = "ControlGroups"
READ_ONLY_KERNEL = "ReadOnlyKernelFiles"
"""Conditions that tell what of isolation this machine allows (docs/process-node.md)."""
MEANINGS = {
    CONTROL_GROUPS: "containers are held to their limits by control groups",
    READ_ONLY_KERNEL: "containers see /sys/fs/cgroup and /proc/sys read-only",
}
FIRST_BACKOFF_S = 0.05
LAST_BACKOFF_S = 5.0


def capacity(config: Config) -> dict[str, str]:
    """Return what this machine has, with the configured replacements."""
    found = {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{_memory_kib()}Ki",
        "ephemeral-storage": f"{_disk_kib(config.folder)}Ki",
        "pods": str(config.max_pods),
    }
    return {**found, **pairs(config.capacity, "capacity")}


def node_object(config: Config) -> Object:
    """Return the Node without its status."""
    labels = {
        "kubernetes.io/hostname": config.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        **pairs(config.labels, "labels"),
    }
    spec: Object = {"taints": [{"key": TAINT, "effect": "NoSchedule"}]} if config.taint else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": config.name, "labels": labels}, "spec": spec}


def node_status(
    config: Config, kubelet_port: int, before: Object, now: float, isolation: Mapping[str, str] | None = None
) -> Object:
    """Return the Node's status; `now` is Unix seconds, `isolation` says of each kind why there is none."""
    old = {one["type"]: one for one in before.get("conditions") or []}
    told = {"Ready": (True, "ProcessNodeReady", "processes can be started")}
    for kind, why in (isolation or {}).items():
        told[kind] = (False, "NotPossible", why) if why else (True, "InUse", MEANINGS[kind])
    ours = [_condition(kind, *said, old.get(kind) or {}, timestamps.text(now)) for kind, said in told.items()]
    amounts = capacity(config)
    return {
        "capacity": amounts,
        "allocatable": amounts,
        "conditions": [*(one for kind, one in old.items() if kind not in told), *ours],
        "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": config.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        "nodeInfo": {
            "architecture": platform.machine(),
            "bootID": "",
            "containerRuntimeVersion": "process://1",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": "",
            "kubeletVersion": "v1.33.0-tidegate",
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": "local processes",
            "systemUUID": "",
        },
    }


def _condition(kind: str, holds: bool, reason: str, message: str, before: Object, stamp: str) -> Object:
    status = "True" if holds else "False"
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": before.get("lastTransitionTime", stamp) if before.get("status") == status else stamp,
    }


def lease_object(name: str, now: float) -> Object:
    """Return the node's Lease, renewed `now` (Unix seconds)."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": LEASE_NAMESPACE},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_S,
            "renewTime": timestamps.micro_text(now),
        },
    }


class Registration:
    """Keeps Node and Lease alive."""

    def __init__(self, api: Api, config: Config, kubelet_port: int, isolation: Mapping[str, str] | None = None) -> None:
        self._isolation = isolation
        self._api = api
        self._config = config
        self._kubelet_port = kubelet_port

    async def register(self) -> None:
        """Create or update the Node; tries until it works."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                await self._renew_node()
                await self._renew_lease()
                return
            except ApiError as error:
                log.info("node %s is not registered yet: %s", self._config.name, error)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._renew_node()
                await self._renew_lease()
            except ApiError as error:
                log.warning("node %s was not renewed: %s", self._config.name, error)

    async def _renew_node(self) -> None:
        wanted = node_object(self._config)
        name = self._config.name
        try:
            found = await self._api.get(resources.NODES, name)
        except ApiError as error:
            if not error.is_not_found:
                raise
            found = await self._api.create(resources.NODES, wanted)
        labels = found["metadata"].get("labels") or {}
        if not wanted["metadata"]["labels"].items() <= labels.items():
            await self._api.patch(resources.NODES, name, {"metadata": {"labels": wanted["metadata"]["labels"]}})
        status = node_status(self._config, self._kubelet_port, found.get("status") or {}, time.time(), self._isolation)
        await self._api.patch(resources.NODES, name, {"status": status}, subresource="status", manager="tidegate-node")

    async def _renew_lease(self) -> None:
        lease = lease_object(self._config.name, time.time())
        try:
            await self._api.patch(resources.LEASES, self._config.name, {"spec": lease["spec"]}, LEASE_NAMESPACE)
        except ApiError as error:
            if not error.is_not_found:
                raise
            await self._create_lease(lease)

    async def _create_lease(self, lease: Object) -> None:
        try:
            await self._api.create(resources.LEASES, lease)
        except ApiError as error:
            if not error.is_not_found:
                raise
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LEASE_NAMESPACE}}
            await self._api.create(resources.NAMESPACES, namespace)
            await self._api.create(resources.LEASES, lease)


def _disk_kib(folder: Path) -> int:
    """Size of the file system that takes the pods' logs and volumes; `folder` may not be there yet."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    found = os.statvfs(there)
    return found.f_blocks * found.f_frsize >> 10


def _memory_kib() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1])
    return 1 << 20
