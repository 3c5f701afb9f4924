"""What turned out to be true of an earlier request: `{"request_id", "truth", "observed_at"}` (pure).

A request is named by the `X-Request-Id` that its answer carried. `observed_at` (RFC 3339) is when the truth came about,
which may be long before it is told.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import msgspec

from runtimes.failures import bad_input
from runtimes.protocol.v2_rest import read_json

ID_LIMIT = 128
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Truth:
    """One report: `body` is the truth itself in JSON, `observed_unix_s` None where it is not told."""

    request_id: str
    body: bytes
    observed_unix_s: float | None = None


def decode(body: bytes) -> Truth:
    """Return the report of a request body; raises a 400 that names the field."""
    document: Any = read_json(_decode, body)
    if not isinstance(document, dict):
        raise bad_input('write {"request_id": ..., "truth": ..., "observed_at": ...}')
    if "truth" not in document:
        raise bad_input("truth is missing")
    identity = document.get("request_id")
    if not isinstance(identity, str) or not 0 < len(identity) <= ID_LIMIT or not identity.isprintable():
        raise bad_input(f"request_id is not a text of 1 to {ID_LIMIT} characters: send the X-Request-Id of the answer")
    return Truth(identity, _encode(document["truth"]), _observed(document.get("observed_at")))


def _observed(said: Any) -> float | None:
    if said is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(said)
    except (TypeError, ValueError) as error:
        raise bad_input(f"observed_at {said!r} is no time: write 2026-01-31T12:00:00Z") from error
    if found.tzinfo is None:
        raise bad_input(f"observed_at {said!r} has no zone: end it with Z")
    try:
        return found.astimezone(datetime.UTC).timestamp()
    except OverflowError as error:
        raise bad_input(f"observed_at {said!r} is outside of the years 1 to 9999 in UTC") from error
