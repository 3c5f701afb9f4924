"""The process node's settings."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from tidegate.process.settings import setting


@dataclass(frozen=True)
class Config:
    """The process node: runs the Pods bound to it as local processes."""

    state: str = setting("state folder; the node keeps everything under its subfolder `node`")
    kubeconfig: str = setting("kubeconfig of the API server; empty looks in the usual places", default="")
    name: str = setting("name of the Node object", default="local")
    pod_cidr: str = setting("loopback addresses of pods", default="127.1.0.0/17")
    images: str = setting("YAML file with further images of the catalog", default="")
    kubelet_token_file: str = setting("file with the bearer token of the log endpoint; empty refuses all", default="")
    kubelet_port: int = setting("port of the log endpoint on 127.0.0.1; 0 picks a free one", default=0)
    labels: str = setting("further labels of the Node, as key=value,key=value", default="")
    capacity: str = setting("further or replaced capacity, as cpu=8,nvidia.com/gpu=1", default="")
    max_pods: int = setting("most pods that run at once", default=500)
    taint: bool = setting(
        "taint the Node tidegate.dev/process-node, for use in a cluster with other nodes", default=False
    )
    fork_modules: str = setting(
        "modules whose `python -m` is forked from a template; empty: none", default="queueproxy"
    )
    fork_templates: int = setting(
        "most template processes kept for the imports that pods ask for (tidegate.dev/preload); 0: none", default=8
    )
    memory_limits: bool = setting(
        "limit a container's data segment (RLIMIT_DATA) to its resources.limits.memory where control groups do not",
        default=False,
    )
    control_groups: bool = setting(
        "hold containers to their limits of memory and processor time by control groups, where the node may make them",
        default=True,
    )
    pids_limit: int = setting("most processes and threads of a container, by its control group; 0: no limit", default=0)
    run_as_user: bool = setting(
        "run containers as the user of their security context or image; the node must be root, and its state folder "
        "open to them (chmod o+x)",
        default=False,
    )
    service_proxy: bool = setting("listen on the clusterIPs inside 127.0.0.0/8", default=True)
    cluster_names: bool = setting(
        "let pods resolve the names of Services, by a hosts file and mount namespace of the node's own", default=True
    )
    log_limit_bytes: int = setting("size at which a container's log file is rotated, in bytes", default=10 << 20)
    log_level: str = setting("least level that is logged", default="info")

    def __post_init__(self) -> None:
        network = ipaddress.ip_network(self.pod_cidr)
        if not network.subnet_of(ipaddress.ip_network("127.0.0.0/8")):  # type: ignore[arg-type]
            raise ValueError(f"pod_cidr: {self.pod_cidr} is not inside 127.0.0.0/8")
        if self.fork_templates < 0:
            raise ValueError("fork_templates: must not be negative")
        if self.pids_limit < 0:
            raise ValueError("pids_limit: must not be negative")
        if self.max_pods < 1:
            raise ValueError("max_pods: must be at least 1")
        pairs(self.labels, "labels")
        pairs(self.capacity, "capacity")

    @property
    def names_file(self) -> Path:
        """The hosts file that pods see."""
        return self.folder / "hosts"

    @property
    def folder(self) -> Path:
        """The node's own folder."""
        return Path(self.state).absolute() / "node"


def pairs(text: str, name: str) -> dict[str, str]:
    """Read `key=value,key=value`; raises ValueError that names the setting."""
    found = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{name}: {part!r} is not key=value")
        found[key] = value
    return found
