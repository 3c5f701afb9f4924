"""Ten revisions rolled one after the other under a steady load: not one request fails."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from loadtest import load, tools
from loadtest.instance import Instance, example

NAME = "rolled"
HOST = f"{NAME}.default.localhost"
ROLLOUTS = 10
CONNECTIONS = 15
REQUESTS_PER_S = 600
"""As many as two cores carry beside ten rollouts: each starts two processes, and the clients are on the same cores."""
BETWEEN_S = 1.0
"""So long each revision stays: the first ones have lost their pods again, under load, before the last one comes."""
LIMIT_S = 200.0


class Seen:
    """What the load saw: answers by status, and the revisions that answered; `changed` tells of a new one."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.bad: list[load.Reply] = []
        self.revisions: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.changed = asyncio.Event()

    def add(self, reply: load.Reply, seconds: float) -> None:
        self.statuses[reply.status] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        revision = reply.body.decode().partition("(")[2].partition(")")[0]
        if reply.status != 200:
            self.bad.append(reply)
        elif revision not in self.revisions:
            self.changed.set()
        self.revisions[revision] += 1


async def test_no_request_fails_while_ten_revisions_are_rolled(instance: Instance) -> None:
    await _roll(instance, 0)
    await instance.wait_service_ready(NAME, 60)
    seen, rolled, began = Seen(), asyncio.Event(), time.monotonic()
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        for number in range(CONNECTIONS):
            group.create_task(_send(instance, seen, rolled, number / REQUESTS_PER_S))
        for number in range(ROLLOUTS + 1):
            if number:
                await _roll(instance, number)
            while f"{NAME}-{number + 1:05d}" not in seen.revisions:
                seen.changed.clear()
                await seen.changed.wait()
            await asyncio.sleep(BETWEEN_S)
        rolled.set()
    seconds, total = time.monotonic() - began, seen.statuses.total()
    print(f"{total} requests in {seconds:.1f} s ({total / seconds:.0f}/s), slowest {seen.slowest_s * 1000:.0f} ms")
    assert seen.statuses == {200: total}, seen.bad[:3]
    assert len(seen.revisions) == ROLLOUTS + 1
    assert total >= ROLLOUTS * CONNECTIONS  # a load that stood still proves nothing


async def _roll(instance: Instance, number: int) -> None:
    kept = {"autoscaling.knative.dev/min-scale": "1", "autoscaling.knative.dev/window": "6s"}
    await tools.apply(instance, example("hello", service=NAME, annotations=kept, env={"ROLLOUT": str(number)}))


async def _send(instance: Instance, seen: Seen, rolled: asyncio.Event, offset_s: float) -> None:
    """One keep-alive connection at its share of the rate; what comes late is sent at once, nothing is left out."""
    connection, pause_s = load.Connection("127.0.0.1", instance.port), CONNECTIONS / REQUESTS_PER_S
    due = time.monotonic() + offset_s
    try:
        while not rolled.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            begin = time.monotonic()
            seen.add(await connection.request(HOST, "/"), time.monotonic() - begin)
            due += pause_s
    finally:
        await connection.close()
