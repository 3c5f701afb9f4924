"""Paths of other systems that lead to the same models.

/predict/NAME answers by the PROD version, /predict/NAME/VERSION and /predict/NAME/LABEL by that one, /predict/ID by the
one whose manifest has that id; /predictions/NAME, /explanations/NAME and /ping are TorchServe's; /api/v1.0/... are
Seldon Core's, for a server with one model.
"""

from __future__ import annotations

from collections.abc import Awaitable

from runtimes.failures import bad_input, not_found
from runtimes.http import readiness
from runtimes.http.exchange import body_of, must_be, reply_with
from runtimes.http.messages import Reply, Request
from runtimes.http.v1 import V1
from runtimes.messages import InferRequest
from runtimes.protocol import seldon
from runtimes.protocol.seldon import Message
from runtimes.repository.store import Repository
from runtimes.servable import Servable
from runtimes.tensors import Tensor

Answer = Reply | Awaitable[Reply]
_ONE, _TWO = 1, 2


class Compatible:
    """The handlers of other systems' paths."""

    def __init__(self, repository: Repository, v1: V1, body_limit_bytes: int) -> None:
        self._repository = repository
        self._v1 = v1
        self._limit_bytes = body_limit_bytes

    def predict(self, request: Request, parts: list[str]) -> Answer:
        """/predict/NAME[/VERSION or LABEL] or /predict/ID, with V1 bodies."""
        must_be(request, b"POST")
        if not 1 <= len(parts) <= _TWO or not parts[0]:
            raise not_found("write /predict/NAME, /predict/NAME/VERSION or /predict/NAME/LABEL")
        name = parts[0]
        if len(parts) == _ONE:
            # A name goes before an id: an id may be anything, and a new model must not change what a name means.
            named = self._repository.by_id(name) if name not in self._repository.entries else None
            return self._v1.call(request, *(named or (name,)))
        is_label = parts[1] in self._repository.entry(name).labels.of
        return self._v1.call(request, name, "" if is_label else parts[1], parts[1] if is_label else "")

    def predictions(self, request: Request, parts: list[str]) -> Answer:
        """/predictions/NAME[/VERSION], with V1 bodies."""
        return self._torchserve(request, parts, "predict")

    def explanations(self, request: Request, parts: list[str]) -> Answer:
        """/explanations/NAME[/VERSION], with V1 bodies."""
        return self._torchserve(request, parts, "explain")

    def _torchserve(self, request: Request, parts: list[str], verb: str) -> Answer:
        must_be(request, b"POST", b"PUT")
        if not 1 <= len(parts) <= _TWO or not parts[0]:
            raise not_found("write /predictions/NAME or /predictions/NAME/VERSION")
        return self._v1.call(request, parts[0], "".join(parts[1:]), "", verb)

    def ping(self, request: Request, parts: list[str]) -> Reply:
        """/ping."""
        must_be(request, b"GET")
        is_ready = self._repository.is_ready()
        document = {"status": "Healthy" if is_ready else "Unhealthy"}
        return readiness.reply(document, is_ready=is_ready, refusal=500)

    async def seldon(self, request: Request, parts: list[str]) -> Reply:
        """/api/v1.0/predictions, /transform-input, /transform-output, /route, /aggregate (/combine), /send-feedback."""
        must_be(request, b"POST")
        if len(parts) != _TWO or parts[0] not in ("v1.0", "v0.1"):
            raise not_found(f"{request.path} is not part of Seldon's API")
        servable = await self._only()
        body = body_of(request, self._limit_bytes)
        verb = parts[1]
        if verb in ("aggregate", "combine"):
            listed = seldon.decode_list(body)
            if not listed:
                raise bad_input("seldonMessages is empty")
            question = listed[0]
            inputs = [[message.tensor] for message in listed]
            outputs = await servable.beside(servable.model.aggregate, inputs)
            return self._seldon_reply(request, servable, outputs, question)
        question = seldon.decode_feedback(body) if verb == "send-feedback" else seldon.decode(body)
        tensor = question.tensor
        if servable.spec.inputs:
            tensor.name = servable.spec.inputs[0].name
        if verb in ("predictions", "predict"):
            parameters = {"names": question.names} if question.names else {}
            response = await servable.infer(InferRequest(servable.name, [tensor], parameters=parameters))
            return self._seldon_reply(request, servable, response.outputs, question)
        outputs = await servable.beside(servable.model.seldon_verb, verb, tensor, question.document)
        return self._seldon_reply(request, servable, outputs, question)

    async def _only(self) -> Servable:
        names = list(self._repository.entries)
        if len(names) != _ONE:
            raise bad_input("Seldon's paths name no model and this server has several: use /v1/models/NAME:predict")
        return await self._repository.acquire(names[0])

    def _seldon_reply(self, request: Request, servable: Servable, outputs: list[Tensor], question: Message) -> Reply:
        names, meta = servable.model.seldon_meta()
        return reply_with(request, seldon.encode(outputs, question, names, meta))
