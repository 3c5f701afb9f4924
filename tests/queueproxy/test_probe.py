"""Readiness of the app: what SERVING_READINESS_PROBE means, and that questions are held while the app starts."""

from __future__ import annotations

import asyncio

import pytest

from queueproxy import probe
from queueproxy.probe import AppProbe, Readiness
from tests.support import servers
from tests.support.grpc_apps import GrpcApp, HealthApp
from tidegate.contracts import wake
from tidegate.process import tasks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", AppProbe(9000)),
        ('{"tcpSocket":{"port":1234}}', AppProbe(1234)),
        ('{"tcpSocket":{"port":0},"successThreshold":2}', AppProbe(9000, successes=2)),
        ('{"exec":{"command":["true"]},"periodSeconds":3}', AppProbe(9000, period_s=3)),
        ('{"grpc":{"port":5000}}', AppProbe(5000, service="")),
        ('{"grpc":{"port":null,"service":"a.B"},"timeoutSeconds":3}', AppProbe(9000, service="a.B", timeout_s=3)),
        (
            '{"httpGet":{"path":"/ok","port":8000,"httpHeaders":[{"name":"X-A","value":"b"}]},"timeoutSeconds":2}',
            AppProbe(
                8000,
                "/ok",
                (("X-A", "b"), ("Host", "127.0.0.1"), ("User-Agent", probe.USER_AGENT)),
                timeout_s=2,
            ),
        ),
    ],
)
def test_probe_json(text, expected):
    assert probe.parse(text, 9000) == [expected]


def test_probes_of_several_containers():
    assert [item.port for item in probe.parse('[{"tcpSocket":{"port":1}},{"tcpSocket":{"port":2}}]', 9000)] == [1, 2]


@pytest.mark.parametrize("text", ["{", "3", "[1]"])
def test_what_is_no_probe_is_refused(text):
    with pytest.raises(ValueError, match="SERVING_READINESS_PROBE"):
        probe.parse(text, 9000)


class App:
    """Stands in for an AppProbe: passes from `ready_at` on."""

    port = 0
    period_s = 10.0
    successes = 1

    def __init__(self, ready_at: float, told: bytes = b"") -> None:
        self.ready_at = ready_at
        self.told = told
        self.tries: list[float] = []

    async def ask(self, by_h2c: bool) -> bytes | None:
        now = asyncio.get_running_loop().time()
        self.tries.append(now)
        return self.told if now >= self.ready_at else None


@pytest.mark.looptime
async def test_questions_are_held_until_the_app_is_ready_and_share_one_probe(looptime):
    app = App(0.5)
    readiness = Readiness([app])  # type: ignore[list-item]
    assert await asyncio.gather(*(readiness.ask() for _ in range(20))) == [True] * 20
    assert 0.5 <= looptime <= 0.526
    pauses = [later - earlier for earlier, later in zip(app.tries, app.tries[1:], strict=False)]
    assert pauses[0] == pytest.approx(0.005)
    assert max(pauses) == pytest.approx(0.025)
    waited = list(zip(app.tries, pauses, strict=False))
    assert all(pause <= max(0.005, 0.08 * since) + 1e-4 for since, pause in waited)  # what a wake can lose by it
    assert len(app.tries) < 45


@pytest.mark.looptime
async def test_an_app_that_does_not_come_up_is_not_ready_within_a_second(looptime):
    readiness = Readiness([App(2.0)])  # type: ignore[list-item]
    assert await readiness.ask() is False
    assert looptime == pytest.approx(0.9)
    assert await readiness.ask() is False
    assert await readiness.ask() is True
    assert 2.0 <= looptime < 2.04


@pytest.mark.looptime
async def test_once_ready_the_app_is_asked_again_only_after_its_period(looptime):
    app = App(0.0)
    readiness = Readiness([app])  # type: ignore[list-item]
    assert await readiness.ask()
    for _ in range(100):
        assert await readiness.ask()
    assert len(app.tries) == 1
    await asyncio.sleep(10)
    assert not readiness.is_known_ready(asyncio.get_running_loop().time())
    assert await readiness.ask()
    assert len(app.tries) == 2


@pytest.mark.looptime
async def test_an_app_that_was_ready_and_fails_is_asked_less_often(looptime):
    app = App(0.0)
    readiness = Readiness([app])  # type: ignore[list-item]
    assert await readiness.ask()
    app.ready_at = 1e9
    assert await readiness.ask()  # within the period nobody asks
    readiness.doubt()
    app.tries.clear()
    assert not await readiness.ask()
    await asyncio.sleep(5)
    assert len(app.tries) < 30


