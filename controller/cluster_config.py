"""The ConfigMaps of the system namespace as one immutable value; a bad map is refused and the old one keeps working.

Pure. `ClusterConfig` is what reconcilers and admission are given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.contracts import autoscaling, names, problems
from tidegate.contracts.config import defaults, deployment, features, network, observability, retention
from tidegate.contracts.problems import FieldProblem

Object = Mapping[str, Any]

PART_OF = {names.CONFIG_DOMAIN: names.CONFIG_NETWORK, names.CONFIG_CERTMANAGER: names.CONFIG_NETWORK}
"""Maps that are read together with another one, under whose name their problems are told."""


@dataclass(frozen=True)
class ClusterConfig:
    """All settings that reconcilers use. `autoscaler_address` is host:port, empty while its Service is unknown."""

    defaults: defaults.Defaults = field(default_factory=defaults.Defaults)
    features: features.Features = field(default_factory=features.Features)
    deployment: deployment.DeploymentConfig = field(default_factory=deployment.DeploymentConfig)
    network: network.Network = field(default_factory=network.Network)
    retention: retention.Retention = field(default_factory=retention.Retention)
    observability: observability.Observability = field(default_factory=observability.Observability)
    autoscaler: autoscaling.AutoscalerConfig = field(default_factory=autoscaling.AutoscalerConfig)
    autoscaler_address: str = ""
    report_key: bytes = field(default=b"", repr=False)


def read(
    config_maps: Mapping[str, Object], previous: ClusterConfig | None = None
) -> tuple[ClusterConfig, dict[str, list[FieldProblem]]]:
    """Return the configuration from ConfigMaps by name, and what is wrong by name.

    A map with problems leaves its part as it was in `previous`.
    """
    kept = previous or ClusterConfig()
    refused: dict[str, list[FieldProblem]] = {}
    changes: dict[str, Any] = {"features": features.parse(config_maps.get(names.CONFIG_FEATURES))}
    parsed = {
        names.CONFIG_DEFAULTS: ("defaults", defaults.parse(config_maps.get(names.CONFIG_DEFAULTS))),
        names.CONFIG_DEPLOYMENT: ("deployment", deployment.parse(config_maps.get(names.CONFIG_DEPLOYMENT))),
        names.CONFIG_NETWORK: (
            "network",
            network.parse(
                config_maps.get(names.CONFIG_NETWORK),
                config_maps.get(names.CONFIG_DOMAIN),
                config_maps.get(names.CONFIG_CERTMANAGER),
            ),
        ),
        names.CONFIG_GC: ("retention", retention.parse(config_maps.get(names.CONFIG_GC))),
        names.CONFIG_OBSERVABILITY: (
            "observability",
            observability.parse(config_maps.get(names.CONFIG_OBSERVABILITY)),
        ),
        names.CONFIG_AUTOSCALER: ("autoscaler", _autoscaler(config_maps.get(names.CONFIG_AUTOSCALER))),
    }
    for name, (part, (value, found)) in parsed.items():
        if found:
            refused[name] = found
        else:
            changes[part] = value
    return dataclasses.replace(kept, **changes), refused


def _autoscaler(config_map: Object | None) -> tuple[autoscaling.AutoscalerConfig, list[FieldProblem]]:
    data = (config_map or {}).get("data") or {}
    try:
        return autoscaling.parse_config({key: text for key, text in data.items() if not key.startswith("_")}), []
    except autoscaling.ConfigError as error:
        return autoscaling.AutoscalerConfig(), [problems.FieldProblem(str(error))]
