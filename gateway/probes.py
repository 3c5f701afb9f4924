"""Which requests are probes or scrapes: they neither wake a service nor keep it awake.

Pure. The kubelet's and Knative's own user agents and probe headers are always among them; paths and further user agents
come from the settings. It decides nothing about where such a request goes.
"""

from __future__ import annotations

from tidegate.contracts import headers
from tidegate.wire.director import Request

NETWORK_PROBE, KUBELET_PROBE = headers.NETWORK_PROBE, headers.KUBELET_PROBE


class Probes:
    """Recognises probes by path, user agent or Knative's probe headers."""

    __slots__ = ("_agents", "_paths")

    def __init__(self, paths: str = "", user_agents: str = "") -> None:
        """Take lists separated by commas: whole paths without query, beginnings of user agents."""
        self._paths = frozenset(_listed(paths))
        self._agents = (*headers.PROBE_USER_AGENTS, *_listed(user_agents))

    def has(self, request: Request) -> bool:
        """Whether the request is a probe or a scrape."""
        index = request.index
        agent = index.get(b"user-agent")
        if agent is not None and agent.startswith(self._agents):
            return True
        if NETWORK_PROBE in index or KUBELET_PROBE in index:
            return True
        return bool(self._paths) and request.target.partition(b"?")[0] in self._paths


def _listed(text: str) -> list[bytes]:
    return [part.strip().encode("latin-1", "replace") for part in text.split(",") if part.strip()]