async def test_success_threshold_counts_consecutive_passes():
    app = App(0.0)
    app.successes = 3
    readiness = Readiness([app])  # type: ignore[list-item]
    assert await readiness.ask()
    assert len(app.tries) == 3


@pytest.mark.looptime
async def test_nobody_asks_nobody_probes(looptime):
    app = App(1e9)
    readiness = Readiness([app])  # type: ignore[list-item]
    assert not await readiness.ask()
    await asyncio.sleep(60)
    assert app.tries[-1] < 3.1


@pytest.mark.looptime
async def test_who_stops_asking_does_not_stop_the_probe_of_others():
    readiness = Readiness([App(0.3)])  # type: ignore[list-item]
    leaving, staying = (tasks.spawn(readiness.ask(), "ask") for _ in range(2))
    await asyncio.sleep(0.1)
    await tasks.cancel(leaving)
    assert await staying is True


def test_an_app_that_speaks_h2c_is_asked_by_it_on_its_own_port():
    text = '[{"httpGet":{"path":"/ok"}},{"httpGet":{"path":"/ok","port":8000}},{"tcpSocket":{}}]'
    assert [item.is_h2c for item in probe.parse(text, 9000, "h2c")] == [True, False, False]
    assert not any(item.is_h2c for item in probe.parse(text, 9000))


async def test_a_grpc_app_is_ready_when_its_health_service_says_so():
    app = HealthApp()
    async with app.running() as port:
        whole, one = AppProbe(port, service="", timeout_s=30), AppProbe(port, service="a.B", timeout_s=30)
        for serving, unknown, expected in ((True, False, True), (False, False, False), (True, True, False)):
            app.is_serving, app.is_unknown = serving, unknown
            assert (await whole.ask() is not None) is expected
            assert (await one.ask() is not None) is expected
        assert app.asked[:2] == [b"", b"\x0a\x03a.B"]
    assert await whole.ask() is None


async def test_a_grpc_probe_of_an_app_without_the_health_service_does_not_pass():
    async with GrpcApp().running() as app:
        assert await AppProbe(app.port, service="", timeout_s=30).ask() is None
        assert await AppProbe(app.port, timeout_s=30).ask() == b""
    async with servers.serving(_http1) as port:
        assert await AppProbe(port, service="", timeout_s=0.5).ask() is None


async def _http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await reader.read()


# how the app started

TELLS = b"open=50 all=900 process=100 imports=600 weights=150 warm-up=50 way=forked pod=somebody-else"


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("told", "began", "expected"),
    [
        (TELLS, -0.25, wake.Start(1.05, 0.9, (0.1, 0.6, 0.15, 0.05), "forked", "a-1")),
        (b"", -0.25, wake.Start(1.0, 0.75, pod="a-1")),  # from our own begin until it accepted
        (b"open=50 imports=600", -0.25, wake.Start(1.05, 0.7, (None, 0.6, None, None), pod="a-1")),
        (b"nonsense", -0.25, wake.Start(1.0, 0.75, pod="a-1")),
        (b"", None, wake.Start(1.0, None, pod="a-1")),
    ],
)
async def test_how_the_app_started_is_what_it_told_or_what_was_seen(told, began, expected):
    readiness = Readiness([App(0.5, told)], began=began)
    loop = asyncio.get_running_loop()
    assert readiness.start(loop.time(), "a-1") is None
    readiness.doubt()
    while not await readiness.ask():
        pass
    opened_at = loop.time()
    await asyncio.sleep(1.0)
    start = readiness.start(loop.time(), "a-1")
    assert start is not None
    seen = opened_at - 0.5  # the probe that found it open came so much later
    assert start.open_s == pytest.approx(expected.open_s)
    assert start.all_s == pytest.approx(expected.all_s + (0 if told == TELLS else seen) if expected.all_s else None)
    assert (start.own_s, start.way, start.pod) == (expected.own_s, expected.way, expected.pod)


@pytest.mark.looptime
async def test_an_app_that_comes_back_later_has_started_once():
    app = App(0.0, b"open=0 all=10")
    readiness = Readiness([app])
    assert await readiness.ask()
    app.told = b"open=0 all=99"
    readiness.doubt()
    assert await readiness.ask()
    start = readiness.start(asyncio.get_running_loop().time(), "")
    assert start is not None and start.all_s == 0.01


async def test_a_get_probe_reads_what_the_app_tells():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nx-TIDEGATE-start:  open=1 way=plain \r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with servers.serving(answer) as port:
        assert await AppProbe(port, path="/", timeout_s=30).ask() == b"open=1 way=plain"
        assert await AppProbe(port, timeout_s=30).ask() == b""
