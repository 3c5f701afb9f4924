"""Versioned objects on SQLite: the only durable thing of a local cluster.

Every write gets the next number of one global counter (the resourceVersion), is committed to SQLite, and only then
becomes visible in memory and to subscribers. Objects are kept as encoded JSON: readers that want a dictionary decode
their own copy, lists and watches pass the bytes on untouched. Beside the bytes stands the *shadow*: the few parts that
selectors look at.

Durability: WAL with synchronous=NORMAL. A commit has written the log to the kernel before it returns, so `kill -9` of
this process at any moment loses no acknowledged write; only a power cut may lose the last moments, and it never tears
the file. The log is folded back by `checkpoint()`, on a connection of its own, so that writers do not wait for a disk.

It must not know kinds, users or HTTP.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from cluster import store_format
from tidegate.kube.api import Object

HISTORY_EVENTS = 10_000
HISTORY_BYTES = 32 << 20
SUBSCRIBER_EVENTS = 10_000
OBJECT_LIMIT_BYTES = 3 << 19
"""1.5 MiB, the limit of etcd: what is larger would work here and nowhere else."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  grp TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  body BLOB NOT NULL, PRIMARY KEY (grp, plural, namespace, name));
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (1, 1);
"""
PUT = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)"
DROP = "DELETE FROM objects WHERE grp = ? AND plural = ? AND namespace = ? AND name = ?"


class Collection(NamedTuple):
    """All objects of one kind: API group (empty for core) and plural name."""

    group: str
    plural: str


class Key(NamedTuple):
    """Where one object lives; namespace is empty for cluster-scoped kinds."""

    group: str
    plural: str
    namespace: str
    name: str

    @property
    def collection(self) -> Collection:
        """The collection this object belongs to."""
        return Collection(self.group, self.plural)


class Stale(Exception):
    """The object is no longer at the revision the writer expected (or exists, or is gone)."""


class TooLarge(Exception):
    """The object is larger than a cluster's store takes; nothing was written."""


