"""One class per scheme: what lies there, and its bytes from an offset on.

They translate; retrying, resuming and checking is the caller's matter. A failure that will not pass by itself (no such
object, no permission) is `Final`; every other one may be tried again.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import aiohttp

from runtimes.storage import listing
from runtimes.storage.listing import Entry
from runtimes.storage.source import OBJECT_STORES, Source

CHUNK_BYTES = 1 << 20
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
REDIRECTS_LIMIT = 5


_STATUS = re.compile(r"status code: (\d{3})")


class StoreError(Exception):
    """The store did not give what was asked for; trying again may help."""


class Final(StoreError):
    """The store did not give what was asked for and will not; the message says what would help."""


class Remote(Protocol):
    """A source that has been opened."""

    async def entries(self) -> list[Entry]:
        """Return all files; raises `StoreError`."""
        ...

    def read(self, entry: Entry, offset: int) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (position in bytes, bytes) in order; starts at `offset`, or at 0 where that cannot be."""
        ...


@asynccontextmanager
async def opened(source: Source, environ: Mapping[str, str] | None = None) -> AsyncIterator[Remote]:
    """Open a source with the credentials found in `environ`; raises `Final` when a library is missing."""
    env = os.environ if environ is None else environ
    if source.scheme in OBJECT_STORES:
        yield Objects(source, env)
        return
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        if source.scheme == "hf":
            yield Hub(source, env, session)
        else:
            yield Http(source, env, session)


class Http:
    """A single file (or archive) by http or https."""

    def __init__(self, source: Source, environ: Mapping[str, str], session: aiohttp.ClientSession) -> None:
        self._source = source
        self._session = session
        self._headers = _headers(environ.get("STORAGE_HTTP_HEADERS", ""))

    async def entries(self) -> list[Entry]:
        """Return the one file there is."""
        name = unquote(urlsplit(self._source.url).path).rpartition("/")[2] or "model"
        async with _answer(self._session, "HEAD", self._source.url, self._headers, self._source.name) as answer:
            if answer.status in (405, 501):
                return [Entry(name, -1)]
            _check(answer.status, self._source.name)
            return [Entry(name, _length(answer.headers), _version(answer.headers))]

    async def read(self, entry: Entry, offset: int) -> AsyncIterator[tuple[int, bytes]]:
        """Yield the file from `offset` on, if it is still the same."""
        async for part in read_url(self._session, self._source.url, self._headers, entry, offset, self._source.name):
            yield part


class Hub:
    """A model repository of the Hugging Face Hub, by its client library."""

    def __init__(self, source: Source, environ: Mapping[str, str], session: aiohttp.ClientSession) -> None:
        self._source = source
        self._session = session
        self._endpoint = environ.get("HF_ENDPOINT") or None
        self._token = environ.get("HF_TOKEN") or None
        self._commit = source.revision

    async def entries(self) -> list[Entry]:
        """Return the files of the revision, which is pinned to its commit from here on."""
        found = await asyncio.to_thread(self._list)
        self._commit = found.sha or self._source.revision
        prefix = self._source.path
        return [
            Entry(listing.under(prefix, one.rfilename), one.size if one.size is not None else -1, one.blob_id or "")
            for one in found.siblings or []
            if not prefix or one.rfilename == prefix or one.rfilename.startswith(f"{prefix}/")
        ]

    async def read(self, entry: Entry, offset: int) -> AsyncIterator[tuple[int, bytes]]:
        """Yield a file from `offset` on."""
        hub = _library("huggingface_hub", "hf")
        prefix = self._source.path
        name = prefix if prefix and prefix.rpartition("/")[2] == entry.path else f"{prefix}/{entry.path}".lstrip("/")
        url = hub.hf_hub_url(self._source.container, name, revision=self._commit, endpoint=self._endpoint)
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        # The commit pins the bytes; the entry's version is the hub's, not an ETag.
        async for part in read_url(
            self._session, url, headers, Entry(entry.path, entry.size), offset, self._source.name
        ):
            yield part

    def _list(self) -> Any:
        hub = _library("huggingface_hub", "hf")
        api = hub.HfApi(endpoint=self._endpoint, token=self._token)
        try:
            return api.model_info(self._source.container, revision=self._source.revision, files_metadata=True)
        except hub.errors.RepositoryNotFoundError as error:
            text = "there is no such model, or it is private: give a token (HF_TOKEN) by a Secret of the ServiceAccount"
            raise Final(f"{self._source.name}: {text}") from error
        except hub.errors.HfHubHTTPError as error:
            raise StoreError(f"{self._source.name}: {error}") from error


