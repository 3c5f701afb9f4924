"""A pod's volumes as folders and files of this machine, and where a container's mount paths really are.

Pure: it plans files and paths; `volume_files` writes them. A process sees the machine's own file system, so a
mountPath is rewritten to the real folder inside the container's variables, command and arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.node import environment
from cluster.node.environment import ConfigError, PodFacts, Sources
from tidegate.kube.api import Object

READABLE = 0o644
CLAIM = "persistentvolumeclaim"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume: content and mode."""

    content: bytes
    mode: int = READABLE


@dataclass(frozen=True, slots=True)
class Token:
    """A file whose content is a service-account token, fetched when the pod starts."""

    audience: str = ""
    expiration_s: int = 3600


@dataclass(frozen=True, slots=True)
class Folder:
    """One volume: `host_path` is a folder that is not ours, `claim` names one that outlives its pods; otherwise the
    files go into a folder of the pod."""

    files: dict[str, File | Token] = field(default_factory=dict)
    host_path: str = ""
    host_type: str = ""
    claim: str = ""


def sources_of(pod: Object) -> set[tuple[str, str]]:
    """Return the ConfigMaps, Secrets and claims that the pod's volumes are made of."""
    found: set[tuple[str, str]] = set()
    for volume in pod["spec"].get("volumes") or []:
        if reference := volume.get("persistentVolumeClaim"):
            found.add((CLAIM, reference["claimName"]))
        for one in [volume, *((volume.get("projected") or {}).get("sources") or [])]:
            if reference := one.get("configMap"):
                found.add(("configmap", reference["name"]))
            if reference := one.get("secret"):
                found.add(("secret", reference.get("secretName") or reference.get("name")))
    return found


def plan(pod: Object, facts: PodFacts, sources: Sources) -> dict[str, Folder]:
    """Return each volume's folder by name; raises `ConfigError` for what is missing or not supported."""
    volumes = pod["spec"].get("volumes") or []
    return {volume["name"]: _folder(volume, pod, facts, sources) for volume in volumes}


def rewritten(text: str, mounts: Mapping[str, str]) -> str:
    """Replace every mount path at the start of a path inside `text` by its real folder; the longest path wins."""
    for path in sorted(mounts, key=len, reverse=True):
        text = _replaced(text, path, mounts[path])
    return text


def mounts_of(container: Object, folders: Mapping[str, str]) -> dict[str, str]:
    """Return mountPath -> real folder for a container, given each volume's real folder."""
    found = {}
    for mount in container.get("volumeMounts") or []:
        real = folders.get(mount["name"])
        if real is None:
            raise ConfigError(f'volumeMount "{mount["name"]}" names no volume of the pod')
        sub = (mount.get("subPath") or "").strip("/")
        if ".." in sub.split("/"):
            raise ConfigError(f'subPath "{sub}" must not contain ..')
        found[mount["mountPath"].rstrip("/") or "/"] = f"{real}/{sub}" if sub else real
    return found


def _replaced(text: str, path: str, real: str) -> str:
    """Replace `path` where a path begins and where its last part ends: `/etc/app` is no part of `/etc/apple`."""
    parts, position = [], 0
    while (found := text.find(path, position)) >= 0:
        end = found + len(path)
        begins = found == 0 or text[found - 1] in " =:,;\"'\t\n("
        ends = end == len(text) or text[end] in "/ :,;\"'\t\n)"
        parts += [text[position:found], real if begins and ends else path]
        position = end
    return "".join([*parts, text[position:]])


def _folder(volume: Object, pod: Object, facts: PodFacts, sources: Sources) -> Folder:
    if reference := volume.get("hostPath"):
        return Folder(host_path=reference["path"], host_type=reference.get("type") or "")
    if "emptyDir" in volume or volume.keys() <= {"name"}:
        return Folder()
    if reference := volume.get("persistentVolumeClaim"):
        return _claimed(reference["claimName"], pod, sources)
    if projected := volume.get("projected"):
        files: dict[str, File | Token] = {}
        mode = projected.get("defaultMode", READABLE)
        for one in projected.get("sources") or []:
            files.update(_files(one, pod, facts, sources, mode))
        return Folder(files)
    kind = next(key for key in volume if key != "name")
    if kind not in ("configMap", "secret", "downwardAPI"):
        raise ConfigError(f'volume "{volume["name"]}": {kind} is not supported by the process node')
    mode = volume[kind].get("defaultMode", READABLE)
    return Folder(_files(volume, pod, facts, sources, mode))


def _claimed(name: str, pod: Object, sources: Sources) -> Folder:
    if sources.get((CLAIM, name)) is None:
        raise ConfigError(f'{CLAIM} "{name}" not found')
    return Folder(claim=f"{pod['metadata'].get('namespace') or 'default'}/{name}")


def _files(one: Object, pod: Object, facts: PodFacts, sources: Sources, mode: int) -> dict[str, File | Token]:
    if reference := one.get("configMap"):
        return _picked("configmap", reference["name"], reference, sources, mode)
    if reference := one.get("secret"):
        return _picked("secret", reference.get("secretName") or reference["name"], reference, sources, mode)
    if reference := one.get("downwardAPI"):
        items = reference.get("items") or []
        return {item["path"]: File(_downward(item, pod, facts), item.get("mode", mode)) for item in items}
    if reference := one.get("serviceAccountToken"):
        return {reference["path"]: Token(reference.get("audience", ""), reference.get("expirationSeconds", 3600))}
    return {}


def _downward(item: Object, pod: Object, facts: PodFacts) -> bytes:
    if reference := item.get("fieldRef"):
        return environment.field_value(reference["fieldPath"], pod, facts).encode()
    reference = item["resourceFieldRef"]
    return environment.resource_value(reference, pod["spec"]["containers"][0], pod, facts).encode()


def _picked(kind: str, name: str, reference: Object, sources: Sources, mode: int) -> dict[str, File | Token]:
    data = sources.get((kind, name))
    if data is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{kind} "{name}" not found')
    items = reference.get("items")
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    found: dict[str, File | Token] = {}
    for item in items:
        if item["key"] in data:
            found[item["path"]] = File(data[item["key"]], item.get("mode", mode))
        elif not reference.get("optional"):
            raise ConfigError(f"{kind} {name!r} has no key {item['key']!r}")
    return found
