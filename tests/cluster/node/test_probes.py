"""Probes against small servers, and when they run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any

import pytest

from cluster.node import probe_plan, probes
from cluster.node.probe_plan import Probe, Results
from cluster.node.probes import Target
from tests.support import servers

PATIENCE_S = 30.0
TARGET = Target("127.0.0.1", {"ports": []}, {"PATH": os.environ["PATH"]}, "/")


def serving(answer: bytes, heard: list[bytes] | None = None) -> contextlib.AbstractAsyncContextManager[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(4096)
        if heard is not None:
            heard.append(data)
        writer.write(answer)
        await reader.read()

    return servers.serving(serve)


@pytest.mark.parametrize(("status", "succeeded"), [(200, True), (204, True), (302, True), (404, False), (503, False)])
async def test_http(status: int, succeeded: bool) -> None:
    heard: list[bytes] = []
    async with serving(b"HTTP/1.1 %d X\r\n\r\n" % status, heard) as port:
        headers = [{"name": "K-Network-Probe", "value": "queue"}, {"name": "host", "value": "me"}]
        action = {"httpGet": {"port": port, "path": "ok", "httpHeaders": headers}}
        done, text = await probes.run(action, TARGET, PATIENCE_S)
    assert done is succeeded
    assert text == f"HTTP probe answered with statuscode: {status}"
    request = heard[0].decode().split("\r\n")
    assert request[0] == "GET /ok HTTP/1.1"
    assert {"K-Network-Probe: queue", "host: me", "Connection: close"} <= set(request)
    assert not any(line.startswith("Host:") for line in request)


async def test_no_answer_in_time() -> None:
    async with serving(b"") as port:
        assert await probes.run({"httpGet": {"port": port}}, TARGET, 0.02) == (False, "no answer within 0.02 s")


async def test_an_answer_that_is_not_http() -> None:
    async with serving(b"220 smtp\r\n") as port:
        assert not (await probes.run({"httpGet": {"port": port}}, TARGET, PATIENCE_S))[0]


async def test_tcp() -> None:
    async with serving(b"") as port:
        assert await probes.run({"tcpSocket": {"port": port}}, TARGET, PATIENCE_S) == (True, "connected")
    with socket.socket() as taken:  # and not listened on, so that nobody else can listen there
        taken.bind(("127.0.0.1", 0))
        action = {"tcpSocket": {"port": taken.getsockname()[1]}}
        assert not (await probes.run(action, TARGET, PATIENCE_S))[0]


@pytest.mark.parametrize(
    ("command", "timeout_s", "succeeded"),
    [
        (["true"], PATIENCE_S, True),
        (["false"], PATIENCE_S, False),
        (["sleep", "60"], 0.05, False),
        (["no-such"], PATIENCE_S, False),
    ],
)
async def test_exec(command: list[str], timeout_s: float, succeeded: bool) -> None:
    assert (await probes.run({"exec": {"command": command}}, TARGET, timeout_s))[0] is succeeded


GRPC = [(b"\x08\x01", True), (b"\x08\x02", False), (b"", False)]


@pytest.mark.parametrize(("message", "succeeded"), GRPC)
async def test_grpc(message: bytes, succeeded: bool) -> None:
    body = b"\0" + len(message).to_bytes(4, "big") + message
    frames = probes._frame(4, 0, 0, b"") + probes._frame(0, 0, 1, body) + probes._frame(1, 5, 1, b"")
    heard: list[bytes] = []
    async with serving(frames, heard) as port:
        done, _ = await probes.run({"grpc": {"port": port, "service": "db"}}, TARGET, PATIENCE_S)
    assert done is succeeded
    assert heard[0].startswith(b"PRI * HTTP/2.0")
    assert b"/grpc.health.v1.Health/Check" in heard[0]
    assert heard[0].endswith(b"\0\0\0\0\x04\x0a\x02db")


async def test_nothing_to_do_succeeds() -> None:
    assert await probes.run({}, TARGET, PATIENCE_S) == (True, "")


def test_thresholds() -> None:
    probe = Probe({}, success_threshold=2, failure_threshold=3)
    results, verdicts = Results(), []
    for succeeded in (True, True, False, False, True, False, False, False, True, True):
        results = probe_plan.after(results, succeeded, probe)
        verdicts.append(results.verdict)
    assert verdicts == [None, True, True, True, True, True, True, False, False, True]


PAUSES = [(0.0, True, 0.005), (0.4, True, 0.02), (4.0, True, 0.2), (60.0, True, 2.0), (0.0, False, 2.0)]


@pytest.mark.parametrize(("waited_s", "is_fast", "pause_s"), PAUSES)
def test_pause(waited_s: float, is_fast: bool, pause_s: float) -> None:
    found = probe_plan.pause_s(Probe({}, period_s=2.0), waited_s, is_fast=is_fast)
    assert found == pytest.approx(pause_s)


def test_parse() -> None:
    spec: dict[str, Any] = {"initialDelaySeconds": 1, "periodSeconds": 2, "timeoutSeconds": 3, "failureThreshold": 4}
    assert probe_plan.parse(spec) == Probe(spec, 1.0, 2.0, 3.0, 1, 4)
    assert probe_plan.parse({}) == Probe({})
