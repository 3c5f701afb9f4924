"""Keeps what an autoscaler has learned in ConfigMaps, one for each bucket of revisions, and recalls it for the next.

Once a minute, and where it says something new: panic, the history of scale-down delays, measured start times, idle
times, and windows longer than what sources tell of themselves. Who takes a bucket over reads its ConfigMap once.
Everything is best effort: without it an autoscaler decides as after any restart. What a record is, is in `snapshot`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import math
import zlib
from collections.abc import Callable, Iterator, Mapping

import msgspec

from autoscaler import snapshot
from autoscaler.demand import Key
from autoscaler.fleet import Fleet
from autoscaler.watch import World
from tidegate.contracts import buckets
from tidegate.contracts.report import HISTORY_S
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object, PatchKind
from tidegate.process import tasks

log = logging.getLogger(__name__)

COMPONENT = "autoscaler"
PREFIX = "autoscaler-memory-"
FIELD = "snapshot"
KEEP_S = 60.0
CLOSE_S = 3.0
LIMIT_BYTES = 700_000
"""A ConfigMap holds 1 MiB; base64 takes a third."""
UNPACKED_LIMIT_BYTES = 64 << 20
BREATH = 200


class Keeper:
    """Writes and reads memories. `unix_clock` tells the age of what is read."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        world: World,
        fleet: Fleet,
        slots: Mapping[Key, int],
        count: int,
        clock: Callable[[], float],
        unix_clock: Callable[[], float],
    ) -> None:
        self.held: Callable[[], frozenset[int]] = lambda: frozenset(range(count))
        """The buckets that are ours."""
        self.failures = 0
        self.left_out = 0
        """Revisions that the last round had no room for."""
        self._api = api
        self._namespace = namespace
        self._world = world
        self._fleet = fleet
        self._slots = slots
        self._count = count
        self._clock = clock
        self._unix_clock = unix_clock
        self._written: dict[int, bytes] = {}
        self._recalled: set[int] = set()
        self._reader: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Keep what is worth it, once a minute, until cancelled."""
        while True:
            await asyncio.sleep(KEEP_S)
            await self.keep()

    def shares_changed(self) -> None:
        """Recall what others have kept of the buckets that are ours now."""
        ours = self.held()
        self._recalled &= ours
        if ours - self._recalled and self._reader is None:
            self._reader = tasks.spawn(self._recall(sorted(ours - self._recalled)), "recall memories")

    async def close(self) -> None:
        """Stop reading, and keep what there is for whoever comes next."""
        await tasks.cancel(self._reader)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.keep()

    async def keep(self) -> None:
        """Write the memories of the buckets that are ours, where they say something new."""
        records: dict[int, list[snapshot.Record]] = {}
        for number, key in enumerate(self._worth_it(), 1):
            if number % BREATH == 0:
                await asyncio.sleep(0)
            record = self._record(
                key, self._slots.get(key)
            )  # now: who falls asleep meanwhile leaves its slot to others
            if record is not None:
                records.setdefault(buckets.bucket_of(*key, self._count), []).append(record)
        self.left_out = 0
        for bucket in sorted(self._recalled):
            try:
                await self._write(bucket, records.get(bucket, []))
            except ApiError as error:
                self.failures += 1
                log.warning("the memory of bucket %d is not kept: %s", bucket, error)

    def _worth_it(self) -> Iterator[Key]:
        """Yield all that may have something to keep: those that are awake, and those that sleep with start times."""
        yield from list(self._slots)
        yield from (key for key in self._world.with_starts() if key not in self._slots)

    def _record(self, key: Key, slot: int | None) -> snapshot.Record | None:
        starts_s, nameless = self._world.starts_s(key), snapshot.Record(*key, "")
        if slot is None:
            record = snapshot.Record(*key, "", starts_s=list(starts_s))
        elif self._fleet.is_watched(slot):
            record = snapshot.record_of(self._fleet, slot, (*key, ""), starts_s, self._clock(), told_s=HISTORY_S)
        else:
            return None
        autoscaler = self._world.autoscaler(key) if record != nameless else None
        if autoscaler is None:
            return None
        return msgspec.structs.replace(record, uid=str(autoscaler["metadata"].get("uid", "")))

    async def _write(self, bucket: int, records: list[snapshot.Record]) -> None:
        told = snapshot.encode(records, 0.0)
        if self._written.get(bucket, snapshot.encode([], 0.0)) == told:
            return
        packed = zlib.compress(snapshot.encode(records, self._unix_clock()))
        while len(packed) > LIMIT_BYTES:
            half = len(records) // 2
            self.left_out += len(records) - half
            records = records[:half]
            packed = zlib.compress(snapshot.encode(records, self._unix_clock()))
        name = f"{PREFIX}{bucket}"
        body: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self._namespace},
            "binaryData": {FIELD: base64.b64encode(packed).decode()},
        }
        await self._api.patch(
            resources.CONFIG_MAPS, name, body, self._namespace, kind=PatchKind.APPLY, manager=COMPONENT, force=True
        )
        self._written[bucket] = told

    async def _recall(self, ours: list[int]) -> None:
        try:
            for bucket in ours:
                try:
                    body = await self._api.get(resources.CONFIG_MAPS, f"{PREFIX}{bucket}", self._namespace)
                    self._apply(bucket, _unpacked(body, self._unix_clock()))
                except ApiError as error:
                    if not error.is_not_found:
                        self.failures += 1
                        log.warning("the memory of bucket %d is not recalled: %s", bucket, error)
                except ValueError as error:
                    log.warning("the memory of bucket %d cannot be read: %s", bucket, error)
                self._recalled.add(bucket)
        finally:
            self._reader = None

    def _apply(self, bucket: int, records: dict[snapshot.Key, snapshot.Record]) -> None:
        for (namespace, name, uid), record in records.items():
            key = (namespace, name)
            slot, autoscaler = self._slots.get(key), self._world.autoscaler(key)
            if autoscaler is None or autoscaler["metadata"].get("uid") != uid:
                continue
            fleet, now = self._fleet, self._clock()
            if slot is not None:
                memory = snapshot.memory_of(record, fleet.memory(slot), now)
                fleet.remember(slot, memory)
                snapshot.fill(fleet, slot, record, math.floor(now), now, told_s=HISTORY_S)
            if record.starts_s:
                self._world.recall_starts(key, tuple(record.starts_s))
        log.info("bucket %d: recalled the memory of %d revisions", bucket, len(records))


def _unpacked(config_map: Object, unix_s: float) -> dict[snapshot.Key, snapshot.Record]:
    try:
        packed = base64.b64decode((config_map.get("binaryData") or {})[FIELD], validate=True)
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, UNPACKED_LIMIT_BYTES)
    except (KeyError, TypeError, binascii.Error, zlib.error) as error:
        raise ValueError(f"no field {FIELD} that can be unpacked") from error
    return snapshot.read(data, unix_s)
