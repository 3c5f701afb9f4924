"""Who is behind a bearer token: a fixed one (the administrator's, the node's), or a signed one of a service account.

Service account tokens are JWTs (RFC 7519, HS256) over a key of this cluster: they survive restarts without being
stored, name the account and its uid, and die with either. Each is for audiences; this server takes those for itself,
and TokenReviews ask about others. Tokens are compared in constant time and never logged.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

from cluster.api import status, users
from cluster.store import Key, Store
from tidegate.kube.api import Object

ISSUER = "https://kubernetes.default.svc.cluster.local"
DEFAULT_AUDIENCE = ISSUER
LIFETIME_DEFAULT_S = 3600
LIFETIME_MIN_S = 600
LIFETIME_MAX_S = 365 * 86400

BINDABLE = {"Pod": ("pods", True), "Secret": ("secrets", True), "Node": ("nodes", False)}
"""Kinds of objects with which tokens may die: their plural, and whether they are in the account's namespace."""

_HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")


def audiences_of(spec: Object) -> list[str]:
    """Return the audiences that a request or review names; raises `ApiError` when they are no list of texts."""
    found = spec.get("audiences") or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise status.bad_request("spec.audiences must be a list of texts")
    return found


class Authenticator:
    """Turns an Authorization header into a user. `known` are fixed tokens; `signing_key` is this cluster's secret."""

    def __init__(self, store: Store, known: dict[str, users.User], signing_key: bytes) -> None:
        self._store = store
        self._known = {token.encode(): user for token, user in known.items()}
        self._key = signing_key

    def user(self, authorization: str, now_unix_s: float) -> users.User | None:
        """Return the user of an Authorization header, None when the credentials are unknown, out of date or for others
        than this server."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        return self.review(token.strip(), [], now_unix_s)[0]

    def review(self, token: str, audiences: list[str], now_unix_s: float) -> tuple[users.User | None, list[str]]:
        """Return the user of a token, and which of `audiences` (empty: this server's own) it is for; None when it is
        for none of them, or no good."""
        asked, given = audiences or [DEFAULT_AUDIENCE], token.encode("utf-8", "surrogateescape")
        for known, user in self._known.items():
            if hmac.compare_digest(given, known):
                meant = [one for one in asked if one == DEFAULT_AUDIENCE]
                return (user if meant else None), meant
        signed, _, signature = given.rpartition(b".")
        if not hmac.compare_digest(signature, self._signature(signed)):
            return None, []
        claims = _claims(signed)
        meant = [one for one in asked if one in claims.get("aud", [])] if claims else []
        return (self._service_account(claims, now_unix_s) if claims and meant else None), meant

    def issue(
        self,
        account: Object,
        lifetime_s: int,
        audiences: list[str],
        bound: tuple[str, Object] | None,
        now_unix_s: float,
    ) -> str:
        """Return a token for a stored ServiceAccount, good for `lifetime_s` seconds and while the object exists that it
        is `bound` to: a kind of `BINDABLE`, and name and uid."""
        metadata = account["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        private: Object = {"namespace": namespace, "serviceaccount": {"name": name, "uid": metadata["uid"]}}
        if bound:
            private[bound[0].lower()] = bound[1]
        claims = {
            "iss": ISSUER,
            "sub": f"{users.SERVICE_ACCOUNT_PREFIX}{namespace}:{name}",
            "aud": audiences or [DEFAULT_AUDIENCE],
            "iat": int(now_unix_s),
            "nbf": int(now_unix_s),
            "exp": int(now_unix_s) + lifetime_s,
            "kubernetes.io": private,
        }
        signed = _HEADER + b"." + _encode(msgspec.json.encode(claims))
        return (signed + b"." + self._signature(signed)).decode()

    def _service_account(self, claims: dict[str, Any], now_unix_s: float) -> users.User | None:
        if now_unix_s >= claims.get("exp", 0):
            return None
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        stored = self._store.get(Key("", "serviceaccounts", namespace, account["name"]))
        if stored is None or stored.shadow["metadata"]["uid"] != account["uid"]:
            return None
        if not all(
            self._exists(kind, namespace, private[kind.lower()]) for kind in BINDABLE if kind.lower() in private
        ):
            return None
        return users.service_account(namespace, account["name"], account["uid"])

    def _exists(self, kind: str, namespace: str, bound: Object) -> bool:
        """Whether the object that a token was issued for is still there."""
        plural, is_namespaced = BINDABLE[kind]
        entry = self._store.get(Key("", plural, namespace if is_namespaced else "", str(bound.get("name"))))
        return entry is not None and bound.get("uid") in (None, entry.shadow["metadata"]["uid"])

    def _signature(self, signed: bytes) -> bytes:
        return _encode(hmac.new(self._key, signed, hashlib.sha256).digest())


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _claims(signed: bytes) -> dict[str, Any] | None:
    payload = signed.partition(b".")[2]
    try:
        claims: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    except (binascii.Error, msgspec.DecodeError):
        return None
    return claims
