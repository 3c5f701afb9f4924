"""A real API server in the test's own loop, over TLS on a free port, with a client and the real kubectl to use it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import os
import shutil
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.api.__main__ import serving
from cluster.api.server import ApiServer
from cluster.config import ApiConfig
from tidegate.kube import connect, resources
from tidegate.kube.api import ApiError, Object
from tidegate.kube.client import Client

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes


@dataclass
class Running:
    """A server under test."""

    server: ApiServer
    url: str
    state: Path
    client: Client

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"


@pytest.fixture
async def running(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """An API server; `@pytest.mark.parametrize("running", [{"strict": True}], indirect=True)` changes its settings."""
    folder = tmp_path / "state"
    config = ApiConfig(state=str(folder), **({"controllers": False} | getattr(request, "param", {})))
    async with serving(config) as (server, url):
        client = Client(connect.load(folder / "kubeconfig"), user_agent="test")
        try:
            yield Running(server, url, folder, client)
        finally:
            await client.close()


@contextlib.asynccontextmanager
async def acting_as(running: Running, namespace: str, account: str) -> AsyncIterator[Client]:
    """A client that is a service account, made when missing, with a token of its own."""
    with contextlib.suppress(ApiError):
        await running.client.create(
            resources.SERVICE_ACCOUNTS, {"metadata": {"name": account, "namespace": namespace}}, namespace
        )
    request: Object = {"metadata": {"name": account, "namespace": namespace}, "spec": {}}
    answer = await running.client.create(resources.SERVICE_ACCOUNTS, request, namespace, "token")
    connection = dataclasses.replace(connect.load(running.kubeconfig), token=answer["status"]["token"])
    async with Client(connection, user_agent=account) as client:
        yield client


@pytest.fixture
def client(running: Running) -> Client:
    return running.client


class Kubectl:
    """The real kubectl against one server."""

    def __init__(self, running: Running, cache: Path, binary: str = "kubectl") -> None:
        self._binary = binary
        self._environment = os.environ | {"KUBECONFIG": str(running.kubeconfig), "HOME": str(cache)}
        self._cache = cache

    async def __call__(self, *arguments: str, stdin: str = "", code: int = 0, **environment: str) -> str:
        """Run kubectl; returns both outputs; fails unless it exits with `code`."""
        process = await self._start(arguments, environment)
        output, _ = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        text = output.decode()
        assert process.returncode == code, f"kubectl {' '.join(arguments)} ended with {process.returncode}: {text}"
        return text

    @contextlib.asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
        """Run kubectl as long as the block lasts; yields its output."""
        process = await self._start(arguments, {})
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                process.kill()
            await process.communicate()

    async def _start(self, arguments: tuple[str, ...], environment: dict[str, str]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            self._binary,
            f"--cache-dir={self._cache}",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment | environment,
        )


@pytest.fixture
def kubectl(running: Running, tmp_path: Path) -> Kubectl:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    return Kubectl(running, tmp_path / "kube-cache")


@pytest.fixture
async def official(running: Running) -> AsyncIterator[Any]:
    """The official Python client, unmodified."""
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(running.kubeconfig), client_configuration=configuration)
    client = kubernetes.client.ApiClient(configuration)
    yield client
    client.rest_client.pool_manager.clear()
    client.close()
    gc.collect()  # the client forgets connections in reference cycles
    await asyncio.sleep(0.05)  # the server notices that these connections closed before its loop ends
