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
_PAIR = re.compile(
    r"[ \t]*(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
    r'|"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*)"))?[ \t]*([;,]|\Z)'
)
"""One `name=value` (or nothing) and what follows it; groups: name, token, text between quotes, separator."""
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
    existing values are kept in front (lists grow at the end, scheme and host stay those that the first hop saw), and
    each of the two families is made from the other where only one came; without it they are forgotten. A malformed
    Forwarded counts as absent.
    """
    if not trust or existing == NOTHING:
        return _fresh_lines(peer, scheme, host)
    elements = elements_of(existing.forwarded)
    before_for = existing.x_for or ", ".join(_bare(element.get("for", "unknown")) for element in elements)
    first = elements[0] if elements else {}
    proto = _first_scheme(existing, first) or scheme
    first_host = existing.x_host.split(",")[0].strip() or first.get("host", host)
    before = existing.forwarded if elements else _from_x_forwarded(existing)
    element = _element(peer, host, scheme)
    return _lines(
        f"{before_for}, {peer}" if before_for else peer,
        proto,
        first_host,
        f"{before}, {element}" if before else element,
    )


def scheme_of(existing: Existing) -> str:
    """Return the scheme that the first hop saw, in lower case; empty where nobody says so."""
    elements = elements_of(existing.forwarded)
    return _first_scheme(existing, elements[0] if elements else {}).lower()


def elements_of(text: str) -> list[dict[str, str]]:
    """Return the elements of a Forwarded value, by lower-case parameter name, quotes taken off (RFC 7239 section 4).

    Empty when the value is malformed anywhere: what cannot be read must not be passed on as if it said something.
    """
    elements: list[dict[str, str]] = [{}]
    position, size = 0, len(text)
    while position < size:
        match = _PAIR.match(text, position)
        if match is None:
            return []
        name, token, quoted, end = match.groups()
        if name is not None:
            value = token if token is not None else re.sub(r"\\(.)", r"\1", quoted)
            if elements[-1].setdefault(name.lower(), value) is not value:
                return []  # each parameter once in an element
        if end == ",":
            elements.append({})
        position = match.end()
    return [element for element in elements if element]


def _first_scheme(existing: Existing, first: dict[str, str]) -> str:
    return existing.x_proto.split(",")[0].strip() or first.get("proto", "")


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


def _bare(node: str) -> str:
    """Write a node as X-Forwarded-For has it: without brackets and port; obfuscated identifiers stay."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node


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
