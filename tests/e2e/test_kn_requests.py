"""Requests in the shape in which `kn` sends them, by plain HTTP: whole objects with what Go adds to them, merge
patches, watches of one name, deletions with a propagation policy. Their shapes are those of knative/client
(pkg/serving/v1, pkg/wait), told in our own words.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from loadtest import load
from loadtest.instance import Instance, eventually
from tidegate.contracts import names
from tidegate.kube import connect

Object = dict[str, Any]
AGENT = "kn/v1.20.0 (linux/amd64) client.knative.dev/v1.20.0"
IMAGE = "tidegate.dev/examples/hello"
WAIT_S = 60
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass
class Kn:
    """Sends what kn sends; `session` is authenticated."""

    session: aiohttp.ClientSession
    server: str

    async def send(
        self, method: str, path: str, body: Object | None = None, media: str = "application/json", **query: str
    ) -> tuple[int, Object]:
        """Return status and body of one request to the serving API of the namespace `default`."""
        headers = {"Accept": "application/json", "User-Agent": AGENT}
        data = None
        if body is not None:
            headers["Content-Type"], data = media, json.dumps(body)
        async with self.session.request(method, self.url(path), params=query, data=data, headers=headers) as answer:
            assert answer.content_type == "application/json"
            return answer.status, await answer.json()

    def url(self, path: str) -> str:
        version = "v1beta1" if path.startswith("domainmappings") else "v1"
        return f"{self.server}/apis/serving.knative.dev/{version}/namespaces/default/{path}"

    async def get(self, path: str) -> Object:
        status, found = await self.send("GET", path)
        assert status == 200, found
        return found

    async def events(self, plural: str, name: str, version: str) -> AsyncGenerator[Object, None]:
        """Yield the events of one object from a version on, as kn's wait does."""
        query = {
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": str(WAIT_S + 30),
            "allowWatchBookmarks": "true",
            "watch": "true",
        }
        headers = {"Accept": "application/json, */*", "User-Agent": AGENT}
        async with self.session.get(self.url(plural), params=query, headers=headers) as answer:
            assert answer.status == 200
            try:
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] != "BOOKMARK":
                        assert event["object"]["metadata"]["name"] == name
                    yield event
            finally:
                # A watch that is left early is cut: TLS would say goodbye behind the test's back.
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()

    async def wait_ready(self, name: str) -> Object:
        """Wait for Ready by MODIFIED events whose generation was observed; others say nothing to kn."""
        found = await self.get(f"services/{name}")
        while not is_ready(found):
            async with contextlib.aclosing(
                self.events("services", name, found["metadata"]["resourceVersion"])
            ) as events:
                async for event in events:
                    if event["type"] == "MODIFIED" and is_ready(event["object"]):
                        return event["object"]
            found = await self.get(f"services/{name}")  # a strict server ends watches early: kn asks again
        return found

    async def update(self, path: str, change: Any, retries: int = 20) -> Object:
        """Read, change and PUT the whole object; again after a conflict."""
        for _ in range(retries):
            found = await self.get(path)
            change(found)
            status, answer = await self.send("PUT", path, found)
            if status != 409:
                assert status == 200, answer
                return answer
            assert answer["reason"] == "Conflict"
        raise AssertionError(f"{retries} conflicts in a row on {path}")


def is_observed(found: Object) -> bool:
    return bool((found.get("status") or {}).get("observedGeneration") == found["metadata"]["generation"])


def is_ready(found: Object) -> bool:
    conditions = (found.get("status") or {}).get("conditions") or []
    return is_observed(found) and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@pytest.fixture
async def kn(instance: Instance) -> AsyncIterator[Kn]:
    connection = connect.load(instance.kubeconfig)
    context = connection.ssl_context() or True
    headers = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}
    connector = aiohttp.TCPConnector(ssl=context)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=WAIT_S)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        yield Kn(session, connection.server)
        await connector.close(abort_ssl=True)


