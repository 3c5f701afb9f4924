"""config-deployment: how a revision's pods are made.

`autoscaler-address`, `runtime-image`, `storage-initializer-image`, `model-cache` and `model-cache-limit-gib` are
Tidegate's own keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.contracts import problems
from tidegate.contracts.config.reading import Reader
from tidegate.contracts.problems import FieldProblem

DEFAULT_SIDECAR_IMAGE = "tidegate.dev/queueproxy:latest"
DEFAULT_RUNTIME_IMAGE = "tidegate.dev/runtimes/{name}"
DEFAULT_STORAGE_INITIALIZER_IMAGE = "tidegate.dev/runtimes/storage:latest"
DEFAULT_SKIPPED = "kind.local,ko.local,dev.local,tidegate.dev"
_CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class ModelCache:
    """Where fetched models are kept between pods: a kind of volume (`hostPath`, `persistentVolumeClaim`), its path or
    name, and how large it may grow."""

    kind: str
    where: str
    limit_gib: int = 100


@dataclass(frozen=True)
class DeploymentConfig:
    """Parsed config-deployment; `autoscaler_address` empty means the Service `autoscaler`."""

    sidecar_image: str = DEFAULT_SIDECAR_IMAGE
    progress_deadline_s: int = 600
    sidecar_requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "25m"})
    sidecar_limits: Mapping[str, str] = field(default_factory=dict)
    autoscaler_address: str = ""
    affinity: str = "prefer-spread-revision-over-nodes"
    is_always_schedulable: bool = False
    storage_initializer_image: str = DEFAULT_STORAGE_INITIALIZER_IMAGE
    runtime_image: str = DEFAULT_RUNTIME_IMAGE
    """image of the runtimes that come with Tidegate; `{name}` stands for torch, sklearn, ..."""
    model_cache: ModelCache | None = None
    registries_without_digests: frozenset[str] = frozenset(DEFAULT_SKIPPED.split(","))
    digest_timeout_s: float = 10.0


def parse(config_map: Mapping[str, Any] | None) -> tuple[DeploymentConfig, list[FieldProblem]]:
    """Return the values and what is wrong with them."""
    reader = Reader(config_map)
    deadline_s = reader.duration_s("progress-deadline", 600.0)
    if deadline_s <= 0 or deadline_s != int(deadline_s):
        reader.complain(problems.invalid(reader.text("progress-deadline"), "progress-deadline", "whole seconds > 0"))
        deadline_s = 600.0
    timeout_s = reader.duration_s("digest-resolution-timeout", 10.0)
    if timeout_s <= 0:
        reader.complain(problems.invalid(reader.text("digest-resolution-timeout"), "digest-resolution-timeout", "> 0"))
    skipped = reader.text("registries-skipping-tag-resolving", DEFAULT_SKIPPED)
    affinity = reader.text("default-affinity-type", DeploymentConfig.affinity)
    if affinity not in ("none", DeploymentConfig.affinity):
        reader.complain(problems.invalid(affinity, "default-affinity-type"))
        affinity = DeploymentConfig.affinity
    runtime_image = reader.text("runtime-image") or DEFAULT_RUNTIME_IMAGE
    if "{name}" not in runtime_image:
        reader.complain(problems.invalid(runtime_image, "runtime-image", "must contain {name}, the name of a runtime"))
        runtime_image = DEFAULT_RUNTIME_IMAGE
    values = DeploymentConfig(
        sidecar_image=reader.text("queue-sidecar-image", DEFAULT_SIDECAR_IMAGE) or DEFAULT_SIDECAR_IMAGE,
        progress_deadline_s=int(deadline_s),
        sidecar_requests={"cpu": "25m"} | _quantities(reader, "request"),
        sidecar_limits=_quantities(reader, "limit"),
        autoscaler_address=reader.text("autoscaler-address"),
        affinity=affinity,
        registries_without_digests=frozenset(name.strip() for name in skipped.split(",") if name.strip()),
        digest_timeout_s=timeout_s,
        is_always_schedulable=reader.boolean("pod-is-always-schedulable", False),
        storage_initializer_image=reader.text("storage-initializer-image") or DEFAULT_STORAGE_INITIALIZER_IMAGE,
        runtime_image=runtime_image,
        model_cache=_model_cache(reader),
    )
    return values, reader.problems


def _model_cache(reader: Reader) -> ModelCache | None:
    text = reader.text("model-cache")
    limit_gib = reader.integer("model-cache-limit-gib", 100, low=1)
    kind, _, where = text.partition(":")
    is_path = kind == "hostPath" and where.startswith("/") and ".." not in where.split("/")
    if not text:
        return None
    if is_path or (kind == "persistentVolumeClaim" and _CLAIM.fullmatch(where)):
        return ModelCache(kind, where, limit_gib)
    rule = "write hostPath:/a/folder/of/the/node or persistentVolumeClaim:NAME"
    reader.complain(problems.invalid(text, "model-cache", rule))
    return None


def _quantities(reader: Reader, kind: str) -> dict[str, str]:
    found = {
        resource: reader.quantity(f"queue-sidecar-{resource}-{kind}")
        for resource in ("cpu", "memory", "ephemeral-storage")
    }
    return {resource: quantity for resource, quantity in found.items() if quantity}
