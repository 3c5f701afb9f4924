"""The verbs over HTTPS, as any client meets them."""

from __future__ import annotations

import asyncio
import time

import pytest

from cluster import timestamps
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Object, PatchKind, Resource, WatchEvent
from tidegate.kube.client import Client

CM = resources.CONFIG_MAPS


def config_map(name: str = "a", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def pod(name: str, node: str = "") -> Object:
    spec: Object = {"containers": [{"name": "c", "image": "x"}]}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def refused(awaitable) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await awaitable
    return caught.value


async def take(client: Client, resource: Resource, count: int, **options: str) -> list[WatchEvent]:
    events = []
    async for event in client.watch(resource, **options):
        events.append(event)
        if len(events) == count:
            break
    return events


async def test_create_sets_what_the_server_owns(client: Client) -> None:
    given = config_map(k="v")
    given["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7}
    made = await client.create(CM, given)
    metadata = made["metadata"]
    assert metadata["uid"] != "mine"
    assert not metadata["creationTimestamp"].startswith("2001")
    assert "generation" not in metadata
    assert metadata["resourceVersion"].isdigit()
    assert metadata["managedFields"][0]["manager"] == "test"
    assert await client.get(CM, "a", "default") == made


async def test_generate_name_makes_different_names(client: Client) -> None:
    body = config_map()
    body["metadata"] = {"generateName": "x-", "namespace": "default"}
    names = {(await client.create(CM, body))["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("x-") and len(name) == 7 for name in names)


REFUSED_CREATES = [
    ({"metadata": {"name": "a", "resourceVersion": "5"}}, 400, "BadRequest", "resourceVersion should not be set"),
    ({"metadata": {}}, 422, "Invalid", "name or generateName is required"),
    ({"metadata": {"name": "Bad_Name"}}, 422, "Invalid", "RFC 1123"),
    ({"metadata": {"name": "a", "namespace": "other"}}, 400, "BadRequest", "does not match"),
    ({"kind": "Secret", "metadata": {"name": "a"}}, 400, "BadRequest", "does not match the expected"),
    ({"metadata": {"name": "a", "labels": {"a b": "c"}}}, 422, "Invalid", "metadata.labels"),
    ({"metadata": {"name": "a", "finalizers": ["x y"]}}, 422, "Invalid", "metadata.finalizers"),
    ({"metadata": {"name": "a"}, "data": {"k": 5}}, 422, "Invalid", "data"),
]


@pytest.mark.parametrize(("body", "code", "reason", "text"), REFUSED_CREATES)
async def test_refused_creates(client: Client, body: Object, code: int, reason: str, text: str) -> None:
    error = await refused(client.create(CM, {"apiVersion": "v1", "kind": "ConfigMap"} | body, "default"))
    assert (error.status, error.reason) == (code, reason)
    assert text in error.message


async def test_creating_twice_and_in_a_namespace_that_is_not_there(client: Client) -> None:
    await client.create(CM, config_map())
    twice = await refused(client.create(CM, config_map()))
    assert twice.is_already_exists
    assert twice.message == 'configmaps "a" already exists'
    nowhere = await refused(client.create(CM, {"metadata": {"name": "a"}}, "nowhere"))
    assert nowhere.message == 'namespaces "nowhere" not found'
    missing = await refused(client.get(resources.DEPLOYMENTS, "x", "default"))
    assert missing.message == 'deployments.apps "x" not found'
    assert missing.details == {"name": "x", "group": "apps", "kind": "deployments"}


async def test_unknown_paths_are_not_found(client: Client) -> None:
    unknown = Resource("nobody.dev", "v1", "things", "Thing")
    assert (await refused(client.list(unknown))).is_not_found
    assert (await refused(client.get(CM, "a", "default", "scale"))).is_not_found


async def test_replace_guards_against_lost_updates(client: Client) -> None:
    first = await client.create(CM, config_map(k="1"))
    second = await client.replace(CM, config_map(k="2"))  # no resourceVersion: unconditional
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    stale = await refused(client.replace(CM, first | {"data": {"k": "3"}}))
    assert stale.is_conflict
    assert "please apply your changes to the latest version" in stale.message
    other = config_map()
    other["metadata"]["uid"] = "other"
    assert (await refused(client.replace(CM, other))).is_conflict
    assert (await refused(client.replace(CM, config_map("b")))).is_not_found


async def test_a_write_that_changes_nothing_gets_no_new_version(client: Client) -> None:
    made = await client.create(CM, config_map(k="1"))
    again = await client.replace(CM, made)
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("kind", "patch", "expected"),
    [
        (PatchKind.MERGE, {"data": {"b": "2", "a": None}}, {"b": "2"}),
        (PatchKind.JSON, [{"op": "add", "path": "/data/b", "value": "2"}], {"a": "1", "b": "2"}),
        (PatchKind.STRATEGIC, {"data": {"b": "2"}}, {"a": "1", "b": "2"}),
    ],
)
async def test_patches(client: Client, kind: PatchKind, patch: object, expected: Object) -> None:
    await client.create(CM, config_map(a="1"))
    assert (await client.patch(CM, "a", patch, "default", kind=kind))["data"] == expected


async def test_refused_patches(client: Client) -> None:
    made = await client.create(CM, config_map(a="1"))
    bad = [{"op": "remove", "path": "/data/none"}]
    assert (await refused(client.patch(CM, "a", bad, "default", kind=PatchKind.JSON))).status == 422
    old = {"metadata": {"resourceVersion": "1"}, "data": {"a": "2"}}
    assert (await refused(client.patch(CM, "a", old, "default"))).is_conflict
    moved = {"metadata": {"name": "b"}}
    assert (await refused(client.patch(CM, "a", moved, "default"))).status == 400
    assert await client.get(CM, "a", "default") == made


async def test_apply_creates_then_owns_then_conflicts(client: Client) -> None:
    def apply(manager: str, force: bool = False, **data: str):
        body = config_map(**data)
        return client.patch(CM, "a", body, "default", kind=PatchKind.APPLY, manager=manager, force=force)

    await apply("one", a="1", b="1")
    await apply("two", c="1")
    error = await refused(apply("two", a="2", c="1"))
    assert error.is_conflict
    assert error.details["causes"][0]["reason"] == "FieldManagerConflict"
    assert (await apply("two", force=True, a="2", c="1"))["data"] == {"a": "2", "b": "1", "c": "1"}
    assert (await apply("one", b="1"))["data"] == {"a": "2", "b": "1", "c": "1"}
    assert (await apply("one"))["data"] == {"a": "2", "c": "1"}


async def test_generation_counts_changes_of_the_desired_state_only(client: Client) -> None:
    body = {
        "metadata": {"name": "d", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}},
        },
        "status": {"replicas": 9},
    }
    made = await client.create(resources.DEPLOYMENTS, body)
    assert made["metadata"]["generation"] == 1
    assert "status" not in made or made["status"].get("replicas") is None
    labelled = await client.patch(resources.DEPLOYMENTS, "d", {"metadata": {"labels": {"x": "y"}}}, "default")
    assert labelled["metadata"]["generation"] == 1
    reported = await client.patch(
        resources.DEPLOYMENTS,
        "d",
        {"status": {"replicas": 1}, "spec": {"replicas": 7}},
        "default",
        subresource="status",
    )
    assert (reported["metadata"]["generation"], reported["spec"]["replicas"]) == (1, 1)
    assert reported["status"]["replicas"] == 1
    scaled = await client.patch(resources.DEPLOYMENTS, "d", {"spec": {"replicas": 3}}, "default", subresource="scale")
    assert scaled["kind"] == "Scale"
    assert scaled["status"] == {"replicas": 1, "selector": "a=b"}
    now = await client.get(resources.DEPLOYMENTS, "d", "default")
    assert (now["metadata"]["generation"], now["spec"]["replicas"], now["status"]["replicas"]) == (2, 3, 1)
    negative = client.patch(resources.DEPLOYMENTS, "d", {"spec": {"replicas": -1}}, "default", subresource="scale")
    assert (await refused(negative)).reason == "Invalid"


async def test_list_by_labels_and_fields(client: Client) -> None:
    for name, node in (("a", "n1"), ("b", "n2"), ("c", "")):
        body = pod(name, node)
        body["metadata"]["labels"] = {"name": name}
        await client.create(resources.PODS, body)

    async def names(**options: str) -> list[str]:
        page = await client.list(resources.PODS, "default", **options)
        return [item["metadata"]["name"] for item in page.items]

    assert await names() == ["a", "b", "c"]
    assert await names(labels="name in (a,c)") == ["a", "c"]
    assert await names(fields="spec.nodeName=n2") == ["b"]
    assert await names(fields="spec.nodeName=") == ["c"]
    assert await names(fields="status.phase=Pending,metadata.name!=a") == ["b", "c"]
    error = await refused(client.list(resources.PODS, "default", fields="spec.color=red"))
    assert (error.status, error.message) == (400, "field label not supported: spec.color")
    assert (await refused(client.list(resources.PODS, "default", labels="a b"))).status == 400


async def test_list_then_watch_misses_and_repeats_nothing(client: Client) -> None:
    await client.create(CM, config_map("a"))
    page = await client.list(CM, "default")
    await client.create(CM, config_map("b"))
    await client.patch(CM, "a", {"data": {"x": "y"}}, "default")
    await client.delete(CM, "b", "default")
    events = await take(client, CM, 3, namespace="default", since=page.resource_version)
    assert [(event.type, event.object["metadata"]["name"]) for event in events] == [
        ("ADDED", "b"),
        ("MODIFIED", "a"),
        ("DELETED", "b"),
    ]
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    resumed = await take(client, CM, 1, namespace="default", since=str(versions[1]))
    assert resumed == events[2:]


async def test_watch_without_version_begins_with_what_is_there(client: Client) -> None:
    await client.create(CM, config_map("a"))
    events = await take(client, CM, 1, namespace="default")
    assert [(event.type, event.object["metadata"]["name"]) for event in events] == [("ADDED", "a")]


async def test_an_object_that_leaves_a_selector_is_deleted_to_its_watchers(client: Client) -> None:
    since = (await client.list(CM, "default")).resource_version
    await client.create(CM, config_map("a") | {"metadata": {"name": "a", "labels": {"x": "1"}}}, "default")
    await client.patch(CM, "a", {"metadata": {"labels": {"x": "2"}}}, "default")
    await client.patch(CM, "a", {"metadata": {"labels": {"x": "1"}}}, "default")
    events = await take(client, CM, 3, namespace="default", labels="x=1", since=since)
    assert [event.type for event in events] == ["ADDED", "DELETED", "ADDED"]


async def test_a_watch_sees_later_changes_at_once(client: Client) -> None:
    since = (await client.list(CM, "default")).resource_version
    watching = asyncio.ensure_future(take(client, CM, 2, namespace="default", since=since))
    await asyncio.sleep(0)
    await client.create(CM, config_map("a"))
    await client.create(CM, config_map("b"))
    events = await asyncio.wait_for(watching, 30)
    assert [event.object["metadata"]["name"] for event in events] == ["a", "b"]


@pytest.mark.parametrize("since", ["2", "999999"])
async def test_watching_from_a_forgotten_past_or_a_future_is_gone(running, client: Client, since: str) -> None:
    running.server.backend.store.oldest_revision = 3
    error = await refused(take(client, CM, 1, namespace="default", since=since))
    assert (error.status, error.reason) == (410, "Expired")


async def test_delete_with_finalizer_uid_and_twice(client: Client) -> None:
    body = config_map()
    body["metadata"]["finalizers"] = ["example.dev/hold"]
    made = await client.create(CM, body)
    assert (await refused(client.delete(CM, "a", "default", uid="other"))).is_conflict
    marked = await client.delete(CM, "a", "default", uid=made["metadata"]["uid"])
    assert marked["metadata"]["deletionTimestamp"]
    again = await client.delete(CM, "a", "default")
    assert again["metadata"]["resourceVersion"] == marked["metadata"]["resourceVersion"]
    await client.patch(CM, "a", {"metadata": {"finalizers": None}}, "default")
    assert (await refused(client.get(CM, "a", "default"))).is_not_found
    assert (await refused(client.delete(CM, "a", "default"))).is_not_found


async def test_a_pod_on_a_node_is_given_its_grace_one_without_is_not(client: Client) -> None:
    await client.create(resources.PODS, pod("a", "n1"))
    await client.create(resources.PODS, pod("b"))
    marked = await client.delete(resources.PODS, "a", "default", grace_s=9)
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 9
    shorter = await client.delete(resources.PODS, "a", "default", grace_s=3)
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 3
    longer = await client.delete(resources.PODS, "a", "default", grace_s=20)
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 3
    await client.delete(resources.PODS, "a", "default", grace_s=0)
    await client.delete(resources.PODS, "b", "default")
    assert not (await client.list(resources.PODS)).items


@pytest.mark.parametrize(("propagation", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_propagation_is_a_finalizer_for_the_collector(client: Client, propagation: str, finalizer: str) -> None:
    await client.create(CM, config_map())
    marked = await client.delete(CM, "a", "default", propagation=propagation)
    assert marked["metadata"]["finalizers"] == [finalizer]


async def test_delete_collection_takes_what_is_selected(running, client: Client) -> None:
    for name in "abc":
        await client.create(CM, config_map(name) | {"metadata": {"name": name, "labels": {"n": name}}}, "default")
    await client.raw("DELETE", CM.path("default"), params={"labelSelector": "n in (a,b)"})
    assert [item["metadata"]["name"] for item in (await client.list(CM, "default")).items] == ["c"]


async def test_services_get_addresses_and_keep_them(client: Client) -> None:
    def service(name: str, **spec: object) -> Object:
        return {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": [{"port": 80}]} | spec}

    first = (await client.create(resources.SERVICES, service("a")))["spec"]["clusterIP"]
    second = (await client.create(resources.SERVICES, service("b")))["spec"]["clusterIP"]
    assert first != second
    kept = await client.replace(resources.SERVICES, service("a", selector={"x": "y"}))
    assert kept["spec"]["clusterIP"] == first
    headless = await client.create(resources.SERVICES, service("c", clusterIP="None"))
    assert headless["spec"]["clusterIP"] == "None"
    assert (await refused(client.create(resources.SERVICES, service("d", clusterIP=first)))).reason == "Invalid"
    assert (await refused(client.create(resources.SERVICES, service("d", clusterIP="10.0.0.1")))).reason == "Invalid"
    assert (await refused(client.replace(resources.SERVICES, service("a", clusterIP=second)))).reason == "Invalid"
    outside = await client.create(resources.SERVICES, service("e", type="ExternalName", externalName="x.dev"))
    assert "clusterIP" not in outside["spec"]


async def test_node_ports_are_given_kept_and_free_again(client: Client) -> None:
    def service(name: str, kind: str = "NodePort", **port: object) -> Object:
        ports = [{"name": "a", "port": 80} | port, {"name": "b", "port": 81}]
        return {"metadata": {"name": name, "namespace": "default"}, "spec": {"type": kind, "ports": ports}}

    def numbers(found: Object) -> list[int]:
        return [port.get("nodePort", 0) for port in found["spec"]["ports"]]

    first = numbers(await client.create(resources.SERVICES, service("a")))
    second = numbers(await client.create(resources.SERVICES, service("b", "LoadBalancer")))
    assert len({*first, *second}) == 4
    assert all(30000 <= number <= 32767 for number in (*first, *second))
    assert numbers(await client.replace(resources.SERVICES, service("a"))) == first
    taken = await refused(client.create(resources.SERVICES, service("c", nodePort=first[0])))
    assert "provided port is already allocated" in taken.message
    outside = await refused(client.create(resources.SERVICES, service("c", nodePort=80)))
    assert "The range of valid ports is 30000-32767" in outside.message
    assert numbers(await client.create(resources.SERVICES, service("d", "ClusterIP"))) == [0, 0]
    await client.delete(resources.SERVICES, "a", "default")
    assert numbers(await client.create(resources.SERVICES, service("c", nodePort=first[0])))[0] == first[0]


async def test_a_terminating_namespace_takes_nothing_new_until_it_is_finalized(client: Client) -> None:
    await client.create(resources.NAMESPACES, {"metadata": {"name": "n"}})
    await client.delete(resources.NAMESPACES, "n")
    error = await refused(client.create(CM, {"metadata": {"name": "a"}}, "n"))
    assert error.status == 403
    assert error.details["causes"][0]["reason"] == "NamespaceTerminating"
    namespace = await client.get(resources.NAMESPACES, "n")
    assert namespace["status"]["phase"] == "Terminating"
    kept = await client.replace(resources.NAMESPACES, namespace | {"spec": {}})
    assert kept["spec"] == {"finalizers": ["kubernetes"]}
    await client.replace(resources.NAMESPACES, namespace | {"spec": {"finalizers": []}}, "finalize")
    assert (await refused(client.get(resources.NAMESPACES, "n"))).is_not_found


async def test_a_deletion_is_tried_when_its_body_says_so(running, client: Client) -> None:
    await client.create(CM, {"metadata": {"name": "a", "namespace": "default"}})
    headers = client._headers() | {"Content-Type": "application/json"}
    for path in (CM.path("default", "a"), CM.path("default")):
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]}
        async with client._open().delete(running.url + path, json=body, headers=headers) as answer:
            assert answer.status == 200
    assert await client.get(CM, "a", "default")
    async with client._open().delete(running.url + path, json={"dryRun": ["Some"]}, headers=headers) as answer:
        assert answer.status == 422


async def test_hpas_and_events_in_both_their_forms(client: Client) -> None:
    old = Resource("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
    new = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "d"},
        "maxReplicas": 3,
        "targetCPUUtilizationPercentage": 50,
    }
    made = await client.create(old, {"metadata": {"name": "h", "namespace": "default"}, "spec": spec})
    assert (made["apiVersion"], made["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 50)
    await client.patch(old, "h", {"spec": {"targetCPUUtilizationPercentage": 70}}, "default")
    live = await client.get(new, "h", "default")
    assert live["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    named = Resource("events.k8s.io", "v1", "events", "Event")
    event = {
        "metadata": {"name": "e", "namespace": "default"},
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
    }
    event |= {"note": "n", "reason": "R", "type": "Normal", "action": "A", "reportingController": "c"}
    # Of now: the server forgets Events of an hour ago, after five seconds for the first time.
    event |= {"reportingInstance": "c-1", "eventTime": timestamps.micro_text(time.time())}
    assert (await client.create(named, event))["note"] == "n"
    core = await client.get(resources.EVENTS, "e", "default")
    assert (core["message"], core["involvedObject"]["name"], core["apiVersion"]) == ("n", "p", "v1")
    assert [one["regarding"]["name"] for one in (await client.list(named, "default")).items] == ["p"]


async def test_dry_run_answers_but_stores_nothing(running, client: Client) -> None:
    answer = await client._call("POST", CM.path("default"), params={"dryRun": "All"}, body=config_map())
    assert answer["metadata"]["uid"]
    assert (await refused(client.get(CM, "a", "default"))).is_not_found
    wrong = client._call("POST", CM.path("default"), params={"dryRun": "Some"}, body=config_map())
    assert (await refused(wrong)).status == 422


@pytest.mark.parametrize(("validation", "stored"), [("Strict", False), ("Warn", True), ("Ignore", True)])
async def test_unknown_fields_are_dropped_or_refused(client: Client, validation: str, stored: bool) -> None:
    body = pod("a")
    body["spec"]["colour"] = "red"
    body["spec"]["containers"][0]["shape"] = "round"
    call = client._call("POST", resources.PODS.path("default"), params={"fieldValidation": validation}, body=body)
    if stored:
        made = await call
        assert "colour" not in made["spec"]
        assert "shape" not in made["spec"]["containers"][0]
        return
    error = await refused(call)
    assert error.status == 400
    assert 'unknown field "spec.colour"' in error.message


async def test_a_body_that_is_no_json_and_a_type_nobody_reads(client: Client) -> None:
    status, answer = await client._exchange("POST", CM.path("default"), None, b"{", "application/json")
    assert status == 400
    status, answer = await client._exchange("POST", CM.path("default"), None, b"x", "text/plain")
    assert status == 415
    assert b"UnsupportedMediaType" in answer


async def test_without_credentials_only_health_and_version_answer(running, client: Client) -> None:
    import dataclasses

    nobody = Client(dataclasses.replace(client.connection, token="wrong"))
    async with nobody:
        for path in ("/healthz", "/livez", "/readyz", "/version"):
            assert await nobody.raw("GET", path)
        assert (await refused(nobody.list(CM))).status == 401
        assert (await refused(nobody.raw("GET", "/apis"))).status == 401


async def test_lists_come_in_pages_when_asked(running, client: Client) -> None:
    for name in "abcde":
        await client.create(CM, config_map(name))

    async def page(**params: str) -> tuple[list[str], Object]:
        answer = await client._call("GET", CM.path("default"), params={"limit": "2"} | params)
        return [item["metadata"]["name"] for item in answer["items"]], answer["metadata"]

    names, first = await page()
    assert (names, first["remainingItemCount"]) == (["a", "b"], 3)
    await client.delete(CM, "c", "default")
    names, second = await page(**{"continue": first["continue"]})
    assert (names, second["resourceVersion"]) == (["c", "d"], first["resourceVersion"])  # the state of the first page
    names, last = await page(**{"continue": second["continue"]})
    assert names == ["e"]
    assert "continue" not in last
    names, _ = await page(labelSelector="!x", limit="0")
    assert names == ["a", "b", "d", "e"]
    assert (await refused(page(**{"continue": "nonsense"}))).status == 400
    assert (await refused(page(limit="many"))).status == 400
    running.server.backend.store.oldest_revision = int(first["resourceVersion"]) + 1
    assert (await refused(page(**{"continue": first["continue"]}))).is_gone
    url = running.url + CM.path("default")
    params = {"limit": "2", "continue": first["continue"]}
    async with client._open().get(url, params=params, headers=client._headers()) as answer:
        refusal = await answer.json()
    assert (refusal["reason"], refusal["code"]) == ("Expired", 410)
    names, rest = await page(**{"continue": refusal["metadata"]["continue"]})
    assert names == ["d", "e"]  # the rest, as it is now
    assert rest["resourceVersion"] == str(running.server.backend.store.revision)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"resourceVersion": "0"}, "abc"),
        ({"resourceVersion": "AT", "resourceVersionMatch": "NotOlderThan"}, "abc"),
        ({"resourceVersion": "AT", "resourceVersionMatch": "Exact"}, "ab"),
        ({"resourceVersion": "AT", "limit": "5"}, "ab"),
        ({"resourceVersion": "AT"}, "abc"),
        ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersion": "AT", "resourceVersionMatch": "About"}, 422),
        ({"resourceVersion": "999999"}, 504),
        ({"resourceVersion": "1", "resourceVersionMatch": "Exact"}, 410),
        ({"resourceVersion": "x"}, 400),
    ],
)
async def test_which_state_a_list_shows(running, client: Client, params: Object, expected: str | int) -> None:
    running.server.backend.store.forget(running.server.backend.store.revision)
    for name in "ab":
        made = await client.create(CM, config_map(name))
    await client.create(CM, config_map("c"))
    params = {field: made["metadata"]["resourceVersion"] if value == "AT" else value for field, value in params.items()}
    listing = client._call("GET", CM.path("default"), params=params)
    if isinstance(expected, int):
        assert (await refused(listing)).status == expected
    else:
        assert "".join(item["metadata"]["name"] for item in (await listing)["items"]) == expected
