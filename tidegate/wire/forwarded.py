"""X-Forwarded-For/-Proto/-Host and Forwarded (RFC 7239): the header lines of the next hop.

A director strips the incoming ones (`strip_request`) and appends these through `Relay.add_head`. Values from clients
are believed only where the caller says so; otherwise a client could choose its own address. Pure.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import NamedTuple

from tidegate.wire.director import HeaderLine

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NAMES = (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")


class Existing(NamedTuple):
    """The values that came with the request, each the list of all its lines; empty when absent."""

    forwarded: str = ""
    x_for: str = ""
    x_proto: str = ""
    x_host: str = ""


NOTHING = Existing()


def existing_of(headers: list[HeaderLine]) -> Existing:
    """Collect the forwarding headers of a request; several lines of one name make one list (RFC 9110 section 5.3)."""
    found: dict[bytes, list[str]] = {name: [] for name in _NAMES}
    for name, value in headers:
        values = found.get(name.lower())
        if values is not None and value.strip():
            values.append(value.decode("latin-1").strip())
    return Existing(*(", ".join(found[name]) for name in _NAMES))


def forwarding_lines(peer: str, scheme: str, host: str, existing: Existing = NOTHING, *, trust: bool = False) -> bytes:
    """Return the four header lines, each ending in CRLF.

    `peer`: address of the connection's other end; `host`: the Host value as received, with port. With `trust` the
    existing values are kept in front (lists grow at the end, scheme and host stay those that the first hop saw);
    without it they are forgotten.
    """
    if not trust or existing == NOTHING:
        return _fresh_lines(peer, scheme, host)
    x_for = f"{existing.x_for}, {peer}" if existing.x_for else peer
    first_proto = existing.x_proto.split(",")[0].strip() or scheme
    first_host = existing.x_host.split(",")[0].strip() or host
    before = existing.forwarded or _from_x_forwarded(existing)
    element = _element(peer, host, scheme)
    return _lines(x_for, first_proto, first_host, f"{before}, {element}" if before else element)


@functools.lru_cache(maxsize=4096)
def _fresh_lines(peer: str, scheme: str, host: str) -> bytes:
    return _lines(peer, scheme, host, _element(peer, host, scheme))


def _lines(x_for: str, proto: str, host: str, forwarded: str) -> bytes:
    lines = f"X-Forwarded-For: {x_for}\r\nX-Forwarded-Proto: {proto}\r\n"
    if host:
        lines += f"X-Forwarded-Host: {host}\r\n"
    return f"{lines}Forwarded: {forwarded}\r\n".encode("latin-1", "replace")


def _from_x_forwarded(existing: Existing) -> str:
    """Write the X-Forwarded-* of earlier hops as Forwarded elements; host and proto belong to the first hop."""
    nodes = [node.strip() for node in existing.x_for.split(",") if node.strip()]
    if not nodes:
        return ""
    first = _element(nodes[0], existing.x_host.split(",")[0].strip(), existing.x_proto.split(",")[0].strip())
    return ", ".join([first, *(f"for={_node(node)}" for node in nodes[1:])])


def _element(peer: str, host: str, proto: str) -> str:
    parts = [f"for={_node(peer)}"]
    if host:
        parts.append(f"host={_quoted(host)}")
    if proto:
        parts.append(f"proto={_quoted(proto)}")
    return ";".join(parts)


def _node(address: str) -> str:
    """Write a node: IPv6 goes in brackets and quotes, with or without port; no address is `unknown`."""
    address = address.strip('"').partition("%")[0]
    if not address:
        return "unknown"
    try:
        if ipaddress.ip_address(address).version == 6:
            address = f"[{address}]"
    except ValueError:
        pass  # a name, an obfuscated identifier, or an address with a port
    return _quoted(address)


def _quoted(value: str) -> str:
    if _TOKEN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
