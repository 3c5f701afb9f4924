"""Namespaces: a new one gets a default ServiceAccount and the CA's ConfigMap; a deleted one is emptied, then finalized.

Pure. `contents` is everything namespaced that the API server still lists in it.
"""

from __future__ import annotations

from cluster.controllers.actions import Action, Create, Delete, Finalize, Plan, is_deleting
from tidegate.kube import resources
from tidegate.kube.api import Object, Resource, name_of

ROOT_CA = "kube-root-ca.crt"
LOOK_AGAIN_S = 1.0
"""Finalizers and pods' grace periods hold contents back without an event in the namespace itself."""


def plan_active(namespace: Object, has_account: bool, has_root_ca: bool, root_ca_pem: str) -> Plan:
    """Return what a living namespace lacks."""
    if is_deleting(namespace):
        return Plan()
    name = name_of(namespace)
    actions: list[Action] = []
    if not has_account:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        actions.append(Create(resources.SERVICE_ACCOUNTS, account))
    if root_ca_pem and not has_root_ca:
        metadata = {"name": ROOT_CA, "namespace": name}
        bundle = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": root_ca_pem}}
        actions.append(Create(resources.CONFIG_MAPS, bundle))
    return Plan(actions)


def plan_deletion(namespace: Object, contents: list[tuple[Resource, Object]]) -> Plan:
    """Return the deletes that empty a deleted namespace, or its finalization once it is empty."""
    if not is_deleting(namespace):
        return Plan()
    name = name_of(namespace)
    if contents:
        deletes: list[Action] = [
            Delete(resource, name, name_of(one), str(one["metadata"]["uid"]))
            for resource, one in contents
            if not is_deleting(one)
        ]
        return Plan(deletes, LOOK_AGAIN_S)
    spec = namespace.get("spec") or {}
    kept = [one for one in spec.get("finalizers") or [] if one != "kubernetes"]
    return Plan([Finalize({**namespace, "spec": {**spec, "finalizers": kept}})])