class Objects:
    """A prefix of a bucket: S3 and what speaks like it, Google Cloud Storage."""

    def __init__(self, source: Source, environ: Mapping[str, str]) -> None:
        self._source = source
        self._library = _library("obstore", "storage")
        self._errors = self._library.exceptions
        try:
            self._store = _bucket(source, environ)
        except self._errors.BaseError as error:
            raise Final(f"{source.name}: {error}") from error

    async def entries(self) -> list[Entry]:
        """Return all objects below the prefix, or the object of this very name."""
        prefix = self._source.path
        try:
            found = [one async for batch in self._library.list(self._store, prefix or None) for one in batch]
            if not found and prefix:
                found = [await self._library.head_async(self._store, prefix)]
        except FileNotFoundError as error:
            raise Final(f"{self._source.name}: there is nothing of that name") from error
        except self._errors.BaseError as error:
            raise self._translated(error) from error
        return [
            Entry(listing.under(prefix, one["path"]), one["size"], str(one.get("e_tag") or ""))
            for one in found
            if not one["path"].endswith("/")
        ]

    async def read(self, entry: Entry, offset: int) -> AsyncIterator[tuple[int, bytes]]:
        """Yield an object from `offset` on, if it is still the same."""
        prefix = self._source.path
        path = prefix if prefix.rpartition("/")[2] == entry.path and entry.path else ""
        options: dict[str, Any] = {"if_match": entry.version} if entry.version else {}
        if offset:
            options["range"] = {"offset": offset}
        try:
            answer = await self._get(path, f"{prefix}/{entry.path}".lstrip("/"), options)
            position = offset
            async for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                yield position, bytes(chunk)
                position += len(chunk)
        except FileNotFoundError as error:
            raise Final(f"{self._source.name}: {entry.path} is gone") from error
        except self._errors.BaseError as error:
            raise self._translated(error) from error

    async def _get(self, alone: str, below: str, options: dict[str, Any]) -> Any:
        try:
            return await self._library.get_async(self._store, below, options=options or None)
        except FileNotFoundError:
            if not alone:
                raise
            return await self._library.get_async(self._store, alone, options=options or None)

    def _translated(self, error: Exception) -> StoreError:
        text = f"{self._source.name}: {_first_line(error)}"
        # Lists fail with a generic error; the status stands in its text only.
        if status := _STATUS.search(text):
            if status.group(1) in ("401", "403"):
                return Final(f"{text} (check the Secret of the ServiceAccount)")
            if status.group(1) in ("400", "404"):
                return Final(text)
        if isinstance(error, self._errors.PermissionDeniedError | self._errors.UnauthenticatedError):
            return Final(f"{text} (check the Secret of the ServiceAccount)")
        if isinstance(error, self._errors.NotFoundError | self._errors.UnknownConfigurationKeyError):
            return Final(text)
        return StoreError(text)


