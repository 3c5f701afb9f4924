"""admit → route → pick → relay → record: the way of one request through the gateway.

The director of the HTTP engine here. Routing and picking are look-ups in snapshots, without await; only a request
that finds neither a pod nor an activator waits, for a bounded time. What a request is counted on is given back in
`finished`; an attempt that was refused gives it back in `retry`, where the request looks elsewhere.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from gateway.config import Config
from gateway.metrics import Metrics
from gateway.pick import Backend, Pick, pick
from gateway.probes import Probes
from gateway.routes import Target
from gateway.wakes import Wakes
from gateway.watch import Watch
from tidegate.contracts import headers, internal_tls, outcomes, trace_context
from tidegate.wire import tracing
from tidegate.wire.answers import answer_of
from tidegate.wire.balance import Address
from tidegate.wire.director import Answer, Direction, Failure, Outcome, Relay, Request, Timeouts, same_protocol
from tidegate.wire.forwarded import existing_of, forwarding_lines, scheme_of
from tidegate.wire.request_log import RequestLog, entry_of
from tidegate.wire.tracing import Trace, Tracing

STALE_ATTEMPTS: Final = 3
CERTIFICATE_ATTEMPTS: Final = 5
"""How many upstreams with a wrong certificate are tried: one may be about to get its new one."""
LOOK_AGAIN_S: Final = 0.1
HEADS_KEPT: Final = 4096

ACME_PATH = b"/.well-known/acme-challenge/"
NO_ROUTE = answer_of(outcomes.NO_ROUTE)
ASLEEP = answer_of(outcomes.ASLEEP)
NO_ACTIVATOR = answer_of(outcomes.NO_ACTIVATOR)
REDIRECTED = answer_of(outcomes.REDIRECTED)
UNTRUSTED = answer_of(outcomes.UPSTREAM_CERTIFICATE_REFUSED)
BACKEND_BROKE = answer_of(outcomes.UPSTREAM_FAILED)
TAG_NAME: Final = headers.TAG.title() + b": "
UNCOUNTED: Final = headers.UNCOUNTED.title() + b": 1\r\n"
HEALTHY = Answer(200)
NOT_SYNCED = answer_of(outcomes.NOT_READY, text=b"routes and endpoints are not listed yet")
SHUTTING_DOWN = answer_of(outcomes.DRAINING, text=b"shutting down")


class Visit:
    """One counted request. `pick`: where it is counted now. `wish`: the pod of its session."""

    __slots__ = ("head", "pick", "protocol", "scheme", "target", "trace", "wish")

    def __init__(self, scheme: str, target: Target | None = None, head: bytes = b"", protocol: str = "") -> None:
        self.target = target
        self.head = head
        self.scheme = scheme
        self.pick: Pick | None = None
        self.wish: Address | None = None
        self.protocol = protocol
        self.trace: Trace | None = None


class Pipeline:
    """Directs every request that reaches this gateway."""

    def __init__(
        self,
        config: Config,
        watch: Watch,
        metrics: Metrics,
        wakes: Wakes,
        is_draining: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        # A client's own tag goes on where it may: see `direct`.
        self.strip_request: frozenset[bytes] = headers.INTERNAL | headers.FORWARDING | tracing.HEADERS | {headers.TAG}
        self.strip_request_prefixes: tuple[bytes, ...] = headers.INTERNAL_PREFIXES
        self._config = config
        self._watch = watch
        self._metrics = metrics
        self._wakes = wakes
        self._is_draining = is_draining
        self._clock = clock
        self._trusts_forwarded = config.trust_forwarded
        self._starts_traces = config.start_traces
        self._probes = Probes(config.probe_paths, config.probe_user_agents)
        self._timeouts = Timeouts(connect_s=config.connect_timeout_s)
        self._news = asyncio.Event()
        self.log = RequestLog()
        self.tracing: Tracing | None = None  # set by __main__ where spans are wanted
        self._heads: dict[tuple[bytes, str, str, bytes], bytes] = {}  # header lines by target, peer, scheme and Host
        self.waiting = 0
        self.in_flight = 0

    def direct(
        self, request: Request, scheme: str = "http", *, is_local: bool = False
    ) -> Direction | Awaitable[Direction]:
        """Find the request's revision, and a pod or an activator for it.

        `scheme` is what the client spoke, `is_local` whether it came by the port that only the cluster reaches.
        """
        watch = self._watch
        wheel = (watch.local_table if is_local else watch.table).get(request.host)
        if wheel is None:
            return self._answer_unrouted(request, scheme)
        if wheel.is_redirected and scheme == "http" and not is_local and self._is_sent_to_https(request):
            request.state = Visit(scheme)
            return _to_https(request)
        if wheel.explainer and _asks_to_explain(request.target):
            wheel = watch.local_table.get(wheel.explainer, wheel)
        self.in_flight += 1
        asked = request.index.get(headers.TAG)
        tagged = wheel.tags.get(asked or b"") if wheel.tags else None
        target = (tagged or wheel).turn()
        head = self._head(request, target, scheme)
        visit = request.state = Visit(scheme, target, head, same_protocol(request))
        if asked is not None and not wheel.tag:  # the host of a tag says which: no other may look as if we had said so
            visit.head += TAG_NAME + asked + b"\r\n"
        if self.tracing is not None:
            visit.trace = self.tracing.begin(request)
            visit.head += visit.trace.lines
        backend = self._watch.backend(target.key)
        if backend.sessions is not None:
            visit.wish = backend.sessions.wish(request)
        is_cold = not backend.pods.addresses
        if self._probes.has(request):
            if is_cold:
                return ASLEEP
            visit.head += UNCOUNTED
        elif is_cold:
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
        if failure is Failure.CERTIFICATE and request.attempts >= CERTIFICATE_ATTEMPTS:
            return UNTRUSTED
        return self._pick_again(visit) or self._wait(visit)

    def finished(self, request: Request, outcome: Outcome) -> None:
        """Give back what the request was counted on, and record it."""
        visit = request.state
        if type(visit) is not Visit:
            return
        self._metrics.results.ended(outcome, request.method, visit.scheme)
        if self.log.is_on:
            self._log(request, outcome, visit)
        if visit.trace is not None:
            self._tell_span(request, outcome, visit, visit.trace)
        if visit.target is None:
            return
        self.in_flight -= 1
        if visit.pick is not None:
            address, group = visit.pick.address, visit.pick.group
            if outcome.failure is None:
                group.answered(address)
            group.give_back(address)
            visit.pick = None

    def endpoints_changed(self) -> None:
        """Let those who wait for an activator look again."""
        if self.waiting:
            self._news.set()
            self._news = asyncio.Event()

    def _log(self, request: Request, outcome: Outcome, visit: Visit) -> None:
        if self._probes.has(request) and not self.log.has_probes:
            return
        entry = entry_of(request, outcome, visit.head)
        if visit.target is not None:
            entry.namespace, entry.revision = visit.target.key
            entry.service, entry.configuration = self._watch.parents(visit.target.key)
        if visit.pick is not None and visit.pick.group is not self._watch.activators:
            entry.pod_ip = visit.pick.address[0]
        self.log.add(entry)

    def _tell_span(self, request: Request, outcome: Outcome, visit: Visit, trace: Trace) -> None:
        assert self.tracing is not None and visit.target is not None
        namespace, revision = visit.target.key
        said = {"k8s.namespace.name": namespace, "kn.revision.name": revision}
        if visit.pick is not None:
            said["network.peer.address"] = visit.pick.address[0]
        self.tracing.ended(trace, request, outcome, said, visit.scheme)

    def _pick_again(self, visit: Visit) -> Relay | None:
        assert visit.target is not None
        return self._pick(visit, self._watch.backend(visit.target.key), self._clock())

    def _pick(self, visit: Visit, backend: Backend, now: float) -> Relay | None:
        activators = self._watch.activators
        visit.pick = picked = pick(backend, activators, now, visit.wish)
        if picked is None:
            return None
        (host, port), group = picked.address, picked.group
        if group is activators:
            self._metrics.to_activator += 1
        else:
            self._metrics.to_pod += 1
        relay = Relay(host, port, visit.head, self._timeouts, protocol=visit.protocol)
        secure = self._watch.secure_activators if group is activators else backend.secure
        if secure and picked.address in secure:
            assert visit.target is not None
            name = internal_tls.ROUTING_NAME if group is activators else internal_tls.pod_name(visit.target.key[0])
            relay.tls = self._watch.peers.named(name)
        if backend.sessions is not None and visit.wish is None and group is not activators:
            relay.answer_head = backend.sessions.cookie_line((host, port), is_secure=visit.scheme == "https")
        return relay

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

    def _is_sent_to_https(self, request: Request) -> bool:
        """Whether clear text of a host that redirects is redirected."""
        if request.target.startswith(ACME_PATH):
            return False  # an authority that is yet to sign asks by clear text
        # Where a proxy before us, a trusted one, took TLS off, it would send us what we redirect again.
        return not (self._trusts_forwarded and scheme_of(existing_of(request.headers)) == "https")

    def _head(self, request: Request, target: Target, scheme: str) -> bytes:
        raw_host = request.index.get(b"host") or b""
        if self._trusts_forwarded:
            existing = existing_of(request.headers)
            host = raw_host.decode("latin-1")
            head = target.head + forwarding_lines(request.peer, scheme, host, existing, trust=True)
        else:
            head = self._fresh_head(request.peer, target.head, scheme, raw_host)
        return head if self.tracing is not None else head + self._trace_lines(request)

    def _trace_lines(self, request: Request) -> bytes:
        parent = request.index.get(b"traceparent")
        if parent is not None and trace_context.is_valid(parent):
            return trace_context.passed_lines(parent, request.index.get(b"tracestate"))
        if self._starts_traces:
            return trace_context.started_line(random.getrandbits(trace_context.DRAW_BITS))
        return b""

    def _fresh_head(self, peer: str, target_head: bytes, scheme: str, raw_host: bytes) -> bytes:
        said = (target_head, peer, scheme, raw_host)
        head = self._heads.get(said)
        if head is None:
            head = target_head + forwarding_lines(peer, scheme, raw_host.decode("latin-1"))
            if len(self._heads) >= HEADS_KEPT:
                self._heads.clear()
            self._heads[said] = head
        return head

    def _answer_unrouted(self, request: Request, scheme: str) -> Answer:
        if headers.is_health_check(request.index):
            if self._is_draining():
                return SHUTTING_DOWN
            return HEALTHY if self._watch.is_synced else NOT_SYNCED
        request.state = Visit(scheme)
        return NO_ROUTE


def _asks_to_explain(target: bytes) -> bool:
    path = target.partition(b"?")[0]
    return path.startswith(b"/v1/models/") and path.endswith(b":explain")


def _to_https(request: Request) -> Answer:
    path = request.target if request.target[:1] == b"/" else b""  # `*` of OPTIONS
    location = b"https://%b%b" % (request.host.encode("latin-1"), path)
    return replace(REDIRECTED, headers=((b"Location", location),))


class PortDirector:
    """The same pipeline for the requests of one port."""

    def __init__(self, pipeline: Pipeline, scheme: str, *, is_local: bool) -> None:
        """`scheme`: what is spoken there. `is_local`: only the cluster reaches it, and reaches what is not public."""
        self._pipeline = pipeline
        self._scheme = scheme
        self._is_local = is_local
        self.strip_request = pipeline.strip_request
        self.strip_request_prefixes = pipeline.strip_request_prefixes
        self.retry = pipeline.retry
        self.finished = pipeline.finished

    def direct(self, request: Request) -> Direction | Awaitable[Direction]:
        """Direct the request as one that came by this port."""
        return self._pipeline.direct(request, self._scheme, is_local=self._is_local)
