"""A DomainMapping: its name is a domain, and it refers to something of its own namespace."""

from __future__ import annotations

from typing import Any

from controller.admission import metadata
from tidegate.contracts import names, problems
from tidegate.contracts.problems import FieldProblem

Object = dict[str, Any]

_REQUIRED = ("apiVersion", "kind", "name")


def default(obj: Object) -> None:
    """Default a DomainMapping in place: its reference is to its own namespace."""
    reference = obj.setdefault("spec", {}).setdefault("ref", {})
    if not reference.get("namespace"):
        reference["namespace"] = obj["metadata"].get("namespace", "")


def validate(obj: Object, old: Object | None) -> list[FieldProblem]:
    """Return what is wrong with a DomainMapping."""
    reference = (obj.get("spec") or {}).get("ref") or {}
    return [
        *problems.under("metadata", _name(obj["metadata"])),
        *metadata.users_of(obj, old),
        *problems.under("spec.ref", _reference(reference, obj["metadata"].get("namespace", ""))),
    ]


def _name(head: Object) -> list[FieldProblem]:
    name = str(head.get("name") or "")
    if head.get("generateName"):
        return [problems.disallowed("generateName")]
    found = []
    if not metadata.is_subdomain(name) or "." not in name:
        text = f'invalid name "{name}": should be a domain with at least two segments separated by dots'
        found.append(FieldProblem(text, ("name",)))
    cluster_domain = names.CLUSTER_DOMAIN.removeprefix("svc.")
    if name == cluster_domain or name.endswith(f".{cluster_domain}"):
        text = f'invalid name "{name}": must not be a subdomain of cluster local domain "{cluster_domain}"'
        found.append(FieldProblem(text, ("name",)))
    return found


def _reference(reference: Object, namespace: str) -> list[FieldProblem]:
    absent = [key for key in _REQUIRED if not reference.get(key)]
    found = [problems.missing(*absent)] if absent else []
    if (named := reference.get("namespace")) and named != namespace:
        text = f'parent namespace: "{namespace}" does not match ref: "{named}"'
        found.append(FieldProblem("mismatched namespaces", ("namespace",), text))
    return found
