"""The subresources that are acted on instead of stored: a service account's token and a pod's binding."""

from __future__ import annotations

from cluster import timestamps
from cluster.api import reads, rules, status, tokens, users, writes
from cluster.api.backend import Backend
from cluster.api.kinds import Kind
from cluster.api.users import Call
from cluster.store import Collection, Key
from tidegate.kube.api import Object

TOKEN_REQUEST = status.Named("authentication.k8s.io", "", "TokenRequest")


def token_request(
    backend: Backend,
    kind: Kind,
    namespace: str,
    name: str,
    body: Object,
    authenticator: tokens.Authenticator,
    user: users.User,
) -> Object:
    """Issue a token for a service account; return the TokenRequest. Raises `ApiError`."""
    account = reads.get(backend, kind, namespace, name).decode()
    if user.name.startswith(users.NODE_PREFIX) and not _runs_as(backend, user, namespace, name):
        why = f"no pod of this node runs as service account {namespace}/{name}"
        raise status.forbidden(kind.named, name, why)
    spec: Object = body.get("spec") or {}
    if not isinstance(spec, dict) or not isinstance(spec.get("boundObjectRef") or {}, dict):
        raise status.bad_request("spec and spec.boundObjectRef must be objects")
    lifetime_s = min(_asked_lifetime_s(spec, name), tokens.LIFETIME_MAX_S)
    now = backend.clock()
    bound = _bound(backend, spec.get("boundObjectRef") or {}, account)
    audiences = tokens.audiences_of(spec)
    token = authenticator.issue(account, lifetime_s, audiences, bound, now)
    spec = {**spec, "expirationSeconds": lifetime_s, "audiences": audiences or [tokens.DEFAULT_AUDIENCE]}
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": timestamps.text(now)},
        "spec": spec,
        "status": {"token": token, "expirationTimestamp": timestamps.text(now + lifetime_s)},
    }


def _asked_lifetime_s(spec: Object, name: str) -> int:
    asked = spec.get("expirationSeconds")
    if asked is None:
        return tokens.LIFETIME_DEFAULT_S
    if not isinstance(asked, int) or asked < tokens.LIFETIME_MIN_S:
        why = f"Invalid value: {asked}: may not specify a duration less than 10 minutes"
        raise status.invalid(TOKEN_REQUEST, name, [("spec.expirationSeconds", why, "FieldValueInvalid")])
    return asked


def _bound(backend: Backend, reference: Object, account: Object) -> tuple[str, Object] | None:
    """Return the kind, name and uid of the object that a token is to die with; raises `ApiError`."""
    kind, name, namespace = (
        str(reference.get("kind") or ""),
        str(reference.get("name")),
        account["metadata"]["namespace"],
    )
    if not kind:
        return None
    if kind not in tokens.BINDABLE:
        raise status.bad_request(f"cannot bind token for serviceaccount to object of type {kind}")
    plural, is_namespaced = tokens.BINDABLE[kind]
    entry = backend.store.get(Key("", plural, namespace if is_namespaced else "", name))
    if entry is None:
        raise status.not_found(status.Named("", plural, kind), name)
    uid = entry.shadow["metadata"]["uid"]
    if reference.get("uid") not in (None, "", uid):
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record"
        raise status.conflict(status.Named("", plural, kind), name, f"{why} ({uid})")
    runs_as = (entry.shadow.get("spec") or {}).get("serviceAccountName") or "default"
    if kind == "Pod" and runs_as != account["metadata"]["name"]:
        raise status.bad_request("cannot bind token to a pod that runs as another service account")
    return kind, {"name": name, "uid": uid}


def _runs_as(backend: Backend, node: users.User, namespace: str, account: str) -> bool:
    """Whether a pod of the node runs as the account: a node gets the tokens of its own pods only."""
    pods = backend.store.entries(Collection("", "pods"), namespace)
    specs = (entry.shadow.get("spec") or {} for entry in pods)
    node_name = node.name.removeprefix(users.NODE_PREFIX)
    return any(one.get("nodeName") == node_name and one.get("serviceAccountName") == account for one in specs)


async def bind(backend: Backend, kind: Kind, namespace: str, name: str, body: Object, call: Call) -> Object:
    """Assign a pod to a node; return a Status. Raises `ApiError` Conflict when it is assigned already."""
    node = (body.get("target") or {}).get("name", "")
    if not node:
        cause = ("target.name", "Required value", "FieldValueRequired")
        raise status.invalid(kind.named, name, [cause])

    def change(live: Object) -> Object:
        if live["spec"].get("nodeName"):
            why = f'pod {name} is already assigned to node "{live["spec"]["nodeName"]}"'
            raise status.conflict(kind.named, name, why)
        new = rules.copied(live)
        new["spec"]["nodeName"] = node
        return new

    await writes.modify(backend, kind, backend.key(kind, namespace, name), change, call)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
