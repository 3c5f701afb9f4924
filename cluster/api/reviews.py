"""Questions about identity and permission, answered and never stored: access reviews, token and self reviews."""

from __future__ import annotations

from cluster.api import status, users
from cluster.api.authorize import Authorizer
from cluster.api.rbac import AccessRequest
from cluster.api.tokens import Authenticator, audiences_of
from tidegate.kube.api import Object

KINDS = {
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    ("authorization.k8s.io", "v1", "selfsubjectrulesreviews"): "SelfSubjectRulesReview",
    ("authorization.k8s.io", "v1", "subjectaccessreviews"): "SubjectAccessReview",
    ("authorization.k8s.io", "v1", "localsubjectaccessreviews"): "LocalSubjectAccessReview",
    ("authentication.k8s.io", "v1", "selfsubjectreviews"): "SelfSubjectReview",
    ("authentication.k8s.io", "v1", "tokenreviews"): "TokenReview",
}


class Reviews:
    """Answers reviews by the server's own authenticator and authorizer."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer

    def answer(self, group: str, version: str, plural: str, review: Object, user: users.User, now: float) -> Object:
        """Return the review with its status filled in; raises `ApiError`."""
        kind = KINDS[group, version, plural]
        if not isinstance(review, dict):
            raise status.bad_request("the body must be a review object")
        spec: Object = review.get("spec") or {}
        if not isinstance(spec, dict):
            raise status.bad_request("spec must be an object")
        match kind:
            case "TokenReview":
                answered = self._token(spec, now)
            case "SelfSubjectReview":
                answered = {"userInfo": user_info(user)}
            case "SelfSubjectRulesReview":
                answered = self._rules(spec, user)
            case "SelfSubjectAccessReview":
                answered = self._access(spec, user)
            case _:
                groups = tuple(spec.get("groups") or ())
                answered = self._access(spec, users.User(spec.get("user") or "", groups, spec.get("uid") or ""))
        metadata = {**(review.get("metadata") or {}), "creationTimestamp": None}
        return {
            "kind": kind,
            "apiVersion": f"{group}/{version}",
            "metadata": metadata,
            "spec": spec,
            "status": answered,
        }

    def _token(self, spec: Object, now: float) -> Object:
        audiences = audiences_of(spec)
        user, meant = self._authenticator.review(str(spec.get("token") or ""), audiences, now)
        if user is None:
            return {"user": {}, "error": "the token is unknown, out of date or not for these audiences"}
        return {"authenticated": True, "user": user_info(user), "audiences": meant}

    def _access(self, spec: Object, user: users.User) -> Object:
        allowed = self._authorizer.allows(user, question(spec))
        return {"allowed": allowed} | ({} if allowed else {"reason": ""})

    def _rules(self, spec: Object, user: users.User) -> Object:
        resource_rules, path_rules = self._authorizer.rules_of(user, spec.get("namespace") or "")
        return {"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": False}


def question(spec: Object) -> AccessRequest:
    """Return what an access review asks."""
    asked: Object = spec.get("resourceAttributes") or {}
    if asked:
        return AccessRequest(
            asked.get("verb", ""),
            asked.get("group", ""),
            asked.get("resource", ""),
            asked.get("subresource", ""),
            asked.get("namespace", ""),
            asked.get("name", ""),
        )
    path: Object = spec.get("nonResourceAttributes") or {}
    return AccessRequest(path.get("verb", ""), path=path.get("path", ""))


def user_info(user: users.User) -> Object:
    """Return a user as reviews and webhooks show it."""
    return {"username": user.name, "groups": list(user.groups)} | ({"uid": user.uid} if user.uid else {})
