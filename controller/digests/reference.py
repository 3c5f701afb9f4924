"""An image's name taken apart: registry, repository, tag or digest. Pure.

The rules are Docker's: a first part with a dot or a colon (or `localhost`) is a registry, everything else is Docker
Hub's, where names without a slash live in `library/`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

HUB = "index.docker.io"
_HUB_NAMES = frozenset({"docker.io", HUB})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REGISTRY = re.compile(r"(?:\w(?:[\w-]*\w)?(?:\.\w(?:[\w-]*\w)?)*|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*")


@dataclass(frozen=True, slots=True)
class Reference:
    """An image; one of `tag` and `digest` is set."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def is_insecure(self) -> bool:
        """Whether its registry is spoken to without TLS: one of this machine, or with a private address."""
        if self.is_local or self._host.endswith(".local"):
            return True
        try:
            return ipaddress.ip_address(self._host).is_private
        except ValueError:
            return False

    @property
    def is_local(self) -> bool:
        """Whether its registry says by its name that it is on this machine."""
        if self._host == "localhost" or self._host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self._host).is_loopback
        except ValueError:
            return False

    @property
    def _host(self) -> str:
        return re.sub(r":[0-9]+$", "", self.registry).strip("[]")

    def pinned(self, digest: str) -> str:
        """Return the image's name by a digest."""
        return f"{self.registry}/{self.repository}@{digest}"


def parse(image: str) -> Reference:
    """Take a name apart; raises ValueError."""
    name, at, digest = image.partition("@")
    if at and not is_digest(digest):
        raise ValueError(f"could not parse reference: {image}: the digest is not sha256: and 64 hexadecimal digits")
    head, slash, rest = name.partition("/")
    registry = head if slash and (any(sign in head for sign in ".:") or head == "localhost") else ""
    path = rest if registry else name
    repository, _, tag = path.partition(":")
    if registry in _HUB_NAMES or not registry:
        registry = HUB
        repository = repository if "/" in repository else f"library/{repository}"
    if not _REGISTRY.fullmatch(registry):
        raise ValueError(f"could not parse reference: {image}: {registry!r} is no host")
    if not _REPOSITORY.fullmatch(repository) or (tag and not _TAG.fullmatch(tag)):
        raise ValueError(f"could not parse reference: {image}")
    return Reference(registry, repository, digest=digest) if at else Reference(registry, repository, tag or "latest")


def is_digest(text: str) -> bool:
    """Whether a text is a sha256 digest."""
    return _DIGEST.fullmatch(text) is not None
