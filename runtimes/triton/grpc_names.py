"""Reads the model's name from the first bytes of a call to Triton's gRPC service (pure).

The wire forms are public: a message is a flag byte, four bytes of length and protobuf fields
(`GRPCInferenceService` of the Open Inference Protocol with Triton's repository extension). Serializers write fields in
order, so the name is among the first bytes. Nothing else of a message is looked at, and none is changed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SERVICE = b"/inference.GRPCInferenceService/"
PREFIX_BYTES = 5
NAME_LIMIT_BYTES = 4096
"""So much of a call is read for its model's name."""
INFLATED_LIMIT_BYTES = 1 << 16

NEEDS_MODEL = frozenset({b"ModelInfer", b"ModelStreamInfer", b"ModelMetadata", b"ModelConfig"})
"""Calls for which a model must be in memory; questions about readiness and statistics load nothing."""
CHANGES_MODELS = frozenset({b"RepositoryModelLoad", b"RepositoryModelUnload"})
REPOSITORY = CHANGES_MODELS | {b"RepositoryIndex"}
_LOAD_NAME, _LOAD_PARAMETERS = 2, 3
_LARGEST_TAG = (1 << 32) - 1


class Unreadable(ValueError):
    """These bytes are no such message."""


@dataclass(frozen=True, slots=True)
class LoadCall:
    """What a RepositoryModelLoad asks for; `parameters` may hold files and a configuration."""

    name: str
    has_parameters: bool


def method_of(target: bytes) -> bytes:
    """Return the method of the inference service, empty for other services."""
    return target[len(SERVICE) :] if target.startswith(SERVICE) else b""


def model_name(data: bytes, encoding: bytes = b"") -> str:
    """Return the model that a call of NEEDS_MODEL names; `data` are its first bytes. Raises Unreadable."""
    for number, value in _fields(_message(data, encoding)[0]):
        if number == 1 and value is not None:
            return _text(value)
    raise Unreadable("the call names no model")


def load_call(data: bytes, encoding: bytes = b"") -> LoadCall:
    """Return what a load or unload asks for; `data` is the whole call. Raises Unreadable, also for half a call."""
    if len(data) < PREFIX_BYTES or len(data) - PREFIX_BYTES < int.from_bytes(data[1:PREFIX_BYTES], "big"):
        raise Unreadable("the call is larger than a load without files can be")
    message, is_whole = _message(data, encoding)
    name, has_parameters = "", False
    for number, value in _fields(message):
        if value is None:
            raise Unreadable("the call is cut off")
        if number == _LOAD_NAME:
            name = _text(value)
        has_parameters = has_parameters or number == _LOAD_PARAMETERS
    if not is_whole:
        raise Unreadable("the call is larger than a load without files can be")
    return LoadCall(name, has_parameters)


def _message(data: bytes, encoding: bytes) -> tuple[bytes, bool]:
    """Return the first message as far as it is there, and whether that is all of it."""
    if len(data) < PREFIX_BYTES:
        raise Unreadable("the call ends before its message")
    length = int.from_bytes(data[1:PREFIX_BYTES], "big")
    message = data[PREFIX_BYTES : PREFIX_BYTES + length]
    if not data[0]:
        return message, len(message) == length
    if encoding not in (b"gzip", b"deflate"):
        raise Unreadable("the call is compressed in a way that is not known here")
    reader = zlib.decompressobj(wbits=47)  # gzip or zlib, as the stream says
    try:
        return reader.decompress(message, INFLATED_LIMIT_BYTES), reader.eof
    except zlib.error as error:
        raise Unreadable("the call is not compressed as it says") from error


def _fields(message: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Give number and bytes of each field; None for a last one that is cut off."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag > _LARGEST_TAG:
            # Others cut a tag to 32 bits and find a field there that was not seen here.
            raise Unreadable("the message is not protobuf")
        kind = tag & 7
        if kind == 2:
            length, at = _varint(message, at)
        elif kind == 0:
            start = at
            _, at = _varint(message, at)
            yield tag >> 3, message[start:at]
            continue
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise Unreadable("the message is not protobuf")
        if at + length > len(message):
            yield tag >> 3, None
            return
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise Unreadable("the message is cut off")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("the model's name is not UTF-8") from error
