"""which port → is the model there → relay: the way of one request through the adapter.

The director of the HTTP engine here. gRPC goes to Triton's gRPC port, everything else to its REST port, bodies
untouched. With control on-demand a request that needs a model waits until it is loaded; for gRPC the name is read from
the first bytes of the call. Loads and unloads by clients pass after a look that they bring no files.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from runtimes.triton import grpc_names, layout, process
from runtimes.triton.config import Config
from runtimes.triton.grpc_names import Unreadable
from runtimes.triton.layout import Layout, LayoutError
from runtimes.triton.repository_api import LoadFailed
from runtimes.triton.residency import Full, Residency
from tidegate.contracts import outcomes
from tidegate.process import tasks
from tidegate.wire.answers import answer_of
from tidegate.wire.director import H2C, Answer, Direction, Failure, HeaderLine, Outcome, Relay, Request

STALE_ATTEMPTS = 3
LOOK_TIMEOUT_S = 10.0
LOAD_LIMIT_BYTES = 32 << 10
"""A load without files is some bytes; a larger one is not looked through."""
_MIB = 1 << 20
_MODELS, _REPOSITORY, _GRPC = b"/v2/models/", b"/v2/repository", b"/inference."
_GRPC_HEALTH = b"/grpc.health."
_LOAD_NOTHING = frozenset({"ready", "stats"})
UPLOADS = (
    "files and configurations in a load are code by network; if every client may send code, set --allow-upload true"
)
APP_REFUSED = answer_of(outcomes.UPSTREAM_CONNECT_FAILED, "Triton does not accept connections")
APP_BROKE = answer_of(outcomes.UPSTREAM_FAILED)
INVALID, EXHAUSTED, INTERNAL, UNAVAILABLE, LATE = 3, 8, 13, 14, 4
"""gRPC's status codes."""
CHANGE = object()
"""The state of a request that changes what is loaded."""


