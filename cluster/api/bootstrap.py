"""What exists in every cluster from the start: the four namespaces and the cluster roles users refer to."""

from __future__ import annotations

from cluster.api import writes
from cluster.api.backend import Backend
from cluster.api.users import APISERVER, Call
from cluster.store import Stale
from tidegate.kube.api import Object

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
READ = ["get", "list", "watch"]
METRICS: Object = {"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": READ}
WRITE = [*READ, "create", "update", "patch", "delete", "deletecollection"]
EVERYTHING: Object = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
RBAC = "rbac.authorization.k8s.io"

ROLES: dict[str, list[Object]] = {
    "cluster-admin": [EVERYTHING, {"nonResourceURLs": ["*"], "verbs": ["*"]}],
    "admin": [{"apiGroups": ["*"], "resources": ["*"], "verbs": WRITE}],
    "edit": [
        {"apiGroups": ["", "apps", "autoscaling", "policy", "networking.k8s.io"], "resources": ["*"], "verbs": WRITE},
        METRICS,
    ],
    "view": [
        {"apiGroups": ["", "apps", "autoscaling", "policy", "networking.k8s.io"], "resources": ["*"], "verbs": READ},
        METRICS,
    ],
    "system:discovery": [
        {"nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"], "verbs": ["get"]}
    ],
    # What the process node does: its Node and Lease, the pods it runs and what they refer to, and services' addresses.
    "system:node": [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch", "create", "patch", "update"]},
        {"apiGroups": [""], "resources": ["nodes/status", "pods/status"], "verbs": ["get", "patch", "update"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps", "secrets", "serviceaccounts"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "patch", "update"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    ],
    "system:basic-user": [
        {
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            "verbs": ["create"],
        },
        {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
    ],
}
BINDINGS = {
    "cluster-admin": "system:masters",
    "system:node": "system:nodes",
    "system:discovery": "system:authenticated",
    "system:basic-user": "system:authenticated",
}


async def ensure(backend: Backend) -> None:
    """Create what is missing, and bring the roles of an older version up to date."""
    for name in NAMESPACES:
        await _ensure(backend, "", "namespaces", name, {"metadata": {"name": name}})
    for name, rules in ROLES.items():
        await _ensure(backend, RBAC, "clusterroles", name, {"metadata": {"name": name}, "rules": rules})
    for role, group in BINDINGS.items():
        reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
        subjects = [{"apiGroup": RBAC, "kind": "Group", "name": group}]
        binding: Object = {"metadata": {"name": role}, "roleRef": reference, "subjects": subjects}
        await _ensure(backend, RBAC, "clusterrolebindings", role, binding)


async def _ensure(backend: Backend, group: str, plural: str, name: str, obj: Object) -> None:
    kind = backend.registry.find(group, "v1", plural)
    assert kind is not None, f"{plural} is a built-in kind"
    key = backend.key(kind, "", name)
    if backend.store.get(key) is not None:
        if plural == "clusterroles":
            change = {"rules": obj["rules"]}
            await writes.modify(backend, kind, key, lambda live: live | change, Call(APISERVER, "kube-apiserver"))
        return
    try:
        await writes.create_once(backend, kind, "", obj, Call(APISERVER, "kube-apiserver"))
    except Stale:
        return
