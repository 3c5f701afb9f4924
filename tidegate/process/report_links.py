"""One report link per autoscaler replica, and which of them hears of a revision: the one that decides for it.

Used by the activator, which speaks for all revisions. While nobody is known to decide for a revision, all replicas hear
of it; those that do not decide drop it. Links come and go with the addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tidegate.contracts import buckets, report
from tidegate.contracts.buckets import Address
from tidegate.process import tasks
from tidegate.process.report_link import ReportLink

LINKS_LIMIT = 64


class ReportLinks:
    """Links to all of `addresses()`; call `refresh` when they or the `hello` have changed.

    `on_connected` hears of each fresh connection, `on_moved` when revisions have another owner than before,
    `on_scaled` of each scale above zero that was written for a revision that somebody waits for.
    """

    def __init__(self, addresses: Callable[[], frozenset[Address]], hello: Callable[[], report.Hello | None]) -> None:
        self._addresses = addresses
        self._hello = hello
        self._links: dict[Address, ReportLink] = {}
        self._running: dict[Address, asyncio.Task[None]] = {}
        self._owners = report.Owners([], [])
        self._dropped = 0
        self.on_connected: Callable[[ReportLink], None] = lambda _link: None
        self.on_moved: Callable[[], None] = lambda: None
        self.on_scaled: Callable[[report.Scaled], None] = lambda _scaled: None

    @property
    def connected(self) -> int:
        """Links on which reports go out now."""
        return sum(link.is_connected for link in self._links.values())

    @property
    def dropped(self) -> int:
        """Reports that could not be sent."""
        return self._dropped + sum(link.dropped for link in self._links.values())

    def links_for(self, namespace: str, revision: str) -> list[ReportLink]:
        """Return the link to the replica that decides for a revision; all that are connected while that is unknown."""
        owner = buckets.owner_of(self._owners, namespace, revision)
        link = self._links.get(owner) if owner else None
        if link is not None and link.is_connected:
            return [link]
        return [one for one in self._links.values() if one.is_connected]

    def refresh(self) -> None:
        """Open links to new addresses, close those to addresses that are gone, and hurry the rest."""
        wanted = sorted(self._addresses())[:LINKS_LIMIT]
        for address in [address for address in self._links if address not in wanted]:
            self._dropped += self._links.pop(address).dropped
            self._running.pop(address).cancel()
        for address in wanted:
            if address in self._links:
                self._links[address].retry_now()
            else:
                self._open(address)

    async def close(self) -> None:
        """Close all links."""
        await tasks.cancel(*self._running.values())
        self._links.clear()
        self._running.clear()

    def _open(self, address: Address) -> None:
        link = self._links[address] = ReportLink(lambda: address, self._hello)
        link.on_connected = lambda: self.on_connected(link)
        link.on_owners = self._owners_changed
        link.on_scaled = self._scaled
        self._running[address] = tasks.spawn(link.run(), f"report-link {address[0]}:{address[1]}")

    def _scaled(self, scaled: report.Scaled) -> None:
        self.on_scaled(scaled)

    def _owners_changed(self, owners: report.Owners) -> None:
        if owners != self._owners:
            self._owners = owners
            self.on_moved()
