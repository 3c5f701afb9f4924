"""TLS on the gateway: real handshakes, certificates that change under it, files that are no good."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import ssl
from pathlib import Path

import aiohttp
import pytest

from gateway import certificate as certificates
from gateway.__main__ import serve
from gateway.certificate import Certificate
from gateway.config import Config
from queueproxy.__main__ import serve as serve_pod
from queueproxy.config import Config as PodConfig
from tests.support.certificates import write
from tests.support.fake_api import FakeApi
from tests.support.hops import App, client, free_port, running
from tests.support.serving import put_autoscaler, put_pods, put_revision, put_route
from tidegate.process.settings import SettingsError

HOST = "hello.default.localhost"
REVISION = "hello-00001"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    pair = tmp_path / "tls.crt", tmp_path / "tls.key"
    write(*pair, "first.example")
    return pair


async def seen(port: int, server_name: str | None = HOST) -> tuple[str, str | None]:
    """Return the name in the certificate that a client is shown, and the protocol agreed on."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name or "")
    encryption = writer.get_extra_info("ssl_object")
    shown = encryption.getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    name = "first" if b"first.example" in shown else "second" if b"second.example" in shown else "?"
    return name, encryption.selected_alpn_protocol()


@contextlib.asynccontextmanager
async def tls_gateway(api: FakeApi, files: tuple[Path, Path]):
    ports = [free_port() for _ in range(4)]
    config = Config(
        listen=f"127.0.0.1:{ports[0]}",
        tls_listen=f"127.0.0.1:{ports[1]}",
        tls_cert_file=str(files[0]),
        tls_key_file=str(files[1]),
        admin_port=ports[2],
        metrics_port=ports[3],
        drain_quiet_s=0.0,
    )
    async with running(lambda stopping: serve(config, api, stopping), ports[1]):
        yield ports


async def test_a_request_over_tls_says_https_and_counts_like_every_other(files):
    api, pod_port = FakeApi(), free_port()
    put_route(api, "hello", [{"revisionName": REVISION, "percent": 100}])
    put_revision(api, REVISION)
    put_autoscaler(api, REVISION, "Serve")
    put_pods(api, REVISION, [("127.0.0.1", True)], port=pod_port)
    async with App().running() as app, client() as fetch, aiohttp.ClientSession() as session:
        pod = PodConfig(
            serving_port=pod_port,
            user_port=app.port,
            drain_idle_s=0.0,
            admin_port=free_port(),
            metrics_port=free_port(),
        )
        async with running(lambda stopping: serve_pod(pod, stopping), pod_port), tls_gateway(api, files) as ports:
            context = ssl.create_default_context(cafile=str(files[0]))
            url = f"https://127.0.0.1:{ports[1]}/"
            for body in (b"", b"x" * 900_000):
                async with session.post(url, headers={"Host": HOST}, data=body, ssl=context) as reply:
                    assert (reply.status, await reply.read()) == (200, str(len(body)).encode())
            assert {head["x-forwarded-proto"] for head in app.heads} == {"https"}
            assert "proto=https" in app.heads[0]["forwarded"]
            socket_url = f"wss://127.0.0.1:{ports[1]}/socket"
            async with session.ws_connect(socket_url, headers={"Host": HOST}, ssl=context) as connection:
                await connection.send_str("hello")
                assert await connection.receive_str(timeout=30) == "hello"
            assert (await fetch(ports[0], host=HOST)).status == 200
            assert app.heads[-1]["x-forwarded-proto"] == "http"
            metrics = (await fetch(ports[2], "/metrics")).body
            assert b'tidegate_gateway_requests_total{code_class="2xx",reason=""} 3.0' in metrics


@contextlib.asynccontextmanager
async def serving_over_tls(files, app_port: int, protocol: str = "http1"):
    """Give the TLS port of a gateway in front of a pod."""
    api, pod_port = FakeApi(), free_port()
    put_route(api, "hello", [{"revisionName": REVISION, "percent": 100}])
    put_revision(api, REVISION)
    put_autoscaler(api, REVISION, "Serve")
    put_pods(api, REVISION, [("127.0.0.1", True)], port=pod_port)
    ports = {"admin_port": free_port(), "metrics_port": free_port()}
    pod = PodConfig(serving_port=pod_port, user_port=app_port, user_protocol=protocol, drain_idle_s=0.0, **ports)
    async with running(lambda stopping: serve_pod(pod, stopping), pod_port), tls_gateway(api, files) as ports:
        yield ports[1]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("option", "version"), [("--http2", b"2"), ("--http1.1", b"1.1"), ("--no-alpn", b"1.1")])