async def read_url(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], entry: Entry, offset: int, name: str
) -> AsyncIterator[tuple[int, bytes]]:
    """Yield a URL's bytes from `offset` on; from 0 when the server takes no ranges or the file is another one now."""
    wanted = dict(headers)
    if offset:
        wanted["Range"] = f"bytes={offset}-"
        if entry.version:
            wanted["If-Range"] = entry.version
    async with _answer(session, "GET", url, wanted, name) as answer:
        if answer.status == 416:
            raise StoreError(f"{name}: the file is shorter than what was fetched of it")
        _check(answer.status, name)
        position = offset if answer.status == 206 else 0
        try:
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                yield position, chunk
                position += len(chunk)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StoreError(f"{name}: the download broke off: {error or type(error).__name__}") from error


@asynccontextmanager
async def _answer(
    session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str], name: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    try:
        answer = await session.request(method, url, headers=dict(headers), max_redirects=REDIRECTS_LIMIT)
    except (ssl.SSLError, aiohttp.ClientConnectorCertificateError, aiohttp.InvalidURL) as error:
        raise Final(f"{name}: {error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise StoreError(f"{name}: {error or type(error).__name__}") from error
    async with answer:
        yield answer


def _check(status: int, name: str) -> None:
    if status in (200, 206):
        return
    text = f"{name}: the server answered {status}"
    if status in (401, 403):
        raise Final(f"{text} (check the Secret of the ServiceAccount)")
    if 400 <= status < 500 and status not in (408, 425, 429):
        raise Final(text)
    raise StoreError(text)


def _length(headers: Mapping[str, str]) -> int:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdigit() and not headers.get("Content-Encoding") else -1


def _version(headers: Mapping[str, str]) -> str:
    tag = headers.get("ETag", "")
    # A weak tag promises equal meaning, not equal bytes.
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _headers(text: str) -> dict[str, str]:
    """Read `Name: value` lines, as a Secret's key `headers` has them."""
    found = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip():
            found[name.strip()] = value.strip()
    return found


def _bucket(source: Source, environ: Mapping[str, str]) -> Any:
    stores = __import__("obstore.store", fromlist=["store"])
    if source.scheme == "gs":
        key = environ.get("GOOGLE_APPLICATION_CREDENTIALS_JSON")
        return stores.GCSStore(source.container, **({"service_account_key": key} if key else {"skip_signature": True}))
    endpoint = environ.get("S3_ENDPOINT") or environ.get("AWS_ENDPOINT_URL") or ""
    if endpoint and "://" not in endpoint:
        endpoint = f"{'http' if _is_off(environ.get('S3_USE_HTTPS')) else 'https'}://{endpoint}"
    options: dict[str, Any] = {
        "region": environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION") or "us-east-1",
        "virtual_hosted_style_request": _is_on(environ.get("S3_USE_VIRTUAL_BUCKET")),
        "client_options": {
            "allow_http": endpoint.startswith("http://"),
            "allow_invalid_certificates": _is_off(environ.get("S3_VERIFY_SSL")),
            "connect_timeout": f"{CONNECT_TIMEOUT_S:g}s",
            "timeout": f"{READ_TIMEOUT_S:g}s",
        },
        # The caller retries, within its own deadline.
        "retry_config": {"max_retries": 0},
    }
    if endpoint:
        options["endpoint"] = endpoint
    if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        options["access_key_id"] = environ["AWS_ACCESS_KEY_ID"]
        options["secret_access_key"] = environ["AWS_SECRET_ACCESS_KEY"]
        if environ.get("AWS_SESSION_TOKEN"):
            options["session_token"] = environ["AWS_SESSION_TOKEN"]
    elif _is_on(environ.get("S3_ANONYMOUS")) or not environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        options["skip_signature"] = True
    return stores.S3Store(source.container, **options)


def _library(name: str, extra: str) -> Any:
    try:
        return __import__(name)
    except ModuleNotFoundError as error:
        raise Final(f"{name} is not installed: pip install 'tidegate[{extra}]'") from error


def _is_on(text: str | None) -> bool:
    return (text or "").strip().lower() in ("1", "true", "yes", "on")


def _is_off(text: str | None) -> bool:
    return (text or "").strip().lower() in ("0", "false", "no", "off")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
