"""The Certificates of Tidegate's own hops, with system-internal-tls: that of activators, and one for each namespace.

Pure. They are plain Certificates: who signs them, renews them and writes their Secrets is who does it for all. A
namespace's is asked for by its first revision and stays with the namespace; pods mount its Secret, so they start once
it is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.reconcile import metadata
from controller.reconcile.outcome import Action, Apply, Object
from tidegate.contracts import internal_tls, names
from tidegate.contracts.config.network import Network
from tidegate.kube import resources

VOLUME = "server-certs"


@dataclass(frozen=True, slots=True)
class Observed:
    """The two Certificates that a revision needs."""

    pods: Object | None = None
    routing: Object | None = None


def actions(namespace: str, observed: Observed, config: Network) -> list[Action]:
    """Return what the hops to a revision in `namespace` need; nothing where they speak clear text."""
    if not config.has_system_tls:
        return []
    pairs = ((observed.pods, of_pods(namespace, config)), (observed.routing, of_activators(config)))
    return [Apply(desired) for existing, desired in pairs if metadata.needs_apply(existing, desired)]


def of_pods(namespace: str, config: Network) -> Object:
    """Return the Certificate of a namespace's queue-proxies."""
    return _certificate(namespace, internal_tls.POD_SECRET, internal_tls.pod_name(namespace), config)


def of_activators(config: Network) -> Object:
    """Return the Certificate of activators."""
    return _certificate(names.SYSTEM_NAMESPACE, internal_tls.ROUTING_SECRET, internal_tls.ROUTING_NAME, config)


def mount(pod: Object, queue: Object) -> None:
    """Let the queue-proxy of a pod find its certificate, and say in the pod that it speaks TLS."""
    secret = {"secretName": internal_tls.POD_SECRET}
    pod["volumes"] = [*(pod.get("volumes") or []), {"name": VOLUME, "secret": secret}]
    mounted = {"name": VOLUME, "mountPath": internal_tls.POD_FOLDER, "readOnly": True}
    queue["volumeMounts"] = [*(queue.get("volumeMounts") or []), mounted]
    port = {"name": internal_tls.POD_PORT_NAME, "containerPort": internal_tls.PORT, "protocol": "TCP"}
    queue["ports"] = [*queue["ports"], port]
    queue["env"] = [
        *queue["env"],
        {"name": "QUEUE_SERVING_TLS_PORT", "value": str(internal_tls.PORT)},
        {"name": "TIDEGATE_CERTIFICATES", "value": internal_tls.POD_FOLDER},
    ]


def service_port() -> Object:
    """Return the port of a revision's Service that leads to those of its pods that speak TLS."""
    return {"name": internal_tls.PORT_NAME, "port": 443, "protocol": "TCP", "targetPort": internal_tls.POD_PORT_NAME}


def _certificate(namespace: str, secret: str, name: str, config: Network) -> Object:
    # The gateway's own covers hosts of the public alone.
    is_given = config.certificate_class == names.GATEWAY_CERTIFICATE_CLASS
    issuer_class = names.OWN_CERTIFICATE_CLASS if is_given else config.certificate_class
    head = {
        "apiVersion": resources.CERTIFICATES.api_version,
        "kind": resources.CERTIFICATES.kind,
        "metadata": {
            "name": secret,
            "namespace": namespace,
            "labels": {names.CERTIFICATE_TYPE_LABEL: names.SYSTEM_INTERNAL},
            "annotations": {names.CERTIFICATE_CLASS_ANNOTATION: issuer_class},
        },
    }
    spec = {"dnsNames": [name, internal_tls.LEGACY_NAME], "secretName": secret}
    return metadata.stamped(head | {"spec": spec})
