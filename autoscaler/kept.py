"""What the autoscaler keeps of the cluster's objects, and how few bytes each takes while nobody asks for it.

Of a Deployment two numbers, of a pod what it counts as; of a PodAutoscaler all that is read or written back. Pure:
objects in, objects or bytes out. Nothing here decides, and nothing here reads a status but for a pod's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, MutableMapping
from typing import Any

import msgspec

from autoscaler.pods import PodState, pod_state
from tidegate.contracts import names
from tidegate.kube.api import Object
from tidegate.kube.packed import Key

_UNREAD = frozenset({"managedFields", "ownerReferences", "creationTimestamp", "finalizers"})
_KUBECTL = "kubectl.kubernetes.io/"
_NUMBERS = struct.Struct("<BQHI")
"""A Deployment: which of both there are, resource version, progress deadline, replicas."""
_REPLICAS, _DEADLINE, _PLAIN = 1, 2, 4
_JSON = b"{"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def small_autoscaler(obj: Object) -> Object:
    """Leave out who owns and manages it, and what kubectl noted for itself."""
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _UNREAD}
    if "annotations" in metadata:
        metadata["annotations"] = {
            name: value for name, value in metadata["annotations"].items() if not name.startswith(_KUBECTL)
        }
    return obj | {"metadata": metadata}


def small_deployment(deployment: Object) -> Object:
    """Keep the replicas asked for and the progress deadline."""
    metadata = deployment["metadata"]
    return {
        "metadata": _some(metadata, ("name", "namespace", "resourceVersion"))
        | {"labels": {names.REVISION_LABEL: revision_of(deployment)}},
        "spec": _some(deployment.get("spec") or {}, ("replicas", "progressDeadlineSeconds")),
    }


def small_pod(pod: Object) -> Object:
    """Keep what a pod is known by, and in `state` what it counts as."""
    metadata = pod["metadata"]
    return {
        "metadata": _some(metadata, ("name", "namespace", "resourceVersion"))
        | {"labels": {names.REVISION_LABEL: revision_of(pod)}},
        "state": pod_state(pod),
    }


def revision_of(obj: Object) -> str:
    """Return the name of the revision that an object belongs to; empty for none."""
    return str((obj["metadata"].get("labels") or {}).get(names.REVISION_LABEL, ""))


def _some(values: Object, wanted: tuple[str, ...]) -> Object:
    return {name: values[name] for name in wanted if name in values}


class DeploymentPacker:
    """Small Deployments in 15 bytes; one that is named otherwise, or has odd numbers, as JSON."""

    def pack(self, key: Key, obj: Object) -> bytes:
        """See `packed.Packer`."""
        spec, version = obj["spec"], obj["metadata"].get("resourceVersion", "")
        replicas, deadline_s = spec.get("replicas"), spec.get("progressDeadlineSeconds")
        flags = _PLAIN | (replicas is not None) * _REPLICAS | (deadline_s is not None) * _DEADLINE
        try:
            packed = _NUMBERS.pack(flags, int(version), deadline_s or 0, replicas or 0)
        except (ValueError, struct.error):
            return _encode(obj)
        return packed if self.unpack(key, packed) == obj else _encode(obj)

    def unpack(self, key: Key, packed: bytes) -> Object:
        """See `packed.Packer`."""
        if packed.startswith(_JSON):
            obj: Object = _decode(packed)
            return obj
        flags, version, deadline_s, replicas = _NUMBERS.unpack(packed)
        spec = {"replicas": replicas} if flags & _REPLICAS else {}
        if flags & _DEADLINE:
            spec["progressDeadlineSeconds"] = deadline_s
        revision = key[1].removesuffix(names.DEPLOYMENT_SUFFIX)
        metadata = {"name": key[1], "namespace": key[0], "resourceVersion": str(version)}
        return {"metadata": metadata | {"labels": {names.REVISION_LABEL: revision}}, "spec": spec}


class KeptPods(MutableMapping[Key, Object]):
    """Small pods by (namespace, name): a string and a few bytes each."""

    def __init__(self) -> None:
        self._pods: dict[str, bytes] = {}

    def __getitem__(self, key: Key) -> Object:
        kept = self._pods[f"{key[0]}/{key[1]}"]
        state, length, rest = kept[0], kept[1], kept[2:].decode()
        # Pods are named for their revision: what both names begin with is not kept twice.
        version, _, tail = rest.partition("/")
        metadata = {"name": key[1], "namespace": key[0]} | ({"resourceVersion": version} if version else {})
        labels = {names.REVISION_LABEL: key[1][:length] + tail}
        return {"metadata": metadata | {"labels": labels}, "state": PodState(state)}

    def __setitem__(self, key: Key, obj: Object) -> None:
        revision, version = revision_of(obj), obj["metadata"].get("resourceVersion", "")
        length = len(revision) if len(revision) <= 255 and key[1].startswith(revision) else 0
        tail = revision[length:]
        self._pods[f"{key[0]}/{key[1]}"] = bytes((obj["state"], length)) + f"{version}/{tail}".encode()

    def __delitem__(self, key: Key) -> None:
        del self._pods[f"{key[0]}/{key[1]}"]

    def __iter__(self) -> Iterator[Key]:
        for name in self._pods:
            namespace, _, rest = name.partition("/")
            yield namespace, rest

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, key: Key, default: Any = None) -> Any:
        """Return a pod, or the default."""
        return self[key] if f"{key[0]}/{key[1]}" in self._pods else default
