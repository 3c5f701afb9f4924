"""The settings of the activator."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.contracts import internal_tls, names
from tidegate.process.settings import setting


@dataclass(frozen=True)
class Config:
    """Holds requests while pods come up."""

    pod: str = setting("name of this pod", default="activator", env="POD_NAME")
    pod_ip: str = setting("address to listen on", default="127.0.0.1", env="POD_IP")
    system_namespace: str = setting("where Tidegate itself runs", default=names.SYSTEM_NAMESPACE, env="POD_NAMESPACE")
    serving_port: int = setting("port for requests", default=names.SERVING_PORT, env="TIDEGATE_SERVING_PORT")
    tls_port: int = setting("port for requests over TLS, once there is a certificate", default=internal_tls.PORT)
    admin_port: int = setting("port for health, metrics and settings", default=names.ADMIN_PORT)
    metrics_port: int = setting("port for Prometheus", default=names.METRICS_PORT)
    autoscaler_address: str = setting("host:port for reports; empty: from the Service's endpoints", default="")
    waiting_capacity: int = setting("requests that may wait for one revision", default=10_000)
    connect_timeout_s: float = setting("one connect to a pod", default=1.0)
    revision_wait_s: float = setting("how long an unknown revision is waited for before 404", default=1.0)
    drain_quiet_s: float = setting("seconds without a request before listening ends", default=1.0)
    drain_timeout_s: float = setting("seconds until requests in flight are cut off at the end", default=55.0)
    tracing_endpoint: str = setting(
        "http(s)://host:port of an OTLP collector for spans; empty: that of config-observability, if any", default=""
    )
    tracing_sampling_rate: float = setting(
        "part of the traces begun here that is sampled, 0 to 1; who calls with a trace has decided", default=0.1
    )
    log_level: str = setting("debug, info, warning or error", default="info")

    def __post_init__(self) -> None:
        """Refuse what cannot work before a port is bound."""
        if self.waiting_capacity < 1:
            raise ValueError(f"waiting_capacity is {self.waiting_capacity}: it must be at least 1")
