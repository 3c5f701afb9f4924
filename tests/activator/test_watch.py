"""The watch: API objects become revisions, endpoints, the autoscaler's address and the report key."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import pytest

from activator.watch import Watch, parse_revision
from tests.support.fake_api import FakeApi
from tests.support.serving import put_pods, put_revision, put_system
from tidegate.contracts import names
from tidegate.kube import resources
from tidegate.kube.endpoints import Endpoints
from tidegate.process import tasks

KEY = ("default", "hello-00001")


@pytest.fixture
async def api():
    return FakeApi()


@pytest.fixture
async def watch(api):
    watch = Watch(api, names.SYSTEM_NAMESPACE, 1.0)
    running = watch.start()
    await until(lambda: watch.is_synced)
    yield watch
    await tasks.cancel(*running)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("spec", "concurrency", "total_s", "idle_s", "may_hurry"),
    [
        ({}, 0, 300, 0, True),
        ({"containerConcurrency": 3, "timeoutSeconds": 10, "idleTimeoutSeconds": 4}, 3, 10, 4, True),
        ({"containers": [{"readinessProbe": {"httpGet": {}}}]}, 0, 300, 0, True),
        ({"containers": [{"readinessProbe": {"exec": {}}}]}, 0, 300, 0, False),
        ({"containers": [{}, {"startupProbe": {"httpGet": {}}}]}, 0, 300, 0, False),
    ],
)
def test_what_matters_of_a_revision(spec, concurrency, total_s, idle_s, may_hurry):
    revision = parse_revision({"metadata": {}, "spec": spec}, 1.0)
    assert (revision.container_concurrency, revision.may_hurry) == (concurrency, may_hurry)
    assert (revision.timeouts.total_s, revision.timeouts.idle_s, revision.timeouts.connect_s) == (total_s, idle_s, 1.0)


async def test_a_revision_that_comes_is_waited_for(api, watch):
    assert watch.revision(KEY) is None
    waiting = tasks.spawn(watch.wait_for_revision(KEY, 60.0), "wait")
    await asyncio.sleep(0)
    put_revision(api, "hello-00001", containerConcurrency=2)
    revision = await waiting
    assert revision is not None and revision.container_concurrency == 2


async def test_a_revision_that_never_comes(watch):
    assert await watch.wait_for_revision(KEY, 0.01) is None


async def test_a_deleted_revision_is_told(api, watch):
    gone = []
    watch.on_revision_gone = gone.append
    put_revision(api, "hello-00001")
    await until(lambda: watch.revision(KEY))
    await api.delete(resources.REVISIONS, "hello-00001", "default")
    await until(lambda: gone)
    assert gone == [KEY]
    assert watch.revision(KEY) is None


async def test_endpoints_of_one_revision_are_told_alone(api, watch):
    told: list[tuple[object, Endpoints]] = []
    watch.on_endpoints = lambda key, found: told.append((key, found))
    put_pods(api, "hello-00001", [("10.0.0.1", False)])
    await until(lambda: told)
    assert told == [(KEY, Endpoints(frozenset(), frozenset({("10.0.0.1", 8012)})))]


async def test_the_way_to_the_autoscaler(api, watch):
    changes = []
    watch.on_link_changed = lambda: changes.append(None)
    assert not watch.autoscaler_addresses()
    assert watch.report_key() is None
    put_system(api, names.AUTOSCALER_SERVICE, [("10.0.9.1", True)], 8080, "reports")
    secret = {"metadata": {"name": "report-key", "namespace": names.SYSTEM_NAMESPACE}}
    api.put(resources.SECRETS, {**secret, "data": {"key": base64.b64encode(b"ab" * 32).decode()}})
    await until(lambda: len(changes) == 2)
    assert watch.autoscaler_addresses() == {("10.0.9.1", 8080)}
    assert watch.report_key() == b"\xab" * 32
    api.put(resources.SECRETS, {**secret, "data": {"key": "!"}})
    await until(lambda: len(changes) == 3)
    assert watch.report_key() is None
