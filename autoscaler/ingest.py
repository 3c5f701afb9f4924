"""The report port: who listens, what it bounds, and what a peer's frames do to Demand.

A connection proves itself first (`Hello`); a queueproxy may then speak for its own revision only. Which reports count
is decided by `sessions`, what they mean by `demand`, and whose they are by the leases (`is_ours`). `connection` has the
bytes. Nothing here decides anything. Reports carry durations, so arrival is the only time that counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from autoscaler.connection import Connection
from autoscaler.demand import Book, Demand, Key
from autoscaler.sessions import Session, Sessions, Verdict
from tidegate.contracts import report as reports
from tidegate.contracts.report import Hello, History, Owners, Report, Scaled
from tidegate.contracts.wake import Wake

log = logging.getLogger(__name__)

QUEUEPROXY = "queueproxy"
ACTIVATOR = "activator"

Who = tuple[str, ...]

POKED_LIMIT = 10_000
"""Revisions whose pokers are remembered until the scale is written; the oldest are forgotten."""

BREATH = 500
"""Connections that are told something between two chances for others to be heard."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one peer may do: seconds to prove itself, frame sizes, frames per second, seconds of silence, revisions."""

    hello_s: float = 5.0
    hello_bytes: int = 4096
    queueproxy_frame_bytes: int = 4096
    activator_frame_bytes: int = reports.FRAME_LIMIT_BYTES
    queueproxy_frames_per_s: int = 100
    activator_frames_per_s: int = 20_000
    activator_revisions: int = 100_000
    silence_s: float = 3 * reports.HEARTBEAT_S
    connections: int = 110_000
    unread_bytes: int = reports.ANSWER_LIMIT_BYTES


class Peer:
    """Who speaks on one connection, after its Hello."""

    __slots__ = ("book", "connection", "hello", "key", "row", "session")

    def __init__(self, connection: Connection, hello: Hello, session: Session) -> None:
        self.connection = connection
        self.hello = hello
        self.session = session
        self.key: Key | None = None if hello.source == ACTIVATOR else (hello.namespace, hello.revision)
        self.row = -1
        self.book: Book = {}

    @property
    def who(self) -> Who:
        """The identity that has one session at a time."""
        return self.hello.source, self.hello.pod, self.hello.namespace, self.hello.revision


