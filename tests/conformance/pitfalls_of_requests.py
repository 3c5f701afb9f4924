"""What is easily got wrong on the way of a request: pitfalls 16 to 20 and 30, most on real sockets.

Collected by `test_pitfalls`.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from activator.config import Config as ActivatorConfig
from activator.watch import parse_revision
from queueproxy.config import Config as QueueproxyConfig
from queueproxy.drain import Drain, quiet_since
from queueproxy.limiter import Limiter, Offer
from queueproxy.meter import Meter
from tests.conformance.pitfall_worlds import OTHER_POD, POD, Pods, pitfall
from tests.support.hop_worlds import HOST, hang, world
from tests.support.hops import App, client
from tests.support.three_hops import three_hops
from tests.support.wire import OK, Peer, answering
from tidegate.process import tasks
from tidegate.wire.forwarded import Existing, forwarding_lines

QUIET_S, IDLE_S = 30.0, 1.0


@pitfall(16, "only the pod refuses for want of room, at eleven times its concurrency")
async def test_who_refuses_for_want_of_room():
    """Knative's activator holds practically any number; here 10,000 may wait for a revision, and then one is told."""
    pod = QueueproxyConfig(container_concurrency=3)
    limiter: Limiter[int] = Limiter(pod.container_concurrency, pod.queue_limit)
    offers = Counter(limiter.offer(number) for number in range(40))
    assert offers == {Offer.RUN: 3, Offer.WAIT: 30, Offer.FULL: 7}
    assert ActivatorConfig().waiting_capacity == 10_000
    async with App().running() as app, three_hops(app.port, concurrency=1) as row, client() as fetch:
        row.show_pod()
        direct = await asyncio.gather(*(fetch(row.pod_port, "/?ms=20", host=HOST) for _ in range(14)))
        assert Counter(reply.status for reply in direct) == {200: 11, 503: 3}
        held = await asyncio.gather(*(fetch(row.port, "/?ms=5", host=HOST) for _ in range(30)))
        assert Counter(reply.status for reply in held) == {200: 30}, "the activator seats within the limit"
        assert app.peak == 1


@pitfall(16, "only the pod refuses for want of room, at eleven times its concurrency")
async def test_without_a_limit_the_first_pod_is_still_waited_for():
    async with App().running() as app, three_hops(app.port, concurrency=0) as row, client() as fetch:
        held = [tasks.spawn(fetch(row.port, "/?ms=300", host=HOST), "held") for _ in range(40)]
        done, _ = await asyncio.wait(held, timeout=0.3)
        assert not done
        row.show_pod()
        assert {reply.status for reply in await asyncio.gather(*held)} == {200}
        assert app.peak == 40


@pitfall(17, "timeouts count queueing, and never change a status that was sent")
async def test_a_timeout_counts_queueing():
    async with world("queueproxy", hang, timeout_s=0.3, container_concurrency=1) as sidecar:
        first, second = await sidecar.begin(), await sidecar.begin()
        answers = [await first.answer(), await second.answer()]
        assert [(answer.status, answer.reason) for answer in answers] == [(504, "request_timeout")] * 2
        assert len(sidecar.upstream.peers) <= 1, "the second never left the queue"


