"""User and password of a registry, from Secrets of type `kubernetes.io/dockerconfigjson`. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from controller.digests.reference import HUB

Object = Mapping[str, Any]
Credentials = Mapping[str, tuple[str, str]]
"""User and password by registry."""

DATA_KEY = ".dockerconfigjson"


def names_of(pod_spec: Object, account: Object | None) -> list[str]:
    """Return the names of the pull Secrets of a pod and of its ServiceAccount, each once."""
    listed = [*(pod_spec.get("imagePullSecrets") or []), *((account or {}).get("imagePullSecrets") or [])]
    return list(dict.fromkeys(str(one["name"]) for one in listed if one.get("name")))


def credentials(secrets: Iterable[Object]) -> Credentials:
    """Return what Secrets say of registries, the first one winning; a Secret that cannot be read says nothing."""
    found: dict[str, tuple[str, str]] = {}
    for secret in secrets:
        for registry, entry in _auths(secret).items():
            pair = _pair(entry)
            if pair is not None:
                found.setdefault(_host(registry), pair)
    return found


def _auths(secret: Object) -> Mapping[str, Any]:
    try:
        text = base64.b64decode((secret.get("data") or {}).get(DATA_KEY, ""))
        document = msgspec.json.decode(text or b"{}", type=dict[str, Any])
    except (ValueError, msgspec.ValidationError):
        return {}
    auths = document.get("auths")
    return auths if isinstance(auths, dict) else {}


def _pair(entry: Any) -> tuple[str, str] | None:
    if not isinstance(entry, dict):
        return None
    if entry.get("username"):
        return str(entry["username"]), str(entry.get("password") or "")
    try:
        user, colon, password = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


def _host(registry: str) -> str:
    host = registry.split("://", 1)[-1].split("/", 1)[0]
    return HUB if host in ("docker.io", "registry-1.docker.io") else host
