"""What becomes of runs that fail, are overtaken, or find nothing to do."""

import asyncio

import pytest

from tests.support.controller_world import NAMESPACE, controller_world, service
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Unreachable

pytestmark = pytest.mark.looptime
KSVC = resources.KNATIVE_SERVICES


async def test_one_object_that_fails_does_not_hold_up_others(looptime):
    async with controller_world() as world:
        world.api.refuse("create", resources.CONFIGURATIONS, ApiError(500, "InternalError", "broken"))
        await world.api.create(KSVC, service("bad"))
        world._deliver()
        await asyncio.sleep(0)
        await world.apply(service("good"))
        assert world.get(resources.REVISIONS, "good-00001")
        assert world.get(resources.REVISIONS, "bad-00001")
        assert looptime >= 0.05


async def test_an_unreachable_server_is_tried_again():
    async with controller_world() as world:
        for _ in range(3):
            world.api.refuse("patch", resources.CONFIGURATIONS, Unreachable("connection refused"))
        await world.apply(service())
        assert world.get(resources.REVISIONS, "hello-00001")


async def test_being_overtaken_is_no_failure():
    async with controller_world() as world:
        await world.apply(service())
        conflict = ApiError(409, "Conflict", "the object has been modified")
        world.api.refuse("patch", resources.REVISIONS, conflict)
        await world.make_ready("hello-00001")
        await world.apply(service(image="hello:2"))
        assert world.condition(resources.REVISIONS, "hello-00001")[0] == "True"


async def test_a_bug_in_one_key_is_logged_and_backs_off(caplog, monkeypatch):
    async with controller_world() as world:
        calls = []

        def broken(*_):
            calls.append(1)
            if len(calls) < 3:
                raise RuntimeError("a bug")
            from controller.reconcile.outcome import Outcome

            return Outcome()

        monkeypatch.setattr("controller.gather.decide", broken)
        await world.api.create(KSVC, service())
        await world.settle()
        assert len(calls) == 3
        assert "a bug" in caplog.text


async def test_a_service_that_is_gone_needs_nothing():
    async with controller_world() as world:
        await world.apply(service())
        await world.api.delete(KSVC, "hello", NAMESPACE)
        before = len(world.api.calls)
        await world.settle()
        assert world.api.calls[before:] == []
