"""What an autoscaler would not like to forget, as bytes, and back.

Of every revision with load, panic, a scale-down delay, start times or idle times: the seconds of its windows (as 32-bit
floats, a few hundred bytes), how long ago it panicked, and what was measured. Times are kept as ages, since no
monotonic clock outlives its process; the seconds in which nobody looked are left out of the windows, as late data is.
Seconds that the sources tell themselves (`told_s`) are left out too, or they would count twice. What is restored never
takes a pod away by itself: that waits for a whole stable window of new data (`decide`).
Pure: who reads and writes the bytes is somebody else's care (`keeper`).
"""

from __future__ import annotations

import contextlib
import math
from array import array
from collections.abc import Mapping

import msgspec

from autoscaler.delays import DELAY_BUCKET_S
from autoscaler.fleet import Fleet
from autoscaler.fleet_windows import METRICS
from autoscaler.prewarm import IdleTimes
from autoscaler.state import Memory

VERSION = 1
Key = tuple[str, str, str]
"""Namespace, name and uid of a revision."""


class Record(msgspec.Struct, array_like=True, frozen=True, omit_defaults=True):
    """One revision. `windows`: by metric, 32-bit floats, the newest second last; `ages`: in seconds, -1 for none."""

    namespace: str
    name: str
    uid: str
    windows: dict[str, bytes] = {}
    panic_age_s: float = -1.0
    panic_pods: int = 0
    delayed: list[tuple[int, int]] = []
    """(buckets ago, pods) of the scale-down delay."""
    starts_s: list[float] = []
    idle_times: dict[str, list[int]] | None = None
    idle_for_s: float = -1.0


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    """All revisions at one moment."""

    version: int
    unix_s: float
    records: list[Record]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def take(
    fleet: Fleet, keys: Mapping[int, Key], starts_s: Mapping[int, tuple[float, ...]], now: float, unix_s: float
) -> bytes:
    """Return what is worth keeping of the revisions in `keys` (by slot) as of `now`.

    `starts_s`: measured start times by slot. `unix_s`: seconds since 1970, to tell the age when it is read.
    """
    made = (record_of(fleet, slot, key, starts_s.get(slot, ()), now) for slot, key in keys.items())
    return encode([record for record in made if record != Record(record.namespace, record.name, record.uid)], unix_s)


def encode(records: list[Record], unix_s: float) -> bytes:
    """Return records as bytes."""
    return _encoder.encode(Snapshot(VERSION, unix_s, records))


def read(data: bytes, unix_s: float) -> dict[Key, Record]:
    """Return the records by revision, their ages as of `unix_s`. Raises ValueError for what is no snapshot.

    Windows that nobody has added to for longer than they are long tell nothing any more.
    """
    try:
        snapshot = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a snapshot of an autoscaler: {error}") from error
    age_s = unix_s - snapshot.unix_s
    if snapshot.version != VERSION or age_s < 0:
        return {}
    return {(one.namespace, one.name, one.uid): _aged(one, age_s) for one in snapshot.records}


def memory_of(record: Record, memory: Memory, now: float) -> Memory:
    """Return `memory` with what was kept: panic and the history of the scale-down delay."""
    bucket = math.floor(now / DELAY_BUCKET_S)
    delayed: list[tuple[int, int]] = []
    for ago, pods in (*((max(0, ago), max(0, pods)) for ago, pods in record.delayed), *_ago(memory, bucket)):
        if delayed and delayed[-1][0] > bucket - ago:
            continue
        while delayed and delayed[-1][1] <= pods:
            delayed.pop()
        delayed.append((bucket - ago, pods))
    was_panicking = record.panic_age_s >= 0 and memory.panic_at is None
    return msgspec.structs.replace(
        memory,
        panic_at=now - record.panic_age_s if was_panicking else memory.panic_at,
        panic_pods=max(0, record.panic_pods, memory.panic_pods) if was_panicking else memory.panic_pods,
        delayed=tuple(delayed),
    )


def fill(fleet: Fleet, slot: int, record: Record, second: int, now: float, told_s: int = 0) -> None:
    """Put a record's windows before `second` (the first that is recorded anew), and its idle times in their place.

    The last `told_s` seconds are left out.
    """
    concurrency, rps = (_floats(record.windows.get(metric, b"")) for metric in METRICS)
    length = max(len(concurrency), len(rps))
    for number in range(length):
        ago = length - number
        if ago <= told_s:
            break
        values = (column[-ago] if ago <= len(column) else 0.0 for column in (concurrency, rps))
        fleet.tell(slot, second - ago, *values)
    if record.idle_times is not None and slot in fleet.idle_times:
        with contextlib.suppress(ValueError):
            times = fleet.idle_times[slot] = IdleTimes.load(record.idle_times)
            times.idle_since = None if record.idle_for_s < 0 else now - record.idle_for_s


def record_of(fleet: Fleet, slot: int, key: Key, starts_s: tuple[float, ...], now: float, told_s: int = 0) -> Record:
    """Return what is worth keeping of one revision; windows no longer than `told_s` are not."""
    memory, bucket = fleet.memory(slot), math.floor(now / DELAY_BUCKET_S)
    times = fleet.idle_times.get(slot)
    windows = {}
    for metric in METRICS:
        values = [value for _second, value in fleet.windows.seconds(slot, metric)]
        if len(values) > told_s and any(values):
            windows[metric] = array("f", values).tobytes()
    return Record(
        *key,
        windows=windows,
        panic_age_s=-1.0 if memory.panic_at is None else now - memory.panic_at,
        panic_pods=memory.panic_pods,
        delayed=[(bucket - at, pods) for at, pods in memory.delayed],
        starts_s=[round(start_s, 3) for start_s in starts_s],
        idle_times=times.dump() if times else None,
        idle_for_s=-1.0 if times is None or times.idle_since is None else now - times.idle_since,
    )


def _floats(data: bytes) -> array[float]:
    values = array("f")
    values.frombytes(data[: len(data) // 4 * 4])
    return array("f", (value if 0 <= value < math.inf else 0.0 for value in values))


def _aged(record: Record, age_s: float) -> Record:
    values = {metric: data for metric, data in record.windows.items() if age_s <= len(data) // 4}
    return msgspec.structs.replace(
        record,
        windows=values,
        panic_age_s=record.panic_age_s + age_s if record.panic_age_s >= 0 else -1.0,
        delayed=[(ago + int(age_s // DELAY_BUCKET_S), pods) for ago, pods in record.delayed],
        idle_for_s=record.idle_for_s + age_s if record.idle_for_s >= 0 else -1.0,
    )


def _ago(memory: Memory, bucket: int) -> list[tuple[int, int]]:
    return [(bucket - at, pods) for at, pods in memory.delayed]
