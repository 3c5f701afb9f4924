"""What the autoscaler sees of the cluster: PodAutoscalers, pods by revision, Deployments, settings, the report key.

Caches keep it current; pods are kept as counts per revision, so that a turn reads numbers and not objects. Nothing here
decides; it calls back with the revision that changed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from statistics import median

from autoscaler import starts
from autoscaler.demand import Key
from autoscaler.kept import DeploymentPacker, KeptPods, revision_of, small_autoscaler, small_deployment, small_pod
from autoscaler.pods import PodCounts, RevisionPods
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
from tidegate.kube.packed import PackedObjects, Shelf

log = logging.getLogger(__name__)

NO_PODS = PodCounts()
_OF_REVISIONS = f"{names.REVISION_LABEL},!{names.STANDBY_LABEL}"
"""Standby pods are the controller's number, not one of the autoscaler's."""
LISTING_WARM = 256
"""Objects that are at hand unpacked while the first list comes: nobody will ask for most of them again."""
STARTS = 2
"""The place of start times on a revision's row; its PodAutoscaler and Deployment have those before."""


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
        self._shelf = shelf = Shelf()
        self._packed = (
            PackedObjects(shelf=shelf),
            PackedObjects(DeploymentPacker(), shelf=shelf, place=1, suffix=names.DEPLOYMENT_SUFFIX),
        )
        self._autoscalers = Cache(api, resources.POD_AUTOSCALERS, shrink=small_autoscaler, objects=self._packed[0])
        self._pod_cache = Cache(api, resources.PODS, labels=_OF_REVISIONS, shrink=small_pod, objects=KeptPods())
        self.deployments = Cache(
            api,
            resources.DEPLOYMENTS,
            labels=_OF_REVISIONS,
            shrink=small_deployment,
            objects=self._packed[1],
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
        found: Object | None = self._packed[0].get(key)  # past the cache: it is asked for at every step of a wake
        return found

    def autoscaler_keys(self) -> list[Key]:
        """Return the keys of all PodAutoscalers."""
        return list(self._autoscalers.objects)

    def own_key(self, key: Key) -> Key:
        """Return the very key that is kept here of a revision with pods, so that who keeps it too keeps it once."""
        pods = self._pods.get(key)
        return pods.key if pods is not None else key

    @property
    def is_warm(self) -> bool:
        """Whether objects are at hand unpacked."""
        return any(packed.warm for packed in self._packed)

    def cool(self) -> None:
        """Pack what nobody has asked for lately; to be called every second."""
        for packed in self._packed:
            packed.cool()

    def pods(self, key: Key, deadline_s: float = DEFAULT_PROGRESS_DEADLINE_S) -> PodCounts:
        """Return a revision's pods as numbers; `deadline_s` is its progress deadline."""
        pods = self._pods.get(key)
        if pods is not None:
            return pods.counts(self._clock(), deadline_s)
        packed = self._shelf.part(key, STARTS)
        return PodCounts(start_s=median(starts.unpacked(packed))) if packed else NO_PODS

    def starts_s(self, key: Key) -> tuple[float, ...]:
        """Return the last start times of a revision, in seconds."""
        pods = self._pods.get(key)
        return pods.samples if pods is not None else starts.unpacked(self._shelf.part(key, STARTS))

    def with_starts(self) -> Iterator[Key]:
        """Yield the revisions without pods whose start times are known, also while that changes."""
        return (key for key in self._shelf.named() if self._shelf.part(key, STARTS))

    def recall_starts(self, key: Key, starts_s: tuple[float, ...]) -> None:
        """Take over start times of a revision that another process measured."""
        pods = self._pods_of(key)
        pods.recall(starts_s)
        self._drop_if_bare(pods)
        self.on_pods(key)

    def deployment(self, autoscaler: Object) -> Object | None:
        """Return the Deployment that a PodAutoscaler scales."""
        reference = (autoscaler.get("spec") or {}).get("scaleTargetRef")
        if not reference:
            return None
        found: Object | None = self._packed[1].get((autoscaler["metadata"].get("namespace", ""), reference.get("name")))
        return found

    def _autoscaler_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        if not self._autoscalers.is_synced and self._packed[0].warm > LISTING_WARM:
            self._packed[0].cool()
        if new is None:
            pods = self._pods_of(_key_of(old))
            pods.clear()
            self._drop_if_bare(pods)
        if old is not None and new is not None and old["metadata"].get("uid") != new["metadata"].get("uid"):
            self.on_recreated(_key_of(new))
        if old is not None and new is not None and _has_same_wishes(old, new):
            self.on_status(_key_of(new))
            return
        self.on_autoscaler(_key_of(new or old))

    def _pod_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        key = (namespace_of(pod), revision_of(pod))
        before, state = old["state"] if old is not None else None, new["state"] if new is not None else None
        if before is state:
            return
        pods = self._pods_of(key)
        pods.change(name_of(pod), before, state, self._clock(), is_new=self._pod_cache.is_synced)
        self._drop_if_bare(pods)
        self.on_pods(key)

    def _pods_of(self, key: Key) -> RevisionPods:
        pods = self._pods.get(key)
        if pods is None:
            pods = self._pods[key] = RevisionPods(key, self.starts_s(key))
        return pods

    def _drop_if_bare(self, pods: RevisionPods) -> None:
        """Of a revision without pods only its start times stay, with its other objects."""
        if not pods.count:
            del self._pods[pods.key]
            self._shelf.put(pods.key, STARTS, pods.packed())

    def _deployment_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        if not self.deployments.is_synced and self._packed[1].warm > LISTING_WARM:
            self._packed[1].cool()
        deployment = new or old
        assert deployment is not None
        self.on_deployment((namespace_of(deployment), revision_of(deployment)))

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