def service(name: str, **env: str) -> Object:
    """A Service as Go writes one: empty structs and null times are there."""
    container = {"name": "", "image": IMAGE, "resources": {}}
    if env:
        container["env"] = [{"name": key, "value": value} for key, value in env.items()]
    annotations = {"client.knative.dev/user-image": IMAGE, "autoscaling.knative.dev/initial-scale": "0"}
    template = {
        "metadata": {"creationTimestamp": None, "annotations": annotations},
        "spec": {"containers": [container]},
    }
    metadata = {"name": name, "namespace": "default", "creationTimestamp": None}
    kind = {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}
    return {**kind, "metadata": metadata, "spec": {"template": template}, "status": {}}


def container_of(found: Object) -> Object:
    first: Object = found["spec"]["template"]["spec"]["containers"][0]
    return first


def without_nothing(found: Object) -> Object:
    """What kn keeps as last-applied: no status, no null times, no empty resources."""
    kept = copy.deepcopy(found)
    del kept["status"], kept["metadata"]["creationTimestamp"], kept["spec"]["template"]["metadata"]["creationTimestamp"]
    for key in ("name", "resources"):
        del container_of(kept)[key]
    return kept


async def created(kn: Kn, name: str, **env: str) -> Object:
    """`kn service create NAME --image IMAGE --env ...`, which waits."""
    status, answer = await kn.send("GET", f"services/{name}")
    assert (status, answer["reason"], answer["details"]["name"]) == (404, "NotFound", name)
    status, answer = await kn.send("POST", "services", service(name, **env))
    assert status == 201, answer
    return await kn.wait_ready(name)


async def test_service_create_describe_and_list(kn: Kn, instance: Instance) -> None:
    made = await created(kn, "kn-one", TARGET="kn")
    assert made["status"]["url"] == "http://kn-one.default.localhost"
    assert made["metadata"]["annotations"]["serving.knative.dev/creator"]
    status, again = await kn.send("POST", "services", service("kn-one"))
    assert (status, again["reason"]) == (409, "AlreadyExists")
    assert b"Hello kn!" in (await load.get(instance.port, "kn-one.default.localhost")).body
    # describe
    base = await kn.get(f"revisions/{made['status']['latestCreatedRevisionName']}")
    assert base["metadata"]["annotations"]["client.knative.dev/user-image"] == IMAGE
    _, revisions = await kn.send("GET", "revisions", labelSelector=f"{names.SERVICE_LABEL}=kn-one")
    assert revisions["kind"] == "RevisionList"
    assert [one["metadata"]["name"] for one in revisions["items"]] == ["kn-one-00001"]
    # list, of all and of one name
    for plural, kind in (("services", "ServiceList"), ("routes", "RouteList"), ("domainmappings", "DomainMappingList")):
        status, found = await kn.send("GET", plural)
        assert (status, found["kind"], isinstance(found["items"], list)) == (200, kind, True)
    _, found = await kn.send("GET", "routes", fieldSelector="metadata.name=kn-one")
    assert [one["metadata"]["name"] for one in found["items"]] == ["kn-one"]


async def test_service_update_writes_the_whole_object_and_again_after_a_conflict(kn: Kn) -> None:
    await created(kn, "kn-two")
    stale = await kn.get("services/kn-two")
    container_of(stale)["env"] = [{"name": "TARGET", "value": "late"}]
    await kn.update("services/kn-two", lambda found: found["metadata"].setdefault("labels", {}).update(a="b"))
    status, answer = await kn.send("PUT", "services/kn-two", stale)
    assert (status, answer["reason"], answer["details"]["kind"]) == (409, "Conflict", "services")

    def change(found: Object) -> None:
        container_of(found)["env"] = [{"name": "TARGET", "value": "new"}]
        found["spec"]["template"]["metadata"]["annotations"]["client.knative.dev/updateTimestamp"] = (
            "2026-11-21T00:00:00Z"
        )

    updated = await kn.update("services/kn-two", change)
    assert updated["metadata"]["generation"] == 2
    ready = await kn.wait_ready("kn-two")
    assert ready["status"]["latestReadyRevisionName"] == "kn-two-00002"
    assert ready["metadata"]["labels"] == {"a": "b"}
    same = await kn.update("services/kn-two", lambda _found: None)
    assert same["metadata"]["generation"] == 2, "kn tells by the generation whether something changed"


