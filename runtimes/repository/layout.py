"""Reads a model folder into plain data: versions, files, configuration, whichever system the folder was made for.

`<model>/<version>/<file>` with positive whole numbers (Triton, TensorFlow Serving) or dotted ones (1.2.0) as
versions; a folder whose files lie right in it has the one version "1". Configuration is Triton's `config.pbtxt` or
MLServer's `model-settings.json` (the latter wins where both speak), labels are `labels.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtimes.repository import config_text, manifest, versions
from runtimes.repository.manifest import Manifest, ManifestError
from runtimes.repository.versions import VersionPolicy

_VERSION = re.compile(r"[1-9][0-9]*(\.[0-9]+)*|0(\.[0-9]+)+")
_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*")
_LATEST = VersionPolicy()
SETTINGS = "model-settings.json"
CONFIG = "config.pbtxt"
LABELS = "labels.json"
MODEL_STORE = "model-store"
CONFIG_LIMIT_BYTES = 1 << 20
_OF_THE_FOLDER = frozenset({"arguments", "class", "isolate", "trusted"})

FILES = {
    "model.pt2": "torch",
    "model.pt": "torch",
    "model.pth": "torch",
    "model.safetensors": "torch",
    "model.onnx": "onnx",
    "model.skops": "sklearn",
    "model.joblib": "sklearn",
    "model.pkl": "sklearn",
    "model.pickle": "sklearn",
    "model.ubj": "xgboost",
    "model.bst": "xgboost",
    "model.json": "xgboost",
    "model.txt": "lightgbm",
    "model.py": "python",
}
"""The file that makes a folder a model, and the runtime that opens it; the first one found counts."""
_OTHER_USES = (".json", ".txt", ".py")
ONLY_FILES = {Path(name).suffix: runtime for name, runtime in FILES.items() if not name.endswith(_OTHER_USES)}
"""A folder's only file with such a suffix is its model, whatever it is called: a `storageUri` may name one file. JSON,
texts and code lie beside models for other reasons."""


class LayoutError(Exception):
    """A folder or configuration that cannot be used: the message names the file, the field and the fix."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What a folder says about its model. `batching` has the names of `contract.settings_of`; `options` are the
    runtime's own."""

    name: str
    runtime: str = ""
    version_policy: VersionPolicy = _LATEST
    inputs: tuple[dict[str, Any], ...] = ()
    outputs: tuple[dict[str, Any], ...] = ()
    batching: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    is_pinned: bool = False


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on disk."""

    config: ModelConfig
    path: Path
    versions: dict[str, Path]
    labels: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.config.name

    def served(self) -> list[str]:
        """The versions that the policy and the labels want served."""
        chosen = set(self.config.version_policy.choose(self.versions))
        chosen |= {version for version in self.labels.values() if version in self.versions}
        return sorted(chosen, key=versions.order)


def is_name(name: str) -> bool:
    """Whether a model may be called this: it becomes a folder name and part of paths."""
    return _NAME.fullmatch(name) is not None


def scan(root: Path) -> dict[str, ModelFolder | LayoutError]:
    """Return every model of a repository folder by name; what cannot be read stands there as its error."""
    found: dict[str, ModelFolder | LayoutError] = {}
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.is_dir() and is_name(path.name):
            try:
                found[path.name] = read(path, path.name)
            except LayoutError as error:
                found[path.name] = error
    return found


def read(path: Path, name: str, overrides: Mapping[str, Any] | None = None) -> ModelFolder:
    """Return one model folder; `overrides` (a configuration given at load) replace what the files say."""
    config = _config(path, name, overrides)
    found = {each.name: each for each in path.iterdir() if each.is_dir() and _VERSION.fullmatch(each.name)}
    if not found:
        found = {str(config.options.get("version") or _said_version(path) or "1"): path}
    try:
        manifests = {version: said for version, each in found.items() if (said := manifest.read(each)) is not None}
    except ManifestError as error:
        raise LayoutError(str(error)) from error
    for version, said in manifests.items():
        if said.version not in ("", version) and found[version] != path:
            raise LayoutError(
                f"{found[version] / manifest.FILE}: version is {said.version!r}, the folder's {version!r}"
            )
    return ModelFolder(config, path, found, _labels(path), manifests)


def _said_version(path: Path) -> str:
    try:
        said = manifest.read(path)
    except ManifestError as error:
        raise LayoutError(str(error)) from error
    return said.version if said is not None and _VERSION.fullmatch(said.version) else ""


def artefact(folder: Path, config: ModelConfig) -> tuple[str, Path]:
    """Return runtime and file of a version folder; raises LayoutError when there is nothing that can be opened."""
    named = config.options.get("file")
    if named:
        file = folder / str(named)
        if not file.resolve().is_relative_to(folder.resolve()) or not file.exists():
            raise LayoutError(f"{file}: the file that the configuration names is not in the folder")
        return config.runtime or _runtime_of(file), file
    for name, runtime in FILES.items():
        if (folder / name).exists() and config.runtime in ("", runtime):
            return runtime, folder / name
    # TorchServe's own archives are torch's business; KServe's samples keep them in a folder of their own.
    archives = _archives(folder) or _archives(folder / MODEL_STORE)
    if archives and config.runtime in ("", "mar", "torch"):
        return "mar", archives[0]
    if alone := _only_file(folder, config.runtime):
        return _runtime_of(alone), alone
    if config.runtime:
        return config.runtime, folder
    raise LayoutError(f"{folder}: no model file; known are {', '.join(FILES)}, *.mar (or name it as options.file)")


def _archives(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix == ".mar") if folder.is_dir() else []


def _only_file(folder: Path, runtime: str) -> Path | None:
    """Return the folder's only file that `runtime` (any when empty) opens; raises LayoutError where there are more."""
    kinds = {suffix for suffix, known in ONLY_FILES.items() if runtime in ("", known)}
    found = sorted(file for file in folder.iterdir() if file.suffix in kinds and file.is_file())
    if len(found) > 1:
        listed, advice = ", ".join(file.name for file in found), f"call one model{found[0].suffix}"
        raise LayoutError(f"{folder}: {listed} may each be the model; {advice}, or name it as options.file")
    return found[0] if found else None


