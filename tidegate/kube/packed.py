"""Objects of a cache kept small: compressed with what most of them have in common, unpacked when somebody asks.

A hundred thousand objects of one kind differ in their names, a few ids and times; the rest is the same text again and
again. The text of the first one packed is the compressor's dictionary for all. Those touched last stay as they are;
unpacking costs some ten microseconds, packing some twenty. Pure.
"""

from __future__ import annotations

import sys
import zlib
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import Any

import msgspec

from tidegate.kube.api import Object

Key = tuple[str, str]

WARM = 2048
LEVEL = 6
WINDOW_BITS = -12
"""Raw, with a window of 4 KB: objects are smaller, and the compressor's state stays small."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class PackedObjects(MutableMapping[Key, Object]):
    """A dictionary of objects by (namespace, name)."""

    def __init__(self, warm: int = WARM) -> None:
        self._limit = warm
        self._common = b""
        # Every object is in exactly one of both: the newest as they are, the rest packed.
        self._warm: OrderedDict[Key, Object] = OrderedDict()
        self._packed: dict[Key, bytes] = {}

    def __getitem__(self, key: Key) -> Object:
        warm = self._warm.get(key)
        if warm is not None:
            return warm
        unpacker = zlib.decompressobj(WINDOW_BITS, zdict=self._common)
        obj: Object = _decode(unpacker.decompress(self._packed[key]) + unpacker.flush())
        self[key] = obj
        return obj

    def get(self, key: Key, default: Any = None) -> Any:
        """Return an object; written out here, as it is asked for dozens of times on the way of one wake."""
        warm = self._warm.get(key)
        if warm is not None:
            return warm
        return self[key] if key in self._packed else default

    def __setitem__(self, key: Key, obj: Object) -> None:
        key = (sys.intern(key[0]), key[1])
        self._packed.pop(key, None)
        self._warm[key] = obj
        self._warm.move_to_end(key)
        while len(self._warm) > self._limit:
            self._pack(*self._warm.popitem(last=False))

    def __delitem__(self, key: Key) -> None:
        if self._warm.pop(key, None) is None:
            del self._packed[key]

    def __contains__(self, key: object) -> bool:
        return key in self._warm or key in self._packed

    def __iter__(self) -> Iterator[Key]:
        return iter([*self._warm, *self._packed])

    def __len__(self) -> int:
        return len(self._warm) + len(self._packed)

    def _pack(self, key: Key, obj: Object) -> None:
        text = _encode(obj)
        self._common = self._common or text
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW_BITS, 4, zdict=self._common)
        self._packed[key] = packer.compress(text) + packer.flush()
