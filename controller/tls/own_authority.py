"""The authority of this cluster: a Secret of the system namespace, made when missing, replaced in time.

Users may put one of their own there (a Secret of type kubernetes.io/tls); that one is used and never changed. What
clients are to trust is published without the key, as a ConfigMap of the same name.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable

from controller.tls import authority, pairs, plan
from controller.tls.authority import Authority, BadPair
from tidegate.contracts import internal_tls, names
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, PatchKind

log = logging.getLogger(__name__)

KEPT_S = 10.0
GENERATED_ANNOTATION = "tidegate.dev/generated"
"""On an authority that was made here, the digest of its certificate: one put in its place is known as another's."""


class OwnAuthority:
    """Gives the current authority; `wall` is seconds since 1970, `namespace` the system namespace."""

    def __init__(self, api: Api, namespace: str, wall: Callable[[], float]) -> None:
        self._api = api
        self._namespace = namespace
        self._wall = wall
        self._lock = asyncio.Lock()
        self._current: Authority | None = None
        self._read_at = float("-inf")

    async def current(self) -> Authority:
        """Return the authority, made when there is none; raises BadPair when it cannot be used, and `ApiError`."""
        async with self._lock:
            now = self._wall()
            if self._current is None or not 0 <= now - self._read_at < KEPT_S:
                self._current = None
                self._current = await self._read(now)
                self._read_at = now
            return self._current

    async def keep_published(self) -> None:
        """Publish again what somebody deleted or changed, once there is an authority; raises BadPair and `ApiError`.

        Without it no hop of Tidegate's own trusts another.
        """
        if self._current is not None:
            await self.current()

    async def _read(self, now: float) -> Authority:
        found = await pairs.read(self._api, self._namespace, names.AUTHORITY)
        if found is None:
            return await self._make(now)
        try:
            current = authority.read(found.data, now)
        except BadPair as error:
            where = f"Secret {self._namespace}/{names.AUTHORITY}"
            raise BadPair(f"{where}, which signs certificates: {error}") from error
        is_generated = found.annotations.get(GENERATED_ANNOTATION) == _digest(found.data[names.CERTIFICATE_FIELD])
        if is_generated and now > current.not_after - plan.AUTHORITY_RENEW_BEFORE_S:
            log.info("the certificate authority is replaced: it ends within a year")
            return await self._make(now, previous=found.data[names.CERTIFICATE_FIELD], is_new=False)
        await self._publish(current)
        return current

    async def _make(self, now: float, previous: str = "", *, is_new: bool = True) -> Authority:
        data = authority.make(now, previous)
        made = authority.read(data, now)
        # Trusted first, used afterwards.
        await self._publish(made)
        marks = {GENERATED_ANNOTATION: _digest(data[names.CERTIFICATE_FIELD])}
        await pairs.put(self._api, self._namespace, names.AUTHORITY, data, annotations=marks, is_new=is_new)
        return made

    async def _publish(self, current: Authority) -> None:
        if await self._is_published(current.bundle):
            return
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": names.AUTHORITY,
                "namespace": self._namespace,
                "labels": {internal_tls.TRUST_LABEL: "true"},
            },
            "data": {names.CA_FIELD: current.bundle},
        }
        await self._api.patch(
            resources.CONFIG_MAPS,
            names.AUTHORITY,
            body,
            self._namespace,
            kind=PatchKind.APPLY,
            manager=pairs.MANAGER,
            force=True,
        )

    async def _is_published(self, bundle: str) -> bool:
        try:
            found = await self._api.get(resources.CONFIG_MAPS, names.AUTHORITY, self._namespace)
        except ApiError as error:
            if not error.is_not_found:
                raise
            return False
        labels = found["metadata"].get("labels") or {}
        is_told = (found.get("data") or {}).get(names.CA_FIELD) == bundle
        return is_told and labels.get(internal_tls.TRUST_LABEL) == "true"


def _digest(certificate: str) -> str:
    return hashlib.sha256(certificate.strip().encode()).hexdigest()[:32]
