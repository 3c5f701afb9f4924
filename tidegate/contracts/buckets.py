"""Buckets: how several autoscaler replicas share the revisions, and how a replica is named in a Lease.

A revision belongs to a bucket by a hash of its key, for ever; a bucket belongs to one replica at a time, by a Lease.
Autoscalers and those who report to them must agree on the hash, so it stands here. Pure.
"""

from __future__ import annotations

import zlib

from tidegate.contracts.report import Owners

COUNT_DEFAULT = 8
COUNT_MAX = 64
NOBODY = -1

Address = tuple[str, int]


def bucket_of(namespace: str, revision: str, count: int) -> int:
    """Return the bucket (0 to `count` - 1) of a revision."""
    return zlib.crc32(f"{namespace}/{revision}".encode()) % count


def owner_of(owners: Owners, namespace: str, revision: str) -> Address | None:
    """Return where reports on a revision go; None while nobody decides for it, or the answer makes no sense."""
    if not owners.of_bucket:
        return None
    index = owners.of_bucket[bucket_of(namespace, revision, len(owners.of_bucket))]
    return address_of(owners.addresses[index]) if 0 <= index < len(owners.addresses) else None


def address_of(text: str) -> Address | None:
    """Return (host, port) of `host:port`, None when it is none."""
    host, _, port = text.rpartition(":")
    return (host, int(port)) if host and port.isdigit() and 0 < int(port) < 65536 else None


def identity(pod: str, host: str, port: int) -> str:
    """Return what a replica calls itself as the holder of a Lease: its pod and its report port."""
    return f"{pod}_{host}:{port}"


def pod_in(holder: str) -> str:
    """Return the pod in a holder identity."""
    return holder.rpartition("_")[0]


def address_in(holder: str) -> str:
    """Return the `host:port` in a holder identity."""
    return holder.rpartition("_")[2]
