"""Tells Events without waiting for them: within the rules, a few at a time, a moment late, best effort.

What there is no room for is dropped and counted; nobody's work waits for an Event.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections import Counter
from collections.abc import Callable

from tidegate.kube import events, resources
from tidegate.kube.api import Api, ApiError, Object
from tidegate.kube.event_rules import EventRules, Series

log = logging.getLogger(__name__)

IN_FLIGHT = 32
DELAY_S = 0.5
"""Events wait a moment: while a pod starts, the API server has better things to do."""
WRITE_TIMEOUT_S = 10.0

Spawn = Callable[..., "asyncio.Task[None]"]


class Recorder:
    """Events of one component. `spawn` starts tasks (`tidegate.process.tasks.spawn`), `clock` is monotonic seconds."""

    def __init__(self, api: Api, component: str, clock: Callable[[], float], spawn: Spawn) -> None:
        self.delay_s = DELAY_S
        self.counts: Counter[str] = Counter()
        """Events by what became of them: written, left_out (by the rules), dropped (no room), failed."""
        self._api = api
        self._component = component
        self._clock = clock
        self._spawn = spawn
        self._rules = EventRules()
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def writing(self) -> list[asyncio.Task[None]]:
        """Writes in progress."""
        return list(self._writing)

    @property
    def has_room(self) -> bool:
        """Whether an Event told now is not dropped for too many others."""
        return len(self._writing) < IN_FLIGHT

    def tell(self, obj: Object, reason: str, message: str, kind: str = "Normal") -> None:
        """Tell of `obj` (apiVersion, kind and metadata are read)."""
        if not self.has_room:
            self.counts["dropped"] += 1
            return
        metadata = obj["metadata"]
        subject = f"{obj.get('kind')}/{metadata.get('namespace', '')}/{metadata['name']}/{metadata.get('uid', '')}"
        series = self._rules.judge(subject, reason, message[:1000], self._clock())
        if series is None:
            self.counts["left_out"] += 1
            return
        task = self._spawn(self._write(obj, reason, series, kind), f"event {reason}")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, obj: Object, reason: str, series: Series, kind: str) -> None:
        await asyncio.sleep(self.delay_s)
        now = datetime.datetime.now(datetime.UTC)
        event = events.build(obj, reason, series.message, component=self._component, now=now, kind=kind)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._store(event, series)
        except (ApiError, TimeoutError) as error:
            self.counts["failed"] += 1
            log.info("event %s on %s was not written: %s", reason, event["involvedObject"]["name"], error)
            return
        self.counts["written"] += 1

    async def _store(self, event: Object, series: Series) -> None:
        """Count up the Event that there is; one that is gone meanwhile is written anew."""
        if series.name:
            fields = ("message", "lastTimestamp")
            patch = {name: event[name] for name in fields} | {"count": series.count}
            try:
                await self._api.patch(resources.EVENTS, series.name, patch, event["metadata"]["namespace"])
                return
            except ApiError as error:
                if not error.is_not_found:
                    raise
        series.name = event["metadata"]["name"]
        await self._api.create(resources.EVENTS, event | {"count": series.count})
