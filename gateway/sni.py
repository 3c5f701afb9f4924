"""Host → key pair, by Server Name Indication: an immutable table made from the Secrets that the controller puts there.

Pure. Each Secret names its hosts in an annotation, a wildcard among them stands for one label. Of several for a host
the oldest is shown, as with Routes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.contracts import names


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its chain, and its key, as base64 of PEM; `version` changes with them."""

    version: str
    certificate: str = field(repr=False)
    key: str = field(repr=False)

    def texts(self) -> tuple[str, str]:
        """Return certificate and key as PEM; raises ValueError, without any of the key in its text."""
        try:
            return base64.b64decode(self.certificate).decode(), base64.b64decode(self.key).decode()
        except (UnicodeDecodeError, binascii.Error):
            raise ValueError("not base64 of PEM") from None


Table = Mapping[str, Pair]


def build(secrets: Iterable[Mapping[str, Any]]) -> tuple[Table, Table]:
    """Return the table for the public and that of names inside the cluster.

    They are apart, for a name may be in both (`shop.example` is also Service shop of namespace example), and neither
    side may take it from the other.
    """
    public: dict[str, Pair] = {}
    local: dict[str, Pair] = {}
    for secret in sorted(secrets, key=_age):
        metadata, data = secret["metadata"], secret.get("data") or {}
        certificate, key = data.get(names.CERTIFICATE_FIELD), data.get(names.KEY_FIELD)
        hosts = (metadata.get("annotations") or {}).get(names.SERVED_HOSTS_ANNOTATION, "")
        if not certificate or not key:
            continue
        version = f"{metadata.get('uid', '')}/{metadata.get('resourceVersion', '')}"
        purpose = (metadata.get("labels") or {}).get(names.CERTIFICATE_TYPE_LABEL)
        pair = Pair(version, certificate, key)
        table = local if purpose == names.CLUSTER_LOCAL_DOMAIN else public
        for host in hosts.split(","):
            if host:
                table.setdefault(host.strip().lower(), pair)
    return public, local


def find(table: Table, host: str) -> Pair | None:
    """Return the key pair for a host as a client names it."""
    host = host.lower().rstrip(".")
    return table.get(host) or table.get(f"*.{host.partition('.')[2]}")


def shrink(secret: dict[str, Any]) -> dict[str, Any]:
    """Return what is worth keeping of a Secret."""
    metadata = secret["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "annotations", "labels")
    return {"metadata": {key: metadata[key] for key in kept if key in metadata}, "data": secret.get("data") or {}}


def _age(secret: Mapping[str, Any]) -> tuple[str, str]:
    metadata = secret["metadata"]
    return metadata.get("creationTimestamp", ""), metadata["name"]
