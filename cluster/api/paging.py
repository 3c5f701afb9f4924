"""(pure) Which state a list shows, and in which pages: `resourceVersion`, `resourceVersionMatch`, `limit`, `continue`.

A token names the version of the first page and the last object told; later pages show that version, as long as memory
holds its history. Then the list ends with 410, and a token with which the rest can be read as it is now.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cluster.api import status
from cluster.store import Entry
from tidegate.kube.api import ApiError, Object

PRESENT = -1
"""The revision in a token of a list that goes on with the present."""
META = status.Named("meta.k8s.io", "", "ListOptions")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a list asks for: the revision to show (None: the present), where to go on after, and the size of a page."""

    at: int | None = None
    after: tuple[str, str] | None = None
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, and the list metadata that goes with them."""

    entries: list[Entry]
    metadata: Object = field(default_factory=dict)


def wish(query: Mapping[str, str], revision: int) -> Wish:
    """Return what a list's query asks for; `revision` is the present one. Raises `ApiError`."""
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    limit = _size(query.get("limit", ""))
    if token := query.get("continue", ""):
        if version not in ("", "0"):
            raise status.bad_request("specifying resource version is not allowed when using continue")
        at, after = _parse(token)
        return Wish(None if at == PRESENT else at, after, limit)
    _check_match(version, match)
    asked = check_not_ahead(version, revision)
    is_exact = match == "Exact" or (not match and limit and asked)
    return Wish(asked if is_exact else None, None, limit)


def check_not_ahead(version: str, revision: int) -> int:
    """Return a `resourceVersion` as a number, 0 for none; raises `ApiError`, also for one that is not reached yet."""
    try:
        asked = int(version or 0)
    except ValueError:
        raise status.bad_request(f"resourceVersion: Invalid value: {version!r}") from None
    if asked > revision:
        raise status.too_large_version(asked, revision)
    return asked


def _check_match(version: str, match: str) -> None:
    path, problem = "resourceVersionMatch", ""
    if match and not version:
        problem = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif match and match not in ("Exact", "NotOlderThan"):
        problem = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan"'
    elif match == "Exact" and version == "0":
        problem = 'Forbidden: resourceVersionMatch "Exact" is forbidden for resourceVersion "0"'
    if problem:
        raise status.invalid(META, "", [(path, problem, "FieldValueForbidden")])


def page(entries: list[Entry], wanted: Wish, revision: int) -> Page:
    """Return the page of the ordered `entries`, which are all of the state that was wished for."""
    shown = revision if wanted.at is None else wanted.at
    if wanted.after is not None:
        entries = [entry for entry in entries if _place(entry) > wanted.after]
    metadata: Object = {"resourceVersion": str(shown)}
    if wanted.limit and len(entries) > wanted.limit:
        is_present = wanted.after is not None and wanted.at is None
        metadata["continue"] = _token(PRESENT if is_present else shown, _place(entries[wanted.limit - 1]))
        metadata["remainingItemCount"] = len(entries) - wanted.limit
        entries = entries[: wanted.limit]
    return Page(entries, metadata)


def too_old(wanted: Wish) -> ApiError:
    """Return the refusal of a list whose state is no longer in memory."""
    if wanted.after is None:
        return status.expired(f"The resourceVersion for the provided list is too old: {wanted.at}")
    text = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results, as they are now."
    )
    error = status.expired(text)
    error.details[status.CONTINUE] = _token(PRESENT, wanted.after)
    return error


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
