"""Which hosts a registry may send us to, by redirects and by the realm of its challenge.

Whoever may name an image may name a registry, and that registry says where to go on. Two kinds of address are never
meant by an honest one: link-local (the metadata servers of clouds) and, unless the registry itself is on this machine,
loopback (our own admin port). Private networks stay allowed: registries live there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


async def refusal(host: str, *, is_registry_local: bool) -> str:
    """Return why `host` is not asked, "" when it may be; a name that does not resolve is left to the call itself.

    The caller bounds the time. A name that resolves otherwise a moment later is not caught.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ""
    for *_, address in found:
        if why := flaw(ipaddress.ip_address(str(address[0]).partition("%")[0]), is_registry_local=is_registry_local):
            return f"{host} is {address[0]}, {why}"
    return ""


def flaw(address: Address, *, is_registry_local: bool) -> str:
    """Return what is wrong with an address, "" for nothing."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast or (address.is_unspecified and not is_registry_local):
        return "no address of a host"
    if address.is_loopback and not is_registry_local:
        return "an address of this machine"
    return ""
