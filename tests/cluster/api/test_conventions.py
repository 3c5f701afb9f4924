"""The API conventions under random sequences of operations, the same through the official typed client and ours.

Each sequence runs twice, in a namespace of its own per client. After each operation the object keeps what the
conventions promise (uid, resourceVersion, generation, finalizers, conflicts); both clients see the same outcome; and a
watch from the start tells every change once, in order, and replays to the list.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import warnings
from typing import Any, Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cluster.api.test_kubectl import DEPLOYMENT
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object, PatchKind
from tidegate.kube.client import Client

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes

DEPLOYMENTS = resources.DEPLOYMENTS
NAMES = st.sampled_from("ab")
NUMBERS = st.integers(0, 3)
OPERATIONS = st.one_of(
    st.tuples(st.just("create"), NAMES, NUMBERS),
    st.tuples(st.just("create"), NAMES, NUMBERS),
    st.tuples(st.sampled_from(["replicas", "label", "status", "scale", "apply"]), NAMES, NUMBERS),
    st.tuples(st.sampled_from(["put", "put_stale", "hold", "release", "try_delete"]), NAMES, NUMBERS),
    st.tuples(st.sampled_from(["delete", "delete_stale"]), NAMES, NUMBERS),
)
_namespaces = itertools.count()


class Actor(Protocol):
    """A client of one namespace; each method returns the object or raises `ApiError`."""

    async def create(self, body: Object) -> Object: ...
    async def get(self, name: str) -> Object: ...
    async def put(self, body: Object) -> Object: ...
    async def patch(self, name: str, body: Object, subresource: str = "") -> Object: ...
    async def apply(self, name: str, body: Object) -> Object: ...
    async def delete(self, name: str, version: str = "", dry_run: bool = False) -> None: ...


class Ours:
    """`tidegate.kube.client`."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace

    async def create(self, body: Object) -> Object:
        return await self._client.create(DEPLOYMENTS, body, self._namespace)

    async def get(self, name: str) -> Object:
        return await self._client.get(DEPLOYMENTS, name, self._namespace)

    async def put(self, body: Object) -> Object:
        return await self._client.replace(DEPLOYMENTS, body)

    async def patch(self, name: str, body: Object, subresource: str = "") -> Object:
        return await self._client.patch(DEPLOYMENTS, name, body, self._namespace, subresource=subresource)

    async def apply(self, name: str, body: Object) -> Object:
        body = body | {"apiVersion": "apps/v1", "kind": "Deployment"}
        return await self._client.patch(
            DEPLOYMENTS, name, body, self._namespace, kind=PatchKind.APPLY, manager="a", force=True
        )

    async def delete(self, name: str, version: str = "", dry_run: bool = False) -> None:
        options: Object = {"preconditions": {"resourceVersion": version}} if version else {}
        options |= {"dryRun": ["All"]} if dry_run else {}
        await self._client._call("DELETE", DEPLOYMENTS.path(self._namespace, name), body=options)


class Official:
    """The `kubernetes` package, which is synchronous, in threads."""

    def __init__(self, api: Any, namespace: str) -> None:
        self._apps, self._namespace, self._api = kubernetes.client.AppsV1Api(api), namespace, api

    async def _do(self, method: str, *arguments: Any, **options: Any) -> Object:
        try:
            made = await asyncio.to_thread(getattr(self._apps, f"{method}"), *arguments, **options)
        except kubernetes.client.ApiException as error:
            body = json.loads(error.body)
            raise ApiError(error.status, body["reason"], body["message"]) from error
        answer: Object = self._api.sanitize_for_serialization(made)
        return answer

    async def create(self, body: Object) -> Object:
        return await self._do("create_namespaced_deployment", self._namespace, body)

    async def get(self, name: str) -> Object:
        return await self._do("read_namespaced_deployment", name, self._namespace)

    async def put(self, body: Object) -> Object:
        return await self._do("replace_namespaced_deployment", body["metadata"]["name"], self._namespace, body)

    async def patch(self, name: str, body: Object, subresource: str = "") -> Object:
        suffix = f"_{subresource}" if subresource else ""
        return await self._do(f"patch_namespaced_deployment{suffix}", name, self._namespace, body)

    async def apply(self, name: str, body: Object) -> Object:
        body = body | {"apiVersion": "apps/v1", "kind": "Deployment"}
        options = {"field_manager": "a", "force": True, "_content_type": PatchKind.APPLY.value}
        return await self._do("patch_namespaced_deployment", name, self._namespace, body, **options)

    async def delete(self, name: str, version: str = "", dry_run: bool = False) -> None:
        options: Object = {"preconditions": {"resourceVersion": version}} if version else {}
        options |= {"dryRun": ["All"]} if dry_run else {}
        await self._do("delete_namespaced_deployment", name, self._namespace, body=options)


