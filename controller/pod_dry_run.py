"""Asks the API server what it thinks of a revision's pod before there is one.

For a server-side dry run, and for templates that ask for it by annotation: the API server knows rules that admission
here does not, its own and those of other webhooks. Nothing is stored.
"""

from __future__ import annotations

from controller.cluster_config import ClusterConfig
from controller.reconcile import revision_pod
from controller.reconcile.outcome import Object
from tidegate.contracts import names
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Unreachable

NAME_PREFIX = "dry-run-validation"
STRICT = "strict"
_ASKING = ("enabled", STRICT)
_NOT_SUPPORTED = "does not support dry run"


def is_wanted(obj: Object, *, is_dry_run: bool) -> bool:
    """Whether the pod of a Service or Configuration is to be tried; one that a Service owns has been tried with it."""
    if obj["kind"] not in ("Service", "Configuration"):
        return False
    if names.SERVICE_LABEL in (obj["metadata"].get("labels") or {}):
        return False
    return is_dry_run or _mode(obj) in _ASKING


async def problem_of(api: Api, obj: Object, config: ClusterConfig) -> str:
    """Return why the API server refuses the pod of a Service or Configuration, empty when it does not.

    A server that cannot be reached, or webhooks that know no dry run, are no reason, unless the template says `strict`.
    """
    try:
        await api.create(resources.PODS, _pod(obj, config), dry_run=True)
    except ApiError as error:
        is_excused = isinstance(error, Unreachable) or _NOT_SUPPORTED in error.message
        if is_excused and _mode(obj) != STRICT:
            return ""
        return f"validation callback failed: dry run failed with {error.message}: spec.template"
    return ""


def _pod(obj: Object, config: ClusterConfig) -> Object:
    metadata = obj["metadata"]
    template = obj["spec"].get("template") or {}
    namespace = metadata.get("namespace", "default")
    revision = {
        "metadata": {"name": f"{metadata.get('name') or NAME_PREFIX}-00001", "namespace": namespace, "uid": ""}
        | {key: dict(value) for key, value in (template.get("metadata") or {}).items() if key == "annotations"},
        "spec": template.get("spec") or {},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": f"{NAME_PREFIX}-", "namespace": namespace},
        "spec": revision_pod.pod_spec(revision, config),
    }


def _mode(obj: Object) -> str:
    template = (obj.get("spec") or {}).get("template") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(names.PODSPEC_DRY_RUN_ANNOTATION, "")).lower()
