"""A Certificate in cert-manager's words, and what cert-manager says of it. Pure.

The objects are those that Knative's net-certmanager makes: same name, namespace and Secret, owned by the Certificate.
Format: https://cert-manager.io/docs/reference/api-docs/ (cert-manager.io/v1 Certificate).
"""

from __future__ import annotations

from typing import Any

from tidegate.contracts import conditions
from tidegate.contracts.conditions import READY, UNKNOWN
from tidegate.contracts.config.network import Issuer
from tidegate.kube import resources

Object = dict[str, Any]

COMMON_NAME_LIMIT = 63
SHORT_PREFIX = "k."
"""Before a domain it makes the common name of a host that is too long to be one."""


def render(certificate: Object, issuer: Issuer, owner: Object) -> Object:
    """Return the object that asks cert-manager for a Certificate's key pair; `owner` refers to that Certificate."""
    metadata, spec = certificate["metadata"], certificate["spec"]
    hosts = list(spec["dnsNames"])
    common = hosts[0]
    if len(common) > COMMON_NAME_LIMIT:
        common = SHORT_PREFIX + (spec.get("domain") or common.partition(".")[2])
        hosts = [common, *hosts]
    kept = {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
    reference = {"name": issuer.name, "kind": issuer.kind} | ({"group": issuer.group} if issuer.group else {})
    return {
        "apiVersion": resources.CERT_MANAGER_CERTIFICATES.api_version,
        "kind": "Certificate",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "ownerReferences": [owner],
            **kept,
        },
        "spec": {
            "secretName": spec["secretName"],
            "commonName": common,
            "dnsNames": hosts,
            "issuerRef": reference,
            "privateKey": {"rotationPolicy": "Always"},
        },
    }


def state(found: Object) -> tuple[str, str, str]:
    """Return status, reason and message of cert-manager's Ready condition; Unknown until there is one."""
    ready = conditions.find(found, READY)
    if ready is None:
        return UNKNOWN, "CertManagerNotReady", "cert-manager has not looked at it yet"
    return str(ready["status"]), str(ready.get("reason") or ""), str(ready.get("message") or "")
