"""What the autoscaler sees of the cluster: PodAutoscalers, pods by revision, Deployments, settings, the report key.

Caches keep it current; pods are kept as counts per revision, so that a turn reads numbers and not objects. Nothing here
decides; it calls back with the revision that changed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from autoscaler.demand import Key
from autoscaler.pods import PodCounts, RevisionPods, pod_state
from tidegate.contracts import names, report
from tidegate.contracts.autoscaling import (
    DEFAULT_PROGRESS_DEADLINE_S,
    DEFAULTS,
    AutoscalerConfig,
    ConfigError,
    parse_config,
)
from tidegate.kube import resources
from tidegate.kube.api import Api, Object, Resource, annotations_of, labels_of, name_of, namespace_of
from tidegate.kube.cache import Cache
from tidegate.kube.packed import PackedObjects

log = logging.getLogger(__name__)

NO_PODS = PodCounts()
_UNREAD = frozenset({"managedFields", "ownerReferences", "creationTimestamp", "finalizers"})
_KUBECTL = "kubectl.kubernetes.io/"
_OF_REVISIONS = f"{names.REVISION_LABEL},!{names.STANDBY_LABEL}"
"""Standby pods are the controller's number, not one of the autoscaler's."""


class World:
    """The current state. Set the `on_*` callbacks before `caches` are run."""

    def __init__(
        self, api: Api, system_namespace: str = names.SYSTEM_NAMESPACE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.config: AutoscalerConfig = DEFAULTS
        self.report_key: bytes | None = None
        self.on_autoscaler: Callable[[Key], None] = lambda _key: None
        self.on_recreated: Callable[[Key], None] = lambda _key: None
        self.on_status: Callable[[Key], None] = lambda _key: None
        self.on_pods: Callable[[Key], None] = lambda _key: None
        self.on_deployment: Callable[[Key], None] = lambda _key: None
        self.on_config: Callable[[], None] = lambda: None
        self.on_bad_config: Callable[[Object, str], None] = lambda _config_map, _why: None
        self._clock = clock
        self._pods: dict[Key, RevisionPods] = {}
        self._autoscalers = Cache(api, resources.POD_AUTOSCALERS, shrink=_small_autoscaler, objects=PackedObjects())
        self._pod_cache = Cache(api, resources.PODS, labels=_OF_REVISIONS, shrink=_small_pod, objects=PackedObjects())
        self.deployments = Cache(
            api, resources.DEPLOYMENTS, labels=_OF_REVISIONS, shrink=_small_deployment, objects=PackedObjects()
        )
        self._config_map = _one(api, resources.CONFIG_MAPS, system_namespace, names.CONFIG_AUTOSCALER)
        self._secret = _one(api, resources.SECRETS, system_namespace, names.REPORT_KEY_SECRET)
        self.caches = (
            self._config_map,
            self._secret,
            self._pod_cache,
            self.deployments,
            self._autoscalers,
        )
        self._autoscalers.on_change(self._autoscaler_changed)
        self._pod_cache.on_change(self._pod_changed)
        self.deployments.on_change(self._deployment_changed)
        self._config_map.on_change(self._config_changed)
        self._secret.on_change(self._secret_changed)

    @property
    def is_synced(self) -> bool:
        """Whether everything has been listed once."""
        return all(cache.is_synced for cache in self.caches)

    def autoscaler(self, key: Key) -> Object | None:
        """Return a revision's PodAutoscaler."""
        return self._autoscalers.get(key[1], key[0])

    def autoscaler_keys(self) -> list[Key]:
        """Return the keys of all PodAutoscalers."""
        return list(self._autoscalers.objects)

    def pods(self, key: Key, deadline_s: float = DEFAULT_PROGRESS_DEADLINE_S) -> PodCounts:
        """Return a revision's pods as numbers; `deadline_s` is its progress deadline."""
        pods = self._pods.get(key)
        return pods.counts(self._clock(), deadline_s) if pods is not None else NO_PODS

    def starts_s(self, key: Key) -> tuple[float, ...]:
        """Return the last start times of a revision, in seconds."""
        pods = self._pods.get(key)
        return pods.starts.samples if pods is not None else ()

    def recall_starts(self, key: Key, starts_s: tuple[float, ...]) -> None:
        """Take over start times of a revision that another process measured."""
        self._pods.setdefault(key, RevisionPods()).starts.recall(starts_s)
        self.on_pods(key)

    def deployment(self, autoscaler: Object) -> Object | None:
        """Return the Deployment that a PodAutoscaler scales."""
        reference = autoscaler.get("spec", {}).get("scaleTargetRef") or {}
        return self.deployments.get(reference.get("name", ""), namespace_of(autoscaler))

    def _autoscaler_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._pods.pop(_key_of(old), None)
        if old is not None and new is not None and old["metadata"].get("uid") != new["metadata"].get("uid"):
            self.on_recreated(_key_of(new))
        if old is not None and new is not None and _has_same_wishes(old, new):
            self.on_status(_key_of(new))
            return
        self.on_autoscaler(_key_of(new or old))

    def _pod_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        key = (namespace_of(pod), labels_of(pod)[names.REVISION_LABEL])
        pods = self._pods.get(key)
        if pods is None:
            pods = self._pods[key] = RevisionPods()
        if new is not None:
            is_new = self._pod_cache.is_synced
            is_news = pods.see(name_of(pod), pod_state(new), self._clock(), is_new=is_new)
        else:
            is_news = pods.forget(name_of(pod))
            if not pods.states and not pods.starts.samples:
                del self._pods[key]
        if is_news:
            self.on_pods(key)

    def _deployment_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        deployment = new or old
        assert deployment is not None
        self.on_deployment((namespace_of(deployment), labels_of(deployment)[names.REVISION_LABEL]))

    def _config_changed(self, _kind: str, _old: Object | None, new: Object | None) -> None:
        try:
            config = parse_config((new or {}).get("data"))
        except ConfigError as error:
            log.error("ConfigMap %s is not used, the last good one stays: %s", names.CONFIG_AUTOSCALER, error)
            if new is not None:
                self.on_bad_config(new, str(error))
            return
        if config != self.config:
            self.config = config
            self.on_config()

    def _secret_changed(self, _kind: str, _old: Object | None, new: Object | None) -> None:
        if new is None:
            return  # the controller makes a new one; until then the old key still proves who speaks
        try:
            self.report_key = report.key_of_secret(new)
        except ValueError as error:
            log.error("%s", error)


