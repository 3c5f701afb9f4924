"""(pure) The built-in kinds of the local API server, with the names, categories and field selectors Kubernetes has.

A kind listed here is stored and watched; only some also have a controller or defaulting.
"""

from __future__ import annotations

from cluster.api.kinds import Kind

STATUS = frozenset({"status"})
SCALE = frozenset({"status", "scale"})
POD = frozenset({"status", "log", "exec", "attach", "portforward", "proxy", "eviction", "binding"})

POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)
ALL = ("all",)
API_EXTENSIONS = ("api-extensions",)


def _core() -> list[Kind]:
    return [
        Kind(
            "",
            "v1",
            "namespaces",
            "Namespace",
            False,
            "namespace",
            ("ns",),
            selectable=("status.phase",),
            subresources=frozenset({"status", "finalize"}),
            verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        ),
        Kind(
            "",
            "v1",
            "nodes",
            "Node",
            False,
            "node",
            ("no",),
            subresources=frozenset({"status", "proxy"}),
            selectable=("spec.unschedulable",),
        ),
        Kind(
            "",
            "v1",
            "pods",
            "Pod",
            True,
            "pod",
            ("po",),
            ALL,
            subresources=POD,
            has_generation=True,
            selectable=POD_FIELDS,
        ),
        Kind(
            "",
            "v1",
            "services",
            "Service",
            True,
            "service",
            ("svc",),
            ALL,
            subresources=frozenset({"status", "proxy"}),
            selectable=("spec.clusterIP", "spec.type"),
        ),
        Kind("", "v1", "configmaps", "ConfigMap", True, "configmap", ("cm",)),
        Kind("", "v1", "secrets", "Secret", True, "secret", selectable=("type",)),
        Kind(
            "",
            "v1",
            "serviceaccounts",
            "ServiceAccount",
            True,
            "serviceaccount",
            ("sa",),
            subresources=frozenset({"token"}),
        ),
        Kind("", "v1", "events", "Event", True, "event", ("ev",), selectable=EVENT_FIELDS),
        Kind("", "v1", "endpoints", "Endpoints", True, "endpoints", ("ep",)),
        Kind(
            "",
            "v1",
            "persistentvolumeclaims",
            "PersistentVolumeClaim",
            True,
            "persistentvolumeclaim",
            ("pvc",),
            subresources=STATUS,
        ),
        Kind("", "v1", "resourcequotas", "ResourceQuota", True, "resourcequota", ("quota",), subresources=STATUS),
        Kind("", "v1", "limitranges", "LimitRange", True, "limitrange", ("limits",)),
    ]


def _apps() -> list[Kind]:
    return [
        Kind(
            "apps",
            "v1",
            "deployments",
            "Deployment",
            True,
            "deployment",
            ("deploy",),
            ALL,
            subresources=SCALE,
            has_generation=True,
        ),
        Kind(
            "apps",
            "v1",
            "replicasets",
            "ReplicaSet",
            True,
            "replicaset",
            ("rs",),
            ALL,
            subresources=SCALE,
            has_generation=True,
            selectable=("status.replicas",),
        ),
    ]


def _rbac() -> list[Kind]:
    group = "rbac.authorization.k8s.io"
    return [
        Kind(group, "v1", "roles", "Role", True, "role"),
        Kind(group, "v1", "rolebindings", "RoleBinding", True, "rolebinding"),
        Kind(group, "v1", "clusterroles", "ClusterRole", False, "clusterrole"),
        Kind(group, "v1", "clusterrolebindings", "ClusterRoleBinding", False, "clusterrolebinding"),
    ]


def _extensions() -> list[Kind]:
    admission = "admissionregistration.k8s.io"
    return [
        Kind(
            admission,
            "v1",
            "mutatingwebhookconfigurations",
            "MutatingWebhookConfiguration",
            False,
            "mutatingwebhookconfiguration",
            categories=API_EXTENSIONS,
            has_generation=True,
            unconditional_update=False,
        ),
        Kind(
            admission,
            "v1",
            "validatingwebhookconfigurations",
            "ValidatingWebhookConfiguration",
            False,
            "validatingwebhookconfiguration",
            categories=API_EXTENSIONS,
            has_generation=True,
            unconditional_update=False,
        ),
        Kind(
            "apiextensions.k8s.io",
            "v1",
            "customresourcedefinitions",
            "CustomResourceDefinition",
            False,
            "customresourcedefinition",
            ("crd", "crds"),
            API_EXTENSIONS,
            subresources=STATUS,
            has_generation=True,
            unconditional_update=False,
        ),
    ]


def _others() -> list[Kind]:
    return [
        Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, "endpointslice", has_generation=True),
        Kind("coordination.k8s.io", "v1", "leases", "Lease", True, "lease", unconditional_update=False),
        Kind(
            "policy",
            "v1",
            "poddisruptionbudgets",
            "PodDisruptionBudget",
            True,
            "poddisruptionbudget",
            ("pdb",),
            subresources=STATUS,
            has_generation=True,
            unconditional_update=False,
        ),
        Kind(
            "autoscaling",
            "v2",
            "horizontalpodautoscalers",
            "HorizontalPodAutoscaler",
            True,
            "horizontalpodautoscaler",
            ("hpa",),
            ALL,
            subresources=STATUS,
        ),
        Kind(
            "autoscaling",
            "v1",
            "horizontalpodautoscalers",
            "HorizontalPodAutoscaler",
            True,
            "horizontalpodautoscaler",
            ("hpa",),
            ALL,
            subresources=STATUS,
            storage_version="v2",
        ),
        Kind(
            "events.k8s.io", "v1", "events", "Event", True, "event", ("ev",), selectable=EVENT_FIELDS, storage_group=""
        ),
        Kind(
            "networking.k8s.io",
            "v1",
            "networkpolicies",
            "NetworkPolicy",
            True,
            "networkpolicy",
            ("netpol",),
            has_generation=True,
        ),
        Kind(
            "scheduling.k8s.io",
            "v1",
            "priorityclasses",
            "PriorityClass",
            False,
            "priorityclass",
            ("pc",),
            has_generation=True,
        ),
    ]


def builtin_kinds() -> list[Kind]:
    """Return all built-in kinds, core first."""
    return [*_core(), *_apps(), *_rbac(), *_extensions(), *_others()]
