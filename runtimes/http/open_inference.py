"""Open Inference V2 over REST: server, model, infer, generate, repository and statistics (sections of the open spec).

`[/versions/V]` may stand after the model's name everywhere; without it the label PROD decides, else the highest
version.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from runtimes.failures import InferenceError, Kind, bad_input, not_found
from runtimes.http import messages, readiness
from runtimes.http.exchange import body_of, deadline_of, header_length, must_be, reply_with
from runtimes.http.generate import Generate
from runtimes.http.messages import BINARY, Reply, Request
from runtimes.messages import InferRequest, InferResponse
from runtimes.metadata import SERVER, model_metadata_with_provenance, statistics_with_loads
from runtimes.protocol import v2_rest
from runtimes.protocol.openapi import document as openapi
from runtimes.repository.slots import NotResident
from runtimes.repository.store import Repository
from runtimes.servable import Servable

Answer = Reply | Awaitable[Reply]
_EMPTY = Reply(200, b"")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class OpenInference:
    """The handlers below /v2."""

    def __init__(self, repository: Repository, body_limit_bytes: int) -> None:
        self._repository = repository
        self._limit_bytes = body_limit_bytes
        self._generate = Generate(repository, body_limit_bytes)
        self._of_model: dict[str, Callable[[Request, str, str], Answer]] = {
            "": self._metadata,
            "ready": self._ready,
            "infer": self._infer,
            "generate": self._generate.once,
            "generate_stream": self._generate.stream,
            "stats": self._stats,
            "config": self._config,
            "openapi.json": self._openapi,
            "labels": self._labels,
        }

    def handle(self, request: Request, parts: list[str]) -> Answer:
        """Answer a request whose path began with /v2; raises InferenceError."""
        if parts and parts[0] == "models" and len(parts) > 1:
            name, rest = parts[1], parts[2:]
            version = ""
            if len(rest) > 1 and rest[0] == "versions":
                version, rest = rest[1], rest[2:]
            if name == "stats" and not rest:
                must_be(request, b"GET")
                return messages.json_reply(statistics_with_loads(self._repository))
            handler = self._of_model.get(rest[0] if rest else "")
            if handler is not None and len(rest) <= 1:
                return handler(request, name, version)
        elif parts and parts[0] == "repository":
            return self._repository_call(request, parts[1:])
        return self._server(request, parts)

    def _server(self, request: Request, parts: list[str]) -> Reply:
        match [part for part in parts if part]:
            case []:
                must_be(request, b"GET")
                return messages.json_reply(SERVER)
            case ["health", "live"]:
                must_be(request, b"GET")
                return readiness.reply({"live": True}, is_ready=True)
            case ["health", "ready"]:
                must_be(request, b"GET")
                is_ready = self._repository.is_ready()
                return readiness.reply({"ready": is_ready}, is_ready=is_ready)
            case ["models"]:
                must_be(request, b"GET")
                return messages.json_reply({"models": sorted(self._repository.entries)})
        raise not_found(f"{request.path} is not part of the V2 protocol that this server offers")

    def _ready(self, request: Request, name: str, version: str) -> Reply:
        must_be(request, b"GET")
        if self._repository.is_ready(name, version):
            return readiness.reply({"name": name, "ready": True}, is_ready=True)
        slot = self._repository.slot(name, version)
        raise InferenceError(Kind.NOT_READY, f"model {name!r} is {slot.state.value} {slot.reason}".rstrip())

    def _metadata(self, request: Request, name: str, version: str) -> Answer:
        must_be(request, b"GET")
        return self._with(name, version, lambda servable: messages.json_reply(self._described(servable)))

    def _described(self, servable: Servable) -> dict[str, Any]:
        return model_metadata_with_provenance(servable, self._repository)

    def _config(self, request: Request, name: str, version: str) -> Answer:
        must_be(request, b"GET")
        return self._with(name, version, lambda servable: messages.json_reply(servable.configuration()))

    def _openapi(self, request: Request, name: str, version: str) -> Answer:
        must_be(request, b"GET")
        return self._with(name, version, lambda found: messages.json_reply(openapi(found.name, found.spec)))

    def _stats(self, request: Request, name: str, version: str) -> Reply:
        must_be(request, b"GET")
        return messages.json_reply(statistics_with_loads(self._repository, name, version))

    def _with(self, name: str, version: str, use: Callable[[Servable], Reply]) -> Answer:
        try:
            return use(self._repository.find(name, version))
        except NotResident:
            return self._after_load(name, version, use)

    async def _after_load(self, name: str, version: str, use: Callable[[Servable], Reply]) -> Reply:
        return use(await self._repository.acquire(name, version))

    def _infer(self, request: Request, name: str, version: str) -> Answer:
        must_be(request, b"POST")
        try:
            servable = self._repository.find(name, version)
        except NotResident:
            return self._infer_after_load(request, name, version)
        return self._infer_on(request, servable)

    def _infer_on(self, request: Request, servable: Servable) -> Answer:
        body = body_of(request, self._limit_bytes)
        asked = v2_rest.decode(body, header_length(request), servable.name, servable.version, servable.spec)
        if asked.parameters:
            asked.deadline = deadline_of(asked.parameters)
        if servable.is_inline:
            return _reply(request, asked, servable.infer_now(asked))
        return self._infer_later(request, asked, servable)

    async def _infer_later(self, request: Request, asked: InferRequest, servable: Servable) -> Reply:
        if servable.is_leaving:  # it was evicted between the turn that found it and this one
            servable = await self._repository.acquire(servable.name, servable.version)
        return _reply(request, asked, await servable.infer(asked))

    async def _infer_after_load(self, request: Request, name: str, version: str) -> Reply:
        answer = self._infer_on(request, await self._repository.acquire(name, version))
        return answer if isinstance(answer, Reply) else await answer

    def _labels(self, request: Request, name: str, version: str) -> Reply:
        """GET the labels and their moves; PUT {"PROD": "2"} moves labels at once (an empty version removes one)."""
        must_be(request, b"GET", b"PUT")
        labels = self._repository.entry(name).labels
        if request.method == b"PUT":
            wanted = v2_rest.read_json(_decode, request.body)
            for label, meant in wanted.items():
                if not label.isidentifier() or not isinstance(meant, str):
                    raise bad_input(f'labels: {label!r}: {meant!r}; write {{"PROD": "2"}}')
                self._repository.label(name, label, meant)
        moves = [{"label": label, "from": before, "to": after} for label, before, after in labels.moves]
        return messages.json_reply({"labels": labels.of, "moves": moves})

    def _repository_call(self, request: Request, parts: list[str]) -> Answer:
        must_be(request, b"POST")
        match parts:
            case ["index"]:
                wishes = v2_rest.read_json(_decode, request.body) if request.body.strip() else {}
                return messages.json_reply(self._repository.index(only_ready=wishes.get("ready") is True))
            case ["models", name, "load"]:
                return self._load(name, request.body)
            case ["models", name, "unload"]:
                return self._unload(name)
            case [_, "index"] | [_, "models", _, "load" | "unload"]:
                raise InferenceError(Kind.UNSUPPORTED, "there is one repository, without a name")
        raise not_found(f"{request.path} is not part of the repository extension")

    async def _load(self, name: str, body: bytes) -> Reply:
        document = v2_rest.read_json(_decode, body) if body.strip() else {}
        await self._repository.load(name, load_overrides(document.get("parameters") or {}))
        return messages.json_reply({"name": name, "load": True})

    async def _unload(self, name: str) -> Reply:
        await self._repository.unload(name)
        return messages.json_reply({"name": name, "unload": True})


def load_overrides(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration given with a load; raises a 400 for what is not understood, 501 for files in it."""
    for key in parameters:
        if key.startswith("file:"):
            raise InferenceError(Kind.UNSUPPORTED, "files in a load request are not taken: put them in the repository")
        if key != "config":
            raise bad_input(f"parameters: {key!r} is unknown; a load takes config")
    if "config" not in parameters:
        return {}
    if not isinstance(parameters["config"], str):
        raise bad_input("parameters.config is not text")
    overrides: dict[str, Any] = v2_rest.read_json(_decode, parameters["config"].encode())
    return overrides


def _reply(request: Request, asked: InferRequest, response: InferResponse) -> Reply:
    body, length = v2_rest.encode(response, asked)
    if length is None:
        return reply_with(request, body)
    return reply_with(request, body, BINARY, b"Inference-Header-Content-Length: %d\r\n" % length)
