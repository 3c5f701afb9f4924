"""Service-account tokens for pods: asked for at each start, for an account may have been made anew under its old name.

Pods of one account that start in the same moment share one. A token of before is used again where the server does not
answer. Those that a pod projects into a volume are its own: for the audience and time it names, bound to it. Tokens are
never logged.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from cluster import timestamps
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError, Object, name_of, namespace_of

log = logging.getLogger(__name__)

WANTED_S = 365 * 24 * 3600
"""Processes keep their kubeconfig for as long as they run, so a long-lived token is asked for; a server may cap it."""
RENEW_SHARE = 0.8
OLDEST_S = 24 * 3600.0
"""A pod's own token is renewed after a day at the latest, as by a kubelet."""
ACCOUNTS_LIMIT = 1000
SHARED_S = 1.0
"""So long after it was asked for a token serves other pods of the account that start."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A token, and when (Unix seconds) it is to be replaced."""

    token: str
    renew_unix_s: float


class Tokens:
    """Tokens by (namespace, service account)."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._kept: dict[tuple[str, str], tuple[float, Kept]] = {}

    async def token(self, namespace: str, account: str) -> str:
        """Return a token; raises `ApiError` when the account does not exist or the server does not answer."""
        asked_s, kept = self._kept.get((namespace, account), (0.0, None))
        now = time.time()
        if kept and now < asked_s + SHARED_S:
            return kept.token
        try:
            found = await self._ask(namespace, account, {"expirationSeconds": WANTED_S})
        except ApiError as error:
            if kept and not error.is_not_found:
                return kept.token
            raise
        self._kept.pop((namespace, account), None)
        if len(self._kept) >= ACCOUNTS_LIMIT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[namespace, account] = now, found
        return found.token

    async def for_pod(self, pod: Object, audience: str, expiration_s: int) -> Kept:
        """Return a token of the pod's account that is good for `audience` (empty: the API server) for `expiration_s`
        seconds, and no longer than the pod exists; raises `ApiError`."""
        reference = {"apiVersion": "v1", "kind": "Pod", "name": name_of(pod), "uid": pod["metadata"]["uid"]}
        spec: Object = {"expirationSeconds": expiration_s, "boundObjectRef": reference}
        if audience:
            spec["audiences"] = [audience]
        asked = time.time()
        found = await self._ask(namespace_of(pod), pod["spec"].get("serviceAccountName") or "default", spec)
        return Kept(found.token, min(found.renew_unix_s, asked + OLDEST_S))

    async def _ask(self, namespace: str, account: str, spec: Object) -> Kept:
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"name": account, "namespace": namespace},
            "spec": spec,
        }
        asked = time.time()
        status = (await self._api.create(resources.SERVICE_ACCOUNTS, request, namespace, "token"))["status"]
        expires = timestamps.unix_s(status.get("expirationTimestamp")) or asked + spec["expirationSeconds"]
        return Kept(str(status["token"]), asked + (expires - asked) * RENEW_SHARE)
