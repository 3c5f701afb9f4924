"""v1alpha2 InferenceServices in v1beta1: the shapes of the old texts, and what cannot be converted."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.contracts.inference_legacy import ConvertError, convert

Object = dict[str, Any]


def old(spec: Object, **metadata: Any) -> Object:
    return {
        "apiVersion": "serving.kubeflow.org/v1alpha2",
        "kind": "InferenceService",
        "metadata": {"name": "recommender", "namespace": "kubeflow", **metadata},
        "spec": spec,
    }


def test_the_smallest_one() -> None:
    (made,) = convert(old({"default": {"predictor": {"tensorflow": {"storageUri": "s3://models/1"}}}}))
    assert made == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "recommender", "namespace": "kubeflow"},
        "spec": {"predictor": {"tensorflow": {"storageUri": "s3://models/1"}}},
    }


def test_default_and_canary_each_keep_their_resources_and_bounds() -> None:
    spec = {
        "default": {
            "predictor": {
                "minReplicas": 2,
                "maxReplicas": 10,
                "serviceAccountName": "reader",
                "tensorflow": {
                    "storageUri": "s3://models/1",
                    "resources": {"limits": {"cpu": "1", "nvidia.com/gpu": "1", "memory": "8Gi"}},
                },
            }
        },
        "canaryTrafficPercent": 10,
        "canary": {
            "predictor": {"minReplicas": 1, "maxReplicas": 5, "tensorflow": {"storageUri": "s3://models/2"}},
        },
    }
    first, second = convert(old(spec))
    assert first["spec"]["predictor"] == spec["default"]["predictor"]  # type: ignore[index]
    assert "canaryTrafficPercent" not in first["spec"]["predictor"]
    predictor = second["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 5)
    assert predictor["canaryTrafficPercent"] == 10
    assert predictor["tensorflow"] == {"storageUri": "s3://models/2"}
    assert first["metadata"] == second["metadata"]


def test_a_pinned_canary_has_no_traffic() -> None:
    predictor = {"predictor": {"sklearn": {"storageUri": "x"}}}
    assert (
        convert(old({"default": predictor, "canary": predictor}))[1]["spec"]["predictor"]["canaryTrafficPercent"] == 0
    )


FIELDS = [
    ({"parallelism": 4, "sklearn": {"storageUri": "x"}}, {"containerConcurrency": 4, "sklearn": {"storageUri": "x"}}),
    ({"tensorrt": {"storageUri": "x"}}, {"triton": {"storageUri": "x"}}),
    ({"pytorch": {"storageUri": "x", "modelClassName": "Net"}},
     {"pytorch": {"storageUri": "x", "env": [{"name": "MODEL_CLASS_NAME", "value": "Net"}]}}),
    ({"custom": {"container": {"image": "mine"}}}, {"containers": [{"image": "mine"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), FIELDS)
def test_fields(before: Object, after: Object) -> None:
    (made,) = convert(old({"default": {"predictor": before}}))
    assert made["spec"]["predictor"] == after


def test_annotations_change_their_prefix_and_what_a_server_added_goes() -> None:
    metadata = {
        "annotations": {"serving.kubeflow.org/s3-endpoint": "e", "sidecar.istio.io/inject": "false"},
        "uid": "1",
    }
    (made,) = convert(old({"default": {"predictor": {"sklearn": {"storageUri": "x"}}}}, **metadata))
    assert made["metadata"]["annotations"] == {"serving.kserve.io/s3-endpoint": "e", "sidecar.istio.io/inject": "false"}
    assert "uid" not in made["metadata"]


REFUSED = [
    ({}, "spec.default: missing"),
    ({"default": {"predictor": {"alibi": {}}}}, "spec.default.predictor.alibi: explainers of this type are gone"),
    ({"default": {"transformer": {}}}, "spec.default.predictor: missing"),
    ({"default": {"predictor": {"sklearn": {"uri": "x"}}}}, "spec.default.predictor.sklearn.uri: not a field"),
    ({"default": {"predictor": {"sklearn": {}}}, "canary": {"predictor": {"sklearn": {}}},
      "canaryTrafficPercent": 101}, "spec.canaryTrafficPercent: 101 is not"),
    ({"default": {"predictor": {"sklearn": {}}}, "rollout": 1}, "spec.rollout: not a field"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "message"), REFUSED)
def test_what_cannot_be_converted_names_its_field(spec: Object, message: str) -> None:
    with pytest.raises(ConvertError, match=message):
        convert(old(spec))


def test_other_objects_are_not_taken_for_old_ones() -> None:
    with pytest.raises(ConvertError, match="v1beta1 InferenceService is not"):
        convert({"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"})
