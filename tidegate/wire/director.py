"""The seam between the HTTP engine and the three processes that direct it.

The engine reads a request head and asks its director where the request goes now, or when. A director answers at once
with
`Relay` (to that upstream), with `Answer` (made by us), or with an awaitable of either when the request must wait:
only then does a request become a task. The engine calls `finished` exactly once for every request it asked about,
whatever happened, so a director gives back its slot there and nowhere else. The engine knows no services, no scaling
and no Kubernetes.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from tidegate.wire.request_body import RequestBody
    from tidegate.wire.upstream_tls import UpstreamTls

HeaderLine = tuple[bytes, bytes]
UNKNOWN_BYTES: Final = -1


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one relayed request, in seconds from its head's arrival; 0 means no limit.

    `response_start_s`: until the first byte of the answer. `idle_s`: between two bytes of the answer.
    `total_s`: the whole request. `connect_s`: one TCP connect to the upstream.
    """

    connect_s: float = 5.0
    response_start_s: float = 0.0
    idle_s: float = 0.0
    total_s: float = 0.0
    soonest_s: float = field(init=False, compare=False, default=math.inf)
    """The shortest of the request's limits, infinite without one: worked out once, read for every request."""

    def __post_init__(self) -> None:
        limits = (self.response_start_s, self.idle_s, self.total_s)
        object.__setattr__(self, "soonest_s", min((limit for limit in limits if limit > 0), default=math.inf))


NO_TIMEOUTS: Final = Timeouts()
H2C: Final = "h2c"


class Relay:
    """Send the request to this upstream.

    `add_head`: ready-made header lines (each ending in CRLF) that the director appends to the request's head.
    `context`: the director's own value for this attempt (which pod, which slot); the engine only hands it back.
    `answer_head`: ready-made header lines appended to the response's head towards the client.
    `protocol`: what the upstream is spoken to in: empty for HTTP/1.1, `H2C` for HTTP/2 in clear text.
    `tls`: None for clear text, or how TLS is spoken to the upstream; clear text is then never fallen back to.
    `on_answer`: None, or called once when the upstream's final head is about to go to the client; the lines that it
    returns stand in place of `answer_head`. It must not raise or block.
    """

    __slots__ = ("add_head", "answer_head", "context", "host", "on_answer", "port", "protocol", "timeouts", "tls")

    def __init__(
        self,
        host: str,
        port: int,
        add_head: bytes = b"",
        timeouts: Timeouts = NO_TIMEOUTS,
        context: object = None,
        answer_head: bytes = b"",
        protocol: str = "",
    ) -> None:
        self.host = host
        self.port = port
        self.add_head = add_head
        self.timeouts = timeouts
        self.context = context
        self.answer_head = answer_head
        self.protocol = protocol
        self.on_answer: Callable[[], bytes] | None = None
        self.tls: UpstreamTls | None = None


@dataclass(slots=True)
class Answer:
    """Answer the request here.

    `reason` is a code of `tidegate.contracts.outcomes` (an empty one writes no reason header: for probes). `body` is
    plain text; the engine makes a JSON body `{"error": ..., "reason": ...}` of it where the request asks for JSON and
    `reason` is set.
    """

    status: int
    reason: str = ""
    body: bytes = b""
    headers: tuple[HeaderLine, ...] = ()
    context: Any = None


Direction = Relay | Answer


class Failure(enum.StrEnum):
    """Why an attempt did not produce the upstream's answer."""

    CONNECT = "connect"  # refused or late: not one byte was written, the request may be tried elsewhere
    CERTIFICATE = "certificate"  # the upstream's certificate was refused: not one byte of the request was written
    STALE = "stale"  # a pooled connection was closed by the peer before it took a byte of this request
    UPSTREAM = "upstream"  # the upstream broke after bytes were written, before its answer began
    BROKEN_ANSWER = "broken_answer"  # it broke or spoke garbage after its answer began
    TIMEOUT_START = "timeout_start"
    TIMEOUT_IDLE = "timeout_idle"
    TIMEOUT_TOTAL = "timeout_total"
    TIMEOUT_BODY = "timeout_body"  # the client did not go on sending its body
    CLIENT_GONE = "client_gone"
    BAD_REQUEST = "bad_request"  # the request's body turned out malformed
    DRAINED = "drained"  # the server's drain deadline passed


