"""InferenceGraph: the Service of its router, services by name, its status, whom changes concern."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller import triggers
from controller.admission import review
from controller.cluster_config import ClusterConfig
from controller.gather import World, decide
from controller.inference import graph
from controller.objects import Objects
from controller.reconcile import inference_graph, metadata
from controller.reconcile.inference_graph import Observed
from controller.reconcile.outcome import Apply, Delete
from controller.triggers import Key
from tidegate.contracts import inference_graph as contract
from tidegate.contracts import names, problems
from tidegate.kube import resources

Object = dict[str, Any]
NOW = 1_700_000_000.0
NODES = {
    "root": {"routerType": "Sequence", "steps": [{"serviceName": "clean"}, {"nodeName": "pick", "data": "$response"}]},
    "pick": {"routerType": "Router", "serviceName": "abtest", "steps": [{"serviceName": "flowers"}]},
}


def make(spec: Object | None = None, **meta: Any) -> Object:
    head = {"name": "garden", "namespace": "ml", "uid": "g1", "generation": 1, **meta}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": head,
        "spec": {"nodes": NODES, **(spec or {})},
    }


def isvc(name: str, **model: Any) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "ml", "uid": name, "generation": 1},
        "status": {"url": f"http://{name}.ml.example.com"},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "sklearn"}, **model}}},
    }


SERVICES = {
    "clean": isvc("clean"),
    "flowers": isvc("flowers", modelFormat={"name": "onnx"}),
    "abtest": isvc("abtest"),
}


def condition(status: Object | None, kind: str) -> Object:
    assert status is not None
    return next(one for one in status["conditions"] if one["type"] == kind)


def observed(service: Object, **more: Any) -> Observed:
    return Observed(service, image="tidegate.dev/runtimes/graph", **{"services": SERVICES, **more})


def test_the_graph_has_nothing_that_kubernetes_would_replace_in_a_variable() -> None:
    step = {"serviceUrl": "http://a/$(HOME)", "match": {"header": "x", "value": "$$*"}}
    nodes = {"root": {"routerType": "Switch", "steps": [step]}}
    (apply,) = inference_graph.reconcile(observed(make({"nodes": nodes})), NOW).actions
    assert isinstance(apply, Apply)
    (container,) = apply.obj["spec"]["template"]["spec"]["containers"]
    value = container["env"][0]["value"]
    assert "$$" not in value
    assert "$(" not in value
    assert json.loads(value) == nodes


def test_admission_says_which_url_is_broken() -> None:
    broken = {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "http://[a/"}]}}
    answer = review.validate({"uid": "u", "object": make({"nodes": broken})}, ClusterConfig())
    assert not answer["allowed"]
    assert "spec.nodes.root.steps[0].serviceUrl" in answer["status"]["message"]


def test_the_router_gets_the_graph_with_urls_for_names() -> None:
    made = inference_graph.reconcile(observed(make({"minReplicas": 0, "scaleTarget": 5, "timeout": 60})), NOW)
    (apply,) = made.actions
    assert isinstance(apply, Apply)
    service = apply.obj
    assert (service["kind"], service["metadata"]["name"]) == ("Service", "garden")
    assert metadata.owner_reference(make()) in service["metadata"]["ownerReferences"]
    template = service["spec"]["template"]
    assert template["spec"]["timeoutSeconds"] == 60
    assert template["metadata"]["annotations"][names.AUTOSCALING + "min-scale"] == "0"
    assert template["metadata"]["annotations"][names.AUTOSCALING + "target"] == "5"
    (container,) = template["spec"]["containers"]
    env = {one["name"]: one["value"] for one in container["env"]}
    nodes = json.loads(env["GRAPH"])
    assert contract.validate(nodes) == []
    assert nodes["root"]["steps"][0] == {"name": "clean", "serviceUrl": "http://clean.ml/v1/models/clean:predict"}
    assert nodes["pick"]["serviceUrl"] == "http://abtest.ml/api/v1.0/route"
    assert nodes["pick"]["steps"][0]["serviceUrl"] == "http://flowers.ml/v2/models/flowers/infer", "onnx speaks V2"
    assert env["TIDEGATE_STEP_TIMEOUT_S"] == "60"


def test_a_service_that_is_not_there_is_named_and_the_router_stays() -> None:
    made = inference_graph.reconcile(observed(make(), services={"clean": SERVICES["clean"]}), NOW)
    assert made.actions == ()
    why = condition(made.status, "ServicesResolved")
    assert (why["status"], why["reason"]) == ("False", "ServiceNotFound")
    assert why["message"] == "There is no InferenceService abtest, flowers in this namespace."


def test_a_service_without_an_address_is_waited_for() -> None:
    young = {name: {key: value for key, value in each.items() if key != "status"} for name, each in SERVICES.items()}
    made = inference_graph.reconcile(observed(make(), services={**SERVICES, "clean": young["clean"]}), NOW)
    assert made.actions == ()
    why = condition(made.status, "ServicesResolved")
    assert (why["status"], why["message"]) == ("Unknown", "InferenceService clean has no address yet.")


def test_from_nothing_to_ready_and_stopped() -> None:
    (apply,) = inference_graph.reconcile(observed(make()), NOW).actions
    assert isinstance(apply, Apply)
    said = {
        "observedGeneration": 1,
        "url": "http://garden.ml.example.com",
        "address": {"url": "http://garden.ml.svc.cluster.local"},
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    router = apply.obj | {"metadata": apply.obj["metadata"] | {"uid": "s1", "generation": 1}, "status": said}
    made = inference_graph.reconcile(observed(make(), router=router), NOW)
    assert made.actions == ()
    assert made.status is not None and made.status["url"] == said["url"]
    assert condition(made.status, "Ready")["status"] == "True"
    stopped = make(annotations={"serving.kserve.io/stop": "true"})
    made = inference_graph.reconcile(observed(stopped, router=router), NOW)
    assert made.actions == (Delete(router),)
    assert condition(made.status, "Ready")["reason"] == "Stopped"


def test_a_service_of_somebody_else_is_left_alone() -> None:
    foreign = {"metadata": {"name": "garden", "namespace": "ml", "uid": "x"}, "spec": {}}
    made = inference_graph.reconcile(observed(make(), router=foreign), NOW)
    assert made.actions == ()
    assert condition(made.status, "Ready")["reason"] == "NotOwned"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"nodes": {}}, "missing field(s): spec.nodes.root"),
        ({"minReplicas": -1}, "invalid value: -1: spec.minReplicas"),
        ({"timeout": 0}, "invalid value: 0: spec.timeout"),
        ({"colour": 1}, "must not set the field(s): spec.colour"),
    ],
)
def test_what_is_refused_and_where(spec: Object, why: str) -> None:
    assert why in problems.render(graph.validate(make(spec)))
    made = inference_graph.reconcile(observed(make(spec)), NOW)
    assert made.actions == () and condition(made.status, "Ready")["reason"] == "InvalidSpec"
    request = {"uid": "u", "object": make(spec), "userInfo": {"username": "me"}}
    answer = review.validate(request, ClusterConfig())
    assert not answer["allowed"] and why in answer["status"]["message"]


def test_changes_of_graph_router_and_services_concern_the_graph() -> None:
    known = Objects()
    known.put(resources.INFERENCE_GRAPHS, make())
    key = Key(triggers.INFERENCE_GRAPH, "ml", "garden")
    assert key in triggers.concerned(known, resources.INFERENCE_GRAPHS, make())
    assert key in triggers.concerned(known, resources.INFERENCE_SERVICES, SERVICES["clean"])
    elsewhere = isvc("clean")
    elsewhere["metadata"]["namespace"] = "other"
    assert key not in triggers.concerned(known, resources.INFERENCE_SERVICES, elsewhere)
    for service in SERVICES.values():
        known.put(resources.INFERENCE_SERVICES, service)
    (apply,) = decide(World(known, ClusterConfig()), key, NOW).actions
    assert isinstance(apply, Apply)
    assert apply.obj["spec"]["template"]["spec"]["containers"][0]["image"] == "tidegate.dev/runtimes/graph"
    assert key in triggers.concerned(known, resources.KNATIVE_SERVICES, apply.obj)
    assert key in triggers.everything(known)
