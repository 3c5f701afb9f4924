"""The settings of the gateway."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.contracts import names
from tidegate.process.settings import setting


@dataclass(frozen=True)
class Config:
    """The edge: every request of a client arrives here."""

    pod_ip: str = setting("address of this pod", default="127.0.0.1", env="POD_IP")
    system_namespace: str = setting("where Tidegate itself runs", default=names.SYSTEM_NAMESPACE, env="POD_NAMESPACE")
    listen: str = setting("host:port for clients; empty: the pod's address", default="", env="TIDEGATE_GATEWAY_LISTEN")
    local_port: int = setting(
        "port of the pod for callers inside the cluster, where cluster-local hosts are; 0: none", default=0
    )
    local_tls_port: int = setting("the same for callers that speak TLS; 0: none", default=0)
    tls_listen: str = setting("host:port for clients that speak TLS; without a host the pod's; empty: none", default="")
    tls_cert_file: str = setting(
        "PEM file with the certificate, and its chain, for hosts that have none of their own", default=""
    )
    tls_key_file: str = setting("PEM file with the key of that certificate", default="")
    workers: int = setting("processes that share the port; more than 1: one per core is of use", default=1)
    admin_port: int = setting("port for health, wakes and settings", default=names.ADMIN_PORT)
    metrics_port: int = setting("port for Prometheus", default=names.METRICS_PORT)
    trust_forwarded: bool = setting("believe X-Forwarded-* and Forwarded from clients", default=False)
    probe_paths: str = setting("paths, by commas, whose requests neither wake a service nor count", default="")
    probe_user_agents: str = setting(
        "beginnings of user agents, by commas, that neither wake a service nor count, beside the kubelet's", default=""
    )
    start_traces: bool = setting("give requests without a traceparent one", default=True)
    connect_timeout_s: float = setting("one connect to a pod or activator", default=1.0)
    activator_wait_s: float = setting("how long a request waits for an activator to come back", default=10.0)
    activator_wait_limit: int = setting("requests that may wait for an activator", default=5000)
    connections_limit: int = setting(
        "connections of clients that are open at once; 0 is nine tenths of the descriptors the process may have",
        default=0,
    )
    connections_per_peer_limit: int = setting("of these from one address; 0 is no limit", default=0)
    body_stalled_s: float = setting(
        "how long a client may send nothing of a request body before the answer begins; 0 is no limit", default=60.0
    )
    client_stalled_s: float = setting(
        "how long a client may take nothing of what waits to be sent to it; 0 is no limit", default=60.0
    )
    drain_quiet_s: float = setting("seconds from SIGTERM until listening ends", default=0.5)
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
        if self.listen and not self.listen.rpartition(":")[2].isdigit():
            raise ValueError(f"TIDEGATE_GATEWAY_LISTEN is {self.listen!r}: write host:port")
        if not 1 <= self.workers <= 256:
            raise ValueError(f"TIDEGATE_WORKERS is {self.workers}: it must be 1 to 256")
        if self.tls_listen and not (":" in self.tls_listen and self.tls_listen.rpartition(":")[2].isdigit()):
            raise ValueError(f"TIDEGATE_TLS_LISTEN is {self.tls_listen!r}: write host:port")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("TIDEGATE_TLS_CERT_FILE and TIDEGATE_TLS_KEY_FILE need each other: set both or none")

    @property
    def address(self) -> tuple[str, int]:
        """Where clients are listened for."""
        return self._split(self.listen) if self.listen.rpartition(":")[0] else (self.pod_ip, names.SERVING_PORT)

    @property
    def local_address(self) -> tuple[str, int] | None:
        """Where callers inside the cluster are listened for; None: nowhere."""
        return (self.pod_ip, self.local_port) if self.local_port else None

    @property
    def local_tls_address(self) -> tuple[str, int] | None:
        """Where callers inside the cluster that speak TLS are listened for; None: nowhere."""
        return (self.pod_ip, self.local_tls_port) if self.local_tls_port else None

    @property
    def has_tls(self) -> bool:
        """Whether TLS is spoken anywhere."""
        return bool(self.tls_listen or self.local_tls_port)

    @property
    def tls_address(self) -> tuple[str, int] | None:
        """Where clients that speak TLS are listened for; None: nowhere."""
        return self._split(self.tls_listen) if self.tls_listen else None

    def _split(self, text: str) -> tuple[str, int]:
        host, _, port = text.rpartition(":")
        return host.strip("[]") or self.pod_ip, int(port)
