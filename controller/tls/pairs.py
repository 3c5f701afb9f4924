"""Secrets with key pairs: read one by one, written for Certificates, copied to where gateways read them.

Secrets of users' namespaces are never listed or watched. What is written says whose it is; what is not ours is never
written over.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller.reconcile import metadata
from controller.tls import plan
from tidegate.contracts import names, programmed
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object, annotations_of, name_of, namespace_of

MANAGER = "tidegate-controller"
OURS = {"app.kubernetes.io/managed-by": "tidegate"}
TLS_TYPE = "kubernetes.io/tls"
COPY_LABEL = "tidegate.dev/copy-for"
"""On copies for gateways: the kind of object that asked."""


Owner = tuple[str, str, str]
"""Kind, name and uid."""


@dataclass(frozen=True)
class Found:
    """A Secret as it was read: its data as text (what is no text is left out), and its identity."""

    version: str
    owners: tuple[Owner, ...]
    annotations: Mapping[str, str]
    data: dict[str, str] = field(repr=False)


async def read(api: Api, namespace: str, name: str) -> Found | None:
    """Return a Secret, None when there is none; raises `ApiError`."""
    try:
        secret = await api.get(resources.SECRETS, name, namespace)
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
    references = secret["metadata"].get("ownerReferences") or ()
    owners = tuple((str(one.get("kind")), str(one.get("name")), str(one.get("uid"))) for one in references)
    version = f"{secret['metadata'].get('uid')}/{secret['metadata'].get('resourceVersion')}"
    return Found(version, owners, annotations_of(secret), _decoded(secret.get("data") or {}))


async def write(api: Api, certificate: Object, data: Mapping[str, str], *, is_new: bool) -> None:
    """Write a Certificate's key pair into the Secret that it names; raises `ApiError`."""
    name, owner = str(certificate["spec"]["secretName"]), metadata.owner_reference(certificate)
    await put(api, namespace_of(certificate), name, data, owner=owner, is_new=is_new)


async def publish(api: Api, kind: str, asker: Object, hosts: Iterable[str], data: Mapping[str, str]) -> int:
    """Copy a key pair to where gateways read it, for `hosts`; return the copy's version. Raises `ApiError`."""
    name = plan.copy_name(kind, namespace_of(asker), name_of(asker))
    served = {key: data[key] for key in (names.CERTIFICATE_FIELD, names.KEY_FIELD)}
    annotations = {
        names.SERVED_HOSTS_ANNOTATION: ",".join(hosts),
        "tidegate.dev/of": f"{kind} {namespace_of(asker)}/{name_of(asker)}",
    }
    found = await read(api, names.CERTIFICATES_NAMESPACE, name)
    if found is not None and found.annotations == annotations and found.data == served:
        return programmed.number(found.version.rpartition("/")[2])
    labels = {COPY_LABEL: kind, names.CERTIFICATE_TYPE_LABEL: plan.type_of(asker)}
    where = names.CERTIFICATES_NAMESPACE
    made = await put(api, where, name, served, labels=labels, annotations=annotations, is_new=found is None)
    return programmed.version_of(made)


async def withdraw(api: Api, name: str) -> None:
    """Delete a copy by its own name; raises `ApiError`."""
    try:
        await api.delete(resources.SECRETS, name, names.CERTIFICATES_NAMESPACE)
    except ApiError as error:
        if not error.is_not_found:
            raise


async def copies(api: Api) -> set[str]:
    """Return the names of all copies for gateways; raises `ApiError`."""
    page = await api.list(resources.SECRETS, names.CERTIFICATES_NAMESPACE, COPY_LABEL)
    return {name_of(item) for item in page.items}


async def put(
    api: Api,
    namespace: str,
    name: str,
    data: Mapping[str, str],
    *,
    is_new: bool,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: Object | None = None,
) -> Object:
    """Make a Secret of type kubernetes.io/tls, or replace parts of its data; return it. Raises `ApiError`."""
    marks: Object = {"annotations": dict(annotations)} if annotations else {}
    if not is_new:
        change = {"metadata": marks | ({"ownerReferences": [owner]} if owner else {}), "data": _encoded(data)}
        return await api.patch(resources.SECRETS, name, change, namespace, manager=MANAGER)
    head = {"name": name, "namespace": namespace, "labels": {**OURS, **(labels or {})}, **marks}
    if owner is not None:
        head["ownerReferences"] = [owner]
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": head, "type": TLS_TYPE, "data": _encoded(data)}
    return await api.create(resources.SECRETS, body)


def _decoded(data: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, value in data.items():
        try:
            found[key] = base64.b64decode(value or "").decode()
        except (UnicodeDecodeError, binascii.Error):
            continue
    return found


def _encoded(data: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
