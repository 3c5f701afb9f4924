"""Several worker processes on one port: all serve, a dead one is replaced, figures are told together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config import Config
from gateway.workers import MISSES_LIMIT, Workers, _Worker
from tests.support.hops import App, client, free_port, running
from tidegate.contracts import programmed
from tidegate.contracts.programmed import Versions
from tidegate.process.admin import Page, json_page

ROOT = Path(__file__).parents[2]
HOST = "hello.default.localhost"


def test_a_number_of_workers_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="TIDEGATE_WORKERS"):
        Config(workers=0)


async def test_workers_have_what_each_of_them_has(monkeypatch):
    pages: dict[int, Page | None] = {}

    async def get(_host: str, port: int, target: str, _timeout_s: float) -> Page | None:
        assert target == programmed.question(Versions(7), 0.5)
        return pages[port]

    monkeypatch.setattr("gateway.workers.admin_client.get", get)
    workers = Workers(Config(workers=3), [])
    assert await workers.programmed(Versions(7), 0.5) is None, "nobody serves"
    for number, port in enumerate((11, 12, 0)):  # the third has not told where its pages are, so it has no tables
        nobody: Any = None
        workers._living[number] = _Worker(number, nobody, nobody, port)
    table = (
        (json_page(Versions(7, 2)), json_page(Versions(9, 1)), Versions(7, 1)),
        (json_page(Versions(7, 2)), None, None),
        (json_page(Versions(7, 2)), Page(503, b"later"), None),
    )
    for pages[11], pages[12], told in table:
        assert await workers.programmed(Versions(7), 0.5) == told


class Process:
    pid = 7

    def __init__(self) -> None:
        self.kills = 0

    def kill(self) -> None:
        self.kills += 1


def test_only_a_worker_that_misses_looks_in_a_row_is_ended():
    workers, process = Workers(Config(workers=2), []), Process()
    anything: Any = process
    worker = workers._living[1] = _Worker(1, anything, anything, 11)
    for _ in range(MISSES_LIMIT - 1):
        workers._end_hung([worker], set())
    workers._end_hung([worker], {1})
    for _ in range(MISSES_LIMIT - 1):
        workers._end_hung([worker], set())
    assert process.kills == 0
    workers._end_hung([worker], set())
    assert process.kills == 1
    del workers._living[1]
    workers._end_hung([worker], set())
    assert process.kills == 1, "it ended while it was asked"


async def test_workers_share_the_port_and_are_replaced(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("gateway.workers.PAGE_TIMEOUT_S", 60.0)
    port, admin = free_port(), free_port()
    config = Config(workers=2, admin_port=admin, metrics_port=free_port(), drain_quiet_s=0.0, drain_timeout_s=60.0)
    async with App().running() as app, client() as fetch:
        script = [sys.executable, str(ROOT / "tests/support/gateway_worker.py"), f"127.0.0.1:{port}", str(app.port)]
        workers = Workers(config, script)
        async with running(workers.run, admin, freezes=False) as hop, asyncio.timeout(110):

            async def all_ready() -> None:
                while len(await workers.pages("/readyz")) < 2:
                    await asyncio.sleep(0.02)
                assert (await fetch(port, "/", host=HOST)).status == 200

            async def values() -> dict[str, str]:
                lines = (await fetch(admin, "/metrics")).body.decode().splitlines()
                return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

            async def refused() -> float:
                return float((await values()).get('tidegate_gateway_own_answers_total{reason="no_route"}', 0))

            async def counted() -> tuple[float, float]:
                values_now = await values()
                done = values_now['tidegate_gateway_requests_total{code_class="2xx",reason=""}']
                return float(done), float(values_now["tidegate_gateway_workers"])

            await all_ready()
            before, living = await counted()
            assert living == 2
            replies = [await fetch(port, host=HOST, connection="close") for _ in range(40)]
            assert {reply.status for reply in replies} == {200}
            assert (await counted())[0] == before + 40
            for _ in range(10):
                assert (await fetch(port, host="nobody", connection="close")).reason == "no_route"
            assert await refused() == 10
            shares = [page.count(b"tidegate_gateway_picks_total") for page in await workers.pages("/metrics")]
            assert len(shares) == 2

            victim = next(iter(workers._living.values()))
            os.kill(victim.process.pid, signal.SIGKILL)
            await victim.process.wait()
            while victim.number in workers._living:
                await asyncio.sleep(0.01)
            await all_ready()
            after, living = await counted()
            assert (after >= before + 40, living) == (True, 2)
            assert await refused() == 10, "what a worker that died had counted stays"
            assert msgspec.json.decode((await fetch(admin, "/wakes")).body) == []
            assert HOST in msgspec.json.decode((await fetch(admin, "/routes")).body)
            one = [programmed.read_answer(page) for page in await workers.pages("/programmed")]
            assert len(one) == 2
            told = programmed.read_answer((await fetch(admin, "/programmed?routes=1")).body)
            assert told == programmed.common(found for found in one if found)
            assert (await fetch(admin, "/programmed?routes=x")).status == 400
            assert (await fetch(admin, "/readyz")).status == 200

            hung = next(iter(workers._living.values()))
            monkeypatch.setattr("gateway.workers.PAGE_TIMEOUT_S", 0.2)
            os.kill(hung.process.pid, signal.SIGSTOP)
            for _ in range(MISSES_LIMIT):
                workers._end_hung([hung], await workers._look())
            await hung.process.wait()
            while hung.number in workers._living:
                await asyncio.sleep(0.01)
            monkeypatch.setattr("gateway.workers.PAGE_TIMEOUT_S", 60.0)
            await all_ready()
            left = [worker.process for worker in workers._living.values()]
            hop.stopping.set()
            await hop.task
        assert [process.returncode for process in left] == [0, 0]
