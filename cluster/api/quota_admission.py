"""Keeps namespaces within their ResourceQuotas, and the quotas' status up to date.

Usage is summed from the store, of which every object's part is remembered until it changes; a namespace without quotas
costs one look-up. The check is the last step before the store, with no await between, so that two writes cannot both
take the last place.
"""

from __future__ import annotations

import asyncio

from cluster.api import quotas, status, writes
from cluster.api.backend import DELETE, Admitted, Backend
from cluster.api.pod_amounts import Amounts, plus
from cluster.api.users import APISERVER, Call
from cluster.store import Change, Collection, Entry
from tidegate.kube.api import ApiError, Object

QUOTAS = Collection("", "resourcequotas")
SETTLE_S = 0.05
REMEMBERED_LIMIT = 20_000


class Quotas:
    """`backend.Admission` that refuses what no longer fits. `run` keeps `status.used` current."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._usage: dict[int, tuple[Amounts, Object]] = {}
        self._dirty: set[str] = set()
        self._woken = asyncio.Event()
        backend.store.observe_all(self._changed)

    # Admission

    async def mutate(self, write: Admitted) -> Object | None:
        """Return the object unchanged."""
        return write.obj

    async def validate(self, write: Admitted) -> None:
        """Raise `ApiError` Forbidden when a quota of the namespace is exceeded."""
        if write.operation == DELETE or write.obj is None or write.subresource or not write.key.namespace:
            return
        group, plural = write.kind.collection
        for entry in self._backend.store.entries(QUOTAS, write.key.namespace):
            quota = entry.decode()
            if not quotas.concerns(quota, plural, group, write.obj):
                continue
            added = quotas.usage(plural, group, write.obj)
            old = quotas.usage(plural, group, write.old) if write.old else {}
            is_new_pod = plural == "pods" and write.old is None
            used = self._used(write.key.namespace, quota)
            why = quotas.refusal(quota, used, added, old, write.obj.get("spec") if is_new_pod else None)
            if why:
                raise status.forbidden(write.kind.named, write.key.name, why)

    def _used(self, namespace: str, quota: Object) -> Amounts:
        hard = (quota.get("spec") or {}).get("hard") or {}
        total: Amounts = {}
        for collection in list(self._backend.store.collections()):
            if not _is_counted(collection, hard):
                continue
            for entry in self._backend.store.entries(collection, namespace):
                amounts, obj = self._of(entry, collection)
                if quotas.concerns(quota, collection.plural, collection.group, obj):
                    total = plus(total, amounts)
        return total

    def _of(self, entry: Entry, collection: Collection) -> tuple[Amounts, Object]:
        # A revision is given out once, so it names this state of this object.
        found = self._usage.get(entry.revision)
        if not found:
            obj = entry.decode()
            kept: Object = {}
            if collection.plural == "pods":
                kept = {"spec": obj.get("spec"), "status": obj.get("status")}
            found = (quotas.usage(collection.plural, collection.group, obj), kept)
            if len(self._usage) >= REMEMBERED_LIMIT:
                self._usage.clear()
            self._usage[entry.revision] = found
        return found

    # Status

    def _changed(self, change: Change) -> None:
        if change.key.namespace and self._backend.store.count(QUOTAS):
            self._dirty.add(change.key.namespace)
            self._woken.set()

    async def run(self) -> None:
        """Write the status of quotas a moment after something in their namespace changed, until cancelled."""
        self._dirty |= {entry.shadow["metadata"]["namespace"] for entry in self._backend.store.entries(QUOTAS)}
        while True:
            if not self._dirty:
                self._woken.clear()
                await self._woken.wait()
            await asyncio.sleep(SETTLE_S)
            namespaces, self._dirty = self._dirty, set()
            for namespace in namespaces:
                for entry in self._backend.store.entries(QUOTAS, namespace):
                    await self._update(namespace, entry.decode())

    async def _update(self, namespace: str, quota: Object) -> None:
        wanted = quotas.status(quota, self._used(namespace, quota))
        if wanted == quota.get("status"):
            return
        kind = self._backend.registry.find("", "v1", "resourcequotas")
        assert kind is not None, "quotas are a built-in kind"
        key = self._backend.key(kind, namespace, quota["metadata"]["name"])
        call = Call(APISERVER, "kube-controller-manager")
        try:
            await writes.modify(self._backend, kind, key, lambda live: live | {"status": wanted}, call, "status")
        except ApiError:
            self._dirty.add(namespace)  # somebody else wrote it, or it is gone: look again


def _is_counted(collection: Collection, hard: Object) -> bool:
    group, plural = collection
    if f"count/{plural}.{group}" in hard:
        return True
    if group:
        return False
    if plural == "pods":
        return any(not name.startswith(("count/", "services")) or name == "count/pods" for name in hard)
    return plural in quotas.COUNTED or f"count/{plural}" in hard
