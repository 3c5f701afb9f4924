"""Is the app ready? Asked by the kubelet (or process node) and by activators, answered from the app's own probe.

While the app starts, a question is held instead of answered "no": the app is tried every 5 ms, growing with the time
waited so far to 25 ms, and everybody who asked hears "ready" in the moment it accepts. One probe runs at a time,
whoever asks. Afterwards the app is tried again only when a question comes and the last success is older than the
declared period. Where its port's name does not say it, the app's protocol is found out here as well. What the app tells
of its start is kept for who asks. This module knows no HTTP requests of users.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from tidegate.contracts import serving, wake
from tidegate.contracts.headers import START
from tidegate.process import tasks
from tidegate.wire import h2_probe
from tidegate.wire import probe as wire_probe

HOLD_S = 0.9  # just under the second that Kubernetes waits for a probe by default
FIRST_PAUSE_S = 0.005
LAST_PAUSE_S = 0.025
LAST_PAUSE_ONCE_READY_S = 0.25  # an app that was ready and fails now is in trouble: it is not asked as often
PAUSE_PART, PAUSE_PART_ONCE_READY = 0.08, 0.3
"""A pause as a part of the time waited so far: what a wake can lose by it stays small beside what the app takes."""
LINGER_S = 2.0
DEFAULT_PERIOD_S = 10.0
DETECT_LIMIT_S = 0.25
USER_AGENT = "kube-probe/tidegate"


@dataclass(frozen=True, slots=True)
class AppProbe:
    """How to try the app once: an HTTP GET of `path`, a gRPC health check of `service`, else a TCP connect.

    A probe by exec is the kubelet's, which can look inside the user's container; queueproxy adds the TCP connect, as
    Knative does. `is_h2c`: the GET goes by HTTP/2. `service`: None when it is no gRPC probe, empty for the
    whole server.
    """

    port: int
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    host: str = "127.0.0.1"
    timeout_s: float = 1.0
    period_s: float = DEFAULT_PERIOD_S
    successes: int = 1
    service: str | None = None
    is_h2c: bool = False

    async def ask(self, by_h2c: bool = False) -> bytes | None:
        """Try the app once; None when it is not ready, else what its answer tells of its start, empty for nothing.

        `by_h2c`: it was found to speak HTTP/2.
        """
        try:
            if self.service is not None:
                serves = await h2_probe.is_serving(self.host, self.port, self.service, USER_AGENT, self.timeout_s)
                return b"" if serves else None
            if not self.path:
                await wire_probe.connect(self.host, self.port, self.timeout_s)
                return b""
            if self.is_h2c or by_h2c:
                status, _ = await h2_probe.get(self.host, self.port, self.path, self.headers, self.timeout_s)
                return b"" if 200 <= status < 400 else None
            status, head, _ = await wire_probe.ask(self.host, self.port, self.path, self.headers, self.timeout_s)
            return wire_probe.value_of(head, START) if 200 <= status < 400 else None
        except (OSError, TimeoutError, ValueError):
            return None


def parse(text: str, user_port: int, protocol: str = serving.HTTP1) -> list[AppProbe]:
    """Return the probes in SERVING_READINESS_PROBE (one object, or an array for several containers).

    Empty text means a TCP connect to the user port. An app that speaks h2c on its port (`protocol`) is asked by it
    there. Raises ValueError when the JSON is not a probe.
    """
    if not text.strip():
        return [AppProbe(user_port)]
    try:
        document = msgspec.json.decode(text.encode())
    except msgspec.DecodeError as error:
        raise ValueError(f"SERVING_READINESS_PROBE is not JSON: {error}") from error
    documents = document if isinstance(document, list) else [document]
    if not all(isinstance(item, dict) for item in documents):
        raise ValueError("SERVING_READINESS_PROBE must be an object or an array of objects")
    return [_parse_one(item, user_port, protocol) for item in documents] or [AppProbe(user_port)]


def _parse_one(document: dict[str, Any], user_port: int, protocol: str) -> AppProbe:
    http = document.get("httpGet") or {}
    action = http or document.get("tcpSocket") or document.get("grpc") or {}
    port = action.get("port")
    if not (isinstance(port, int) and port > 0):
        port = user_port
    grpc = document.get("grpc")
    headers = [(str(item["name"]), str(item.get("value", ""))) for item in http.get("httpHeaders") or ()]
    known = {name.lower() for name, _ in headers}
    if "host" not in known:
        headers.append(("Host", str(http.get("host") or "127.0.0.1")))
    if "user-agent" not in known:
        headers.append(("User-Agent", USER_AGENT))
    return AppProbe(
        port=port,
        path=(str(http.get("path") or "/") if http else ""),
        headers=tuple(headers) if http else (),
        timeout_s=float(document.get("timeoutSeconds") or 1.0),
        period_s=float(document.get("periodSeconds") or DEFAULT_PERIOD_S),
        successes=int(document.get("successThreshold") or 1),
        service=None if grpc is None else str(grpc.get("service") or ""),
        is_h2c=bool(http) and protocol == serving.H2C and port == user_port,
    )


class AppProtocol:
    """What the app is spoken to in: what its port's name says, or, with `detects`, what it turns out to speak.

    An app that answers HTTP/2's preface with SETTINGS is spoken to by HTTP/2 alone. One that does not may still be
    starting: it is asked again before each try, until one passes.
    """

    def __init__(self, port: int, said: str, *, detects: bool = False, host: str = "127.0.0.1") -> None:
        self.current = said
        self.port = port
        self._detects = detects and said != serving.H2C
        self._host = host

    async def look(self) -> None:
        """Find out, where that is wanted and not known. Raises OSError when the app accepts no connection."""
        if self._detects and await h2_probe.speaks(self._host, self.port, DETECT_LIMIT_S):
            self.current = serving.H2C
            self._detects = False

    def settle(self) -> None:
        """Stop asking: the app is ready as it is."""
        self._detects = False


class Readiness:
    """Holds questions while the app starts, and lets everybody share one running probe.

    `began`: when this process did, in loop time; it stands for the pod's begin where the app does not tell its own.
    """

    def __init__(self, probes: list[AppProbe], protocol: AppProtocol | None = None, began: float | None = None) -> None:
        self._began = began
        self._told: tuple[wake.Start, float] | None = None
        self._opened_at: float | None = None  # loop time of the first success
        self._probes = probes
        self.protocol = protocol or AppProtocol(0, serving.HTTP1)
        self._ready_at: float | None = None  # loop time of the last success
        self._was_ready = False
        self._wanted_until = 0.0
        self._task: asyncio.Task[None] | None = None
        self._became_ready = asyncio.Event()

    def is_known_ready(self, now: float) -> bool:
        """Whether the app was ready within its probe's period, so that nobody needs to ask it."""
        return self._ready_at is not None and now - self._ready_at < min(probe.period_s for probe in self._probes)

    def start(self, now: float, pod: str) -> wake.Start | None:
        """Return how the app of this pod started, as it told or as it was seen from here; None while it starts."""
        if self._opened_at is None:
            return None
        told, told_at = self._told or (wake.NOTHING_TOLD, self._opened_at)
        all_s = told.all_s
        if all_s is None and self._began is not None:
            all_s = max(0.0, told_at - told.open_s - self._began)
        return replace(told, open_s=told.open_s + now - told_at, all_s=all_s, pod=pod)

    def doubt(self) -> None:
        """Ask the app anew at the next question: it has just refused a connection."""
        self._ready_at = None

    async def ask(self) -> bool:
        """Return whether the app is ready; waits up to HOLD_S for it to become so."""
        loop = asyncio.get_running_loop()
        if self.is_known_ready(loop.time()):
            return True
        self._wanted_until = loop.time() + HOLD_S + LINGER_S
        if self._task is None or self._task.done():
            self._became_ready.clear()
            self._task = tasks.spawn(self._probe_until_ready(), "app-readiness")
        try:
            async with asyncio.timeout(HOLD_S):
                await self._became_ready.wait()
        except TimeoutError:
            return False
        return True

    async def _probe_until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        streak, began = 0, loop.time()
        needed = max(probe.successes for probe in self._probes)
        part, longest_s = PAUSE_PART, LAST_PAUSE_S
        if self._was_ready:
            part, longest_s = PAUSE_PART_ONCE_READY, LAST_PAUSE_ONCE_READY_S
        while loop.time() < self._wanted_until:
            found = await self._ask_all()
            passing = found is not None
            streak = streak + 1 if passing else 0
            if streak >= needed:
                self.protocol.settle()
                self._ready_at = loop.time()
                if not self._was_ready:
                    self._note_start(found or b"", self._ready_at)
                self._was_ready = True
                self._became_ready.set()
                return
            if not passing:
                self._ready_at = None
            await asyncio.sleep(min(max(FIRST_PAUSE_S, (loop.time() - began) * part), longest_s))

    def _note_start(self, told: bytes, now: float) -> None:
        self._opened_at = now
        start = wake.decode_start(told) if told else None
        self._told = (start, now) if start is not None else None

    async def _ask_all(self) -> bytes | None:
        """Return None when a probe fails, else the first thing that one of them tells."""
        protocol = self.protocol
        try:
            await protocol.look()
        except OSError:
            return None
        by_h2c = protocol.current == serving.H2C
        answers = [await probe.ask(by_h2c and probe.port == protocol.port) for probe in self._probes]
        if None in answers:
            return None
        return next((told for told in answers if told), b"")
