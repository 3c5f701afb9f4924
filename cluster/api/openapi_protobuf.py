"""(pure) The OpenAPI v2 document in its protobuf form, which kubectl before 1.27 insists on.

The layout is that of gnostic's OpenAPIv2.proto (message and field numbers below). Written once per change of the
definitions and kept; only what clients read is encoded, the rest of a schema has no field to go to.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import msgspec

from tidegate.kube.api import Object

MEDIA_TYPES = (
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
)
# field: number and kind. Kinds: s string, b truth, i integer, d double, A any value, a message's name; [] for lists.
MESSAGES = """
Document = swagger:1:s info:2:Info consumes:6:[s] produces:7:[s] paths:8:Paths definitions:9:Schemas
Info = title:1:s version:2:s description:3:s
PathItem = get:2:Operation put:3:Operation post:4:Operation delete:5:Operation patch:8:Operation
    parameters:9:[Parameters] x-:10:X
Operation = description:3:s operationId:5:s produces:6:[s] consumes:7:[s] parameters:8:[Parameters]
    responses:9:Responses deprecated:11:b x-:13:X
Body = description:1:s name:2:s in:3:s required:4:b schema:5:Schema x-:6:X
Query = required:1:b in:2:s description:3:s name:4:s type:6:s format:7:s x-:23:X
Path = required:1:b in:2:s description:3:s name:4:s type:5:s format:6:s x-:22:X
Response = description:1:s schema:2:Answer x-:5:X
Schema = $ref:1:s format:2:s title:3:s description:4:s default:5:A multipleOf:6:d maximum:7:d exclusiveMaximum:8:b
    minimum:9:d exclusiveMinimum:10:b maxLength:11:i minLength:12:i pattern:13:s maxItems:14:i minItems:15:i
    uniqueItems:16:b maxProperties:17:i minProperties:18:i required:19:[s] enum:20:[A] additionalProperties:21:Rest
    type:22:Type items:23:Items allOf:24:[Schema] properties:25:Schemas readOnly:27:b x-:31:X
"""


def _parsed() -> dict[str, dict[str, tuple[int, str]]]:
    found: dict[str, dict[str, tuple[int, str]]] = {}
    for line in MESSAGES.replace("\n    ", " ").strip().splitlines():
        name, _, body = line.partition(" = ")
        parts = (part.rsplit(":", 2) for part in body.split())
        found[name] = {field: (int(number), kind) for field, number, kind in parts}
    return found


_MESSAGES = _parsed()


def encode(document: Object) -> bytes:
    """Return the v2 document in protobuf."""
    return _message(document, "Document")


def _message(value: Object, name: str) -> bytes:
    fields, out = _MESSAGES[name], bytearray()
    for field, inner in value.items():
        if field.startswith("x-"):
            if "x-" in fields:
                out += _bytes(fields["x-"][0], _named(field, _any(inner)))
            continue
        number, kind = fields.get(field, (0, ""))
        if not number or inner is None:
            continue
        if kind.startswith("["):
            for item in inner:
                out += _field(number, kind.strip("[]"), item)
        else:
            out += _field(number, kind, inner)
    return bytes(out)


def _field(number: int, kind: str, value: Any) -> bytes:
    match kind:
        case "b":
            return _varint(number << 3) + _varint(1) if value else b""
        case "i":
            return _varint(number << 3) + _varint(int(value) & (1 << 64) - 1)
        case "d":
            return _varint(number << 3 | 1) + _double(float(value))
        case "s":
            return _bytes(number, str(value).encode())
        case "A":
            return _bytes(number, _any(value))
    special = _SPECIAL.get(kind)
    return _bytes(number, special(value) if special else _message(value, kind))


def _any(value: Any) -> bytes:
    return _bytes(2, msgspec.json.encode(value))  # JSON is YAML, which the field is named for


def _named(name: str, encoded: bytes) -> bytes:
    return _bytes(1, name.encode()) + _bytes(2, encoded)


def _map(number: int, values: Object, encode_one: Callable[[Any], bytes]) -> bytes:
    return b"".join(_bytes(number, _named(str(name), encode_one(value))) for name, value in values.items())


def _parameter(value: Object) -> bytes:
    if value["in"] == "body":
        return _bytes(1, _bytes(1, _message(value, "Body")))
    number, kind = (4, "Path") if value["in"] == "path" else (3, "Query")
    return _bytes(1, _bytes(2, _bytes(number, _message(value, kind))))


def _rest(value: Any) -> bytes:
    if isinstance(value, dict):
        return _bytes(1, _message(value, "Schema"))
    return _varint(2 << 3) + _varint(bool(value))


_SPECIAL: dict[str, Callable[[Any], bytes]] = {
    "Paths": lambda value: _map(2, value, lambda item: _message(item, "PathItem")),
    "Schemas": lambda value: _map(1, value, lambda item: _message(item, "Schema")),
    "Responses": lambda value: _map(1, value, lambda item: _bytes(1, _message(item, "Response"))),
    "Parameters": _parameter,
    "Answer": lambda value: _bytes(1, _message(value, "Schema")),
    "Rest": _rest,
    "Type": lambda value: _bytes(1, str(value).encode()),
    "Items": lambda value: _bytes(1, _message(value, "Schema")),
}


def _bytes(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _double(value: float) -> bytes:
    return struct.pack("<d", value)
