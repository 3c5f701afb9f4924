"""Labels, annotations, ports and object names that several processes must spell alike.

Knative's own spellings come from its public API specification; what is Tidegate's alone begins with `tidegate.dev/`.
"""

from __future__ import annotations

import hashlib

SYSTEM_NAMESPACE = "tidegate-system"

SERVING = "serving.knative.dev/"
SERVICE_LABEL = SERVING + "service"
SERVICE_UID_LABEL = SERVING + "serviceUID"
CONFIGURATION_LABEL = SERVING + "configuration"
CONFIGURATION_UID_LABEL = SERVING + "configurationUID"
CONFIGURATION_GENERATION_LABEL = SERVING + "configurationGeneration"
REVISION_LABEL = SERVING + "revision"
REVISION_UID_LABEL = SERVING + "revisionUID"
ROUTE_LABEL = SERVING + "route"
ROUTE_NAMESPACE_LABEL = SERVING + "routeNamespace"
ROUTING_STATE_LABEL = SERVING + "routingState"
ROUTING_STATE_MODIFIED_ANNOTATION = SERVING + "routingStateModified"
ROUTES_ANNOTATION = SERVING + "routes"
CREATOR_ANNOTATION = SERVING + "creator"
LAST_MODIFIER_ANNOTATION = SERVING + "lastModifier"
ROLLOUT_DURATION_ANNOTATION = SERVING + "rollout-duration"
VISIBILITY_LABEL = "networking.knative.dev/visibility"
CLUSTER_LOCAL = "cluster-local"
CLUSTER_DOMAIN = "svc.cluster.local"
HTTP_PROTOCOL_ANNOTATION = "networking.knative.dev/http-protocol"
REDIRECTED = "redirected"
ROLLOUT_STATE_ANNOTATION = "networking.internal.knative.dev/rollout"
"""In a Route's status: how far its gradual rollouts are."""
MAPPED_TO_ANNOTATION = "tidegate.dev/mapped-to"
"""In a DomainMapping's status: the name inside the cluster that its host stands for now."""
EXPLAINER_ANNOTATION = "tidegate.dev/explainer"
"""On a Route: the Route of its namespace that answers `/v1/models/...:explain` in its place."""
CERTIFICATE_CLASS_ANNOTATION = "networking.knative.dev/certificate.class"
CERTIFICATE_TYPE_LABEL = "networking.knative.dev/certificate-type"
WILDCARD_LABEL = "networking.knative.dev/wildcardDomain"
"""On a Certificate for all hosts of a namespace: the domain that they are below."""
EXTERNAL_DOMAIN, CLUSTER_LOCAL_DOMAIN, SYSTEM_INTERNAL = "external-domain", "cluster-local-domain", "system-internal"
"""What a Certificate is for: hosts of the public, names of the cluster, Tidegate's own components."""
OWN_CERTIFICATE_CLASS = "tidegate.certificate.networking.knative.dev"
"""Certificates that the controller signs itself."""
CERT_MANAGER_CLASS = "cert-manager.certificate.networking.knative.dev"
"""Certificates that cert-manager is asked for."""
GATEWAY_CERTIFICATE_CLASS = "gateway.certificate.tidegate.dev"
"""No Certificates: the one that the gateway is given by file covers all public hosts."""
SERVED_HOSTS_ANNOTATION = "tidegate.dev/hosts"
"""On a key pair for gateways: the hosts, by commas, that it is shown for."""
AUTOSCALING = "autoscaling.knative.dev/"
SIDECAR = "queue.sidecar.serving.knative.dev/"
SIDECAR_PERCENTAGE_ANNOTATION = SIDECAR + "resource-percentage"
PODSPEC_DRY_RUN_ANNOTATION = "features.knative.dev/podspec-dryrun"
PODINFO_ANNOTATION = "features.knative.dev/queueproxy-podinfo"
DEPLOYMENT_SUFFIX = "-deployment"
STANDBY_LABEL = "tidegate.dev/standby"
"""On what is made of a revision for its standby pods; its value is the revision."""
STANDBY_UID_LABEL = "tidegate.dev/standby-uid"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"

CONFIG_AUTOSCALER = "config-autoscaler"
CONFIG_CERTMANAGER = "config-certmanager"
CONFIG_DEFAULTS = "config-defaults"
CONFIG_DEPLOYMENT = "config-deployment"
CONFIG_DOMAIN = "config-domain"
CONFIG_FEATURES = "config-features"
CONFIG_GC = "config-gc"
CONFIG_NETWORK = "config-network"
CONFIG_OBSERVABILITY = "config-observability"

REPORT_KEY_SECRET = "report-key"
REPORT_KEY_FIELD = "key"
AUTHORITY = "certificate-authority"
"""Secret (with its key) and ConfigMap (without) of the authority that signs Certificates of our own class."""
CERTIFICATES_NAMESPACE = "tidegate-certificates"
"""Where gateways read the key pairs that they serve; nothing else is there."""
CA_FIELD, CERTIFICATE_FIELD, KEY_FIELD = "ca.crt", "tls.crt", "tls.key"
"""In Secrets of type kubernetes.io/tls."""

ACTIVATOR_SERVICE = "activator-service"
AUTOSCALER_SERVICE = "autoscaler"
GATEWAY_SERVICE = "gateway"
GATEWAY_LOCAL_SERVICE = "gateway-internal"
WEBHOOK_SERVICE = "webhook"
CONTROLLER_ACCOUNT = "controller"

SERVING_PORT = 8012
GATEWAY_LOCAL_PORT = 8081
GATEWAY_LOCAL_TLS_PORT = 8444
ADMIN_PORT = 8022
QUEUEPROXY_METRICS_PORT = 9091
METRICS_PORT = 9090
REPORT_PORT = 8080
WEBHOOK_PORT = 8443
GATEWAY_TLS_PORT = 8443
DEFAULT_USER_PORT = 8080
RESERVED_PORTS = frozenset({8008, 8012, 8013, 8022, 9090, 9091})

USER_CONTAINER = "user-container"
QUEUE_CONTAINER = "queue-proxy"

NAME_LIMIT = 63
_DIGEST_LENGTH = 32


def child_name(parent: str, suffix: str) -> str:
    """Return `parent + suffix`, shortened with an md5 digest so that it fits a DNS label of 63 characters.

    The rule is Knative's (kmeta.ChildName), so that names agree with what its users expect. md5 only shortens here.
    """
    if len(parent) + len(suffix) <= NAME_LIMIT:
        return parent + suffix
    room = NAME_LIMIT - _DIGEST_LENGTH - len(suffix)
    if room > 0:
        return parent[:room] + _digest(parent) + suffix
    return parent[: NAME_LIMIT - _DIGEST_LENGTH] + _digest(parent + suffix)


def revision_name(configuration: str, generation: int) -> str:
    """Return the name of the revision made from a Configuration's generation: `hello-00001`."""
    return child_name(configuration, f"-{generation:05d}")


def deployment_name(revision: str) -> str:
    """Return the name of a revision's Deployment."""
    return child_name(revision, DEPLOYMENT_SUFFIX)


def private_service_name(revision: str) -> str:
    """Return the name of the Service whose endpoints are the revision's pods."""
    return child_name(revision, "-private")


def standby_deployment_name(revision: str) -> str:
    """Return the name of the Deployment of a revision's standby pods."""
    return child_name(revision, "-standby-deployment")


def standby_service_name(revision: str) -> str:
    """Return the name of the Service whose endpoints are the revision's standby pods."""
    return child_name(revision, "-standby")


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
