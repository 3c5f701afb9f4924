"""Chooses, among the addresses of one service, the one with the fewest requests in flight.

Pure: no sockets, no clock; `now` is handed in. Taking and giving back cost the same for any number of addresses: they
sit in one ordered group per number of requests in flight, and equals take turns. `limit` bounds what one address gets
(0: no bound). An address that refused a connection is set aside for a while; one that left keeps its count until its
last request ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable

Address = tuple[str, int]

FIRST_ASIDE_S = 0.1
LAST_ASIDE_S = 2.0


class _Upstream:
    """One address with what is in flight on it. `is_takeable`: on offer and not set aside."""

    __slots__ = ("address", "count", "is_takeable")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.count = 0
        self.is_takeable = False


class Balancer:
    """The addresses of one service with what is in flight on each."""

    __slots__ = ("_aside", "_groups", "_known", "_lowest", "_offered", "_strikes", "limit")

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self._known: dict[Address, _Upstream] = {}  # those on offer, and those that left with requests in flight
        self._offered: frozenset[Address] = frozenset()
        self._groups: list[OrderedDict[_Upstream, None]] = [OrderedDict()]  # by count; only takeable ones
        self._lowest = 0  # no group below this index has members
        self._aside: dict[Address, float] = {}  # until when
        self._strikes: dict[Address, int] = {}

    @property
    def addresses(self) -> Collection[Address]:
        """The addresses on offer, those set aside included."""
        return self._offered

    @property
    def in_flight(self) -> int:
        """Requests in flight on all addresses, those that left included."""
        return sum(upstream.count for upstream in self._known.values())

    def in_flight_on(self, address: Address) -> int:
        """Requests in flight on one address."""
        upstream = self._known.get(address)
        return upstream.count if upstream else 0

    def replace(self, addresses: Iterable[Address]) -> None:
        """Offer exactly these addresses from now on."""
        fresh = frozenset(addresses)
        for address in self._offered - fresh:
            self._withhold(self._known[address])
            self._aside.pop(address, None)
            self._strikes.pop(address, None)
            if not self._known[address].count:
                del self._known[address]
        for address in sorted(fresh - self._offered):
            self._offer(self._known.setdefault(address, _Upstream(address)))
        self._offered = fresh

    def take(self, now: float) -> Address | None:
        """Count one request on the least loaded address and return it; None when all are full or set aside."""
        if self._aside:
            self._bring_back(now)
        groups, count = self._groups, self._lowest
        while not groups[count]:
            count += 1
            if count == len(groups):
                return None
        self._lowest = count
        if self.limit and count >= self.limit:
            return None
        upstream, _ = groups[count].popitem(last=False)
        upstream.count = count = count + 1
        if count == len(groups):
            groups.append(OrderedDict())
        groups[count][upstream] = None
        return upstream.address

    def take_this(self, address: Address, now: float, most: int) -> bool:
        """Count one request on `address` if it is on offer and has fewer than `most` and than the limit."""
        if self._aside:
            self._bring_back(now)
        upstream = self._known.get(address)
        if upstream is None or not upstream.is_takeable:
            return False
        count = upstream.count
        if count >= most or (self.limit and count >= self.limit):
            return False
        del self._groups[count][upstream]
        upstream.count = count + 1
        if count + 1 == len(self._groups):
            self._groups.append(OrderedDict())
        self._groups[count + 1][upstream] = None
        return True

    def give_back(self, address: Address) -> None:
        """Count one request less on `address`."""
        upstream = self._known[address]
        count = upstream.count
        assert count > 0, f"nothing in flight on {address}"
        upstream.count = count - 1
        if upstream.is_takeable:
            del self._groups[count][upstream]
            self._groups[count - 1][upstream] = None
            if count <= self._lowest:
                self._lowest = count - 1
        elif count == 1 and address not in self._offered:
            del self._known[address]

    def eject(self, address: Address, now: float) -> float:
        """Set an address aside that refused a connection; returns until when. Each further refusal doubles the time."""
        strikes = self._strikes.get(address, 0)
        until: float = now + min(FIRST_ASIDE_S * 2**strikes, LAST_ASIDE_S)
        if address in self._offered:
            self._strikes[address] = min(strikes + 1, 16)
            self._withhold(self._known[address])
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
            return None if any(self._groups) else 0
        return sum((self.limit - count) * len(group) for count, group in enumerate(self._groups[: self.limit]))

    def _bring_back(self, now: float) -> None:
        for address in [address for address, until in self._aside.items() if until <= now]:
            del self._aside[address]
            self._offer(self._known[address])

    def _offer(self, upstream: _Upstream) -> None:
        upstream.is_takeable = True
        while upstream.count >= len(self._groups):
            self._groups.append(OrderedDict())
        self._groups[upstream.count][upstream] = None
        self._lowest = min(self._lowest, upstream.count)

    def _withhold(self, upstream: _Upstream) -> None:
        if upstream.is_takeable:
            upstream.is_takeable = False
            del self._groups[upstream.count][upstream]