class Outcome:
    """How one request ended: given to `finished`.

    `status`: what the client saw (0 when nothing was sent). `failure`: None when the upstream's (or our) answer ended
    well.
    `duration_s`: from the head's arrival; `first_byte_s`: until the answer's first byte, or None. `answer_bytes`: of
    the upstream's body, `UNKNOWN_BYTES` when it did not end well or was a tunnel.
    """

    __slots__ = ("answer_bytes", "direction", "duration_s", "failure", "first_byte_s", "status")

    def __init__(
        self,
        status: int,
        failure: Failure | None,
        duration_s: float,
        first_byte_s: float | None,
        direction: Direction | None,
        answer_bytes: int = UNKNOWN_BYTES,
    ) -> None:
        self.status = status
        self.failure = failure
        self.duration_s = duration_s
        self.first_byte_s = first_byte_s
        self.direction = direction
        self.answer_bytes = answer_bytes


class Request:
    """One request head, as parsed and cleaned of hop-by-hop headers.

    `method`, `target` (origin-form, absolute-form already reduced) and header values are bytes as received; `headers`
    keeps order and spelling. `host` is lower-cased without port. `peer` is the client's IP address. `arrived` is loop
    time in seconds.
    `http_version`: 1.0, 1.1 or 2.
    `state` belongs to the director (its own per-request value); the engine never reads it.
    `body`: None for a request without one; a director that must look into it before it decides awaits `body.first`.
    """

    __slots__ = (
        "arrived",
        "attempts",
        "body",
        "headers",
        "host",
        "http_version",
        "index",
        "is_upgrade",
        "method",
        "peer",
        "state",
        "target",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        host: str,
        headers: list[HeaderLine],
        peer: str,
        arrived: float,
        http_version: str = "1.1",
        is_upgrade: bool = False,
        attempts: int = 0,
        state: object = None,
        index: dict[bytes, bytes] | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.headers = headers
        self.peer = peer
        self.arrived = arrived
        self.http_version = http_version
        self.is_upgrade = is_upgrade
        self.attempts = attempts
        self.state = state
        self.body: RequestBody | None = None
        self.index: dict[bytes, bytes] = {} if index is None else index

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of the header with this lower-case name, or None."""
        value = self.index.get(name)
        if value is not None:
            return value
        for key, candidate in self.headers:
            if len(key) == len(name) and key.lower() == name:
                return candidate
        return None


def same_protocol(request: Request) -> str:
    """Return the protocol that goes on as it came: HTTP/2 by HTTP/2 (as Knative does), everything else by HTTP/1.1."""
    return H2C if request.http_version == "2" else ""


class Director(Protocol):
    """What a process decides about its requests. All methods are called on the event loop and must not block."""

    strip_request: frozenset[bytes]
    """Lower-case request header names that are never passed upstream (beyond hop-by-hop ones)."""
    strip_request_prefixes: tuple[bytes, ...]
    """Lower-case prefixes of request header names that are never passed upstream (`k-`, `knative-serving-`...)."""

    def direct(self, request: Request) -> Direction | Awaitable[Direction]:
        """Say where the request goes. A returned awaitable is cancelled when the client leaves."""
        ...

    def retry(self, request: Request, failed: Relay, failure: Failure) -> Direction | Awaitable[Direction]:
        """Say where a request goes whose attempt failed before one byte was written (CONNECT, CERTIFICATE or STALE)."""
        ...

    def finished(self, request: Request, outcome: Outcome) -> None:
        """Give back everything held for this request; called exactly once after `direct` was called."""
        ...
