"""The director of queueproxy, by scripts: requests in, directions out, everything given back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable

import pytest

from queueproxy.config import Config
from queueproxy.limiter import Limiter
from queueproxy.meter import Meter
from queueproxy.metrics import Metrics
from queueproxy.pipeline import Pipeline
from queueproxy.probe import AppProtocol
from tests.support.heads import answer_of, make_request, outcome, relay_of
from tidegate.contracts import wake
from tidegate.wire.director import Failure, Request

pytestmark = pytest.mark.looptime


class Harness:
    """A pipeline with its parts in the open."""

    def __init__(self, **settings: float) -> None:
        config = Config(**settings)  # type: ignore[arg-type]
        self.is_draining = False
        self.is_ready: bool | None = True  # None: known ready, nobody is asked
        self.protocol = AppProtocol(config.user_port, config.user_protocol)
        self.limiter = Limiter(config.container_concurrency, config.queue_limit)
        clock = asyncio.get_running_loop().time
        self.meter = Meter(clock())
        self.metrics = Metrics()
        self.pipeline = Pipeline(config, self.limiter, self.meter, self, self.metrics, lambda: self.is_draining, clock)  # type: ignore[arg-type]

    def is_known_ready(self, now: float) -> bool:
        return self.is_ready is None

    def doubt(self) -> None:
        self.is_ready = False

    def start(self, now: float, pod: str) -> wake.Start | None:
        return wake.Start(0.25, 1.5, pod=pod) if self.is_ready else None

    async def ask(self) -> bool:
        await asyncio.sleep(0.1)
        return bool(self.is_ready)

    def enter(self, **named: str) -> tuple[Request, object]:
        request = make_request(**named)
        return request, self.pipeline.direct(request)

    def end(self, request: Request, **kind: object) -> None:
        self.pipeline.finished(request, outcome(**kind))  # type: ignore[arg-type]

    def assert_empty(self) -> None:
        assert (self.limiter.running, self.limiter.waiting, self.meter.in_flight) == (0, 0, 0)


async def test_a_free_slot_relays_to_the_app_with_the_revisions_timeouts():
    harness = Harness(user_port=9000, container_concurrency=1, timeout_s=10, idle_timeout_s=3)
    request, direction = harness.enter()
    relay = relay_of(direction)
    assert (relay.host, relay.port) == ("127.0.0.1", 9000)
    assert (relay.timeouts.total_s, relay.timeouts.idle_s, relay.timeouts.response_start_s) == (10, 3, 0)
    assert harness.meter.in_flight == 1
    harness.end(request, direction=relay)
    harness.assert_empty()


@pytest.mark.parametrize(
    ("said", "is_upgrade", "protocol"), [("h2c", False, "h2c"), ("h2c", True, ""), ("http1", False, "")]
)
async def test_the_app_is_spoken_to_in_its_protocol(said, is_upgrade, protocol):
    harness = Harness(user_protocol=said)  # type: ignore[arg-type]
    request = make_request()
    request.is_upgrade = is_upgrade
    assert relay_of(harness.pipeline.direct(request)).protocol == protocol
    harness.end(request)


async def test_an_uncounted_request_takes_a_slot_but_is_not_measured():
    harness = Harness(container_concurrency=1)
    request, direction = harness.enter(x_tidegate_uncounted="1", knative_serving_revision="a")
    relay_of(direction)
    assert (harness.limiter.running, harness.meter.in_flight) == (1, 0)
    other, turn = harness.enter()
    assert isinstance(turn, asyncio.Future)
    harness.end(request)
    relay_of(await turn)
    assert harness.meter.read(asyncio.get_running_loop().time() + 1).requests == 1
    harness.end(other)
    harness.assert_empty()


async def test_a_kubelet_behind_the_activator_does_not_pass_the_limit():
    harness = Harness(container_concurrency=1)
    request, _ = harness.enter(user_agent="kube-probe/1.31", k_proxy_request="activator")
    assert harness.limiter.running == 1
    harness.end(request)
    harness.assert_empty()


async def test_the_queue_is_first_in_first_out_and_bounded():
    harness = Harness(container_concurrency=1)
    entered = [harness.enter() for _ in range(12)]
    assert answer_of(entered[11][1]).reason == "queue_full"
    assert answer_of(entered[11][1]).status == 503
    for number, (request, direction) in enumerate(entered):
        if isinstance(direction, Awaitable):
            relay_of(await direction)
        if number < 10:
            following = entered[number + 2][1]
            assert not isinstance(following, asyncio.Future) or not following.done()
        harness.end(request)
    harness.assert_empty()


async def test_a_client_that_leaves_the_queue_frees_its_place():
    harness = Harness(container_concurrency=1)
    (first, _), (second, waiting), (third, last) = (harness.enter() for _ in range(3))
    waiting.cancel()
    harness.end(second, failure=Failure.CLIENT_GONE, status=0)
    harness.end(first)
    relay_of(await last)
    harness.end(third)
    harness.assert_empty()


async def test_a_slot_granted_to_a_client_that_just_left_goes_on_to_the_next():
    harness = Harness(container_concurrency=1)
    (first, _), (second, waiting), (third, last) = (harness.enter() for _ in range(3))
    waiting.cancel()  # the engine cancels, but `finished` comes only in a later turn of the loop
    harness.end(first)
    assert not last.done()
    harness.end(second, failure=Failure.CLIENT_GONE, status=0)
    relay_of(await last)
    harness.end(third)
    harness.assert_empty()


async def test_waiting_counts_against_the_timeout(looptime):
    harness = Harness(container_concurrency=1, timeout_s=10)
    first, _ = harness.enter()
    await asyncio.sleep(4)
    second, waiting = harness.enter()
    third, last = harness.enter()
    answer = answer_of(await waiting)
    assert looptime == 14
    assert (answer.status, answer.reason, answer.body) == (504, "request_timeout", b"request timeout")
    assert answer_of(await last).status == 504
    for request in (second, third, first):
        harness.end(request)
    harness.assert_empty()


async def test_no_limit_counts_and_relays():
    harness = Harness(container_concurrency=0)
    entered = [harness.enter(k_proxy_request="activator") for _ in range(300)]
    assert harness.meter.in_flight == 300
    assert harness.meter.read(asyncio.get_running_loop().time()).proxied_requests == 300
    for request, direction in entered:
        relay_of(direction)
        harness.end(request)
    harness.assert_empty()


async def test_a_kubelet_probe_of_the_users_own_passes_uncounted():
    harness = Harness(container_concurrency=1)
    harness.enter()
    probe, direction = harness.enter(user_agent="kube-probe/1.31")
    relay_of(direction)
    assert harness.meter.in_flight == 1
    harness.end(probe)
    assert harness.limiter.running == 1


async def test_a_routed_request_that_calls_itself_a_kubelet_counts_like_any_other():
    harness = Harness(container_concurrency=1)
    harness.enter()
    _, direction = harness.enter(user_agent="kube-probe/1.31", knative_serving_revision="hello-00001")
    assert isinstance(direction, Awaitable), "the slot is taken: it waits"
    assert harness.meter.in_flight == 2


@pytest.mark.parametrize(
    ("is_ready", "status", "body"),
    [(True, 200, b"queue"), (False, 503, b"the app is not ready"), (None, 200, b"queue")],
)
async def test_readiness_probe(is_ready, status, body):
    harness = Harness(container_concurrency=1, pod="a-1")
    harness.is_ready = is_ready
    request, direction = harness.enter(k_network_probe="queue", user_agent="Knative-Activator-Probe")
    answer = answer_of(await direction if isinstance(direction, Awaitable) else direction)
    assert (answer.status, answer.body, answer.reason) == (status, body, "" if status == 200 else "not_ready")
    told = ((b"X-Tidegate-Start", b"open=250.000 all=1500.000 pod=a-1"),)
    assert answer.headers == {True: told, False: ((b"Retry-After", b"1"),), None: ()}[is_ready]
    harness.end(request)
    harness.assert_empty()


async def test_a_wrong_probe_header_is_refused():
    harness = Harness()
    _, direction = harness.enter(k_network_probe="activator")
    answer = answer_of(direction)
    assert (answer.status, answer.body) == (400, b"unexpected probe header value: activator")


async def test_while_draining_probes_fail_and_requests_are_served():
    harness = Harness()
    harness.is_draining = True
    for named in ({"k_network_probe": "queue"}, {"user_agent": "kube-probe/1.31"}):
        _, direction = harness.enter(**named)
        assert (answer_of(direction).status, answer_of(direction).body) == (503, b"shutting down")
    relay_of(harness.enter()[1])


async def test_a_stale_connection_is_tried_again_a_refusal_is_not():
    harness = Harness()
    request, direction = harness.enter()
    relay = relay_of(direction)
    relay_of(harness.pipeline.retry(request, relay, Failure.STALE))
    assert answer_of(harness.pipeline.retry(request, relay, Failure.CONNECT)).reason == "upstream_connect_failed"
    assert harness.is_ready is False  # the next probe asks the app itself
    request.attempts = 3
    assert answer_of(harness.pipeline.retry(request, relay, Failure.STALE)).reason == "upstream_failed"


async def test_results_are_counted_by_class_and_reason():
    harness = Harness(container_concurrency=1)
    entered = [harness.enter() for _ in range(12)]
    full = answer_of(entered[11][1])
    harness.end(entered[11][0], status=503, direction=full)
    value = harness.metrics.registry.get_sample_value
    assert value("tidegate_queueproxy_requests_total", {"code_class": "5xx", "reason": "queue_full"}) == 1
    seen = {"http_request_method": "GET", "http_response_status_code": "503", "url_scheme": "http"}
    assert value("http_server_request_duration_seconds_count", seen) == 1


@pytest.mark.parametrize("seed", range(5))
async def test_any_order_of_arrivals_ends_and_leavings_gives_everything_back(seed):
    chance = random.Random(seed)
    harness = Harness(container_concurrency=chance.randint(1, 4), timeout_s=5)
    entered: list[tuple[Request, object]] = []
    for _ in range(500):
        match chance.choice(["enter", "enter", "end", "leave", "wait"]):
            case "enter":
                entered.append(harness.enter())
            case "end" if entered:
                request, direction = entered.pop(chance.randrange(len(entered)))
                if isinstance(direction, asyncio.Future):
                    direction.cancel()
                harness.end(request)
            case "leave" if entered:
                direction = chance.choice(entered)[1]
                if isinstance(direction, asyncio.Future):
                    direction.cancel()  # `finished` follows in a later step
            case "wait":
                await asyncio.sleep(chance.random())
        assert harness.limiter.running <= harness.limiter.slots
        assert harness.limiter.waiting <= harness.limiter.queue_limit
        assert harness.meter.in_flight == len(entered)
    for request, _ in entered:
        harness.end(request)
    harness.assert_empty()
