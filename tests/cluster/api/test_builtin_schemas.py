"""Field types of built-in kinds: checks, and a comparison with the official Python client."""

import pytest
from kubernetes.client import models

from cluster.api.builtin_schemas import FieldType, check_fields, is_known, types
from cluster.api.builtins import unknown_builtin_fields

PREFIXES = ("V2", "V1", "CoreV1", "RbacV1", "AdmissionregistrationV1")


def test_parsed():
    container = types()["Container"]
    assert container["name"] == FieldType("one", "s")
    assert container["env"] == FieldType("list", "EnvVar")
    assert types()["ObjectMeta"]["labels"] == FieldType("map", "s")
    assert types()["ServicePort"]["targetPort"] == FieldType("one", "x")


def test_every_type_that_is_named_exists():
    known = set(types()) | set("sinbtqx?")
    missing = {(name, f) for name, fields in types().items() for f, kind in fields.items() if kind.name not in known}
    assert missing == set()


@pytest.mark.slow
def test_no_field_of_the_published_api_is_missing():
    for name, fields in types().items():
        model = next((getattr(models, p + name) for p in PREFIXES if hasattr(models, p + name)), None)
        if model is not None:
            assert set(model.attribute_map.values()) - set(fields) == set(), name


CASES = [
    ({"spec": {"containers": [{"name": "a", "image": "b"}]}}, [], []),
    ({"spec": {"container": []}, "extra": 1}, ["spec.container", "extra"], []),
    ({"spec": {"containers": [{"nam": "a"}]}}, ["spec.containers[0].nam"], []),
    ({"spec": {"containers": {}}}, [], ["spec.containers"]),
    ({"spec": {"containers": ["a"]}}, [], ["spec.containers[0]"]),
    ({"spec": []}, [], ["spec"]),
    ({"spec": {"hostNetwork": "yes"}}, [], ["spec.hostNetwork"]),
    ({"spec": {"priority": True}}, [], ["spec.priority"]),
    ({"spec": {"priority": 1.5}}, [], ["spec.priority"]),
    ({"spec": {"nodeSelector": {"a": 1}}}, [], ["spec.nodeSelector.a"]),
    ({"spec": {"nodeSelector": []}}, [], ["spec.nodeSelector"]),
    ({"spec": {"nodeSelector": None, "containers": None}}, [], []),
    ({"spec": {"overhead": {"cpu": 1, "memory": "1Gi"}}}, [], []),
    ({"metadata": {"labels": {"a": True}, "managedFields": [{"fieldsV1": {"f:x": {}}}]}}, [], ["metadata.labels.a"]),
]


@pytest.mark.parametrize(("obj", "unknown", "wrong"), CASES)
def test_check_fields(obj, unknown, wrong):
    findings = check_fields("Pod", "", obj)
    assert findings.unknown == unknown
    assert [error.path for error in findings.errors] == wrong
    assert unknown_builtin_fields("Pod", "", obj) == unknown


def test_other_kinds_have_no_findings():
    assert not is_known("Pod", "apps")
    assert check_fields("Service", "serving.knative.dev", {"any": 1}) == ([], [])


def test_wording():
    (error,) = check_fields("Deployment", "apps", {"spec": {"replicas": "2"}}).errors
    assert error.message == 'Invalid value: "string": spec.replicas in body must be of type integer: "string"'
    assert error.reason == "FieldValueTypeInvalid"
