"""(pure) Discovery: which groups, versions and resources the server has, in the old and the aggregated form."""

from __future__ import annotations

from typing import Any

from cluster.api.kinds import Kind, Registry
from tidegate.kube.api import Object

MAJOR, MINOR = "1", "32"
GIT_VERSION = "v1.32.0+tidegate"

# What a subresource offers, and the kind it answers with when that is not the parent's.
SUBRESOURCES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "status": (("get", "patch", "update"), "", ""),
    "finalize": (("update",), "", ""),
    "scale": (("get", "patch", "update"), "autoscaling/v1", "Scale"),
    "log": (("get",), "", ""),
    "exec": (("create", "get"), "v1", "PodExecOptions"),
    "attach": (("create", "get"), "v1", "PodAttachOptions"),
    "portforward": (("create", "get"), "v1", "PodPortForwardOptions"),
    "proxy": (("create", "delete", "get", "patch", "update"), "", ""),
    "eviction": (("create",), "policy/v1", "Eviction"),
    "binding": (("create",), "v1", "Binding"),
    "token": (("create",), "authentication.k8s.io/v1", "TokenRequest"),
}
PROXY_KINDS = {"pods": "PodProxyOptions", "services": "ServiceProxyOptions", "nodes": "NodeProxyOptions"}

# Kinds that are answered but never stored.
UNSTORED: dict[tuple[str, str], list[tuple[str, str, bool]]] = {
    ("authorization.k8s.io", "v1"): [
        ("selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
        ("selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
        ("subjectaccessreviews", "SubjectAccessReview", False),
        ("localsubjectaccessreviews", "LocalSubjectAccessReview", True),
    ],
    ("authentication.k8s.io", "v1"): [
        ("selfsubjectreviews", "SelfSubjectReview", False),
        ("tokenreviews", "TokenReview", False),
    ],
    ("metrics.k8s.io", "v1beta1"): [("nodes", "NodeMetrics", False), ("pods", "PodMetrics", True)],
}
READ_ONLY = "metrics.k8s.io"


def version() -> Object:
    """Return the document of `/version`."""
    return {
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "python",
        "compiler": "cpython",
        "platform": "linux/amd64",
    }


def core_versions() -> Object:
    """Return the document of `/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
    }


def group_versions(registry: Registry) -> dict[str, list[str]]:
    """Return every named group with its versions, preferred first."""
    found = {group: registry.versions(group) for group in registry.groups() if group}
    for group, served in UNSTORED:
        found.setdefault(group, []).append(served)
    return found


def groups(registry: Registry) -> Object:
    """Return the document of `/apis`."""
    documents = [_group(name, versions) for name, versions in group_versions(registry).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": documents}


def group(registry: Registry, name: str) -> Object | None:
    """Return the document of `/apis/<group>`."""
    versions = group_versions(registry).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def _group(name: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resources(registry: Registry, group_name: str, served: str) -> Object | None:
    """Return the document of `/api/v1` or `/apis/<group>/<version>`."""
    listed: list[Object] = []
    for kind in registry.in_version(group_name, served):
        listed.append(_resource(kind))
        listed += [_subresource(kind, name) for name in sorted(kind.subresources)]
    for plural, kind_name, namespaced in UNSTORED.get((group_name, served), []):
        listed.append(_unstored(plural, kind_name, namespaced, _verbs(group_name)))
    if not listed:
        return None
    group_version = f"{group_name}/{served}" if group_name else served
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def _resource(kind: Kind) -> Object:
    document: Object = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        document["shortNames"] = list(kind.short_names)
    if kind.categories:
        document["categories"] = list(kind.categories)
    return document


def _subresource(kind: Kind, name: str) -> Object:
    verbs, api_version, kind_name = SUBRESOURCES[name]
    if name == "proxy":
        kind_name = PROXY_KINDS.get(kind.plural, kind.kind)
    document: Object = {
        "name": f"{kind.plural}/{name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": kind_name or kind.kind,
        "verbs": list(verbs),
    }
    if api_version:
        group_name, _, served = api_version.rpartition("/")
        document |= {"group": group_name, "version": served}
    return document


def _unstored(plural: str, kind_name: str, namespaced: bool, verbs: list[str]) -> Object:
    singular = kind_name.lower() if verbs == ["create"] else ""
    return {"name": plural, "singularName": singular, "namespaced": namespaced, "kind": kind_name, "verbs": verbs}


def _verbs(group_name: str) -> list[str]:
    return ["get", "list"] if group_name == READ_ONLY else ["create"]


def aggregated(registry: Registry, core: bool, served: str) -> Object:
    """Return the aggregated document of `/api` (core) or `/apis`, in version v2 or v2beta1."""
    names = [""] if core else list(group_versions(registry))
    items = [_aggregated_group(registry, name) for name in names]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{served}",
        "metadata": {},
        "items": items,
    }


def _aggregated_group(registry: Registry, name: str) -> Object:
    served = ["v1"] if not name else group_versions(registry)[name]
    versions = [
        {"version": version, "resources": _aggregated_resources(registry, name, version), "freshness": "Current"}
        for version in served
    ]
    metadata: Object = {"name": name} if name else {}
    return {"metadata": metadata | {"creationTimestamp": None}, "versions": versions}


def _aggregated_resources(registry: Registry, group_name: str, served: str) -> list[Object]:
    found = [_aggregated_resource(kind) for kind in registry.in_version(group_name, served)]
    for plural, kind_name, namespaced in UNSTORED.get((group_name, served), []):
        found.append(
            _aggregated(plural, kind_name, group_name, served, namespaced, kind_name.lower(), _verbs(group_name))
        )
    return found


def _aggregated_resource(kind: Kind) -> Object:
    document = _aggregated(
        kind.plural, kind.kind, kind.group, kind.version, kind.namespaced, kind.singular, list(kind.verbs)
    )
    if kind.short_names:
        document["shortNames"] = list(kind.short_names)
    if kind.categories:
        document["categories"] = list(kind.categories)
    subresources = [_aggregated_subresource(kind, name) for name in sorted(kind.subresources)]
    if subresources:
        document["subresources"] = subresources
    return document


def _aggregated_subresource(kind: Kind, name: str) -> Object:
    verbs, api_version, kind_name = SUBRESOURCES[name]
    if name == "proxy":
        kind_name = PROXY_KINDS.get(kind.plural, kind.kind)
    group_name, _, served = (api_version or kind.api_version).rpartition("/")
    response_kind = {"group": group_name, "version": served, "kind": kind_name or kind.kind}
    return {"subresource": name, "responseKind": response_kind, "verbs": list(verbs)}


def _aggregated(*parts: Any) -> Object:
    plural, kind_name, group_name, served, namespaced, singular, verbs = parts
    return {
        "resource": plural,
        "responseKind": {"group": group_name, "version": served, "kind": kind_name},
        "scope": "Namespaced" if namespaced else "Cluster",
        "singularResource": singular,
        "verbs": verbs,
    }
