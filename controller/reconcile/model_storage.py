"""How a model gets to where its server looks for it: a volume at /mnt/models, filled before the server starts.

Pure. A template that carries the annotation of a storage URI gets what KServe's pod webhook would add: for `pvc://` a
mount of the claim, for every other scheme an empty volume and an init container that fetches into it. Credentials of
the pod's ServiceAccount are the fetching container's alone, and so is the cache that pods of a node share.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.inference.template import STORAGE_URI_ANNOTATION
from controller.reconcile.outcome import Object
from tidegate.contracts.config.deployment import ModelCache

MODEL_PATH = "/mnt/models"
VOLUME = "kserve-provision-location"
CLAIM_VOLUME = "kserve-pvc-source"
INITIALIZER = "storage-initializer"
CACHE_VOLUME = "tidegate-model-cache"
CACHE_PATH = "/var/cache/tidegate/models"


def add(
    pod: Object,
    annotations: dict[str, str],
    image: str,
    credentials: Sequence[Object] = (),
    cache: ModelCache | None = None,
) -> Object:
    """Return the pod spec with the model's volume; unchanged without a storage URI.

    `credentials`: env entries; `cache`: where fetched models are kept between pods.
    """
    uri = annotations.get(STORAGE_URI_ANNOTATION, "")
    if not uri:
        return pod
    if uri.startswith("pvc://"):
        return _with_claim(pod, uri.removeprefix("pvc://"))
    containers = [
        _mounted(one, index, {"name": VOLUME, "readOnly": True}) for index, one in enumerate(pod["containers"])
    ]
    initializer: Object = {
        "name": INITIALIZER,
        "image": image,
        "args": [uri, MODEL_PATH],
        "env": list(credentials),
        "volumeMounts": [{"name": VOLUME, "mountPath": MODEL_PATH}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            "requests": {"cpu": "100m", "memory": "100Mi"},
            "limits": {"cpu": "1", "memory": "1Gi"},
        },
    }
    volumes = [{"name": VOLUME, "emptyDir": {}}]
    if cache is not None:
        limit = {"name": "TIDEGATE_MODEL_CACHE_LIMIT_GIB", "value": str(cache.limit_gib)}
        initializer["env"] += [{"name": "TIDEGATE_MODEL_CACHE", "value": CACHE_PATH}, limit]
        initializer["volumeMounts"].append({"name": CACHE_VOLUME, "mountPath": CACHE_PATH})
        volumes.append(_cache_volume(cache))
    return pod | {
        "containers": containers,
        "initContainers": [initializer, *(pod.get("initContainers") or [])],
        "volumes": [*(pod.get("volumes") or []), *volumes],
    }


def _cache_volume(cache: ModelCache) -> Object:
    if cache.kind == "hostPath":
        return {"name": CACHE_VOLUME, "hostPath": {"path": cache.where, "type": "DirectoryOrCreate"}}
    return {"name": CACHE_VOLUME, "persistentVolumeClaim": {"claimName": cache.where}}


def wants_model(revision: Object) -> bool:
    """Whether a revision's pods fetch a model, and may need credentials for it."""
    uri = (revision["metadata"].get("annotations") or {}).get(STORAGE_URI_ANNOTATION, "")
    return bool(uri) and not uri.startswith("pvc://")


def _with_claim(pod: Object, path: str) -> Object:
    claim, _, folder = path.partition("/")
    mount: Object = {"name": CLAIM_VOLUME, "readOnly": True} | ({"subPath": folder.strip("/")} if folder else {})
    volume = {"name": CLAIM_VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    return pod | {
        "containers": [_mounted(one, index, mount) for index, one in enumerate(pod["containers"])],
        "volumes": [*(pod.get("volumes") or []), volume],
    }


def _mounted(container: Object, index: int, mount: Object) -> Object:
    """Return the container with the model mounted: the first one is the model's, others keep what they have."""
    if index or any(one.get("mountPath") == MODEL_PATH for one in container.get("volumeMounts") or []):
        return container
    return container | {"volumeMounts": [*(container.get("volumeMounts") or []), {"mountPath": MODEL_PATH, **mount}]}
