"""The Kubernetes verbs over HTTPS: `Api` for a remote server, on one pooled aiohttp session.

It retries nothing by itself: callers are level-triggered and know what a second try means. Every call has a deadline;
a watch has a server-side one and ends by itself, so that a silent connection cannot hold a cache back for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from tidegate.kube.api import ApiError, Object, Page, PatchKind, Resource, Unreachable, WatchEvent
from tidegate.kube.connect import Bearer, Connection

CALL_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
WATCH_TIMEOUT_S = 300
WATCH_SILENCE_S = WATCH_TIMEOUT_S + 15.0
WATCH_LINE_LIMIT_BYTES = 8 << 20

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Client:
    """A connection to one API server. Close it with `await client.close()` or use it as a context manager.

    `user_agent` names the component; the server's logs and field managers show it.
    """

    def __init__(self, connection: Connection, *, user_agent: str = "tidegate") -> None:
        self.connection = connection
        self._bearer = Bearer(connection)
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all pooled connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, resource: Resource, name: str, namespace: str = "", subresource: str = "") -> Object:
        """Return one object; raises `ApiError`."""
        return await self._call("GET", resource.path(namespace, name, subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        *,
        limit: int = 0,
        after: str = "",
    ) -> Page:
        """Return the matching objects, or a page of them; raises `ApiError`. Items carry apiVersion and kind."""
        params = _selectors(labels, fields) | ({"limit": str(limit)} if limit else {})
        params |= {"continue": after} if after else {}
        answer = await self._call("GET", resource.path(namespace), params=params)
        items: list[Object] = answer.get("items") or []
        for item in items:
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        metadata = answer["metadata"]
        return Page(items, str(metadata.get("resourceVersion", "")), str(metadata.get("continue") or ""))

    async def watch(
        self, resource: Resource, namespace: str = "", labels: str = "", fields: str = "", since: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Yield changes after `since`; ends when the server ends it; raises `ApiError` (410 when history is gone)."""
        params = _selectors(labels, fields) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_TIMEOUT_S),
        }
        if since:
            params["resourceVersion"] = since
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=WATCH_SILENCE_S)
        try:
            async with self._open().request(
                "GET", self._url(resource.path(namespace)), params=params, timeout=timeout, headers=self._headers()
            ) as response:
                if response.status >= 400:
                    raise _error(response.status, await response.read())
                async for line in _lines(response.content):
                    yield _event(line)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"watch of {resource.plural} broke: {error or type(error).__name__}") from error

    async def create(
        self, resource: Resource, obj: Object, namespace: str = "", subresource: str = "", *, dry_run: bool = False
    ) -> Object:
        """Create `obj`; with a subresource (`token`) the object's metadata names the parent. Raises `ApiError`.

        `dry_run`: all is checked, nothing is stored.
        """
        metadata = obj.get("metadata") or {}
        where = namespace or metadata.get("namespace", "")
        name = metadata.get("name", "") if subresource else ""
        params = {"dryRun": "All"} if dry_run else {}
        return await self._call("POST", resource.path(where, name, subresource), params=params, body=obj)

    async def replace(self, resource: Resource, obj: Object, subresource: str = "") -> Object:
        """PUT `obj`; raises `ApiError` (`is_conflict` when its resourceVersion is old)."""
        metadata = obj["metadata"]
        return await self._call(
            "PUT", resource.path(metadata.get("namespace", ""), metadata["name"], subresource), body=obj
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        manager: str = "tidegate",
        force: bool = False,
    ) -> Object:
        """Patch one object; raises `ApiError`."""
        params = {"fieldManager": manager}
        if kind is PatchKind.APPLY and force:
            params["force"] = "true"
        return await self._call(
            "PATCH",
            resource.path(namespace, name, subresource),
            params=params,
            body=patch,
            content_type=kind.value,
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace_s: int | None = None,
        propagation: str = "Background",
    ) -> Object:
        """Delete one object; raises `ApiError`."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        return await self._call("DELETE", resource.path(namespace, name), body=body)

    async def raw(self, method: str, path: str, *, params: dict[str, str] | None = None) -> bytes:
        """Return the body of any path of the API server (`/version`, a service proxy...); raises `ApiError`."""
        status, body = await self._exchange(method, path, params, None, "")
        if status >= 400:
            raise _error(status, body)
        return body

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else _encode(body)
        status, answer = await self._exchange(method, path, params, data, content_type)
        if status >= 400:
            raise _error(status, answer)
        decoded: Object = _decode(answer)
        return decoded

    async def _exchange(
        self, method: str, path: str, params: dict[str, str] | None, data: bytes | None, content_type: str
    ) -> tuple[int, bytes]:
        headers = self._headers()
        if data is not None:
            headers["Content-Type"] = content_type
        try:
            async with self._open().request(
                method, self._url(path), params=params, data=data, headers=headers
            ) as response:
                return response.status, await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{method} {path}: {error or type(error).__name__}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = self.connection.ssl_context()
            connector = aiohttp.TCPConnector(ssl=context if context is not None else False, limit=128)
            timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, raise_for_status=False)
        return self._session

    def _url(self, path: str) -> str:
        return self.connection.server + path

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": self._user_agent}
        if token := self._bearer.token():
            headers["Authorization"] = f"Bearer {token}"
        return headers


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # A line may be larger than aiohttp's readline limit (a big ConfigMap), so lines are cut here, with our own bound.
    pending = bytearray()
    async for chunk in content.iter_any():
        pending += chunk
        if len(pending) > WATCH_LINE_LIMIT_BYTES and b"\n" not in pending:
            raise Unreachable("a watch line is longer than 8 MiB")
        *lines, rest = pending.split(b"\n")
        for line in lines:
            if line:
                yield bytes(line)
        pending = rest


def _event(line: bytes) -> WatchEvent:
    event = _decode(line)
    if event["type"] == "ERROR":
        status = event["object"]
        raise ApiError(int(status.get("code", 500)), status.get("reason", ""), status.get("message", ""), status)
    return WatchEvent(event["type"], event["object"])


def _selectors(labels: str, fields: str) -> dict[str, str]:
    params = {}
    if labels:
        params["labelSelector"] = labels
    if fields:
        params["fieldSelector"] = fields
    return params


def _error(status: int, body: bytes) -> ApiError:
    try:
        document = _decode(body)
        if isinstance(document, dict) and document.get("kind") == "Status":
            return ApiError(
                status, document.get("reason", ""), document.get("message", ""), document.get("details") or {}
            )
    except msgspec.DecodeError:
        pass
    return ApiError(status, "", body[:500].decode("utf-8", "replace"))


async def wait_ready(client: Client, timeout_s: float) -> None:
    """Return when the server's `/readyz` answers; raises `Unreachable` after `timeout_s` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        try:
            await client.raw("GET", "/readyz")
            return
        except ApiError as error:
            if loop.time() > deadline:
                raise Unreachable(f"the API server is not ready after {timeout_s:g} s: {error}") from error
        await asyncio.sleep(0.05)
