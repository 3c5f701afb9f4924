"""Service-account tokens for pods: asked for once per account, kept until four fifths of their life are over.

A pod's start waits for its token only the first time an account is used; afterwards tokens are renewed in the
background of somebody else's start. Tokens are never logged.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from cluster import timestamps
from tidegate.kube import resources
from tidegate.kube.api import Api, ApiError

log = logging.getLogger(__name__)

WANTED_S = 365 * 24 * 3600
"""Processes keep their kubeconfig for as long as they run, so a long-lived token is asked for; a server may cap it."""
RENEW_SHARE = 0.8
ACCOUNTS_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str
    renew_unix_s: float


class Tokens:
    """Tokens by (namespace, service account)."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def token(self, namespace: str, account: str) -> str:
        """Return a token; raises `ApiError` when the account does not exist or the server does not answer."""
        kept = self._kept.get((namespace, account))
        if kept and time.time() < kept.renew_unix_s:
            return kept.token
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"name": account, "namespace": namespace},
            "spec": {"expirationSeconds": WANTED_S},
        }
        asked = time.time()
        try:
            answer = await self._api.create(resources.SERVICE_ACCOUNTS, request, namespace, "token")
        except ApiError:
            if kept:
                return kept.token
            raise
        status = answer["status"]
        expires = timestamps.unix_s(status.get("expirationTimestamp")) or asked + 3600
        if len(self._kept) >= ACCOUNTS_LIMIT:
            self._kept.pop(next(iter(self._kept)))
        renew = asked + (expires - asked) * RENEW_SHARE
        self._kept[namespace, account] = _Kept(status["token"], renew)
        return str(status["token"])