class Ingest:
    """The server. `key` gives the report key now (None: not known yet), `clock` the monotonic time in seconds,
    `on_poke` is called with the revision whose first request waits. `is_ours` says whether this replica decides for a
    revision, `owners` which replica does; without them all are ours. `on_wake` takes what an activator tells of a cold
    start, and says whether it can be one."""

    def __init__(
        self,
        demand: Demand,
        *,
        key: Callable[[], bytes | None],
        clock: Callable[[], float],
        on_poke: Callable[[Key], None],
        is_ours: Callable[[Key], bool] = lambda _key: True,
        owners: Callable[[], Owners | None] = lambda: None,
        bounds: Bounds | None = None,
        on_wake: Callable[[Wake], bool] = lambda _wake: True,
    ) -> None:
        self.demand = demand
        self.key = key
        self.clock = clock
        self.on_poke = on_poke
        self.is_ours = is_ours
        self.owners = owners
        self.bounds = bounds or Bounds()
        self.on_wake = on_wake
        self.connections: set[Connection] = set()
        self.tally: Counter[str] = Counter()
        self.taken = 0
        self._take = demand.sources.take
        self._sessions = Sessions()
        self._peers: dict[Who, Peer] = {}
        self._pokers: dict[Key, set[Connection]] = {}
        self._server: asyncio.Server | None = None

    @property
    def counts(self) -> Counter[str]:
        """Reports by what became of them, and connections that were cut, refused or slowed."""
        implausible = self.demand.sources.implausible
        return self.tally + Counter({"taken": self.taken - implausible, "implausible": implausible})

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop listening and cut all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.cut("the autoscaler is stopping")
        if self._server is not None:
            await self._server.wait_closed()

    def sweep(self, now: float) -> None:
        """Cut connections that have been silent too long."""
        for connection in list(self.connections):
            if now - connection.heard_at > self.bounds.silence_s:
                connection.cut("silent")

    async def owners_changed(self) -> None:
        """Tell all peers who decides now, and begin or cease to count what they say."""
        for number, connection in enumerate(list(self.connections), 1):
            if connection.peer is not None and not connection.peer.session.is_over:
                self._settle_in(connection.peer)
            if number % BREATH == 0:
                await asyncio.sleep(0)

    def admit(self, connection: Connection, message: reports.Message) -> str:
        """Make a connection's first message its peer; returns why not, empty when it is one now."""
        problem = _refusal(message, self.key())
        if problem or not isinstance(message, Hello):
            self.tally["refused"] += 1
            return problem
        who = message.source, message.pod, message.namespace, message.revision
        session = self._sessions.begin(who, message.session, self.clock())
        if session is None:
            self.tally["replayed"] += 1
            return "a session that has been before"
        before = self._peers.get(who)
        if before is not None:
            self.leave(before)
            before.connection.cut("its pod has a newer session")
        peer = connection.peer = self._peers[who] = Peer(connection, message, session)
        self._settle_in(peer)
        return ""

    def leave(self, peer: Peer) -> None:
        """Forget what this peer reported; more than once does no harm."""
        if self._peers.get(peer.who) is peer:
            del self._peers[peer.who]
        self._sessions.end(peer.who, peer.session)
        if peer.key is None:
            for pokers in self._pokers.values():
                pokers.discard(peer.connection)
        for row in [peer.row, *peer.book.values()]:
            if row >= 0:
                self.demand.close(row)
        peer.row = -1

    def take(self, peer: Peer, message: reports.Message) -> bool:
        """Do what a message says; False where its kind may not come now."""
        if peer.session.is_over:
            return False
        if isinstance(message, Report):
            self._report(peer, message)
        elif isinstance(message, reports.Reports):
            for report in message.reports:
                self._report(peer, report)
        elif isinstance(message, History):
            self._history(peer, message)
        elif isinstance(message, Wake) and peer.key is None:
            self._wake(message)
        else:
            return False
        return True

    def _settle_in(self, peer: Peer) -> None:
        """Say who decides, and open or close a queueproxy's row accordingly."""
        owners = self.owners()
        if owners is not None:
            peer.connection.send(owners)
        if peer.key is None:
            for key in [key for key in peer.book if not self.is_ours(key)]:
                self.demand.close(peer.book[key])
        elif self.is_ours(peer.key) != (peer.row >= 0):
            if peer.row < 0:
                peer.row = self.demand.open(peer.key, self.clock())
            else:
                self.demand.close(peer.row)
                peer.row = -1

    def _report(self, peer: Peer, report: Report) -> None:
        """Take one report; this is the path of a hundred thousand a second, so it asks for nothing twice."""
        now = peer.connection.heard_at
        verdict = peer.session.judge(report.sequence, report.session_s, now)
        if verdict is not Verdict.TAKEN:
            self.tally[verdict] += 1
        elif peer.key is None:
            self._report_of_activator(peer, report, now)
        elif (report.namespace, report.revision) != peer.key:
            self.tally["foreign"] += 1
        elif peer.row < 0:
            self.tally["elsewhere"] += 1
        else:
            self.taken += 1
            self._take(peer.row, report, now)

    def _report_of_activator(self, peer: Peer, report: Report, now: float) -> None:
        key = (report.namespace, report.revision)
        row = peer.book.get(key)
        if row is None:
            if not self.is_ours(key):
                self.tally["elsewhere"] += 1
                return
            if len(peer.book) >= self.bounds.activator_revisions:
                self.tally["too_many_revisions"] += 1
                return
            row = self.demand.open_for(peer.book, key, now)
        self.taken += 1
        self._take(row, report, now)
        if report.is_first:
            if peer.hello.version >= reports.WAKES_SINCE:
                self._pokers.setdefault(key, set()).add(peer.connection)
            if len(self._pokers) > POKED_LIMIT:
                del self._pokers[next(iter(self._pokers))]
            self.on_poke(key)

    def scaled(self, key: Key) -> None:
        """Tell the activators that asked for a pod of this revision that the API server has taken the scale."""
        for connection in self._pokers.pop(key, ()):
            connection.send(Scaled(*key))

    def _wake(self, wake: Wake) -> None:
        if not self.is_ours((wake.namespace, wake.revision)):
            self.tally["elsewhere"] += 1
        else:
            self.tally["wakes" if self.on_wake(wake) else "implausible"] += 1

    def _history(self, peer: Peer, history: History) -> None:
        key = (history.namespace, history.revision)
        if peer.key not in (None, key):
            self.tally["foreign"] += 1
        elif not self.is_ours(key):
            self.tally["elsewhere"] += 1
        elif self.demand.tell(peer.hello.pod, history, peer.connection.heard_at):
            self.tally["histories"] += 1
        else:
            self.tally["implausible"] += 1


def _refusal(message: reports.Message, key: bytes | None) -> str:
    """Return why the first message of a connection is not accepted; empty when it is."""
    if not isinstance(message, Hello):
        return "it did not begin with a hello"
    if key is None:
        return "the report key is not known yet"
    if message.source not in (QUEUEPROXY, ACTIVATOR):
        return "an unknown kind of source"
    if (message.source == ACTIVATOR) != (message.revision == reports.ANY_REVISION):
        return "a source that may not speak for this revision"
    return "" if reports.is_token_valid(key, message) else "a wrong token"
