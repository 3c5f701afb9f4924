"""Events are written a moment later, counted up on the server, and never in anybody's way."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.fake_api import FakeApi
from tidegate.kube import event_recorder, resources
from tidegate.kube.api import Unreachable
from tidegate.kube.event_recorder import Recorder
from tidegate.process import tasks

pytestmark = pytest.mark.looptime

SUBJECT = {
    "apiVersion": "serving.knative.dev/v1",
    "kind": "Revision",
    "metadata": {"name": "app-00001", "namespace": "default", "uid": "u"},
}


def recorder(api: FakeApi) -> Recorder:
    return Recorder(api, "autoscaler", asyncio.get_running_loop().time, tasks.spawn)


async def test_the_same_again_counts_up_on_the_server():
    api = FakeApi()
    told = recorder(api)
    for _ in range(3):
        told.tell(SUBJECT, "ScaledUp", "from 0 to 1")
        await asyncio.sleep(2)
    (event,) = api.all(resources.EVENTS)
    assert (event["reason"], event["count"], event["involvedObject"]["uid"]) == ("ScaledUp", 3, "u")
    assert told.counts == {"written": 3}


async def test_an_event_that_is_gone_is_written_anew():
    api = FakeApi()
    told = recorder(api)
    told.tell(SUBJECT, "ScaledUp", "from 0 to 1")
    await asyncio.sleep(2)
    (event,) = api.all(resources.EVENTS)
    await api.delete(resources.EVENTS, event["metadata"]["name"], "default")
    told.tell(SUBJECT, "ScaledUp", "from 0 to 1")
    await asyncio.sleep(2)
    (event,) = api.all(resources.EVENTS)
    assert event["count"] == 2


async def test_failures_and_floods_are_counted_and_hurt_nobody(monkeypatch):
    monkeypatch.setattr(event_recorder, "IN_FLIGHT", 2)
    api = FakeApi()
    api.refuse("create", resources.EVENTS, Unreachable("connection refused"))
    told = recorder(api)
    for number in range(3):
        told.tell(SUBJECT, f"Reason{number}", "text")
    await asyncio.sleep(2)
    assert told.counts == {"dropped": 1, "failed": 1, "written": 1}
    assert told.writing == []
