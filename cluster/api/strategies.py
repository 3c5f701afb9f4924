"""The few kinds that need more than the general rules when they are written; registered per group and kind."""

from __future__ import annotations

from cluster.api.backend import Strategy
from tidegate.kube.api import Object


class Namespaces:
    """A namespace starts Active and is held by the `kubernetes` finalizer of its spec until it is empty."""

    def prepare(self, obj: Object, old: Object | None, dry_run: bool) -> None:
        """Complete a new namespace."""
        labels = obj["metadata"].setdefault("labels", {})
        labels["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")
        if old is None:
            obj["spec"] = {"finalizers": ["kubernetes"]}
            obj["status"] = {"phase": "Active"}


def general() -> dict[tuple[str, str], Strategy]:
    """Return the strategies that need nothing but the object."""
    return {("", "Namespace"): Namespaces()}
