"""The few kinds that need more than the general rules when they are written, and who completes them."""

from __future__ import annotations

from cluster.api.backend import Backend, Strategy
from cluster.api.crds import Definitions
from cluster.api.service_addresses import ServiceAddresses
from tidegate.kube.api import Object


class Namespaces:
    """A namespace starts Active and is held by the `kubernetes` finalizer of its spec until it is empty."""

    def prepare(self, obj: Object, old: Object | None, dry_run: bool) -> None:
        """Complete a namespace."""
        labels = obj["metadata"].setdefault("labels", {})
        labels["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")
        if old is None:
            obj["spec"] = {"finalizers": ["kubernetes"]}
            obj["status"] = {"phase": "Active"}


class Pods:
    """A pod starts Pending and runs as the `default` service account unless it names another."""

    def prepare(self, obj: Object, old: Object | None, dry_run: bool) -> None:
        """Complete a new pod."""
        spec = obj.get("spec")
        if old is not None or not isinstance(spec, dict):
            return
        account = spec.setdefault("serviceAccountName", spec.get("serviceAccount") or "default")
        spec["serviceAccount"] = account
        obj["status"] = {"phase": "Pending", "qosClass": _quality(spec)}


def _quality(spec: Object) -> str:
    containers = [one for one in spec.get("containers") or [] if isinstance(one, dict)]
    resources = [one.get("resources") or {} for one in containers]
    if not any(one.get("limits") or one.get("requests") for one in resources):
        return "BestEffort"
    guaranteed = all(
        one.get("limits", {}).keys() >= {"cpu", "memory"} and one.get("requests", one["limits"]) == one["limits"]
        for one in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def all_strategies(backend: Backend, addresses: ServiceAddresses) -> dict[tuple[str, str], Strategy]:
    """Return the strategies by group and kind."""
    return {
        ("", "Namespace"): Namespaces(),
        ("", "Pod"): Pods(),
        ("", "Service"): addresses,
        ("apiextensions.k8s.io", "CustomResourceDefinition"): Definitions(backend),
    }
