"""The examples as plain programs, without Tidegate: started as processes, asked over HTTP, ended by SIGTERM."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest
import yaml
from websockets.sync.client import connect

from examples.autoscale.__main__ import largest_prime, parse_query
from examples.digits import model as digits_model
from tests.support.hops import free_port

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/service.yaml"))


@contextmanager
def started(name: str, **env: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start an example on a port of its own; kill it at the end."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", f"examples.{name}"],
        cwd=ROOT,
        env={**os.environ, "PORT": str(port), "HOST": "127.0.0.1", **env},
    )
    try:
        wait_for_port(port, process)
        yield process, port
    finally:
        process.kill()
        process.wait()


@contextmanager
def running(name: str, **env: str) -> Iterator[int]:
    """Run an example, which ends well when it is asked to."""
    with started(name, **env) as (process, port):
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def wait_for_port(port: int, process: subprocess.Popen[bytes], timeout_s: float = 100.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
            return
        except OSError:
            time.sleep(0.005)
    raise AssertionError("the example did not start")


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_hello_greets_and_keeps_the_connection() -> None:
    with running("hello", TARGET="tests", K_REVISION="hello-00001") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(3):
            connection.request("GET", "/")
            answer = connection.getresponse()
            assert answer.status == 200
            assert answer.read() == b"Hello tests! (hello-00001)\n"
        connection.close()


def test_sigterm_lets_a_request_in_flight_finish() -> None:
    with started("echo") as (process, port), duplex(port) as (peer, stream):
        peer.sendall(b"1\r\na\r\n")
        assert stream.read(6) == b"1\r\na\r\n", "so the request is in the handler"
        process.send_signal(signal.SIGTERM)
        wait_until_refused(port)
        peer.sendall(b"1\r\nb\r\n0\r\n\r\n")
        assert stream.read() == b"1\r\nb\r\n0\r\nEcho-Bytes: 2\r\n\r\n"
        assert process.wait(timeout=60) == 0


@contextmanager
def duplex(port: int) -> Iterator[tuple[socket.socket, IO[bytes]]]:
    """Begin a request to the echo whose body and answer are on their way at the same time."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer, peer.makefile("rb") as stream:
        peer.sendall(b"POST /duplex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        while stream.readline() != b"\r\n":
            pass
        yield peer, stream


def wait_until_refused(port: int, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    with suppress(ConnectionRefusedError):
        while time.monotonic() < deadline:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
            time.sleep(0.005)
        raise AssertionError("the example still takes connections")


def test_autoscale_sleeps_side_by_side() -> None:
    with started("autoscale") as (_, port), ExitStack() as stack:
        for _ in range(30):
            sleeper = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            sleeper.sendall(b"GET /?sleep=600000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert ask(port, "GET", "/?sleep=1")[0] == 200, "it does not wait for those who sleep ten minutes"
        assert ask(port, "GET", "/?sleep=x")[0] == 400


@pytest.mark.parametrize(("limit", "prime"), [(0, 0), (1, 0), (2, 2), (3, 3), (10, 7), (100, 97), (20000, 19997)])
def test_largest_prime(limit: int, prime: int) -> None:
    assert largest_prime(limit) == prime


def test_autoscale_names_the_wrong_parameter() -> None:
    assert parse_query("sleep=5&other=1") == {"sleep": 5, "prime": 0, "bloat": 0}
    with pytest.raises(ValueError, match="bloat"):
        parse_query("bloat=-1")


def test_websocket_echoes_text_binary_and_large_messages() -> None:
    with running("websocket") as port:
        assert ask(port, "GET", "/")[0] == 200
        with connect(f"ws://127.0.0.1:{port}/", max_size=None, open_timeout=60) as peer:
            for message in ("hallo", b"\x00\xff", "x" * 200, b"y" * 300_000):
                peer.send(message)
                assert peer.recv(timeout=60) == message
            assert peer.ping().wait(timeout=60)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("suffix", [digits_model.TORCH_SUFFIX, digits_model.SKLEARN_SUFFIX])
def test_digits_trains_and_serves(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("torch" if suffix == digits_model.TORCH_SUFFIX else "sklearn")
    file = tmp_path / f"digits{suffix}"
    trained = subprocess.run(
        [sys.executable, "-m", "examples.digits.train", "--out", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "accuracy on held-out digits" in trained.stdout
    _, held_images, _, held_digits = digits_model.load_split()
    with running("digits", MODEL_FILE=str(file)) as port:
        body = json.dumps({"instances": held_images[:20].tolist()}).encode()
        status, answer = ask(port, "POST", "/v1/models/digits:predict", body)
        assert status == 200
        right = sum(a == b for a, b in zip(json.loads(answer)["predictions"], held_digits[:20].tolist(), strict=True))
        assert right >= 18
        status, answer = ask(port, "POST", "/v1/models/digits:predict", b'{"instances": [[1, 2]]}')
        assert status == 400
        assert "instances[0]" in json.loads(answer)["error"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_service_yaml_names_its_own_image(name: str) -> None:
    document = yaml.safe_load((ROOT / "examples" / name / "service.yaml").read_text())
    assert document["apiVersion"] == "serving.knative.dev/v1"
    assert document["metadata"]["name"] == name
    [container] = document["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"tidegate.dev/examples/{name}"


def test_echo_answers_in_every_shape() -> None:
    with running("echo") as port:
        assert ask(port, "POST", "/", b"hello") == (200, b"hello")
        assert ask(port, "GET", "/bytes?count=7") == (200, bytes(7))
        assert ask(port, "GET", "/wait?ms=10") == (200, b"waited\n")
        assert ask(port, "GET", "/events?count=2&ms=1") == (200, b"data: 0\n\ndata: 1\n\n")
        with duplex(port) as (peer, stream):
            for number in range(3):
                peer.sendall(b"1\r\n%d\r\n" % number)
                assert stream.read(6) == b"1\r\n%d\r\n" % number
            peer.sendall(b"0\r\n\r\n")
            assert stream.read() == b"0\r\nEcho-Bytes: 3\r\n\r\n"


def test_grpc_answers_its_health_and_a_call() -> None:
    import grpc

    with running("grpc") as port, grpc.insecure_channel(f"127.0.0.1:{port}") as calls:
        assert calls.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=60) == b"\x08\x01"
        assert calls.unary_unary("/example.Echo/Unary")(b"hi", timeout=60) == b"hi"
