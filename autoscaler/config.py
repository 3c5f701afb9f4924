"""The settings of the autoscaler process. How it scales is in the ConfigMap config-autoscaler, which applies live."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.contracts import buckets, names
from tidegate.process.settings import setting


@dataclass(frozen=True)
class Config:
    """Turns in-flight reports into replicas."""

    pod: str = setting("name of this pod, as holder of Leases", default="autoscaler", env="POD_NAME")
    pod_ip: str = setting("address to listen on", default="127.0.0.1", env="POD_IP")
    report_port: int = setting("port for in-flight reports", default=names.REPORT_PORT)
    admin_port: int = setting("port for health and decisions", default=names.ADMIN_PORT)
    metrics_port: int = setting("port for Prometheus", default=names.METRICS_PORT)
    buckets: int = setting(
        "parts that replicas share the revisions in; the same in all replicas", default=buckets.COUNT_DEFAULT
    )
    metrics_revisions: int = setting("revisions that metrics show one by one; the rest in sums", default=10_000)
    system_namespace: str = setting(
        "namespace of settings and report key", default=names.SYSTEM_NAMESPACE, env="POD_NAMESPACE"
    )
    kubeconfig: str = setting("kubeconfig file; empty: $KUBECONFIG or the pod's own account", default="")
    log_level: str = setting("debug, info, warning or error", default="info")

    def __post_init__(self) -> None:
        """Refuse what cannot work before a port is bound."""
        if not 1 <= self.buckets <= buckets.COUNT_MAX:
            raise ValueError(f"buckets is {self.buckets}: it must be 1 to {buckets.COUNT_MAX}")
        for name in ("report_port", "admin_port", "metrics_port"):
            if not 0 <= getattr(self, name) < 65536:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be a port")
