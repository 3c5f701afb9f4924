"""TLS between gateway, activator and queueproxy: the names that certificates are for, and the objects they are kept in.

The spellings are Knative's (system-internal-tls). A certificate is for what a process is, never for its address.
"""

from __future__ import annotations

from typing import Final

ROUTING_NAME: Final = "kn-routing"
"""What an activator's certificate is for."""
LEGACY_NAME: Final = "data-plane.knative.dev"
"""In every certificate beside its own name, for callers that know no other; Tidegate's own callers never ask for it."""
ROUTING_SECRET: Final = "routing-serving-certs"
"""In the system namespace: the certificate of activators."""
POD_SECRET: Final = "serving-certs"
"""In each namespace with revisions: the certificate of its queueproxies."""
CERTIFICATE_KEY, PRIVATE_KEY, AUTHORITY_KEY = "tls.crt", "tls.key", "ca.crt"
TRUST_LABEL: Final = "networking.knative.dev/trust-bundle"
"""`"true"` on ConfigMaps of the system namespace whose values are trusted certificates in PEM."""
TRUST_SELECTOR: Final = f"{TRUST_LABEL}=true"
POD_FOLDER: Final = "/var/lib/knative/certs"
"""Where queueproxies find theirs."""
PORT: Final = 8112
PORT_NAME: Final = "https"
"""Of the port in a Service and its EndpointSlices."""
POD_PORT_NAME: Final = "https-port"
"""Of the port in a Pod: a Service's target by this name leaves out the pods that do not speak TLS."""


def pod_name(namespace: str) -> str:
    """Return what the certificate of a namespace's queueproxies is for."""
    return f"kn-user-{namespace}"
