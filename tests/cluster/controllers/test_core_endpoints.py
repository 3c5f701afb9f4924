"""Endpoints made of slices, and ClusterRoles made of others."""

from __future__ import annotations

from cluster.controllers import aggregation, core_endpoints
from cluster.controllers.actions import Create, Delete, Patch
from tidegate.kube.api import Object

SERVICE: Object = {"metadata": {"name": "s", "namespace": "d", "uid": "u"}, "spec": {"selector": {"a": "b"}}}


def slice_of(*endpoints: Object) -> Object:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {"metadata": {"name": "s-1", "namespace": "d"}, "ports": ports, "endpoints": list(endpoints)}


def endpoint(ip: str, ready: bool, terminating: bool = False) -> Object:
    conditions = {"ready": ready, "serving": ready, "terminating": terminating}
    return {"addresses": [ip], "conditions": conditions, "nodeName": "n"}


def test_ready_and_other_addresses_but_not_those_that_leave() -> None:
    slices = [slice_of(endpoint("1", True), endpoint("2", False), endpoint("3", True, terminating=True))]
    (made,) = core_endpoints.plan(SERVICE, slices, None).actions
    assert isinstance(made, Create)
    (subset,) = made.object["subsets"]
    assert [one["ip"] for one in subset["addresses"]] == ["1"]
    assert [one["ip"] for one in subset["notReadyAddresses"]] == ["2"]
    present = made.object | {"metadata": made.object["metadata"] | {"uid": "e"}}
    assert core_endpoints.plan(SERVICE, slices, present).actions == []
    assert isinstance(core_endpoints.plan(SERVICE, [], present).actions[0], Patch)
    assert isinstance(core_endpoints.plan(None, [], present).actions[0], Delete)


def test_endpoints_of_a_service_without_selector_are_its_owners() -> None:
    service = SERVICE | {"spec": {}}
    assert core_endpoints.plan(service, [], {"metadata": {"name": "s"}, "subsets": [{}]}).actions == []


def test_an_aggregated_role_has_the_rules_of_the_selected() -> None:
    whole = {
        "metadata": {"name": "admin"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "admin"}}]},
    }
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    parts = [
        {"metadata": {"name": "b", "labels": {"to": "admin"}}, "rules": [rule]},
        {"metadata": {"name": "a", "labels": {"to": "admin"}}, "rules": [rule | {"verbs": ["list"]}, rule]},
        {"metadata": {"name": "c", "labels": {"to": "view"}}, "rules": [rule | {"verbs": ["*"]}]},
    ]
    (patch,) = aggregation.plan(whole, [whole, *parts]).actions
    assert isinstance(patch, Patch)
    assert [one["verbs"] for one in patch.patch["rules"]] == [["list"], ["get"]]
    assert aggregation.plan(whole | patch.patch, [whole, *parts]).actions == []
    assert aggregation.plan(parts[0], parts).actions == []
