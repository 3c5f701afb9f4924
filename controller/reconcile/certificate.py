"""Certificate → its condition; and what Routes and DomainMappings ask for by one.

A Certificate (networking.internal.knative.dev/v1alpha1) asks for a key pair for some hosts in a Secret of its
namespace. Who fulfils it is said by its class; this reconciler tells of those classes that the controller looks after,
and leaves all others alone. Names and shapes are Knative's.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from controller.reconcile import metadata
from controller.reconcile.outcome import Object, Outcome
from controller.tls import plan
from controller.tls.plan import PairFacts
from tidegate.contracts import conditions, names
from tidegate.contracts.conditions import FALSE, READY, UNKNOWN, Conditions
from tidegate.kube import resources

ISSUED, WAITING, UNSHOWN = "", "CertificateNotIssued", "CertificateNotShown"
KEPT_CLASSES = (names.OWN_CERTIFICATE_CLASS, names.CERT_MANAGER_CLASS)


def reconcile(obj: Object, found: PairFacts | None, now_unix: float, unshown: str = "") -> Outcome:
    """Return the status of a Certificate whose key pair is `found`; nothing for a class of somebody else's.

    `unshown`: why gateways do not show it yet, empty when they do. Who is Ready is not asked again: until a renewed key
    pair has arrived the one before is shown.
    """
    if plan.class_of(obj) not in KEPT_CLASSES:
        return Outcome()
    state = Conditions(conditions.CERTIFICATE, obj, now_unix)
    status: Object = dict(obj.get("status") or {})
    status.pop("notAfter", None)
    is_usable = found is not None and found.is_usable
    was_shown = state.before(READY)["status"] == conditions.TRUE and conditions.is_observed(obj)
    awaits_gateways = is_usable and bool(unshown) and not was_shown
    if awaits_gateways:
        state.mark(READY, UNKNOWN, UNSHOWN, unshown)
    elif found is not None and found.is_usable:
        state.mark(READY, conditions.TRUE)
        status["notAfter"] = conditions.timestamp(found.not_after)
    elif found is not None and found.status == FALSE:
        state.mark(READY, FALSE, found.reason, found.problem)
    else:
        state.mark(READY, UNKNOWN, (found and found.reason) or WAITING, found.problem if found else "")
    status |= {"observedGeneration": obj["metadata"].get("generation", 0), "conditions": state.finish()}
    return Outcome(status=status, awaits_gateways=awaits_gateways)


def desired(
    owner: Object,
    name: str,
    hosts: Sequence[str],
    *,
    issuer_class: str,
    purpose: str = names.EXTERNAL_DOMAIN,
    domain: str = "",
    secret: str = "",
    labels: Mapping[str, str] | None = None,
) -> Object:
    """Return the Certificate `name` that `owner` wants for `hosts`, in its namespace and controlled by it.

    `purpose` is `names.EXTERNAL_DOMAIN` or one of its siblings, `domain` the shorter name that a common name may be
    made of, `secret` the Secret for the key pair (empty: as the Certificate is called).
    """
    marks = {**(labels or {}), names.CERTIFICATE_TYPE_LABEL: purpose}
    if owner["kind"] == "Route":
        marks[names.ROUTE_LABEL] = owner["metadata"]["name"]
    head = metadata.child(
        owner,
        resources.CERTIFICATES.api_version,
        resources.CERTIFICATES.kind,
        name,
        labels=marks,
        annotations={names.CERTIFICATE_CLASS_ANNOTATION: issuer_class},
    )
    spec = {"dnsNames": list(hosts), "secretName": secret or name} | ({"domain": domain} if domain else {})
    return metadata.stamped(head | {"spec": spec})


def route_certificate_name(route: Object, tag: str = "", suffix: str = "") -> str:
    """Return the name of the Certificate for a route's own host, or for that of a tag; `suffix` is "-local" inside."""
    name = f"route-{route['metadata']['uid']}"
    return (f"{name}-{zlib.adler32(tag.encode())}" if tag else name) + suffix
