"""How the lists and maps of built-in kinds merge: by which key, as a set, or as a whole.

Pure. Strategic merge patch and server-side apply read the same table, so they cannot disagree about what one item is.
A field that is not named here merges as its JSON type suggests: maps by key, lists as a whole. Source of the facts: the
patch-merge-key and list-type markers in the published Kubernetes API types.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListRule:
    """Items are the same item when these fields agree.

    `patch_key` is strategic merge's ("" when it replaces the list), `apply_keys` server-side apply's (empty: atomic).
    `is_set` marks lists of scalars in which each value is an item of its own.
    """

    patch_key: str = ""
    apply_keys: tuple[str, ...] = ()
    is_set: bool = False


ATOMIC = ListRule()
_SET = ListRule(is_set=True)


def _by(patch_key: str, *apply_keys: str) -> ListRule:
    return ListRule(patch_key, apply_keys or (patch_key,))


_NAME = _by("name")

# (name of the field that holds the list's owner, name of the list); "" stands for any owner.
_RULES: dict[tuple[str, str], ListRule] = {
    ("", "containers"): _NAME,
    ("", "initContainers"): _NAME,
    ("", "ephemeralContainers"): _NAME,
    ("spec", "volumes"): _NAME,
    ("spec", "imagePullSecrets"): _NAME,
    ("spec", "hostAliases"): _by("ip"),
    ("spec", "topologySpreadConstraints"): _by("topologyKey", "topologyKey", "whenUnsatisfiable"),
    ("spec", "schedulingGates"): _NAME,
    ("spec", "resourceClaims"): _NAME,
    ("resources", "claims"): ListRule("", ("name",)),
    ("", "env"): _NAME,
    ("", "volumeMounts"): _by("mountPath"),
    ("", "volumeDevices"): _by("devicePath"),
    ("containers", "ports"): _by("containerPort", "containerPort", "protocol"),
    ("initContainers", "ports"): _by("containerPort", "containerPort", "protocol"),
    ("ephemeralContainers", "ports"): _by("containerPort", "containerPort", "protocol"),
    ("status", "conditions"): _by("type"),
    ("status", "addresses"): _by("type"),
    ("status", "podIPs"): _by("ip"),
    ("status", "hostIPs"): _by("ip"),
    ("metadata", "ownerReferences"): _by("uid"),
    ("metadata", "finalizers"): _SET,
    ("", "webhooks"): _NAME,
    ("", "secrets"): _NAME,
}

_SERVICE_PORTS = _by("port", "port", "protocol")

# Objects that one manager owns whole, although they are maps.
_ATOMIC_MAPS = frozenset(
    {"selector", "nodeSelector", "labelSelector", "namespaceSelector", "objectSelector", "configMapKeyRef"}
    | {"secretKeyRef", "fieldRef", "resourceFieldRef", "secretRef", "roleRef", "involvedObject", "targetRef"}
    | {"scaleTargetRef"}
)

# Values that a key has when an item leaves it out.
KEY_DEFAULTS = {"protocol": "TCP"}


def list_rule(kind: str, owner: str, field: str) -> ListRule:
    """Return how list `field` of the object held by field `owner` merges (`owner` is "" at the root)."""
    if field == "ports" and owner == "spec":
        return _SERVICE_PORTS if kind == "Service" else ATOMIC
    return _RULES.get((owner, field)) or _RULES.get(("", field)) or ATOMIC


def is_atomic_map(field: str) -> bool:
    """Whether server-side apply treats the map in this field of a built-in kind as one value."""
    return field in _ATOMIC_MAPS
