"""The watch: what changes in the API is what the pipeline sees, and nothing else moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.watch import Watch
from tests.support.fake_api import FakeApi
from tests.support.serving import put_autoscaler, put_pods, put_route, put_system
from tidegate.contracts import names, session_affinity
from tidegate.contracts.decision import ServingMode
from tidegate.kube import resources
from tidegate.process import tasks

KEY = ("default", "hello-00001")


@pytest.fixture
async def api():
    return FakeApi()


@pytest.fixture
async def watch(api):
    put_route(api, "hello", [{"revisionName": "hello-00001", "percent": 100}])
    watch = Watch(api, names.SYSTEM_NAMESPACE)
    running = watch.start()
    await watch.wait_synced(30.0)
    yield watch
    await tasks.cancel(*running)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def test_routes_come_change_and_go(api, watch):
    assert watch.is_synced
    assert watch.table["hello.default.localhost"].turn().key == KEY
    before = watch.table
    put_route(api, "other", [{"revisionName": "other-00001", "percent": 100}])
    await until(lambda: "other.default.localhost" in watch.table)
    assert "other.default.localhost" not in before
    assert watch.table["hello.default.localhost"] is before["hello.default.localhost"]
    await api.delete(resources.ROUTES, "other", "default")
    await until(lambda: "other.default.localhost" not in watch.table)


async def test_the_tables_have_come_as_far_as_they_are_swapped(api, watch):
    told = []
    watch.on_tables = lambda: told.append((watch.programmed.routes, "other.default.localhost" in watch.table))
    before = watch.programmed
    put_route(api, "other", [{"revisionName": "other-00001", "percent": 100}])
    version = int(api.peek(resources.ROUTES, "other", "default")["metadata"]["resourceVersion"])
    assert watch.programmed == before, "it is stored, and not here yet"
    await until(lambda: bool(told))
    assert told == [(version, True)]
    assert before.routes < version


async def test_a_mapping_is_told_of_by_its_own_version(api, watch):
    mapping = {"metadata": {"name": "www.example.org", "namespace": "default"}}
    mapping["status"] = {"annotations": {names.MAPPED_TO_ANNOTATION: "hello.default.svc.cluster.local"}}
    stored = api.put(resources.DOMAIN_MAPPINGS, mapping) and api.peek(
        resources.DOMAIN_MAPPINGS, "www.example.org", "default"
    )
    version = int(stored["metadata"]["resourceVersion"])
    await until(lambda: watch.programmed.mappings >= version)
    assert "www.example.org" in watch.table


async def test_mode_concurrency_and_pods_of_a_revision(api, watch):
    assert watch.backend(KEY).is_cold
    put_autoscaler(api, "hello-00001", "Serve", concurrency=3)
    put_pods(api, "hello-00001", [("10.0.0.1", True), ("10.0.0.2", False)])
    await until(lambda: not watch.backend(KEY).is_cold and watch.backend(KEY).mode is ServingMode.SERVE)
    backend = watch.backend(KEY)
    assert set(backend.pods.addresses) == {("10.0.0.1", 8012)}
    assert backend.pods.limit == 3
    put_autoscaler(api, "hello-00001", "Proxy")
    await until(lambda: backend.mode is ServingMode.PROXY)


async def test_session_affinity_comes_and_goes_with_its_annotation(api, watch, caplog):
    put_pods(api, "hello-00001", [("10.0.0.1", True)])
    for text, has_sessions in (("cookie", True), ("nonsense", False), ("header:x-user", True), ("", False)):
        metadata = {"name": "hello-00001", "namespace": "default", "annotations": {session_affinity.ANNOTATION: text}}
        metadata["labels"] = {names.REVISION_UID_LABEL: "uid"}
        api.put(resources.POD_AUTOSCALERS, {"metadata": metadata, "spec": {}})
        await until(lambda wanted=has_sessions: (watch.backend(KEY).sessions is not None) is wanted)
    assert caplog.text.count("nonsense") == 1
    metadata["annotations"] = {session_affinity.ANNOTATION: "cookie"}
    api.put(resources.POD_AUTOSCALERS, {"metadata": metadata, "spec": {}})
    await until(lambda: watch.backend(KEY).sessions is not None)
    put_pods(api, "hello-00001", [("10.0.0.7", True)])
    await until(lambda: bool(watch.backend(KEY).sessions.cookie_line(("10.0.0.7", 8012), is_secure=False)))


async def test_a_deleted_revision_is_forgotten(api, watch):
    put_autoscaler(api, "hello-00001", "Serve")
    put_pods(api, "hello-00001", [("10.0.0.1", True)])
    await until(lambda: not watch.backend(KEY).is_cold)
    old = watch.backend(KEY)
    await api.delete(resources.POD_AUTOSCALERS, "hello-00001", "default")
    await until(lambda: old.mode is ServingMode.PROXY)
    assert watch.backend(KEY) is old
    await api.delete(resources.ENDPOINT_SLICES, "hello-00001-private-x", "default")
    await until(lambda: old.is_cold)
    assert watch.backend(KEY) is not old


async def test_activators_and_the_news_of_them(api, watch):
    news = []
    watch.on_endpoints = lambda: news.append(set(watch.activators.addresses))
    put_system(api, names.ACTIVATOR_SERVICE, [("10.0.9.1", True), ("10.0.9.2", False)])
    await until(lambda: bool(news))
    assert news == [{("10.0.9.1", 8012)}]
