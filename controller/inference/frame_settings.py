"""`logger` and `batcher` of a component: settings of Tidegate's own model servers, given as variables.

Pure. KServe puts an agent beside every server for these; here the server does both itself, so containers of others
cannot have them, and say so. Defaults where KServe waits up to 5 s for a batch: ours is what waits already.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from controller.reconcile.outcome import Object
from tidegate.contracts import problems
from tidegate.contracts.problems import FieldProblem

OUR_IMAGES = "tidegate.dev/runtimes/"
LOGGER, BATCHER = "logger", "batcher"
MODES = ("all", "request", "response")
DEFAULT_BATCH_SIZE = 32
_NOT_OURS = "only Tidegate's own runtimes do this; use one, or leave it out"
_OF_LOGGER = frozenset({"url", "mode"})
_OF_BATCHER = frozenset({"maxBatchSize", "maxLatency"})


def validate(spec: Object) -> list[FieldProblem]:
    """Return what is wrong with these two fields of a component."""
    found = []
    if LOGGER in spec:
        found += problems.under(LOGGER, _logger(spec[LOGGER] or {}))
    if BATCHER in spec:
        found += problems.under(BATCHER, _batcher(spec[BATCHER] or {}))
    containers = spec.get("containers") or []
    if containers and spec.get("model") is None:
        is_ours = any(str(one.get("image", "")).startswith(OUR_IMAGES) for one in containers)
        found += [FieldProblem(_NOT_OURS, (key,)) for key in (LOGGER, BATCHER) if key in spec and not is_ours]
    return found


def why_not(fields: Mapping[str, Object], image: str, protocol: str) -> str:
    """Return why a server of this image cannot have what was asked for, "" when it can."""
    for key in (LOGGER, BATCHER):
        if key in fields and not image.startswith(OUR_IMAGES):
            return f"{key}: {_NOT_OURS} (the runtime's image is {image})"
    if LOGGER in fields and protocol.startswith("grpc"):
        return "logger: gRPC calls are not logged; ask by REST, or leave it out"
    return ""


def variables(fields: Mapping[str, Object], inference_service: str, namespace: str, component: str) -> dict[str, str]:
    """Return the server's variables for these fields."""
    made = {}
    if LOGGER in fields:
        logger = fields[LOGGER]
        about = {
            "source": f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices/{inference_service}",
            "inferenceservicename": inference_service,
            "namespace": namespace,
            "component": component,
        }
        made["TIDEGATE_PAYLOAD_LOG_URL"] = str(logger["url"])
        made["TIDEGATE_PAYLOAD_LOG_MODE"] = str(logger.get("mode") or "all")
        made["TIDEGATE_PAYLOAD_LOG_ATTRIBUTES"] = ",".join(f"{key}={value}" for key, value in about.items())
    if BATCHER in fields:
        batcher = fields[BATCHER]
        made["TIDEGATE_MAX_BATCH_SIZE"] = str(batcher.get("maxBatchSize") or DEFAULT_BATCH_SIZE)
        made["TIDEGATE_MAX_BATCH_DELAY_MS"] = str(batcher.get("maxLatency") or 0)
    return made


def _logger(logger: Object) -> list[FieldProblem]:
    found = [FieldProblem(f"{key} is not served yet", (key,)) for key in sorted(set(logger) - _OF_LOGGER)]
    url = urlsplit(str(logger.get("url") or ""))
    if url.scheme not in ("http", "https") or not url.hostname:
        found.append(problems.invalid(logger.get("url") or "", "url", "write http://host/path"))
    if logger.get("mode") not in (None, "", *MODES):
        found.append(problems.invalid(logger["mode"], "mode", f"one of {', '.join(MODES)}"))
    return found


def _batcher(batcher: Object) -> list[FieldProblem]:
    found = [FieldProblem(f"{key} is not served yet", (key,)) for key in sorted(set(batcher) - _OF_BATCHER)]
    for key, limit in (("maxBatchSize", 65_536), ("maxLatency", 60_000)):
        value = batcher.get(key)
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and 0 < value <= limit):
            found.append(problems.out_of_bounds(value, 1, limit, key))
    return found
