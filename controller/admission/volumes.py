"""The volumes of a Revision and where containers mount them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from controller.admission import metadata
from tidegate.contracts import problems, quantities
from tidegate.contracts.config.features import Features
from tidegate.contracts.problems import FieldProblem

Object = dict[str, Any]

_POD = "kubernetes.podspec-"
_FLAGS = {
    "secret": "",
    "configMap": "",
    "projected": "",
    "emptyDir": _POD + "volumes-emptydir",
    "persistentVolumeClaim": _POD + "persistent-volume-claim",
    "hostPath": _POD + "volumes-hostpath",
    "csi": _POD + "volumes-csi",
    "ephemeral": _POD + "volumes-ephemeral",
    "image": _POD + "volumes-image",
}
_TITLES = {"emptyDir": "EmptyDir", "hostPath": "HostPath", "csi": "CSI", "ephemeral": "Ephemeral", "image": "Image"}
_WRITE_FLAG = _POD + "persistent-volume-write"
_PROPAGATION_FLAG = _POD + "volumes-mount-propagation"
_PROJECTIONS = ("secret", "configMap", "serviceAccountToken", "downwardAPI")
_WRITABLE = ("emptyDir", "persistentVolumeClaim", "ephemeral")
_RESERVED_PATHS = ("/", "/dev", "/dev/log")


def validate(volumes: list[Object], mounted: set[str], features: Features) -> list[FieldProblem]:
    """Return what is wrong with a pod's volumes, of which `mounted` are used; paths begin with `volumes`."""
    found: list[FieldProblem] = []
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        name = str(volume.get("name") or "")
        inner = _name(name) + _source(volume, features)
        if name in seen:
            inner.append(FieldProblem(f'duplicate volume name "{name}"', ("name",)))
        if name not in mounted:
            inner.append(FieldProblem(f'volume with name "{name}" not mounted', ("name",)))
        seen.add(name)
        found += problems.at_index("volumes", index, inner)
    return found


def validate_mounts(mounts: list[Object], volumes: Mapping[str, Object], features: Features) -> list[FieldProblem]:
    """Return what is wrong with a container's mounts; paths begin with `volumeMounts`."""
    found: list[FieldProblem] = []
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        inner = _mount_path(mount, seen)
        volume = volumes.get(str(mount.get("name", "")))
        if volume is None:
            inner.append(FieldProblem("volumeMount has no matching volume", ("name",)))
        else:
            inner += _mount_access(mount, volume)
        propagation = mount.get("mountPropagation")
        if propagation and not features.is_permitted(_PROPAGATION_FLAG):
            inner.append(problems.disallowed("mountPropagation"))
        elif propagation not in (None, "None", "HostToContainer"):
            inner.append(problems.invalid(propagation, "mountPropagation"))
        found += problems.at_index("volumeMounts", index, inner)
    return found


def _name(name: str) -> list[FieldProblem]:
    if not name:
        return [problems.missing("name")]
    return [] if metadata.is_label_1123(name) else [problems.invalid(name, "name")]


def _source(volume: Object, features: Features) -> list[FieldProblem]:
    sources = [key for key in volume if key != "name" and volume[key] is not None]
    unknown = sorted(key for key in sources if key not in _FLAGS)
    known = [key for key in sources if key in _FLAGS]
    found = [problems.disallowed(*unknown)] if unknown else []
    found += [_disabled(key, volume) for key in known if _FLAGS[key] and not features.is_enabled(_FLAGS[key])]
    if not sources:
        listed = ["secret", "configMap", "projected"]
        listed += [key for key in ("emptyDir", "persistentVolumeClaim") if features.is_enabled(_FLAGS[key])]
        found.append(problems.expected_one_got_neither(*listed))
    elif len(known) > 1:
        found.append(problems.expected_one_got_both(*known))
    for key in known:
        found += _CHECKS[key](volume[key], features) if key in _CHECKS else []
    return found


def _disabled(source: str, volume: Object) -> FieldProblem:
    if source == "persistentVolumeClaim":
        claim = (volume[source] or {}).get("claimName", "")
        return FieldProblem(f"Persistent volume claim support is disabled, but found persistent volume claim {claim}")
    title = _TITLES[source]
    return FieldProblem(f"{title} volume support is disabled, but found {title} volume {volume.get('name', '')}")


