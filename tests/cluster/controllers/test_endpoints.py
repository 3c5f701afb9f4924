"""EndpointSlices: who is listed, under which ports, and what a change writes."""

from __future__ import annotations

from typing import Any

from cluster.controllers import endpoints
from cluster.controllers.actions import Create, Delete, Patch
from tidegate.kube.api import Object


def service(**spec: Any) -> Object:
    labels = {"serving.knative.dev/revision": "r"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "d", "uid": "u", "labels": labels},
        "spec": {"selector": {"a": "b"}, "ports": [{"name": "http", "port": 80, "targetPort": 8012}], **spec},
    }


def pod(name: str, ip: str, *, ready: bool = True, phase: str = "Running", **fields: Any) -> Object:
    metadata = {"name": name, "namespace": "d", "uid": f"uid-{name}", "labels": {"a": "b"}}
    if fields.get("deleting"):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ports = [{"name": "serve", "containerPort": fields.get("port", 9000)}]
    return {
        "metadata": metadata,
        "spec": {"nodeName": "n1", "containers": [{"ports": ports}]},
        "status": {
            "phase": phase,
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def made(one: Object, pods: list[Object], slices: list[Object] | None = None) -> list[Any]:
    return endpoints.plan(one, pods, slices or []).actions


def test_a_slice_lists_ready_not_ready_and_terminating_pods() -> None:
    pods = [
        pod("a", "127.0.0.2"),
        pod("b", "127.0.0.3", ready=False, phase="Pending"),
        pod("c", "127.0.0.4", deleting=True),
        pod("d", ""),
        pod("e", "127.0.0.6", phase="Succeeded"),
    ]
    (create,) = made(service(), pods)
    assert isinstance(create, Create)
    found = create.object
    assert found["metadata"]["name"].startswith("web-")
    assert found["metadata"]["labels"] == {
        "serving.knative.dev/revision": "r",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert found["ports"] == [{"name": "http", "port": 8012, "protocol": "TCP"}]
    flags = [(one["addresses"], *one["conditions"].values()) for one in found["endpoints"]]
    assert flags == [
        (["127.0.0.2"], True, True, False),
        (["127.0.0.3"], False, False, False),
        (["127.0.0.4"], False, True, True),
    ]
    assert found["endpoints"][0]["targetRef"] == {"kind": "Pod", "namespace": "d", "name": "a", "uid": "uid-a"}
    assert found["endpoints"][0]["nodeName"] == "n1"


def test_published_although_not_ready() -> None:
    (create,) = made(service(publishNotReadyAddresses=True), [pod("a", "127.0.0.2", ready=False)])
    assert create.object["endpoints"][0]["conditions"]["ready"] is True


def test_a_change_patches_only_what_changed() -> None:
    (create,) = made(service(), [pod("a", "127.0.0.2")])
    stored = {**create.object, "metadata": {**create.object["metadata"], "uid": "s"}}
    assert made(service(), [pod("a", "127.0.0.2")], [stored]) == []
    (patch,) = made(service(), [pod("a", "127.0.0.2", ready=False)], [stored])
    assert isinstance(patch, Patch)
    assert list(patch.patch) == ["endpoints"]
    relabelled = service()
    relabelled["metadata"]["labels"] = {"new": "1"}
    (patch,) = made(relabelled, [pod("a", "127.0.0.2")], [stored])
    labels = patch.patch["metadata"]["labels"]
    assert (labels["new"], labels["serving.knative.dev/revision"]) == ("1", None)


def test_without_pods_there_is_an_empty_slice() -> None:
    (create,) = made(service(), [])
    assert create.object["endpoints"] == []
    assert create.object["ports"] == [{"name": "http", "port": 8012, "protocol": "TCP"}]


def test_named_ports_are_looked_up_in_each_pod() -> None:
    one = service(ports=[{"port": 80, "targetPort": "serve", "appProtocol": "h2c"}])
    creates = made(one, [pod("a", "127.0.0.2"), pod("b", "127.0.0.3"), pod("c", "127.0.0.4", port=9001)])
    shown = [(one.object["ports"][0]["port"], len(one.object["endpoints"])) for one in creates]
    assert shown == [(9000, 2), (9001, 1)]
    assert creates[0].object["ports"][0]["appProtocol"] == "h2c"
    assert len({one.object["metadata"]["name"] for one in creates}) == 2


def test_large_services_get_several_slices() -> None:
    pods = [pod(f"p{number:04}", f"127.1.{number // 200}.{number % 200 + 1}") for number in range(1001)]
    assert [len(one.object["endpoints"]) for one in made(service(), pods)] == [1000, 1]


def test_slices_of_a_service_without_selector_are_removed() -> None:
    (create,) = made(service(), [])
    stored = {**create.object, "metadata": {**create.object["metadata"], "uid": "s"}}
    for one in (service(selector=None), service(type="ExternalName")):
        (delete,) = made(one, [], [stored])
        assert isinstance(delete, Delete)
        assert delete.uid == "s"


def test_headless_services_are_marked() -> None:
    (create,) = made(service(clusterIP="None"), [])
    assert create.object["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


def test_selection() -> None:
    assert endpoints.is_selected(service(), pod("a", ""))
    assert not endpoints.is_selected(service(selector={"a": "c"}), pod("a", ""))
    assert not endpoints.is_selected(service(selector={}), pod("a", ""))
