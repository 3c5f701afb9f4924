"""A cache that already knows this process's own writes, so that no plan is made twice on old news.

A watch delivers a write a little after the write was acknowledged. A controller that plans in between would create its
pods again. Therefore the answer of each write is laid over the cache until the watch has caught up (resourceVersions
of the local API server grow and compare as numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from tidegate.kube.api import Api, Object, Resource
from tidegate.kube.cache import Cache, Key, Shrink

TOMBSTONES = 2000
Indexer = Callable[[Object], Iterable[str]]


class View:
    """The objects of one resource: a `Cache` under the newest answers of our own writes."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        namespace: str = "",
        *,
        indexers: Mapping[str, Indexer],
        shrink: Shrink = lambda obj: obj,
    ) -> None:
        self.resource = resource
        self.cache = Cache(api, resource, namespace, indexers=indexers, shrink=shrink)
        self._indexers = indexers
        self._own: dict[Key, Object] = {}
        # uids of objects whose deletion we caused (until the watch says so) or saw (so that no late answer revives it).
        self._gone: dict[str, None] = {}
        self.cache.on_change(self._seen)

    def note(self, obj: Object) -> None:
        """Take the answer of a write of ours."""
        uid = obj["metadata"].get("uid", "")
        if uid in self._gone:
            return
        key = _key(obj)
        cached = self.cache.objects.get(key)
        if cached is None or _version(cached) < _version(obj):
            self._own[key] = obj

    def note_gone(self, uid: str) -> None:
        """Take the answer of a delete of ours that left nothing behind."""
        self._gone[uid] = None
        while len(self._gone) > TOMBSTONES:
            del self._gone[next(iter(self._gone))]

    def get(self, name: str, namespace: str = "") -> Object | None:
        """Return one object or None."""
        key = (namespace, name)
        found = self._own.get(key) or self.cache.objects.get(key)
        return None if found is None or self._is_gone(found) else found

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects whose indexer gave `value`."""
        found = [one for one in self.cache.by_index(index, value) if _key(one) not in self._own]
        indexer = self._indexers[index]
        found += [one for one in self._own.values() if value in indexer(one)]
        return [one for one in found if not self._is_gone(one)]

    def __iter__(self) -> Iterator[Object]:
        for key, one in self.cache.objects.items():
            if key not in self._own and not self._is_gone(one):
                yield one
        yield from [one for one in self._own.values() if not self._is_gone(one)]

    def _is_gone(self, obj: Object) -> bool:
        return obj["metadata"].get("uid", "") in self._gone

    def _seen(self, kind: str, old: Object | None, new: Object | None) -> None:
        latest = new if new is not None else old
        assert latest is not None
        own = self._own.get(_key(latest))
        if kind == "DELETED":
            self.note_gone(latest["metadata"].get("uid", ""))
        if own is None:
            return
        same = own["metadata"].get("uid") == latest["metadata"].get("uid")
        if (kind == "DELETED" and same) or _version(latest) >= _version(own):
            del self._own[_key(latest)]


def _key(obj: Object) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _version(obj: Object) -> int:
    text = str(obj["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0
