"""Who may do what: RBAC roles and bindings evaluated for one request. Pure.

There is no deny rule in RBAC: access is the union of all rules of all roles bound to the user, so the order of
evaluation does not matter. Members of `system:masters` may do everything, whatever the roles say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tidegate.kube.api import Object

MASTERS = "system:masters"
_ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class UserInfo:
    """An authenticated user."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What a user wants: a verb on a resource, or on a URL `path` that is no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All roles and bindings of a cluster, as stored."""

    cluster_roles: list[Object] = field(default_factory=list)
    cluster_role_bindings: list[Object] = field(default_factory=list)
    roles: list[Object] = field(default_factory=list)
    role_bindings: list[Object] = field(default_factory=list)


def is_allowed(user: UserInfo, request: AccessRequest, rules: RuleSet) -> bool:
    """Whether any role bound to the user allows the request."""
    if MASTERS in user.groups:
        return True
    return any(covers(rule, request) for rule in rules_for(user, request.namespace, rules))


def rules_for(user: UserInfo, namespace: str, rules: RuleSet) -> Iterator[Object]:
    """Yield the rules that hold for a user in a namespace ("" for cluster-wide requests)."""
    for binding in rules.cluster_role_bindings:
        if _binds(binding, user):
            yield from _rules_of(binding, rules.cluster_roles, [], "")
    if not namespace:
        return
    for binding in rules.role_bindings:
        if binding["metadata"].get("namespace") == namespace and _binds(binding, user):
            yield from _rules_of(binding, rules.cluster_roles, rules.roles, namespace)


def _rules_of(binding: Object, cluster_roles: list[Object], roles: list[Object], namespace: str) -> Iterator[Object]:
    reference = binding.get("roleRef") or {}
    among = roles if reference.get("kind") == "Role" else cluster_roles
    for role in among:
        metadata = role["metadata"]
        in_place = among is cluster_roles or metadata.get("namespace") == namespace
        if in_place and metadata.get("name") == reference.get("name"):
            yield from role.get("rules") or []


def _binds(binding: Object, user: UserInfo) -> bool:
    namespace = binding["metadata"].get("namespace", "")
    return any(_is_subject(subject, user, namespace) for subject in binding.get("subjects") or [])


def _is_subject(subject: Object, user: UserInfo, binding_namespace: str) -> bool:
    name = subject.get("name", "")
    match subject.get("kind"):
        case "User":
            return bool(name == user.name)
        case "Group":
            return name in user.groups
        case "ServiceAccount":
            namespace = subject.get("namespace") or binding_namespace
            return user.name == f"{_ACCOUNT_PREFIX}{namespace}:{name}"
    return False


def covers(rule: Object, request: AccessRequest) -> bool:
    """Whether one rule allows the request."""
    if not _has(rule.get("verbs"), request.verb):
        return False
    if request.path:
        return any(_is_path(pattern, request.path) for pattern in rule.get("nonResourceURLs") or [])
    names = rule.get("resourceNames") or []
    return (
        _has(rule.get("apiGroups"), request.group)
        and _has_resource(rule.get("resources") or [], request)
        and (not names or request.name in names)
    )


def _has(values: Any, wanted: str) -> bool:
    return bool(values) and ("*" in values or wanted in values)


def _has_resource(resources: list[str], request: AccessRequest) -> bool:
    if not request.subresource:
        return _has(resources, request.resource)
    whole = f"{request.resource}/{request.subresource}"
    return "*" in resources or whole in resources or f"*/{request.subresource}" in resources


def _is_path(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern
