"""The socket half of a client connection: when it is read, how it is closed, and how we notice that nobody is there.

Knows states and timers, no HTTP. Closing has three ways: after the last byte was sent (`finish_writing`), after the
client's input was taken as well so that our last answer is not destroyed by a reset (`linger`), and by a reset that
shows a cut body (`reset`).
"""

from __future__ import annotations

import asyncio
import fcntl
import select
import socket
import struct
import termios
import time
from typing import Final, cast

from tidegate.wire.deadlines import NEVER, Deadlines
from tidegate.wire.limits import ServerTimers

PAUSED_CHECK_S: Final = 0.05
"""A paused socket reports nothing, not even that its other end is gone: it is asked this often."""

_LONG = struct.Struct("i")
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_POLL_GONE = select.POLLERR | select.POLLHUP
_POLL_ENDED = getattr(select, "POLLRDHUP", 0)


class State:
    """What the next byte from the client is: plain integers in order, for an enum costs more than what it decides."""

    HEAD: Final = 0
    BODY: Final = 1
    HOLD: Final = 2  # the request is complete, its answer is not: bytes wait
    DISCARD: Final = 3  # the answer is complete, the request's body is not: bytes are dropped
    TUNNEL: Final = 4
    LINGER: Final = 5  # we have said the last word and wait for the client to read it
    CLOSED: Final = 6


class Pause:
    """Why reading stands still; bits."""

    BODY: Final = 1
    BACKLOG: Final = 2


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Return how many bytes the peer has not taken yet: ours, and the kernel's.

    The kernel's buffer counts because it may hold megabytes: a slow reader makes room in it for a long time before
    ours gets shorter.
    """
    waiting = transport.get_write_buffer_size()
    if transport.is_closing():
        return waiting
    descriptor = transport.get_extra_info("socket").fileno()
    in_kernel: int = _LONG.unpack(fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0" * 4))[0]
    return waiting + in_kernel


class ClientSocket:
    """Reading, pausing and closing of one client's socket.

    An `asyncio.Protocol` in all but name: a class that can be compiled has no interpreted base.
    """

    __slots__ = (
        "_deadlines",
        "_paused",
        "_paused_check_at",
        "_stalled_at",
        "_unsent_bytes",
        "filed_until",
        "is_write_paused",
        "since",
        "state",
        "timers",
        "transport",
    )

    def __init__(self, deadlines: Deadlines, timers: ServerTimers) -> None:
        self._deadlines = deadlines
        self.filed_until = NEVER
        self.timers = timers
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.state: int = State.HEAD
        self.since = 0.0  # when this state began
        self.is_write_paused = False
        self._paused = 0
        self._paused_check_at = NEVER
        self._stalled_at = NEVER
        self._unsent_bytes = 0

    def arm(self, deadline: float) -> None:
        """See to it that `expire` is called by `deadline`."""
        if deadline < self.filed_until:
            self._deadlines.watch(self, deadline)

    def next_deadline(self) -> float:
        """Return when to be asked again for the sake of the socket."""
        if self.state != State.LINGER:
            return min(self._paused_check_at, self._stalled_at)
        limit_s = self.timers.stalled_s if self._unsent_bytes else self.timers.linger_s
        return self.since + limit_s

    def expire(self, now: float) -> None:
        """Act on what `next_deadline` asked for."""
        if self.state == State.LINGER:
            self._check_linger(now)
            return
        if self._paused_check_at <= now:
            self._check_paused(now)
        if self._stalled_at <= now:
            self._check_stalled(now)

    # --- pauses ---

    def pause(self, why: int) -> None:
        """Stop reading."""
        if not self._paused and not self.transport.is_closing():
            self.transport.pause_reading()
            self._paused_check_at = time.monotonic() + PAUSED_CHECK_S
            self.arm(self._paused_check_at)
        self._paused |= why

    def resume(self, why: int) -> None:
        """Read again, unless another reason to stand still is left."""
        if self._paused & why:
            self._paused &= ~why
            if not self._paused:
                self._paused_check_at = NEVER
                if not self.transport.is_closing():
                    self.transport.resume_reading()

    def _check_paused(self, now: float) -> None:
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), _POLL_ENDED)
        events = poll.poll(0)
        gone = _POLL_GONE if self.state == State.TUNNEL else _POLL_GONE | _POLL_ENDED
        if events and events[0][1] & gone:
            self.transport.abort()
        else:
            self._paused_check_at = now + PAUSED_CHECK_S
            self.arm(self._paused_check_at)

    # --- a client that does not read ---

    def stalled(self) -> None:
        """Take the news that the client took nothing for too long; the connection is reset behind this."""

    def _begin_write_pause(self) -> None:
        """Give the client its time to read."""
        self.is_write_paused = True
        self._note_unsent(time.monotonic())

    def _end_write_pause(self) -> None:
        self.is_write_paused = False
        self._stalled_at = NEVER

    def _note_unsent(self, now: float) -> None:
        self._unsent_bytes = unsent_bytes(self.transport)
        if self.timers.stalled_s:
            self._stalled_at = now + self.timers.stalled_s
            self.arm(self._stalled_at)

    def _check_stalled(self, now: float) -> None:
        if unsent_bytes(self.transport) < self._unsent_bytes:
            self._note_unsent(now)  # it reads, slowly
        else:
            self._stalled_at = NEVER
            self.stalled()
            self.reset()

    # --- closing ---

    def reset(self) -> None:
        """Close so that the client sees a broken connection; what is not sent is dropped."""
        self.state = State.CLOSED
        if not self.transport.is_closing():
            endpoint = self.transport.get_extra_info("socket")
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            self.transport.abort()

    def linger(self) -> None:
        """Say that no more comes and drop the client's input for a while: closing with unread input resets."""
        if self.state >= State.LINGER:
            return
        if not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()
            self.resume(Pause.BODY | Pause.BACKLOG)
            self._enter_linger()
        else:
            self.finish_writing()

    def finish_writing(self) -> None:
        """Close when what is written was sent; a client that never reads it is cut off by the timer."""
        if self.transport.get_write_buffer_size():
            self._enter_linger()
        else:
            self.state = State.CLOSED
        self.transport.close()

    def close(self) -> None:
        """Close unless that is under way."""
        if self.state < State.LINGER:
            self.finish_writing()

    def _enter_linger(self) -> None:
        self.state = State.LINGER
        self.since = time.monotonic()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self.arm(ClientSocket.next_deadline(self))

    def _check_linger(self, now: float) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent >= self._unsent_bytes:
            self.state = State.CLOSED
            self.transport.abort()
        else:  # it reads, slowly
            self.since, self._unsent_bytes = now, unsent
            self.arm(ClientSocket.next_deadline(self))