def _runtime_of(file: Path) -> str:
    runtime = next((known for name, known in FILES.items() if Path(name).suffix == file.suffix), "")
    if not runtime:
        raise LayoutError(f"{file}: the suffix says no runtime; set one in {SETTINGS}")
    return runtime


def _config(path: Path, name: str, overrides: Mapping[str, Any] | None) -> ModelConfig:
    fields: dict[str, Any] = {}
    if (path / CONFIG).is_file():
        fields = _of_triton(_parsed(path / CONFIG, config_text.parse))
    if (path / SETTINGS).is_file():
        fields |= _of_mlserver(_parsed(path / SETTINGS, json.loads))
    if overrides:
        given = _of_triton(overrides) if "implementation" not in overrides else _of_mlserver(overrides)
        fields |= given | {"options": _beside_code(given.get("options") or {}, fields.get("options") or {})}
    try:
        policy = versions.read_policy(fields.pop("version_policy", None))
        return ModelConfig(name=name, version_policy=policy, **fields)
    except (TypeError, ValueError) as error:
        raise LayoutError(f"{path}: {error}") from error


def _beside_code(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a load's configuration, and of the folder's those that say which code runs, and where.

    Whoever may load a model need not be who wrote it: raises LayoutError when a load says one of these otherwise.
    """
    for key in sorted(_OF_THE_FOLDER & given.keys()):
        if given[key] != own.get(key):
            raise LayoutError(f"options.{key} is said in the model's folder alone, not by a load")
    return {**given, **{key: own[key] for key in _OF_THE_FOLDER & own.keys()}}


def _parsed(file: Path, parse: Any) -> dict[str, Any]:
    if file.stat().st_size > CONFIG_LIMIT_BYTES:
        raise LayoutError(f"{file}: larger than {CONFIG_LIMIT_BYTES} bytes")
    try:
        document = parse(file.read_text())
    except (ValueError, RecursionError) as error:
        raise LayoutError(f"{file}: {error}") from error
    if not isinstance(document, dict):
        raise LayoutError(f"{file}: an object was expected")
    return document


def _of_triton(document: Mapping[str, Any]) -> dict[str, Any]:
    size = document.get("max_batch_size", 0)
    fields: dict[str, Any] = {"runtime": _backend(document), "version_policy": document.get("version_policy")}
    fields["inputs"] = _tensors(document.get("input"), size)
    fields["outputs"] = _tensors(document.get("output"), size)
    batching: dict[str, Any] = {}
    if "dynamic_batching" in document:
        dynamic = document["dynamic_batching"] or {}
        batching["max_batch_size"] = size
        batching["max_batch_delay_s"] = dynamic.get("max_queue_delay_microseconds", 0) / 1e6
        policy = dynamic.get("default_queue_policy") or {}
        if policy.get("max_queue_size"):
            batching["max_queue_size"] = policy["max_queue_size"]
    groups = _listed(document.get("instance_group"))
    if groups:
        batching["instances"] = sum(int(group.get("count", 1)) for group in groups)
    fields["batching"] = batching
    options = {each["key"]: (each.get("value") or {}).get("string_value") for each in _keyed(document)}
    if document.get("default_model_filename"):
        options["file"] = document["default_model_filename"]
    fields["options"] = options
    return fields


def _keyed(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    parameters = document.get("parameters")
    if isinstance(parameters, Mapping) and "key" not in parameters:
        return [{"key": key, "value": value} for key, value in parameters.items()]
    return _listed(parameters)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


_BACKENDS = {
    "pytorch": "torch",
    "pytorch_libtorch": "torch",
    "onnxruntime": "onnx",
    "onnxruntime_onnx": "onnx",
    "python": "python",
    "identity": "echo",
}


def _backend(document: Mapping[str, Any]) -> str:
    named = str(document.get("backend") or document.get("platform") or "")
    return _BACKENDS.get(named, named)


def _tensors(declared: Any, max_batch_size: int) -> tuple[dict[str, Any], ...]:
    leading = [-1] if max_batch_size else []
    tensors = []
    for each in _listed(declared):
        dims = each.get("dims", [])
        datatype = str(each.get("data_type", "")).removeprefix("TYPE_").replace("STRING", "BYTES")
        shape = leading + (dims if isinstance(dims, list) else [dims])
        tensors.append(
            {"name": each.get("name"), "datatype": datatype, "shape": shape, "optional": each.get("optional", False)}
        )
    return tuple(tensors)


def _of_mlserver(document: Mapping[str, Any]) -> dict[str, Any]:
    parameters = document.get("parameters") or {}
    options = dict(parameters.get("extra") or {})
    if parameters.get("uri"):
        options["file"] = str(parameters["uri"]).removeprefix("./")
    if parameters.get("version"):
        options["version"] = str(parameters["version"]).removeprefix("v")
    implementation = str(document.get("implementation", ""))
    runtime = next((each for each in (*set(FILES.values()), "echo", "mar") if each in implementation.lower()), "")
    fields: dict[str, Any] = {"options": options}
    if runtime:
        fields["runtime"] = runtime
    elif ":" in implementation or "." in implementation:
        fields |= {"runtime": "python"}
        options["class"] = implementation
    for key in ("inputs", "outputs"):
        if document.get(key):
            fields[key] = tuple(document[key])
    if document.get("max_batch_size"):
        size, delay_s = document["max_batch_size"], float(document.get("max_batch_time", 0))
        fields["batching"] = {"max_batch_size": size, "max_batch_delay_s": delay_s}
    if document.get("version_policy"):
        fields["version_policy"] = document["version_policy"]
    if document.get("pinned"):
        fields["is_pinned"] = True
    return fields


def write_labels(path: Path, labels: Mapping[str, str]) -> None:
    """Keep the labels of the model folder `path`, whole or not at all; raises OSError."""
    file = path / LABELS
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(dict(labels), indent=2) + "\n")
    beside.replace(file)


def _labels(path: Path) -> dict[str, str]:
    file = path / LABELS
    if not file.is_file():
        return {}
    return {str(label): str(version) for label, version in _parsed(file, json.loads).items()}
