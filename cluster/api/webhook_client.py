"""The call to a webhook: where it is, TLS with its own CA, a bounded answer in bounded time.

There is no DNS here: a Service is resolved to one of its ready endpoints, and the certificate is checked against
`<service>.<namespace>.svc`, as an API server does it.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec

from cluster.api.service_endpoints import NoEndpoint, resolve
from cluster.api.webhook_rules import Hook
from cluster.store import Store
from tidegate.kube.api import Object

ANSWER_LIMIT_BYTES = 4 << 20
CONTEXTS_KEPT = 64


class CallFailed(Exception):
    """The webhook could not be asked."""


class _Place(NamedTuple):
    url: str
    server_name: str | None


class WebhookClient:
    """Calls webhooks over pooled connections; `close` it at the end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def call(self, hook: Hook, review: Object) -> Any:
        """Return the decoded answer of the webhook; raises `CallFailed`."""
        config: Object = hook.spec.get("clientConfig") or {}
        place = self._place(config)
        body = msgspec.json.encode(review)
        timeout = aiohttp.ClientTimeout(total=hook.timeout_s)
        try:
            async with self._open().post(
                place.url,
                data=body,
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                ssl=self._context(config.get("caBundle", "")),
                server_hostname=place.server_name,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                answer = await response.content.read(ANSWER_LIMIT_BYTES + 1)
                while not response.content.at_eof() and len(answer) <= ANSWER_LIMIT_BYTES:
                    answer += await response.content.read(ANSWER_LIMIT_BYTES)
                return _decoded(place, response.status, answer)
        except TimeoutError as error:
            raise CallFailed(f'Post "{place.url}": no answer within {hook.timeout_s:g}s') from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed(f'Post "{place.url}": {error}') from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    def _place(self, config: Object) -> _Place:
        if config.get("url"):
            return _Place(config["url"], urlsplit(config["url"]).hostname)
        service = config.get("service") or {}
        name, namespace = service.get("name", ""), service.get("namespace", "")
        path = "/" + (service.get("path") or "").lstrip("/")
        try:
            address, port = resolve(self._store, namespace, name, str(service.get("port") or 443))
        except NoEndpoint as error:
            raise CallFailed(f'Post "https://{name}.{namespace}.svc{path}": {error}') from error
        return _Place(f"https://{address}:{port}{path}", f"{name}.{namespace}.svc")

    def _context(self, bundle: str) -> ssl.SSLContext:
        context = self._contexts.get(bundle)
        if context is None:
            try:
                pem = base64.b64decode(bundle).decode() if bundle else None
                context = ssl.create_default_context(cadata=pem)
            except (binascii.Error, ValueError, ssl.SSLError) as error:
                raise CallFailed(f"caBundle cannot be read: {error}") from error
            if len(self._contexts) >= CONTEXTS_KEPT:
                self._contexts.clear()
            self._contexts[bundle] = context
        return context


def _decoded(place: _Place, code: int, answer: bytes) -> Any:
    if code != 200:
        shown = answer[:200].decode("utf-8", "replace")
        raise CallFailed(f'Post "{place.url}": status {code}: {shown}')
    if len(answer) > ANSWER_LIMIT_BYTES:
        raise CallFailed(f'Post "{place.url}": the answer is larger than {ANSWER_LIMIT_BYTES} bytes')
    try:
        return msgspec.json.decode(answer)
    except msgspec.DecodeError as error:
        raise CallFailed(f'Post "{place.url}": the answer is not JSON: {error}') from error
