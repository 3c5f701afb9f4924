"""(pure) Lists in pages: `limit`, and the `continue` token that leads to the next one.

A token names the version of the first page and the last object told. Later pages show the present behind that object,
under the first page's version: a watch from there tells whatever changed meanwhile, so both together stay complete.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import msgspec

from cluster.api import status
from cluster.store import Entry
from tidegate.kube.api import Object


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, and the list metadata that goes with them."""

    entries: list[Entry]
    metadata: Object


def page(entries: list[Entry], limit: str, token: str, revision: int, oldest_revision: int) -> Page:
    """Return the page of ordered `entries` that `limit` and `token` ask for; both may be empty. Raises `ApiError`."""
    if token:
        told_at, after = _parse(token)
        if told_at < oldest_revision:
            text = "The provided continue parameter is too old to display a consistent list result."
            raise status.expired(f"{text} You can start a new list without the continue parameter.")
        revision = told_at
        entries = [entry for entry in entries if _place(entry) > after]
    metadata: Object = {"resourceVersion": str(revision)}
    size = _size(limit)
    if size and len(entries) > size:
        metadata["continue"] = _token(revision, _place(entries[size - 1]))
        metadata["remainingItemCount"] = len(entries) - size
        entries = entries[:size]
    return Page(entries, metadata)


def _size(limit: str) -> int:
    try:
        return max(0, int(limit or 0))
    except ValueError:
        raise status.bad_request(f"limit: Invalid value: {limit!r}") from None


def _place(entry: Entry) -> tuple[str, str]:
    metadata = entry.shadow["metadata"]
    return metadata["namespace"], metadata["name"]


def _token(revision: int, place: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([revision, *place])).decode()


def _parse(token: str) -> tuple[int, tuple[str, str]]:
    try:
        parts: Any = msgspec.json.decode(base64.urlsafe_b64decode(token))
        revision, namespace, name = parts
        return int(revision), (str(namespace), str(name))
    except (binascii.Error, msgspec.DecodeError, ValueError, TypeError):
        raise status.bad_request("continue key is not valid") from None
