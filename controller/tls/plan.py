"""What a key pair is, whether it is still good for its names, and when it is to be replaced. Pure.

Times are seconds since 1970.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.contracts import internal_tls, names

Object = dict[str, Any]

LEAF_LIFETIME_S = 90 * 86400.0
AUTHORITY_LIFETIME_S = 10 * 365 * 86400.0
AUTHORITY_RENEW_BEFORE_S = 365 * 86400.0
RENEW_AT = 2 / 3
"""The part of its life after which a certificate is replaced."""


@dataclass(frozen=True)
class PairFacts:
    """What is known of a Secret's key pair. `problem`: why it cannot be used, empty when it can.

    `status`, `reason`: what somebody else who issues it says of it meanwhile ("" when nobody does). `copy_version`: the
    resourceVersion of its copy for gateways, 0 where there is none.
    """

    names: tuple[str, ...] = ()
    not_before: float = 0.0
    not_after: float = 0.0
    is_ours: bool = False
    problem: str = ""
    status: str = ""
    reason: str = ""
    copy_version: int = 0

    @property
    def is_usable(self) -> bool:
        """Whether there is a certificate to serve."""
        return not self.problem and self.not_after > 0


def needs_new(wanted: Sequence[str], found: PairFacts | None, now: float) -> bool:
    """Whether a certificate must be signed: there is none, a broken or foreign one, for other names, or a late one."""
    if found is None or not found.is_usable or not found.is_ours:
        return True
    return set(wanted) != set(found.names) or now >= renew_at(found)


def renew_at(found: PairFacts) -> float:
    """Return when a certificate is to be replaced."""
    return found.not_before + RENEW_AT * (found.not_after - found.not_before)


def covers(found: PairFacts, host: str) -> bool:
    """Whether a certificate is for a host, by its name or by a wildcard for its first label (RFC 6125)."""
    _, _, parent = host.partition(".")
    return host in found.names or f"*.{parent}" in found.names


def class_of(certificate: Object) -> str:
    """Return the class of a Certificate: who is to fulfil it."""
    return str((certificate["metadata"].get("annotations") or {}).get(names.CERTIFICATE_CLASS_ANNOTATION, ""))


def type_of(certificate: Object) -> str:
    """Return what a Certificate is for; those without a label are for the public."""
    labels = certificate["metadata"].get("labels") or {}
    return str(labels.get(names.CERTIFICATE_TYPE_LABEL) or names.EXTERNAL_DOMAIN)


def is_served(certificate: Object) -> bool:
    """Whether gateways serve a Certificate's key pair: all but those of Tidegate's own components."""
    return type_of(certificate) != names.SYSTEM_INTERNAL


def refusal(certificate: Object) -> str:
    """Return why a Certificate is not signed here, empty when it may be.

    What a namespace's pods, activators and Services are called is theirs alone: others could take their requests.
    """
    namespace = certificate["metadata"].get("namespace", "")
    for host in map(str, certificate["spec"]["dnsNames"]):
        is_routing = host.lower() == internal_tls.ROUTING_NAME and namespace != names.SYSTEM_NAMESPACE
        is_pods = host.lower().startswith(internal_tls.pod_name("")) and host != internal_tls.pod_name(namespace)
        if is_routing or is_pods:
            return f"{host} is the name of another namespace's pods or of activators: leave it out"
        if _is_inside(host) and namespace_of_inside(host) != namespace:
            return f"{host} is a name inside the cluster of another namespace: leave it out"
    return ""


def _is_inside(host: str) -> bool:
    return host.lower().rstrip(".").endswith((".svc", f".{names.CLUSTER_DOMAIN}"))


def namespace_of_inside(host: str) -> str:
    """Return the namespace in a name inside the cluster, of a Service or of all Services (`*.namespace.svc`)."""
    return (
        host.lower()
        .rstrip(".")
        .removesuffix(names.CLUSTER_DOMAIN.removeprefix("svc"))
        .removesuffix(".svc")
        .rpartition(".")[2]
    )


def own_secret(mapping: Object) -> str:
    """Return the Secret with the key pair that a DomainMapping brings, empty when it brings none."""
    return str(((mapping.get("spec") or {}).get("tls") or {}).get("secretName") or "")


def copy_name(kind: str, namespace: str, name: str) -> str:
    """Return the name of the copy for gateways of the key pair that an object asks for."""
    digest = hashlib.sha256(f"{kind}/{namespace}/{name}".encode()).hexdigest()
    return f"{kind.lower()}-{digest[:40]}"
