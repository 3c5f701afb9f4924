"""SeldonMessage: ndarray, tensor, tftensor, binData, strData and jsonData to tensors, and answers in the form of the
question (pure)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from runtimes import tensors
from runtimes.failures import bad_input
from runtimes.protocol import tftensor
from runtimes.protocol.v2_rest import read_json
from runtimes.tensors import Tensor

NAME = "data"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Message:
    """One decoded message: `form` is ndarray, tensor, tftensor, binData, strData or jsonData."""

    form: str
    tensor: Tensor
    names: list[str] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)


def decode(body: bytes) -> Message:
    """Return the message of a body; raises a 400 that says what is missing."""
    document = read_json(_decode, body)
    if not isinstance(document, dict):
        raise bad_input("a SeldonMessage is an object")
    return of_document(document)


def decode_feedback(body: bytes) -> Message:
    """Return the request that a feedback is about (empty where it does not say), with the whole feedback beside it."""
    document = read_json(_decode, body)
    if not isinstance(document, dict):
        raise bad_input("feedback is an object")
    about = document.get("request", document)
    if not isinstance(about, dict) or not about.keys() & {"data", "strData", "binData", "jsonData"}:
        return Message("ndarray", _array([]), document=document)
    made = of_document(about)
    made.document = document
    return made


def decode_list(body: bytes) -> list[Message]:
    """Return the messages of a SeldonMessageList (aggregate)."""
    document = read_json(_decode, body)
    listed = document.get("seldonMessages") if isinstance(document, dict) else document
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise bad_input("seldonMessages is not a list of messages")
    return [of_document(each) for each in listed]


def of_document(document: dict[str, Any]) -> Message:
    """Return the message of a decoded object; raises a 400."""
    meta = document.get("meta") or {}
    if not isinstance(meta, dict):
        raise bad_input("meta is not an object")
    for form in ("strData", "binData", "jsonData"):
        if form in document:
            return Message(form, _text(form, document[form]), [], meta, document)
    data = document.get("data")
    if not isinstance(data, dict):
        raise bad_input("a SeldonMessage has data, strData, binData or jsonData")
    names = data.get("names") or []
    if not isinstance(names, list):
        raise bad_input("data.names is not a list")
    names = [str(name) for name in names]
    if "ndarray" in data:
        return Message("ndarray", _array(data["ndarray"]), names, meta, document)
    if "tftensor" in data:
        return Message("tftensor", tftensor.decode(data["tftensor"], NAME), names, meta, document)
    tensor = data.get("tensor")
    if not isinstance(tensor, dict):
        raise bad_input("data has ndarray, tensor or tftensor")
    array = _array(tensor.get("values") or []).array
    try:
        return Message(
            "tensor", tensors.of_array(NAME, array.reshape(tensor.get("shape") or [-1])), names, meta, document
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise bad_input(f"data.tensor: {error}") from error


def _array(values: Any) -> Tensor:
    try:
        array = np.asarray(values)
        if array.dtype.kind == "U":
            array = np.array(values, dtype=object)
        return tensors.of_array(NAME, array)
    except (TypeError, ValueError, OverflowError) as error:
        raise bad_input(f"data.ndarray: {error}") from error


def _text(form: str, value: Any) -> Tensor:
    if form == "binData":
        try:
            value = base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise bad_input("binData is not base64 text") from error
    elif form == "jsonData":
        value = _encode(value)
    return Tensor(NAME, "BYTES", np.array([value], dtype=object))


def encode(outputs: list[Tensor], question: Message, names: list[str], meta: dict[str, Any]) -> bytes:
    """Return the answer: arrays in the form of the question (ndarray for a question that was none), else text."""
    answer: dict[str, Any] = {"meta": {**question.meta, **meta}}
    first = outputs[0]
    if first.datatype == "BYTES" and first.array.size == 1 and question.form in ("strData", "binData", "jsonData"):
        return _encode(answer | _plain(question.form, first.array.ravel()[0]))
    if question.form == "tftensor":
        return _encode(answer | {"data": {"names": names, "tftensor": tftensor.encode(first)}})
    values = [
        value.decode(errors="replace") if isinstance(value, bytes) else value for value in first.array.ravel().tolist()
    ]
    data: dict[str, Any] = {"names": names}
    if question.form == "tensor":
        data["tensor"] = {"shape": list(first.shape), "values": values}
    else:
        data["ndarray"] = np.array(values, dtype=object).reshape(first.shape).tolist()
    return _encode(answer | {"data": data})


def _plain(form: str, value: Any) -> dict[str, Any]:
    content = value if isinstance(value, bytes) else str(value).encode()
    if form == "binData":
        return {"binData": base64.b64encode(content).decode()}
    if form == "jsonData":
        return {"jsonData": msgspec.Raw(content)}
    return {"strData": content.decode(errors="replace")}
