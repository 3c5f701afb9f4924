"""The four real tritonclients behind one set of awaitable calls: http, http.aio, grpc, grpc.aio."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio

MODULES: dict[str, Any] = {
    "http": triton_http,
    "http.aio": triton_http_aio,
    "grpc": triton_grpc,
    "grpc.aio": triton_grpc_aio,
}
KINDS = tuple(MODULES)
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
"""tritonclient's own default, which goes away as soon as any option is given."""


class AnyClient:
    """One of the four clients behind one set of awaitable calls."""

    def __init__(self, kind: str, client: Any, module: Any, thread: ThreadPoolExecutor, host: str = "") -> None:
        self.kind = kind
        self.module = module
        self._client = client
        self._thread = thread
        self.is_grpc = kind.startswith("grpc")
        self._headers = {"Host": host} if host and not self.is_grpc else None

    async def __call__(self, method: str, *arguments: Any, **named: Any) -> Any:
        function: Callable[..., Any] = getattr(self._client, method)
        if self._headers and method != "close":
            named["headers"] = self._headers
        if self.kind.endswith("aio"):
            return await function(*arguments, **named)
        call = functools.partial(function, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def input(self, name: str, datatype: str, array: Any, *, binary: bool = True) -> Any:
        made = self.module.InferInput(name, list(array.shape), datatype)
        if self.is_grpc:
            made.set_data_from_numpy(array)
        else:
            made.set_data_from_numpy(array, binary_data=binary)
        return made

    def output(self, name: str, *, binary: bool = True, classes: int = 0) -> Any:
        if self.is_grpc:
            return self.module.InferRequestedOutput(name, class_count=classes)
        return self.module.InferRequestedOutput(name, binary_data=binary, class_count=classes)


@contextlib.asynccontextmanager
async def client_to(kind: str, url: str, host: str = "") -> AsyncIterator[AnyClient]:
    """Yield a client of this kind to `url` (address and port); `host` is the Host or authority that it names."""
    module = MODULES[kind]
    options: dict[str, Any] = {}
    if host and kind.startswith("grpc"):
        options["channel_args"] = [("grpc.default_authority", host), ("grpc.enable_http_proxy", 0), *UNLIMITED]
    # gevent's hub, which the http client brings, belongs to a thread: the client lives in one of its own.
    with ThreadPoolExecutor(1) as thread:
        make = functools.partial(module.InferenceServerClient, url, **options)
        is_aio = kind.endswith("aio")
        client = make() if is_aio else await asyncio.get_running_loop().run_in_executor(thread, make)
        made = AnyClient(kind, client, module, thread, host)
        try:
            yield made
        finally:
            await made("close")
