"""The `kubernetes` Python client, unmodified, on Tidegate's kinds: lists, watches and what they meet."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import warnings
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pytest

from loadtest.instance import Instance, example

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes

Object = dict[str, Any]
GROUP, VERSION, NAMESPACE, SERVICES = "serving.knative.dev", "v1", "default", "services"
IN_NAMESPACE = (GROUP, VERSION, NAMESPACE, SERVICES)
WATCH_S = 60


@pytest.fixture
async def official(instance: Instance) -> AsyncIterator[Any]:
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(instance.kubeconfig), client_configuration=configuration)
    client = kubernetes.client.ApiClient(configuration)
    yield client
    client.rest_client.pool_manager.clear()
    client.close()
    gc.collect()  # the client forgets connections in reference cycles


def service(name: str, **labels: str) -> Object:
    made = example("hello", service=name, annotations={"autoscaling.knative.dev/initial-scale": "0"})
    made["metadata"]["labels"] = labels
    return made


def follow(function: Callable[..., Any], *where: Any, **options: Any) -> Generator[Object, None, None]:
    """Yield the events of a watch for a while; a strict server ends watches early, and it goes on where one ended."""
    deadline = time.monotonic() + WATCH_S
    while time.monotonic() < deadline:
        watch = kubernetes.watch.Watch()
        # Bookmarks: a quiet watch goes on from its end, and not from where it began, which may be forgotten by then.
        for event in watch.stream(function, *where, timeout_seconds=WATCH_S, allow_watch_bookmarks=True, **options):
            if event["type"] != "BOOKMARK":
                yield event
        options["resource_version"] = watch.resource_version


def watched(api: Any, until: Callable[[Object], bool], **options: Any) -> list[Object]:
    """Follow Services until an event is the one that is waited for."""
    events: list[Object] = []
    with contextlib.closing(follow(api.list_namespaced_custom_object, *IN_NAMESPACE, **options)) as following:
        for event in following:
            events.append(event)
            if until(event):
                return events
    raise AssertionError(f"the watch ended after {[(one['type'], name_of(one)) for one in events]}")


def name_of(event: Object) -> str:
    return str(event["object"]["metadata"]["name"])


def is_ready(event: Object) -> bool:
    found = event["object"]
    status = found.get("status") or {}
    is_true = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])
    return is_true and status.get("observedGeneration") == found["metadata"]["generation"]


async def test_list_and_watch_with_selectors_from_creation_to_deletion(official: Any) -> None:
    def use() -> None:
        api = kubernetes.client.CustomObjectsApi(official)
        labelled = {"label_selector": "watched=py"}
        listed = api.list_namespaced_custom_object(*IN_NAMESPACE, **labelled)
        assert (listed["kind"], listed["items"]) == ("ServiceList", [])
        since = listed["metadata"]["resourceVersion"]
        api.create_namespaced_custom_object(*IN_NAMESPACE, service("py-other", watched="no"))
        api.create_namespaced_custom_object(*IN_NAMESPACE, service("py-one", watched="py"))
        events = watched(api, is_ready, resource_version=since, **labelled)
        assert {name_of(event) for event in events} == {"py-one"}
        assert events[0]["type"] == "ADDED" and events[-1]["type"] == "MODIFIED"
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
        assert versions == sorted(versions)

        # An object that loses the label is gone for who watches by it; by its name it is still there.
        since = str(versions[-1])
        change = {"metadata": {"labels": {"watched": "no"}}}
        api.patch_namespaced_custom_object(*IN_NAMESPACE, "py-one", change)
        events = watched(api, lambda event: event["type"] == "DELETED", resource_version=since, **labelled)
        assert name_of(events[-1]) == "py-one"
        since = str(events[-1]["object"]["metadata"]["resourceVersion"])
        by_name = {"field_selector": "metadata.name=py-one"}
        assert [
            one["metadata"]["name"] for one in api.list_namespaced_custom_object(*IN_NAMESPACE, **by_name)["items"]
        ] == ["py-one"]
        for name in ("py-one", "py-other"):
            api.delete_namespaced_custom_object(*IN_NAMESPACE, name, propagation_policy="Background")
        watched(api, lambda event: event["type"] == "DELETED", resource_version=since, **by_name)

    await asyncio.to_thread(use)


async def test_a_watch_of_forgotten_history_is_gone_and_begins_anew(official: Any) -> None:
    def use() -> None:
        api = kubernetes.client.CustomObjectsApi(official)
        api.create_namespaced_custom_object(*IN_NAMESPACE, service("py-gone"))
        assert _is_gone(api, "1"), "a strict server forgets after 15 seconds"
        # With 0 anything goes: the present state comes as ADDED, then what follows.
        events = watched(api, is_ready, resource_version="0", field_selector="metadata.name=py-gone")
        assert events[0]["type"] == "ADDED"
        api.delete_namespaced_custom_object(*IN_NAMESPACE, "py-gone")

    await asyncio.to_thread(use)


def _is_gone(api: Any, version: str) -> bool:
    """Whether the version is forgotten, at once or soon: the server may have begun a moment ago."""
    for _ in range(60):
        try:
            watched(api, lambda _event: True, resource_version=version)
        except kubernetes.client.ApiException as error:
            assert error.status == 410
            return True
        time.sleep(1)
    return False


async def test_a_watch_ends_in_time_and_bookmarks_say_where(official: Any) -> None:
    def use() -> None:
        api = kubernetes.client.CustomObjectsApi(official)
        since = api.list_namespaced_custom_object(*IN_NAMESPACE, limit=1)["metadata"]["resourceVersion"]
        marks = kubernetes.watch.Watch().stream(
            api.list_namespaced_custom_object,
            *IN_NAMESPACE,
            resource_version=since,
            allow_watch_bookmarks=True,
            field_selector="metadata.name=nobody",
            timeout_seconds=1,
        )
        seen = list(marks)
        assert {event["type"] for event in seen} <= {"BOOKMARK"}
        for event in seen:
            assert int(event["object"]["metadata"]["resourceVersion"]) >= int(since)

    await asyncio.to_thread(use)


async def test_typed_watches_tell_of_the_pods_of_a_revision(official: Any) -> None:
    """Typed objects of the built-in kinds that Tidegate makes: the pod of a service that is started with one."""

    def use() -> None:
        api, core = kubernetes.client.CustomObjectsApi(official), kubernetes.client.CoreV1Api(official)
        labelled = {"label_selector": "serving.knative.dev/service=py-pods"}
        since = core.list_namespaced_pod(NAMESPACE, **labelled).metadata.resource_version
        api.create_namespaced_custom_object(*IN_NAMESPACE, example("hello", service="py-pods"))
        phases: list[str] = []
        with contextlib.closing(
            follow(core.list_namespaced_pod, NAMESPACE, resource_version=since, **labelled)
        ) as following:
            for event in following:
                pod = event["object"]
                assert {container.name for container in pod.spec.containers} == {"user-container", "queue-proxy"}
                phases.append(pod.status.phase)
                if any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or []):
                    break
        assert phases[0] == "Pending" and phases[-1] == "Running"
        revisions = api.list_namespaced_custom_object(GROUP, VERSION, NAMESPACE, "revisions", **labelled)["items"]
        assert [one["metadata"]["name"] for one in revisions] == ["py-pods-00001"]
        api.delete_collection_namespaced_custom_object(*IN_NAMESPACE, label_selector="no=body")
        api.delete_namespaced_custom_object(*IN_NAMESPACE, "py-pods", propagation_policy="Foreground")

    await asyncio.to_thread(use)
