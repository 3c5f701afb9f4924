"""`logger` and `batcher` of a component: settings of Tidegate's own model servers, or of an agent before others.

Pure. Our own servers do both themselves; before any other server an agent stands in its pod, as KServe has it, and
takes its place as the container that is spoken to. KServe waits up to 5 s for a batch: ours is what waits already.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from controller.reconcile.outcome import Object
from tidegate.contracts import problems
from tidegate.contracts.problems import FieldProblem

OUR_IMAGES = "tidegate.dev/runtimes/"
LOGGER, BATCHER = "logger", "batcher"
MODES = ("all", "request", "response")
DEFAULT_BATCH_SIZE = 32
AGENT, AGENT_PORT, SERVER_PORT = "agent", 9081, 8080
AGENT_RESOURCES = {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
_BEHIND_A_PROXY = OUR_IMAGES + "triton"
"""Triton's adapter passes bodies on untouched: it does neither."""
_OF_LOGGER = frozenset({"url", "mode"})
_OF_BATCHER = frozenset({"maxBatchSize", "maxLatency"})


def validate(spec: Object) -> list[FieldProblem]:
    """Return what is wrong with these two fields of a component."""
    found = []
    if LOGGER in spec:
        found += problems.under(LOGGER, _logger(spec[LOGGER] or {}))
    if BATCHER in spec:
        found += problems.under(BATCHER, _batcher(spec[BATCHER] or {}))
    return found


def needs_agent(fields: Mapping[str, Object], image: str) -> bool:
    """Whether what is asked for takes an agent before a server of this image."""
    name = image.partition("@")[0]
    is_ours = name.startswith(OUR_IMAGES) and not name.startswith(_BEHIND_A_PROXY)
    return bool(fields) and not is_ours


def why_not(fields: Mapping[str, Object], image: str, protocol: str, port_name: str = "") -> str:
    """Return why a server of this image cannot have what was asked for, "" when it can."""
    is_grpc = protocol.startswith("grpc") or port_name == "h2c"
    if LOGGER in fields and is_grpc:
        return "logger: gRPC calls are not logged; ask by REST, or leave it out"
    if BATCHER in fields and needs_agent(fields, image) and (is_grpc or protocol == "v2"):
        return "batcher: before a server of others only V1 requests share batches; use the server's own batching"
    return ""


def with_agent(containers: Sequence[Object], main: Object, image: str, made: Mapping[str, str]) -> list[Object]:
    """Return the containers with an agent that is spoken to in the place of `main`; `made` are its variables."""
    server = copy.deepcopy(main)
    server.setdefault("name", "kserve-container")
    spoken: Object = next(iter(server.pop("ports", None) or []), {})
    port = int(spoken.get("containerPort") or SERVER_PORT)
    agent: Object = {
        "name": AGENT,
        "image": image,
        "ports": [{key: spoken[key] for key in ("name",) if key in spoken} | {"containerPort": AGENT_PORT}],
        "env": [{"name": "USER_PORT", "value": str(port)}, *({"name": k, "value": v} for k, v in made.items())],
        "resources": copy.deepcopy(AGENT_RESOURCES),
    }
    if probe := server.pop("readinessProbe", None):
        # Through the agent, which opens its port when the server takes connections.
        agent["readinessProbe"] = _aimed(probe)
    for key in ("livenessProbe", "startupProbe"):
        for kind in ("httpGet", "tcpSocket"):
            if (target := (server.get(key) or {}).get(kind)) is not None:
                target.setdefault("port", port)
    env = [one for one in server.get("env") or [] if one.get("name") != "PORT"]
    server["env"] = [*env, {"name": "PORT", "value": str(port)}]
    # The model is mounted into the first container.
    return [*(server if one is main else one for one in containers), agent]


def _aimed(probe: Object) -> Object:
    for kind in ("httpGet", "tcpSocket"):
        if kind in probe:
            probe[kind] = {key: value for key, value in (probe[kind] or {}).items() if key != "port"}
    return {"tcpSocket": {}} if "exec" in probe or "grpc" in probe else probe


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
