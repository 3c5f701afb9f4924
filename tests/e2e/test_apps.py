"""Apps of other kinds through all hops: a model from zero, a WebSocket, streaming, headers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from websockets.asyncio.client import connect

from examples.digits import model
from loadtest import load, tools
from loadtest.instance import Instance, example

SHORT = {"autoscaling.knative.dev/window": "6s"}


async def test_the_digits_model_answers_from_zero(instance: Instance, digits_model: Path) -> None:
    document = example("digits", annotations=SHORT, env={"MODEL_FILE": str(digits_model)})
    await tools.apply(instance, document)
    await tools.wait_ready(instance, "digits", 120)
    await instance.wait_zero(await instance.revision_of("digits"), 90)
    _, held_images, _, held_digits = model.load_split()
    body = json.dumps({"instances": held_images[:10].tolist()}).encode()
    reply = await load.get(
        instance.port, "digits.default.localhost", "/v1/models/digits:predict", method="POST", body=body
    )
    assert reply.status == 200, reply
    predicted = json.loads(reply.body)["predictions"]
    assert sum(a == b for a, b in zip(predicted, held_digits[:10].tolist(), strict=True)) >= 9


async def test_a_websocket_passes_all_hops_from_zero(instance: Instance) -> None:
    await tools.apply(instance, example("websocket", annotations=SHORT))
    await tools.wait_ready(instance, "websocket")
    await instance.wait_zero(await instance.revision_of("websocket"))
    async with connect(
        f"ws://websocket.default.localhost:{instance.port}/", host="127.0.0.1", open_timeout=60, max_size=None
    ) as peer:
        for message in ("hallo", b"\x00\x01", "long " * 20_000):
            await peer.send(message)
            assert await asyncio.wait_for(peer.recv(), 60) == message


async def test_the_app_sees_forwarding_headers_and_none_of_ours(instance: Instance) -> None:
    await tools.apply(instance, example("hello", service="headers", annotations=SHORT))
    await tools.wait_ready(instance, "headers")
    reply = await load.get(instance.port, "headers.default.localhost", "/headers")
    seen = dict(line.split(": ", 1) for line in reply.body.decode().splitlines())
    assert seen["host"] == "headers.default.localhost"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-for"].split(",")[0].strip() == "127.0.0.1"
    assert not [name for name in seen if name.startswith(("knative-serving-", "k-", "x-tidegate-"))]