async def test_traffic_tags_and_untag(kn: Kn, instance: Instance) -> None:
    await created(kn, "kn-split", TARGET="old")
    await kn.update(
        "services/kn-split", lambda found: container_of(found).update(env=[{"name": "TARGET", "value": "new"}])
    )
    await kn.wait_ready("kn-split")
    split = [
        {"tag": "stable", "revisionName": "kn-split-00001", "latestRevision": False, "percent": 100},
        {"tag": "next", "latestRevision": True, "percent": 0},
    ]
    await kn.update("services/kn-split", lambda found: found["spec"].update(traffic=split))
    ready = await kn.wait_ready("kn-split")
    assert {one["tag"]: one["url"] for one in ready["status"]["traffic"]} == {
        "stable": "http://stable-kn-split.default.localhost",
        "next": "http://next-kn-split.default.localhost",
    }

    for host, text in (("kn-split", b"Hello old!"), ("next-kn-split", b"Hello new!")):
        assert text in (await load.get(instance.port, f"{host}.default.localhost")).body
    untagged = [{key: value for key, value in one.items() if key != "tag"} for one in split]
    await kn.update("services/kn-split", lambda found: found["spec"].update(traffic=untagged))
    ready = await kn.wait_ready("kn-split")
    assert not any("tag" in one for one in ready["status"]["traffic"]), ready


