"""`tidegate up`: start a local instance and wait until all of it is available. Safe to repeat."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tidegate.cli import common, install, instance, output
from tidegate.cli.failures import Failure, Late
from tidegate.contracts import names
from tidegate.kube import client as kube_client
from tidegate.kube import connect

STEPS = 4
CATALOG_TIMEOUT_S = 30.0
START_POLL_S = 0.02


@dataclass(frozen=True)
class Wish:
    """What the flags of `up` ask for."""

    bind: str
    port: int
    api_port: int
    images: Path | None
    timeout_s: float
    strict: bool = False
    tls_port: int = 0

    @property
    def listen(self) -> str:
        """The gateway's address as `host:port`."""
        return f"{self.bind}:{self.port}"

    @property
    def tls_listen(self) -> str:
        """Where the gateway speaks TLS, as `host:port`: without --tls-port on its pod's own loopback address."""
        return f"{self.bind}:{self.tls_port}" if self.tls_port else f":{names.GATEWAY_TLS_PORT}"

    def flags(self) -> list[str]:
        """Return the supervisor's flags."""
        flags = ["--api-port", str(self.api_port), *(["--strict"] if self.strict else [])]
        return [*flags, "--images", str(self.images.absolute())] if self.images else flags


@click.command()
@common.state_option
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535), help="Port of the gateway.")
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address that the gateway listens on.")
@click.option(
    "--tls-port", default=0, type=click.IntRange(0, 65535), help="Port of the gateway for https. [default: none]"
)
@click.option(
    "--api-port", default=0, type=click.IntRange(0, 65535), help="Port of the API server. [default: any free one, kept]"
)
@click.option(
    "--images",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Image catalog: which command an image stands for (docs/operating.md).",
)
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds to wait until all is available.")
@click.option("--strict", is_flag=True, help="An API server that is hard on its clients, for tests.")
@click.option("--foreground", is_flag=True, help="Stay until Ctrl-C, then stop the instance.")
@common.json_option
def up(
    state: Path | None,
    port: int,
    bind: str,
    tls_port: int,
    api_port: int,
    images: Path | None,
    timeout_s: float,
    strict: bool,
    foreground: bool,
    as_json: bool,
) -> None:
    """Start a local instance: an API server, a process node, and Tidegate on top of them."""
    local = common.open_instance(state)
    wish = Wish(bind, port, api_port, images, timeout_s, strict, tls_port)
    progress = output.Progress(STEPS)
    process = _ensure_started(local, wish)
    try:
        _wait_kubeconfig(local, process, wish.timeout_s)
        where = connect.load(local.kubeconfig)
        common.call(where, lambda client: _bring_up(client, local, wish, progress))
        _report(local, wish, where, progress, as_json=as_json)
    except KeyboardInterrupt:
        if process is not None:
            click.echo("interrupted: stopping what was started", err=True)
            instance.stop(local)
        raise
    if foreground:
        _stay(local)


def _ensure_started(local: instance.Instance, wish: Wish) -> subprocess.Popen[bytes] | None:
    if local.supervisor():
        click.echo(f"an instance already runs in {local.state}: applying the manifests again", err=True)
        return None
    _require_free(wish.bind, wish.port)
    if wish.tls_port:
        _require_free(wish.bind, wish.tls_port, "--tls-port")
    _require_catalog(wish.images)
    # An old kubeconfig may name another port; the API server writes a new one before it listens.
    local.kubeconfig.unlink(missing_ok=True)
    return instance.start(local, wish.flags())


def _require_catalog(images: Path | None) -> None:
    """Judge the catalog before anything starts: the node would fail again and again, and say so in its log only."""
    if images is None:
        return
    command = [sys.executable, "-m", "cluster.node.catalog_file", str(images)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CATALOG_TIMEOUT_S)
    if done.returncode:
        raise Failure(f"--images: {done.stderr.strip() or 'the catalog cannot be read'}")


def _require_free(bind: str, port: int, flag: str = "--port") -> None:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            raise Failure(
                f"{flag}: {bind}:{port} cannot be used ({error.strerror}); choose another, like {flag} {port + 1}"
            ) from error


def _wait_kubeconfig(local: instance.Instance, process: subprocess.Popen[bytes] | None, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    log = local.logs / "supervisor.log"
    while not local.kubeconfig.exists():
        if process is not None and process.poll() is not None:
            raise Failure(
                f"the supervisor ended with code {process.returncode}; {log} ends:\n{instance.last_lines(log)}"
            )
        if time.monotonic() > deadline:
            raise Late(f"no API server after {timeout_s:g} s; {log} ends:\n{instance.last_lines(log)}")
        time.sleep(START_POLL_S)


async def _bring_up(
    client: kube_client.Client, local: instance.Instance, wish: Wish, progress: output.Progress
) -> None:
    await kube_client.wait_ready(client, wish.timeout_s)
    progress.done("API server ready")
    await install.apply(client, install.local_instance(wish.listen, wish.tls_listen))
    how = await install.apply_overlay(client, local.kubeconfig)
    progress.done(f"manifests applied {how}")
    await install.wait_available(client, wish.timeout_s)
    progress.done("controller, autoscaler, activator and gateway available")
    await _wait_listening(wish)
    progress.done(f"gateway answers on http://{wish.listen}")


async def _wait_listening(wish: Wish) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wish.timeout_s
    while True:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                _, writer = await asyncio.open_connection(wish.bind, wish.port)
            writer.close()
            return
        if loop.time() > deadline:
            raise Late(
                f"the gateway does not listen on {wish.listen} after {wish.timeout_s:g} s; see: tidegate logs gateway"
            )
        await asyncio.sleep(START_POLL_S)


def _report(
    local: instance.Instance, wish: Wish, where: connect.Connection, progress: output.Progress, *, as_json: bool
) -> None:
    if as_json:
        document: dict[str, Any] = {
            "state": str(local.state),
            "kubeconfig": str(local.kubeconfig),
            "gateway": f"http://{wish.listen}",
            "gateway_tls": f"https://{wish.tls_listen}" if wish.tls_port else None,
            "api": where.server,
            "seconds": round(progress.elapsed_s, 3),
            "steps": progress.steps,
        }
        output.print_json(document)
        return
    click.echo(f"""
Tidegate runs ({progress.elapsed_s:.1f} s). Next:

  export KUBECONFIG={local.kubeconfig}
  kubectl apply -f {_example("hello")}
  curl http://hello.default.localhost:{wish.port}

  tidegate status      what runs, and what it weighs
  tidegate why hello   why it has that many pods
  tidegate down        stop everything""")


def _example(name: str) -> str:
    return str(install.manifests().parent / "examples" / name / "service.yaml")


def _stay(local: instance.Instance) -> None:
    click.echo("running in the foreground; Ctrl-C stops the instance", err=True)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        while local.supervisor():
            time.sleep(0.5)
        raise Failure(f"the supervisor ended by itself; see {local.logs / 'supervisor.log'}")
    except KeyboardInterrupt:
        instance.stop(local)
        click.echo("stopped", err=True)
