"""Whatever bytes come, a decoder answers with a request or an error that is the client's; tensors survive a trip."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from runtimes import datatypes, tensors
from runtimes.failures import CODES, InferenceError, Kind
from runtimes.http import compression
from runtimes.messages import InferRequest, InferResponse, ModelSpec, TensorSpec, WantedOutput
from runtimes.protocol import cloudevents, generate, grpc_codec, grpc_types, seldon, tftensor, v1_rest, v2_rest
from runtimes.repository import config_text

CLIENTS_FAULT = {Kind.BAD_INPUT, Kind.UNSUPPORTED, Kind.TOO_LARGE, Kind.UNPROCESSABLE}
SPEC = ModelSpec(inputs=(TensorSpec("x", "FP32", (-1, 2)),))
NUMBERS = [name for name in datatypes.DATATYPES if name not in ("BYTES", "BF16", "FP16")]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "y", ""]),
        "shape": st.lists(st.integers(-1, 4), max_size=3) | JSON,
        "datatype": st.sampled_from([*datatypes.DATATYPES, "FP8"]),
        "data": JSON,
        "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "shared_memory_region"]), JSON, max_size=1),
    },
)
DOCUMENT = st.fixed_dictionaries(
    {}, optional={"inputs": st.lists(TENSOR, max_size=3) | JSON, "outputs": JSON, "id": JSON, "parameters": JSON}
)
BODY = st.binary(max_size=60) | st.builds(lambda d, t: json.dumps(d).encode() + t, DOCUMENT, st.binary(max_size=9))
V1 = st.fixed_dictionaries({}, optional={"instances": JSON, "inputs": JSON, "signature_name": JSON})
SELDON = st.fixed_dictionaries(
    {},
    optional={
        "data": st.fixed_dictionaries({}, optional={"ndarray": JSON, "tensor": JSON, "names": JSON}) | JSON,
        "strData": JSON,
        "binData": JSON,
        "meta": JSON,
    },
)


def only_the_clients_fault(call: Any, *arguments: Any) -> None:
    """Call a decoder; whatever it raises is an InferenceError that blames the client."""
    try:
        call(*arguments)
    except InferenceError as error:
        assert error.kind in CLIENTS_FAULT
        assert str(error)


@given(BODY, st.none() | st.integers(0, 80))
def test_v2_bodies(body: bytes, header_length: int | None) -> None:
    only_the_clients_fault(v2_rest.decode, body, header_length, "m", "1", SPEC)


@given(V1 | JSON, st.sampled_from([SPEC, ModelSpec()]))
def test_v1_bodies(document: Any, spec: ModelSpec) -> None:
    def decode() -> None:
        v1_rest.to_request(v1_rest.decode_document(json.dumps(document).encode()), "m", "1", spec)

    only_the_clients_fault(decode)


@given(SELDON | JSON, st.binary(max_size=20))
def test_seldon_generate_and_event_bodies(document: Any, garbage: bytes) -> None:
    for body in (json.dumps(document).encode(), garbage):
        only_the_clients_fault(seldon.decode, body)
        only_the_clients_fault(seldon.decode_list, body)
        only_the_clients_fault(generate.decode, body)
        only_the_clients_fault(cloudevents.decode, {}, body)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "dtype": st.sampled_from(["DT_FLOAT", "DT_STRING", "DT_INT8", "DT_BOOL", "DT_NOTHING", 1, 7, 99, None, []]),
            "tensorShape": st.sampled_from(
                [
                    None,
                    {},
                    [],
                    {"dim": [{"size": "2"}]},
                    {"dim": [{"size": -1}]},
                    {"dim": [{}]},
                    {"dim": 1},
                    {"dim": [1]},
                ]
            )
            | st.just({"dim": [{"size": 10**12}, {"size": 10**12}]}),
            "floatVal": JSON,
            "stringVal": JSON,
            "intVal": JSON,
            "boolVal": JSON,
            "tensorContent": JSON,
        },
    )
)
def test_tensors_of_tensorflow(document: Any) -> None:
    only_the_clients_fault(tftensor.decode, document, "x")


@given(st.binary(max_size=80))
def test_grpc_messages(body: bytes) -> None:
    try:
        asked = grpc_types.message("ModelInferRequest").FromString(body)
    except DecodeError:
        return
    only_the_clients_fault(grpc_codec.decode, asked)


@given(st.binary(max_size=60), st.sampled_from([b"gzip", b"deflate", b"br", b"", b"\xff"]))
def test_compressed_bodies(body: bytes, encoding: bytes) -> None:
    only_the_clients_fault(compression.decompress, body, encoding, 50)


@given(st.text(alphabet="ab:{}[]<>,;\"'\\ \n#1.-", max_size=40))
def test_configuration_text(text: str) -> None:
    try:
        assert isinstance(config_text.parse(text), dict)
    except config_text.ConfigTextError as error:
        assert str(error)


@given(st.sampled_from(NUMBERS), st.data())
def test_numbers_survive_both_forms(name: str, data: st.DataObject) -> None:
    shape = data.draw(numpy_strategies.array_shapes(max_dims=3, max_side=3))
    kind = datatypes.DATATYPES[name].numpy
    options = {"allow_nan": False, "allow_infinity": False} if kind.kind == "f" else {}
    elements = numpy_strategies.from_dtype(kind, **options)
    array = data.draw(numpy_strategies.arrays(kind, shape, elements=elements))
    for form in ("raw", "json"):
        tensor = tensors.Tensor("x", name, array)
        if form == "raw":
            back = tensors.from_raw("x", name, shape, tensors.to_raw(tensor))
        else:
            back = tensors.from_json("x", name, shape, json.loads(json.dumps(tensors.to_json(tensor))))
        assert back.array.dtype == kind
        assert np.array_equal(back.array, array)


@given(st.lists(st.binary(max_size=6), max_size=6))
def test_bytes_survive_and_their_frames_are_checked(elements: list[bytes]) -> None:
    tensor = tensors.of_objects("x", "BYTES", elements)
    raw = tensors.to_raw(tensor)
    assert tensors.from_raw("x", "BYTES", [len(elements)], raw).array.tolist() == elements
    for broken in (raw + b"x", raw[:-1]):
        if broken != raw and broken:
            with pytest.raises(InferenceError):
                tensors.from_raw("x", "BYTES", [len(elements)], broken)


@given(numpy_strategies.arrays(np.float32, 5, elements=st.floats(width=32)))
def test_bf16_is_the_nearest_value(array: Any) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with np.errstate(all="ignore"):
        wanted = array.astype(ml_dtypes.bfloat16).astype(np.float32)
    back = datatypes.decode_bf16(datatypes.encode_bf16(array))
    assert np.array_equal(back, wanted, equal_nan=True)


def test_every_kind_of_failure_has_its_codes() -> None:
    assert set(CODES) == set(Kind)


def test_outputs_that_json_cannot_carry_say_what_to_ask_for() -> None:
    request = InferRequest("m", [], wanted=[WantedOutput("y")])
    for tensor in (
        tensors.Tensor("y", "FP16", np.zeros(1, np.float16)),
        tensors.Tensor("y", "BYTES", np.array([b"\xff"], dtype=object)),
    ):
        with pytest.raises(InferenceError, match="binary_data"):
            v2_rest.encode(InferResponse("m", "1", [tensor]), request)
