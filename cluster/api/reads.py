"""The reading verbs: get, list, and the events of a watch, on stored bytes.

A watch starts at a resourceVersion and then follows the store; together with a list nothing is missed or seen twice,
because both are taken between two writes. Turning entries into HTTP answers is `present`'s and the server's work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

from cluster.api import selectors, status
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.store import Change, Entry, HistoryGone, Subscription
from tidegate.kube.api import Object

BOOKMARK_EVERY_S = 60.0
EVERY_LABEL = selectors.Selector()
EVERY_FIELD = selectors.FieldSelector()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind are meant: a namespace (empty: all) and both selectors, parsed."""

    namespace: str = ""
    labels: selectors.Selector = EVERY_LABEL
    fields: selectors.FieldSelector = EVERY_FIELD

    def wants(self, shadow: Object | None) -> bool:
        """Whether the object with this shadow is meant; None never is."""
        return shadow is not None and self.labels.matches(shadow) and self.fields.matches(shadow)


class Event(NamedTuple):
    """One event of a watch: its type and the object at that moment (for a bookmark only the revision counts)."""

    type: str
    entry: Entry


def select(kind: Kind, namespace: str, labels: str, fields: str) -> Selection:
    """Parse both selector texts; raises `ApiError` BadRequest, also for fields the kind cannot be selected by."""
    try:
        by_labels, by_fields = selectors.parse_labels(labels), selectors.parse_fields(fields)
    except selectors.SelectorError as error:
        raise status.bad_request(str(error)) from error
    allowed = ("metadata.name", "metadata.namespace", *kind.selectable)
    for path, _, _ in by_fields.terms:
        if path not in allowed:
            raise status.bad_request(f"field label not supported: {path}")
    return Selection(namespace if kind.namespaced else "", by_labels, by_fields)


def get(backend: Backend, kind: Kind, namespace: str, name: str) -> Entry:
    """Return one object; raises `ApiError` NotFound."""
    return backend.require(kind, backend.key(kind, namespace, name))


def list_entries(backend: Backend, kind: Kind, selection: Selection, at: int | None = None) -> list[Entry]:
    """Return the selected objects, of now or `at` a revision, ordered by namespace and name; raises `HistoryGone`."""
    name = selection.fields.exact("metadata.name")
    if at is not None:
        entries = backend.store.entries_at(kind.collection, selection.namespace, at)
    elif name is not None and (selection.namespace or not kind.namespaced):
        found = backend.store.get(backend.key(kind, selection.namespace, name))
        entries = [found] if found else []
    else:
        entries = backend.store.entries(kind.collection, selection.namespace)
    return [entry for entry in entries if selection.wants(entry.shadow)]


def classify(change: Change, selection: Selection) -> Event | None:
    """Return what a change means to a watcher with this selection; an object that leaves it is DELETED to them."""
    before = selection.wants(change.previous)
    after = change.type != "DELETED" and selection.wants(change.entry.shadow)
    if before and after:
        return Event("MODIFIED", change.entry)
    if after:
        return Event("ADDED", change.entry)
    return Event("DELETED", change.entry) if before else None


class Watch:
    """A running watch. Iterate `events`; always `close` it."""

    def __init__(self, backend: Backend, kind: Kind, selection: Selection, since: int | None) -> None:
        self._backend = backend
        self._store = backend.store
        self._selection = selection
        self._woken = asyncio.Event()
        self._closed = False
        self._initial: list[Entry] = []
        if since is None:
            self._initial = list_entries(backend, kind, selection)
        try:
            self._subscription: Subscription = self._store.subscribe(
                kind.collection, selection.namespace, since, self._woken.set
            )
        except HistoryGone as error:
            raise status.expired(f"too old resource version: {since} ({self._store.oldest_revision})") from error
        backend.watches.add(self)

    def close(self) -> None:
        """Stop following, which ends `batches`; harmless when repeated."""
        self._backend.watches.discard(self)
        self._store.unsubscribe(self._subscription)
        self._closed = True
        self._woken.set()

    def initial(self) -> list[Event]:
        """Return the state the watch starts from, once."""
        events = [Event("ADDED", entry) for entry in self._initial]
        self._initial = []
        return events

    async def batches(self, timeout_s: float) -> AsyncIterator[list[Event]]:
        """Yield events in lists, as they come, until `timeout_s` seconds have passed.

        An empty list says that nothing came for a while and everything up to the store's revision has been told.
        Raises `ApiError` Expired when the reader fell behind.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        if initial := self.initial():
            yield initial
        while not self._closed:
            self._woken.clear()
            if self._subscription.overflowed:
                raise status.expired("the watch fell behind; list again")
            told = [classify(change, self._selection) for change in self._subscription.take()]
            if events := [event for event in told if event is not None]:
                yield events
                continue
            remaining = deadline - loop.time()
            if remaining <= 0:
                return
            if not await self._wait(min(remaining, BOOKMARK_EVERY_S)):
                yield []

    async def _wait(self, timeout_s: float) -> bool:
        try:
            await asyncio.wait_for(self._woken.wait(), timeout_s)
        except TimeoutError:
            return False
        return True
