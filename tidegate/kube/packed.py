"""Objects of a cache kept small: packed to what tells one from the others, unpacked when somebody asks.

A hundred thousand objects of one kind differ in their names, a few ids and times. A `Packer` knows which (`templates`
finds out by itself; who reads two fields of a kind can do better). Caches whose objects belong together, as a
Deployment does to its PodAutoscaler, may share one `Shelf`: one name and one row of bytes for all. Objects that are
unpacked stay at hand for a while, bounded, and are packed again by `cool`. Pure.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import Any, Protocol

import msgspec

from tidegate.kube.api import Object
from tidegate.kube.templates import Templates

Key = tuple[str, str]

WARM = 16_384
"""Some four kilobytes each: a bound that only a storm of wakes comes near."""
COOL = 64
"""Objects that are packed in one go: some two milliseconds."""
UNPACKED = b"\0"
"""In place of what is packed: the object is at hand only, and is packed when it has cooled."""
PART_LIMIT = 0xFFFF
PLACES = 3
LAST = PLACES - 1
_LENGTHS = struct.Struct("<HH")
_EMPTY = bytes(_LENGTHS.size)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Packer(Protocol):
    """Makes bytes of an object and back. The key is known both times, so that nothing in it need be in the bytes."""

    def pack(self, key: Key, obj: Object) -> bytes:
        """Return the object as bytes: at least one, and not `UNPACKED`."""
        ...

    def unpack(self, key: Key, packed: bytes) -> Object:
        """Return the object that `pack` was given with the same key."""
        ...


class AnyPacker:
    """Packs objects of any shape: as JSON without what its template has."""

    def __init__(self) -> None:
        self.templates = Templates()

    def pack(self, key: Key, obj: Object) -> bytes:
        """See `Packer`."""
        return self.templates.pack(key[1], _encode(obj))

    def unpack(self, key: Key, packed: bytes) -> Object:
        """See `Packer`."""
        obj: Object = _decode(self.templates.unpack(key[1], packed))
        return obj


class Shelf:
    """Rows by namespace and name, each with room for `PLACES` parts; a part that is not there is empty.

    A row begins with the length of each part but the last, two bytes each. The key is one string, which takes half the
    room that a tuple of two does; no name has a slash.
    """

    def __init__(self) -> None:
        self._rows: dict[str, bytes] = {}

    def named(self) -> Iterator[Key]:
        """Yield the keys that have a row now, also while rows change."""
        for name in list(self._rows):
            namespace, _, rest = name.partition("/")
            yield namespace, rest

    def part(self, key: Key, place: int) -> bytes:
        """Return a part of a row; empty where there is none."""
        row = self._rows.get(f"{key[0]}/{key[1]}")
        if row is None:
            return b""
        first, second = _LENGTHS.unpack_from(row)
        begin = _LENGTHS.size + (0, first, first + second)[place]
        return row[begin:] if place == LAST else row[begin : begin + (first, second)[place]]

    def put(self, key: Key, place: int, part: bytes) -> None:
        """Replace a part; a row without parts goes."""
        name = f"{key[0]}/{key[1]}"
        row = self._rows.get(name, _EMPTY)
        first, second = _LENGTHS.unpack_from(row)
        end = _LENGTHS.size + first
        parts = [row[_LENGTHS.size : end], row[end : end + second], row[end + second :]]
        parts[place] = part
        if any(parts):
            self._rows[name] = _LENGTHS.pack(len(parts[0]), len(parts[1])) + b"".join(parts)
        else:
            self._rows.pop(name, None)


class PackedObjects(MutableMapping[Key, Object]):
    """A dictionary of objects by (namespace, name).

    With a `shelf`, `place` is which part of a row they take, and `suffix` what is cut off names to find the row; names
    without it are kept apart. `warm`: how many objects may be at hand unpacked; 0
    for a packer that is quick.
    """

    def __init__(
        self,
        packer: Packer | None = None,
        *,
        warm: int = WARM,
        shelf: Shelf | None = None,
        place: int = 0,
        suffix: str = "",
    ) -> None:
        self._limit = warm
        self._packer = packer if packer is not None else AnyPacker()
        self._shelf = shelf if shelf is not None else Shelf()
        self._suffix = suffix
        self._place = place
        self._odd: dict[Key, bytes] = {}
        """What does not fit on the shelf: too large, or named otherwise."""
        self._count = 0
        self._warm: OrderedDict[Key, Object] = OrderedDict()

    def __getitem__(self, key: Key) -> Object:
        obj: Object | None = self.get(key)
        if obj is None:
            raise KeyError(key)
        return obj

    def get(self, key: Key, default: Any = None) -> Any:
        """Return an object; asked for dozens of times on the way of one wake."""
        obj = self._warm.get(key)
        if obj is not None:
            return obj
        part = self._part(key)
        if not part:
            return default
        obj = self._packer.unpack(key, part)
        if self._limit:
            self._warm[key] = obj
            self._hold()
        return obj

    def __setitem__(self, key: Key, obj: Object) -> None:
        before = self._part(key)
        self._count += not before
        if not self._limit:
            self._put(key, self._packer.pack(key, obj))
            return
        if before != UNPACKED:
            self._put(key, UNPACKED)
        self._warm[key] = obj
        self._warm.move_to_end(key)
        self._hold()

    def __delitem__(self, key: Key) -> None:
        if not self._part(key):
            raise KeyError(key)
        self._warm.pop(key, None)
        self._put(key, b"")
        self._count -= 1

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and bool(self._part(key))

    def __iter__(self) -> Iterator[Key]:
        suffix = self._suffix
        found = [(key[0], key[1] + suffix) for key in self._shelf.named() if self._shelf.part(key, self._place)]
        return iter([*found, *self._odd])

    def __len__(self) -> int:
        return self._count

    @property
    def warm(self) -> int:
        """How many objects are at hand unpacked."""
        return len(self._warm)

    def cool(self) -> None:
        """Pack some of what has been at hand longest; called every second, it leaves nothing of what is at rest."""
        for _ in range(min(len(self._warm), COOL)):
            self._pack_oldest()
        if not self._warm:
            self._warm = OrderedDict()  # one that was large stays large

    def _hold(self) -> None:
        while len(self._warm) > self._limit:
            self._pack_oldest()

    def _pack_oldest(self) -> None:
        key, obj = self._warm.popitem(last=False)
        if self._part(key) == UNPACKED:
            self._put(key, self._packer.pack(key, obj))

    def _part(self, key: Key) -> bytes:
        odd = self._odd.get(key) if self._odd else None
        if odd is not None:
            return odd
        row = self._row(key)
        return self._shelf.part(row, self._place) if row is not None else b""

    def _put(self, key: Key, part: bytes) -> None:
        row = self._row(key)
        fits = row is not None and len(part) <= PART_LIMIT
        if row is not None:
            self._shelf.put(row, self._place, part if fits else b"")
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
