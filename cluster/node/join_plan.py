"""What a process node may do in a cluster, and no more: a service account of its own with the rights bound to it.

Pure: names and namespaces in, objects to apply and the kubeconfig out. What a right is for stands beside it. RBAC knows
no "pods of this node", so pods, and what they refer to, are allowed by namespace or altogether.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from tidegate.kube.api import Object

NAMESPACE = "kube-system"
LEASES_NAMESPACE = "kube-node-lease"
RBAC = "rbac.authorization.k8s.io"
API = f"{RBAC}/v1"


def account_of(node: str) -> str:
    """Return the name of the node's service account, and of the roles that are its alone."""
    return f"process-node-{node}"


def everywhere_of(node: str) -> str:
    """Return the name of the cluster role of a node that may run pods in all namespaces. No node's name has a colon."""
    return f"{account_of(node)}:pods"


def objects(node: str, namespaces: Sequence[str] = ()) -> list[Object]:
    """Return what to apply for `node`, which may run pods in `namespaces` (empty: in all)."""
    name = account_of(node)
    account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}
    made = [account, *_bound(name, "", _everywhere(node)), *_bound(name, LEASES_NAMESPACE, _leases(node))]
    if not namespaces:
        return [*made, *_bound(everywhere_of(node), "", _pods(), account=name)]
    for namespace in dict.fromkeys(namespaces):
        made += _bound(name, namespace, _pods())
    return made


def _everywhere(node: str) -> list[Object]:
    return [
        # Its own Node. A creation cannot be narrowed to a name.
        _rule("", ["nodes"], ["create"]),
        _rule("", ["nodes"], ["get", "patch"], [node]),
        _rule("", ["nodes/status"], ["patch"], [node]),
        # The pods bound to it are found by a field selector; their Services are listened for, and spliced to.
        _rule("", ["pods"], ["list", "watch"]),
        _rule("", ["services"], ["list", "watch"]),
        _rule("discovery.k8s.io", ["endpointslices"], ["list", "watch"]),
    ]


def _leases(node: str) -> list[Object]:
    # That it lives.
    group = "coordination.k8s.io"
    return [_rule(group, ["leases"], ["create"]), _rule(group, ["leases"], ["patch"], [node])]


def _pods() -> list[Object]:
    return [
        # What becomes of its pods; the last deletion is the node's.
        _rule("", ["pods"], ["get", "delete"]),
        _rule("", ["pods/status"], ["patch"]),
        _rule("", ["events"], ["create", "patch"]),
        # What they refer to, by name, and the tokens of their accounts.
        _rule("", ["configmaps", "secrets"], ["get"]),
        _rule("", ["serviceaccounts/token"], ["create"]),
        # The first pod that uses a claim binds it.
        _rule("", ["persistentvolumeclaims"], ["get"]),
        _rule("", ["persistentvolumeclaims/status"], ["patch"]),
    ]


def _rule(group: str, resources: list[str], verbs: list[str], names: list[str] | None = None) -> Object:
    rule: Object = {"apiGroups": [group], "resources": resources, "verbs": verbs}
    return rule | ({"resourceNames": names} if names else {})


def _bound(name: str, namespace: str, rules: list[Object], account: str = "") -> list[Object]:
    """Return a role of that name with its binding to the account: of a namespace, or of the cluster."""
    kind, metadata = ("Role", {"name": name, "namespace": namespace}) if namespace else ("ClusterRole", {"name": name})
    subject = {"kind": "ServiceAccount", "name": account or name, "namespace": NAMESPACE}
    bound = {"roleRef": {"apiGroup": RBAC, "kind": kind, "name": name}, "subjects": [subject]}
    return [
        {"apiVersion": API, "kind": kind, "metadata": metadata, "rules": rules},
        {"apiVersion": API, "kind": f"{kind}Binding", "metadata": metadata, **bound},
    ]


def token_request(node: str, lifetime_s: int) -> Object:
    """Return the request for the node's token."""
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {"name": account_of(node), "namespace": NAMESPACE},
        "spec": {"expirationSeconds": lifetime_s},
    }


def kubeconfig(node: str, server: str, ca_pem: str, token: str) -> Object:
    """Return the node's kubeconfig; without a CA the machine's own are trusted."""
    cluster: Object = {"server": server}
    if ca_pem:
        cluster["certificate-authority-data"] = base64.b64encode(ca_pem.encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": node, "user": {"token": token}}],
        "contexts": [{"name": node, "context": {"cluster": "cluster", "user": node}}],
        "current-context": node,
    }
