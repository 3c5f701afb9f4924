"""Objects of a cache kept small: what most of them have in common is kept once, unpacked when somebody asks.

A hundred thousand objects of one kind differ in their names, a few ids and times; the rest is the same text again and
again. `templates` keeps that text once. Two caches whose objects belong together, as a Deployment does to its
PodAutoscaler, may share one `Shelf`: one name and one row of bytes for both. Those touched last are at hand as they
are. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import Any

import msgspec

from tidegate.kube.api import Object
from tidegate.kube.templates import Templates

Key = tuple[str, str]
Row = bytes
"""Two parts: the length of the first in two bytes, the first, the second. A part that is not there is empty."""

WARM = 2048
UNPACKED = b"\0"
"""In place of what is packed: the object is at hand only, and is packed when others need the room."""
PART_LIMIT = 0xFFFF

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Shelf:
    """Rows by key, each with room for two objects. The key is the very tuple that the first kind was put with."""

    def __init__(self) -> None:
        self._rows: dict[Key, Row] = {}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def part(self, key: Key, second: bool) -> bytes:
        """Return a part of a row; empty where there is none."""
        row = self._rows.get(key)
        if row is None:
            return b""
        end = 2 + int.from_bytes(row[:2])
        return row[end:] if second else row[2:end]

    def put(self, key: Key, second: bool, part: bytes) -> None:
        """Replace a part; a row without parts goes."""
        first, other = (self.part(key, False), part) if second else (part, self.part(key, True))
        if first or other:
            if part and not second and not self.part(key, False):
                self._rows.pop(key, None)  # a dictionary keeps the key it has: let it be that of the first kind
            self._rows[key] = len(first).to_bytes(2) + first + other
        else:
            self._rows.pop(key, None)


class PackedObjects(MutableMapping[Key, Object]):
    """A dictionary of objects by (namespace, name).

    With a `shelf`, `suffix` is what is cut off names to find the row; names without it are rows of their own. The
    suffix tells the two kinds apart: exactly one of both has one.
    """

    def __init__(self, warm: int = WARM, shelf: Shelf | None = None, suffix: str = "") -> None:
        self._limit = warm
        self._shelf = shelf if shelf is not None else Shelf()
        self._suffix = suffix
        self._second = bool(suffix)
        self._templates = Templates()
        self._odd: dict[Key, bytes] = {}
        """What does not fit on the shelf: too large, or named otherwise."""
        self._len = 0
        self._warm: OrderedDict[Key, Object] = OrderedDict()

    def __getitem__(self, key: Key) -> Object:
        warm = self._warm.get(key)
        if warm is not None:
            return warm
        part = self._part(key)
        if not part:
            raise KeyError(key)
        obj: Object = _decode(self._templates.unpack(key[1], part))
        self._keep_warm(key, obj)
        return obj

    def get(self, key: Key, default: Any = None) -> Any:
        """Return an object; written out here, as it is asked for dozens of times on the way of one wake."""
        warm = self._warm.get(key)
        if warm is not None:
            return warm
        return self[key] if self._part(key) else default

    def __setitem__(self, key: Key, obj: Object) -> None:
        before = self._part(key)
        if not before:
            self._len += 1
        if before != UNPACKED:
            self._put(key, UNPACKED)
        self._keep_warm(key, obj)

    def __delitem__(self, key: Key) -> None:
        if not self._part(key):
            raise KeyError(key)
        self._warm.pop(key, None)
        self._put(key, b"")
        self._len -= 1

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and bool(self._part(key))

    def __iter__(self) -> Iterator[Key]:
        suffix = self._suffix
        found = [(key[0], key[1] + suffix) if suffix else key for key in self._shelf if self._has(key)]
        return iter([*found, *self._odd])

    def __len__(self) -> int:
        return self._len

    def _has(self, row: Key) -> bool:
        return bool(self._shelf.part(row, self._second))

    def _part(self, key: Key) -> bytes:
        odd = self._odd.get(key) if self._odd else None
        if odd is not None:
            return odd
        row = self._row(key)
        return self._shelf.part(row, self._second) if row is not None else b""

    def _put(self, key: Key, part: bytes) -> None:
        row = self._row(key)
        fits = row is not None and len(part) <= PART_LIMIT
        if row is not None:
            self._shelf.put(row, self._second, part if fits else b"")
        if fits or not part:
            self._odd.pop(key, None)
        else:
            self._odd[key] = part

    def _row(self, key: Key) -> Key | None:
        suffix = self._suffix
        if not suffix:
            return key
        name = key[1]
        return (key[0], name[: -len(suffix)]) if name.endswith(suffix) else None

    def _keep_warm(self, key: Key, obj: Object) -> None:
        self._warm[key] = obj
        self._warm.move_to_end(key)
        while len(self._warm) > self._limit:
            old, gone = self._warm.popitem(last=False)
            if self._part(old) == UNPACKED:
                self._put(old, self._templates.pack(old[1], _encode(gone)))
