"""A generator's tokens arrive one by one: the model goes on only after its first token has reached the client.

From zero through the activator, and straight from gateway to pod; to clients of HTTP/1.1 and of HTTP/2.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtest.instance import Instance, eventually
from tidegate.contracts import names
from tidegate.kube import resources

MODES = {"0": "Serve", "-1": "Proxy"}
"""Target burst capacity, and the serving mode that follows from it while there is a pod."""


def document(name: str, burst: str) -> dict[str, Any]:
    annotations = {"initial-scale": "0", "target-burst-capacity": burst, "window": "60s"}
    arguments = ["tests.support.gated_writer:GatedWriter", "--model-name=gated"]
    template = {
        "metadata": {"annotations": {names.AUTOSCALING + key: value for key, value in annotations.items()}},
        "spec": {"containers": [{"image": "tidegate.dev/runtimes/python", "args": arguments}]},
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"template": template},
    }


async def tokens_arrive_one_by_one(instance: Instance, name: str, gate: Path, *, http2: bool) -> None:
    headers = {"Host": f"{name}.default.localhost"}
    asked = {"text_input": "", "parameters": {"gate": str(gate)}}
    async with httpx.AsyncClient(http1=not http2, http2=http2, headers=headers, timeout=60, trust_env=False) as client:
        url = f"http://127.0.0.1:{instance.port}/v2/models/gated/generate_stream"
        async with client.stream("POST", url, json=asked) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            texts = events(answer)
            assert await anext(texts) == "first"
            gate.touch()  # nothing else lets the model go on
            assert [text async for text in texts] == ["second", "last"]


async def events(answer: httpx.Response) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        if line:
            yield json.loads(line.removeprefix("data: "))["text_output"]


@pytest.mark.parametrize("burst", MODES)
async def test_tokens_arrive_one_by_one(instance: Instance, tmp_path: Path, burst: str) -> None:
    name = f"gated-{MODES[burst].lower()}"
    # Refused until the webhook has heard that an initial scale of 0 is allowed here.
    await eventually(lambda: instance.apply(document(name, burst)), 60, f"{name} is accepted")
    await instance.wait_service_ready(name, 60)
    revision = await instance.revision_of(name)
    assert await instance.pods_of(revision) == []
    await tokens_arrive_one_by_one(instance, name, tmp_path / "from-zero", http2=False)

    async def is_in_mode() -> bool:
        found = await instance.client.get(resources.POD_AUTOSCALERS, revision, "default")
        return (found.get("status") or {}).get("servingMode") == MODES[burst]

    await eventually(is_in_mode, 60, f"{name} is in mode {MODES[burst]}")
    async with asyncio.TaskGroup() as together:
        for http2 in (False, True):
            gate = tmp_path / f"warm-{http2}"
            together.create_task(tokens_arrive_one_by_one(instance, name, gate, http2=http2))
