"""The director of the gateway, by scripts."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter

import pytest

from gateway.affinity import Sessions
from gateway.config import Config
from gateway.metrics import Metrics
from gateway.pick import Backend
from gateway.pipeline import Pipeline, PortDirector
from gateway.routes import build_local_table, build_table, read_route
from gateway.wakes import Wakes
from tests.support.heads import answer_of, make_request, outcome, relay_of
from tidegate.contracts import trace_context
from tidegate.contracts.decision import ServingMode
from tidegate.process import tasks
from tidegate.wire.balance import Balancer
from tidegate.wire.director import Answer, Failure, Relay
from tidegate.wire.peers import Peers

pytestmark = pytest.mark.looptime

POD, OTHER, ACTIVATOR = ("10.0.0.1", 8012), ("10.0.0.2", 8012), ("10.0.9.1", 8012)
HOST = "hello.default.localhost"


class Harness:
    """A pipeline over a hand-made world."""

    def __init__(self, mode: ServingMode = ServingMode.SERVE, limit: int = 0, **settings: object) -> None:
        traffic = [{"revisionName": "a", "percent": 80}, {"revisionName": "b", "percent": 20}]
        status = {"url": f"http://{HOST}", "traffic": traffic}
        route = {"metadata": {"name": "hello", "namespace": "default"}, "status": status}
        hosted = read_route(route)
        self.table = build_table([hosted])
        self.local_table = build_local_table([hosted], self.table)
        self.activators = Balancer()
        self.secure_activators: frozenset[tuple[str, int]] = frozenset()
        self.peers = Peers()
        self.backends = {("default", name): Backend(mode, Balancer(limit)) for name in "ab"}
        self.is_synced = True
        self.is_draining = False
        self.wakes = Wakes()
        self.metrics = Metrics()
        clock = asyncio.get_running_loop().time
        config = Config(**settings)  # type: ignore[arg-type]
        self.pipeline = Pipeline(config, self, self.metrics, self.wakes, lambda: self.is_draining, clock)  # type: ignore[arg-type]

    def backend(self, key: tuple[str, str]) -> Backend:
        return self.backends[key]

    def parents(self, key: tuple[str, str]) -> tuple[str, str]:
        return "hello", "hello"

    def pods(self, *addresses: tuple[str, int]) -> None:
        for backend in self.backends.values():
            backend.pods.replace(addresses)

    def assert_empty(self) -> None:
        assert self.pipeline.in_flight == self.pipeline.waiting == self.activators.in_flight == 0
        assert all(backend.pods.in_flight == 0 for backend in self.backends.values())


def by_tls(harness: Harness) -> PortDirector:
    return PortDirector(harness.pipeline, "https", is_local=False)


def by_the_local_port(harness: Harness) -> PortDirector:
    return PortDirector(harness.pipeline, "http", is_local=True)


async def test_a_warm_request_goes_to_a_pod_with_what_the_next_hop_needs():
    harness = Harness()
    harness.pods(POD)
    request = make_request(HOST)
    relay = relay_of(harness.pipeline.direct(request))
    assert (relay.host, relay.port) == POD
    assert b"Knative-Serving-Revision: a\r\n" in relay.add_head
    assert b"X-Forwarded-For: 10.0.0.1\r\n" in relay.add_head
    assert f"X-Forwarded-Host: {HOST}\r\n".encode() in relay.add_head
    assert harness.wakes.recent() == []
    harness.pipeline.finished(request, outcome(relay))
    harness.assert_empty()


async def test_a_cold_request_goes_through_the_activator_and_is_noted():
    harness = Harness()
    harness.activators.replace([ACTIVATOR])
    request = make_request(HOST)
    relay = relay_of(harness.pipeline.direct(request))
    assert (relay.host, relay.port) == ACTIVATOR
    (wake,) = harness.wakes.recent()
    assert (wake["namespace"], wake["revision"]) == ("default", "a")
    harness.pipeline.finished(request, outcome(relay))
    harness.assert_empty()


async def test_the_split_is_exact():
    harness = Harness()
    harness.pods(POD)
    relays = [relay_of(harness.pipeline.direct(make_request(HOST))) for _ in range(1000)]
    seen = Counter(relay.add_head.split(b"\r\n")[1] for relay in relays)
    assert sorted(seen.values()) == [200, 800]


@pytest.mark.parametrize("host", ["hello.default", "hello.default.svc", "hello.default.svc.cluster.local"])
async def test_names_inside_the_cluster_are_for_callers_inside_the_cluster(host):
    harness = Harness()
    harness.pods(POD)
    assert answer_of(harness.pipeline.direct(make_request(host))).reason == "no_route"
    assert answer_of(by_tls(harness).direct(make_request(host))).reason == "no_route"
    assert (relay_of(by_the_local_port(harness).direct(make_request(host))).host) == POD[0]
    assert (relay_of(by_the_local_port(harness).direct(make_request(HOST))).host) == POD[0]


@pytest.mark.parametrize(
    ("target", "is_explained"),
    [
        ("/v1/models/hello:explain", True),
        ("/v1/models/hello:explain?verbose=1", True),
        ("/v1/models/hello:predict", False),
        ("/v1/models/hello:predict?then=:explain", False),
        ("/other:explain", False),
    ],
)
async def test_explanations_go_to_the_routes_explainer(target, is_explained):
    harness = Harness()
    harness.pods(POD)
    route = {
        "metadata": {"name": "why", "namespace": "default"},
        "status": {"traffic": [{"revisionName": "w", "percent": 100}]},
    }
    harness.local_table = build_local_table([read_route(route)], harness.table)
    harness.backends["default", "w"] = Backend(ServingMode.SERVE, Balancer(0))
    harness.backends["default", "w"].pods.replace([OTHER])
    harness.table[HOST].explainer = "why.default"
    request = make_request(HOST)
    request.target = target.encode()
    assert relay_of(harness.pipeline.direct(request)).host == (OTHER if is_explained else POD)[0]


async def test_an_explainer_that_nothing_is_routed_to_leaves_it_to_the_host():
    harness = Harness()
    harness.pods(POD)
    harness.table[HOST].explainer = "gone.default"
    request = make_request(HOST)
    request.target = b"/v1/models/hello:explain"
    assert relay_of(harness.pipeline.direct(request)).host == POD[0]


async def test_clear_text_is_sent_to_https_where_the_route_wants_it():
    harness = Harness()
    harness.pods(POD)
    harness.table[HOST].is_redirected = True
    answer = answer_of(harness.pipeline.direct(make_request(HOST)))
    assert (answer.status, answer.reason, answer.headers) == (
        301,
        "redirected",
        ((b"Location", f"https://{HOST}/".encode()),),
    )
    assert relay_of(by_tls(harness).direct(make_request(HOST))).host == POD[0]
    assert relay_of(by_the_local_port(harness).direct(make_request(HOST))).host == POD[0]


@pytest.mark.parametrize(
    ("trust", "said", "is_redirected"),
    [
        (True, {"x_forwarded_proto": "https"}, False),
        (True, {"x_forwarded_proto": "HTTPS, http"}, False),
        (True, {"forwarded": "for=10.0.0.9;proto=https, for=10.0.0.8;proto=http"}, False),
        (True, {"x_forwarded_proto": "http"}, True),
        (True, {}, True),
        (False, {"x_forwarded_proto": "https"}, True),
    ],
)
async def test_what_a_trusted_proxy_took_by_tls_is_not_sent_back_to_it(trust, said, is_redirected):
    harness = Harness(trust_forwarded=trust)
    harness.pods(POD)
    harness.table[HOST].is_redirected = True
    assert isinstance(harness.pipeline.direct(make_request(HOST, **said)), Answer) is is_redirected


async def test_challenges_of_a_certificate_authority_stay_clear_text():
    harness = Harness()
    harness.pods(POD)
    harness.table[HOST].is_redirected = True
    request = make_request(HOST)
    request.target = b"/.well-known/acme-challenge/token"
    assert relay_of(harness.pipeline.direct(request)).host == POD[0]


async def test_a_redirect_of_no_path_names_the_host_alone():
    harness = Harness()
    harness.table[HOST].is_redirected = True
    request = make_request(HOST)
    request.target = b"*"
    assert answer_of(harness.pipeline.direct(request)).headers == ((b"Location", f"https://{HOST}".encode()),)


async def test_an_unknown_host_is_told_so_and_counted():
    harness = Harness()
    request = make_request("nobody.default.localhost")
    answer = answer_of(harness.pipeline.direct(request))
    assert (answer.status, answer.reason) == (404, "no_route")
    harness.pipeline.finished(request, outcome(answer, 404))
    labels = {"code_class": "4xx", "reason": "no_route"}
    assert harness.metrics.registry.get_sample_value("tidegate_gateway_requests_total", labels) == 1
    harness.assert_empty()


@pytest.mark.parametrize(
    ("synced", "draining", "reason"), [(True, False, ""), (False, False, "not_ready"), (True, True, "draining")]
)
async def test_a_health_probe(synced, draining, reason):
    harness = Harness()
    harness.is_synced, harness.is_draining = synced, draining
    request = make_request("10.0.0.9", user_agent="kube-probe/1.31")
    answer = answer_of(harness.pipeline.direct(request))
    assert (answer.status, answer.reason) == (503 if reason else 200, reason)
    harness.pipeline.finished(request, outcome(answer, answer.status))
    assert not [metric for metric in harness.metrics.results.collect() if metric.samples]


async def test_a_probe_wakes_nobody():
    harness = Harness(mode=ServingMode.PROXY)
    harness.activators.replace([ACTIVATOR])
    request = make_request(HOST, user_agent="kube-probe/1.31")
    answer = answer_of(harness.pipeline.direct(request))
    assert (answer.status, answer.reason, harness.wakes.total) == (503, "asleep", 0)
    harness.pipeline.finished(request, outcome(answer, 503))
    harness.assert_empty()


@pytest.mark.parametrize("mode", ServingMode)
async def test_a_probe_of_a_service_that_is_awake_is_marked(mode):
    harness = Harness(mode=mode, probe_user_agents="Prometheus/")
    harness.pods(POD)
    harness.activators.replace([ACTIVATOR])
    for agent, is_marked in (("Prometheus/2", True), ("curl/8", False)):
        request = make_request(HOST, user_agent=agent)
        relay = relay_of(harness.pipeline.direct(request))
        assert (b"X-Tidegate-Uncounted: 1\r\n" in relay.add_head) is is_marked
        harness.pipeline.finished(request, outcome(relay))
    harness.assert_empty()


TRACED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize(
    ("named", "passed"),
    [
        ({}, []),
        ({"traceparent": TRACED}, [TRACED]),
        ({"traceparent": TRACED, "tracestate": "a=1"}, [TRACED, "a=1"]),
        ({"traceparent": "00-1-2-01", "tracestate": "a=1"}, []),
        ({"tracestate": "a=1"}, []),
    ],
)
async def test_a_valid_trace_is_passed_on_and_one_is_started_where_there_is_none(starts, named, passed):
    harness = Harness(start_traces=starts)
    harness.pods(POD)
    head = relay_of(harness.pipeline.direct(make_request(HOST, **named))).add_head.decode()
    sent = re.findall(r"^trace(?:parent|state): (.*)\r$", head, re.MULTILINE)
    if passed or not starts:
        assert sent == passed
    else:
        [started] = sent
        context = trace_context.parse(started.encode())
        assert context is not None and not context.is_sampled


@pytest.mark.parametrize(("probes", "expected"), [("false", 2), ("true", 3)])
async def test_requests_are_logged_when_switched_on(probes, expected, capsys):
    harness = Harness()
    harness.pods(POD)
    log = harness.pipeline.log
    template = "{{.Revision.Namespace}}/{{.Revision.Name}} {{.Revision.Service}} {{.Revision.PodIP}} {{.Response.Code}}"
    data = {"logging.enable-request-log": "true", "logging.request-log-template": template}
    for host, agent in ((HOST, "curl"), ("nobody", "curl"), (HOST, "kube-probe/1")):
        log.configure({"data": {**data, "logging.enable-probe-request-log": probes}})
        request = make_request(host, user_agent=agent)
        direction = harness.pipeline.direct(request)
        harness.pipeline.finished(request, outcome(direction, 200 if host == HOST else 404))  # type: ignore[arg-type]
    log.flush()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"default/a hello {POD[0]} 200", "/   404"]
    assert len(lines) == expected
    harness.assert_empty()


async def test_a_session_gets_a_cookie_and_comes_back():
    harness = Harness(mode=ServingMode.PROXY)
    harness.activators.replace([ACTIVATOR])
    for backend in harness.backends.values():
        backend.sessions = Sessions("cookie", b"uid")
        backend.sessions.replace([POD, OTHER])
    first = make_request(HOST)
    relay = relay_of(harness.pipeline.direct(first))
    assert (relay.host, relay.answer_head) == (ACTIVATOR[0], b"")  # cold
    harness.pipeline.finished(first, outcome(relay))
    harness.pods(POD, OTHER)
    second = make_request(HOST)
    relay = relay_of(harness.pipeline.direct(second, "https"))
    home, cookie = relay.host, relay.answer_head.partition(b": ")[2].partition(b";")[0].decode()
    assert relay.answer_head.endswith(b"; Secure\r\n")
    harness.pipeline.finished(second, outcome(relay))
    for _ in range(5):
        request = make_request(HOST, cookie=cookie)
        relay = relay_of(harness.pipeline.direct(request))
        assert (relay.host, relay.answer_head) == (home, b"")
        harness.pipeline.finished(request, outcome(relay))
    request = make_request(HOST, cookie=cookie)
    relay = relay_of(harness.pipeline.direct(request))
    assert relay_of(harness.pipeline.retry(request, relay, Failure.CONNECT)).host != home
    harness.pipeline.finished(request, outcome())
    harness.assert_empty()


async def test_a_pod_that_refuses_is_set_aside_and_another_is_taken():
    harness = Harness()
    harness.pods(POD, OTHER)
    harness.activators.replace([ACTIVATOR])
    request = make_request(HOST)
    relay = relay_of(harness.pipeline.direct(request))
    again = relay_of(harness.pipeline.retry(request, relay, Failure.CONNECT))
    assert {(relay.host, relay.port), (again.host, again.port)} == {POD, OTHER}
    last = relay_of(harness.pipeline.retry(request, again, Failure.CONNECT))
    assert (last.host, last.port) == ACTIVATOR
    harness.pipeline.finished(request, outcome(last))
    harness.assert_empty()
    following = make_request(HOST)
    assert (relay_of(harness.pipeline.direct(following)).host) == ACTIVATOR[0]


async def test_a_stale_connection_is_tried_again_in_the_same_place():
    harness = Harness()
    harness.pods(POD)
    request = make_request(HOST)
    relay = relay_of(harness.pipeline.direct(request))
    assert harness.pipeline.retry(request, relay, Failure.STALE) is relay
    request.attempts = 3
    assert answer_of(harness.pipeline.retry(request, relay, Failure.STALE)).reason == "upstream_failed"
    harness.pipeline.finished(request, outcome(relay, 502))
    harness.assert_empty()


async def test_full_pods_send_through_the_activator():
    harness = Harness(limit=1)
    harness.pods(POD)
    harness.activators.replace([ACTIVATOR])
    hosts = Counter(relay_of(harness.pipeline.direct(make_request(HOST))).host for _ in range(10))
    assert hosts == {POD[0]: 2, ACTIVATOR[0]: 8}  # one per revision, then the activator holds the rest


async def test_without_activator_a_request_waits_for_one(looptime):
    harness = Harness()
    request = make_request(HOST)
    waiting = asyncio.ensure_future(harness.pipeline.direct(request))  # type: ignore[arg-type]
    await asyncio.sleep(3.03)
    harness.activators.replace([ACTIVATOR])
    harness.pipeline.endpoints_changed()
    relay = relay_of(await waiting)
    assert (relay.host, relay.port) == ACTIVATOR
    assert 3.03 <= looptime < 3.04
    harness.pipeline.finished(request, outcome(relay))
    harness.assert_empty()


async def test_no_activator_comes(looptime):
    harness = Harness(activator_wait_s=10.0, activator_wait_limit=1)
    first, second = make_request(HOST), make_request(HOST)
    waiting = asyncio.ensure_future(harness.pipeline.direct(first))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert answer_of(await harness.pipeline.direct(second)).reason == "no_activator"  # type: ignore[misc]
    assert looptime == 0
    answer = answer_of(await waiting)
    assert (answer.status, answer.reason) == (503, "no_activator")
    assert looptime == 10
    for request in (first, second):
        harness.pipeline.finished(request, outcome(answer, 503))
    harness.assert_empty()


async def test_a_restarted_activator_is_found_again_under_its_old_address(looptime):
    harness = Harness(mode=ServingMode.PROXY)
    harness.activators.replace([ACTIVATOR])
    request = make_request(HOST)
    relay = relay_of(harness.pipeline.direct(request))
    relay = relay_of(await harness.pipeline.retry(request, relay, Failure.CONNECT))  # type: ignore[misc]
    assert (relay.host, relay.port) == ACTIVATOR
    assert 0.1 <= looptime <= 0.2


async def test_a_client_that_leaves_while_waiting_leaves_nothing():
    harness = Harness()
    request = make_request(HOST)
    waiting = asyncio.ensure_future(harness.pipeline.direct(request))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    harness.pipeline.finished(request, outcome(failure=Failure.CLIENT_GONE, status=0))
    harness.assert_empty()


@pytest.mark.parametrize(("trust", "expected"), [(False, b"For: 10.0.0.1\r\n"), (True, b"For: 1.2.3.4, 10.0.0.1\r\n")])
async def test_forwarded_from_outside_is_believed_only_when_told(trust, expected):
    harness = Harness(trust_forwarded=trust)
    harness.pods(POD)
    request = make_request(HOST, x_forwarded_for="1.2.3.4")
    assert expected in relay_of(harness.pipeline.direct(request)).add_head


async def test_internal_headers_from_outside_are_stripped():
    pipeline = Harness().pipeline
    names = (
        b"x-tidegate-uncounted",
        b"knative-serving-revision",
        b"k-proxy-request",
        b"k-network-probe",
        b"x-forwarded-for",
        b"forwarded",
        b"traceparent",
        b"tracestate",
    )
    assert pipeline.strip_request.issuperset(names)
    assert b"x-tidegate-" in pipeline.strip_request_prefixes


async def test_only_the_last_wakes_are_kept():
    wakes = Wakes()
    for number in range(300):
        wakes.add("default", f"r{number}", float(number))
    assert wakes.total == 300
    assert len(wakes.recent()) == 256
    assert wakes.recent()[-1]["revision"] == "r299"


@pytest.mark.parametrize("seed", range(5))
async def test_any_order_of_events_gives_everything_back(seed):
    chance = random.Random(seed)
    harness = Harness(limit=chance.choice([0, 2]), activator_wait_s=2.0)
    entered: list[list[object]] = []  # request, and where it goes or the task that waits
    for _ in range(400):
        match chance.choice(["enter", "enter", "end", "refuse", "pods", "activators", "mode", "wait"]):
            case "enter":
                request = make_request(HOST)
                entered.append([request, _followed(harness.pipeline.direct(request))])
            case "end" if entered:
                request, direction = entered.pop(chance.randrange(len(entered)))
                await _left(direction)
                harness.pipeline.finished(request, outcome())  # type: ignore[arg-type]
            case "refuse" if entered:
                entry = chance.choice(entered)
                if isinstance(entry[1], Relay):
                    entry[1] = _followed(harness.pipeline.retry(entry[0], entry[1], Failure.CONNECT))  # type: ignore[arg-type]
            case "pods":
                harness.pods(*chance.sample([POD, OTHER], chance.randint(0, 2)))
                harness.pipeline.endpoints_changed()
            case "activators":
                harness.activators.replace(chance.sample([ACTIVATOR], chance.randint(0, 1)))
                harness.pipeline.endpoints_changed()
            case "mode":
                chance.choice(list(harness.backends.values())).mode = chance.choice(list(ServingMode))
            case "wait":
                await asyncio.sleep(chance.random())
        for backend in harness.backends.values():
            assert not backend.pods.limit or max(map(backend.pods.in_flight_on, [POD, OTHER])) <= backend.pods.limit
        assert harness.pipeline.in_flight == len(entered)
    for request, direction in entered:
        await _left(direction)
        harness.pipeline.finished(request, outcome())  # type: ignore[arg-type]
    harness.assert_empty()


def _followed(direction: object) -> object:
    return direction if isinstance(direction, Relay | Answer) else tasks.spawn(direction, "waiting")  # type: ignore[arg-type]


async def _left(direction: object) -> None:
    if isinstance(direction, asyncio.Task):
        await tasks.cancel(direction)
