"""Which pod addresses of a revision can be used: ready ones, earlier ones that answered our own probe, and standby.

The cold-start short cut: while somebody waits for a revision, each of its addresses that Kubernetes does not call
ready is asked every few milliseconds. queueproxy holds the question until the app accepts, so the answer comes in
that moment, ahead of kubelet, API server and watch. What a pod tells with its answer, how it started, is handed on.
This module places no requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass, field

from tidegate.contracts import headers
from tidegate.kube.endpoints import NOBODY, Address, Endpoints
from tidegate.process import tasks
from tidegate.wire import probe as wire_probe
from tidegate.wire.upstream_tls import UpstreamTls

Key = tuple[str, str]

FIRST_PAUSE_S = 0.01
LAST_PAUSE_S = 0.25
PAUSE_GROWTH = 1.05  # reaches the last pause after about a hundred attempts
PROBE_TIMEOUT_S = 2.0  # more than queueproxy holds a question
PROBE_HEADERS = (
    ("Host", "probe"),
    ("User-Agent", headers.USER_AGENT_ACTIVATOR_PROBE.decode()),
    ("K-Network-Probe", headers.PROBE_QUEUE.decode()),
)


async def ask_pod(address: Address, tls: UpstreamTls | None = None) -> bytes | None:
    """Ask one pod's queueproxy, over TLS where that is given; None when it does not answer, or with another word.

    Otherwise what it tells of its start, empty for nothing.
    """
    try:
        status, head, body = await wire_probe.ask(*address, "/", PROBE_HEADERS, PROBE_TIMEOUT_S, tls)
    except (OSError, TimeoutError, ValueError):
        return None
    return wire_probe.value_of(head, headers.START) if status == 200 and body == headers.PROBE_QUEUE else None


@dataclass(slots=True)
class _Pods:
    """The addresses of one revision."""

    endpoints: Endpoints = NOBODY
    answered: set[Address] = field(default_factory=set)
    probing: dict[Address, asyncio.Task[None]] = field(default_factory=dict)


class Backends:
    """Knows the usable addresses of every revision; calls `on_change(key)` when they change.

    `is_wanted(key)` says whether somebody waits; `may_hurry(key)` whether the revision allows the short cut (exec
    readiness and startup probes do not: only kubelet can run them). `on_started` hears what a pod tells of its start.
    """

    def __init__(
        self,
        *,
        on_change: Callable[[Key], None],
        is_wanted: Callable[[Key], bool],
        may_hurry: Callable[[Key], bool],
        ask: Callable[[Address], Awaitable[bytes | None]] = ask_pod,
        on_started: Callable[[Key, Address, bytes], None] = lambda _key, _address, _told: None,
        ask_by_tls: Callable[[Key, Address], Awaitable[bytes | None]] = lambda _key, address: ask_pod(address),
    ) -> None:
        self._on_change = on_change
        self._is_wanted = is_wanted
        self._may_hurry = may_hurry
        self._ask_plainly = ask
        self._ask_by_tls = ask_by_tls
        self._on_started = on_started
        self._pods: dict[Key, _Pods] = {}

    def usable(self, key: Key) -> Set[Address]:
        """Return the addresses that take requests now."""
        pods = self._pods.get(key)
        return pods.endpoints.ready | pods.answered if pods else frozenset()

    def standby(self, key: Key) -> Set[Address]:
        """Return the addresses that take requests which find no place on usable ones."""
        pods = self._pods.get(key)
        return pods.endpoints.standby if pods else frozenset()

    def secure(self, key: Key) -> Set[Address]:
        """Return the addresses, usable or not, that are spoken to in TLS."""
        pods = self._pods.get(key)
        return pods.endpoints.secure if pods else frozenset()

    def replace(self, key: Key, endpoints: Endpoints) -> None:
        """Take over what Kubernetes says of a revision's pods."""
        pods = self._pods.setdefault(key, _Pods())
        before = self.usable(key), self.standby(key)
        # A pod that was ready and is not any more has lost our trust too: it is asked again.
        pods.answered &= endpoints.not_ready - pods.endpoints.ready
        pods.endpoints = endpoints
        if (self.usable(key), self.standby(key)) != before:
            self._on_change(key)
        if endpoints == NOBODY:
            self._pods.pop(key, None)
        self.hurry(key)

    def hurry(self, key: Key) -> None:
        """Ask the pods that are not ready, because somebody waits."""
        pods = self._pods.get(key)
        if pods is None or not self._is_wanted(key) or not self._may_hurry(key):
            return
        for address in pods.endpoints.not_ready - pods.answered - pods.probing.keys():
            pods.probing[address] = tasks.spawn(self._ask_until_ready(key, pods, address), f"probe {address[0]}")

    def refused(self, key: Key, address: Address) -> None:
        """A pod refused a connection: its own answer counts no more, Kubernetes' word still does."""
        pods = self._pods.get(key)
        if pods is not None and address in pods.answered:
            pods.answered.discard(address)
            self._on_change(key)
            self.hurry(key)

    def inquire(self, key: Key, address: Address) -> None:
        """Ask a pod that Kubernetes calls ready how it started; nobody waits for what it says."""
        pods = self._pods.get(key)
        if pods is not None and address not in pods.probing:
            pods.probing[address] = tasks.spawn(self._inquire(key, pods, address), f"inquire {address[0]}")

    def _ask(self, key: Key, pods: _Pods, address: Address) -> Awaitable[bytes | None]:
        return self._ask_by_tls(key, address) if address in pods.endpoints.secure else self._ask_plainly(address)

    async def _inquire(self, key: Key, pods: _Pods, address: Address) -> None:
        try:
            told = await self._ask(key, pods, address)
            if told:
                self._on_started(key, address, told)
        finally:
            pods.probing.pop(address, None)
            self.hurry(key)  # it may have turned unready meanwhile, and one address is asked by one at a time

    async def _ask_until_ready(self, key: Key, pods: _Pods, address: Address) -> None:
        pause_s = FIRST_PAUSE_S
        try:
            while address in pods.endpoints.not_ready and self._is_wanted(key):
                told = await self._ask(key, pods, address)
                if told is not None:
                    self._on_started(key, address, told)
                    if address in pods.endpoints.not_ready:
                        pods.answered.add(address)
                        self._on_change(key)
                    return
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * PAUSE_GROWTH, LAST_PAUSE_S)
        finally:
            pods.probing.pop(address, None)
