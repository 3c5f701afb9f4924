"""Typed reading of Knative's objects."""

import pytest

from tidegate.contracts import serving


def test_an_empty_spec_reads_as_run_time_defaults():
    spec = serving.revision_spec({})
    assert (spec.concurrency, spec.timeout_s, spec.port, spec.protocol) == (0, 0, 8080, "http1")


@pytest.mark.parametrize(("name", "protocol"), [("h2c", "h2c"), ("grpc", "h2c"), ("http1", "http1"), ("", "http1")])
def test_the_container_with_the_port_serves(name, protocol):
    containers = [{"name": "side"}, {"name": "main", "ports": [{"containerPort": 9000, "name": name}]}]
    spec = serving.revision_spec({"containers": containers, "containerConcurrency": 5, "timeoutSeconds": 7})
    assert (spec.serving_container, spec.port, spec.protocol) == (1, 9000, protocol)
    assert (spec.concurrency, spec.timeout_s) == (5, 7)


def test_an_absent_routing_state_counts_as_active():
    assert serving.routing_state({"metadata": {}}) == "active"
    labels = {"serving.knative.dev/routingState": "reserve"}
    assert serving.routing_state({"metadata": {"labels": labels}}) == "reserve"


def test_ownership_is_by_uid():
    owner = {"metadata": {"uid": "1"}}
    child = {"metadata": {"ownerReferences": [{"uid": "1", "controller": True}]}}
    assert serving.is_controlled_by(child, owner)
    assert not serving.is_controlled_by(child, {"metadata": {"uid": "2"}})
    assert not serving.is_controlled_by({"metadata": {"ownerReferences": [{"uid": "1"}]}}, owner)


def test_generation_and_routes_are_read_from_metadata():
    metadata = {
        "labels": {"serving.knative.dev/configurationGeneration": "3"},
        "annotations": {"serving.knative.dev/routes": "b,a"},
    }
    assert serving.generation_of({"metadata": metadata}) == 3
    assert serving.generation_of({"metadata": {}}) == 0
    assert serving.routes_of({"metadata": metadata}) == {"a", "b"}
