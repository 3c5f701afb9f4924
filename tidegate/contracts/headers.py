"""HTTP header names between the hops, and which ones must never come from outside.

Names are lower-case bytes, as the engine compares them. Meaning and direction: docs/architecture.md, section Headers.
"""

from __future__ import annotations

NAMESPACE = b"knative-serving-namespace"
REVISION = b"knative-serving-revision"
TAG = b"knative-serving-tag"
DEFAULT_ROUTE = b"knative-serving-default-route"
PROXY_REQUEST = b"k-proxy-request"
NETWORK_PROBE = b"k-network-probe"
NETWORK_HASH = b"k-network-hash"
KUBELET_PROBE = b"k-kubelet-probe"
ORIGINAL_HOST = b"k-original-host"
REASON = b"x-tidegate-reason"
UNCOUNTED = b"x-tidegate-uncounted"

PROXIED_BY_ACTIVATOR = b"activator"
PROBE_QUEUE = b"queue"
PROBE_ACTIVATOR = b"activator"

INTERNAL = frozenset(
    {
        NAMESPACE,
        REVISION,
        DEFAULT_ROUTE,
        PROXY_REQUEST,
        NETWORK_PROBE,
        NETWORK_HASH,
        KUBELET_PROBE,
        ORIGINAL_HOST,
        UNCOUNTED,
        b"k-passthrough-lb",
        b"knative-direct-lb",
    }
)
"""Headers that only Tidegate's own hops may set: the gateway strips them from what clients send."""

INTERNAL_PREFIXES = (b"x-tidegate-",)

FORWARDING = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"})

USER_AGENT_KUBELET = b"kube-probe/"
USER_AGENT_ACTIVATOR_PROBE = b"Knative-Activator-Probe"
USER_AGENT_AUTOSCALER_PROBE = b"Knative-Autoscaling-Probe"
PROBE_USER_AGENTS = (USER_AGENT_KUBELET, USER_AGENT_ACTIVATOR_PROBE, USER_AGENT_AUTOSCALER_PROBE)
