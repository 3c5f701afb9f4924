"""The whole process against a scripted API server: reports over a real socket in, patches out."""

from __future__ import annotations

import asyncio
import base64
import logging
import time

import pytest

from autoscaler.__main__ import serve
from autoscaler.config import Config
from tests.support.fake_api import FakeApi
from tidegate.contracts import names, report
from tidegate.kube import resources
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


@pytest.mark.slow
async def test_a_poke_becomes_a_patched_scale_within_milliseconds(caplog):
    caplog.set_level(logging.INFO)
    api = FakeApi()
    secret = {"key": base64.b64encode(KEY.hex().encode()).decode()}
    api.put(
        resources.SECRETS, {"metadata": {"name": "report-key", "namespace": names.SYSTEM_NAMESPACE}, "data": secret}
    )
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
    stopping = asyncio.Event()
    config = Config(report_port=0, admin_port=0, metrics_port=0)
    process = tasks.spawn(serve(config, api, stopping), "autoscaler")
    async with asyncio.timeout(20):
        port = await port_of(caplog)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        token = report.token(KEY, "*", report.ANY_REVISION)
        writer.write(report.encode(report.Hello("activator", "activator-1", "*", report.ANY_REVISION, token)))
        first = report.Report("default", "hello-00001", 1, 0.0, 0.0, in_flight=1, is_first=True)
        started = time.perf_counter()
        writer.write(report.encode(first))
        while api.peek(resources.DEPLOYMENTS, "hello-00001-deployment", "default")["spec"]["replicas"] != 1:
            await asyncio.sleep(0)
        took_s = time.perf_counter() - started
        while not (api.peek(resources.POD_AUTOSCALERS, "hello-00001", "default").get("status") or {}).get(
            "desiredScale"
        ):
            await asyncio.sleep(0)

    writer.close()
    stopping.set()
    await process
    assert took_s < 0.25


async def port_of(caplog):
    while True:
        for record in caplog.records:
            if record.name == "autoscaler" and record.getMessage().startswith("reports on"):
                return int(record.getMessage().rpartition(":")[2])
        await asyncio.sleep(0.01)
