"""The director of the activator, by scripts: who waits, who is seated where, and that everything is given back."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Awaitable

import pytest

from activator.config import Config
from activator.demand import Demand
from activator.metrics import Metrics
from activator.pipeline import Pipeline
from activator.watch import Revision, parse_revision
from tests.support.heads import answer_of, make_request, outcome, relay_of
from tidegate.contracts import report
from tidegate.wire.director import Failure, Relay, Request
from tidegate.wire.peers import Peers

pytestmark = pytest.mark.looptime

KEY = ("default", "hello-00001")
A, B = ("10.0.0.1", 8012), ("10.0.0.2", 8012)


class World:
    """A pipeline over hand-made revisions and pods."""

    def __init__(self, concurrency: int = 0, timeout_s: int = 300, **settings: object) -> None:
        clock = asyncio.get_running_loop().time
        spec = {"containerConcurrency": concurrency, "timeoutSeconds": timeout_s}
        self.revisions: dict[object, Revision] = {KEY: parse_revision({"metadata": {}, "spec": spec}, 1.0)}
        self.is_draining = False
        self.pods: dict[object, set[tuple[str, int]]] = {}
        self.standing_by: set[tuple[str, int]] = set()
        self.speaking_tls: frozenset[tuple[str, int]] = frozenset()
        self.peers = Peers()
        self.refusals: list[object] = []
        self.inquiries: list[object] = []
        self.hurried: list[object] = []
        self.sent: list[object] = []
        self.on_connected = None
        self.metrics = Metrics()
        self.pipeline = Pipeline(Config(**settings), self, self.metrics, lambda: self.is_draining, clock)  # type: ignore[arg-type]
        self.pipeline.backends = self  # type: ignore[assignment]
        self.pipeline.demand = Demand(self, clock, self.pipeline.waiting_for)  # type: ignore[arg-type]

    # In place of the watch
    def revision(self, key: object) -> Revision | None:
        return self.revisions.get(key)

    async def wait_for_revision(self, key: object, timeout_s: float) -> Revision | None:
        await asyncio.sleep(timeout_s / 2)
        return self.revisions.get(key)

    # In place of the backends
    def usable(self, key: object) -> set[tuple[str, int]]:
        return self.pods.get(key, set())

    def standby(self, _key: object) -> set[tuple[str, int]]:
        return self.standing_by

    def secure(self, _key: object) -> frozenset[tuple[str, int]]:
        return self.speaking_tls

    def hurry(self, key: object) -> None:
        self.hurried.append(key)

    def inquire(self, key: object, address: object) -> None:
        self.inquiries.append((key, address))

    def refused(self, key: object, address: object) -> None:
        self.refusals.append(address)

    # In place of the links
    peer_version = report.VERSION
    session_s = 1.0

    def links_for(self, _namespace: str, _revision: str) -> list[World]:
        return [self]

    def send(self, message: object) -> bool:
        self.sent.append(message)
        return True

    # Steps of a script
    def enter(self, revision: str = KEY[1]) -> tuple[Request, object]:
        request = make_request(knative_serving_namespace="default", knative_serving_revision=revision)
        return request, self.pipeline.direct(request)

    def show_pods(self, *addresses: tuple[str, int], key: object = KEY) -> None:
        self.pods[key] = set(addresses)
        self.pipeline.pods_changed(key)  # type: ignore[arg-type]

    def end(self, request: Request, **kind: object) -> None:
        self.pipeline.finished(request, outcome(**kind))  # type: ignore[arg-type]

    def assert_empty(self) -> None:
        assert self.pipeline.waiting == 0
        assert self.pipeline.demand.in_flight(KEY) == 0
        assert all(placement.is_empty for placement in self.pipeline._placements.values())
        assert not self.pipeline._timers


def is_waiting(direction: object) -> bool:
    return isinstance(direction, asyncio.Future) and not direction.done()


async def test_a_cold_request_is_held_until_a_pod_can_be_used():
    world = World()
    request, direction = world.enter()
    assert is_waiting(direction)
    assert world.hurried == [KEY]
    (poke,) = world.sent
    assert poke.is_first and poke.in_flight == 1
    await asyncio.sleep(5)
    world.show_pods(A)
    relay = relay_of(await direction)
    assert (relay.host, relay.port) == A
    assert relay.add_head == b"K-Proxy-Request: activator\r\n"
    assert relay.timeouts.total_s == 300
    world.end(request, direction=relay)
    world.assert_empty()


async def test_a_warm_request_goes_straight_on():
    world = World()
    world.show_pods(A)
    request, direction = world.enter()
    assert (relay_of(direction).host, world.sent) == (A[0], [])
    world.end(request)
    world.assert_empty()


def enter_uncounted(world: World, revision: str = KEY[1]) -> tuple[Request, object]:
    named = {"knative_serving_namespace": "default", "knative_serving_revision": revision}
    request = make_request(x_tidegate_uncounted="1", **named)
    return request, world.pipeline.direct(request)


async def test_an_uncounted_request_neither_waits_nor_wakes():
    world = World(concurrency=1)
    request, direction = enter_uncounted(world)
    assert (answer_of(direction).status, answer_of(direction).reason) == (503, "asleep")
    world.end(request)
    assert (world.sent, world.hurried) == ([], [])
    world.show_pods(A)
    busy, _ = world.enter()
    request, direction = enter_uncounted(world)
    relay = relay_of(direction)  # the pod's own slots bound it
    assert relay.host == A[0]
    assert relay.add_head == b"K-Proxy-Request: activator\r\nX-Tidegate-Uncounted: 1\r\n"
    assert world.pipeline.demand.in_flight(KEY) == 1
    assert world.pipeline.retry(request, relay, Failure.STALE) is relay
    assert answer_of(world.pipeline.retry(request, relay, Failure.CONNECT)).reason == "upstream_connect_failed"
    world.end(request)
    world.end(busy)
    world.assert_empty()


async def test_an_uncounted_request_of_a_revision_not_seen_yet():
    world = World()
    revision = world.revisions.pop(KEY)
    _, direction = enter_uncounted(world)
    world.revisions[KEY] = revision
    assert answer_of(await direction).reason == "asleep"


async def test_a_burst_is_released_in_order_within_capacity():
    world = World(concurrency=2)
    entered = [world.enter() for _ in range(50)]
    world.show_pods(A)
    assert [is_waiting(direction) for _, direction in entered].index(True) == 2
    world.show_pods(A, B)
    served = []
    for number, (request, direction) in enumerate(entered):
        relay = relay_of(await direction)
        served.append((relay.host, relay.port))
        assert sum(not is_waiting(later) for _, later in entered[number + 1 :]) <= 3
        world.end(request)
    assert Counter(served).keys() == {A, B}
    world.assert_empty()


async def test_only_the_waiters_of_the_revision_that_changed_are_woken():
    world = World()
    other = ("default", "other-00001")
    world.revisions[other] = world.revisions[KEY]
    _, first = world.enter()
    _, second = world.enter(other[1])
    world.show_pods(A, key=other)
    assert is_waiting(first)
    relay_of(await second)


async def test_a_client_that_leaves_frees_its_place():
    world = World(waiting_capacity=2)
    entered = [world.enter() for _ in range(3)]
    full = answer_of(entered[2][1])
    assert (full.status, full.reason) == (503, "waiting_room_full")
    world.end(entered[2][0], direction=full, status=503)
    entered[0][1].cancel()
    world.end(entered[0][0], failure=Failure.CLIENT_GONE, status=0)
    request, direction = world.enter()
    assert is_waiting(direction)
    world.show_pods(A)
    relay_of(await entered[1][1])
    relay_of(await direction)
    world.end(entered[1][0])
    world.end(request)
    world.assert_empty()


async def test_a_client_that_leaves_in_the_moment_it_is_seated_gives_the_seat_on():
    world = World(concurrency=1)
    (first, leaving), (second, staying) = world.enter(), world.enter()
    leaving.cancel()
    world.show_pods(A)
    assert is_waiting(staying)
    world.end(first, failure=Failure.CLIENT_GONE, status=0)
    relay_of(await staying)
    world.end(second)
    world.assert_empty()


async def test_the_late_get_504_at_their_deadline(looptime):
    world = World(timeout_s=10)
    first, early = world.enter()
    await asyncio.sleep(3)
    second, late = world.enter()
    answer = answer_of(await early)
    assert looptime == 10
    assert (answer.status, answer.reason, answer.body) == (504, "activation_timeout", b"activator request timeout")
    assert answer_of(await late).status == 504
    assert looptime == 13
    for request in (first, second):
        world.end(request, status=504)
    world.assert_empty()


async def test_a_dead_pod_costs_nobody_a_request(looptime):
    world = World()
    world.show_pods(A, B)
    request, direction = world.enter()
    failed = relay_of(direction)
    again = relay_of(world.pipeline.retry(request, failed, Failure.CONNECT))
    assert {(failed.host, failed.port), (again.host, again.port)} == {A, B}
    assert world.refusals == [(failed.host, failed.port)]
    world.end(request)
    world.assert_empty()


async def test_with_no_pod_left_it_goes_back_to_its_place_and_returns_by_itself(looptime):
    world = World(concurrency=1)
    world.show_pods(A)
    first, direction = world.enter()
    second, behind = world.enter()
    waiting = world.pipeline.retry(first, relay_of(direction), Failure.CONNECT)
    assert is_waiting(waiting) and is_waiting(behind)
    relay_of(await waiting)  # type: ignore[misc]
    assert 0.1 <= looptime < 0.12
    assert is_waiting(behind)
    world.end(first)
    relay_of(await behind)
    world.end(second)
    world.assert_empty()


async def test_a_stale_connection_keeps_its_seat():
    world = World(concurrency=1)
    world.show_pods(A)
    request, direction = world.enter()
    assert world.pipeline.retry(request, relay_of(direction), Failure.STALE) is direction
    request.attempts = 3
    assert answer_of(world.pipeline.retry(request, relay_of(direction), Failure.STALE)).reason == "upstream_failed"
    world.end(request)
    world.assert_empty()


async def test_pods_that_leave_get_nothing_new():
    world = World()
    world.show_pods(A)
    request, _ = world.enter()
    world.show_pods()
    assert is_waiting(world.enter()[1])
    world.end(request)
    world.show_pods(B)
    assert world.pipeline.waiting == 0


async def test_a_revision_that_appears_late_is_waited_for():
    world = World(revision_wait_s=1.0)
    revision = world.revisions.pop(KEY)
    request, direction = world.enter()
    assert isinstance(direction, Awaitable)
    world.revisions[KEY] = revision
    world.show_pods(A)
    relay_of(await direction)
    world.end(request)
    world.assert_empty()


async def test_an_unknown_revision_is_told_so():
    world = World()
    request, direction = world.enter("nobody")
    answer = answer_of(await direction)
    assert (answer.status, answer.reason) == (404, "unknown_revision")
    world.end(request, direction=answer, status=404)
    assert answer_of(world.pipeline.direct(make_request())).reason == "unknown_revision"


async def test_a_revision_can_be_asked_for_by_its_own_host():
    world = World()
    world.show_pods(A)
    for host in ("hello-00001.default.svc", "hello-00001.default.svc.cluster.local"):
        request = make_request(host)
        relay_of(world.pipeline.direct(request))
        world.end(request)
    assert answer_of(world.pipeline.direct(make_request("hello-00001.default.example.com"))).status == 404
    world.assert_empty()


async def test_a_deleted_revision_turns_its_waiters_away():
    world = World()
    request, direction = world.enter()
    del world.revisions[KEY]
    world.pipeline.revision_gone(KEY)
    assert answer_of(await direction).reason == "unknown_revision"
    world.end(request)
    world.assert_empty()
    assert world.pipeline._placements == {}


async def test_nobody_waits_for_a_revision_that_gave_its_traffic_back() -> None:
    world = World()
    waiting, direction = world.enter()
    world.revisions[KEY] = dataclasses.replace(world.revisions[KEY], has_handed_back=True)
    world.pipeline.handed_back(KEY)
    late, answer = world.enter()
    for found in (answer_of(await direction), answer_of(answer)):
        assert (found.status, found.reason) == (503, "not_ready")
    world.end(waiting)
    world.end(late)
    world.assert_empty()


@pytest.mark.parametrize(
    ("named", "status", "body"),
    [
        ({"k_network_probe": "activator"}, 200, b"activator"),
        ({"k_network_probe": "queue"}, 400, b'unexpected probe header value: "queue"'),
        ({"user_agent": "kube-probe/1.31"}, 200, b""),
    ],
)
async def test_probes(named, status, body):
    world = World()
    request = make_request(**named)
    answer = answer_of(world.pipeline.direct(request))
    assert (answer.status, answer.body, answer.reason) == (status, body, "" if status == 200 else "bad_probe")
    world.end(request, direction=answer)
    world.is_draining = True
    if status == 200:
        assert answer_of(world.pipeline.direct(make_request(**named))).status == 503


async def test_a_routed_request_that_calls_itself_a_kubelet_is_not_answered_here():
    world = World()
    world.show_pods(("10.1.0.1", 8012))
    request = make_request(
        user_agent="kube-probe/1.31",
        knative_serving_namespace=KEY[0],
        knative_serving_revision=KEY[1],
    )
    assert relay_of(world.pipeline.direct(request)).host == "10.1.0.1"


async def test_waits_and_ejections_are_measured():
    world = World()
    request, direction = world.enter()
    await asyncio.sleep(0.2)
    world.show_pods(A)
    relay = relay_of(await direction)
    world.pipeline.retry(request, relay, Failure.CONNECT)
    value = world.metrics.registry.get_sample_value
    assert value("tidegate_activator_wait_seconds_sum") == pytest.approx(0.2)
    assert value("tidegate_activator_ejections_total") == 1


async def test_thousand_random_visits_leave_nothing_behind():
    world = World(concurrency=3)
    world.show_pods(A, B)
    open_: list[tuple[Request, object]] = []
    for number in range(1000):
        open_.append(world.enter())
        if number % 7 == 0:
            world.show_pods(*((A,) if number % 2 else (A, B)))
        if number % 3 == 0 and open_:
            request, direction = open_.pop((number * 31) % len(open_))
            if isinstance(direction, asyncio.Future) and not direction.done():
                direction.cancel()
            world.end(request)
        if number % 11 == 0:
            for place, (request, direction) in enumerate(open_):
                if isinstance(direction, Relay):
                    open_[place] = (request, world.pipeline.retry(request, direction, Failure.CONNECT))
                    break
        assert all(world.pipeline._placements[KEY].pods.in_flight_on(pod) <= 3 for pod in (A, B))
        await asyncio.sleep(0.01)
    for request, direction in open_:
        if isinstance(direction, asyncio.Future):
            direction.cancel()
        world.end(request)
    world.assert_empty()


async def test_a_standby_pod_takes_a_cold_request_at_once_and_the_autoscaler_hears_of_it():
    world = World()
    world.standing_by = {B}
    world.show_pods()
    request, direction = world.enter()
    assert (relay_of(direction).host, relay_of(direction).port) == B
    assert [message.is_first for message in world.sent] == [True]
    world.show_pods(A)
    later, direction = world.enter()
    assert (relay_of(direction).host, relay_of(direction).port) == A
    assert len(world.sent) == 1
    assert world.metrics.registry.get_sample_value("tidegate_activator_standby_requests_total") == 1
    for one in (request, later):
        world.end(one)
    world.assert_empty()


async def test_a_standby_pod_that_refuses_costs_its_seat_and_the_request_waits():
    world = World()
    world.standing_by = {B}
    world.show_pods()
    request, direction = world.enter()
    waiting = world.pipeline.retry(request, relay_of(direction), Failure.CONNECT)
    assert isinstance(waiting, Awaitable)
    world.show_pods(A)
    relay = relay_of(await waiting)
    assert (relay.host, relay.port) == A
    world.end(request)
    world.assert_empty()
