"""Listens for clients that speak TLS, and gives each its place among the connections before it has shaken hands.

Servers of event loops tell of a connection when its handshake is over. Who never ends one would then hold descriptors
that nobody counts; so connections are accepted here, counted, and handed to the loop with their place. What is said
over them is `client_side`'s.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import TYPE_CHECKING, Any, cast

from tidegate.wire.client_side import ClientConnection

if TYPE_CHECKING:
    from tidegate.wire.server import Server

logger = logging.getLogger(__name__)

ACCEPTS_PER_TURN = 256
ACCEPT_AGAIN_S = 0.5
"""After there was, mostly, no descriptor or memory for one more."""


class TlsListener:
    """The listening sockets of one server; handshakes may take as long as a head."""

    def __init__(self, server: Server, tls: ssl.SSLContext) -> None:
        self.sockets: list[socket.socket] = []
        self._server = server
        self._tls = tls
        self._shaking: dict[asyncio.Task[None], socket.socket | None] = {}
        self._is_closed = False

    @property
    def is_shaking(self) -> bool:
        """Whether there are handshakes that have not ended."""
        return bool(self._shaking)

    async def open(self, host: str, port: int, backlog: int, *, reuse_port: bool) -> None:
        """Listen on every address of `host`. Raises OSError when it cannot."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, address in dict.fromkeys((one[0], one[4]) for one in found):
                one = socket.socket(family, socket.SOCK_STREAM)
                self.sockets.append(one)
                _bind(one, address, reuse_port=reuse_port)
        except OSError:
            for one in self.sockets:
                one.close()
            self.sockets = []
            raise
        for one in self.sockets:
            one.listen(backlog)
            loop.add_reader(one.fileno(), self._accept, one)

    def close(self) -> None:
        """Accept no more; handshakes that were begun may end."""
        if self._is_closed:
            return
        self._is_closed = True
        loop = asyncio.get_running_loop()
        for one in self.sockets:
            loop.remove_reader(one.fileno())
            one.close()
        self.sockets = []

    def abort(self) -> None:
        """End the handshakes that are not over."""
        for task in list(self._shaking):
            task.cancel()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                client, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.error("no connection can be accepted for a while: %s", error)
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening.fileno())
                loop.call_later(ACCEPT_AGAIN_S, self._accept_again, listening)
                return
            self._enter(client, str(address[0]))

    def _accept_again(self, listening: socket.socket) -> None:
        if not self._is_closed:
            asyncio.get_running_loop().add_reader(listening.fileno(), self._accept, listening)

    def _enter(self, client: socket.socket, peer: str) -> None:
        crowd = self._server.crowd
        if not crowd.enter(peer):
            # It is not told: to tell it would take the handshake for which there is no room.
            crowd.refused += 1
            self._server.counters.connections_refused += 1
            client.close()
            return
        client.setblocking(False)
        connection = ClientConnection(self._server)
        connection.enter_early(peer)
        task = asyncio.get_running_loop().create_task(self._shake_hands(connection, client), name="wire-handshake")
        self._shaking[task] = client
        task.add_done_callback(lambda ended: self._ended(ended, connection))

    async def _shake_hands(self, connection: ClientConnection, client: socket.socket) -> None:
        timers, task = self._server.timers, asyncio.current_task()
        if task is not None:
            self._shaking[task] = None  # from here on the loop closes it
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: cast(asyncio.Protocol, connection),
                client,
                ssl=self._tls,
                ssl_handshake_timeout=timers.head_timeout_s or None,
                ssl_shutdown_timeout=timers.linger_s or None,
            )
        except Exception as error:  # the loops raise more than OSError for what clients send
            logger.debug("no handshake: %r", error)

    def _ended(self, task: asyncio.Task[None], connection: ClientConnection) -> None:
        connection.leave_early()
        client = self._shaking.pop(task, None)
        if client is not None:  # cancelled before it began
            client.close()
        if self._server.changed is not None:
            self._server.changed.set()


def _bind(one: socket.socket, address: Any, *, reuse_port: bool) -> None:
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind(address)
