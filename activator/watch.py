"""Keeps what the activator must know current: revisions, their endpoints, the autoscaler's address, the report key.

It turns API objects into the few values that the pipeline reads, and tells `Backends` which revision changed. It
decides nothing about requests.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass

from activator.backends import Key
from tidegate.contracts import internal_tls, names, recreate, report, wake
from tidegate.kube import endpoints, resources, trust
from tidegate.kube.api import Api, Object, annotations_of, labels_of, name_of, namespace_of
from tidegate.kube.cache import Cache
from tidegate.process import tasks
from tidegate.wire.director import Timeouts
from tidegate.wire.peers import Peers

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Revision:
    """What the activator needs of a revision. `may_hurry`: whether its pods may be used before Kubernetes calls them
    ready."""

    container_concurrency: int
    timeouts: Timeouts
    may_hurry: bool
    tells_wake: bool = True
    """Whether the answer of a request that paid a cold start says what it consisted of."""
    has_handed_back: bool = False
    """Whether it did not start and gave its traffic back, so that nobody should wait for it."""


def parse_revision(obj: Object, connect_timeout_s: float) -> Revision:
    """Return the values of a Revision object (pure)."""
    spec = obj.get("spec") or {}
    containers = spec.get("containers") or ()
    only_kubelet_knows = any(
        "exec" in (container.get("readinessProbe") or {}) or container.get("startupProbe") for container in containers
    )
    timeouts = Timeouts(
        connect_s=connect_timeout_s,
        response_start_s=float(spec.get("responseStartTimeoutSeconds") or 0),
        idle_s=float(spec.get("idleTimeoutSeconds") or 0),
        total_s=float(spec.get("timeoutSeconds") or DEFAULT_TIMEOUT_S),
    )
    tells_wake = annotations_of(obj).get(wake.ANNOTATION) != wake.OFF
    concurrency = int(spec.get("containerConcurrency") or 0)
    return Revision(concurrency, timeouts, not only_kubelet_knows, tells_wake, recreate.has_handed_back(obj))


class Watch:
    """The caches of this process, and typed values made from them once per change."""

    def __init__(self, api: Api, system_namespace: str, connect_timeout_s: float) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._revisions = Cache(api, resources.REVISIONS)
        self._slices = Cache(
            api, resources.ENDPOINT_SLICES, labels=names.REVISION_LABEL, indexers={"revision": _revision_index}
        )
        self._autoscaler = Cache(
            api,
            resources.ENDPOINT_SLICES,
            system_namespace,
            labels=f"{names.SERVICE_NAME_LABEL}={names.AUTOSCALER_SERVICE}",
        )
        self._secret = Cache(
            api, resources.SECRETS, system_namespace, fields=f"metadata.name={names.REPORT_KEY_SECRET}"
        )
        self._certificate = Cache(
            api, resources.SECRETS, system_namespace, fields=f"metadata.name={internal_tls.ROUTING_SECRET}"
        )
        self._certificate.on_change(self._certificate_changed)
        self.peers = Peers()
        self._trust = trust.watch(api, system_namespace, self.peers.trust)
        self._known: dict[Key, Revision] = {}
        self._arrivals: dict[Key, asyncio.Event] = {}
        self._revisions.on_change(self._revision_changed)
        self._slices.on_change(self._slice_changed)
        # Set by __main__ before `run`: what follows a change.
        self.on_endpoints: Callable[[Key, endpoints.Endpoints], None] = lambda _key, _endpoints: None
        self.on_revision_gone: Callable[[Key], None] = lambda _key: None
        self.on_handed_back: Callable[[Key], None] = lambda _key: None
        self.on_link_changed: Callable[[], None] = lambda: None
        self.on_certificate: Callable[[str, str], None] = lambda _certificate, _key: None
        for cache in (self._autoscaler, self._secret):
            cache.on_change(lambda *_: self.on_link_changed())

    @property
    def is_synced(self) -> bool:
        """Whether revisions and endpoints have been listed: without them nothing can be placed."""
        return self._revisions.is_synced and self._slices.is_synced and self._trust.is_synced

    def start(self) -> list[asyncio.Task[None]]:
        """Run all caches; returns their tasks."""
        caches = (
            self._revisions,
            self._slices,
            self._autoscaler,
            self._secret,
            self._certificate,
            self._trust,
        )
        return [tasks.spawn(cache.run(), f"watch {cache.resource.plural}") for cache in caches]

    def revision(self, key: Key) -> Revision | None:
        """Return what is known of a revision."""
        return self._known.get(key)

    async def wait_for_revision(self, key: Key, timeout_s: float) -> Revision | None:
        """Return a revision as soon as the cache has it, None after `timeout_s` seconds."""
        arrival = self._arrivals.setdefault(key, asyncio.Event())
        try:
            async with asyncio.timeout(timeout_s):
                await arrival.wait()
        except TimeoutError:
            self._arrivals.pop(key, None)
        return self._known.get(key)

    def autoscaler_addresses(self) -> frozenset[endpoints.Address]:
        """Return where reports go: the autoscaler pods themselves, so that no proxy stands between."""
        found = endpoints.read(self._autoscaler.objects.values(), port_name="reports")
        return found.ready or found.not_ready

    def report_key(self) -> bytes | None:
        """Return the key that report tokens are made with, None while there is none."""
        for secret in self._secret.objects.values():
            try:
                return report.key_of_secret(secret)
            except ValueError as error:
                log.error("no reports can be sent: %s", error)
        return None

    def _revision_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            key = (namespace_of(old), name_of(old))
            self._known.pop(key, None)
            self.on_revision_gone(key)
            return
        key = (namespace_of(new), name_of(new))
        self._known[key] = revision = parse_revision(new, self._connect_timeout_s)
        if revision.has_handed_back:
            self.on_handed_back(key)
        arrival = self._arrivals.pop(key, None)
        if arrival is not None:
            arrival.set()

    def _read(self, index: str) -> endpoints.Endpoints:
        return endpoints.read(self._slices.by_index("revision", index), prefers_tls=True)

    def _certificate_changed(self, _kind: str, _old: Object | None, new: Object | None) -> None:
        certificate, key = (_text(new or {}, name) for name in (internal_tls.CERTIFICATE_KEY, internal_tls.PRIVATE_KEY))
        if certificate and key:
            self.on_certificate(certificate, key)

    def _slice_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        for index in {text for obj in (old, new) if obj is not None for text in _revision_index(obj)}:
            namespace, _, name = index.partition("/")
            self.on_endpoints((namespace, name), self._read(index))


def _text(obj: Object, key: str) -> str:
    try:
        return base64.b64decode((obj.get("data") or {}).get(key) or "", validate=True).decode()
    except ValueError:
        return ""


def _revision_index(obj: Object) -> list[str]:
    revision = labels_of(obj).get(names.REVISION_LABEL)
    return [f"{namespace_of(obj)}/{revision}"] if revision else []
