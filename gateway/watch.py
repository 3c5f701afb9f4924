"""Keeps the routing table, the revisions' modes and the endpoints current.

The table is an immutable mapping that is swapped whole; of a change only the Route concerned is read again. Changes
that arrive in one turn of the loop are put into one new table. It decides nothing about requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from gateway import routes
from gateway.affinity import Sessions
from gateway.pick import Backend
from tidegate.contracts import names, programmed, session_affinity
from tidegate.contracts.config import features, network
from tidegate.contracts.decision import ServingMode
from tidegate.contracts.programmed import Versions
from tidegate.kube import endpoints, resources, trust
from tidegate.kube.api import Api, Object, labels_of, name_of, namespace_of
from tidegate.kube.cache import Cache
from tidegate.process import tasks
from tidegate.wire.balance import Address, Balancer
from tidegate.wire.peers import Peers

log = logging.getLogger(__name__)

TAG_HEADER = "tag-header-based-routing"
"""The key of config-features by which requests may name a tag in `Knative-Serving-Tag`."""


class Watch:
    """The caches of this process, and what the pipeline reads of them."""

    def __init__(self, api: Api, system_namespace: str, phase: float = 0.0) -> None:
        """`phase`: where wheels begin to turn, see `routes.Wheel`."""
        self._rules = routes.Rules(phase)
        self.table: routes.Table = {}
        self.local_table: routes.Table = {}
        self.activators = Balancer()
        self.secure_activators: frozenset[Address] = frozenset()
        self.peers = Peers()
        self._has_system_tls = False
        # Set by __main__: called when a pod or an activator may have become available.
        self.on_endpoints: Callable[[], None] = lambda: None
        # Set by __main__: called with config-observability, None when there is none.
        self.on_observability: Callable[[Object | None], None] = lambda _config_map: None
        # Set by __main__: called when new tables are in place.
        self.on_tables: Callable[[], None] = lambda: None
        self._backends: dict[routes.Key, Backend] = {}
        self._hosted: dict[routes.Key, routes.HostedRoute] = {}
        self._is_rebuild_planned = False
        self._programmed = programmed.NOTHING
        self._routes = Cache(api, resources.ROUTES)
        # A gateway serves without it: its kind may not be installed yet when the gateway is upgraded first.
        self._mappings = Cache(api, resources.DOMAIN_MAPPINGS)
        self._mappings.on_change(lambda _kind, _old, _new: self._plan_rebuild())
        self._autoscalers = Cache(api, resources.POD_AUTOSCALERS)
        self._slices = Cache(
            api, resources.ENDPOINT_SLICES, labels=names.REVISION_LABEL, indexers={"revision": _revision_index}
        )
        self._activator_slices = Cache(
            api,
            resources.ENDPOINT_SLICES,
            system_namespace,
            labels=f"{names.SERVICE_NAME_LABEL}={names.ACTIVATOR_SERVICE}",
        )
        # A gateway serves without it, so it is not waited for.
        self._observability = Cache(
            api, resources.CONFIG_MAPS, system_namespace, fields=f"metadata.name={names.CONFIG_OBSERVABILITY}"
        )
        self._observability.on_change(lambda _kind, _old, new: self.on_observability(new))
        self._features = Cache(
            api, resources.CONFIG_MAPS, system_namespace, fields=f"metadata.name={names.CONFIG_FEATURES}"
        )
        self._features.on_change(lambda _kind, _old, new: self._features_changed(new))
        self._network = Cache(
            api, resources.CONFIG_MAPS, system_namespace, fields=f"metadata.name={names.CONFIG_NETWORK}"
        )
        self._network.on_change(self._network_changed)
        self._trust = trust.watch(api, system_namespace, self.peers.trust)
        self._routes.on_change(self._route_changed)
        self._autoscalers.on_change(self._autoscaler_changed)
        self._slices.on_change(self._slice_changed)
        self._activator_slices.on_change(self._activators_changed)

    @property
    def is_synced(self) -> bool:
        """Whether everything has been listed once: before, a host might wrongly be called unknown."""
        return all(cache.is_synced for cache in self._caches()) and not self._is_rebuild_planned

    @property
    def programmed(self) -> Versions:
        """How far the tables for requests have come: both, since they are swapped together."""
        if not self._is_rebuild_planned:
            versions = programmed.number(self._routes.version), programmed.number(self._mappings.version)
            self._programmed = Versions(*versions)
        return self._programmed

    async def wait_synced(self, timeout_s: float) -> None:
        """Return once everything has been listed; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            for cache in self._caches():
                await cache.wait_synced(timeout_s)
            await asyncio.sleep(0)  # the table is rebuilt in the turn after the last Route

    def start(self) -> list[asyncio.Task[None]]:
        """Run all caches; returns their tasks."""
        caches = (*self._caches(), self._observability, self._features, self._mappings)
        return [tasks.spawn(cache.run(), f"watch {cache.resource.plural}") for cache in caches]

    def backend(self, key: routes.Key) -> Backend:
        """Return what is known of a revision (it may be nothing yet: no pods, mode Proxy)."""
        backend = self._backends.get(key)
        if backend is None:
            backend = self._backends[key] = Backend()
        return backend

    def parents(self, key: routes.Key) -> tuple[str, str]:
        """Return the names of a revision's Service and Configuration, empty while they are not known."""
        namespace, name = key
        autoscaler = self._autoscalers.get(name, namespace)
        labels = labels_of(autoscaler) if autoscaler else {}
        return labels.get(names.SERVICE_LABEL, ""), labels.get(names.CONFIGURATION_LABEL, "")

    def _caches(self) -> tuple[Cache, ...]:
        return self._routes, self._autoscalers, self._slices, self._activator_slices, self._network, self._trust

    def _route_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        route = new or old
        assert route is not None
        key = (namespace_of(route), name_of(route))
        if new is None:
            self._hosted.pop(key, None)
        else:
            self._hosted[key] = routes.read_route(new, self._hosted.get(key), self._rules)
        self._plan_rebuild()

    def _features_changed(self, config_map: Object | None) -> None:
        has_tag_header = features.parse(config_map).is_enabled(TAG_HEADER)
        if has_tag_header != self._rules.has_tag_header:
            self._rules = replace(self._rules, has_tag_header=has_tag_header)
            for route in self._routes.objects.values():
                self._route_changed("", None, route)

    def _plan_rebuild(self) -> None:
        if not self._is_rebuild_planned:
            self._is_rebuild_planned = True
            asyncio.get_running_loop().call_soon(self._rebuild)

    def _rebuild(self) -> None:
        self._is_rebuild_planned = False
        table = routes.build_table(self._hosted.values())
        self.local_table = routes.build_local_table(self._hosted.values(), table)
        mappings = sorted(self._mappings.objects.values(), key=name_of)
        self.table = routes.with_mappings(table, self.local_table, map(_mapped, mappings))
        self.on_tables()

    def _autoscaler_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            key = (namespace_of(old), name_of(old))
            backend = self.backend(key)
            backend.mode, backend.pods.limit, backend.sessions = ServingMode.PROXY, 0, None
            self._forget_when_gone(key)
            return
        backend = self.backend((namespace_of(new), name_of(new)))
        backend.pods.limit = int((new.get("spec") or {}).get("containerConcurrency") or 0)
        if _affinity(old) != _affinity(new):
            backend.sessions = _sessions_of(new)
            if backend.sessions is not None:
                backend.sessions.replace(backend.pods.addresses)
        is_serving = (new.get("status") or {}).get("servingMode") == ServingMode.SERVE
        backend.mode = ServingMode.SERVE if is_serving else ServingMode.PROXY

    def _slice_changed(self, _kind: str, old: Object | None, new: Object | None) -> None:
        for index in {text for obj in (old, new) if obj is not None for text in _revision_index(obj)}:
            namespace, _, name = index.partition("/")
            found = endpoints.read(self._slices.by_index("revision", index), prefers_tls=True)
            backend = self.backend((namespace, name))
            backend.secure = found.secure
            backend.pods.replace(found.ready)
            if backend.sessions is not None:
                backend.sessions.replace(found.ready)
            self._forget_when_gone((namespace, name))
        self.on_endpoints()

    def _forget_when_gone(self, key: routes.Key) -> None:
        # Caches of two kinds are not in step: only a revision that both have dropped is gone.
        namespace, name = key
        if self._autoscalers.get(name, namespace) is None and not self._backends[key].pods.addresses:
            del self._backends[key]

    def _activators_changed(self, _kind: str, _old: Object | None, _new: Object | None) -> None:
        self._read_activators()

    def _network_changed(self, _kind: str, _old: Object | None, new: Object | None) -> None:
        values, _ = network.parse(new, None)
        if values.has_system_tls != self._has_system_tls:
            self._has_system_tls = values.has_system_tls
            log.info("TLS to activators is %s", "on" if values.has_system_tls else "off")
            self._read_activators()

    def _read_activators(self) -> None:
        slices = self._activator_slices.objects.values()
        found = endpoints.read(slices, prefers_tls=self._has_system_tls)
        self.secure_activators = found.secure
        self.activators.replace(found.ready)
        self.on_endpoints()


