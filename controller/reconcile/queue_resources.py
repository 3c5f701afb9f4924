"""What queue-proxy asks for: config-deployment, a share of the app's own resources, its own annotations. Pure.

The share (`resource-percentage`) is deprecated; its bounds are those that Knative's users know.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from controller.cluster_config import ClusterConfig
from controller.reconcile.outcome import Object
from tidegate.contracts import names, quantities

RESOURCES = ("cpu", "memory", "ephemeral-storage")
_SECTIONS = (("request", "requests"), ("limit", "limits"))
_BOUNDS = {
    ("requests", "cpu"): ("25m", "100m"),
    ("limits", "cpu"): ("40m", "500m"),
    ("requests", "memory"): ("50Mi", "200Mi"),
    ("limits", "memory"): ("200Mi", "500Mi"),
}
_FLAG = "queueproxy.resource-defaults"
_FLAG_DEFAULTS = {"requests": {"memory": "400Mi"}, "limits": {"cpu": "1000m", "memory": "800Mi"}}


def of(app: Object, annotations: Mapping[str, str], config: ClusterConfig) -> Object:
    """Return the `resources` of queue-proxy beside the container `app`; empty when nothing is asked for."""
    found = {"requests": dict(config.deployment.sidecar_requests), "limits": dict(config.deployment.sidecar_limits)}
    if config.features.is_enabled(_FLAG):
        found = {section: _FLAG_DEFAULTS[section] | values for section, values in found.items()}
    share = _share(annotations)
    for (section, resource), bounds in _BOUNDS.items():
        own = ((app.get("resources") or {}).get(section) or {}).get(resource)
        if share is not None and own is not None:
            found[section][resource] = _clamped(quantities.parse(own) * share, bounds, resource)
    for resource in RESOURCES:
        for kind, section in _SECTIONS:
            if text := annotations.get(f"{names.SIDECAR}{resource}-resource-{kind}"):
                found[section][resource] = text
    return {section: values for section, values in found.items() if values}


def _share(annotations: Mapping[str, str]) -> Decimal | None:
    text = annotations.get(names.SIDECAR_PERCENTAGE_ANNOTATION)
    return Decimal(text) / 100 if text else None


def _clamped(wanted: Decimal, bounds: tuple[str, str], resource: str) -> str:
    low, high = (quantities.parse(text) for text in bounds)
    value = min(max(wanted, low), high)
    return f"{int(value * 1000)}m" if resource == "cpu" else str(int(value))
