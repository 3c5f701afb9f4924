"""The settings of the controller process."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.contracts import names
from tidegate.process.settings import setting


@dataclass(frozen=True)
class Config:
    """Makes the cluster match the objects."""

    pod_ip: str = setting("address to listen on", default="127.0.0.1", env="POD_IP")
    pod_name: str = setting("who we are to the other replicas; empty: the host's name", default="", env="POD_NAME")
    admin_port: int = setting("port for health and settings", default=names.ADMIN_PORT)
    metrics_port: int = setting("port for Prometheus", default=names.METRICS_PORT)
    webhook_port: int = setting("port for admission reviews", default=names.WEBHOOK_PORT)
    kubeconfig: str = setting("kubeconfig file; empty: the usual places", default="")
    gateway_admin_port: int = setting(
        "port on which gateway pods tell whose tables they have", default=names.ADMIN_PORT
    )
    system_namespace: str = setting("namespace of Tidegate itself", default=names.SYSTEM_NAMESPACE)
    concurrency: int = setting("objects reconciled at once", default=16)
    resync_s: float = setting("seconds between two looks at every object", default=60.0)
    relist_s: float = setting("seconds between two full lists from the API server", default=600.0)
    log_level: str = setting("debug, info, warning or error", default="info")

    def __post_init__(self) -> None:
        """Refuse what cannot work before a port is bound."""
        if self.concurrency < 1:
            raise ValueError(f"concurrency is {self.concurrency}: it must be 1 or more")
        if self.resync_s < 1 or self.relist_s < self.resync_s:
            raise ValueError("resync_s must be 1 or more, and relist_s not below it")
