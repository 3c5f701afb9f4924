"""One cluster for all conformance tests, a namespace for each, and a record of which behaviour held.

`make conformance` starts the cluster once and runs several tests at a time against it; a test run alone starts its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtest.instance import UP_TIMEOUT_S, Instance, free_port
from tests.conformance.cluster import RESULTS, STATE, start
from tests.conformance.world import World
from tidegate.kube import connect
from tidegate.kube.client import Client

HERE = Path(__file__).parent
for _module in ("pitfall_worlds", "pitfalls_of_objects", "pitfalls_of_requests", "pitfalls_of_scaling"):
    pytest.register_assert_rewrite(f"tests.conformance.{_module}")  # their tests are collected elsewhere


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(240))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    report, marker = outcome.get_result(), item.get_closest_marker("upstream")
    folder = os.environ.get(RESULTS)
    if marker is None or not folder or (report.when != "call" and report.passed):
        return
    reason = str(report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else "")
    record = {
        "suite": marker.args[0],
        "upstream": list(marker.args[1:]),
        "test": item.nodeid,
        "outcome": report.outcome,
        "reason": reason.removeprefix("Skipped: "),
        "seconds": round(report.duration, 1),
    }
    with (Path(folder) / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")


@contextlib.contextmanager
def started(folder: Path, *flags: str) -> Iterator[Instance]:
    instance = Instance(folder / "state", free_port())
    try:
        start(instance, *flags)
        yield instance
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            instance.tidegate("down", timeout_s=UP_TIMEOUT_S)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that is not below pytest's own, which no other user may enter."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def tls_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Instance, int]]:
    """A strict cluster, in which each component has its own rights and no others, and the gateway's port for TLS."""
    port = free_port()
    with started(tmp_path_factory.mktemp("tls"), "--strict", "--tls-port", str(port)) as instance:
        yield instance, port


@contextlib.asynccontextmanager
async def entered(instance: Instance) -> AsyncIterator[World]:
    async with Client(connect.load(instance.kubeconfig), user_agent="conformance") as client:
        instance.client = client
        world = World(instance)
        await world.enter()
        try:
            yield world
        finally:
            await world.leave()


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Instance]:
    if given := os.environ.get(STATE):
        state, _, port = given.rpartition(":")
        yield Instance(Path(state), int(port))
        return
    with open_folder() as folder, started(folder) as instance:
        yield instance


@pytest.fixture
async def world(running_cluster: Instance) -> AsyncIterator[World]:
    async with entered(running_cluster) as world:
        yield world


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Instance]:
    """A cluster that the tests of a file may change as they like."""
    with open_folder() as folder, started(folder) as instance:
        yield instance


@pytest.fixture
async def own_world(own_cluster: Instance) -> AsyncIterator[World]:
    """A namespace in a cluster that the tests of this file may change as they like."""
    async with entered(own_cluster) as world:
        yield world
