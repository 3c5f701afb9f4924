"""A small image registry: the part of the OCI distribution API that tells digests, with tokens, indexes and faults."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TOKEN = "a-token"


class FakeRegistry:
    """Serves `manifests` (bytes by (repository, tag)). What it does wrong is set by its attributes."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.auth = ""
        """"" (none), `bearer` or `basic`"""
        self.user: tuple[str, str] | None = None
        self.answer: Callable[[web.Request, bytes], web.Response] | None = None
        self.realm = ""
        self.token_answer: Any = {"token": TOKEN}
        self.delay_s = 0.0
        self.open = asyncio.Event()
        self.open.set()
        self.calls: list[tuple[str, str, str]] = []
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def host(self) -> str:
        """Its name in an image reference."""
        return f"127.0.0.1:{self.port}"

    def push(self, repository: str, tag: str, platforms: int = 1) -> str:
        """Store an image, an index of several where there are several platforms; returns its digest."""
        kind = INDEX if platforms > 1 else MANIFEST
        body = json.dumps({"mediaType": kind, "name": f"{repository}:{tag}", "manifests": list(range(platforms))})
        self.manifests[repository, tag] = body.encode()
        return digest_of(body.encode())

    async def __aenter__(self) -> FakeRegistry:
        app = web.Application()
        app.router.add_route("*", "/v2/{repository:.+}/manifests/{tag}", self._manifest)
        app.router.add_get("/token", self._token)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _manifest(self, request: web.Request) -> web.Response:
        repository, tag = request.match_info["repository"], request.match_info["tag"]
        self.calls.append((request.method, repository, request.headers.get("Authorization", "")))
        await asyncio.sleep(self.delay_s)
        await self.open.wait()
        if refusal := self._refusal(request, repository):
            return refusal
        body = self.manifests.get((repository, tag))
        if body is None:
            return web.Response(status=404)
        assert MANIFEST in request.headers["Accept"] and INDEX in request.headers["Accept"]
        if self.answer is not None:
            return self.answer(request, body)
        return web.Response(body=body, headers={"Docker-Content-Digest": digest_of(body)})

    def _refusal(self, request: web.Request, repository: str) -> web.Response | None:
        said = request.headers.get("Authorization", "")
        if self.auth == "bearer" and said != f"Bearer {TOKEN}":
            realm = self.realm or f"http://{self.host}/token"
            challenge = f'Bearer realm="{realm}",service="fake",scope="repository:{repository}:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        if self.auth == "basic" and said != basic(*(self.user or ("", ""))):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="fake"'})
        return None

    async def _token(self, request: web.Request) -> web.Response:
        self.calls.append(("TOKEN", request.query.get("scope", ""), request.headers.get("Authorization", "")))
        assert request.query["service"] == "fake"
        if self.user is not None and request.headers.get("Authorization") != basic(*self.user):
            return web.Response(status=403)
        return web.json_response(self.token_answer)


def digest_of(body: bytes) -> str:
    """Return the digest of a manifest."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def basic(user: str, password: str) -> str:
    """Return the Authorization header of a user."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def pull_secret(name: str, registry: str, user: str, password: str, namespace: str = "default") -> dict[str, Any]:
    """Return a Secret with which images are pulled."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    document = json.dumps({"auths": {registry: {"auth": auth}}})
    return {
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(document.encode()).decode()},
    }
