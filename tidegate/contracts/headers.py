"""HTTP header names between the hops, and which ones must never come from outside.

Names are lower-case bytes, as the engine compares them. Meaning and direction: docs/architecture.md, section Headers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
START = b"x-tidegate-start"

PROXIED_BY_ACTIVATOR = b"activator"
PROBE_QUEUE = b"queue"
PROBE_ACTIVATOR = b"activator"

PASSTHROUGH_LB = b"k-passthrough-lb"
DIRECT_LB = b"knative-direct-lb"


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of one request header, in any spelling.

    `set_by`: who writes it. `at_edge`: what the gateway does with a client's: `passed`, `replaced` (by its own),
    `stripped`, or `checked` (passed when valid). `reaches_app`: whether queueproxy passes it on.
    """

    name: bytes
    set_by: str
    at_edge: str
    reaches_app: bool
    meaning: str


PASSED, REPLACED, STRIPPED, CHECKED = "passed", "replaced", "stripped", "checked"

RULES = (
    Rule(NAMESPACE, "gateway", REPLACED, False, "namespace of the revision that this request is for"),
    Rule(REVISION, "gateway", REPLACED, False, "its name"),
    Rule(
        TAG,
        "client, gateway",
        PASSED,
        True,
        "the tag asked for by header, or that of the host alone, where tag-header-based-routing is Enabled",
    ),
    Rule(DEFAULT_ROUTE, "gateway", STRIPPED, False, "`true`: no tag was asked for (with tag-header-based-routing)"),
    Rule(PROXY_REQUEST, "activator", STRIPPED, False, "`activator`: this request was counted by the activator"),
    Rule(NETWORK_PROBE, "activator, node", STRIPPED, False, "a probe: answered by the hop itself, never by the app"),
    Rule(NETWORK_HASH, "nobody", STRIPPED, False, "Knative's mark of an ingress configuration"),
    Rule(KUBELET_PROBE, "a mesh", STRIPPED, False, "Knative's mark of kubelet probes behind a mesh: a probe"),
    Rule(ORIGINAL_HOST, "nobody", STRIPPED, False, "Knative's note of a rewritten Host; no hop of ours rewrites it"),
    Rule(PASSTHROUGH_LB, "nobody", STRIPPED, False, "Knative's mark for meshes"),
    Rule(DIRECT_LB, "nobody", STRIPPED, False, "Knative's mark for meshes"),
    Rule(UNCOUNTED, "gateway, activator", STRIPPED, False, "a probe or scrape: takes a slot, counts for no scaling"),
    Rule(b"x-tidegate-*", "nobody", STRIPPED, False, "kept free for our own hops"),
    Rule(b"x-forwarded-for", "gateway", REPLACED, True, "the client's address; a list where the gateway trusts one"),
    Rule(b"x-forwarded-proto", "gateway", REPLACED, True, "`http` or `https`, as the client spoke"),
    Rule(b"x-forwarded-host", "gateway", REPLACED, True, "Host as the client sent it"),
    Rule(b"forwarded", "gateway", REPLACED, True, "the same three, by RFC 7239"),
    Rule(b"traceparent", "client, else gateway", CHECKED, True, "the trace of the request (W3C)"),
    Rule(b"tracestate", "client", CHECKED, True, "beside a valid traceparent, up to 512 bytes"),
)
"""Everything that some hop treats in a way of its own. Hop-by-hop headers are `tidegate.wire.header_rules`'."""


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """What becomes of one header of an app's answer, trailers included. `set_by`: who of us writes it."""

    name: bytes
    set_by: str
    leaves_app: bool
    meaning: str


ANSWER_RULES = (
    AnswerRule(REASON, "every hop", False, "Tidegate made this answer, and why"),
    AnswerRule(START, "queueproxy", False, "on answers to probes: how this pod started; apps may tell it the same way"),
    AnswerRule(b"x-tidegate-*", "nobody", False, "kept free for our own hops"),
    AnswerRule(b"date", "the last hop", True, "added where the app's answer has none"),
)

INTERNAL_ANSWER_PREFIXES = tuple(
    rule.name[:-1] for rule in ANSWER_RULES if rule.name.endswith(b"*") and not rule.leaves_app
)
"""What queueproxy, whose upstream is the app, takes out of answers; other hops pass what hops of ours said."""

INTERNAL = frozenset(rule.name for rule in RULES if not rule.reaches_app and not rule.name.endswith(b"*"))
"""Headers that only Tidegate's own hops may set: the gateway strips them from what clients send."""

INTERNAL_PREFIXES = tuple(rule.name[:-1] for rule in RULES if rule.name.endswith(b"*"))

FORWARDING = frozenset(rule.name for rule in RULES if rule.at_edge == REPLACED and rule.reaches_app)

USER_AGENT_KUBELET = b"kube-probe/"
USER_AGENT_ACTIVATOR_PROBE = b"Knative-Activator-Probe"
USER_AGENT_AUTOSCALER_PROBE = b"Knative-Autoscaling-Probe"
USER_AGENT_INGRESS_PROBE = b"Knative-Ingress-Probe"
PROBE_USER_AGENTS = (
    USER_AGENT_KUBELET,
    USER_AGENT_ACTIVATOR_PROBE,
    USER_AGENT_AUTOSCALER_PROBE,
    USER_AGENT_INGRESS_PROBE,
)


def is_health_check(index: Mapping[bytes, bytes]) -> bool:
    """Tell whether the headers (by lower-case name) are those of the kubelet or of one of Knative's own probes.

    Anybody can write them: they excuse from being counted, never from a limit.
    """
    agent = index.get(b"user-agent")
    return KUBELET_PROBE in index or (agent is not None and agent.startswith(PROBE_USER_AGENTS))