async def test_service_apply_is_a_merge_patch(kn: Kn) -> None:
    wanted = service("kn-applied", TARGET="one")
    wanted["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(without_nothing(wanted))}
    status, answer = await kn.send("POST", "services", wanted)
    assert status == 201, answer
    await kn.wait_ready("kn-applied")
    following = without_nothing(service("kn-applied", TARGET="two"))
    patch = {
        "metadata": {"annotations": {LAST_APPLIED: json.dumps(following)}},
        "spec": {"template": {"spec": {"containers": [container_of(following)]}}},
    }
    for _ in range(2):
        status, answer = await kn.send("PATCH", "services/kn-applied", patch, media="application/merge-patch+json")
        assert (status, answer["metadata"]["generation"]) == (200, 2)
    assert container_of(answer)["env"] == [{"name": "TARGET", "value": "two"}]
    ready = await kn.wait_ready("kn-applied")
    assert ready["status"]["latestReadyRevisionName"] == "kn-applied-00002"


async def deleted(kn: Kn, plural: str, name: str, policy: str) -> None:
    """Delete and wait for the DELETED event, as kn does: the watch begins where the object was read."""
    since = (await kn.get(f"{plural}/{name}"))["metadata"]["resourceVersion"]
    options = {"kind": "DeleteOptions", "apiVersion": "serving.knative.dev/v1"}
    if policy:
        options["propagationPolicy"] = policy
    status, answer = await kn.send("DELETE", f"{plural}/{name}", options)
    assert status == 200, answer
    while True:
        async with contextlib.aclosing(kn.events(plural, name, since)) as events:
            async for event in events:
                if event["type"] == "DELETED":
                    return
                since = event["object"]["metadata"]["resourceVersion"]  # of a bookmark too, at a watch's end


@pytest.mark.parametrize("policy", ["Background", "Foreground", ""])
async def test_service_delete_ends_with_a_deleted_event_and_takes_all_along(kn: Kn, policy: str) -> None:
    name = f"kn-gone-{policy.lower() or 'default'}"
    await created(kn, name)
    await deleted(kn, "services", name, policy)
    assert (await kn.send("GET", f"services/{name}"))[0] == 404

    async def nothing_left() -> bool:
        lists = [
            (await kn.send("GET", plural, labelSelector=f"{names.SERVICE_LABEL}={name}"))[1]["items"]
            for plural in ("configurations", "routes", "revisions")
        ]
        return not any(lists)

    if policy == "Foreground":
        assert await nothing_left(), "the owner goes last"
    await eventually(nothing_left, 60, f"everything of {name} is gone")


async def test_revision_delete_prunes_what_is_not_routed(kn: Kn) -> None:
    await created(kn, "kn-pruned")
    await kn.update("services/kn-pruned", lambda found: container_of(found).update(env=[{"name": "A", "value": "b"}]))
    await kn.wait_ready("kn-pruned")

    async def unrouted() -> list[str]:
        _, found = await kn.send("GET", "revisions", labelSelector=f"{names.SERVICE_LABEL}=kn-pruned")
        states = {
            one["metadata"]["name"]: one["metadata"]["labels"].get("serving.knative.dev/routingState")
            for one in found["items"]
        }
        assert set(states) == {"kn-pruned-00001", "kn-pruned-00002"}
        return [name for name, state in states.items() if state != "active"]

    async def one_is() -> bool:
        return await unrouted() == ["kn-pruned-00001"]

    await eventually(one_is, 60, "the old revision is not routed any more")
    await deleted(kn, "revisions", "kn-pruned-00001", "")
    assert is_ready(await kn.wait_ready("kn-pruned"))


async def test_domain_create_update_and_delete(kn: Kn, instance: Instance) -> None:
    for name in ("kn-domain-a", "kn-domain-b"):
        await created(kn, name, TARGET=name)
    metadata = {"name": "kn.example.org", "namespace": "default", "creationTimestamp": None}
    reference = {
        "kind": "Service",
        "namespace": "default",
        "name": "kn-domain-a",
        "apiVersion": "serving.knative.dev/v1",
    }
    kind = {"kind": "DomainMapping", "apiVersion": "serving.knative.dev/v1beta1"}
    body = {**kind, "metadata": metadata, "spec": {"ref": reference}, "status": {}}
    status, answer = await kn.send("POST", "domainmappings", body)
    assert status == 201, answer

    async def answers(text: bytes) -> bool:
        return text in (await load.get(instance.port, "kn.example.org")).body

    await eventually(lambda: answers(b"kn-domain-a"), 60, "the domain leads to the first service")
    await kn.update("domainmappings/kn.example.org", lambda found: found["spec"]["ref"].update(name="kn-domain-b"))
    await eventually(lambda: answers(b"kn-domain-b"), 60, "the domain leads to the second service")
    await deleted(kn, "domainmappings", "kn.example.org", "")


async def test_import_makes_a_service_with_its_earlier_revisions(kn: Kn, instance: Instance) -> None:
    """`kn service import`: POST of the Service, then of each Revision, owned by the Configuration that appeared."""
    latest = service("kn-imported", TARGET="latest")
    latest["spec"]["template"]["metadata"]["name"] = "kn-imported-second"
    latest["spec"]["traffic"] = [
        {"latestRevision": True, "percent": 50},
        {"revisionName": "kn-imported-first", "percent": 50, "tag": "first"},
    ]
    status, answer = await kn.send("POST", "services", latest)
    assert status == 201, answer

    async def configuration() -> Object | None:
        status, found = await kn.send("GET", "configurations/kn-imported")
        return found if status == 200 else None

    owner = await eventually(configuration, 60, "the Configuration is there")
    first = service("kn-imported", TARGET="first")["spec"]["template"]
    first["metadata"] |= {
        "name": "kn-imported-first",
        "labels": {
            names.SERVICE_LABEL: "kn-imported",
            names.CONFIGURATION_LABEL: "kn-imported",
            "serving.knative.dev/configurationGeneration": "1",
        },
        "ownerReferences": [
            {
                "apiVersion": "serving.knative.dev/v1",
                "kind": "Configuration",
                "name": "kn-imported",
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    kind = {"kind": "Revision", "apiVersion": "serving.knative.dev/v1"}
    status, answer = await kn.send("POST", "revisions", {**kind, **first, "status": {}})
    assert status == 201, answer
    await kn.wait_ready("kn-imported")
    assert b"Hello first!" in (await load.get(instance.port, "first-kn-imported.default.localhost")).body


async def test_long_lists_come_in_pages(kn: Kn) -> None:
    for number in range(5):
        status, answer = await kn.send("POST", "services", service(f"kn-page-{number}"))
        assert status == 201, answer
    wanted = {f"kn-page-{number}" for number in range(5)}
    query, seen, pages = {"limit": "2"}, [], 0
    while True:
        status, page = await kn.send("GET", "services", **query)
        assert status == 200 and len(page["items"]) <= 2
        seen += [one["metadata"]["name"] for one in page["items"]]
        pages += 1
        if not (token := page["metadata"].get("continue")):
            break
        query["continue"] = token
    assert wanted <= set(seen)
    assert len(seen) == len(set(seen))
    assert pages >= 3
    for name in wanted:
        assert (await kn.send("DELETE", f"services/{name}"))[0] == 200
