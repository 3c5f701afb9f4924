"""The manifests of examples/gpu, rendered to the Deployment that a cluster gets, and what admission says of devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.admission import devices, revision_spec
from controller.cluster_config import ClusterConfig
from controller.inference import component, shipped, template
from controller.inference import runtimes as serving_runtimes
from controller.reconcile import configuration, revision, service
from controller.reconcile.outcome import Object
from tidegate.contracts.config import features

EXAMPLES = Path(__file__).parents[2] / "examples" / "gpu"
NOW = 1_800_000_000.0
TOLERATIONS = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
KNATIVES_FLAGS = features.parse(
    {"data": {"kubernetes.podspec-nodeselector": "enabled", "kubernetes.podspec-tolerations": "enabled"}}
)


def documents(name: str) -> dict[str, Object]:
    found = {each["kind"]: each for each in yaml.safe_load_all((EXAMPLES / name).read_text())}
    if "Service" in found:
        found["Service"]["spec"]["template"]["spec"]["containers"][0]["name"] = "user-container"  # as defaulting does
    return found


def deployment(name: str) -> Object:
    """Return the Deployment of the file's first revision, all the way that the controller goes."""
    found = documents(name)
    if "InferenceService" in found:
        owner = found["InferenceService"]
        assert component.validate(owner) == []
        owner["metadata"] |= {"namespace": "default", "uid": "u"}
        part = component.read(owner, component.PREDICTOR)
        assert part is not None and part.model is not None
        runtime = serving_runtimes.choose(part.model, (), shipped.runtimes())
        assert isinstance(runtime, dict), runtime
        knative = template.knative_service(owner, part, runtime, [{"latestRevision": True, "percent": 100}])
    else:
        knative = found["Service"]
        spec = knative["spec"]["template"]["spec"]
        assert revision_spec.validate(spec, ClusterConfig(features=KNATIVES_FLAGS)) == []
    knative["metadata"] |= {"namespace": "default", "uid": "u", "generation": 1}
    made = configuration.revision(with_identity(service.configuration(knative, None)), NOW)
    return revision.deployment(with_identity(made), ClusterConfig())


def with_identity(obj: Object) -> Object:
    return obj | {"metadata": obj["metadata"] | {"uid": "u", "generation": 1}}


def pod(found: Object) -> Object:
    made: Object = found["spec"]["template"]["spec"]
    return made


ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}
FILES: list[tuple[str, str, dict[str, str], dict[str, str], Object]] = [
    (
        "inferenceservice.yaml",
        "tidegate.dev/runtimes/triton",
        {"nvidia.com/gpu": "1", "cpu": "4", "memory": "16Gi"},
        {"nvidia.com/gpu.product": "NVIDIA-L4"},
        {"type": "Recreate"},
    ),
    (
        "mig.yaml",
        "tidegate.dev/runtimes/torch",
        {"nvidia.com/mig-1g.5gb": "1", "cpu": "2", "memory": "8Gi"},
        {"nvidia.com/mig.strategy": "mixed"},
        ROLLING,
    ),
    (
        "time-slicing.yaml",
        "tidegate.dev/runtimes/onnx",
        {"nvidia.com/gpu.shared": "1", "cpu": "1", "memory": "4Gi"},
        {},
        ROLLING,
    ),
    (
        "knative.yaml",
        "registry.example.com/vision:1",
        {"nvidia.com/gpu": "1"},
        {"nvidia.com/gpu.present": "true"},
        {"type": "Recreate"},
    ),
]


@pytest.mark.parametrize(("name", "image", "limits", "selector", "strategy"), FILES, ids=[row[0] for row in FILES])
def test_limits_selectors_and_tolerations_reach_the_pod(
    name: str, image: str, limits: dict[str, str], selector: dict[str, str], strategy: Object
) -> None:
    found = deployment(name)
    main, queue_proxy = pod(found)["containers"]
    assert (main["image"], main["resources"]["limits"]) == (image, limits)
    assert not any("nvidia.com" in each for each in str(queue_proxy.get("resources")).split("'"))  # one pod, one device
    assert pod(found).get("nodeSelector", {}) == selector
    assert pod(found)["tolerations"] == TOLERATIONS
    assert found["spec"]["strategy"] == strategy


def test_what_else_the_files_ask_for() -> None:
    whole = deployment("inferenceservice.yaml")
    assert pod(whole)["runtimeClassName"] == "nvidia"
    assert pod(whole)["terminationGracePeriodSeconds"] == 600  # as long as a request may take
    assert whole["spec"]["template"]["metadata"]["annotations"]["tidegate.dev/rollout"] == "recreate"
    assert pod(whole)["initContainers"][0]["args"] == ["s3://models/vision", "/mnt/models"]
    shared = yaml.safe_load(documents("time-slicing.yaml")["ConfigMap"]["data"]["any"])["sharing"]["timeSlicing"]
    assert shared["resources"] == [{"name": "nvidia.com/gpu", "replicas": 4}]
    assert shared["renameByDefault"] is True  # so that the limit is called nvidia.com/gpu.shared


def test_every_manifest_is_tested() -> None:
    assert {row[0] for row in FILES} == {each.name for each in EXAMPLES.glob("*.yaml")}


def test_a_service_needs_knatives_flags_for_selector_and_tolerations() -> None:
    spec = documents("knative.yaml")["Service"]["spec"]["template"]["spec"]
    (problem,) = revision_spec.validate(spec, ClusterConfig())
    assert problem.paths == ("nodeSelector", "tolerations")


GPU = "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("limits", "requests", "path"),
    [
        ({GPU: "1"}, {}, ""),
        ({GPU: 2}, {GPU: "2"}, ""),
        ({"cpu": "500m", "ephemeral-storage": "1Gi"}, {"cpu": "100m"}, ""),
        ({GPU: "0.5"}, {}, f"resources.limits[{GPU}]"),
        ({GPU: "500m"}, {}, f"resources.limits[{GPU}]"),
        ({}, {GPU: "1"}, f"resources.limits[{GPU}]"),
        ({GPU: "2"}, {GPU: "1"}, f"resources.requests[{GPU}]"),
    ],
)
def test_devices_are_whole_and_asked_for_by_limits(limits: dict[str, Any], requests: dict[str, Any], path: str) -> None:
    found = devices.validate({"resources": {"limits": limits, "requests": requests}})
    assert [problem.paths[0] for problem in found] == ([path] if path else [])


@pytest.mark.parametrize(
    ("strategy", "count"),
    [({"type": "Recreate"}, 0), ({"type": "RollingUpdate"}, 0), ({"type": "Other"}, 1), ({"rollingUpdate": {}}, 2)],
)
def test_strategies_of_an_inference_service(strategy: Object, count: int) -> None:
    predictor = {"sklearn": {"storageUri": "x"}, "deploymentStrategy": strategy}
    assert len(component.validate({"spec": {"predictor": predictor}})) == count
