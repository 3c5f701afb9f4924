"""What containers use: all processes of a session together, as the node tells it."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from cluster.node import usage
from cluster.node.kubelet import Kubelet
from tests.cluster.node.conftest import World, pod


def put(proc: Path, pid: int, session: int, ticks: int, pages: int) -> None:
    fields = ["S", "1", str(pid), str(session), *["0"] * 7, str(ticks), "0", str(ticks), "0", *["0"] * 6, str(pages)]
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "stat").write_text(f"{pid} (a) name) {' '.join(fields)} 0 0\n")


def test_processes_are_added_up_by_session(tmp_path: Path) -> None:
    for pid, session in ((10, 10), (11, 10), (12, 12), (13, 13)):
        put(tmp_path, pid, session, 50, 3)
    (tmp_path / "14").mkdir()
    (tmp_path / "self").mkdir()
    one = usage.Usage(100 * usage.TICK_S, 3 * usage.PAGE_BYTES)
    found = usage.of_sessions([10, 12, 99], tmp_path)
    assert found == {10: usage.Usage(2 * one.cpu_s, 2 * one.memory_bytes), 12: one, 99: usage.Usage()}


async def test_the_node_tells_what_a_busy_pod_uses(world: World) -> None:
    await world.run(pod("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; sleep 60; true"))
    await world.until(lambda: world.output() == ["done"])
    kubelet = Kubelet(world.agent, "s3cret")
    url = f"http://127.0.0.1:{await kubelet.start(0)}/stats/summary"
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as refused:
                assert refused.status == 401
            async with session.get(url, headers={"Authorization": "Bearer s3cret"}) as answer:
                document = await answer.json()
    finally:
        await kubelet.stop()
    assert document["pods"][0]["podRef"] == {"namespace": "default", "name": "p"}
    container = document["pods"][0]["containers"][0]
    assert container["name"] == "c"
    assert container["cpu"]["usageCoreNanoSeconds"] > 0
    assert container["memory"]["workingSetBytes"] > 100_000
