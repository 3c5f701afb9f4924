"""enter → wait → place → relay → leave: the way of one request through the activator.

The director of the HTTP engine here. A request that finds a seat goes on at once; every other waits as a future in
its revision's waiting room until `admit` seats it, its deadline passes, or its client leaves. Seats, places in the
room and counts are given back in `finished`; a pod that refused costs its seat in `retry`, where the request looks
for another.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Final

from activator.backends import Backends
from activator.config import Config
from activator.demand import Demand, Key
from activator.metrics import Metrics
from activator.placement import Placement
from activator.wakes import Wakening, Wakes
from activator.watch import Revision, Watch
from tidegate.contracts import headers, internal_tls, outcomes
from tidegate.contracts.wake import Wake
from tidegate.wire import tracing
from tidegate.wire.answers import answer_of
from tidegate.wire.balance import Address
from tidegate.wire.director import Answer, Direction, Failure, Outcome, Relay, Request, same_protocol
from tidegate.wire.tracing import Trace, Tracing
from tidegate.wire.upstream_tls import UpstreamTls

STALE_ATTEMPTS: Final = 3
CERTIFICATE_ATTEMPTS: Final = 5
"""How many pods with a wrong certificate are tried: one may be about to get its new one."""
HOLD: Final = "hold"
"""The span of the time in the waiting room."""
KEYS_KEPT: Final = 4096
PROBE: Final = headers.NETWORK_PROBE
NAMESPACE: Final = headers.NAMESPACE
REVISION: Final = headers.REVISION
UNCOUNTED: Final = headers.UNCOUNTED
_keys: Final[dict[tuple[bytes, bytes], Key]] = {}  # the decoded names of revisions that were asked for
PROXIED: Final = b"K-Proxy-Request: " + headers.PROXIED_BY_ACTIVATOR + b"\r\n"
UNCOUNTED_LINES: Final = PROXIED + UNCOUNTED.title() + b": 1\r\n"

UNKNOWN = answer_of(outcomes.UNKNOWN_REVISION)
ASLEEP = answer_of(outcomes.ASLEEP)
REFUSED = answer_of(outcomes.UPSTREAM_CONNECT_FAILED)
UNTRUSTED = answer_of(outcomes.UPSTREAM_CERTIFICATE_REFUSED)
FULL = answer_of(outcomes.WAITING_ROOM_FULL)
LATE = answer_of(outcomes.ACTIVATION_TIMEOUT)
HANDED_BACK = answer_of(outcomes.NOT_READY, "this revision does not start, and its predecessor serves again")
POD_BROKE = answer_of(outcomes.UPSTREAM_FAILED)
HEALTHY = Answer(200)
SHUTTING_DOWN = answer_of(outcomes.DRAINING, text=b"shutting down")
PROBED = Answer(200, body=headers.PROBE_ACTIVATOR)


class Visit:
    """One request of a known revision: what `finished` has to give back."""

    __slots__ = (
        "deadline",
        "entered",
        "had_seat",
        "is_waiting",
        "key",
        "placement",
        "pod",
        "protocol",
        "revision",
        "ticket",
        "trace",
        "turn",
        "wake",
    )

    def __init__(
        self, key: Key, revision: Revision, placement: Placement[Visit], entered: float, deadline: float, protocol: str
    ) -> None:
        self.key = key
        self.revision = revision
        self.placement = placement
        self.entered = entered
        self.deadline = deadline
        self.ticket = placement.room.ticket()  # its place in the order of arrival
        self.protocol = protocol
        self.had_seat = False
        self.is_waiting = False
        self.pod: Address | None = None
        self.turn: asyncio.Future[Direction] | None = None
        self.trace: Trace | None = None
        self.wake: Wakening | None = None  # the cold start that this request pays


class Pipeline:
    """Directs every request that reaches this activator."""

    def __init__(
        self,
        config: Config,
        watch: Watch,
        metrics: Metrics,
        is_draining: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.strip_request: frozenset[bytes] = headers.INTERNAL
        self.strip_request_prefixes: tuple[bytes, ...] = headers.INTERNAL_PREFIXES
        self._config = config
        self._watch = watch
        self._metrics = metrics
        self._is_draining = is_draining
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._placements: dict[Key, Placement[Visit]] = {}
        self._timers: dict[Key, tuple[float, asyncio.TimerHandle]] = {}  # when, and its handle
        self._tracing: Tracing | None = None
        # Set by __main__: both ask this pipeline who waits.
        self.demand: Demand
        self.backends: Backends
        self.wakes = Wakes(metrics, self._tell_wake, clock)

    def trace_by(self, tracer: Tracing) -> None:
        """Make spans from now on; to be called before a server is made of this director."""
        self._tracing = tracer
        self.strip_request = headers.INTERNAL | tracing.HEADERS

    @property
    def waiting(self) -> int:
        """Requests in all waiting rooms."""
        return sum(len(placement.room) for placement in self._placements.values())

    def waiting_for(self, key: Key) -> int:
        """Requests in one revision's waiting room."""
        placement = self._placements.get(key)
        return len(placement.room) if placement else 0

    def direct(self, request: Request) -> Direction | Awaitable[Direction]:
        """Answer a probe, or seat the request, or let it wait."""
        # The engine indexes every header that a director strips, and the user agent.
        index = request.index
        probe = index.get(PROBE)
        if probe is not None:
            return self._answer_probe(probe)
        # Routed requests name their revision: a client that calls itself a kubelet wants its app's answer, not ours.
        if REVISION not in index and headers.is_health_check(index):
            return self._answer_health()
        key = _key(request)
        if key is None:
            return UNKNOWN
        revision = self._watch.revision(key)
        if revision is None:
            return self._enter_later(request, key)
        if UNCOUNTED in index:
            return self._relay_uncounted(request, key, revision)
        return self._enter(request, key, revision, request.arrived)

    def retry(self, request: Request, failed: Relay, failure: Failure) -> Direction | Awaitable[Direction]:
        """Look for another seat after a refusal; try the same pod again after a stale connection."""
        visit = request.state
        if failure is Failure.STALE:
            return failed if request.attempts < STALE_ATTEMPTS else POD_BROKE
        if visit is None:
            return UNTRUSTED if failure is Failure.CERTIFICATE else REFUSED
        assert isinstance(visit, Visit) and visit.pod is not None
        pod, visit.pod = visit.pod, None
        visit.placement.refused(pod, self._clock())
        self._metrics.ejections.inc()
        if failure is Failure.CERTIFICATE and request.attempts >= CERTIFICATE_ATTEMPTS:
            return UNTRUSTED
        self.backends.refused(visit.key, pod)
        return self._place(visit, self._clock())

    def finished(self, request: Request, outcome: Outcome) -> None:
        """Give back the seat or the place in the room, and seat who waits next."""
        visit = request.state
        if type(visit) is not Visit:
            return
        if visit.is_waiting:
            visit.is_waiting = False
            visit.placement.room.abandon(visit.ticket)
        if visit.pod is not None:
            if outcome.failure is None:
                visit.placement.answered(visit.pod)
            visit.placement.leave(visit.pod)
            visit.pod = None
        key = visit.key
        if visit.wake is not None:
            self._leave_wake(visit.wake, visit.placement)
        self.demand.ended(key, request.arrived + outcome.duration_s)
        self._metrics.results.ended(outcome, request.method)
        if visit.trace is not None and self._tracing is not None:
            said = {"k8s.namespace.name": key[0], "kn.revision.name": key[1]}
            self._tracing.ended(visit.trace, request, outcome, said)
        # Nobody waits, nothing is timed and the revision lives: then there is nobody to admit and nothing to forget.
        if visit.placement.room or key in self._timers or self._watch.revision(key) is None:
            self.admit(key)

    def pods_changed(self, key: Key) -> None:
        """Take over the usable pods of one revision and seat its waiters."""
        placement = self._placements.get(key)
        if placement is not None:
            self._replace_pods(key, placement)
            self.admit(key)

    def peer_of(self, key: Key) -> UpstreamTls:
        """Return how the pods of a revision are spoken to in TLS."""
        return self._watch.peers.named(internal_tls.pod_name(key[0]))

    def _replace_pods(self, key: Key, placement: Placement[Visit]) -> None:
        backends = self.backends
        placement.replace_pods(backends.usable(key), backends.standby(key), backends.secure(key))

    def revision_gone(self, key: Key) -> None:
        """Answer the waiters of a deleted revision, and forget it."""
        self._empty(key, UNKNOWN)

    def handed_back(self, key: Key) -> None:
        """Answer the waiters of a revision that gave its traffic back: they would keep its place taken."""
        self._empty(key, HANDED_BACK)

    def _empty(self, key: Key, answer: Answer) -> None:
        placement = self._placements.get(key)
        if placement is None:
            return
        while (entry := placement.room.next()) is not None:
            _turn_away(entry[1], answer)
        self._rest(key)

    def admit(self, key: Key) -> None:
        """Seat those who wait for one revision, as many as there are seats; nobody else is woken."""
        placement = self._placements.get(key)
        if placement is None:
            return
        now = self._clock()
        for _, visit, pod in placement.admit(now):
            visit.is_waiting = False
            self._metrics.waited.observe(now - visit.entered)
            if visit.trace is not None and self._tracing is not None:
                self._tracing.waited(visit.trace, HOLD, visit.entered, now)
            relay = self._relay(visit, pod)
            # A client that left in this turn of the loop holds the seat until its own `finished`.
            if visit.turn is not None and not visit.turn.done():
                visit.turn.set_result(relay)
        self._rest(key)

    async def _enter_later(self, request: Request, key: Key) -> Direction:
        revision = await self._watch.wait_for_revision(key, self._config.revision_wait_s)
        if revision is None:
            return UNKNOWN
        if UNCOUNTED in request.index:
            return self._relay_uncounted(request, key, revision)
        direction = self._enter(request, key, revision, self._clock())
        return direction if isinstance(direction, Relay | Answer) else await direction

    def _enter(self, request: Request, key: Key, revision: Revision, now: float) -> Direction | Awaitable[Direction]:
        placement = self._placements.get(key)
        if placement is None:
            placement = Placement(revision.container_concurrency, self._config.waiting_capacity)
            self._replace_pods(key, placement)
            self._placements[key] = placement
        placement.limit(revision.container_concurrency)  # a deleted name may come back with another value
        deadline = request.arrived + revision.timeouts.total_s
        visit = request.state = Visit(key, revision, placement, now, deadline, same_protocol(request))
        if self._tracing is not None:
            visit.trace = self._tracing.begin(request)
        self.demand.arrived(key, now)
        return self._place(visit, now)

    def _relay_uncounted(self, request: Request, key: Key, revision: Revision) -> Direction:
        """Pass a probe on beside room and seats: it must neither wait for pods nor be seen by the autoscaler.

        The slots of the pod's queueproxy bound it as they bound every request.
        """
        pods, placement = self.backends.usable(key), self._placements.get(key)
        if not pods:
            return ASLEEP
        pod = min(pods, key=placement.pods.in_flight_on) if placement else min(pods)
        protocol = same_protocol(request)
        relay = Relay(*pod, add_head=UNCOUNTED_LINES, timeouts=revision.timeouts, protocol=protocol)
        if pod in self.backends.secure(key):
            relay.tls = self.peer_of(key)
        return relay

    def _place(self, visit: Visit, now: float) -> Direction | Awaitable[Direction]:
        pod = visit.placement.seat(now)
        return self._wait(visit) if pod is None else self._relay(visit, pod)

    def _wait(self, visit: Visit) -> Direction | Awaitable[Direction]:
        room = visit.placement.room
        if visit.revision.has_handed_back:
            return HANDED_BACK
        if visit.had_seat:
            room.come_back(visit.ticket, visit, visit.deadline)
        elif not room.enter(visit.ticket, visit, visit.deadline):
            return FULL
        visit.is_waiting = True
        visit.turn = self._loop.create_future()
        if visit.wake is None and not self.backends.usable(visit.key):
            visit.wake = self.wakes.begin(visit.key, visit.entered, writes_header=visit.revision.tells_wake)
        self.demand.began_to_wait(visit.key)
        self.backends.hurry(visit.key)
        self._rest(visit.key)
        return visit.turn

    def _relay(self, visit: Visit, pod: Address) -> Relay:
        visit.pod = pod
        visit.had_seat = True
        if visit.placement.standby.addresses and visit.placement.stands_by(pod):
            self._metrics.standby.inc()
            self.demand.took_standby(visit.key)
        added = PROXIED if visit.trace is None else PROXIED + visit.trace.lines
        relay = Relay(pod[0], pod[1], added, visit.revision.timeouts, protocol=visit.protocol)
        if visit.placement.secure and pod in visit.placement.secure:
            relay.tls = self.peer_of(visit.key)
        if visit.wake is not None:
            self._relay_woken(visit.wake, visit.key, pod, relay)
        return relay

    def _relay_woken(self, wakening: Wakening, key: Key, pod: Address, relay: Relay) -> None:
        if wakening.seated(pod, self._clock()):
            self.backends.inquire(key, pod)
        relay.on_answer = functools.partial(self.wakes.answered, wakening)

    def _tell_wake(self, record: Wake) -> None:
        self.demand.tell(record)

    def _leave_wake(self, wakening: Wakening, placement: Placement[Visit]) -> None:
        """Let the next who waits carry a record that this request leaves before its answer began."""
        if not wakening.is_open:
            return
        heir = placement.room.first()
        if heir is None:
            self.wakes.give_up(wakening)
        else:
            heir.wake = self.wakes.hand_over(wakening, heir.entered)

    def _rest(self, key: Key) -> None:
        """Arm the one timer of a revision for what happens by itself; forget a deleted revision when it is empty."""
        placement = self._placements[key]
        wake, timer = placement.next_wake(), self._timers.get(key)
        if timer is not None and timer[0] != wake:
            self._timers.pop(key)[1].cancel()
            timer = None
        if wake is not None and timer is None:
            self._timers[key] = (wake, self._loop.call_at(wake, self._woke, key))
        elif wake is None and self._watch.revision(key) is None and placement.is_empty:
            del self._placements[key]

    def _woke(self, key: Key) -> None:
        self._timers.pop(key, None)
        for visit in self._placements[key].room.expire(self._clock()):
            _turn_away(visit, LATE)
        self.admit(key)

    def _answer_probe(self, probe: bytes) -> Answer:
        if probe == headers.PROBE_ACTIVATOR:
            return self._answer_health(PROBED)
        text = b'unexpected probe header value: "%b"' % probe
        return answer_of(outcomes.BAD_PROBE, text=text)

    def _answer_health(self, healthy: Answer = HEALTHY) -> Answer:
        return SHUTTING_DOWN if self._is_draining() else healthy


def _turn_away(visit: Visit, answer: Answer) -> None:
    visit.is_waiting = False
    if visit.turn is not None and not visit.turn.done():
        visit.turn.set_result(answer)


def _key(request: Request) -> Key | None:
    """Return the revision asked for: by the gateway's headers, or by a host `<revision>.<namespace>.svc...`."""
    namespace = request.index.get(NAMESPACE)
    revision = request.index.get(REVISION)
    if namespace and revision:
        said = (namespace, revision)
        key = _keys.get(said)
        if key is None:
            key = namespace.decode("latin-1"), revision.decode("latin-1")
            if len(_keys) < KEYS_KEPT:
                _keys[said] = key
        return key
    parts = request.host.split(".", 3)
    return (parts[1], parts[0]) if len(parts) > 2 and parts[2] == "svc" else None
