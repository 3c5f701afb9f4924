"""Secrets that the controller makes when they are missing, and reads as text."""

from __future__ import annotations

import base64
import secrets

from tidegate.contracts import names
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object

REPORT_KEY_BYTES = 32


async def ensure_report_key(api: Api, namespace: str) -> bytes:
    """Return the key that report tokens are made with, creating its Secret when missing; raises `ApiError`."""
    fresh = {names.REPORT_KEY_FIELD: secrets.token_hex(REPORT_KEY_BYTES)}
    data = await ensure(api, namespace, names.REPORT_KEY_SECRET, fresh)
    return bytes.fromhex(data[names.REPORT_KEY_FIELD].strip())


async def ensure(api: Api, namespace: str, name: str, fresh: dict[str, str]) -> dict[str, str]:
    """Return a Secret's data as text, creating it with `fresh` when missing; raises `ApiError`."""
    found = await read(api, namespace, name)
    if found is not None:
        return found
    try:
        await api.create(resources.SECRETS, _secret(namespace, name, fresh))
        return fresh
    except ApiError as error:
        if not error.is_already_exists:
            raise
        return await read(api, namespace, name) or fresh


async def read(api: Api, namespace: str, name: str) -> dict[str, str] | None:
    """Return a Secret's data as text, None when it does not exist; raises `ApiError`."""
    try:
        secret = await api.get(resources.SECRETS, name, namespace)
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}


async def write(api: Api, namespace: str, name: str, data: dict[str, str]) -> None:
    """Replace a Secret's data; raises `ApiError`."""
    patch = {"data": _encoded(data)}
    await api.patch(resources.SECRETS, name, patch, namespace)


def _secret(namespace: str, name: str, data: dict[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": _encoded(data),
    }


def _encoded(data: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