class Story:
    """One sequence through one client: performs, checks each step, and keeps what a second client must see too."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._first: dict[str, Object] = {}
        self.outcomes: list[Any] = []
        self.changes = 0

    async def run(self, operations: list[tuple[str, str, int]]) -> None:
        for operation, name, number in operations:
            before = await self._live(name)
            try:
                await self._perform(operation, name, number, before)
                outcome: Any = "done"
            except ApiError as error:
                outcome = (error.status, error.reason)
            after = await self._live(name)
            self._check(operation, before, after, outcome)
            self.outcomes.append((operation, outcome, _summary(after)))
            if after is not None and (before is None or before["metadata"]["uid"] != after["metadata"]["uid"]):
                self._first[name] = after

    async def _live(self, name: str) -> Object | None:
        try:
            return await self._actor.get(name)
        except ApiError as error:
            assert error.is_not_found
            return None

    async def _perform(self, operation: str, name: str, number: int, before: Object | None) -> None:
        actor, metadata = self._actor, {"name": name}
        stale = self._first.get(name) or DEPLOYMENT | {"metadata": metadata}
        match operation:
            case "create":
                await actor.create(
                    DEPLOYMENT | {"metadata": metadata, "spec": DEPLOYMENT["spec"] | {"replicas": number}}
                )
            case "replicas":
                await actor.patch(name, {"spec": {"replicas": number}})
            case "label":
                await actor.patch(name, {"metadata": {"labels": {"n": str(number)}}})
            case "status":
                await actor.patch(name, {"status": {"replicas": number}, "spec": {"replicas": 9}}, "status")
            case "scale":
                await actor.patch(name, {"spec": {"replicas": number}}, "scale")
            case "apply":
                spec = DEPLOYMENT["spec"] | {"minReadySeconds": number}
                spec = {field: value for field, value in spec.items() if field != "replicas"}
                await actor.apply(name, {"metadata": metadata, "spec": spec})
            case "put" | "put_stale":
                base = before if operation == "put" and before else stale
                namespace = base["metadata"].get("namespace")
                body = json.loads(json.dumps(base)) | {"apiVersion": "apps/v1", "kind": "Deployment"}
                body["spec"]["replicas"] = number
                if namespace is None:
                    raise ApiError(404, "NotFound", "there never was one")
                await actor.put(body)
            case "hold" | "release":
                await actor.patch(name, {"metadata": {"finalizers": ["a.b/c"] if operation == "hold" else None}})
            case "try_delete":
                await actor.delete(name, dry_run=True)
            case "delete":
                await actor.delete(name)
            case "delete_stale":
                await actor.delete(name, stale["metadata"].get("resourceVersion", "1"))

    def _check(self, operation: str, before: Object | None, after: Object | None, outcome: Any) -> None:
        changed = _version(before) != _version(after)
        self.changes += changed
        if outcome != "done":
            assert not changed, "a refused write changes nothing"
            return
        if before is None or after is None or before["metadata"]["uid"] != after["metadata"]["uid"]:
            assert operation in ("create", "apply", "delete", "delete_stale", "release")
            if after is not None:
                assert (after["metadata"]["generation"], "deletionTimestamp" in after["metadata"]) == (1, False)
            return
        assert operation != "try_delete" or not changed, "a dry run changes nothing"
        old, new = before["metadata"], after["metadata"]
        assert old["creationTimestamp"] == new["creationTimestamp"]
        if changed:
            assert int(new["resourceVersion"]) > int(old["resourceVersion"])
        else:
            assert _content(before) == _content(after), "the same version is the same object"
        marked = "deletionTimestamp" in new and "deletionTimestamp" not in old
        assert new["generation"] - old["generation"] == (before["spec"] != after["spec"]) + marked
        assert ("deletionTimestamp" in old) <= ("deletionTimestamp" in new), "a deletion is never taken back"
        assert "deletionTimestamp" not in new or new.get("finalizers"), "only finalizers hold what is deleted"
        if operation == "status":
            assert before["spec"] == after["spec"], "a status write touches no spec"
        elif operation in ("replicas", "label", "scale", "put", "apply"):
            assert before.get("status") == after.get("status"), "only a status write touches the status"


def _version(obj: Object | None) -> str:
    return obj["metadata"]["resourceVersion"] if obj else ""


def _content(obj: Object) -> Object:
    return json.loads(json.dumps(obj, sort_keys=True))  # type: ignore[no-any-return]


def _summary(obj: Object | None) -> Any:
    if obj is None:
        return None
    metadata, spec = obj["metadata"], obj["spec"]
    return (
        spec["replicas"],
        spec.get("minReadySeconds"),
        metadata["generation"],
        metadata.get("labels"),
        metadata.get("finalizers"),
        "deletionTimestamp" in metadata,
        (obj.get("status") or {}).get("replicas"),
    )


async def told(client: Client, namespace: str, since: str) -> list[tuple[str, Object]]:
    """Return what a watch from `since` tells until the object `end` comes."""
    events: list[tuple[str, Object]] = []
    async for event in client.watch(DEPLOYMENTS, namespace, since=since):
        if event.object["metadata"]["name"] == "end":
            break
        events.append((event.type, event.object))
    return events


async def check_watch(
    client: Client, namespace: str, since: str, live: asyncio.Future[list[tuple[str, Object]]], changes: int
) -> None:
    listed = {one["metadata"]["name"]: one for one in (await client.list(DEPLOYMENTS, namespace)).items}
    await client.create(DEPLOYMENTS, DEPLOYMENT | {"metadata": {"name": "end"}}, namespace)
    events = await asyncio.wait_for(live, 30)
    assert events == await told(client, namespace, since), "who watches later is told the same"
    versions = [int(_version(obj)) for _, obj in events]
    assert versions == sorted(set(versions)), "in order, each once"
    assert len(versions) == changes, "every change, and nothing else"
    state: dict[str, Object] = {}
    for kind, obj in events:
        name = obj["metadata"]["name"]
        assert (name in state) is (kind != "ADDED")
        if kind == "DELETED":
            del state[name]
        else:
            state[name] = obj
    assert state == listed


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(operations=st.lists(OPERATIONS, min_size=4, max_size=14))
async def test_both_clients_meet_the_conventions(running, official, operations: list[tuple[str, str, int]]) -> None:
    client: Client = running.client
    outcomes = []
    for kind in ("ours", "official"):
        namespace = f"{kind}-{next(_namespaces)}"
        await client.create(resources.NAMESPACES, {"metadata": {"name": namespace}})
        since = (await client.list(DEPLOYMENTS, namespace)).resource_version
        live = asyncio.ensure_future(told(client, namespace, since))
        story = Story(Ours(client, namespace) if kind == "ours" else Official(official, namespace))
        await story.run(operations)
        await check_watch(client, namespace, since, live, story.changes)
        outcomes.append(story.outcomes)
    assert outcomes[0] == outcomes[1]
