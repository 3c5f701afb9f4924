"""The certificates of public hosts: which are wanted, which are there, and what that says of who wants them.

For Routes and DomainMappings alike, by Knative's rules (external-domain-tls): while a certificate is not there, hosts
are served by clear text where `http-protocol` allows it; where it redirects, who wants it is not ready. Pure.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from controller.reconcile import certificate, metadata
from controller.reconcile.outcome import Action, Apply, Create, Delete, Object
from controller.tls import plan
from tidegate.contracts import conditions, names
from tidegate.contracts.conditions import FALSE, TRUE, UNKNOWN
from tidegate.contracts.config import network
from tidegate.contracts.config.network import Network

NOT_ENABLED = "TLSNotEnabled"
DOWNGRADE = "HTTPDowngrade"
PROVIDED = "CertificateExternallyProvided"

Mark = tuple[str, str, str]
"""Status, reason and message of CertificateProvisioned."""


class Decision(NamedTuple):
    """What to do, what CertificateProvisioned says, the hosts shown with https, whether clear text is redirected."""

    actions: tuple[Action, ...]
    condition: Mark
    secure: frozenset[str] = frozenset()
    is_redirected: bool = False


def decide(
    owner: Object, config: Network, hosts: Mapping[str, str], known: Sequence[Object], protocol: str
) -> Decision:
    """Return what the public hosts of `owner` need, by tag ("" for its own).

    `known` are the Certificates it has made, those of names that it wants and those of its namespace; `protocol` is
    `enabled` or `redirected`.
    """
    if not hosts or not network.has_tls(config, owner):
        text = "external-domain-tls is not enabled" if hosts else "TLS is not enabled for cluster-local"
        return Decision(leftover(owner, known, (), names.EXTERNAL_DOMAIN), (TRUE, NOT_ENABLED, text))
    issuer_class = network.certificate_class(config, owner)
    is_redirecting = protocol == names.REDIRECTED
    if issuer_class == names.GATEWAY_CERTIFICATE_CLASS:
        mark = (TRUE, PROVIDED, "the certificate is that of the gateway")
        return Decision(
            leftover(owner, known, (), names.EXTERNAL_DOMAIN), mark, frozenset(hosts.values()), is_redirecting
        )
    wanted = {}
    ready = {host for host in hosts.values() if any(_is_wildcard_for(one, host) for one in known)}
    for tag, host in hosts.items():
        if host in ready:
            continue
        name = certificate.route_certificate_name(owner, tag) if owner["kind"] == "Route" else host
        domain = network.domain(config, owner) if owner["kind"] == "Route" else ""
        made = certificate.desired(owner, name, [host], issuer_class=issuer_class, domain=domain)
        wanted[name] = made
    by_name = {one["metadata"]["name"]: one for one in known}
    actions: list[Action] = [*leftover(owner, known, wanted, names.EXTERNAL_DOMAIN)]
    marks: list[Mark] = []
    for name, one in wanted.items():
        action, obstacle = settle(owner, by_name.get(name), one, is_redirecting=is_redirecting)
        actions += action
        if obstacle is None:
            ready.add(one["spec"]["dnsNames"][0])
        else:
            marks.append(obstacle)
    secure = frozenset(hosts.values()) if is_redirecting else frozenset(ready)
    # Nobody is sent to a host that cannot prove who it is.
    is_redirected = is_redirecting and len(ready) == len(hosts)
    return Decision(tuple(actions), worst(marks), secure, is_redirected)


def settle(
    owner: Object, found: Object | None, wanted: Object, *, is_redirecting: bool
) -> tuple[list[Action], Mark | None]:
    """Return what makes `found` the Certificate that `owner` wants, and what that says; no mark once ready."""
    name = wanted["metadata"]["name"]
    if found is not None and metadata.is_foreign(found, owner):
        return [], (FALSE, "CertificateNotOwned", metadata.not_owned("Certificate", name))
    actions: list[Action] = []
    if found is None:
        actions.append(Create(wanted))
    elif metadata.needs_apply(found, wanted):
        actions.append(Apply(wanted))
    ready = is_ready_for(found, wanted)
    return actions, None if ready else not_ready(name, found, is_redirecting=is_redirecting)


def is_ready_for(found: Object | None, wanted: Object) -> bool:
    """Whether a Certificate that exists is there for the hosts of the one that is wanted."""
    if found is None or not conditions.is_ready(found) or not conditions.is_observed(found):
        return False
    return bool(found["spec"].get("dnsNames") == wanted["spec"]["dnsNames"])


def _is_wildcard_for(found: Object, host: str) -> bool:
    is_wildcard = names.WILDCARD_LABEL in (found["metadata"].get("labels") or {})
    covered = plan.PairFacts(tuple(found["spec"].get("dnsNames") or ()))
    return is_wildcard and conditions.is_ready(found) and conditions.is_observed(found) and plan.covers(covered, host)


def not_ready(name: str, found: Object | None, *, is_redirecting: bool) -> Mark:
    """Return what a Certificate that is not ready says of who wants it."""
    ready = conditions.find(found) or {}
    more = f": {ready['message']}" if ready.get("message") else ""
    if not is_redirecting:
        return TRUE, DOWNGRADE, f"Certificate {name} is not ready, clear text is served meanwhile{more}"
    if ready.get("status") == FALSE:
        return FALSE, "CertificateProvisionFailed", f"Certificate {name} cannot be made{more}"
    return UNKNOWN, "CertificateNotReady", f"Certificate {name} is not ready{more}"


def worst(marks: list[Mark]) -> Mark:
    """Return the worst of several, of equals the first; that all is well for none."""
    for status in (FALSE, UNKNOWN, TRUE):
        if found := next((mark for mark in marks if mark[0] == status), None):
            return found
    return TRUE, "", ""


def leftover(owner: Object, known: Sequence[Object], wanted: Container[str], purpose: str) -> tuple[Action, ...]:
    """Return deletions of the owner's Certificates of this purpose that are not `wanted` by name."""
    return tuple(
        Delete(one)
        for one in known
        if one["metadata"]["name"] not in wanted
        and not metadata.is_foreign(one, owner)
        and plan.type_of(one) == purpose
    )