class Pipeline:
    """Directs every request of one adapter; `refresh` is called after a client has changed what is loaded."""

    def __init__(
        self,
        config: Config,
        triton: process.Triton,
        models: Layout,
        residency: Residency,
        admin_port: int,
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self.strip_request: frozenset[bytes] = frozenset(
            {process.KEY_HEADER.encode(), process.GRPC_KEY_HEADER.encode()}
        )
        self.strip_request_prefixes: tuple[bytes, ...] = ()
        self._layout = models
        self._residency = residency
        self._refresh = refresh
        self._allow_upload = config.allow_upload
        self._body_limit_bytes = config.body_limit_mib * _MIB
        self._wait_s = config.load_timeout_s
        self._is_on_demand = config.model_control == "on-demand"
        host, key = process.HOST, triton.key
        self._rest = Relay(host, triton.http_port)
        self._grpc = Relay(host, triton.grpc_port, protocol=H2C)
        self._rest_with_key = Relay(host, triton.http_port, f"{process.KEY_HEADER}: {key}\r\n".encode())
        self._grpc_with_key = Relay(
            host, triton.grpc_port, f"{process.GRPC_KEY_HEADER}: {key}\r\n".encode(), protocol=H2C
        )
        self._metrics = Relay(host, admin_port)

    def direct(self, request: Request) -> Direction | Awaitable[Direction]:
        """Say which of Triton's ports it goes to, when its model is there."""
        target = request.target
        if target.startswith(_GRPC):
            return self._direct_grpc(request, grpc_names.method_of(target))
        if target.startswith(_GRPC_HEALTH):
            return self._grpc
        if target == b"/metrics":
            return self._metrics
        length = request.header(b"content-length")
        if length is not None and int(length) > self._body_limit_bytes:
            return rest_error(413, f"the body is larger than {self._body_limit_bytes} bytes")
        if target.startswith(_REPOSITORY):
            return self._direct_repository(request)
        if self._is_on_demand and target.startswith(_MODELS):
            return self._direct_model(request)
        return self._rest

    def retry(self, request: Request, failed: Relay, failure: Failure) -> Direction:
        """Try a fresh connection after a stale one; there is no other Triton to turn to."""
        if failure is not Failure.STALE:
            return APP_REFUSED
        return failed if request.attempts < STALE_ATTEMPTS else APP_BROKE

    def finished(self, request: Request, outcome: Outcome) -> None:
        """Leave the model; after a change by a client, ask Triton what is loaded now."""
        state = request.state
        if state is CHANGE:
            tasks.spawn(self._refreshed(), "refresh models")
        elif type(state) is str:
            self._residency.leave(state)

    # --- a model that must be there ---

    def _direct_model(self, request: Request) -> Direction | Awaitable[Direction]:
        name, _, rest = request.target[len(_MODELS) :].partition(b"?")[0].partition(b"/")
        if rest.decode("latin-1").rpartition("/")[2] in _LOAD_NOTHING:
            return self._rest
        return self._with_model(request, unquote_to_bytes(name).decode("utf-8", "replace"), self._rest)

    def _direct_grpc(self, request: Request, method: bytes) -> Direction | Awaitable[Direction]:
        if method in grpc_names.CHANGES_MODELS:
            return self._change_by_grpc(request, method)
        if method in grpc_names.REPOSITORY:
            return self._grpc_with_key
        if self._is_on_demand and method in grpc_names.NEEDS_MODEL and request.body is not None:
            return self._call_by_name(request)
        return self._grpc

    async def _call_by_name(self, request: Request) -> Direction:
        try:
            name = grpc_names.model_name(await look(request, grpc_names.NAME_LIMIT_BYTES), _encoding(request))
        except (Unreadable, TimeoutError):
            return self._grpc  # Triton says what is wrong with it
        made = self._with_model(request, name, self._grpc)
        return made if isinstance(made, Relay | Answer) else await made

    def _with_model(self, request: Request, name: str, relay: Relay) -> Direction | Awaitable[Direction]:
        if self._residency.enter(name):
            request.state = name
            return relay
        if not self._layout.has(name):
            return relay  # Triton says that it knows no such model
        return self._when_loaded(request, name, relay)

    async def _when_loaded(self, request: Request, name: str, relay: Relay) -> Direction:
        error = rest_error if relay is self._rest else grpc_error
        is_rest = relay is self._rest
        try:
            await self._residency.wait(name, self._wait_s)
        except Full as full:
            return error(503 if is_rest else EXHAUSTED, str(full))
        except LoadFailed as failed:
            return error(503 if is_rest else UNAVAILABLE, str(failed))
        except TimeoutError:
            text = f"model {name} was not loaded within {self._wait_s:g} s"
            return error(504 if is_rest else LATE, text)
        request.state = name
        return relay

    # --- loads and unloads by clients ---

    def _direct_repository(self, request: Request) -> Direction | Awaitable[Direction]:
        path = request.target.partition(b"?")[0].rstrip(b"/")
        verb = path.rpartition(b"/")[2]
        if verb == b"index":
            return self._rest_with_key
        parts = path.split(b"/models/")
        if verb not in (b"load", b"unload") or len(parts) != 2:
            return self._rest
        name = unquote_to_bytes(parts[1].rpartition(b"/")[0]).decode("utf-8", "replace")
        return self._change_by_rest(request, name, is_load=verb == b"load")

    async def _change_by_rest(self, request: Request, name: str, *, is_load: bool) -> Direction:
        problem = ""
        if is_load and not self._allow_upload:
            try:
                problem = await self._upload_by_rest(request)
            except TimeoutError:
                return rest_error(408, f"the body of a load did not come within {LOOK_TIMEOUT_S:g} s")
        problem = problem or self._prepared(name, is_load=is_load)
        if problem:
            return rest_error(400, problem)
        request.state = CHANGE
        return self._rest_with_key

    async def _upload_by_rest(self, request: Request) -> str:
        if request.body is None:
            return ""
        if request.header(b"expect") is not None or request.header(b"content-encoding") is not None:
            return "a load is sent without Expect and Content-Encoding"
        body = await look(request, LOAD_LIMIT_BYTES)
        if len(body) >= LOAD_LIMIT_BYTES:
            return UPLOADS
        if not request.body.is_done:
            raise TimeoutError  # what came later nobody would see
        return "" if brings_nothing(body) else UPLOADS

    async def _change_by_grpc(self, request: Request, method: bytes) -> Direction:
        if request.body is None or request.header(b"expect") is not None:
            return grpc_error(INVALID, "the call has no message")
        is_load = method == b"RepositoryModelLoad"
        try:
            call = grpc_names.load_call(await look(request, LOAD_LIMIT_BYTES), _encoding(request))
        except TimeoutError:
            return grpc_error(LATE, f"the message of a load did not come within {LOOK_TIMEOUT_S:g} s")
        except Unreadable as error:
            if not self._allow_upload:
                return grpc_error(INVALID, f"{error}: {UPLOADS}")
            request.state = CHANGE
            return self._grpc_with_key
        problem = UPLOADS if is_load and call.has_parameters and not self._allow_upload else ""
        problem = problem or self._prepared(call.name, is_load=is_load)
        if problem:
            return grpc_error(INVALID, problem)
        request.state = CHANGE
        return self._grpc_with_key

    def _prepared(self, name: str, *, is_load: bool) -> str:
        """Renew the folder of a model before a load; returns what is wrong with it."""
        if is_load and not layout.is_name(name):
            return f"{name!r} is no name of a model"  # Triton would look for it as a path
        try:
            if is_load and self._layout.has(name):
                self._layout.prepare(name)
            elif is_load and not self._allow_upload:
                return f"there is no model {name!r} in the repository"
        except LayoutError as error:
            return str(error)
        return ""

    async def _refreshed(self) -> None:
        try:
            await self._refresh()
        except LoadFailed:
            pass  # Triton is leaving; its end is the process's


async def look(request: Request, count: int) -> bytes:
    """Return the first bytes of a held request's body; raises TimeoutError: what was not seen is not known."""
    assert request.body is not None
    async with asyncio.timeout(LOOK_TIMEOUT_S):
        return await request.body.first(count)


def brings_nothing(body: bytes) -> bool:
    """Whether the body of a load has no parameters. Doubled keys count, since parsers differ about them."""
    if not body.strip():
        return True
    try:
        pairs: Any = json.loads(body, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return False
    return isinstance(pairs, list) and all(pair in (("parameters", []), ("parameters", None)) for pair in pairs)


def rest_error(status: int, text: str) -> Answer:
    """Return an error in the form of Triton's REST errors."""
    headers: tuple[HeaderLine, ...] = ((b"Content-Type", b"application/json"),)
    if status == 503:
        headers += ((b"Retry-After", b"1"),)
    return Answer(status, body=json.dumps({"error": text}).encode(), headers=headers)


def grpc_error(code: int, text: str) -> Answer:
    """Return an error to a gRPC call, whatever version of HTTP the hop before speaks."""
    message = "".join(each if " " <= each <= "~" and each != "%" else _percent(each) for each in text)
    head = ((b"Content-Type", b"application/grpc"), (b"grpc-status", b"%d" % code), (b"grpc-message", message.encode()))
    return Answer(200, headers=head)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))


def _encoding(request: Request) -> bytes:
    return request.header(b"grpc-encoding") or b""
