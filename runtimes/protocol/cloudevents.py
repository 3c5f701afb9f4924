"""CloudEvents 1.0 around a V1 call: binary mode (`ce-` headers) and structured mode (JSON), both ways (pure).

The answer is an event in the mode of the question, with the question's id, so that both halves can be joined.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from runtimes.failures import bad_input
from runtimes.protocol.v2_rest import read_json

STRUCTURED = b"application/cloudevents+json"
ANSWER_TYPE = "io.kserve.inference.response"
_REQUIRED = ("specversion", "id", "source", "type")
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Event:
    """A question that came as an event: its id, mode, and the body that it carried."""

    id: str
    is_structured: bool
    data: bytes


def is_event(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request (lower-case header names) carries an event."""
    return b"ce-specversion" in headers or headers.get(b"content-type", b"").lower().startswith(STRUCTURED)


def decode(headers: Mapping[bytes, bytes], body: bytes) -> Event:
    """Return the event of a request; raises a 400 that names the attribute that is missing."""
    if b"ce-specversion" in headers:
        attributes = {name: headers.get(b"ce-" + name.encode(), b"").decode("latin-1") for name in _REQUIRED}
        return Event(_checked(attributes), False, body)
    document: dict[str, Any] = read_json(_decode, body)
    found = _checked(document)
    if "data_base64" not in document:
        return Event(found, True, _encode(document.get("data")))
    try:
        return Event(found, True, base64.b64decode(document["data_base64"], validate=True))
    except (binascii.Error, TypeError, ValueError) as error:
        raise bad_input("data_base64 is not base64 text") from error


def _checked(attributes: Mapping[str, Any]) -> str:
    for name in _REQUIRED:
        if not attributes.get(name) or not isinstance(attributes[name], str):
            raise bad_input(f"the event has no {name!r}")
    if not attributes["specversion"].startswith("1."):
        raise bad_input(f"specversion {attributes['specversion']!r} is not 1.x")
    if not attributes["id"].isprintable() or not attributes["id"].isascii():
        raise bad_input("the event's id is not printable ASCII")
    return str(attributes["id"])


def answer(event: Event, model: str, body: bytes) -> tuple[bytes, bytes, bytes]:
    """Return body, media type and header lines of the answer to an event."""
    source = f"io.kserve.inference.{model}"
    if not event.is_structured:
        attributes = {"specversion": "1.0", "id": event.id, "source": source, "type": ANSWER_TYPE}
        lines = "".join(f"ce-{name}: {value}\r\n" for name, value in attributes.items())
        return body, b"application/json", lines.encode("latin-1", "replace")
    document = {
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": ANSWER_TYPE,
        "datacontenttype": "application/json",
        "data": msgspec.Raw(body),
    }
    return _encode(document), STRUCTURED, b""
