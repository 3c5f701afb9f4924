"""The generate extension: a JSON object with `text_input` to text and parameters, pieces of text to replies (pure)."""

from __future__ import annotations

from typing import Any

import msgspec

from runtimes.failures import InferenceError, Kind
from runtimes.tensors import Parameters

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def decode(body: bytes) -> tuple[str, Parameters]:
    """Return text and parameters; other keys of the object count as parameters. Raises 400 for what is no JSON and 422
    for parameters that cannot be."""
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InferenceError(Kind.BAD_INPUT, f"the body is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("text_input"), str):
        raise InferenceError(Kind.UNPROCESSABLE, 'text_input is missing: write {"text_input": "..."}')
    parameters = document.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InferenceError(Kind.UNPROCESSABLE, "parameters is not an object")
    others = {name: value for name, value in document.items() if name not in ("text_input", "parameters", "id")}
    merged = {**others, **parameters}
    limit = merged.get("max_tokens")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise InferenceError(Kind.UNPROCESSABLE, f"parameters.max_tokens: {limit!r} is not a positive number")
    return document["text_input"], merged


def reply(name: str, version: str, piece: Any) -> bytes:
    """Return one reply: a piece of text, or an object of outputs that a model gave."""
    document: dict[str, Any] = {"model_name": name, "model_version": version}
    document.update(piece if isinstance(piece, dict) else {"text_output": str(piece)})
    return _encode(document)


def event(data: bytes) -> bytes:
    """Return a server-sent event."""
    return b"data: " + data + b"\n\n"


def error_event(error: InferenceError) -> bytes:
    """Return the event that ends a stream which failed after its first reply."""
    return event(_encode({"error": str(error), "reason": error.kind.value}))


def whole(pieces: list[Any]) -> Any:
    """Return what `generate` answers for all pieces of a stream: their text end to end, the rest of the last one."""
    texts = [str(piece.get("text_output", "")) if isinstance(piece, dict) else str(piece) for piece in pieces]
    last = pieces[-1] if pieces and isinstance(pieces[-1], dict) else {}
    return {**last, "text_output": "".join(texts)}
