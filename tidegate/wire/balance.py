"""Chooses, among the addresses of one service, the one with the fewest requests in flight.

Pure: no sockets, no clock; `now` is handed in. Each operation takes constant time: addresses sit in one ordered group
per number of requests in flight, and equals take turns. `limit` bounds what one address gets (0: no bound). An
address that refused a connection is set aside for a while; one that left keeps its count until its last request ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable

Address = tuple[str, int]

FIRST_ASIDE_S = 0.1
LAST_ASIDE_S = 2.0


class Balancer:
    """The addresses of one service with what is in flight on each."""

    __slots__ = ("_aside", "_count", "_groups", "_offered", "_strikes", "limit")

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self._count: dict[Address, int] = {}  # in flight, also of addresses that left
        self._offered: set[Address] = set()
        self._groups: dict[int, OrderedDict[Address, None]] = {}  # by requests in flight; only takeable addresses
        self._aside: dict[Address, float] = {}  # until when
        self._strikes: dict[Address, int] = {}

    @property
    def addresses(self) -> Collection[Address]:
        """The addresses on offer, those set aside included."""
        return self._offered

    @property
    def in_flight(self) -> int:
        """Requests in flight on all addresses, those that left included."""
        return sum(self._count.values())

    def in_flight_on(self, address: Address) -> int:
        """Requests in flight on one address."""
        return self._count.get(address, 0)

    def replace(self, addresses: Iterable[Address]) -> None:
        """Offer exactly these addresses from now on."""
        fresh = set(addresses)
        for address in self._offered - fresh:
            self._ungroup(address)
            self._aside.pop(address, None)
            self._strikes.pop(address, None)
        for address in sorted(fresh - self._offered):
            self._group(address)
        self._offered = fresh

    def take(self, now: float, avoid: Collection[Address] = ()) -> Address | None:
        """Count one request on the least loaded address and return it; None when all are full, aside or avoided."""
        if self._aside:
            self._bring_back(now)
        for count in sorted(self._groups) if len(self._groups) > 1 else tuple(self._groups):
            if self.limit and count >= self.limit:
                return None
            for address in self._groups[count]:
                if address not in avoid:
                    self._move(address, +1)
                    return address
        return None

    def give_back(self, address: Address) -> None:
        """Count one request less on `address`."""
        assert self._count.get(address, 0) > 0, f"nothing in flight on {address}"
        self._move(address, -1)

    def eject(self, address: Address, now: float) -> float:
        """Set an address aside that refused a connection; returns until when. Each further refusal doubles the time."""
        strikes = self._strikes.get(address, 0)
        until: float = now + min(FIRST_ASIDE_S * 2**strikes, LAST_ASIDE_S)
        if address in self._offered:
            self._strikes[address] = min(strikes + 1, 16)
            self._ungroup(address)
            self._aside[address] = until
        return until

    def answered(self, address: Address) -> None:
        """Forget the refusals of an address that has just served a request."""
        if self._strikes:
            self._strikes.pop(address, None)

    def next_return(self) -> float | None:
        """When the first address set aside comes back, None when there is none."""
        return min(self._aside.values(), default=None)

    def free(self, now: float) -> int | None:
        """How many requests can be taken now; None means without bound."""
        if self._aside:
            self._bring_back(now)
        if not self.limit:
            return None if self._groups else 0
        return sum((self.limit - count) * len(group) for count, group in self._groups.items() if count < self.limit)

    def _bring_back(self, now: float) -> None:
        for address in [address for address, until in self._aside.items() if until <= now]:
            del self._aside[address]
            self._group(address)

    def _move(self, address: Address, by: int) -> None:
        grouped = self._ungroup(address)
        count = self._count.get(address, 0) + by
        if count:
            self._count[address] = count
        else:
            self._count.pop(address, None)
        if grouped:
            self._group(address)

    def _group(self, address: Address) -> None:
        count = self._count.get(address, 0)
        group = self._groups.get(count)
        if group is None:
            group = self._groups[count] = OrderedDict()
        group[address] = None

    def _ungroup(self, address: Address) -> bool:
        count = self._count.get(address, 0)
        group = self._groups.get(count)
        if group is None or address not in group:
            return False
        del group[address]
        if not group:
            del self._groups[count]
        return True
