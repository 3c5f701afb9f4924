"""Asks Triton to load and unload models, and for its metrics: tritonclient with this adapter's key and deadlines.

It keeps no state and decides nothing; residency.py knows what is loaded.
"""

from __future__ import annotations

import asyncio
from typing import Any

from runtimes.triton import process

INDEX_TIMEOUT_S = 10.0
METRICS_TIMEOUT_S = 5.0
METRICS_LIMIT_BYTES = 16 << 20
MESSAGE_LIMIT = 4000


class LoadFailed(Exception):
    """Triton (or the layout) refused a model; the message is for the client."""


class RepositoryApi:
    """The repository API of one Triton. Importing the client takes a while: made after Triton was started."""

    def __init__(self, http_port: int, metrics_port: int, key: str, load_timeout_s: float) -> None:
        import aiohttp
        import tritonclient.http.aio as client
        from tritonclient.utils import InferenceServerException

        self._failure: type[Exception] = InferenceServerException
        self._metrics_url = f"http://{process.HOST}:{metrics_port}/metrics"
        self._headers = {process.KEY_HEADER: key}
        self._load_timeout_s = load_timeout_s
        timeout = aiohttp.ClientTimeout(total=load_timeout_s)
        self._session = aiohttp.ClientSession(timeout=timeout)
        self._broken: tuple[type[Exception], ...] = (aiohttp.ClientError, OSError, TimeoutError)
        # Its own limit is 60 s for everything; ours is set around each call.
        self._client: Any = client.InferenceServerClient(
            f"{process.HOST}:{http_port}", conn_limit=64, conn_timeout=load_timeout_s
        )

    async def load(self, name: str) -> None:
        """Load a model, or what changed of it; raises LoadFailed."""
        await self._change(self._client.load_model(name, headers=self._headers), name, "loaded")

    async def unload(self, name: str) -> None:
        """Unload a model; raises LoadFailed. Triton answers before its memory is free."""
        await self._change(self._client.unload_model(name, headers=self._headers), name, "unloaded")

    async def ready(self) -> set[str]:
        """Return the models in memory; raises LoadFailed."""
        try:
            async with asyncio.timeout(INDEX_TIMEOUT_S):
                index = await self._client.get_model_repository_index(headers=self._headers)
        except (self._failure, *self._broken) as error:
            raise LoadFailed(f"Triton's repository index: {error}") from error
        return {str(each["name"]) for each in index if each.get("state") == "READY"}

    async def metrics(self) -> bytes:
        """Return Triton's metrics in Prometheus' text form; empty when it does not answer."""
        try:
            async with asyncio.timeout(METRICS_TIMEOUT_S), self._session.get(self._metrics_url) as answer:
                return await answer.content.read(METRICS_LIMIT_BYTES) if answer.status == 200 else b""
        except self._broken:
            return b""

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
        await self._session.close()

    async def _change(self, call: Any, name: str, done: str) -> None:
        try:
            async with asyncio.timeout(self._load_timeout_s):
                await call
        except TimeoutError as error:
            raise LoadFailed(f"model {name} was not {done} within {self._load_timeout_s:g} s") from error
        except self._failure as error:
            said = error.message() if hasattr(error, "message") else str(error)
            raise LoadFailed(str(said)[:MESSAGE_LIMIT]) from error
        except self._broken as error:
            raise LoadFailed(f"model {name} was not {done}: Triton does not answer ({error})") from error
