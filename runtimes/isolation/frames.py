"""The messages between server, zygote and worker: msgpack with a length before it (pure).

Every call has a number. Tensors are not in the messages: they lie in shared memory, in the piece that the server gave
to the call. A worker that needs more room for its answer says so and gets a second piece.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from runtimes.batching import BatchSettings
from runtimes.config import Config
from runtimes.isolation.packing import Packed
from runtimes.messages import ModelSpec
from runtimes.repository.layout import ModelConfig
from runtimes.tensors import Parameters

FRAME_LIMIT_BYTES = 16 << 20
_LENGTH = struct.Struct("<I")


class FrameError(ValueError):
    """The other side does not keep to the messages."""


class Open(msgspec.Struct, tag=True):
    """Server to worker, once: open and load the model of this version folder."""

    folder: str
    model: ModelConfig
    config: Config


class Call(msgspec.Struct, tag=True):
    """Run a method of the model. `room_bytes` at `start` hold the tensors, and after `used_bytes` the answer's."""

    number: int
    method: str
    start: int = 0
    room_bytes: int = 0
    used_bytes: int = 0
    tensors: list[list[Packed]] = []
    parameters: Parameters = {}
    text: str = ""
    document: dict[str, Any] = {}


class Room(msgspec.Struct, tag=True):
    """Room for the answer of a call that asked for it; with a `refusal`, a `failures.Kind`, there is none."""

    number: int
    start: int = 0
    room_bytes: int = 0
    refusal: str = ""


class Next(msgspec.Struct, tag=True):
    """The next piece of what is generated."""

    number: int


class Cancel(msgspec.Struct, tag=True):
    """Nobody waits for this call any more."""

    number: int


class Close(msgspec.Struct, tag=True):
    """Unload the model and end."""


class Opened(msgspec.Struct, tag=True):
    """Worker to server: the model is loaded."""

    spec: ModelSpec
    settings: BatchSettings
    methods: list[str]
    takes_json: bool
    is_async: bool
    declared_bytes: float
    column_names: list[str]
    meta: dict[str, Any]


class Refused(msgspec.Struct, tag=True):
    """The model cannot be opened or loaded."""

    error: str


class Answer(msgspec.Struct, tag=True):
    """A call ended well. `is_kept`: the model still holds its inputs; `Released` follows when it no longer does."""

    number: int
    tensors: list[Packed] = []
    start: int = 0
    value: Any = None
    is_stream: bool = False
    is_kept: bool = False


class Piece(msgspec.Struct, tag=True):
    """What a generator yielded; None: it ended."""

    number: int
    value: Any = None


class NeedsRoom(msgspec.Struct, tag=True):
    """The answer of a call is larger than the room it has."""

    number: int
    size_bytes: int


class Failed(msgspec.Struct, tag=True):
    """A call failed: `kind` is one of `failures.Kind`, `message` is for the client."""

    number: int
    kind: str
    message: str
    is_kept: bool = False


class Released(msgspec.Struct, tag=True):
    """The model let go of the inputs of this call."""

    number: int


class Fork(msgspec.Struct, tag=True):
    """Server to zygote: fork a worker, with `module` imported before; its socket and memory come beside the message."""

    number: int
    module: str
    title: str


class Forked(msgspec.Struct, tag=True):
    """Zygote to server: the worker's process, or why there is none."""

    number: int
    pid: int = 0
    error: str = ""


class Ended(msgspec.Struct, tag=True):
    """Zygote to server: a worker ended, negative for a signal."""

    pid: int
    code: int


ToWorker = Open | Call | Room | Next | Cancel | Close
FromWorker = Opened | Refused | Answer | Piece | NeedsRoom | Failed | Released
FromZygote = Forked | Ended
_encode = msgspec.msgpack.Encoder().encode
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode
decode_fork = msgspec.msgpack.Decoder(Fork).decode
decode_from_zygote = msgspec.msgpack.Decoder(FromZygote).decode


def bare(message: msgspec.Struct) -> bytes:
    """Return a message for a socket that keeps messages apart."""
    return _encode(message)


def framed(message: msgspec.Struct) -> bytes:
    """Return a message for a stream; raises FrameError beyond the limit."""
    content = _encode(message)
    if len(content) > FRAME_LIMIT_BYTES:
        raise FrameError(f"a message of {len(content)} bytes is larger than {FRAME_LIMIT_BYTES}")
    return _LENGTH.pack(len(content)) + content


class FrameReader:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what is whole now; raises FrameError for one that is too large."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > FRAME_LIMIT_BYTES:
                raise FrameError(f"a message of {size} bytes is larger than {FRAME_LIMIT_BYTES}")
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield content
