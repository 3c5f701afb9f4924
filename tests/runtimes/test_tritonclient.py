"""The real tritonclient, all four of it, against a running server: datatypes, health, metadata, statistics, errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from runtimes.echo.runtime import Echo
from runtimes.protocol import grpc_types
from tests.support.model_servers import Doubler, serving
from tests.support.triton_clients import KINDS, AnyClient, client_to

ARRAYS: dict[str, Any] = {
    "BOOL": np.array([[True, False]]),
    "UINT8": np.array([[0, 255]], dtype=np.uint8),
    "UINT16": np.array([[0, 65535]], dtype=np.uint16),
    "UINT32": np.array([[0, 2**32 - 1]], dtype=np.uint32),
    "UINT64": np.array([[0, 2**64 - 1]], dtype=np.uint64),
    "INT8": np.array([[-128, 127]], dtype=np.int8),
    "INT16": np.array([[-32768, 32767]], dtype=np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1]], dtype=np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1]], dtype=np.int64),
    "FP16": np.array([[0.5, -1.5]], dtype=np.float16),
    "FP32": np.array([[0.1, -3e38]], dtype=np.float32),
    "FP64": np.array([[0.1, 1e300]], dtype=np.float64),
    "BF16": np.array([[0.5, -3.0]], dtype=ml_dtypes.bfloat16),
    "BYTES": np.array([[b"text", b"\x00\xff\x80"]], dtype=object),
}


@contextlib.asynccontextmanager
async def connected(kind: str, target: Any, **settings: Any) -> AsyncIterator[AnyClient]:
    async with serving(target, grpc_port=-1, model_name="m", **settings) as frame:
        port = frame.grpc_port if kind.startswith("grpc") else frame.port
        async with client_to(kind, f"127.0.0.1:{port}") as client:
            yield client


@pytest.mark.parametrize("kind", KINDS)
async def test_every_datatype_comes_back_as_it_went(kind: str) -> None:
    async with connected(kind, Echo()) as client:
        for datatype, array in ARRAYS.items():
            result = await client("infer", "m", [client.input("x", datatype, array)], request_id=datatype)
            assert np.array_equal(result.as_numpy("x"), array), datatype
            response = result.get_response()
            output = response.outputs[0] if client.is_grpc else response["outputs"][0]
            assert (output.datatype if client.is_grpc else output["datatype"]) == datatype
            assert (response.id if client.is_grpc else response["id"]) == datatype


@pytest.mark.parametrize("kind", ("http", "http.aio"))
async def test_json_tensors_both_ways_and_mixed(kind: str) -> None:
    async with connected(kind, Echo()) as client:
        for datatype, array in ARRAYS.items():
            if datatype in ("FP16", "BF16"):
                continue  # they have no JSON form
            array = np.array([[b"plain", "ü".encode()]], dtype=object) if datatype == "BYTES" else array
            inputs = [client.input("a", datatype, array, binary=False), client.input("b", datatype, array)]
            outputs = [client.output("b", binary=False), client.output("a")]
            result = await client("infer", "m", inputs, outputs=outputs)
            for name in "ab":
                got = result.as_numpy(name)
                if datatype == "BYTES":
                    got = np.array([[v if isinstance(v, bytes) else v.encode() for v in got.ravel()]], dtype=object)
                assert np.array_equal(got, array), (datatype, name)


@pytest.mark.parametrize("kind", KINDS)
async def test_health_metadata_configuration_statistics(kind: str) -> None:
    async with connected(kind, Doubler()) as client:
        assert await client("is_server_live")
        assert await client("is_server_ready")
        assert await client("is_model_ready", "m")
        assert await client("is_model_ready", "m", "1")
        named = {"as_json": True} if client.is_grpc else {}
        assert (await client("get_server_metadata", **named))["name"] == "tidegate"
        metadata = await client("get_model_metadata", "m", **named)
        assert metadata["inputs"][0]["name"] == "x"
        assert [int(size) for size in metadata["inputs"][0]["shape"]] == [-1, 4]
        config = await client("get_model_config", "m", **named)
        assert (config["config"] if client.is_grpc else config)["max_batch_size"] == 8
        await client("infer", "m", [client.input("x", "FP32", np.ones((3, 4), np.float32))])
        stats = await client("get_inference_statistics", "m", **named)
        assert int(stats["model_stats"][0]["inference_count"]) == 3
        assert int(stats["model_stats"][0]["execution_count"]) == 1
        assert int(stats["model_stats"][0]["inference_stats"]["success"]["count"]) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_errors_say_what_is_wrong(kind: str) -> None:
    async with connected(kind, Doubler()) as client:
        good = np.ones((1, 4), np.float32)
        cases = [
            ("nothing", client.input("x", "FP32", good), "unknown", "404", "NOT_FOUND"),
            ("m", client.input("z", "FP32", good), "'z'", "400", "INVALID_ARGUMENT"),
            ("m", client.input("x", "FP64", good.astype("f8")), "FP64", "400", "INVALID_ARGUMENT"),
            ("m", client.input("x", "FP32", np.ones((1, 3), np.float32)), "[1, 3]", "400", "INVALID_ARGUMENT"),
            ("m", client.input("x", "FP32", good * np.nan), "not a number", "500", "INTERNAL"),
        ]
        for model, tensor, text, http, grpc in cases:
            with pytest.raises(InferenceServerException) as caught:
                await client("infer", model, [tensor])
            assert text in caught.value.message()
            assert caught.value.status() == (f"StatusCode.{grpc}" if client.is_grpc else http)


@pytest.mark.parametrize("kind", KINDS)
async def test_classification_gives_the_largest_values_with_their_labels(kind: str) -> None:
    async with connected(kind, Echo()) as client:
        array = np.array([[0.1, 0.7, 0.2]], np.float32)
        asked = client.output("x", classes=2)
        result = await client("infer", "m", [client.input("x", "FP32", array)], outputs=[asked])
        assert result.as_numpy("x").ravel().tolist() == [b"0.700000:1", b"0.200000:2"]


@pytest.mark.parametrize("kind", ("http", "http.aio"))
@pytest.mark.parametrize("algorithm", ("gzip", "deflate"))
async def test_compressed_both_ways(kind: str, algorithm: str) -> None:
    async with connected(kind, Echo()) as client:
        array = np.zeros((1, 4096), np.float32)
        result = await client(
            "infer",
            "m",
            [client.input("x", "FP32", array)],
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        assert np.array_equal(result.as_numpy("x"), array)


@pytest.mark.parametrize("kind", ("grpc", "grpc.aio"))
async def test_a_stream_goes_on_after_an_error(kind: str) -> None:
    async with connected(kind, Echo()) as client:
        good = client.input("x", "INT32", np.array([1], np.int32))

        async def asked() -> AsyncIterator[dict[str, Any]]:
            yield {"model_name": "m", "inputs": [good], "request_id": "one"}
            yield {"model_name": "nothing", "inputs": [good]}
            yield {"model_name": "m", "inputs": [good], "request_id": "two"}

        seen: list[str] = []
        if kind == "grpc.aio":
            async for result, error in client._client.stream_infer(asked()):
                seen.append("error" if error else result.get_response().id)
        else:
            replies: asyncio.Queue[str] = asyncio.Queue()
            loop = asyncio.get_running_loop()

            def take(result: Any, error: Any) -> None:
                loop.call_soon_threadsafe(replies.put_nowait, "error" if error else result.get_response().id)

            await client("start_stream", take)
            async for one in asked():
                await client("async_stream_infer", **one)
            async with asyncio.timeout(30):
                seen = [await replies.get() for _ in range(3)]
            await client("stop_stream")
        assert seen == ["one", "error", "two"]


@pytest.mark.parametrize("kind", ("grpc.aio",))
async def test_generated_text_comes_piece_by_piece_over_grpc(kind: str) -> None:
    async with connected(kind, Echo()) as client:
        text = client.input("text_input", "BYTES", np.array([b"to be or"], dtype=object))

        async def asked() -> AsyncIterator[dict[str, Any]]:
            yield {"model_name": "m", "inputs": [text], "request_id": "one"}

        pieces = [result.as_numpy("text_output")[0] async for result, _ in client._client.stream_infer(asked())]
        assert pieces == [b"to", b" be", b" or"]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_repository_extension(kind: str, tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "config.pbtxt").write_text('backend: "identity"')
    settings = {"model_repository": str(tmp_path), "model_control": "explicit"}
    async with connected(kind, None, **settings) as client:
        assert not await client("is_model_ready", "m")
        await client("load_model", "m")
        assert await client("is_model_ready", "m")
        named = {"as_json": True} if client.is_grpc else {}
        index = await client("get_model_repository_index", **named)
        models = index["models"] if client.is_grpc else index
        assert [(each["name"], each["state"]) for each in models] == [("m", "READY")]
        await client("unload_model", "m")
        assert not await client("is_model_ready", "m")
        with pytest.raises(InferenceServerException, match="unknown"):
            await client("load_model", "none")


async def test_typed_contents_are_answered_typed() -> None:
    import grpc.aio

    made = grpc_types.message
    async with (
        serving(Echo(), grpc_port=-1, model_name="m") as frame,
        grpc.aio.insecure_channel(f"127.0.0.1:{frame.grpc_port}") as channel,
    ):
        call = channel.unary_unary(
            f"/{grpc_types.SERVICE}/ModelInfer",
            request_serializer=made("ModelInferRequest").SerializeToString,
            response_deserializer=made("ModelInferResponse").FromString,
        )
        tensor = {"name": "x", "datatype": "INT8", "shape": [2], "contents": {"int_contents": [1, -1]}}
        answer = await call(made("ModelInferRequest")(model_name="m", inputs=[tensor]))
        assert list(answer.outputs[0].contents.int_contents) == [1, -1]
        for changes, text in (
            ({"contents": {"fp32_contents": [1.0, 2.0]}}, "int_contents"),
            ({"contents": {"int_contents": [1]}}, "needs 2 values"),
            ({"contents": {"int_contents": [1, 300]}}, "not INT8"),
            ({"datatype": "FP16"}, "raw"),
        ):
            with pytest.raises(grpc.aio.AioRpcError, match=text) as caught:
                await call(made("ModelInferRequest")(model_name="m", inputs=[tensor | changes]))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError, match="blobs"):
            await call(made("ModelInferRequest")(model_name="m", inputs=[tensor], raw_input_contents=[b"", b""]))


def test_our_messages_have_the_public_field_numbers() -> None:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from tritonclient.grpc import service_pb2  # type: ignore[attr-defined]

    def check(ours: Descriptor, theirs: Descriptor) -> None:
        for field in ours.fields:
            other = theirs.fields_by_name[field.name]
            assert field.number == other.number, f"{ours.name}.{field.name}"
            same = field.type == other.type or other.type == FieldDescriptor.TYPE_ENUM
            assert same and field.is_repeated == other.is_repeated, f"{ours.name}.{field.name}"
            if field.message_type is not None:
                check(field.message_type, other.message_type)

    for name in grpc_types.names():
        if "." not in name and name in service_pb2.DESCRIPTOR.message_types_by_name:
            check(grpc_types.message(name).DESCRIPTOR, service_pb2.DESCRIPTOR.message_types_by_name[name])