async def test_curl_agrees_on_a_version_by_alpn(files, option, version):
    write(*files, HOST)
    async with App().running() as app, serving_over_tls(files, app.port) as port:
        process = await asyncio.create_subprocess_exec(
            *("curl", "-q", "-sS", "--noproxy", "*", option, "--cacert", str(files[0])),
            *("--resolve", f"{HOST}:{port}:127.0.0.1", "-d", "hello", "-w", " %{http_version} %{http_code}", f"https://{HOST}:{port}/"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        if b"unsupported" in err or process.returncode == 1:
            pytest.skip("this curl has no HTTP/2")
        assert out == b"5 %b 200" % version
        assert app.heads[0]["x-forwarded-proto"] == "https"


async def test_httpx_by_http2(files):
    httpx = pytest.importorskip("httpx")
    write(*files, HOST)
    async with App().running() as app, serving_over_tls(files, app.port) as port:
        verify = ssl.create_default_context(cafile=str(files[0]))
        async with httpx.AsyncClient(http2=True, verify=verify, trust_env=False, timeout=60) as session:
            url, headers = f"https://127.0.0.1:{port}/", {"Host": HOST}
            replies = await asyncio.gather(
                *(session.post(url, headers=headers, content=bytes(300_000)) for _ in range(20))
            )
        assert {(reply.status_code, reply.text, reply.http_version) for reply in replies} == {(200, "300000", "HTTP/2")}


async def test_grpc_with_root_certificates(files):
    grpc = pytest.importorskip("grpc")
    from tests.support.grpc_apps import GrpcApp, check_every_shape

    write(*files, HOST)
    async with GrpcApp().running() as app, serving_over_tls(files, app.port, "h2c") as port:
        options = [("grpc.default_authority", HOST), ("grpc.ssl_target_name_override", HOST)]
        options += [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        credentials = grpc.ssl_channel_credentials(files[0].read_bytes())
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as calls:
            await check_every_shape(app, calls)
        assert app.metadata[-1]["x-forwarded-proto"] == "https"


async def test_who_does_not_speak_tls_is_cut_off_and_nothing_stays(files, caplog):
    async with tls_gateway(FakeApi(), files) as ports, client() as fetch:
        for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", ports[1])
            writer.write(said)
            if said[:1] == b"G":
                with contextlib.suppress(ConnectionResetError):
                    assert b"200" not in await asyncio.wait_for(reader.read(), 30)
            writer.close()
        assert (await seen(ports[1]))[0] == "first"
        async with asyncio.timeout(30):
            while b"tidegate_gateway_connections_open 0.0" not in (await fetch(ports[2], "/metrics")).body:
                await asyncio.sleep(0.01)
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_new_certificate_is_taken_over_without_a_restart(files, monkeypatch):
    monkeypatch.setattr(certificates, "LOOK_EVERY_S", 0.02)
    async with tls_gateway(FakeApi(), files) as ports:
        assert await seen(ports[1]) == ("first", "h2")
        write(*files, "second.example")
        async with asyncio.timeout(30):
            while await seen(ports[1]) != ("second", "h2"):
                await asyncio.sleep(0.01)
        assert (await seen(ports[1], None))[0] == "second"


def test_bad_files_keep_the_old_certificate_and_are_reported_once(files, tmp_path, caplog):
    current = Certificate(*map(str, files))
    assert not current.look()
    key = files[1].read_bytes()
    write(files[0], tmp_path / "other.key", "second.example")
    os.utime(files[0], ns=(0, 0))  # two files of one size within one tick of the clock of files look like one
    with caplog.at_level(logging.ERROR):
        assert not current.look()  # the key belongs to the first one
        assert not current.look()
        assert len(caplog.records) == 1
        files[0].unlink()
        assert not current.look()
        assert not current.look()
        assert len(caplog.records) == 2
    write(*files, "third.example")
    assert files[1].read_bytes() != key
    assert current.look()
    assert not current.look()


async def test_a_gateway_without_a_usable_certificate_does_not_start(files):
    files[1].write_text("nothing")
    config = Config(tls_listen="127.0.0.1:1", tls_cert_file=str(files[0]), tls_key_file=str(files[1]))
    with pytest.raises(SettingsError, match=r"tls\.crt"):
        await serve(config, FakeApi(), asyncio.Event())


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"tls_listen": "x"}, "TIDEGATE_TLS_LISTEN"),
        ({"tls_listen": "8443"}, "TIDEGATE_TLS_LISTEN"),
        ({"tls_listen": ":8443", "tls_key_file": "x"}, "TIDEGATE_TLS_CERT_FILE"),
    ],
)
def test_settings_of_tls_that_cannot_work_are_refused(values, named):
    with pytest.raises(ValueError, match=named):
        Config(**values)
