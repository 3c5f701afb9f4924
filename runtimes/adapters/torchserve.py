"""TorchServe handlers as models: initialize, preprocess, inference, postprocess, handle(data, context).

A handler gets a list of requests and returns as many answers; each request is a dict with the payload under `body` (or
`data`). The names of TorchServe's own default handlers (image_classifier, ...) need TorchServe itself and are refused.
Handlers that import `ts.torch_handler.base_handler` need torchserve installed; plain classes and functions do not.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from runtimes.adapters.archive import ArchiveError, Manifest
from runtimes.python.runtime import module_of_file


class Context:
    """What handlers read of their context: `manifest`, `system_properties`, `get_request_id`, `model_name`."""

    def __init__(self, folder: Path, manifest: Manifest, device: str) -> None:
        model = {
            "modelName": manifest.model_name,
            "modelVersion": manifest.model_version,
            "handler": manifest.handler,
            "serializedFile": manifest.serialized_file,
            "modelFile": manifest.model_file,
        }
        self.model_name = manifest.model_name
        self.manifest = {"model": model}
        self.system_properties = {
            "model_dir": str(folder),
            "gpu_id": device.partition(":")[2] or ("0" if device == "cuda" else None),
            "batch_size": 1,
            "server_name": "tidegate",
        }
        self.model_yaml_config: dict[str, Any] = {}
        self.metrics = _NoMetrics()

    def get_request_id(self, idx: int = 0) -> str:
        """Return an id for a request of the batch."""
        return str(idx)

    def get_request_header(self, idx: int, key: str) -> str | None:
        """Return a request's header: none reach a handler here."""
        return None

    def get_response_status(self, idx: int = 0) -> int:
        """Return the status of an answer."""
        return 200


class _NoMetrics:
    def __getattr__(self, name: str) -> Any:
        return lambda *_arguments, **_named: None


class HandlerModel:
    """A handler behind this server's contract. It takes V1 rows as they came: every row is one request of the batch."""

    platform = "torchserve"
    payload = "json"

    def __init__(self, folder: Path, manifest: Manifest, *, device: str = "cpu", keep: Any = None) -> None:
        self._folder = folder
        self._keep = keep
        self._context = Context(folder, manifest, "cpu" if device == "auto" else device)
        self._manifest = manifest
        self._handle: Any = None

    def load(self) -> None:
        """Import the handler and initialize it; raises ArchiveError that names what is missing."""
        name, _, attribute = self._manifest.handler.partition(":")
        file = self._folder / (name if name.endswith(".py") else f"{name}.py")
        if not file.is_file():
            raise ArchiveError(f"handler {name!r} is not in the archive (TorchServe's own handlers are not here)")
        # Handlers import their neighbours by bare name, as TorchServe lets them.
        sys.path.insert(0, str(self._folder))
        try:
            importlib.invalidate_caches()
            module = module_of_file(file)
            found = self._entry(module, attribute)
            instance = found() if isinstance(found, type) else found
            initialize = getattr(instance, "initialize", None)
            if callable(initialize):
                initialize(self._context)
            elif not isinstance(found, type) and attribute == "":
                found(None, self._context)  # a function handler initializes itself on its first call, without data
            self._handle = instance.handle if hasattr(instance, "handle") else self._steps(instance)
        finally:
            sys.path.remove(str(self._folder))

    def unload(self) -> None:
        """Forget the handler and its unpacked files."""
        self._handle = None
        if self._keep is not None:
            self._keep.cleanup()

    def predict(self, content: Any) -> list[Any]:
        """Give the rows to the handler; raises ValueError when it does not answer each."""
        rows = content if isinstance(content, list) else [content]
        data = [row if isinstance(row, dict) and row.keys() & {"data", "body"} else {"body": row} for row in rows]
        self._context.system_properties["batch_size"] = len(data)
        answers = self._handle(data, self._context)
        if not isinstance(answers, list | tuple) or len(answers) != len(data):
            raise ValueError(f"the handler gave {answers!r:.80} for {len(data)} requests; it must answer each")
        return list(answers)

    @staticmethod
    def _entry(module: Any, attribute: str) -> Any:
        if attribute:
            return getattr(module, attribute)
        if callable(getattr(module, "handle", None)):
            return module.handle
        classes = [
            each
            for each in vars(module).values()
            if isinstance(each, type) and each.__module__ == module.__name__ and _is_handler(each)
        ]
        if len(classes) != 1:
            raise ArchiveError(
                f"the handler has {len(classes)} classes with handle or inference; name one (file:Class)"
            )
        return classes[0]

    @staticmethod
    def _steps(instance: Any) -> Any:
        if callable(instance) and not hasattr(instance, "inference"):
            return instance

        def handle(data: list[Any], context: Context) -> Any:
            value = instance.preprocess(data) if hasattr(instance, "preprocess") else data
            value = instance.inference(value)
            return instance.postprocess(value) if hasattr(instance, "postprocess") else value

        return handle


def _is_handler(found: type) -> bool:
    return hasattr(found, "handle") or hasattr(found, "inference")
