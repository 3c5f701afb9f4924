"""DomainMapping → a host of the user's choosing for what has a name inside the cluster.

A domain belongs to the namespace that a ClusterDomainClaim of its name gives it to. What is mapped is written into the
mapping's status, where gateways read it (`ingress` says when all have it); a reference that stops resolving leaves the
last good one there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.reconcile import ingress, public_tls
from controller.reconcile.certificate import UNSHOWN
from controller.reconcile.ingress import INGRESS, WAITING
from controller.reconcile.outcome import Action, Create, Delete, Object, Outcome
from controller.tls import plan
from controller.tls.plan import PairFacts
from tidegate.contracts import conditions, names
from tidegate.contracts.conditions import FALSE, TRUE, UNKNOWN, Conditions
from tidegate.contracts.config import network
from tidegate.contracts.config.network import Network

CLAIM_API_VERSION = "networking.internal.knative.dev/v1alpha1"
CLAIMED, RESOLVED = "DomainClaimed", "ReferenceResolved"
CERTIFICATE = "CertificateProvisioned"
TLS_OFF = "external-domain-tls is not enabled"
MADE_FOR_ANNOTATION = "tidegate.dev/made-for"
"""On claims that were made here: they go with their mapping."""
KINDS = {
    ("serving.knative.dev/v1", "Service"): "services.serving.knative.dev",
    ("serving.knative.dev/v1", "Route"): "routes.serving.knative.dev",
    ("v1", "Service"): "services",
}
"""What may be mapped, by apiVersion and kind, as messages name it."""


@dataclass(frozen=True)
class Observed:
    """A DomainMapping (None when it is gone) by namespace and name, its claim, and what it refers to.

    `certificates` are the Certificates that it has made and the one that has its name; `pair` is the key pair that its
    `spec.tls` names, None until that was looked for.
    `obstacle`: why the gateways do not have the mapping, or the Route that it leads to, as they are stored.
    `is_routed`: that Route routes to something; only then can a gateway have an entry for the domain. `unshown`: why
    gateways do not show `pair` yet.
    """

    namespace: str
    name: str
    mapping: Object | None
    claim: Object | None = None
    target: Object | None = None
    certificates: Sequence[Object] = field(default_factory=tuple)
    pair: PairFacts | None = None
    obstacle: str = ""
    is_routed: bool = True
    unshown: str = ""


def reconcile(observed: Observed, config: Network, now_unix: float) -> Outcome:
    """Return what one DomainMapping needs."""
    mapping = observed.mapping
    if mapping is None or mapping["metadata"].get("deletionTimestamp"):
        return Outcome(tuple(_released(observed)))
    state = Conditions(conditions.DOMAIN_MAPPING, mapping, now_unix)
    status: Object = dict(mapping.get("status") or {})
    if not conditions.is_observed(mapping):
        state.mark_unknown(INGRESS, "IngressNotConfigured", "Ingress has not yet been reconciled.")
    actions, is_claimed = _claim(observed, config, state)
    tls = _secured(observed, mapping, config, is_claimed=is_claimed)
    actions += tls.actions
    state.mark(CERTIFICATE, *tls.condition)
    url = f"{'https' if tls.secure else 'http'}://{observed.name}"
    status |= {"url": url, "address": {"url": url}}
    before, is_resolved = ingress.table_of_mapping(status), False
    if is_claimed:
        is_resolved = _resolve(observed, mapping, status, state)
        _redirect(status, is_wanted=tls.is_redirected)
    else:
        status.pop("annotations", None)  # another namespace has the domain: nothing of ours may answer for it
    is_new = before != ingress.table_of_mapping(status)
    missing = observed.obstacle if observed.is_routed else WAITING
    awaits_gateways = is_resolved and ingress.mark(state, is_new=is_new, obstacle=missing)
    status |= {"observedGeneration": mapping["metadata"].get("generation", 0), "conditions": state.finish()}
    # What has no table is nobody's to ask for: the Route that comes to route something marks its mappings.
    awaits_gateways = (awaits_gateways and observed.is_routed) or tls.condition[1] == UNSHOWN
    return Outcome(tuple(actions), status, is_urgent=is_new, awaits_gateways=awaits_gateways)


def claim(namespace: str, name: str) -> Object:
    """Return the claim of a domain for a namespace."""
    metadata = {"name": name, "annotations": {MADE_FOR_ANNOTATION: namespace}}
    return {
        "apiVersion": CLAIM_API_VERSION,
        "kind": "ClusterDomainClaim",
        "metadata": metadata,
        "spec": {"namespace": namespace},
    }


def _secured(observed: Observed, mapping: Object, config: Network, *, is_claimed: bool) -> public_tls.Decision:
    """Return what the domain needs to be served by TLS: nothing more where the mapping brings a key pair."""
    try:
        protocol = network.http_protocol(config, mapping)
    except ValueError as error:
        return public_tls.Decision((), (FALSE, "ErrorConfig", str(error)))
    hosts = {"": observed.name} if is_claimed else {}
    if not (name := plan.own_secret(mapping)):
        if not is_claimed and network.has_tls(config, mapping):
            # What was made while it was: the domain may be another namespace's now, and so may what is shown for it.
            actions = public_tls.decide(mapping, config, {}, observed.certificates, protocol).actions
            return public_tls.Decision(actions, (UNKNOWN, "CertificateNotReady", "the domain is not claimed"))
        found = public_tls.decide(mapping, config, hosts, observed.certificates, protocol)
        return found if hosts else found._replace(condition=(TRUE, public_tls.NOT_ENABLED, TLS_OFF))
    pair = observed.pair
    # What was made before the mapping brought its own goes.
    actions = public_tls.decide(mapping, config, {}, observed.certificates, protocol).actions
    if pair is None:
        return public_tls.Decision(actions, (UNKNOWN, "CertificateNotReady", f"Secret {name} has not been read yet"))
    if not pair.is_usable:
        made = f"kubectl create secret tls {name} --cert=FILE --key=FILE --namespace={observed.namespace}"
        return public_tls.Decision(actions, (FALSE, pair.reason, f"spec.tls.secretName: {pair.problem}; {made}"))
    before = conditions.find(mapping, CERTIFICATE) or {}
    was_shown = conditions.is_observed(mapping) and before.get("status") == TRUE
    if observed.unshown and not was_shown:
        mark = (UNKNOWN, UNSHOWN, observed.unshown)
        return public_tls.Decision(actions, mark, frozenset({observed.name}))
    told = "TLS certificate was provided externally"
    if not plan.covers(pair, observed.name):
        told = f"the certificate in Secret {name} is not for {observed.name}: clients will not trust it"
    mark = (TRUE, public_tls.PROVIDED, told)
    return public_tls.Decision(actions, mark, frozenset({observed.name}), protocol == names.REDIRECTED)


def _redirect(status: Object, *, is_wanted: bool) -> None:
    annotations = dict(status.get("annotations") or {})
    annotations.pop(names.HTTP_PROTOCOL_ANNOTATION, None)
    annotations |= {names.HTTP_PROTOCOL_ANNOTATION: names.REDIRECTED} if is_wanted else {}
    status.pop("annotations", None)
    if annotations:
        status["annotations"] = annotations


def _claim(observed: Observed, config: Network, state: Conditions) -> tuple[list[Action], bool]:
    found = observed.claim
    if found is not None and (found.get("spec") or {}).get("namespace") == observed.namespace:
        state.mark_true(CLAIMED)
        return [], True
    if found is not None:
        text = "The domain name is already in use by another DomainMapping"
        state.mark_false(CLAIMED, "DomainAlreadyClaimed", text)
        return [], False
    if config.creates_domain_claims:
        state.mark_unknown(CLAIMED)
        return [Create(claim(observed.namespace, observed.name))], False
    text = f'no ClusterDomainClaim found for domain "{observed.name}"'
    state.mark_false(CLAIMED, "DomainClaimFailed", text)
    return [], False


def _resolve(observed: Observed, mapping: Object, status: Object, state: Conditions) -> bool:
    """Write what is mapped into `status`; returns whether there is something to map to."""
    reference = (mapping.get("spec") or {}).get("ref") or {}
    kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
    plural = KINDS.get((str(reference.get("apiVersion") or ""), kind))
    if plural is None:
        text = f"{reference.get('apiVersion')} {kind} has no address: refer to a Service or a Route"
        state.mark_false(RESOLVED, "ResolveFailed", text)
    elif observed.target is None:
        state.mark_false(RESOLVED, "ResolveFailed", f'{plural} "{name}" not found')
    elif not _has_address(observed.target):
        state.mark_false(RESOLVED, "ResolveFailed", f'address not set for {kind} "{name}"')
    else:
        state.mark_true(RESOLVED)
        annotations = status.get("annotations") or {}
        host = f"{name}.{observed.namespace}.{names.CLUSTER_DOMAIN}"
        status["annotations"] = annotations | {names.MAPPED_TO_ANNOTATION: host}
    return state.is_true(RESOLVED)


def _has_address(target: Object) -> bool:
    # Of plain Services those that stand for a route are known to the gateway, no others.
    if target["apiVersion"] == "v1":
        return names.ROUTE_LABEL in (target["metadata"].get("labels") or {})
    return bool(((target.get("status") or {}).get("address") or {}).get("url"))


def _released(observed: Observed) -> list[Action]:
    found = observed.claim
    if found is None:
        return []
    made_for = (found["metadata"].get("annotations") or {}).get(MADE_FOR_ANNOTATION)
    return [Delete(found)] if made_for == observed.namespace else []
