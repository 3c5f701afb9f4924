"""The V2 protocol over gRPC, by grpc.aio: core, stream, configuration, statistics, repository.

An error becomes its code and text; in a stream it travels in-band as `error_message`, and the stream goes on. The
client's deadline is the request's; a client that cancels takes its request out of the queue.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import numpy as np

from runtimes import metadata
from runtimes.failures import InferenceError, Kind, bad_input
from runtimes.http.exchange import deadline_of
from runtimes.http.open_inference import load_overrides
from runtimes.messages import InferRequest, InferResponse
from runtimes.protocol import grpc_codec
from runtimes.protocol.grpc_types import SERVICE, message
from runtimes.repository.store import Repository
from runtimes.servable import Servable
from runtimes.tensors import Tensor

Method = Callable[[Any, Any], Awaitable[Any]]
_INTEGERS = tuple(f"{sign}INT{bits}" for sign in ("U", "") for bits in (8, 16, 32, 64))
_DATA_TYPES = ("INVALID", "BOOL", *_INTEGERS, "FP16", "FP32", "FP64", "STRING", "BF16")
_KINDS = {"KIND_AUTO": 0, "KIND_GPU": 1, "KIND_CPU": 2, "KIND_MODEL": 3}
_CONCURRENT_LIMIT = 4096


class GrpcServer:
    """Answers GRPCInferenceService for the models of a repository."""

    def __init__(self, repository: Repository, body_limit_bytes: int = 64 << 20) -> None:
        self._repository = repository
        options = [
            ("grpc.max_receive_message_length", body_limit_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=_CONCURRENT_LIMIT)
        unary: dict[str, Method] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
            "ModelConfig": self._config,
            "ModelStatistics": self._statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        handlers = {name: self._handler(name, method) for name, method in unary.items()}
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=message("ModelInferRequest").FromString,
            response_serializer=message("ModelStreamInferResponse").SerializeToString,
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        bound: int = self._server.add_insecure_port(f"{host}:{port}")
        await self._server.start()
        return bound

    async def close(self, drain_s: float) -> None:
        """Let calls end for `drain_s`, then cancel them."""
        await self._server.stop(drain_s)

    @staticmethod
    def _handler(name: str, method: Method) -> Any:
        async def answer(asked: Any, context: Any) -> Any:
            try:
                return await method(asked, context)
            except InferenceError as error:
                await context.abort(grpc.StatusCode[error.codes.grpc], str(error))

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=message(f"{name}Request").FromString,
            response_serializer=message(f"{name}Response").SerializeToString,
        )

    async def _live(self, asked: Any, context: Any) -> Any:
        return message("ServerLiveResponse")(live=True)

    async def _ready(self, asked: Any, context: Any) -> Any:
        return message("ServerReadyResponse")(ready=self._repository.is_ready())

    async def _model_ready(self, asked: Any, context: Any) -> Any:
        return message("ModelReadyResponse")(ready=self._repository.is_ready(asked.name, asked.version))

    async def _server_metadata(self, asked: Any, context: Any) -> Any:
        return message("ServerMetadataResponse")(**metadata.SERVER)

    async def _model_metadata(self, asked: Any, context: Any) -> Any:
        servable = await self._repository.acquire(asked.name, asked.version)
        return message("ModelMetadataResponse")(**metadata.model_metadata(servable, self._repository))

    async def _infer(self, asked: Any, context: Any) -> Any:
        servable = await self._repository.acquire(asked.model_name, asked.model_version)
        request = grpc_codec.decode(asked)
        request.deadline = min(deadline_of(request.parameters), _deadline(context))
        response = await servable.infer(request)
        return grpc_codec.encode(response, request, typed=grpc_codec.is_typed(asked))

    async def _stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        made = message("ModelStreamInferResponse")
        async for asked in requests:
            try:
                async for answer in self._replies(asked, context):
                    yield made(infer_response=answer)
            except InferenceError as error:
                failed = made(error_message=str(error))
                failed.infer_response.id = asked.id
                yield failed

    async def _replies(self, asked: Any, context: Any) -> AsyncIterator[Any]:
        servable = await self._repository.acquire(asked.model_name, asked.model_version)
        request = grpc_codec.decode(asked)
        request.deadline = min(deadline_of(request.parameters), _deadline(context))
        typed = grpc_codec.is_typed(asked)
        text = next((tensor for tensor in request.inputs if tensor.name == "text_input"), None)
        if text is None or not servable.model.has("generate"):
            yield grpc_codec.encode(await servable.infer(request), request, typed=typed)
            return
        async for piece in servable.generated(_text_of(text), request.parameters, request.deadline):
            yield grpc_codec.encode(_generated(servable, request, piece), request, typed=typed)

    async def _config(self, asked: Any, context: Any) -> Any:
        servable = await self._repository.acquire(asked.name, asked.version)
        document = servable.configuration()
        for tensor in (*document["input"], *document["output"]):
            tensor["data_type"] = _DATA_TYPES.index(tensor["data_type"].removeprefix("TYPE_"))
        for group in document["instance_group"]:
            group["kind"] = _KINDS[group["kind"]]
        return message("ModelConfigResponse")(config=document)

    async def _statistics(self, asked: Any, context: Any) -> Any:
        return message("ModelStatisticsResponse")(**metadata.statistics(self._repository, asked.name, asked.version))

    async def _index(self, asked: Any, context: Any) -> Any:
        _one_repository(asked)
        return message("RepositoryIndexResponse")(models=self._repository.index(only_ready=asked.ready))

    async def _load(self, asked: Any, context: Any) -> Any:
        _one_repository(asked)
        await self._repository.load(asked.model_name, load_overrides(grpc_codec.parameters_of(asked.parameters)))
        return message("RepositoryModelLoadResponse")()

    async def _unload(self, asked: Any, context: Any) -> Any:
        _one_repository(asked)
        await self._repository.unload(asked.model_name)
        return message("RepositoryModelUnloadResponse")()


def _deadline(context: Any) -> float:
    left_s = context.time_remaining()
    return math.inf if left_s is None else time.monotonic() + float(left_s)


def _one_repository(asked: Any) -> None:
    if asked.repository_name:
        raise InferenceError(Kind.UNSUPPORTED, "there is one repository, without a name")


def _text_of(tensor: Tensor) -> str:
    if tensor.datatype != "BYTES" or tensor.array.size != 1:
        raise bad_input("input 'text_input' is one BYTES element")
    return bytes(tensor.array.ravel()[0]).decode(errors="replace")


def _generated(servable: Servable, request: InferRequest, piece: Any) -> InferResponse:
    outputs = piece if isinstance(piece, dict) else {"text_output": piece}
    made = [Tensor(name, "BYTES", np.array([str(value).encode()], dtype=object)) for name, value in outputs.items()]
    return InferResponse(servable.name, servable.version, made, request.id)
