"""The `format` keyword of schemas: which texts and numbers have a given format. Pure; an unknown format allows all."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_GO_DURATION = re.compile(r"[+-]?(0|(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w))+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?")


def _is_date_time(text: str) -> bool:
    return bool(_DATE_TIME.fullmatch(text)) and _reads(datetime.fromisoformat, text.upper().replace(" ", "T"))


def _reads(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except (ValueError, binascii.Error):
        return False
    return True


def _is_byte(text: str) -> bool:
    return _reads(lambda given: base64.b64decode(given, validate=True), text)


_TEXTS: dict[str, Callable[[str], bool]] = {
    "date-time": _is_date_time,
    "date": lambda text: _reads(date.fromisoformat, text),
    "duration": lambda text: bool(_GO_DURATION.fullmatch(text)),
    "byte": _is_byte,
    "ipv4": lambda text: _reads(ipaddress.IPv4Address, text),
    "ipv6": lambda text: _reads(ipaddress.IPv6Address, text),
    "cidr": lambda text: "/" in text and _reads(lambda given: ipaddress.ip_network(given, strict=False), text),
    "hostname": lambda text: len(text) < 254 and bool(_HOST.fullmatch(text)),
    "email": lambda text: bool(re.fullmatch(r"[^@\s]+@[^@\s]+", text)),
    "uri": lambda text: bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|/", text)),
    "uuid": lambda text: _reads(uuid.UUID, text),
}
_INTEGERS = {"int32": 31, "int64": 63}


def is_of_format(value: str | float, name: str) -> bool:
    """Whether a string or number has the format; formats of the other type do not apply."""
    if isinstance(value, str):
        return name not in _TEXTS or _TEXTS[name](value)
    bits = _INTEGERS.get(name)
    return bits is None or -(1 << bits) <= value < (1 << bits)