def _claim(claim: Object, features: Features) -> list[FieldProblem]:
    if claim.get("readOnly") or features.is_enabled(_WRITE_FLAG):
        return []
    text = "Persistent volume write support is disabled, but found persistent volume claim "
    return [FieldProblem(f"{text}{claim.get('claimName', '')} that is not read-only")]


def _empty_dir(folder: Object, _features: Features) -> list[FieldProblem]:
    found = []
    if folder.get("medium") not in (None, "", "Memory"):
        found.append(problems.invalid(folder["medium"], "emptyDir.medium"))
    size = folder.get("sizeLimit")
    try:
        is_negative = size is not None and quantities.parse(size) < 0
    except ValueError:
        is_negative = True
    return [*found, problems.invalid(size, "emptyDir.sizeLimit")] if is_negative else found


def _items(source: Object, _features: Features) -> list[FieldProblem]:
    found: list[FieldProblem] = []
    for index, item in enumerate(source.get("items") or []):
        absent = [key for key in ("key", "path") if not item.get(key)]
        if absent:
            found += problems.at_index("items", index, [problems.missing(*absent)])
    return found


def _projected(source: Object, features: Features) -> list[FieldProblem]:
    found: list[FieldProblem] = []
    for index, one in enumerate(source.get("sources") or []):
        found += problems.at_index("projected", index, _projection(one, features))
    return found


def _projection(one: Object, features: Features) -> list[FieldProblem]:
    given = [key for key in _PROJECTIONS if one.get(key) is not None]
    unknown = sorted(key for key in one if key not in _PROJECTIONS)
    found = [problems.disallowed(*unknown)] if unknown else []
    if not given:
        found.append(problems.expected_one_got_neither(*_PROJECTIONS))
    elif len(given) > 1:
        found.append(problems.expected_one_got_both(*given))
    for key in given:
        inner = _items(one[key], features) if key in ("secret", "configMap") else []
        if key in ("secret", "configMap") and not one[key].get("name"):
            inner.append(problems.missing("name"))
        if key == "serviceAccountToken" and not one[key].get("path"):
            inner.append(problems.missing("path"))
        if key == "downwardAPI":
            inner += _downward(one[key])
        found += problems.under(key, inner)
    return found


def _downward(source: Object) -> list[FieldProblem]:
    found: list[FieldProblem] = []
    for index, item in enumerate(source.get("items") or []):
        given = [key for key in ("fieldRef", "resourceFieldRef") if item.get(key) is not None]
        inner = [problems.expected_one_got_neither("fieldRef", "resourceFieldRef")] if not given else []
        if len(given) > 1:
            inner.append(FieldProblem("Within a single item, cannot set both", ("resourceFieldRef", "fieldRef")))
        if not item.get("path"):
            inner.append(problems.missing("path"))
        found += problems.at_index("items", index, inner)
    return found


_CHECKS = {
    "persistentVolumeClaim": _claim,
    "emptyDir": _empty_dir,
    "secret": _items,
    "configMap": _items,
    "projected": _projected,
}


def _mount_path(mount: Object, seen: set[str]) -> list[FieldProblem]:
    path = mount.get("mountPath")
    if not path:
        return [problems.missing("mountPath")]
    cleaned = posixpath.normpath(path)
    if cleaned in _RESERVED_PATHS:
        return [FieldProblem(f'mountPath "{cleaned}" is a reserved path', ("mountPath",))]
    if not path.startswith("/"):
        return [problems.invalid(path, "mountPath")]
    if cleaned in seen:
        return [problems.invalid(f'"{path}" must be unique', "mountPath")]
    seen.add(cleaned)
    return []


def _mount_access(mount: Object, volume: Object) -> list[FieldProblem]:
    is_read_only = bool(mount.get("readOnly"))
    if not is_read_only and not any(volume.get(source) is not None for source in _WRITABLE):
        text = "volume mount should be readOnly for this type of volume"
        return [FieldProblem(text, ("readOnly",))]
    claim = volume.get("persistentVolumeClaim") or {}
    if claim.get("readOnly") and not is_read_only:
        return [FieldProblem("volume is readOnly but volume mount is not", ("readOnly",))]
    return []
