"""Runs one probe or HTTP hook once: http, tcp, exec, grpc. Answers (succeeded, what was seen); never raises.

Plain sockets: a probe runs every few milliseconds while a pod starts. When it runs is `probe_plan`'s matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import struct
from dataclasses import dataclass, field

from cluster.node import ports, process
from cluster.node.privileges import Privileges
from cluster.node.users import User
from tidegate.kube.api import Object

BODY_SHOWN_BYTES = 512
REAP_TIMEOUT_S = 1.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_GRPC_SERVING = b"\x08\x01"

Outcome = tuple[bool, str]


@dataclass(frozen=True, slots=True)
class Target:
    """Against what: the pod's address, the container (for port names), and the command surroundings for exec."""

    host: str
    container: Object
    env: dict[str, str]
    cwd: str
    user: User | None = None
    privileges: Privileges = field(default_factory=Privileges)


async def run(action: Object, target: Target, timeout_s: float) -> Outcome:
    """Run the probe or hook `action` once."""
    try:
        async with asyncio.timeout(timeout_s):
            if found := action.get("httpGet"):
                return await _http(found, target)
            if found := action.get("tcpSocket"):
                return await _tcp(found, target)
            if found := action.get("grpc"):
                return await _grpc(found, target)
            if found := action.get("exec"):
                return await _exec(found, target)
            if found := action.get("sleep"):
                await asyncio.sleep(float(found.get("seconds") or 0))
            return True, ""
    except TimeoutError:
        return False, f"no answer within {timeout_s:g} s"
    except (OSError, ValueError, asyncio.IncompleteReadError, process.StartError) as error:
        return False, str(error) or type(error).__name__


async def _http(action: Object, target: Target) -> Outcome:
    host, port = action.get("host") or target.host, ports.probe_port(action.get("port", 0), target.container)
    context = _unverified() if action.get("scheme") == "HTTPS" else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(_request(action, host, port))
        status_line = await reader.readline()
        parts = status_line.split(b" ", 2)
        if len(parts) < 2 or not parts[1].isdigit():
            return False, "the answer is not HTTP"
        status = int(parts[1])
        return 200 <= status < 400, f"HTTP probe answered with statuscode: {status}"
    finally:
        writer.transport.abort()


def _request(action: Object, host: str, port: int) -> bytes:
    path = action.get("path") or "/"
    given = {one["name"]: one["value"] for one in action.get("httpHeaders") or []}
    names = {name.lower() for name in given}
    headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.33", "Accept": "*/*", "Connection": "close"}
    lines = [f"{name}: {value}" for name, value in headers.items() if name.lower() not in names]
    lines += [f"{name}: {value}" for name, value in given.items()]
    target = path if path.startswith("/") else f"/{path}"
    return "\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def _unverified() -> ssl.SSLContext:
    # The kubelet does not verify the certificates of probes either: they prove life, not identity.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _tcp(action: Object, target: Target) -> Outcome:
    port = ports.probe_port(action.get("port", 0), target.container)
    _, writer = await asyncio.open_connection(action.get("host") or target.host, port)
    writer.transport.abort()
    return True, "connected"


async def _exec(action: Object, target: Target) -> Outcome:
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        command = process.Command(
            action["command"],
            target.env,
            target.cwd,
            sink,
            sink,
            user=target.user,
            privileges=target.privileges,
        )
        child = process.start_plain(command)
    finally:
        os.close(sink)
    try:
        code = await asyncio.shield(child.ended)
        return code == 0, f"command {action['command'][0]!r} exited with {code}"
    finally:
        child.signal_group(signal.SIGKILL)
        await process.wait_ended(child, REAP_TIMEOUT_S)


async def _grpc(action: Object, target: Target) -> Outcome:
    """Call grpc.health.v1.Health/Check. One request needs no HPACK tables and no gRPC library."""
    # Kubernetes gives gRPC probes no host; the node itself sets one for a port that it moved.
    host, port = action.get("host") or target.host, ports.probe_port(action.get("port", 0), target.container)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(grpc_request(f"{host}:{port}", action.get("service") or ""))
        body = b""
        while len(body) < BODY_SHOWN_BYTES:
            head = await reader.readexactly(9)
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            payload = await reader.readexactly(length)
            if kind == 0:
                body += payload
            if kind == 4 and not flags & 1:
                writer.write(_frame(4, 1, 0, b""))
            if kind in (3, 7) or (kind in (0, 1) and flags & 1):
                break
        serving = body[5:].startswith(_GRPC_SERVING)
        return serving, "SERVING" if serving else "service is not SERVING"
    finally:
        with contextlib.suppress(OSError):
            writer.transport.abort()


def grpc_request(authority: str, service: str) -> bytes:
    """Return preface, settings, headers and message of one health check."""
    name = service.encode()
    message = b"\x0a" + bytes([len(name)]) + name if name else b""
    pairs = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/grpc.health.v1.Health/Check"),
        (b":authority", authority.encode()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ]
    # Literal fields without indexing and without Huffman coding (RFC 7541, 6.2.2).
    headers = b"".join(b"\0" + bytes([len(key)]) + key + bytes([len(value)]) + value for key, value in pairs)
    data = b"\0" + struct.pack(">I", len(message)) + message
    return _PREFACE + _frame(4, 0, 0, b"") + _frame(1, 4, 1, headers) + _frame(0, 1, 1, data)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
