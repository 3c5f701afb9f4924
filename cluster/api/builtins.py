"""Defaults and rules of the built-in kinds: the two functions that the API server's write path calls.

Pure. The order of a write is: default, mutate by webhooks, default again, validate. This module only finds the right
function per kind; the defaults are in `builtin_defaults`, the rules in `*_validation`, the types in `builtin_schemas`.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.api import builtin_validation, extension_validation
from cluster.api.builtin_defaults import default_builtin
from cluster.api.builtin_schemas import check_fields
from cluster.api.field_errors import FieldError
from tidegate.kube.api import Object

__all__ = ["default_builtin", "unknown_builtin_fields", "validate_builtin"]

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_RULES: dict[tuple[str, str], Callable[[Object, Object | None], list[FieldError]]] = {
    ("", "Pod"): builtin_validation.check_pod,
    ("", "Service"): builtin_validation.check_service,
    ("", "ConfigMap"): builtin_validation.check_config_map,
    ("", "Secret"): builtin_validation.check_secret,
    ("", "Event"): extension_validation.check_event,
    ("apps", "Deployment"): builtin_validation.check_deployment,
    ("apps", "ReplicaSet"): builtin_validation.check_deployment,
    (_RBAC, "Role"): builtin_validation.check_role,
    (_RBAC, "ClusterRole"): builtin_validation.check_role,
    (_RBAC, "RoleBinding"): builtin_validation.check_role_binding,
    (_RBAC, "ClusterRoleBinding"): builtin_validation.check_role_binding,
    ("discovery.k8s.io", "EndpointSlice"): extension_validation.check_endpoint_slice,
    ("coordination.k8s.io", "Lease"): extension_validation.check_lease,
    ("scheduling.k8s.io", "PriorityClass"): extension_validation.check_priority_class,
    (_ADMISSION, "MutatingWebhookConfiguration"): extension_validation.check_webhooks,
    (_ADMISSION, "ValidatingWebhookConfiguration"): extension_validation.check_webhooks,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): extension_validation.check_definition,
}


def validate_builtin(kind: str, group: str, obj: Object, old: Object | None) -> list[FieldError]:
    """Return what is wrong with a defaulted object of a built-in kind; `old` is the one it replaces.

    Metadata is not looked at (see `metadata`). Values of the wrong type are reported alone: rules presume types.
    """
    wrong_types = check_fields(kind, group, obj).errors
    if wrong_types:
        return wrong_types
    rules = _RULES.get((group, kind))
    return rules(obj, old) if rules else []


def unknown_builtin_fields(kind: str, group: str, obj: Object) -> list[str]:
    """Return the paths of fields that this kind does not have, for `fieldValidation`; none for kinds not known."""
    return check_fields(kind, group, obj).unknown
