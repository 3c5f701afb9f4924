"""What a storage URI means.

Pure. Credentials never stand in a URI: one with a user part is refused, so that nothing secret reaches a log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip")
OBJECT_STORES = ("s3", "gs")
SCHEMES = ("file", "http", "https", *OBJECT_STORES, "hf")
HUB_REVISION = "main"
_SHA256 = re.compile(r"sha256=([0-9a-f]{64})")


class SourceError(ValueError):
    """The URI cannot be used; the message names the part and what to write."""


@dataclass(frozen=True, slots=True)
class Source:
    """A place of models. `container` is bucket, host or hub repository; `path` has no leading slash.

    `sha256` is the digest a single file (or an archive) must have, empty when it was not given; `revision` is a hub's.
    """

    scheme: str
    container: str
    path: str
    url: str = ""
    sha256: str = ""
    revision: str = ""

    @property
    def name(self) -> str:
        """How people see it, without digest."""
        at = f"@{self.revision}" if self.revision else ""
        return self.url or f"{self.scheme}://{'/'.join(part for part in (self.container + at, self.path) if part)}"

    @property
    def archive_suffix(self) -> str:
        """The suffix of an archive that is to be unpacked (by http and https only), empty for anything else."""
        if self.scheme not in ("http", "https"):
            return ""
        return next((suffix for suffix in ARCHIVES if self.path.lower().endswith(suffix)), "")


def parse(uri: str) -> Source:
    """Return what `uri` means; raises `SourceError`."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise SourceError(f"{_shown(uri)}: {error}") from error
    scheme = parts.scheme.lower()
    if scheme == "pvc":
        raise SourceError(f"{_shown(uri)}: a claim is mounted, not fetched")
    if scheme not in SCHEMES:
        raise SourceError(f"{_shown(uri)}: write one of {', '.join(f'{one}://' for one in SCHEMES)}")
    if "@" in parts.netloc and scheme != "hf":
        raise SourceError(f"{_shown(uri)}: credentials do not belong in a URI; give them by a Secret")
    sha256 = _digest(parts.fragment, uri)
    path = unquote(parts.path).lstrip("/")
    if scheme == "file":
        if host not in ("", "localhost"):
            raise SourceError(f"{_shown(uri)}: write file:///path, without a host")
        return Source(scheme, "", unquote(parts.path), sha256=sha256)
    if not host:
        raise SourceError(f"{_shown(uri)}: the bucket, repository or host is missing")
    if scheme in ("http", "https"):
        url = parts._replace(fragment="").geturl()
        return Source(scheme, f"{host}:{port}" if port else host, path, url, sha256)
    if scheme == "hf":
        return _hub(parts.netloc, path, uri)
    return Source(scheme, parts.netloc, path.rstrip("/"), sha256=sha256)


def _hub(owner: str, path: str, uri: str) -> Source:
    # hf://owner/model[:revision][/path], also with @revision
    name, _, rest = path.partition("/")
    name, _, revision = name.replace("@", ":").partition(":")
    if not name:
        raise SourceError(f"{_shown(uri)}: write hf://owner/model or hf://owner/model:revision")
    return Source("hf", f"{owner}/{name}", rest.rstrip("/"), revision=revision or HUB_REVISION)


def _digest(fragment: str, uri: str) -> str:
    if not fragment:
        return ""
    found = _SHA256.fullmatch(fragment)
    if found is None:
        raise SourceError(f"{_shown(uri)}: after # only sha256=<64 hex digits> has a meaning")
    return found.group(1)


def _shown(uri: str) -> str:
    """Return a URI for a message: without user part, query and fragment, which may hold secrets."""
    head, slashes, tail = uri.partition("://")
    bare = re.split(r"[?#]", tail)[0]
    netloc, slash, path = bare.partition("/")
    return f"{head[:20]}{slashes}{netloc.rpartition('@')[2]}{slash}{path}"[:300]
