"""A list-watch cache: the objects of one kind, always current, with callbacks on change.

It lists, then watches from that point, and starts over when the server has lost the history or the connection broke:
a missed event costs a relist, never correctness. Objects in the cache are shared: readers must not change them.
Callbacks run on the event loop, synchronously and in order; after a relist they are called for the differences only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, MutableMapping

from tidegate.kube.api import Api, ApiError, Object, Page, Resource

log = logging.getLogger(__name__)

Key = tuple[str, str]
OnChange = Callable[[str, Object | None, Object | None], None]
"""Called with the event type (ADDED, MODIFIED, DELETED), the old object and the new one."""
Indexer = Callable[[Object], Iterable[str]]
Shrink = Callable[[Object], Object]

FIRST_BACKOFF_S = 0.05
LAST_BACKOFF_S = 5.0
PAGE_LIMIT = 500


class Cache:
    """All objects of `resource` that match the selectors, by `(namespace, name)`.

    `indexers` maps an index name to a function that gives an object's keys in it; `by_index` reads them. `shrink` makes
    of an object what is to be kept of it; `metadata` must keep name, namespace and resourceVersion. `objects` is where
    they are kept, a dictionary unless something smaller is wanted (`packed.PackedObjects`).
    """

    def __init__(
        self,
        api: Api,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        indexers: Mapping[str, Indexer] | None = None,
        shrink: Shrink = lambda obj: obj,
        objects: MutableMapping[Key, Object] | None = None,
    ) -> None:
        self.resource = resource
        self.objects: MutableMapping[Key, Object] = {} if objects is None else objects
        self._api = api
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._indexers = dict(indexers or {})
        self._shrink = shrink
        self._indexes: dict[str, dict[str, dict[Key, Object]]] = {name: {} for name in self._indexers}
        self._callbacks: list[OnChange] = []
        self._synced = asyncio.Event()
        self.version = ""
        """The resourceVersion up to which everything is in `objects`, and its callbacks are called."""

    @property
    def is_synced(self) -> bool:
        """Whether the first list has arrived."""
        return self._synced.is_set()

    def on_change(self, callback: OnChange) -> None:
        """Call `callback` for every change from now on."""
        self._callbacks.append(callback)

    def get(self, name: str, namespace: str = "") -> Object | None:
        """Return one object or None."""
        return self.objects.get((namespace, name))

    def by_index(self, index: str, key: str) -> list[Object]:
        """Return the objects whose indexer `index` gave `key`."""
        return list(self._indexes[index].get(key, {}).values())

    async def wait_synced(self, timeout_s: float) -> None:
        """Return once the first list has arrived; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            await self._synced.wait()

    async def run(self) -> None:
        """Keep the cache current until cancelled."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                since = await self._list()
                backoff_s = FIRST_BACKOFF_S
                await self._watch(since)
            except ApiError as error:
                if not error.is_gone:
                    log.info("%s: %s; trying again in %.2f s", self.resource.plural, error, backoff_s)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)

    async def _list(self) -> str:
        """Take what there is, a page at a time, so that a large fleet is never here whole and as it came."""
        seen: set[Key] = set()
        page = await self._page("")
        while page.more:
            self._take(page, seen)
            page = await self._page(page.more)
        seen.update(map(_key, page.items))
        for key in [key for key in self.objects if key not in seen]:
            self._change("DELETED", key, None)
        self._take(page, seen)
        self._synced.set()
        self.version = page.resource_version
        return page.resource_version

    async def _page(self, after: str) -> Page:
        return await self._api.list(
            self.resource, self._namespace, self._labels, self._fields, limit=PAGE_LIMIT, after=after
        )

    def _take(self, page: Page, seen: set[Key]) -> None:
        for item in page.items:
            key = _key(item)
            seen.add(key)
            old = self.objects.get(key)
            if old is None or old["metadata"].get("resourceVersion") != item["metadata"].get("resourceVersion"):
                self._change("MODIFIED", key, self._shrink(item))

    async def _watch(self, since: str) -> None:
        while True:
            events = self._api.watch(self.resource, self._namespace, self._labels, self._fields, since)
            async with contextlib.aclosing(events) as stream:  # type: ignore[type-var]
                async for event in stream:
                    since = event.object["metadata"].get("resourceVersion", since)
                    if event.type != "BOOKMARK":
                        deleted = event.type == "DELETED"
                        self._change(event.type, _key(event.object), None if deleted else self._shrink(event.object))
                    self.version = since

    def _change(self, kind: str, key: Key, new: Object | None) -> None:
        old = self.objects.get(key)
        if new is None:
            if old is None:
                return
            del self.objects[key]
        else:
            self.objects[key] = new
            kind = "ADDED" if old is None else "MODIFIED"
        self._reindex(key, old, new)
        for callback in self._callbacks:
            try:
                callback(kind, old, new)
            except Exception:
                log.exception("a callback for %s %s failed", self.resource.plural, key)

    def _reindex(self, key: Key, old: Object | None, new: Object | None) -> None:
        for name, indexer in self._indexers.items():
            index = self._indexes[name]
            for value in indexer(old) if old is not None else ():
                bucket = index.get(value)
                if bucket is not None:
                    bucket.pop(key, None)
                    if not bucket:
                        del index[value]
            for value in indexer(new) if new is not None else ():
                index.setdefault(value, {})[key] = new  # type: ignore[assignment]


def _key(obj: Object) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
