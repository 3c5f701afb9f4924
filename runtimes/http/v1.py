"""The V1 protocol over REST, with TensorFlow Serving's versions and labels.

/v1/models/M[/versions/V|/labels/L][:predict|:explain|/metadata]. Errors are {"error": text}.
"""

from __future__ import annotations

from collections.abc import Awaitable

from runtimes.failures import InferenceError, Kind, not_found
from runtimes.http import messages, readiness
from runtimes.http.exchange import body_of, must_be, reply_with
from runtimes.http.messages import Reply, Request
from runtimes.messages import InferResponse
from runtimes.protocol import cloudevents, v1_rest
from runtimes.repository.slots import NotResident, State
from runtimes.repository.store import Repository
from runtimes.servable import Servable

Answer = Reply | Awaitable[Reply]
VERBS = ("predict", "explain")


class V1:
    """The handlers below /v1."""

    def __init__(self, repository: Repository, body_limit_bytes: int) -> None:
        self._repository = repository
        self._limit_bytes = body_limit_bytes

    def handle(self, request: Request, parts: list[str]) -> Answer:
        """Answer a request whose path began with /v1; raises InferenceError."""
        if parts in (["models"], ["models", ""]):
            must_be(request, b"GET")
            return messages.json_reply({"models": sorted(self._repository.entries)})
        if len(parts) < 2 or parts[0] != "models":
            raise not_found(f"{request.path} is not part of the V1 protocol; see GET /v1/models")
        last, _, verb = parts[-1].partition(":")
        name, *address = [*parts[1:-1], last]
        match address:
            case []:
                version, label, what = "", "", ""
            case ["versions", version, *tail]:
                label, what = "", "/".join(tail)
            case ["labels", label, *tail]:
                version, what = "", "/".join(tail)
            case _:
                version, label, what = "", "", "/".join(address)
        if verb in VERBS and not what:
            must_be(request, b"POST")
            return self.call(request, name, version, label, verb)
        if verb:
            raise InferenceError(Kind.UNSUPPORTED, f"the verb :{verb} is not offered; use :predict or :explain")
        must_be(request, b"GET")
        if what == "metadata":
            return self._metadata(name, version, label)
        if what:
            raise not_found(f"{request.path} is not part of the V1 protocol")
        return self._status(name, version, label)

    def call(self, request: Request, name: str, version: str = "", label: str = "", verb: str = "predict") -> Answer:
        """Answer a predict or explain request, plain or as a CloudEvent."""
        if cloudevents.is_event(request.headers):
            return self._event(request, name, version, label, verb)
        try:
            servable = self._repository.find(name, version, label)
        except NotResident:
            return self._after_load(request, name, version, label, verb)
        return self._on(request, servable, verb)

    async def _event(self, request: Request, name: str, version: str, label: str, verb: str) -> Reply:
        event = cloudevents.decode(request.headers, body_of(request, self._limit_bytes))
        inside = Request(request.method, request.path, request.query, {}, event.data)
        answer = self.call(inside, name, version, label, verb)
        reply = answer if isinstance(answer, Reply) else await answer
        body, content_type, lines = cloudevents.answer(event, name, reply.body)
        return Reply(reply.status, body, content_type, reply.headers + lines)

    async def _after_load(self, request: Request, name: str, version: str, label: str, verb: str) -> Reply:
        answer = self._on(request, await self._repository.acquire(name, version, label), verb)
        return answer if isinstance(answer, Reply) else await answer

    def _on(self, request: Request, servable: Servable, verb: str) -> Answer:
        document = v1_rest.decode_document(body_of(request, self._limit_bytes))
        if servable.model.takes_json and verb == "predict":
            return self._json(request, servable, document)
        asked = v1_rest.to_request(document, servable.name, servable.version, servable.spec)
        if servable.is_inline and verb == "predict":
            return self._reply(request, servable, v1_rest.encode(servable.infer_now(asked), document))
        return self._later(request, servable, document, verb)

    async def _later(self, request: Request, servable: Servable, document: v1_rest.Document, verb: str) -> Reply:
        servable = await self._staying(servable)
        asked = v1_rest.to_request(document, servable.name, servable.version, servable.spec)
        if verb == "explain":
            outputs = await servable.beside(servable.model.explain, asked.inputs)
            response = InferResponse(servable.name, servable.version, outputs)
        else:
            response = await servable.infer(asked)
        return self._reply(request, servable, v1_rest.encode(response, document, verb))

    async def _json(self, request: Request, servable: Servable, document: v1_rest.Document) -> Reply:
        servable = await self._staying(servable)
        rows = document.content if document.is_row else [document.content]
        answers = await servable.infer_json(rows, document.extra)
        answer = answers if document.is_row else answers[0]
        return self._reply(request, servable, v1_rest.encode_json(answer, document))

    async def _staying(self, servable: Servable) -> Servable:
        # It may have been evicted between the turn that found it and this one.
        if not servable.is_leaving:
            return servable
        return await self._repository.acquire(servable.name, servable.version)

    def _reply(self, request: Request, servable: Servable, body: bytes) -> Reply:
        version = servable.version.encode("latin-1", "replace")
        return reply_with(request, body, headers=b"X-Model-Version: %s\r\n" % version)

    def _status(self, name: str, version: str, label: str) -> Reply:
        entry = self._repository.entry(name)
        chosen = self._repository.slot(name, version, label)
        is_ready = self._repository.is_ready(name, chosen.version)
        slots = [chosen] if version or label else list(entry.slots.values())
        states = []
        for slot in slots:
            state = "AVAILABLE" if slot.state is State.READY else "END" if not slot.reason else "UNKNOWN"
            if slot.state in (State.LOADING, State.UNLOADING):
                state = slot.state.value
            status = {"error_code": "UNKNOWN" if slot.reason else "OK", "error_message": slot.reason}
            states.append({"version": slot.version, "state": state, "status": status})
        document = {"name": name, "ready": is_ready, "model_version_status": states}
        return readiness.reply(document, is_ready=is_ready)

    def _metadata(self, name: str, version: str, label: str) -> Answer:
        try:
            return self._described(self._repository.find(name, version, label))
        except NotResident:
            return self._described_after_load(name, version, label)

    async def _described_after_load(self, name: str, version: str, label: str) -> Reply:
        return self._described(await self._repository.acquire(name, version, label))

    def _described(self, servable: Servable) -> Reply:
        spec = servable.spec
        signature = {
            "inputs": {each.name: {"dtype": each.datatype, "shape": each.shape} for each in spec.inputs},
            "outputs": {each.name: {"dtype": each.datatype, "shape": each.shape} for each in spec.outputs},
            "method_name": "predict",
        }
        document = {
            "model_spec": {"name": servable.name, "version": servable.version},
            "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
        }
        return messages.json_reply(document)
