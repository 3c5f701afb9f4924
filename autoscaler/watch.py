"""What the autoscaler sees of the cluster: PodAutoscalers, pods by revision, Deployments, settings, the report key.

Caches keep it current; pods are kept as counts per revision, so that a turn reads numbers and not objects. Nothing here
decides; it calls back with the revision that changed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from autoscaler.demand import Key
from tidegate.contracts import names, report
from tidegate.contracts.autoscaling import DEFAULTS, AutoscalerConfig, ConfigError, parse_config
from tidegate.kube import resources
from tidegate.kube.api import Api, Object, Resource, annotations_of, labels_of, name_of, namespace_of
from tidegate.kube.cache import Cache

log = logging.getLogger(__name__)


class PodState(Enum):
    """What a pod counts as."""

    READY = "ready"
    NOT_READY = "not ready"
    PENDING = "pending"
    TERMINATING = "terminating"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class PodCounts:
    """A revision's pods; `not_ready` includes those still pending."""

    ready: int = 0
    not_ready: int = 0
    pending: int = 0
    terminating: int = 0


def pod_state(pod: Object) -> PodState:
    """Return what a pod counts as; one that is being deleted is no longer ready, whatever its condition says."""
    status = pod.get("status") or {}
    phase = status.get("phase", "Pending")
    if phase in ("Succeeded", "Failed"):
        return PodState.ENDED
    if pod["metadata"].get("deletionTimestamp"):
        return PodState.TERMINATING
    if phase != "Running":
        return PodState.PENDING
    is_ready = any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
    return PodState.READY if is_ready else PodState.NOT_READY


class World:
    """The current state. Set the `on_*` callbacks before `caches` are run."""

    def __init__(self, api: Api, system_namespace: str = names.SYSTEM_NAMESPACE) -> None:
        self.config: AutoscalerConfig = DEFAULTS
        self.report_key: bytes | None = None
        self.on_autoscaler: Callable[[Key], None] = lambda _key: None
        self.on_pods: Callable[[Key], None] = lambda _key: None
        self.on_deployment: Callable[[Key], None] = lambda _key: None
        self.on_config: Callable[[], None] = lambda: None
        self._pods: dict[Key, dict[str, PodState]] = {}
        self._autoscalers = Cache(api, resources.POD_AUTOSCALERS)
        self._pod_cache = Cache(api, resources.PODS, labels=names.REVISION_LABEL)
        self._deployment_cache = Cache(api, resources.DEPLOYMENTS, labels=names.REVISION_LABEL)
        self._config_map = _one(api, resources.CONFIG_MAPS, system_namespace, names.CONFIG_AUTOSCALER)
        self._secret = _one(api, resources.SECRETS, system_namespace, names.REPORT_KEY_SECRET)
        self.caches = (
            self._config_map,
            self._secret,
            self._pod_cache,
            self._deployment_cache,
            self._autoscalers,
        )
        self._autoscalers.on_change(self._autoscaler_changed)
        self._pod_cache.on_change(self._pod_changed)
        self._deployment_cache.on_change(self._deployment_changed)
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

    def pods(self, key: Key) -> PodCounts:
        """Return a revision's pods as numbers."""
        states = self._pods.get(key)
        if not states:
            return PodCounts()
        counts = Counter(states.values())
        pending = counts[PodState.PENDING]
        return PodCounts(
            counts[PodState.READY], counts[PodState.NOT_READY] + pending, pending, counts[PodState.TERMINATING]
        )

    def deployment(self, autoscaler: Object) -> Object | None:
        """Return the Deployment that a PodAutoscaler scales."""
        reference = autoscaler.get("spec", {}).get("scaleTargetRef") or {}
        return self._deployment_cache.get(reference.get("name", ""), namespace_of(autoscaler))

    def _autoscaler_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _has_same_wishes(old, new):
            return
        self.on_autoscaler(_key_of(new or old))

    def _pod_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        key = (namespace_of(pod), labels_of(pod)[names.REVISION_LABEL])
        states = self._pods.setdefault(key, {})
        before = states.get(name_of(pod))
        if new is None:
            states.pop(name_of(pod), None)
            if not states:
                del self._pods[key]
        else:
            states[name_of(pod)] = pod_state(new)
        if new is None or before is not pod_state(new):
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