class HistoryGone(Exception):
    """A subscriber asked for changes older than the history kept in memory."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored object: its JSON, its resourceVersion, and the parts selectors look at."""

    raw: bytes
    revision: int
    shadow: Object

    def decode(self) -> Object:
        """Return a fresh copy of the object; the caller may change it."""
        return decode(self.raw)


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write; `before` is the object before it, None for ADDED."""

    type: str
    key: Key
    entry: Entry
    before: Entry | None

    @property
    def previous(self) -> Object | None:
        """The shadow before the write."""
        return self.before.shadow if self.before else None


def decode(raw: bytes) -> Object:
    """Parse JSON bytes of an object."""
    obj: Object = msgspec.json.decode(raw)
    return obj


class Subscription:
    """A bounded mailbox of changes to one collection; `wake` is called after each delivery.

    A reader that falls more than `limit` changes behind is marked overflowed and gets nothing more: it must relist.
    """

    __slots__ = ("collection", "limit", "namespace", "overflowed", "pending", "wake")

    def __init__(self, collection: Collection, namespace: str, limit: int, wake: Callable[[], None]) -> None:
        self.collection = collection
        self.namespace = namespace
        self.limit = limit
        self.wake = wake
        self.pending: deque[Change] = deque()
        self.overflowed = False

    def wants(self, key: Key) -> bool:
        """Whether a change of `key` belongs to this subscriber."""
        return not self.namespace or key.namespace == self.namespace

    def deliver(self, change: Change) -> None:
        """Queue one change, or mark the reader as fallen behind."""
        if self.overflowed:
            return
        if len(self.pending) >= self.limit:
            self.overflowed = True
            self.pending.clear()
        else:
            self.pending.append(change)
        self.wake()

    def take(self) -> list[Change]:
        """Return and forget everything queued."""
        taken = list(self.pending)
        self.pending.clear()
        return taken


class Store:
    """All objects of a cluster. Synchronous; used from one thread (only `checkpoint` may run elsewhere)."""

    def __init__(
        self,
        path: Path | str,
        shadow: Callable[[Collection, Object], Object],
        history_events: int = HISTORY_EVENTS,
        history_bytes: int = HISTORY_BYTES,
    ) -> None:
        self._path = str(path)
        self._shadow = shadow
        self._database = _open(self._path)
        self._objects: dict[Collection, dict[tuple[str, str], Entry]] = {}
        self._history: deque[Change] = deque()
        self._history_bytes = 0
        self._history_limits = (history_events, history_bytes)
        self._subscribers: dict[Collection, list[Subscription]] = {}
        self._observers: dict[Collection, list[Callable[[Change], None]]] = {}
        self._observers_of_all: list[Callable[[Change], None]] = []
        self.writes_since_checkpoint = 0
        self.revision = int(self._database.execute("SELECT revision FROM counter").fetchone()[0])
        self.oldest_revision = self.revision
        self._load()

    def _load(self) -> None:
        for group, plural, namespace, name, body in self._database.execute("SELECT * FROM objects"):
            obj = decode(body)
            collection = Collection(group, plural)
            revision = int(obj["metadata"]["resourceVersion"])
            entry = Entry(body, revision, self._shadow(collection, obj))
            self._objects.setdefault(collection, {})[namespace, name] = entry

    def close(self) -> None:
        """Fold the log back and close the file."""
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()

    # Reading

    def get(self, key: Key) -> Entry | None:
        """Return the object at `key`, or None."""
        return self._objects.get(key.collection, {}).get((key.namespace, key.name))

    def entries(self, collection: Collection, namespace: str = "") -> list[Entry]:
        """Return the objects of a collection ordered by namespace and name."""
        objects = self._objects.get(collection, {})
        wanted = objects if not namespace else [where for where in objects if where[0] == namespace]
        return [objects[where] for where in sorted(wanted)]

    def entries_at(self, collection: Collection, namespace: str, revision: int) -> list[Entry]:
        """Return what `entries` returned at `revision`, by taking back what came later. Raises `HistoryGone`."""
        if not self.oldest_revision <= revision <= self.revision:
            raise HistoryGone(f"revision {revision} is outside {self.oldest_revision}..{self.revision}")
        objects = dict(self._objects.get(collection, {}))
        for change in reversed(self._history):
            if change.entry.revision <= revision:
                break
            if change.key.collection == collection:
                where = (change.key.namespace, change.key.name)
                objects.pop(where, None)
                if change.before is not None:
                    objects[where] = change.before
        return [objects[where] for where in sorted(objects) if not namespace or where[0] == namespace]

    def count(self, collection: Collection) -> int:
        """Return how many objects a collection holds."""
        return len(self._objects.get(collection, {}))

    def collections(self) -> Iterator[Collection]:
        """Yield the collections that hold at least one object."""
        return (collection for collection, objects in self._objects.items() if objects)

    # Writing

    def put(self, key: Key, obj: Object, expected: int | None = None) -> Entry:
        """Commit `obj` and return it as stored; its metadata.resourceVersion is set in place.

        `expected` is the revision it must still be at, 0 when it must not exist, None for no check. Raises `Stale` or
        `TooLarge`.
        """
        before = self._check(key, expected)
        revision = self.revision + 1
        obj["metadata"]["resourceVersion"] = str(revision)
        raw = msgspec.json.encode(obj)
        if len(raw) > OBJECT_LIMIT_BYTES:
            raise TooLarge(f"{key.plural} {key.name} has {len(raw)} bytes, more than {OBJECT_LIMIT_BYTES}")
        self._commit(revision, PUT, (*key, raw))
        entry = Entry(raw, revision, self._shadow(key.collection, obj))
        self._objects.setdefault(key.collection, {})[key.namespace, key.name] = entry
        self._publish(Change("MODIFIED" if before else "ADDED", key, entry, before))
        return entry

    def delete(self, key: Key, expected: int | None = None, last: Object | None = None) -> Entry:
        """Remove an object and return its last state (`last`, or as stored), stamped with the deletion's own revision.

        Raises `Stale` when the object is not at revision `expected` or not there at all.
        """
        before = self._check(key, expected)
        if before is None:
            raise Stale(f"{key.plural} {key.name} is gone")
        revision = self.revision + 1
        obj = before.decode() if last is None else last
        obj["metadata"]["resourceVersion"] = str(revision)
        self._commit(revision, DROP, tuple(key))
        del self._objects[key.collection][key.namespace, key.name]
        entry = Entry(msgspec.json.encode(obj), revision, before.shadow)
        self._publish(Change("DELETED", key, entry, before))
        return entry

    def _check(self, key: Key, expected: int | None) -> Entry | None:
        before = self.get(key)
        if expected is not None and (before.revision if before else 0) != expected:
            raise Stale(f"{key.plural} {key.name} is at {before.revision if before else 0}, not at {expected}")
        return before

    def _commit(self, revision: int, statement: str, values: tuple[object, ...]) -> None:
        # The counter moves in the same transaction: after a restart no revision is ever given out twice, also when
        # the last write was a deletion, and a client that saw everything may go on watching where it was.
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(statement, values)
            self._database.execute("UPDATE counter SET revision = ?", (revision,))
        self.revision = revision
        self.writes_since_checkpoint += 1

    # Following

    def _publish(self, change: Change) -> None:
        self._history.append(change)
        self._history_bytes += len(change.entry.raw)
        while len(self._history) > self._history_limits[0] or self._history_bytes > self._history_limits[1]:
            oldest = self._history.popleft()
            self._history_bytes -= len(oldest.entry.raw)
            self.oldest_revision = oldest.entry.revision
        for observer in (*self._observers.get(change.key.collection, ()), *self._observers_of_all):
            observer(change)
        for subscriber in self._subscribers.get(change.key.collection, ()):
            if subscriber.wants(change.key):
                subscriber.deliver(change)

    def observe_all(self, observer: Callable[[Change], None]) -> None:
        """Call `observer` with every later change of whatever collection; like `observe`."""
        self._observers_of_all.append(observer)

    def forget(self, revision: int) -> None:
        """Drop the history up to `revision`: nobody can follow from before it any more."""
        while self._history and self._history[0].entry.revision <= revision:
            self._history_bytes -= len(self._history.popleft().entry.raw)
        self.oldest_revision = max(self.oldest_revision, min(revision, self.revision))

    def observe(self, collection: Collection, observer: Callable[[Change], None]) -> None:
        """Call `observer` with every later change, inside the write. For caches; it must be quick and never raise."""
        self._observers.setdefault(collection, []).append(observer)

    def subscribe(
        self,
        collection: Collection,
        namespace: str = "",
        since: int | None = None,
        wake: Callable[[], None] = lambda: None,
        limit: int = SUBSCRIBER_EVENTS,
    ) -> Subscription:
        """Follow a collection from revision `since` (None: from now). Raises `HistoryGone`."""
        subscription = Subscription(collection, namespace, limit, wake)
        if since is not None:
            subscription.pending.extend(self._after(collection, namespace, since))
        self._subscribers.setdefault(collection, []).append(subscription)
        return subscription

    def _after(self, collection: Collection, namespace: str, since: int) -> list[Change]:
        if since < self.oldest_revision or since > self.revision:
            raise HistoryGone(f"revision {since} is outside {self.oldest_revision}..{self.revision}")
        found: list[Change] = []
        for change in reversed(self._history):
            if change.entry.revision <= since:
                break
            if change.key.collection == collection and (not namespace or change.key.namespace == namespace):
                found.append(change)
        found.reverse()
        return found

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop delivering to `subscription`; harmless when repeated."""
        subscribers = self._subscribers.get(subscription.collection, [])
        if subscription in subscribers:
            subscribers.remove(subscription)

    def reindex(self, collection: Collection) -> None:
        """Make the shadows of a collection again, after the rules for them changed."""
        objects = self._objects.get(collection, {})
        for where, entry in objects.items():
            objects[where] = Entry(entry.raw, entry.revision, self._shadow(collection, entry.decode()))

    def checkpoint(self) -> None:
        """Fold the log into the main file without stopping writers. May run in another thread."""
        self.writes_since_checkpoint = 0
        connection = sqlite3.connect(self._path, timeout=5)
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        _bring_up_to_date(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        if error.sqlite_errorname == "SQLITE_NOTADB":
            raise store_format.not_a_store(path) from error
        raise
    except store_format.OtherFormat:
        connection.close()
        raise
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA cache_size = -2048")
    return connection


def _bring_up_to_date(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables, or those of an older format into today's: all of it or nothing. Raises `OtherFormat`."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    store_format.check(path, found)
    connection.execute("PRAGMA journal_mode = WAL")
    if found < store_format.FORMAT:
        steps = [store_format.STEPS[one] for one in range(found, store_format.FORMAT)]
        number = f"PRAGMA user_version = {store_format.FORMAT};"
        connection.executescript("\n".join(["BEGIN IMMEDIATE;", SCHEMA, *steps, number, "COMMIT;"]))
        # Into the file itself: its head is what the supervisor looks at.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
