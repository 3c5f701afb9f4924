"""limit → relay → measure: the way of one request through queueproxy.

The director of the HTTP engine here. Probes pass beside limit and meter. A request that finds no slot waits as a
future in the limiter's FIFO; its slot, its place in the queue and its count are given back in `finished` and nowhere
else.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import Final

from queueproxy.config import Config
from queueproxy.limiter import FULL as TURNED_AWAY
from queueproxy.limiter import RUN, Limiter
from queueproxy.meter import Meter
from queueproxy.metrics import Metrics
from queueproxy.probe import Readiness
from tidegate.contracts import headers, outcomes, serving, wake
from tidegate.wire import tracing
from tidegate.wire.answers import answer_of
from tidegate.wire.director import Answer, Direction, Failure, Outcome, Relay, Request, Timeouts
from tidegate.wire.request_log import RequestLog, entry_of
from tidegate.wire.tracing import Trace, Tracing

USER_HOST = "127.0.0.1"
STALE_ATTEMPTS = 3
QUEUE = "queue"
"""The span of the time in the queue."""


class Stage(enum.Enum):
    """Where a counted request is."""

    OUTSIDE = "outside"
    WAITING = "waiting"
    RUNNING = "running"


# Looked up once: on the class each look-up costs as much as a call.
OUTSIDE: Final = Stage.OUTSIDE
WAITING: Final = Stage.WAITING
RUNNING: Final = Stage.RUNNING
PROBE: Final = headers.NETWORK_PROBE
PROXY: Final = headers.PROXY_REQUEST
PROXIED: Final = headers.PROXIED_BY_ACTIVATOR
REVISION: Final = headers.REVISION
UNCOUNTED: Final = headers.UNCOUNTED


class Visit:
    """One counted request: what `finished` has to give back."""

    __slots__ = ("arrived", "is_counted", "is_proxied", "relay", "stage", "trace", "turn")

    def __init__(self, is_proxied: bool, arrived: float, relay: Relay, is_counted: bool) -> None:
        self.is_proxied = is_proxied
        self.arrived = arrived
        self.relay = relay
        self.is_counted = is_counted
        self.stage = OUTSIDE
        self.turn: asyncio.Future[Direction] | None = None
        self.trace: Trace | None = None


FULL = answer_of(outcomes.QUEUE_FULL)
LATE = answer_of(outcomes.REQUEST_TIMEOUT)
APP_REFUSED = answer_of(outcomes.UPSTREAM_CONNECT_FAILED, "the app does not accept connections")
APP_BROKE = answer_of(outcomes.UPSTREAM_FAILED)
START: Final = headers.START.title()
NOT_READY = answer_of(outcomes.NOT_READY)
SHUTTING_DOWN = answer_of(outcomes.DRAINING, text=b"shutting down")


class Pipeline:
    """Directs every request that reaches this pod."""

    def __init__(
        self,
        config: Config,
        limiter: Limiter[Visit],
        meter: Meter,
        readiness: Readiness,
        metrics: Metrics,
        is_draining: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.strip_request: frozenset[bytes] = headers.INTERNAL
        self.strip_request_prefixes: tuple[bytes, ...] = headers.INTERNAL_PREFIXES
        self._config = config
        self._limiter = limiter
        self._tracing: Tracing | None = None
        self.log = RequestLog()
        self.log.configure(config.observability_config)
        self._meter = meter
        self._readiness = readiness
        self._metrics = metrics
        self._is_draining = is_draining
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._wait_limit_s = min(
            filter(None, (config.timeout_s, config.response_start_timeout_s, config.idle_timeout_s)), default=0.0
        )
        timeouts = Timeouts(
            response_start_s=config.response_start_timeout_s,
            idle_s=config.idle_timeout_s,
            total_s=config.timeout_s,
        )
        # There is one upstream and nothing to remember per attempt, so one Relay serves every request of a protocol.
        self._http1 = Relay(USER_HOST, config.user_port, timeouts=timeouts)
        self._h2c = Relay(USER_HOST, config.user_port, timeouts=timeouts, protocol=serving.H2C)
        self._protocol = readiness.protocol

    def trace_by(self, tracer: Tracing) -> None:
        """Make spans from now on; to be called before a server is made of this director."""
        self._tracing = tracer
        self.strip_request = headers.INTERNAL | tracing.HEADERS

    def direct(self, request: Request) -> Direction | Awaitable[Direction]:
        """Answer a probe, or count the request and give it a slot, a place in the queue, or 503."""
        # The engine indexes every header that a director strips, and the user agent: no search through all headers.
        index = request.index
        probe = index.get(PROBE)
        if probe is not None:
            return self._answer_probe(probe)
        # Routed requests come with the gateway's or the activator's header: a client that calls itself a kubelet must
        # not get past the limit.
        if REVISION not in index and PROXY not in index and headers.is_health_check(index):
            return SHUTTING_DOWN if self._is_draining() else self._relay(request)
        return self._limit(request)

    def retry(self, request: Request, failed: Relay, failure: Failure) -> Direction:
        """Try a fresh connection after a stale one; there is no other app to turn to."""
        if failure is not Failure.STALE:
            self._readiness.doubt()
            return APP_REFUSED
        return failed if request.attempts < STALE_ATTEMPTS else APP_BROKE

    def finished(self, request: Request, outcome: Outcome) -> None:
        """Give back the slot or the place in the queue, wake the next, and measure."""
        visit = request.state
        if self.log.is_on:
            self._log(request, outcome, is_probe=type(visit) is not Visit or not visit.is_counted)
        if type(visit) is not Visit:
            return
        if visit.stage is RUNNING:
            waiter = self._limiter.finish()
            if waiter is not None:
                self._admit(waiter)
        elif visit.stage is WAITING:
            self._limiter.abandon(visit)
        visit.stage = OUTSIDE
        if visit.is_counted:
            self._meter.ended(request.arrived + outcome.duration_s, visit.is_proxied)
            self._metrics.results.ended(outcome, request.method)
        if visit.trace is not None and self._tracing is not None:
            self._tracing.ended(visit.trace, request, outcome, {})

    def _relay(self, request: Request) -> Relay:
        # HTTP/2 has no upgrades: who wants one asks the app by HTTP/1.1, which may know it too.
        return self._h2c if self._protocol.current == serving.H2C and not request.is_upgrade else self._http1

    def _limit(self, request: Request) -> Direction | Awaitable[Direction]:
        index, now = request.index, request.arrived
        is_proxied = index.get(PROXY) == PROXIED
        is_counted = UNCOUNTED not in index
        visit = request.state = Visit(is_proxied, now, self._relay(request), is_counted)
        if is_counted:
            self._meter.arrived(now, is_proxied)
            if self._tracing is not None:
                visit.trace = self._tracing.begin(request)
                relay = visit.relay
                visit.relay = Relay(relay.host, relay.port, visit.trace.lines, relay.timeouts, protocol=relay.protocol)
        deadline = now + self._wait_limit_s if self._wait_limit_s else 0.0
        offer = self._limiter.offer(visit, deadline)
        if offer is RUN:
            visit.stage = RUNNING
            return visit.relay
        if offer is TURNED_AWAY:
            return FULL
        visit.stage = WAITING
        visit.turn = self._loop.create_future()
        self._arm_timer()
        return visit.turn

    def _admit(self, visit: Visit) -> None:
        visit.stage = RUNNING
        now = self._clock()
        self._metrics.queued.observe(now - visit.arrived)
        if visit.trace is not None and self._tracing is not None:
            self._tracing.waited(visit.trace, QUEUE, visit.arrived, now)
        # A waiter whose client has just left holds the slot until its own `finished`, which follows at once.
        if visit.turn is not None and not visit.turn.done():
            visit.turn.set_result(visit.relay)

    def _log(self, request: Request, outcome: Outcome, *, is_probe: bool) -> None:
        if is_probe and not self.log.has_probes:
            return
        config, entry = self._config, entry_of(request, outcome, b"")
        entry.namespace, entry.revision = config.namespace, config.revision
        entry.service, entry.configuration = config.service, config.configuration
        entry.pod, entry.pod_ip = config.pod, config.pod_ip
        self.log.add(entry)

    def _arm_timer(self) -> None:
        deadline = self._limiter.next_deadline()
        if self._timer is None and deadline is not None:
            self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        for visit in self._limiter.expire(self._clock()):
            visit.stage = OUTSIDE
            if visit.turn is not None and not visit.turn.done():
                visit.turn.set_result(LATE)
        self._arm_timer()

    def _answer_probe(self, probe: bytes) -> Direction | Awaitable[Direction]:
        if probe != headers.PROBE_QUEUE:
            text = b"unexpected probe header value: " + probe
            return answer_of(outcomes.BAD_PROBE, text=text)
        if self._is_draining():
            return SHUTTING_DOWN
        if self._readiness.is_known_ready(self._clock()):
            return self._ready()
        return self._held_probe()

    async def _held_probe(self) -> Direction:
        return self._ready() if await self._readiness.ask() else NOT_READY

    def _ready(self) -> Answer:
        """Say that the app is ready, and how it started: who holds a request wants to know what it waited for."""
        start = self._readiness.start(self._clock(), self._config.pod)
        told = () if start is None else ((START, wake.encode_start(start).encode("ascii")),)
        return Answer(200, body=headers.PROBE_QUEUE, headers=told)
