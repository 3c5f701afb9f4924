"""Completes a config.pbtxt: what Triton demands and the folder already says is added, what is written stays (pure).

With name, backend, inputs and outputs in it Triton need not ask the model for them, which would start its process
twice: once to complete the configuration, once to serve.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtimes.repository import config_text

BACKEND_OF_FILE = {
    "model.py": "python",
    "model.onnx": "onnxruntime",
    "model.pt": "pytorch",
    "model.plan": "tensorrt",
    "model.savedmodel": "tensorflow",
    "model.graphdef": "tensorflow",
    "model.xml": "openvino",
    "model.json": "vllm",
    "model.dali": "dali",
}
"""Triton's default file names."""
BACKEND_OF_PLATFORM = {
    "onnxruntime_onnx": "onnxruntime",
    "pytorch_libtorch": "pytorch",
    "tensorrt_plan": "tensorrt",
    "tensorflow_savedmodel": "tensorflow",
    "tensorflow_graphdef": "tensorflow",
    "ensemble": "",
}
"""Older names; an ensemble needs no backend."""
DATA_BACKENDS = frozenset({"", "onnxruntime", "openvino", "pytorch", "tensorflow", "tensorrt"})
"""They compute what a file says; the empty one is an ensemble's. All others run what they find as a program."""
CODE_FIELDS = ("runtime", "model_operations", "model_repository_agents")
"""Of a configuration: each names a library or program that Triton loads."""
CODE_SUFFIXES = (".py", ".so")
_BRACKETS = {"{": 1, "<": 1, "[": 1, "}": -1, ">": -1, "]": -1}
_TOKEN = re.compile(r"\#[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[{}<>\[\]]|[\w.+-]+|\s+|.")


@dataclass(frozen=True)
class Completed:
    """A configuration: its text, the backend it needs (empty: none), and whether Triton need not complete it."""

    text: str
    backend: str
    is_complete: bool


def complete(text: str, name: str, files: Collection[str], settings: Mapping[str, Any]) -> Completed:
    """Return the configuration of the model `name`.

    `text` is the config.pbtxt as written, empty without one; `files` are names in a version folder; `settings` is a
    model-settings.json (inputs, outputs, max_batch_size). Raises ConfigTextError for a text that cannot be read.
    """
    written = config_text.parse(text)
    lines = []
    if written.get("name", name) != name:
        text = without(text, "name")
        written = {key: value for key, value in written.items() if key != "name"}
    if "name" not in written:
        lines.append(f"name: {json.dumps(name)}")
    backend = _backend(written, files)
    if backend and not (written.get("backend") or written.get("platform")):
        lines.append(f"backend: {json.dumps(backend)}")
    batches = "max_batch_size" in written
    size = int(written["max_batch_size"] if batches else settings.get("max_batch_size") or 0)
    if not batches and size:
        lines.append(f"max_batch_size: {size}")
    for key in ("input", "output"):
        if key not in written and settings.get(f"{key}s"):
            lines += [_tensor(key, each, size) for each in settings[f"{key}s"]]
            written[key] = settings[f"{key}s"]
    body = text.rstrip() + "\n" if text.strip() else ""
    is_complete = bool(written.get("input") and written.get("output"))
    return Completed(body + "".join(f"{line}\n" for line in lines), backend, is_complete)


def code_in(text: str, backend: str, files: Collection[str]) -> str:
    """Return what of a model Triton would run as a program, "" for nothing; `files` are those beside its versions too.

    A library in a model's folder goes before the installed backend of its name. Raises ConfigTextError.
    """
    found = sorted(name for name in files if name.endswith(CODE_SUFFIXES) or ".so." in name)
    if found:
        return found[0]
    if backend not in DATA_BACKENDS:
        return f"what the backend {backend!r} runs"
    written = config_text.parse(text)
    return next((f"what {field} in its config.pbtxt names" for field in CODE_FIELDS if written.get(field)), "")


def without(text: str, field: str) -> str:
    """Return the text without its own field of this name: those of messages within it stay."""
    kept, depth, skipping = [], 0, False
    for token in _TOKEN.findall(text):
        depth += _BRACKETS.get(token, 0)
        if depth == 0 and token == field:
            skipping = True
        elif not skipping:
            kept.append(token)
        elif token[0] in "\"'":
            skipping = False
    return "".join(kept)


def _backend(written: Mapping[str, Any], files: Collection[str]) -> str:
    if written.get("backend"):
        return str(written["backend"])
    if platform := str(written.get("platform") or ""):
        return BACKEND_OF_PLATFORM.get(platform, platform)
    named = str(written.get("default_model_filename") or "")
    by_file = [named] if named else list(BACKEND_OF_FILE)
    return next((BACKEND_OF_FILE[name] for name in by_file if name in files and name in BACKEND_OF_FILE), "")


def _tensor(key: str, declared: Mapping[str, Any], max_batch_size: int) -> str:
    shape: Sequence[int] = declared.get("shape") or []
    # With batches Triton puts the number of rows in front itself.
    dims = list(shape[1:] if max_batch_size and shape and shape[0] == -1 else shape)
    kind = str(declared.get("datatype", "")).upper().replace("BYTES", "STRING")
    return f"{key} {{ name: {json.dumps(str(declared.get('name')))} data_type: TYPE_{kind} dims: {dims} }}"
