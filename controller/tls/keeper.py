"""Key pairs for Certificates and DomainMappings, one object at a time: read, have signed, copied for gateways.

Read this first: `look_up` does what one object needs before its reconciler runs, and leaves what it found in
`world.pairs`; `run` looks whether Secrets of others have changed, which nobody tells us. It writes no status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from controller import triggers
from controller.gather import World
from controller.reconcile import metadata as heads
from controller.reconcile.outcome import Object
from controller.tls import authority, cert_manager, pairs, plan
from controller.tls.authority import BadPair
from controller.tls.own_authority import OwnAuthority
from controller.tls.plan import PairFacts
from controller.triggers import Key
from tidegate.contracts import names
from tidegate.contracts.conditions import FALSE, TRUE, UNKNOWN
from tidegate.contracts.config import network
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, name_of, namespace_of

log = logging.getLogger(__name__)

POLL_S = 2.0
PER_READ_S = 0.02
"""Of each Secret of others that is looked at, so that many of them are looked at less often."""
KEPT_S = 300.0
"""How long what was found of an unchanged object is believed; Secrets of others are polled besides."""

Mark = Callable[[set[Key]], None]


class Keeper:
    """Keeps the key pairs. `namespace` is the system namespace, `wall` gives seconds since 1970."""

    def __init__(self, api: Api, world: World, namespace: str, wall: Callable[[], float]) -> None:
        self._api = api
        self._world = world
        self._wall = wall
        self._authority = OwnAuthority(api, namespace, wall)
        self._stamps: dict[Key, tuple[float, Any]] = {}
        self._polled: dict[Key, tuple[str, str, str]] = {}  # namespace, Secret and what was last seen of it
        self._is_swept = False

    async def look_up(self, key: Key, target: Object | None) -> None:
        """Do what a Certificate or DomainMapping needs, unless that was done lately; raises `ApiError`."""
        if key.kind not in (triggers.CERTIFICATE, triggers.DOMAIN_MAPPING):
            return
        if target is None or not self._is_asking(key, target):
            await self._drop(key)
            return
        now, stamp = self._wall(), await self._stamp(key, target)
        done_at, before = self._stamps.get(key, (0.0, None))
        known = self._world.pairs.get(key)
        if stamp == before and now - done_at < KEPT_S and known is not None and known.is_usable:
            return
        if key.kind == triggers.DOMAIN_MAPPING:
            found = await self._own(key, target, now)
        elif plan.class_of(target) == names.OWN_CERTIFICATE_CLASS:
            found = await self._signed(key, target, now)
        else:
            found = await self._from_cert_manager(key, target, now)
        self._world.pairs[key] = found
        self._stamps[key] = (now, stamp)

    async def run(self, mark: Mark) -> None:
        """Look at Secrets that others write, and mark whom a change concerns, until cancelled."""
        while True:
            try:
                await self._sweep()
                mark(await self._changed())
                await self._authority.keep_published()
            except (ApiError, BadPair) as error:
                log.info("key pairs: %s", error)
            await asyncio.sleep(max(POLL_S, PER_READ_S * len(self._polled)))

    def _is_asking(self, key: Key, target: Object) -> bool:
        if target["metadata"].get("deletionTimestamp"):
            return False
        if key.kind == triggers.CERTIFICATE:
            return plan.class_of(target) in (names.OWN_CERTIFICATE_CLASS, names.CERT_MANAGER_CLASS)
        claim = self._world.known.get(resources.CLUSTER_DOMAIN_CLAIMS, "", key.name)
        is_claimed = claim is not None and (claim.get("spec") or {}).get("namespace") == key.namespace
        return is_claimed and bool(plan.own_secret(target))

    async def _stamp(self, key: Key, target: Object) -> Any:
        """Return all that the answer depends on, beside Secrets of others."""
        purpose = plan.type_of(target)
        issuer = network.issuer(self._world.config.network, purpose)
        signer = ""
        if key.kind == triggers.CERTIFICATE and plan.class_of(target) == names.OWN_CERTIFICATE_CLASS:
            try:
                signer = (await self._authority.current()).bundle
            except BadPair as error:
                signer = str(error)
        metadata = target["metadata"]
        return metadata["uid"], metadata.get("generation"), plan.class_of(target), issuer, signer

    async def _signed(self, key: Key, target: Object, now: float) -> PairFacts:
        """Have a Certificate signed by the authority of this cluster when it is time."""
        spec = target["spec"]
        hosts = [str(host) for host in spec["dnsNames"]]
        if refusal := plan.refusal(target):
            return PairFacts(problem=refusal, status=FALSE, reason="NameNotAllowed")
        try:
            signer = await self._authority.current()
            secret = await pairs.read(self._api, key.namespace, spec["secretName"])
            if secret is not None and not any(owner[:2] == ("Certificate", key.name) for owner in secret.owners):
                self._polled[key] = (key.namespace, spec["secretName"], secret.version)
                text = f"Secret {spec['secretName']} exists and is not of this Certificate: rename or delete it"
                return PairFacts(problem=text, status=FALSE, reason="SecretNotOwned")
            self._polled.pop(key, None)
            # One of a Certificate of this name that is gone is taken over before it is collected.
            is_own = secret is not None and any(owner[2] == target["metadata"]["uid"] for owner in secret.owners)
            found = authority.facts(secret.data, now, signer) if secret is not None and is_own else None
            data = secret.data if secret is not None else {}
            if found is None or plan.needs_new(hosts, found, now):
                for_clients = plan.type_of(target) == names.SYSTEM_INTERNAL
                data = authority.issue(signer, hosts, now, for_clients=for_clients)
                await pairs.write(self._api, target, data, is_new=secret is None)
                found = authority.facts(data, now, signer)
                secret = await pairs.read(self._api, key.namespace, spec["secretName"])
        except (BadPair, ValueError) as error:
            return PairFacts(problem=str(error), status=FALSE, reason="CannotSign")
        if plan.type_of(target) == names.SYSTEM_INTERNAL:
            # Pods cannot start without it, and there is one for each namespace: one that was deleted is made at once.
            self._polled[key] = (key.namespace, spec["secretName"], secret.version if secret is not None else "")
        return await self._served(key, target, hosts, data, found)

    async def _own(self, key: Key, mapping: Object, now: float) -> PairFacts:
        """Take the key pair that a DomainMapping brings; while it is broken, gateways keep the last good one."""
        name = plan.own_secret(mapping)
        secret = await pairs.read(self._api, key.namespace, name)
        self._polled[key] = (key.namespace, name, secret.version if secret is not None else "")
        if secret is None:
            await pairs.withdraw(self._api, plan.copy_name(key.kind, *key[1:]))
            return PairFacts(problem=f"Secret {name} does not exist in {key.namespace}", reason="SecretNotFound")
        found = authority.facts(secret.data, now)
        if not found.is_usable:
            return PairFacts(problem=f"Secret {name}: {found.problem}", reason="SecretNotUsable")
        return await self._served(key, mapping, [key.name], secret.data, found)

    async def _from_cert_manager(self, key: Key, target: Object, now: float) -> PairFacts:
        """Ask cert-manager, and take the key pair once it says that it is there."""
        purpose, name = plan.type_of(target), str(target["spec"]["secretName"])
        issuer = network.issuer(self._world.config.network, purpose)
        if issuer is None:
            text = f"config-certmanager names no issuer for {purpose} certificates: set issuerRef or its sibling"
            return PairFacts(problem=text, status=FALSE, reason="IssuerNotSet")
        wish = cert_manager.render(target, issuer, heads.owner_reference(target))
        try:
            current = await self._wish(wish)
        except ApiError as error:
            if not error.is_not_found:
                raise
            text = (
                "cert-manager is not installed in this cluster: install it, or set certificate-class in config-network"
            )
            return PairFacts(problem=text, status=FALSE, reason="CertManagerNotFound")
        secret = await pairs.read(self._api, key.namespace, name)
        self._polled[key] = (key.namespace, name, secret.version if secret is not None else "")
        status, reason, message = cert_manager.state(current)
        if secret is None or status != TRUE:
            # Asked again at each poll: what cert-manager says is not watched.
            self._polled[key] = (key.namespace, name, "?")
            return PairFacts(problem=message, status=status if status == FALSE else UNKNOWN, reason=reason)
        found = authority.facts(secret.data, now)
        return await self._served(key, target, target["spec"]["dnsNames"], secret.data, found)

    async def _wish(self, wish: Object) -> Object:
        kind, name, namespace = resources.CERT_MANAGER_CERTIFICATES, name_of(wish), namespace_of(wish)
        try:
            current = await self._api.get(kind, name, namespace)
        except ApiError as error:
            if not error.is_not_found:
                raise
            return await self._api.create(kind, wish)
        if heads.contains(current.get("spec") or {}, wish["spec"]):
            return current
        return await self._api.patch(kind, name, {"spec": wish["spec"]}, namespace, manager=pairs.MANAGER)

    async def _served(
        self, key: Key, asker: Object, hosts: list[str], data: dict[str, str], found: PairFacts
    ) -> PairFacts:
        if not found.is_usable or (key.kind == triggers.CERTIFICATE and not plan.is_served(asker)):
            return found
        try:
            version = await pairs.publish(self._api, key.kind, asker, hosts, data)
        except ApiError as error:
            if not error.is_not_found:
                raise
            text = f"namespace {names.CERTIFICATES_NAMESPACE} is missing: apply Tidegate's manifests"
            return PairFacts(problem=text, status=FALSE, reason="NotServed")
        return replace(found, copy_version=version)

    async def _drop(self, key: Key) -> None:
        if self._world.pairs.pop(key, None) is not None:
            await pairs.withdraw(self._api, plan.copy_name(key.kind, *key[1:]))
        self._stamps.pop(key, None)
        self._polled.pop(key, None)

    async def _sweep(self) -> None:
        """Withdraw, once, what was asked for by what went while no controller looked."""
        if self._is_swept:
            return
        known = self._world.known
        wanted = {
            plan.copy_name(key.kind, *key[1:])
            for key in triggers.everything(known)
            if key.kind in (triggers.CERTIFICATE, triggers.DOMAIN_MAPPING)
            and (target := known.get(triggers.RESOURCE_OF[key.kind], *key[1:])) is not None
            and self._is_asking(key, target)
        }
        for name in sorted(await pairs.copies(self._api) - wanted):
            await pairs.withdraw(self._api, name)
        self._is_swept = True

    async def _changed(self) -> set[Key]:
        changed = set()
        for key, (namespace, name, version) in list(self._polled.items()):
            secret = await pairs.read(self._api, namespace, name)
            if (secret.version if secret is not None else "") != version:
                self._stamps.pop(key, None)
                changed.add(key)
        return changed
