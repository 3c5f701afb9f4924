"""TensorFlow's TensorProto in JSON, as Seldon's messages carry it, both ways."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from runtimes.adapters.seldon import SeldonStyle
from runtimes.failures import InferenceError
from runtimes.protocol import tftensor
from runtimes.tensors import of_array
from tests.support.model_servers import client_of, serving

KINDS = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]


def of(kind: Any, sizes: list[Any], **values: Any) -> dict[str, Any]:
    return {"dtype": kind, "tensorShape": {"dim": [{"size": size} for size in sizes]}, **values}


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        (of("DT_FLOAT", ["2", "2"], floatVal=[1, 2, 3, 4]), [[1, 2], [3, 4]]),
        (of(1, [3], floatVal=[7]), [7, 7, 7]),
        (of("DT_INT64", ["2"], int64Val=["9007199254740993", 1]), [9007199254740993, 1]),
        (of("DT_BOOL", [2], boolVal=[True, False]), [True, False]),
        (of("DT_INT32", [2]), [0, 0]),
        (of("DT_DOUBLE", [], doubleVal=[0.5]), 0.5),
        (of("DT_STRING", [1], stringVal=[base64.b64encode(b"caf\xc3\xa9").decode()]), [b"caf\xc3\xa9"]),
        (of("DT_INT16", [2], tensorContent=base64.b64encode(b"\x01\x00\xff\xff").decode()), [1, -1]),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": 1}]}, "float_val": [2]}, [2]),
    ],
)
def test_every_way_of_writing_one(document: Any, wanted: Any) -> None:
    assert tftensor.decode(document, "x").array.tolist() == wanted


@given(
    st.sampled_from(KINDS).flatmap(
        lambda kind: numpy_strategies.arrays(kind, numpy_strategies.array_shapes(max_dims=3, max_side=3))
    )
)
def test_a_tensor_comes_back_as_it_was(array: Any) -> None:
    back = tftensor.decode(tftensor.encode(of_array("x", array)), "x").array
    assert back.dtype == array.dtype and np.array_equal(back, array, equal_nan=array.dtype.kind == "f")


async def test_a_question_in_this_form_is_answered_in_it() -> None:
    class Model:
        def predict(self, features: Any, names: Any) -> Any:
            return features * 2

    question = {"data": {"names": ["a", "b"], "tftensor": of("DT_DOUBLE", [1, 2], doubleVal=[1, 2.5])}}
    async with serving(SeldonStyle(Model()), model_name="s") as frame, client_of(frame) as http:
        status, answer = await http.post("/api/v1.0/predictions", question)
    assert status == 200
    assert answer["data"]["tftensor"] == of("DT_DOUBLE", ["1", "2"], doubleVal=[2.0, 5.0])


def test_a_small_message_makes_no_large_tensor() -> None:
    with pytest.raises(InferenceError, match="one value stands for at most"):
        tftensor.decode(of("DT_DOUBLE", [1 << 26], doubleVal=[1]), "x")
    assert tftensor.decode(of("DT_UINT8", [1 << 20], intVal=[1]), "x").array.sum() == 1 << 20


def test_values_that_are_not_finite_are_words() -> None:
    values = ["NaN", "Infinity", "-Infinity", 1.5]
    made = tftensor.decode(of("DT_FLOAT", [4], floatVal=values), "x")
    assert np.isnan(made.array[0]) and tftensor.encode(made)["floatVal"] == values
    with pytest.raises(InferenceError, match="true and false"):
        tftensor.decode(of("DT_BOOL", [1], boolVal=["false"]), "x")
