"""Settings of the API server process, and the places of its files in the state folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tidegate.process.settings import setting


@dataclass(frozen=True)
class StateFolder:
    """Where everything of one local cluster lies. Nothing is written outside of it."""

    root: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def node_kubeconfig(self) -> Path:
        """The node's kubeconfig: what a node may do, no more."""
        return self.pki / "node.kubeconfig"

    @property
    def pki(self) -> Path:
        """Certificates, keys and tokens."""
        return self.root / "pki"

    @property
    def store(self) -> Path:
        """The objects."""
        return self.root / "store.db"

    @property
    def logs(self) -> Path:
        """Logs of the supervisor and its children."""
        return self.root / "logs"

    @property
    def run_file(self) -> Path:
        """Process ids and ports of the running instance; absent when it is down."""
        return self.root / "run.json"

    @property
    def instance_file(self) -> Path:
        """What stays the same from start to start: loopback octet and ports."""
        return self.root / "instance.json"

    @property
    def kubelet_token(self) -> Path:
        """The token with which the API server reaches the node's log endpoint."""
        return self.pki / "kubelet.token"


@dataclass(frozen=True)
class ApiConfig:
    """The API server of a local cluster."""

    state: str = setting("folder for everything durable; created when missing")
    host: str = setting("address to listen on", default="127.0.0.1")
    port: int = setting("port to listen on; 0 takes a free one", default=0)
    service_cidr: str = setting("network from which Services get their clusterIP", default="127.1.128.0/17")
    kubelet_token_file: str = setting("file with the token for the node's log endpoint", default="")
    controllers: bool = setting("run the built-in controllers", default=True)
    strict: bool = setting("be harder on clients than any cluster, for tests (docs/api-server.md)", default=False)
    log_level: str = setting("debug, info, warning or error", default="info")

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError("port must be between 0 and 65535")
