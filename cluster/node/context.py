"""What all pods of the node share: the API, the catalog, addresses, ports, tokens, the fork server."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.node.addresses import Addresses, Ports
from cluster.node.cgroups import ControlGroups
from cluster.node.forkserver import CannotFork, ForkServer
from cluster.node.images import Pattern
from cluster.node.process import Command, Process, start_plain
from cluster.node.splice import Splicer
from cluster.node.tokens import Tokens
from tidegate.kube.api import Api

HOST_IP = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Context:
    """Shared by all pod workers."""

    # Configuration
    node_name: str
    root: Path
    state: str
    server: str
    ca_pem: str
    log_limit_bytes: int
    catalog: Sequence[Pattern]
    allocatable: dict[str, str]
    memory_limits: bool = field(default=False, kw_only=True)
    run_as_user: bool = field(default=False, kw_only=True)
    pids_limit: int = field(default=0, kw_only=True)
    has_views: bool = field(default=False, kw_only=True)
    """whether containers with a control group see that in place of the machine's"""

    # Lent out
    api: Api
    tokens: Tokens
    addresses: Addresses
    ports: Ports
    splicer: Splicer
    fork_server: ForkServer | None = field(default=None)
    groups: ControlGroups | None = field(default=None)

    @property
    def ca_data(self) -> str:
        """The API server's CA as a kubeconfig carries it."""
        return base64.b64encode(self.ca_pem.encode()).decode()

    async def start(self, command: Command) -> Process:
        """Start a process the fastest way that works; raises `StartError`."""
        if self.fork_server is None:
            return start_plain(command)
        if command.user is not None:
            return start_plain(command, f"started plainly: a template cannot become user {command.user.uid}")
        if command.stdin is not None:
            return start_plain(command, "started plainly: it has a standard input")
        try:
            return await self.fork_server.fork(command)
        except CannotFork as error:
            return start_plain(command, f"started plainly: {error}" if str(error) else "started plainly")
