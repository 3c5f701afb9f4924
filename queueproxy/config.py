"""The settings of queueproxy; the controller writes the environment variables into the pod."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from queueproxy import probe
from tidegate.contracts import internal_tls, names, serving
from tidegate.process.settings import setting

QUEUE_PER_SLOT = 10


@dataclass(frozen=True)
class Config:
    """The sidecar in front of one user container."""

    namespace: str = setting("namespace of the revision", default="", env="SERVING_NAMESPACE")
    service: str = setting("Service of the revision", default="", env="SERVING_SERVICE")
    configuration: str = setting("Configuration of the revision", default="", env="SERVING_CONFIGURATION")
    revision: str = setting("revision served here", default="", env="SERVING_REVISION")
    pod: str = setting("name of this pod", default="", env="SERVING_POD")
    pod_ip: str = setting("address to listen on", default="127.0.0.1", env="SERVING_POD_IP")
    serving_port: int = setting("port for requests", default=names.SERVING_PORT, env="QUEUE_SERVING_PORT")
    tls_port: int = setting(
        "port for requests over TLS, where there is a certificate",
        default=internal_tls.PORT,
        env="QUEUE_SERVING_TLS_PORT",
    )
    certificates: str = setting(
        "folder with tls.crt and tls.key, read again when they change; empty: no TLS", default=""
    )
    admin_port: int = setting("port for drain and health", default=names.ADMIN_PORT)
    metrics_port: int = setting("port for Prometheus", default=names.QUEUEPROXY_METRICS_PORT)
    user_port: int = setting(
        "port of the user container on 127.0.0.1", default=names.DEFAULT_USER_PORT, env="USER_PORT"
    )
    user_protocol: str = setting(
        "h2c when the app is spoken to by HTTP/2 in clear text; http1 otherwise",
        default=serving.HTTP1,
        env="USER_PROTOCOL",
    )
    http2_auto_detection: bool = setting(
        "find out before the app is ready whether it speaks HTTP/2 in clear text",
        default=False,
        env="ENABLE_HTTP2_AUTO_DETECTION",
    )
    container_concurrency: int = setting(
        "requests at once in the user container; 0 is no limit", default=0, env="CONTAINER_CONCURRENCY"
    )
    timeout_s: float = setting("whole request, queueing included", default=300.0, env="REVISION_TIMEOUT_SECONDS")
    response_start_timeout_s: float = setting(
        "until the first byte of the answer; 0 is no limit", default=0.0, env="REVISION_RESPONSE_START_TIMEOUT_SECONDS"
    )
    idle_timeout_s: float = setting(
        "between two bytes of the answer; 0 is no limit", default=0.0, env="REVISION_IDLE_TIMEOUT_SECONDS"
    )
    readiness_probe: str = setting("the app's readiness probe as JSON", default="", env="SERVING_READINESS_PROBE")
    autoscaler_address: str = setting("host:port for in-flight reports", default="", env="AUTOSCALER_ADDRESS")
    report_token: str = setting("token for the reports", default="", env="REPORT_TOKEN", secret=True)
    drain_quiet_s: float = setting(
        "while requests are in flight, seconds without a new one before listening ends",
        default=30.0,
        env="DRAIN_QUIET_SECONDS",
    )
    drain_idle_s: float = setting(
        "with nothing in flight, seconds without a request before listening ends",
        default=1.0,
        env="DRAIN_IDLE_SECONDS",
    )
    observability: str = setting(
        "config-observability's keys of the request log, as JSON", default="", env="OBSERVABILITY_CONFIG"
    )
    tracing_endpoint: str = setting("http(s)://host:port of an OTLP collector for spans; empty: no spans", default="")
    tracing_sampling_rate: float = setting(
        "part of the traces begun here that is sampled, 0 to 1; who calls with a trace has decided", default=0.1
    )
    log_level: str = setting("debug, info, warning or error", default="info", env="SERVING_LOGGING_LEVEL")

    def __post_init__(self) -> None:
        """Refuse what cannot work before a port is bound."""
        if self.container_concurrency < 0:
            raise ValueError(f"CONTAINER_CONCURRENCY is {self.container_concurrency}: it must be 0 or more")
        if not 0 < self.user_port < 65536:
            raise ValueError(f"USER_PORT is {self.user_port}: it must be a port")
        if self.autoscaler_address and not self.autoscaler_address.rpartition(":")[2].isdigit():
            raise ValueError(f"AUTOSCALER_ADDRESS is {self.autoscaler_address!r}: write host:port")

        probe.parse(self.readiness_probe, self.user_port, self.user_protocol)
        if not isinstance(self.observability_config.get("data"), dict):
            raise ValueError("OBSERVABILITY_CONFIG must be a JSON object")

    @property
    def observability_config(self) -> dict[str, Any]:
        """The keys of config-observability, in the shape of the ConfigMap; raises ValueError when they are no JSON."""
        return {"data": json.loads(self.observability or "{}")}

    @property
    def queue_limit(self) -> int:
        """Requests that may wait for a slot (Knative's 10 per slot)."""
        return QUEUE_PER_SLOT * self.container_concurrency

    @property
    def autoscaler(self) -> tuple[str, int] | None:
        """Host and port of the autoscaler, None when this pod does not report."""
        host, _, port = self.autoscaler_address.rpartition(":")
        return (host.strip("[]"), int(port)) if host else None
