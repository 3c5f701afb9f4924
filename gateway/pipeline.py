"""admit → route → pick → relay → record: the way of one request through the gateway.

The director of the HTTP engine here. Routing and picking are look-ups in snapshots, without await; only a request
that finds neither a pod nor an activator waits, for a bounded time. What a request is counted on is given back in
`finished`; an attempt that was refused gives it back in `retry`, where the request looks elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.config import Config
from gateway.metrics import Metrics
from gateway.pick import Backend, Pick, pick
from gateway.routes import Target
from gateway.wakes import Wakes
from gateway.watch import Watch
from tidegate.contracts import headers, outcomes
from tidegate.wire.answers import answer_of
from tidegate.wire.director import Answer, Direction, Failure, Outcome, Relay, Request, Timeouts
from tidegate.wire.forwarded import existing_of, forwarding_lines

STALE_ATTEMPTS = 3
LOOK_AGAIN_S = 0.1
HEADS_KEPT = 4096

NO_ROUTE = answer_of(outcomes.NO_ROUTE)
NO_ACTIVATOR = answer_of(outcomes.NO_ACTIVATOR)
BACKEND_BROKE = answer_of(outcomes.UPSTREAM_FAILED)
HEALTHY = Answer(200)
NOT_SYNCED = Answer(503, body=b"routes and endpoints are not listed yet")
SHUTTING_DOWN = Answer(503, body=b"shutting down")


@dataclass(slots=True, eq=False)
class Visit:
    """One counted request. `pick`: where it is counted now."""

    target: Target | None = None
    head: bytes = b""
    pick: Pick | None = None


class Pipeline:
    """Directs every request that reaches this gateway."""

    strip_request = headers.INTERNAL | headers.FORWARDING
    strip_request_prefixes: tuple[bytes, ...] = headers.INTERNAL_PREFIXES

    def __init__(
        self,
        config: Config,
        watch: Watch,
        metrics: Metrics,
        wakes: Wakes,
        is_draining: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._watch = watch
        self._metrics = metrics
        self._wakes = wakes
        self._is_draining = is_draining
        self._clock = clock
        self._timeouts = Timeouts(connect_s=config.connect_timeout_s)
        self._news = asyncio.Event()
        self._heads: dict[tuple[bytes, str, bytes], bytes] = {}  # header lines by target, peer and Host
        self.waiting = 0
        self.in_flight = 0

    def direct(self, request: Request) -> Direction | Awaitable[Direction]:
        """Find the request's revision, and a pod or an activator for it."""
        wheel = self._watch.table.get(request.host)
        if wheel is None:
            return self._answer_unrouted(request)
        self.in_flight += 1
        target = wheel.turn()
        visit = request.state = Visit(target, self._head(request, target))
        backend = self._watch.backend(target.key)
        if not backend.pods.addresses:
            self._wakes.add(*target.key, time.time() - (self._clock() - request.arrived))
        return self._pick(visit, backend, request.arrived) or self._wait(visit)

    def retry(self, request: Request, failed: Relay, failure: Failure) -> Direction | Awaitable[Direction]:
        """Look elsewhere after a refusal; try the same address again after a stale connection."""
        visit = request.state
        assert isinstance(visit, Visit) and visit.pick is not None
        if failure is Failure.STALE:
            return failed if request.attempts < STALE_ATTEMPTS else BACKEND_BROKE
        refused, visit.pick = visit.pick, None
        refused.group.give_back(refused.address)
        refused.group.eject(refused.address, self._clock())
        self._metrics.ejections.inc()
        return self._pick_again(visit) or self._wait(visit)

    def finished(self, request: Request, outcome: Outcome) -> None:
        """Give back what the request was counted on, and record it."""
        visit = request.state
        if type(visit) is not Visit:
            return
        self._metrics.results.ended(outcome)
        if visit.target is None:
            return
        self.in_flight -= 1
        if visit.pick is not None:
            address, group = visit.pick
            if outcome.failure is None:
                group.answered(address)
            group.give_back(address)
            visit.pick = None

    def endpoints_changed(self) -> None:
        """Let those who wait for an activator look again."""
        if self.waiting:
            self._news.set()
            self._news = asyncio.Event()

    def _pick_again(self, visit: Visit) -> Relay | None:
        assert visit.target is not None
        return self._pick(visit, self._watch.backend(visit.target.key), self._clock())

    def _pick(self, visit: Visit, backend: Backend, now: float) -> Relay | None:
        activators = self._watch.activators
        visit.pick = picked = pick(backend, activators, now)
        if picked is None:
            return None
        (host, port), group = picked
        if group is activators:
            self._metrics.to_activator += 1
        else:
            self._metrics.to_pod += 1
        return Relay(host, port, visit.head, self._timeouts)

    async def _wait(self, visit: Visit) -> Direction:
        """Wait for an activator: one that is restarted comes back within seconds, often under the same address."""
        if self.waiting >= self._config.activator_wait_limit:
            return NO_ACTIVATOR
        self.waiting += 1
        deadline = self._clock() + self._config.activator_wait_s
        try:
            while (remaining_s := deadline - self._clock()) > 0:
                await self._hear_news(min(remaining_s, LOOK_AGAIN_S))
                relay = self._pick_again(visit)
                if relay is not None:
                    return relay
        finally:
            self.waiting -= 1
        return NO_ACTIVATOR

    async def _hear_news(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            pass  # an address that was set aside comes back by time alone

    def _head(self, request: Request, target: Target) -> bytes:
        raw_host = request.index.get(b"host") or b""
        if self._config.trust_forwarded:
            existing = existing_of(request.headers)
            return target.head + forwarding_lines(
                request.peer, "http", raw_host.decode("latin-1"), existing, trust=True
            )
        said = (target.head, request.peer, raw_host)
        head = self._heads.get(said)
        if head is None:
            head = target.head + forwarding_lines(request.peer, "http", raw_host.decode("latin-1"))
            if len(self._heads) >= HEADS_KEPT:
                self._heads.clear()
            self._heads[said] = head
        return head

    def _answer_unrouted(self, request: Request) -> Answer:
        agent = request.index.get(b"user-agent")
        if agent is not None and agent.startswith(headers.PROBE_USER_AGENTS):
            if self._is_draining():
                return SHUTTING_DOWN
            return HEALTHY if self._watch.is_synced else NOT_SYNCED
        request.state = Visit()
        return NO_ROUTE
