"""Asks the ready gateway pods how far their tables have come, for as long as somebody waits for it.

One task for each gateway that lacks something: it asks for the newest version that anybody waits for, and one answer
serves all who wait for that or less. Nothing is asked while nobody waits. Who counts, and what an answer means, is
decided in `programming`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from http import HTTPStatus

from prometheus_client import Counter, Gauge

from controller.programming import SILENT_S, Programming
from controller.triggers import Key
from tidegate.contracts import names, programmed
from tidegate.contracts.programmed import Versions
from tidegate.kube import endpoints, resources
from tidegate.kube.api import Api
from tidegate.kube.cache import Cache
from tidegate.process import admin_client, tasks

log = logging.getLogger(__name__)

AT_ONCE = 64
"""Gateways asked at once."""
ANSWER_TIMEOUT_S = programmed.LONGEST_WAIT_S + 2.0
ANSWER_LIMIT_BYTES = 4096
FIRST_PAUSE_S, LAST_PAUSE_S = 0.05, 2.0
FIRST_LIST_TIMEOUT_S = 60.0

_asked = Counter("tidegate_controller_gateway_questions_total", "Questions to gateways, by how they ended", ["outcome"])
_waiting = Gauge("tidegate_controller_routes_waiting", "Routes, DomainMappings and Certificates that wait for gateways")


class Gateways:
    """What the worker asks about gateways. `mark` (set by who builds it) asks for a look at keys."""

    def __init__(self, api: Api, system_namespace: str, admin_port: int = names.ADMIN_PORT) -> None:
        self.mark: Callable[[set[Key]], None] = lambda _keys: None
        self._port = admin_port
        self._state: Programming[Key] = Programming()
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        selector = f"{names.SERVICE_NAME_LABEL}={names.GATEWAY_SERVICE}"
        self._slices = Cache(api, resources.ENDPOINT_SLICES, system_namespace, labels=selector)
        self._slices.on_change(lambda _kind, _old, _new: self._slices_changed())

    def obstacle(self, wanted: Versions) -> str:
        """Return why `wanted` is not in every ready gateway's tables, empty when it is."""
        return self._state.obstacle(wanted, _now())

    def want(self, key: Key, wanted: Versions) -> None:
        """Mark `key` once every ready gateway has what it wants, and when what keeps it from that changes."""
        self._state.want(key, wanted)
        self._look()

    def forget(self, key: Key) -> None:
        """Mark `key` no more: it has what it wanted, or is gone."""
        self._state.forget(key)

    async def run(self) -> None:
        """Keep the gateways in view until cancelled."""
        keeping = tasks.spawn(self._slices.run(), "watch gateways")
        try:
            while not self._slices.is_synced:
                with contextlib.suppress(TimeoutError):
                    await self._slices.wait_synced(FIRST_LIST_TIMEOUT_S)
            self._slices_changed()  # there may be none, and then there is no change either
            await keeping
        finally:
            await tasks.cancel(keeping, *self._asking.values())

    def _slices_changed(self) -> None:
        if self._slices.is_synced:
            found = endpoints.read(self._slices.objects.values()).ready
            self._state.set_ready({host for host, _port in found})
            self._look()

    def _look(self) -> None:
        """Mark who has what it waited for, and see to it that whoever lacks something is being asked."""
        if marked := self._state.news(_now()):
            self.mark(marked)
        _waiting.set(len(self._state))
        for address in self._state.questions():
            if address not in self._asking:
                self._asking[address] = tasks.spawn(self._ask(address), f"ask gateway {address}")

    async def _ask(self, address: str) -> None:
        """Ask one gateway for as long as there is something to ask it."""
        pause_s = FIRST_PAUSE_S
        try:
            while (wanted := self._state.questions().get(address)) is not None:
                async with self._places:
                    outcome = await self._ask_once(address, wanted)
                _asked.labels(outcome).inc()
                self._look()
                if outcome in ("silent", "behind"):
                    await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LAST_PAUSE_S) if outcome == "silent" else FIRST_PAUSE_S
        finally:
            del self._asking[address]

    async def _ask_once(self, address: str, wanted: Versions) -> str:
        question = programmed.question(wanted, programmed.LONGEST_WAIT_S)
        page = await admin_client.get(address, self._port, question, ANSWER_TIMEOUT_S, ANSWER_LIMIT_BYTES)
        if page is not None and page.status == HTTPStatus.NOT_FOUND:
            # One of a release before this question: what it does not tell must not hold up an upgrade.
            self._state.answered(address, wanted)
            return "unable"
        has = programmed.read_answer(page.body) if page is not None and page.status == HTTPStatus.OK else None
        if has is None:
            if self._state.was_silent(address, _now()):
                text = "gateway %s has not answered on port %d for %d s: Routes become Ready without it"
                log.warning(text, address, self._port, SILENT_S)
            return "silent"
        self._state.answered(address, has)
        return "told" if has.covers(wanted) else "behind"


def _now() -> float:
    return asyncio.get_running_loop().time()