def _mapped(mapping: Object) -> tuple[str, str, bool]:
    annotations = (mapping.get("status") or {}).get("annotations") or {}
    is_redirected = annotations.get(names.HTTP_PROTOCOL_ANNOTATION) == names.REDIRECTED
    return name_of(mapping), str(annotations.get(names.MAPPED_TO_ANNOTATION, "")), is_redirected


def _revision_index(obj: Object) -> list[str]:
    revision = labels_of(obj).get(names.REVISION_LABEL)
    return [f"{namespace_of(obj)}/{revision}"] if revision else []


def _affinity(autoscaler: Object | None) -> str:
    annotations = (autoscaler or {}).get("metadata", {}).get("annotations") or {}
    return str(annotations.get(session_affinity.ANNOTATION, ""))


def _sessions_of(autoscaler: Object) -> Sessions | None:
    text = _affinity(autoscaler)
    if not text:
        return None
    # A revision's UID is random, the same for all gateways, and never told to clients.
    secret = labels_of(autoscaler).get(names.REVISION_UID_LABEL) or name_of(autoscaler)
    try:
        return Sessions(text, secret.encode())
    except ValueError as error:
        log.warning("revision %s/%s has no session affinity: %s", namespace_of(autoscaler), name_of(autoscaler), error)
        return None