def _small_autoscaler(obj: Object) -> Object:
    """Leave out who owns and manages it, and what kubectl noted for itself."""
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _UNREAD}
    if "annotations" in metadata:
        metadata["annotations"] = {
            name: value for name, value in metadata["annotations"].items() if not name.startswith(_KUBECTL)
        }
    return obj | {"metadata": metadata}


def _small_pod(pod: Object) -> Object:
    """Keep what a pod is known by; the rest is counted when it changes."""
    metadata = pod["metadata"]
    status = pod.get("status") or {}
    conditions = [one for one in status.get("conditions") or () if one.get("type") == "Ready"]
    return {
        "metadata": _some(metadata, ("name", "namespace", "resourceVersion", "deletionTimestamp"))
        | _revision(metadata),
        "status": {"phase": status.get("phase", "Pending"), "conditions": conditions},
    }


def _small_deployment(deployment: Object) -> Object:
    metadata = deployment["metadata"]
    return {
        "metadata": _some(metadata, ("name", "namespace", "resourceVersion")) | _revision(metadata),
        "spec": _some(deployment.get("spec") or {}, ("replicas", "progressDeadlineSeconds")),
    }


def _some(values: Object, wanted: tuple[str, ...]) -> Object:
    return {name: values[name] for name in wanted if name in values}


def _revision(metadata: Object) -> Object:
    return {"labels": {names.REVISION_LABEL: (metadata.get("labels") or {}).get(names.REVISION_LABEL, "")}}


def _one(api: Api, resource: Resource, namespace: str, name: str) -> Cache:
    return Cache(api, resource, namespace, fields=f"metadata.name={name}")


def _key_of(obj: Object | None) -> Key:
    assert obj is not None
    return namespace_of(obj), name_of(obj)


def _has_same_wishes(old: Object, new: Object) -> bool:
    """Whether two versions of a PodAutoscaler differ in nothing but their status."""
    return (
        old.get("spec") == new.get("spec")
        and annotations_of(old) == annotations_of(new)
        and labels_of(old) == labels_of(new)
        and old["metadata"].get("uid") == new["metadata"].get("uid")
        and old["metadata"].get("generation") == new["metadata"].get("generation")
        and old["metadata"].get("deletionTimestamp") == new["metadata"].get("deletionTimestamp")
    )
