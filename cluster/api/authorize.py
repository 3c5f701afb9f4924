"""Who may do what: RBAC by the roles and bindings in the store; members of system:masters may do everything."""

from __future__ import annotations

from collections.abc import Mapping

from multidict import CIMultiDictProxy

from cluster.api import rbac, status, users
from cluster.api.rbac import AccessRequest
from cluster.api.routing import Target
from cluster.store import Change, Collection, Store
from tidegate.kube.api import ApiError, Object

GROUP = "rbac.authorization.k8s.io"
CLUSTER_ROLES = Collection(GROUP, "clusterroles")
CLUSTER_ROLE_BINDINGS = Collection(GROUP, "clusterrolebindings")
ROLES = Collection(GROUP, "roles")
ROLE_BINDINGS = Collection(GROUP, "rolebindings")
EVERYTHING: Object = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


class Authorizer:
    """Answers questions from the roles and bindings of a store, read again after each change of theirs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rules: rbac.RuleSet | None = None
        for collection in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ROLES, ROLE_BINDINGS):
            store.observe(collection, self._forget)

    def _forget(self, _: Change) -> None:
        self._rules = None

    def _current(self) -> rbac.RuleSet:
        if self._rules is None:
            self._rules = rbac.RuleSet(
                *(
                    [entry.decode() for entry in self._store.entries(collection)]
                    for collection in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ROLES, ROLE_BINDINGS)
                )
            )
        return self._rules

    def allows(self, user: users.User, question: AccessRequest) -> bool:
        """Whether the user may do that."""
        return rbac.is_allowed(_info(user), question, self._current())

    def rules_of(self, user: users.User, namespace: str) -> tuple[list[Object], list[Object]]:
        """Return the resource rules and path rules of a user in a namespace."""
        if user.is_master:
            found: list[Object] = [EVERYTHING, {"verbs": ["*"], "nonResourceURLs": ["*"]}]
        else:
            found = list(rbac.rules_for(_info(user), namespace, self._current()))
        return [rule for rule in found if rule.get("resources")], [
            rule for rule in found if rule.get("nonResourceURLs")
        ]


def _info(user: users.User) -> rbac.UserInfo:
    return rbac.UserInfo(user.name, user.groups, user.uid)


def question_of(method: str, query: Mapping[str, str], target: Target) -> AccessRequest:
    """Return what an HTTP request on a resource asks permission for."""
    verb = VERBS.get(method, "")
    if method == "DELETE":
        verb = "delete" if target.name else "deletecollection"
    elif method in ("GET", "HEAD"):
        watching = query.get("watch", "").lower() in ("true", "1")
        verb = "watch" if watching else "get" if target.name else "list"
    name = target.name
    if target.subresource in ("exec", "attach", "portforward"):
        verb = "create"  # by GET too, which WebSockets need: reading a pod must not mean running commands in it
    if target.subresource == "proxy":
        verb = {"GET": "get", "HEAD": "get"}.get(method, verb)
        name = name.split(":")[1] if name.count(":") == 2 else name.split(":")[0]
    if not name and verb in ("list", "watch", "deletecollection"):
        name = _selected_name(query.get("fieldSelector", ""))
    return AccessRequest(verb, target.group, target.plural, target.subresource, target.namespace, name)


def _selected_name(field_selector: str) -> str:
    # As in Kubernetes: a rule with resourceNames allows to list and watch exactly that name.
    for part in field_selector.split(","):
        key, _, value = part.replace("==", "=").partition("=")
        if key.strip() == "metadata.name":
            return value.strip()
    return ""


def refusal(user: users.User, question: AccessRequest) -> ApiError:
    """Return the Forbidden error for a question that was answered with no."""
    if question.path:
        message = f'forbidden: User "{user.name}" cannot {question.verb} path "{question.path}"'
        return ApiError(403, "Forbidden", message)
    resource = "/".join(part for part in (question.resource, question.subresource) if part)
    scope = f'in the namespace "{question.namespace}"' if question.namespace else "at the cluster scope"
    why = f"{users.may_not(user, question.verb, resource, question.group)} {scope}"
    return status.forbidden(status.Named(question.group, question.resource, ""), question.name, why)


def impersonated(user: users.User, headers: CIMultiDictProxy[str], authorizer: Authorizer) -> users.User:
    """Return the user that a request asks to be treated as; raises `ApiError` unless each part of it is allowed."""
    name = headers.get("Impersonate-User")
    if not name:
        return user
    groups = headers.getall("Impersonate-Group", [])
    namespace, account = _account(name)
    asked = [
        AccessRequest("impersonate", "", "serviceaccounts" if account else "users", "", namespace, account or name)
    ]
    asked += [AccessRequest("impersonate", "", "groups", name=group) for group in groups]
    if uid := headers.get("Impersonate-Uid", ""):
        asked.append(AccessRequest("impersonate", "authentication.k8s.io", "uids", name=uid))
    for question in asked:
        if not user.is_master and not authorizer.allows(user, question):
            raise refusal(user, question)
    if account and not groups:
        return users.service_account(namespace, account, uid)
    return users.User(name, (*groups, users.AUTHENTICATED), uid)


def _account(name: str) -> tuple[str, str]:
    """Return namespace and name of the service account that a user name stands for, empty for other users."""
    if not name.startswith(users.SERVICE_ACCOUNT_PREFIX):
        return "", ""
    namespace, _, account = name.removeprefix(users.SERVICE_ACCOUNT_PREFIX).partition(":")
    return namespace, account
