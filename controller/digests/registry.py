"""Asks a registry for the digest of a tag, by the OCI distribution API: HEAD, a token when it asks for one, GET.

Of an index of several platforms the digest of the index is taken, as the kubelet chooses among them. Nothing is pulled.
Sizes and redirects are bounded; how long it may take is the caller's business. A registry is not trusted: passwords go
to itself and the token server that it names, never to whom a redirect leads, and `reach` says who is not asked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from controller.digests import reach, reference
from controller.digests.reference import Reference

if TYPE_CHECKING:
    import httpx

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
MANIFEST_LIMIT_BYTES = 4 << 20
TOKEN_LIMIT_BYTES = 64 << 10
REDIRECTS_LIMIT = 3
SILENCE_LIMIT_S = 60.0

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class LookupFailed(Exception):
    """The registry does not tell; the message says which call failed and how."""


class Registry:
    """Asks any registry. Close it at the end."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def digest(self, image: Reference, credentials: Mapping[str, tuple[str, str]]) -> str:
        """Return the digest that the image's tag stands for now; raises `LookupFailed`."""
        import httpx  # costs 10 MB and a tenth of a second: nothing is looked up on most machines

        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=SILENCE_LIMIT_S)
        attempt = _Attempt(self._client, image, credentials.get(image.registry))
        try:
            return await attempt.digest()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LookupFailed(f"{attempt.call}: {error or type(error).__name__}") from error


class _Attempt:
    """One look-up of one image."""

    def __init__(self, client: httpx.AsyncClient, image: Reference, credentials: tuple[str, str] | None) -> None:
        self._client = client
        self._image = image
        self._credentials = credentials
        # Unpacked, an answer could be a thousand times what was counted.
        self._headers = {"Accept": ", ".join(MANIFEST_TYPES), "Accept-Encoding": "identity"}
        self._was_redirected = False
        # Docker Hub's API has another name than its images have.
        host = "registry-1.docker.io" if image.registry == reference.HUB else image.registry
        scheme = "http" if image.is_insecure else "https"
        self._url = f"{scheme}://{host}/v2/{image.repository}/manifests/{image.tag}"
        self.call = ""

    async def digest(self) -> str:
        status, headers, _ = await self._manifest("HEAD")
        if status == 401 and not self._was_redirected:
            await self._authenticate(headers.get("www-authenticate", ""))
            status, headers, _ = await self._manifest("HEAD")
        digest = headers.get("docker-content-digest", "")
        # Some registries answer HEAD without the digest, or not at all; the digest is that of the bytes in any case.
        if status in (400, 404, 405) or (status == 200 and not digest):
            status, headers, body = await self._manifest("GET")
            computed = f"sha256:{hashlib.sha256(body).hexdigest()}"
            digest = headers.get("docker-content-digest", computed)
            if status == 200 and digest != computed:
                raise LookupFailed(f"{self.call}: the manifest's digest is {computed}, the registry says {digest}")
        if status != 200:
            raise LookupFailed(f"{self.call}: unexpected status code {status}")
        if not reference.is_digest(digest):
            raise LookupFailed(f"{self.call}: the registry says a digest that is none: {digest[:80]!r}")
        return digest

    async def _manifest(self, method: str) -> tuple[int, Mapping[str, str], bytes]:
        return await self._ask(method, self._url, self._headers, MANIFEST_LIMIT_BYTES)

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], limit_bytes: int, **more: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        auth = more.pop("auth", None)
        request: httpx.Request | None = self._client.build_request(method, url, headers=dict(headers), **more)
        for redirects in range(REDIRECTS_LIMIT + 1):
            assert request is not None
            self.call, self._was_redirected = f"{method} {request.url}", redirects > 0
            await self._must_be_reachable(request.url.host)
            response = await self._client.send(request, stream=True, auth=auth)
            try:
                body = await self._body(response, limit_bytes)
            finally:
                await response.aclose()
            request, auth = response.next_request, None  # httpx leaves Authorization out of it for another host
            if request is None:
                return response.status_code, response.headers, body
        raise LookupFailed(f"{self.call}: more than {REDIRECTS_LIMIT} redirects")

    async def _body(self, response: httpx.Response, limit_bytes: int) -> bytes:
        body = b""
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit_bytes:
                raise LookupFailed(f"{self.call}: the answer is over {limit_bytes} bytes")
        return body

    async def _must_be_reachable(self, host: str) -> None:
        if why := await reach.refusal(host, is_registry_local=self._image.is_local):
            raise LookupFailed(f"{self.call}: {why}: not asked")

    async def _authenticate(self, challenge: str) -> None:
        import httpx

        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic" and self._credentials is not None:
            request = httpx.Request("GET", self._url)
            basic = next(httpx.BasicAuth(*self._credentials).auth_flow(request))
            self._headers["Authorization"] = basic.headers["Authorization"]
            return
        said = dict(_CHALLENGE.findall(rest))
        realm = said.get("realm", "")
        if kind.lower() != "bearer" or not realm.startswith(("https://", "http://")):
            raise LookupFailed(f"{self.call}: unexpected status code 401, and no way to authenticate")
        if realm.startswith("http://") and not self._image.is_insecure:
            raise LookupFailed(f"{self.call}: the registry wants the password sent in clear text to {realm}")
        await self._fetch_token(realm, said)

    async def _fetch_token(self, realm: str, said: Mapping[str, str]) -> None:
        import msgspec

        scope = said.get("scope") or f"repository:{self._image.repository}:pull"
        query = {"scope": scope} | ({"service": said["service"]} if said.get("service") else {})
        status, _, body = await self._ask(
            "GET",
            realm,
            {"Accept-Encoding": "identity"},
            TOKEN_LIMIT_BYTES,
            params=query,
            auth=self._credentials or None,
        )
        if status != 200:
            raise LookupFailed(f"{self.call}: unexpected status code {status}")
        try:
            answer = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise LookupFailed(f"{self.call}: the token cannot be read") from error
        token = str(answer.get("token") or answer.get("access_token") or "")
        if not token or not token.isascii() or any(sign <= " " for sign in token):
            raise LookupFailed(f"{self.call}: the answer has no token")
        self._headers["Authorization"] = f"Bearer {token}"
