"""Which ServingRuntime serves a model, and for every other one why it does not.

Pure. The rules and their order are KServe's: runtimes of the namespace before those of the cluster; enabled, fitting
format, version and protocol, and willing (`autoSelect`) unless the user named one; then by priority, the newest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.inference.component import Model
from controller.reconcile.outcome import Object

NO_RUNTIME = "NoSupportingRuntime"
NOT_RECOGNIZED = "RuntimeNotRecognized"
DISABLED = "RuntimeDisabled"
INVALID = "InvalidPredictorSpec"


@dataclass(frozen=True)
class Refusal:
    """No runtime: `reason` is one of modelStatus' failure reasons, `message` says what would help."""

    reason: str
    message: str


def choose(model: Model, in_namespace: Sequence[Object], in_cluster: Sequence[Object]) -> Object | Refusal:
    """Return the ServingRuntime or ClusterServingRuntime for `model`."""
    if model.runtime:
        return _named(model, [*in_namespace, *in_cluster])
    for group in (in_namespace, in_cluster):
        fitting = [runtime for runtime in group if not why_not(model, runtime)]
        if fitting:
            # Sorted twice, since the sort is stable: the newest first, then by priority among equals.
            by_name = sorted(fitting, key=lambda one: str(one["metadata"]["name"]))
            newest = sorted(by_name, key=lambda one: str(one["metadata"].get("creationTimestamp", "")), reverse=True)
            return max(newest, key=lambda one: _priority(model, one))
    return Refusal(NO_RUNTIME, _advice(model, [*in_namespace, *in_cluster]))


def why_not(model: Model, runtime: Object, *, is_named: bool = False) -> str:
    """Return why a runtime does not serve `model`, empty when it does; `is_named` when the user asks for this one."""
    spec = runtime.get("spec") or {}
    if spec.get("disabled"):
        return "it is disabled"
    formats = [one for one in spec.get("supportedModelFormats") or [] if one.get("name") == model.format]
    if not formats:
        return f"it does not support the format {model.format}"
    if model.version:
        formats = [one for one in formats if _versions_agree(model.version, str(one.get("version") or ""))]
        if not formats:
            return f"it does not support version {model.version} of {model.format}"
    if not is_named and not any(one.get("autoSelect") for one in formats):
        return "it is not selected by itself (autoSelect)"
    protocols = spec.get("protocolVersions") or ["v1"]
    if model.protocol not in protocols:
        return f"it speaks {', '.join(protocols)}, not {model.protocol}"
    return ""


def _named(model: Model, runtimes: Sequence[Object]) -> Object | Refusal:
    found = next((one for one in runtimes if one["metadata"]["name"] == model.runtime), None)
    if found is None:
        known = ", ".join(sorted(one["metadata"]["name"] for one in runtimes)) or "none"
        return Refusal(NOT_RECOGNIZED, f"there is no ServingRuntime {model.runtime!r} here (known: {known})")
    if reason := why_not(model, found, is_named=True):
        is_disabled = bool((found.get("spec") or {}).get("disabled"))
        return Refusal(DISABLED if is_disabled else INVALID, f"ServingRuntime {model.runtime!r}: {reason}")
    return found


def _versions_agree(wanted: str, offered: str) -> bool:
    # A runtime that names no version takes all; `1` takes `1.8.2`, as the shipped runtimes mean it.
    return not offered or offered == wanted or wanted.startswith(f"{offered}.")


def _priority(model: Model, runtime: Object) -> int:
    formats = (runtime.get("spec") or {}).get("supportedModelFormats") or []
    fitting = [one for one in formats if one.get("name") == model.format and one.get("autoSelect")]
    return max((int(one.get("priority") or 0) for one in fitting), default=0)


def _advice(model: Model, runtimes: Sequence[Object]) -> str:
    text = f"no ServingRuntime serves {model.format}{f' {model.version}' if model.version else ''} by {model.protocol}"
    near = [
        f"{one['metadata']['name']}: {why_not(model, one)}"
        for one in runtimes
        if any(
            known.get("name") == model.format for known in (one.get("spec") or {}).get("supportedModelFormats") or []
        )
    ]
    return f"{text} ({'; '.join(sorted(near))})" if near else f"{text}: none supports this format"
