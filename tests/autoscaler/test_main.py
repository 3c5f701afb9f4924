"""The whole process against a scripted API server: reports over a real socket in, patches out."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging

import pytest
import uvloop

from autoscaler.__main__ import serve
from autoscaler.config import Config
from tests.support.fake_api import FakeApi
from tests.support.turning import inactive
from tidegate.contracts import names, report
from tidegate.kube import resources
from tidegate.kube.api import Unreachable
from tidegate.process import tasks

KEY = bytes(range(32))


def autoscaler_object(**annotations):
    labels = {
        names.SERVICE_LABEL: "hello",
        names.REVISION_LABEL: "hello-00001",
        names.REVISION_UID_LABEL: "revision-uid",
    }
    return {
        "metadata": {
            "name": "hello-00001",
            "namespace": "default",
            "generation": 1,
            "labels": labels,
            "annotations": {names.AUTOSCALING + key.replace("_", "-"): value for key, value in annotations.items()},
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello-00001-deployment"},
            "reachability": "Reachable",
            "protocolType": "http1",
            "containerConcurrency": 0,
        },
    }


def put_everything(api: FakeApi) -> None:
    secret = {"key": base64.b64encode(KEY.hex().encode()).decode()}
    metadata = {"name": "report-key", "namespace": names.SYSTEM_NAMESPACE}
    api.put(resources.SECRETS, {"metadata": metadata, "data": secret})
    api.put(
        resources.DEPLOYMENTS,
        {
            "metadata": {
                "name": "hello-00001-deployment",
                "namespace": "default",
                "labels": {names.REVISION_LABEL: "hello-00001"},
            },
            "spec": {"replicas": 0},
        },
    )
    api.put(resources.POD_AUTOSCALERS, autoscaler_object(initial_scale="1"))


@pytest.mark.slow
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_poke_becomes_a_patched_scale_without_a_turn_of_all_revisions(caplog, monkeypatch, new_loop):
    """On both loops: uvloop's transports are not what asyncio's are. No turn comes: nothing but the poke acts."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("autoscaler.loop.Loop.run", no_turns)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(wake(caplog))


async def no_turns(_self) -> None:
    await asyncio.Event().wait()


async def wake(caplog) -> None:
    api = FakeApi()
    put_everything(api)
    api.put(resources.POD_AUTOSCALERS, autoscaler_object() | {"status": inactive()})
    stopping = asyncio.Event()
    config = Config(report_port=0, admin_port=0, metrics_port=0)
    process = tasks.spawn(serve(config, api, stopping), "autoscaler")
    async with asyncio.timeout(20):
        port = await port_of(caplog)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        token = report.token(KEY, "", report.ANY_REVISION)
        writer.write(report.encode(report.Hello("activator", "activator-1", "", report.ANY_REVISION, token)))
        first = report.Report("default", "hello-00001", 1, 0.0, 0.0, in_flight=1, is_first=True)
        assert replicas(api) == desired(api) == 0
        writer.write(report.encode(first))
        while replicas(api) != 1 or desired(api) != 1:
            await asyncio.sleep(0)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        stopping.set()
        await process


def replicas(api: FakeApi) -> int:
    return api.peek(resources.DEPLOYMENTS, "hello-00001-deployment", "default")["spec"]["replicas"]


def desired(api: FakeApi) -> int | None:
    return (api.peek(resources.POD_AUTOSCALERS, "hello-00001", "default").get("status") or {}).get("desiredScale")


async def test_what_crashes_ends_the_process(monkeypatch):
    """A process without turns would look healthy and scale nothing: it must end, to be started anew."""

    async def crash(_self):
        raise ZeroDivisionError

    monkeypatch.setattr("autoscaler.loop.Loop.run", crash)
    api = FakeApi()
    put_everything(api)
    config = Config(report_port=0, admin_port=0, metrics_port=0)
    async with asyncio.timeout(20):
        with pytest.raises(ZeroDivisionError):
            await serve(config, api, asyncio.Event())


async def test_it_stops_while_the_api_server_is_away():
    api = FakeApi()
    api.refuse("list", resources.PODS, Unreachable("connection refused"), times=1000)
    stopping = asyncio.Event()
    config = Config(report_port=0, admin_port=0, metrics_port=0)
    process = tasks.spawn(serve(config, api, stopping), "autoscaler")
    for _ in range(20):
        await asyncio.sleep(0)
    stopping.set()
    async with asyncio.timeout(20):
        await process


def test_a_port_out_of_range_is_refused():
    with pytest.raises(ValueError, match="report_port"):
        Config(report_port=70000)


async def port_of(caplog):
    while True:
        for record in caplog.records:
            if record.name == "autoscaler" and record.getMessage().startswith("reports on"):
                return int(record.getMessage().rpartition(":")[2])
        await asyncio.sleep(0.01)
