"""The Containerfile, carried out without a container engine: what it builds runs every component, as nobody."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import aiohttp
import pytest

from cluster.instance import hold_octet
from loadtest.instance import Instance, eventually
from tests.support import containerfile
from tidegate.contracts import names

ROOT = Path(__file__).parents[2]
BUILD_TIMEOUT_S = 400.0
COMPONENTS = ("gateway", "activator", "autoscaler", "controller", "queueproxy")

pytestmark = [
    pytest.mark.timeout(700),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, for mounts of its own"),
]


@pytest.fixture
def octet(tmp_path: Path) -> Iterator[int]:
    """A loopback network that no instance has."""
    found, holder = hold_octet(tmp_path, 0)
    with holder:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("image")
    yield made
    shutil.rmtree(made, ignore_errors=True)


def script(folder: Path, tail: list[str], addresses: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return the script that builds the last stage and runs each component at its address, and the image."""
    values, stages = containerfile.read(ROOT / "Containerfile")
    build = containerfile.Build(ROOT, folder, sys.base_prefix)
    image = build.stage(stages, stages[-1], values)
    lines = [*build.lines, f"chmod 755 {image['root']}/tmp", f"install -m 644 {folder}/kubeconfig {image['root']}/run/"]
    for component, address in addresses.items():
        settings = {
            "POD_IP": address,
            "SERVING_POD_IP": address,
            "POD_NAME": f"image-{component}",
            "POD_NAMESPACE": names.SYSTEM_NAMESPACE,
            "KUBECONFIG": "/run/kubeconfig",
            "USER_PORT": "9",
        }
        # Without an argument the image is a queueproxy.
        started = build.run(image, [] if component == "queueproxy" else [component], settings)
        lines.append(f"{started} > {folder}/{component}.log 2>&1 &")
    return "\n".join([*lines, *(line.replace("@ROOT", image["root"]) for line in tail)]) + "\n", image


async def answers(address: str, path: str) -> bool:
    try:
        timeout = aiohttp.ClientTimeout(total=15)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{address}:{names.ADMIN_PORT}{path}") as reply,
        ):
            return reply.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def test_every_component_runs_from_the_image(instance: Instance, folder: Path, octet: int) -> None:
    addresses = {component: f"127.{octet}.0.{number}" for number, component in enumerate(COMPONENTS, 10)}
    shutil.copy(instance.kubeconfig, folder / "kubeconfig")
    # The script waits for its standard input to end: when this test does, for whatever reason, so does all of it.
    text, image = script(
        folder,
        [
            # Nothing to install with, and nothing that the user may write.
            "echo tools: $(chroot @ROOT /bin/sh -c 'ls /opt/tidegate/bin /usr/local/bin' | grep -c '^pip' || true)",
            "echo written: $(find @ROOT -xdev -writable -uid 65532 | wc -l)",
            "echo compiled: $(find @ROOT/opt/tidegate -name pipeline.cpython-*.pyc | wc -l)",
            "echo started; read _ || true",
            "kill $(jobs -p); wait",
        ],
        addresses,
    )
    (folder / "run.sh").write_text(text)
    assert image["user"] == "65532:65532"
    assert image["label org.opencontainers.image.version"] == metadata.version("tidegate")
    process = await asyncio.create_subprocess_exec(
        "unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", str(folder / "run.sh"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdin and process.stdout
    printed: list[str] = []
    try:
        async with asyncio.timeout(BUILD_TIMEOUT_S):
            while line := await process.stdout.readline():
                printed.append(line.decode().strip())
                if printed[-1] == "started":
                    break
        assert printed[-1:] == ["started"], printed[-20:]
        assert printed[-4:-1] == ["tools: 0", "written: 0", printed[-2]]
        assert int(printed[-2].removeprefix("compiled: ")) >= 3
        for component, address in addresses.items():
            path = "/healthz" if component == "queueproxy" else "/readyz"
            what = f"{component} of the image is ready"
            try:
                await eventually(lambda a=address, p=path: answers(a, p), 60, what, poll_s=0.2)
            except TimeoutError:
                pytest.fail(f"{what}: {(folder / f'{component}.log').read_text()[-2000:]}")
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 60)
