"""The model's name in the first bytes of a gRPC call, against the messages of the real client library."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.triton import grpc_names
from runtimes.triton.grpc_names import LoadCall, Unreadable

pb: Any = pytest.importorskip("tritonclient.grpc.service_pb2", reason="pip install 'tritonclient[grpc]'")


def framed(message: bytes, *, compressed: bool = False) -> bytes:
    return bytes([compressed]) + len(message).to_bytes(4, "big") + message


def infer(name: str, payload: bytes = b"") -> bytes:
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype="UINT8", shape=[len(payload)])
    request = pb.ModelInferRequest(model_name=name, model_version="3", id="7", inputs=[tensor])
    request.raw_input_contents.append(payload)
    return request.SerializeToString()


@pytest.mark.parametrize(
    "message",
    [
        infer("digits", b"x" * 100_000),
        pb.ModelMetadataRequest(name="digits", version="1").SerializeToString(),
        pb.ModelConfigRequest(name="digits").SerializeToString(),
    ],
    ids=["infer", "metadata", "config"],
)
def test_the_name_is_found_in_the_first_bytes(message: bytes) -> None:
    assert grpc_names.model_name(framed(message)[: grpc_names.NAME_LIMIT_BYTES]) == "digits"
    assert grpc_names.model_name(framed(message)[:13]) == "digits"


@pytest.mark.parametrize(("encoding", "compress"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_it_is_found_in_a_compressed_message_too(encoding: bytes, compress: Any) -> None:
    data = framed(compress(infer("digits", b"x" * 100_000)), compressed=True)
    assert grpc_names.model_name(data[: grpc_names.NAME_LIMIT_BYTES], encoding) == "digits"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", b""),
        (b"\0\0\0", b""),
        (framed(b""), b""),
        (framed(infer("digits"))[:9], b""),
        (framed(b"\x0a\xff\xff"), b""),
        (framed(b"\x0a\x02\xff\xfe"), b""),
        (framed(b"\x0b"), b""),
        (framed(infer("digits"), compressed=True), b"gzip"),
        (framed(infer("digits"), compressed=True), b"snappy"),
        (framed(infer("digits"), compressed=True), b""),
    ],
)
def test_what_cannot_be_read_is_said_to_be(data: bytes, encoding: bytes) -> None:
    with pytest.raises(Unreadable):
        grpc_names.model_name(data, encoding)


@given(st.text(max_size=40), st.binary(max_size=200), st.integers(0, 400))
def test_a_cut_call_gives_the_name_or_none(name: str, payload: bytes, cut: int) -> None:
    data = framed(infer(name, payload))
    try:
        assert (grpc_names.model_name(data[:cut]) or None) == name
    except Unreadable:
        assert cut < len(data) or not name


@given(st.binary(max_size=300), st.sampled_from([b"", b"gzip"]))
def test_nothing_else_is_raised_for_any_bytes(data: bytes, encoding: bytes) -> None:
    for read in (grpc_names.model_name, grpc_names.load_call):
        try:
            read(data, encoding)
        except Unreadable:
            pass


def load(**parameters: Any) -> bytes:
    request = pb.RepositoryModelLoadRequest(model_name="digits")
    for key, value in parameters.items():
        request.parameters[key].bytes_param = value
    return framed(request.SerializeToString())


def test_a_load_is_read_whole() -> None:
    assert grpc_names.load_call(load()) == LoadCall("digits", False)
    assert grpc_names.load_call(load(files=b"x" * 10)) == LoadCall("digits", True)


@pytest.mark.parametrize("cut", [4, 5, 12, 30])
def test_half_a_load_is_not_read(cut: int) -> None:
    with pytest.raises(Unreadable):
        grpc_names.load_call(load(files=b"x" * 100)[:cut])


def test_no_parameters_hide_behind_what_compression_makes_small() -> None:
    request = pb.RepositoryModelLoadRequest(repository_name="r" * (1 << 20), model_name="digits")
    request.parameters["config"].string_param = "{}"
    data = framed(gzip.compress(request.SerializeToString()), compressed=True)
    assert len(data) < 4096
    with pytest.raises(Unreadable):
        grpc_names.load_call(data, b"gzip")


@pytest.mark.parametrize(
    ("target", "method"),
    [
        (b"/inference.GRPCInferenceService/ModelInfer", b"ModelInfer"),
        (b"/grpc.health.v1.Health/Check", b""),
        (b"/v2/models/x/infer", b""),
    ],
)
def test_methods(target: bytes, method: bytes) -> None:
    assert grpc_names.method_of(target) == method


def test_a_field_number_beyond_32_bits_hides_no_parameters() -> None:
    """protobuf's own readers cut such a tag to 32 bits: here it would be field 536870915, there it is field 3."""
    call = pb.RepositoryModelLoadRequest(model_name="a")
    call.parameters["file:1/model.py"].bytes_param = b"x"
    plain = call.SerializeToString()
    at = plain.index(b"\x1a")
    hidden = plain[:at] + b"\x9a\x80\x80\x80\x10" + plain[at + 1 :]
    with pytest.raises(Unreadable):
        grpc_names.load_call(framed(hidden))
