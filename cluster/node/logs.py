"""Container logs: what a process writes, line by line, with time and stream, in files that are rotated by size.

The format is the container runtime's (`<time> <stream> F|P <text>`), so that time, stream and unfinished lines survive.
Pipes are read on the event loop as they fill; writing goes to the page cache and does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cluster import timestamps

READ_BYTES = 64 << 10
LINE_LIMIT_BYTES = 16 << 10
"""Longer lines are cut into parts marked P (the container runtime's limit)."""
LEFT_LIMIT_BYTES = 1 << 20
"""What a pipe can hold at most (pipe-max-size without privileges); more is new, by who survived the container."""
TAP_LIMIT_BYTES = 1 << 20
"""What one who is attached may leave unread."""
KEPT_ROTATIONS = 1
MESSAGE_LINES = 80
MESSAGE_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a log is asked for."""

    tail_lines: int | None = None
    since_unix_s: float = 0.0
    limit_bytes: int | None = None
    timestamps: bool = False


class Tap:
    """Output of a container beside its log, for one reader; one that is too slow loses the rest."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[str, bytes]] = deque()
        self._size = 0
        self._is_over = False
        self._news = asyncio.Event()

    def offer(self, stream: str, data: bytes) -> None:
        """Take a piece, unless there are too many already."""
        if self._size + len(data) > TAP_LIMIT_BYTES:
            self._is_over = True
        if not self._is_over:
            self._pieces.append((stream, data))
            self._size += len(data)
        self._news.set()

    def end(self) -> None:
        """There will be no more."""
        self._is_over = True
        self._news.set()

    async def pieces(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield stream and content until the end."""
        while True:
            while self._pieces:
                stream, data = self._pieces.popleft()
                self._size -= len(data)
                yield stream, data
            if self._is_over:
                return
            self._news.clear()
            await self._news.wait()


class ContainerLog:
    """The log file of one run of a container."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = open(path, "ab", buffering=0)  # noqa: SIM115 -- open for the life of the container
        self._size = self._file.tell()
        self._partial: dict[str, bytes] = {}
        self._pipes: dict[int, str] = {}
        self._readers: set[asyncio.Event] = set()
        self._taps: set[Tap] = set()
        self.is_closed = False

    def pipe(self, stream: str) -> int:
        """Return the write end of a new pipe whose lines are logged as `stream`; the caller closes it."""
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_end, False)
        self._pipes[read_end] = stream
        asyncio.get_running_loop().add_reader(read_end, self._readable, read_end)
        return write_end

    def close(self) -> None:
        """Log what the pipes still hold and close; processes that keep writing get SIGPIPE."""
        for read_end in list(self._pipes):
            for _ in range(LEFT_LIMIT_BYTES // READ_BYTES):
                if not self._readable(read_end):
                    break
            self._drop(read_end)
        self.is_closed = True
        self._file.close()
        self._notify()
        for tap in self._taps:
            tap.end()

    def write(self, stream: str, data: bytes) -> None:
        """Append output; complete lines go to the file."""
        for tap in self._taps:
            tap.offer(stream, data)
        data = self._partial.pop(stream, b"") + data
        *lines, rest = data.split(b"\n")
        stamp = timestamps.micro_text(time.time()).encode()
        out = bytearray()
        for line in lines:
            out += _entries(stamp, stream, line, b"F")
        while len(rest) >= LINE_LIMIT_BYTES:
            out += _entry(stamp, stream, rest[:LINE_LIMIT_BYTES], b"P")
            rest = rest[LINE_LIMIT_BYTES:]
        if rest:
            self._partial[stream] = rest
        if out:
            self._append(bytes(out))

    @contextlib.contextmanager
    def changes(self) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the log grows or closes."""
        event = asyncio.Event()
        self._readers.add(event)
        try:
            yield event
        finally:
            self._readers.discard(event)

    @contextlib.contextmanager
    def tap(self) -> Iterator[Tap]:
        """Give all output from now on, as it comes."""
        tap = Tap()
        self._taps.add(tap)
        try:
            yield tap
        finally:
            self._taps.discard(tap)

    def _readable(self, read_end: int) -> bool:
        try:
            data = os.read(read_end, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self.write(self._pipes[read_end], data)
            return True
        self._drop(read_end)
        return False

    def _drop(self, read_end: int) -> None:
        stream = self._pipes.pop(read_end, None)
        if stream is None:
            return
        asyncio.get_running_loop().remove_reader(read_end)
        os.close(read_end)
        if rest := self._partial.pop(stream, b""):
            self._append(_entry(timestamps.micro_text(time.time()).encode(), stream, rest, b"F"))

    def _append(self, data: bytes) -> None:
        if self._size and self._size + len(data) > self._limit_bytes:
            self._rotate()
        self._file.write(data)
        self._size += len(data)
        self._notify()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(KEPT_ROTATIONS, 0, -1):
            older = rotated(self.path, number)
            newer = rotated(self.path, number - 1)
            if newer.exists():
                newer.replace(older)
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
        self._size = 0

    def _notify(self) -> None:
        for event in self._readers:
            event.set()


def rotated(path: Path, number: int) -> Path:
    """Return the name of the log's `number`-th older file; 0 is the present one."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def stored_lines(path: Path, end: int | None = None) -> Iterator[bytes]:
    """Yield the stored lines of a log, oldest first, rotated files included, up to byte `end` of the present file."""
    for number in range(KEPT_ROTATIONS, -1, -1):
        position = 0
        with contextlib.suppress(FileNotFoundError), open(rotated(path, number), "rb") as file:
            for line in file:
                position += len(line)
                if end is not None and number == 0 and position > end:
                    return
                yield line


def last_words(path: Path) -> str:
    """Return the end of a log as a termination message: 80 lines and 2048 bytes at most, as in Kubernetes."""
    try:
        text = select(path, Selection(tail_lines=MESSAGE_LINES))
    except OSError:
        return ""
    return text[-MESSAGE_BYTES:].decode("utf-8", "replace").strip()


def remove(path: Path) -> None:
    """Delete a log and its rotated files."""
    for number in range(KEPT_ROTATIONS + 1):
        rotated(path, number).unlink(missing_ok=True)


def size(path: Path) -> int | None:
    """Return the bytes in the present file of a log, None when there is no log."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def read_from(path: Path, position: int, limit_bytes: int) -> tuple[list[bytes], int]:
    """Return whole stored lines after `position` and where they end; a file that shrank was rotated: start over."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < position:
            position = 0
        file.seek(position)
        data = file.read(limit_bytes)
    end = data.rfind(b"\n") + 1
    return data[:end].splitlines(keepends=True), position + end


def select(path: Path, selection: Selection, end: int | None = None) -> bytes:
    """Return the asked-for part of a log as the API shows it; reads up to byte `end` of the present file."""
    shown = [text for line in stored_lines(path, end) if (text := shown_line(line, selection)) is not None]
    if selection.tail_lines is not None:
        shown = _tail(shown, selection.tail_lines)
    found = b"".join(shown)
    return found if selection.limit_bytes is None else found[: selection.limit_bytes]


def shown_line(line: bytes, selection: Selection) -> bytes | None:
    """Return one stored line as the API shows it, None when it is older than asked for or torn."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or not line.endswith(b"\n"):
        return None
    if selection.since_unix_s and timestamps.unix_s(parts[0].decode()) < selection.since_unix_s:
        return None
    text = parts[3] if parts[2] == b"F" else parts[3][:-1]
    return parts[0] + b" " + text if selection.timestamps else text


def _tail(shown: list[bytes], count: int) -> list[bytes]:
    """Return the last `count` lines; parts of an unfinished line count with the part that ends it."""
    start = len(shown)
    while start and count >= 0:
        if shown[start - 1].endswith(b"\n"):
            count -= 1
            if count < 0:
                break
        start -= 1
    return shown[start:]


def _entries(stamp: bytes, stream: str, line: bytes, tag: bytes) -> bytes:
    out = b""
    while len(line) > LINE_LIMIT_BYTES:
        out += _entry(stamp, stream, line[:LINE_LIMIT_BYTES], b"P")
        line = line[LINE_LIMIT_BYTES:]
    return out + _entry(stamp, stream, line, tag)


def _entry(stamp: bytes, stream: str, text: bytes, tag: bytes) -> bytes:
    return b"%s %s %s %s\n" % (stamp, stream.encode(), tag, text)
