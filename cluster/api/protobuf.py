"""Request bodies in the Kubernetes protobuf encoding, read into the same objects that JSON bodies give. Pure.

kubectl sends some creates (`create configmap`, `auth can-i`) in this encoding whatever the server offers, and so do
typed Go clients. Answers are JSON, which all of them accept. The layouts are in `pod_messages` and `object_messages`.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cluster.api import object_messages, pod_messages
from tidegate.kube.api import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_OLD_LAYOUTS = {("autoscaling/v1", "HorizontalPodAutoscaler"): "HorizontalPodAutoscalerV1"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ProtobufError(ValueError):
    """The body is no object in this encoding; the message is safe to show."""


class _Field(NamedTuple):
    name: str
    shape: str  # one, list or map
    type: str
    keeps_empty: bool


@functools.cache
def _messages() -> dict[str, dict[int, _Field]]:
    found = {}
    for text in (pod_messages.MESSAGES, object_messages.MESSAGES):
        for name, body in re.findall(r"^(\w+) = ((?:.|\n    )*)", text, re.MULTILINE):
            found[name] = dict(_field(part) for part in body.split())
    return found


def _field(text: str) -> tuple[int, _Field]:
    name, number, kind = text.split(":")
    shape = {"[": "list", "{": "map"}.get(kind[0], "one")
    return int(number), _Field(name, shape, kind.strip("[]{}!"), kind.endswith("!"))


def decode(body: bytes) -> Object:
    """Return the object in a request body; raises ProtobufError."""
    if not body.startswith(_MAGIC):
        raise ProtobufError("the body is not in the Kubernetes protobuf encoding")
    try:
        envelope = dict(_parts(body[len(_MAGIC) :]))
        what = {number: value.decode() for number, value in _parts(envelope.get(1, b""))}
        kind = what.get(2, "")
        layout = _OLD_LAYOUTS.get((what.get(1, ""), kind), kind)
        if layout not in _messages():
            raise ProtobufError(f'objects of kind "{kind}" cannot be read in this encoding')
        return {"apiVersion": what.get(1, ""), "kind": kind} | _message(envelope.get(2, b""), layout)
    except (IndexError, UnicodeDecodeError, AttributeError, TypeError, OverflowError, json.JSONDecodeError) as error:
        raise ProtobufError("the body is damaged") from error


def _parts(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a message: number, and an integer or bytes."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        form = tag & 7
        if form == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value - (1 << 64) if value >> 63 else value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(form)
        if size is None:
            if form != _BYTES:
                raise ProtobufError("the body is damaged")
            size, at = _varint(data, at)
        if at + size > end:
            raise ProtobufError("the body ends early")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        if shift > 63:
            raise ProtobufError("the body is damaged")


def _message(data: bytes, name: str) -> Object:
    fields, found = _messages()[name], Object()
    for number, raw in _parts(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.shape == "map":
            entry = dict(_parts(raw))
            found.setdefault(field.name, {})[entry.get(1, b"").decode()] = _value(entry.get(2, b""), field.type)
            continue
        value = _value(raw, field.type)
        if field.shape == "list":
            found.setdefault(field.name, []).append(value)
        elif field.name == "@":
            found |= value
        elif value or isinstance(value, dict) or field.keeps_empty or field.type == "x":
            found[field.name] = value
    return found


def _value(raw: Any, kind: str) -> Any:
    read = _READERS.get(kind)
    return read(raw) if read else _message(raw, kind)


def _whole(raw: Any) -> int:
    # Bytes where a number belongs: int() would read some of them as digits and raise for the others.
    if not isinstance(raw, int):
        raise TypeError("a number is expected")
    return raw


def _time(raw: bytes) -> str | None:
    parts = dict(_parts(raw))
    return (_EPOCH + timedelta(seconds=parts[1])).strftime("%Y-%m-%dT%H:%M:%SZ") if parts.get(1) else None


def _micro_time(raw: bytes) -> str | None:
    parts = dict(_parts(raw))
    if not parts.get(1):
        return None
    moment = _EPOCH + timedelta(seconds=parts[1], microseconds=parts.get(2, 0) // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _int_or_string(raw: bytes) -> int | str:
    parts = dict(_parts(raw))
    return parts.get(3, b"").decode() if parts.get(1) else _whole(parts.get(2, 0))


_READERS: dict[str, Callable[[Any], Any]] = {
    "s": lambda raw: raw.decode(),
    "y": lambda raw: base64.b64encode(raw).decode(),
    "i": _whole,
    "b": lambda raw: bool(_whole(raw)),
    "T": _time,
    "U": _micro_time,
    "q": lambda raw: dict(_parts(raw)).get(1, b"").decode(),
    "x": _int_or_string,
    "J": lambda raw: json.loads(dict(_parts(raw)).get(1, b"null")),
    "L": lambda raw: [item.decode() for _, item in _parts(raw)],
}
