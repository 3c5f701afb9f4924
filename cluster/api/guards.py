"""Permissions that the verb alone does not show: nobody grants more than they have, or blocks a deletion they may not.

Two built-in admission steps of Kubernetes: RBAC escalation (a writer of roles and bindings must hold the rights, or the
verbs `escalate` or `bind`), and, in strict mode, owner references with `blockOwnerDeletion`, which OpenShift enforces.
"""

from __future__ import annotations

from itertools import product

from cluster.api import status, users
from cluster.api.authorize import GROUP, Authorizer
from cluster.api.backend import DELETE, Admitted, Backend
from cluster.api.rbac import AccessRequest, covers
from cluster.store import Key
from tidegate.kube.api import Object

ROLES = {"Role": "roles", "ClusterRole": "clusterroles"}
BINDINGS = {"RoleBinding", "ClusterRoleBinding"}


class Guards:
    """`backend.Admission` that refuses such writes and changes nothing."""

    def __init__(self, backend: Backend, authorizer: Authorizer) -> None:
        self._backend = backend
        self._authorizer = authorizer

    async def mutate(self, write: Admitted) -> Object | None:
        """Return the object unchanged."""
        return write.obj

    async def validate(self, write: Admitted) -> None:
        """Raise `ApiError` Forbidden for what the writer may not grant or block."""
        if write.call.user.is_master or write.operation == DELETE or write.obj is None:
            return
        if write.kind.group == GROUP:
            self._check_grants(write, write.obj)
        elif self._backend.strictness.guards_owners:
            self._check_owners(write, write.obj)

    # RBAC

    def _check_grants(self, write: Admitted, obj: Object) -> None:
        old = write.old or {}
        if write.kind.kind in ROLES and obj.get("rules") != old.get("rules"):
            if not self._may(write, "escalate", ROLES[write.kind.kind], write.key.name):
                self._require_held(write, obj.get("rules") or [])
        elif write.kind.kind in BINDINGS and _granted(obj) != _granted(old):
            reference = obj.get("roleRef") or {}
            plural = ROLES.get(str(reference.get("kind")), "clusterroles")
            if not self._may(write, "bind", plural, str(reference.get("name"))):
                namespace = write.key.namespace if plural == "roles" else ""
                key = ("rbac.authorization.k8s.io", plural, namespace, str(reference.get("name")))
                self._require_held(write, self._rules_of(key))

    def _rules_of(self, key: tuple[str, str, str, str]) -> list[Object]:
        entry = self._backend.store.get(Key(*key))
        if entry is None:
            raise status.not_found(status.Named(key[0], key[1], ""), key[3])
        rules: list[Object] = entry.decode().get("rules") or []
        return rules

    def _may(self, write: Admitted, verb: str, plural: str, name: str) -> bool:
        return self._authorizer.allows(
            write.call.user, AccessRequest(verb, GROUP, plural, "", write.key.namespace, name)
        )

    def _require_held(self, write: Admitted, wanted: list[Object]) -> None:
        user = write.call.user
        resources, paths = self._authorizer.rules_of(user, write.key.namespace)
        missing = [rule for rule in wanted if not is_held(rule, [*resources, *paths])]
        if missing:
            shown = "\n".join(_shown(rule) for rule in missing)
            groups = ", ".join(f'"{group}"' for group in user.groups)
            why = f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:'
            raise status.forbidden(write.kind.named, write.key.name, f"{why}\n{shown}")

    # Owners

    def _check_owners(self, write: Admitted, obj: Object) -> None:
        before = {one.get("uid") for one in _blocking(write.old)}
        for reference in _blocking(obj):
            if reference.get("uid") not in before:
                self._require_finalizers(write, reference)

    def _require_finalizers(self, write: Admitted, reference: Object) -> None:
        group, _, _ = str(reference.get("apiVersion", "")).rpartition("/")
        kind = self._backend.registry.of_kind(group, str(reference.get("kind")))
        text = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on"
        if kind is None:
            why = f"{text}: no kind {reference.get('kind')!r} in API group {group!r}"
            raise status.forbidden(write.kind.named, write.key.name, why)
        namespace = write.key.namespace if kind.namespaced else ""
        question = AccessRequest("update", group, kind.plural, "finalizers", namespace, str(reference.get("name")))
        if not self._authorizer.allows(write.call.user, question):
            why = f"{text}: {users.may_not(write.call.user, 'update', f'{kind.plural}/finalizers', group)}"
            raise status.forbidden(write.kind.named, write.key.name, why)


def is_held(rule: Object, held: list[Object]) -> bool:
    """Whether the rules `held` together allow everything that `rule` does."""
    if rule.get("nonResourceURLs"):
        asked = (AccessRequest(verb, path=path) for verb, path in product(rule["verbs"], rule["nonResourceURLs"]))
    else:
        asked = (
            AccessRequest(verb, group, *_parts(resource), name=name)
            for verb, group, resource, name in product(
                rule.get("verbs") or [],
                rule.get("apiGroups") or [],
                rule.get("resources") or [],
                rule.get("resourceNames") or [""],
            )
        )
    return all(any(covers(one, request) for one in held) for request in asked)


def _parts(resource: str) -> tuple[str, str]:
    plural, _, subresource = resource.partition("/")
    return plural, subresource


def _granted(binding: Object) -> tuple[object, object]:
    return binding.get("roleRef"), binding.get("subjects")


def _blocking(obj: Object | None) -> list[Object]:
    references = ((obj or {}).get("metadata") or {}).get("ownerReferences") or []
    return [one for one in references if one.get("blockOwnerDeletion")]


def _shown(rule: Object) -> str:
    names = {"apiGroups": "APIGroups", "resources": "Resources", "resourceNames": "ResourceNames"}
    names |= {"nonResourceURLs": "NonResourceURLs", "verbs": "Verbs"}
    parts = []
    for field, shown in names.items():
        if rule.get(field):
            values = ", ".join(f'"{value}"' for value in rule[field])
            parts.append(f"{shown}:[{values}]")
    return "{" + ", ".join(parts) + "}"