@pitfall(17, "timeouts count queueing, and never change a status that was sent")
async def test_a_timeout_after_the_first_byte_keeps_the_status():
    """Knative appends `request timeout` to the app's body; here a body is the app's alone, and its end is missing."""

    async def half(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await peer.gone()

    async with world("queueproxy", half, timeout_s=0.3) as sidecar:
        peer = await sidecar.begin()
        head = await peer.head()
        assert head.startswith(b"HTTP/1.1 200")
        assert await peer.rest() == b"4\r\nhalf\r\n", "broken off: no last chunk, and nothing of ours in it"


@pitfall(18, "an idle timeout without a byte limits the start of the answer")
async def test_an_idle_timeout_without_a_byte():
    async with world("queueproxy", hang, timeout_s=60, idle_timeout_s=0.2) as sidecar:
        answer = await sidecar.ask()
        assert (answer.status, answer.reason) == (504, "idle_timeout")


@pitfall(19, "a pod is used before Kubernetes calls it ready, where only its own answer is needed")
@pytest.mark.looptime
async def test_a_pod_is_used_when_it_answers(looptime):
    row = Pods()
    row.answers_at[POD] = 0.5
    row.kubernetes_says(not_ready=(POD, OTHER_POD))
    while not row.usable:
        await asyncio.sleep(0.001)
    assert row.usable == {POD} and 0.5 <= looptime < 0.6
    row.kubernetes_says(ready=(OTHER_POD,), not_ready=(POD,))
    assert row.usable == {POD, OTHER_POD}
    row.kubernetes_says(not_ready=(POD, OTHER_POD))
    assert row.usable == {POD}, "a pod that was ready and is no more must answer first"
    row.answers_at[OTHER_POD] = 1.0
    await asyncio.sleep(1.0)
    assert row.usable == {POD, OTHER_POD}


@pitfall(19, "a pod is used before Kubernetes calls it ready, where only its own answer is needed")
@pytest.mark.looptime
async def test_a_pod_that_only_kubelet_can_judge_is_not_asked():
    row = Pods(may_hurry=False)
    row.answers_at[POD] = 0.0
    row.kubernetes_says(not_ready=(POD,))
    await asyncio.sleep(5)
    assert row.usable == set()


@pitfall(19, "a pod is used before Kubernetes calls it ready, where only its own answer is needed")
@pytest.mark.parametrize(
    ("probes", "may_hurry"),
    [
        ({}, True),
        ({"readinessProbe": {"httpGet": {"path": "/"}}}, True),
        ({"readinessProbe": {"exec": {"command": ["true"]}}}, False),
        ({"startupProbe": {"httpGet": {"path": "/"}}}, False),
    ],
)
def test_which_probes_only_kubelet_can_judge(probes, may_hurry):
    revision = {"metadata": {}, "spec": {"containers": [{"image": "app", **probes}]}}
    assert parse_revision(revision, 1.0).may_hurry == may_hurry


@pitfall(20, "a draining pod serves, each request prolongs the drain, and only probes are refused")
async def test_a_draining_pod_serves():
    async with world("queueproxy", answering(OK, close=True), drain_idle_s=2.0) as sidecar:
        sidecar.stopping.set()
        async with asyncio.timeout(5):
            while (await sidecar.ask("K-Network-Probe: queue\r\n")).status != 503:
                await asyncio.sleep(0.01)
        assert (await sidecar.ask()).status == 200
        assert (await sidecar.ask("K-Network-Probe: queue\r\n")).body.count(b"shutting down") == 1


@pitfall(20, "a draining pod serves, each request prolongs the drain, and only probes are refused")
def test_each_request_prolongs_the_drain():
    """Knative waits for 30 s without a request in any case; here that is while requests run, and 1 s without any."""
    meter, limits = Meter(0.0), {"quiet_s": QUIET_S, "idle_s": IDLE_S}
    assert quiet_since(meter, 100.0, **limits) == 101.0
    meter.arrived(110.0, is_proxied=False)
    assert quiet_since(meter, 100.0, **limits) == 140.0
    meter.arrived(120.0, is_proxied=False)
    assert quiet_since(meter, 100.0, **limits) == 150.0
    assert (QueueproxyConfig().drain_quiet_s, QueueproxyConfig().drain_idle_s) == (QUIET_S, IDLE_S)


@pitfall(20, "a draining pod serves, each request prolongs the drain, and only probes are refused")
@pytest.mark.looptime
async def test_a_restart_of_the_app_alone_drains_nothing(looptime):
    clock = asyncio.get_running_loop().time
    drain = Drain(Meter(clock()), clock, quiet_s=QUIET_S, idle_s=IDLE_S)
    assert await drain.wait() is False
    assert looptime == 1.0 and not drain.is_draining


@pitfall(20, "a draining pod serves, each request prolongs the drain, and only probes are refused")
async def test_a_draining_activator_serves():
    """Knative's activator sleeps 45 s; here it listens until gateways have turned away, and lets all end within 55."""
    assert ActivatorConfig().drain_timeout_s == 55.0
    async with world("activator", answering(OK, close=True), drain_quiet_s=2.0) as activator:
        activator.stopping.set()
        assert (await activator.ask()).status == 200


@pitfall(30, "Forwarded is made of X-Forwarded only where it is missing, and nodes with a colon are quoted")
@pytest.mark.parametrize(
    ("existing", "forwarded"),
    [
        (Existing("", "1.2.3.4", "https", "first.example"), "for=1.2.3.4;host=first.example;proto=https, "),
        (Existing("", "2001:db8::1", "", ""), 'for="[2001:db8::1]", '),
        (Existing("", "1.2.3.4:99", "", ""), 'for="1.2.3.4:99", '),
        (Existing("for=9.9.9.9;proto=https", "1.2.3.4", "http", "other.example"), "for=9.9.9.9;proto=https, "),
    ],
)
def test_forwarded(existing, forwarded):
    """Knative brackets an IPv4 address with a port too, which no reader of RFC 7239 takes for one; here it is quoted
    only. Each hop that is believed adds itself at the end."""
    lines = forwarding_lines("10.0.0.2", "http", "a.example", existing, trust=True).decode().split("\r\n")
    (line,) = [line for line in lines if line.startswith("Forwarded: ")]
    assert line == f"Forwarded: {forwarded}for=10.0.0.2;host=a.example;proto=http"
