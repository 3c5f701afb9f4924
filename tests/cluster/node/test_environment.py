"""Variables, references, `$(VAR)`."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.node import environment
from cluster.node.environment import ConfigError, PodFacts

FACTS = PodFacts("127.1.0.2", "127.0.0.1", "n1", {"memory": "1Gi", "cpu": "4"})
POD = {
    "metadata": {"name": "p", "namespace": "d", "uid": "u", "labels": {"a": "1"}, "annotations": {"b/c": 'x"y'}},
    "spec": {
        "serviceAccountName": "robot",
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "64Mi"}}}],
    },
}
SOURCES = {
    ("configmap", "cm"): {"k": b"v", "bad name": b"x", "other": b"o"},
    ("secret", "s"): {"p": b"top"},
    ("configmap", "gone"): None,
    ("secret", "gone"): None,
}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("$()", "$()"),
    ],
)
def test_expand(text: str, expanded: str) -> None:
    assert environment.expand(text, {"A": "1", "B": "2"}) == expanded


def build(**container: Any) -> dict[str, str]:
    return environment.build({**POD["spec"]["containers"][0], **container}, POD, FACTS, SOURCES)


def test_order_and_override() -> None:
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)$(C)$(k)"},
        {"name": "A", "value": "$(A)2"},
        {"name": "C"},
    ]
    found = build(env=env, envFrom=[{"configMapRef": {"name": "cm"}}])
    assert found == {"k": "v", "other": "o", "A": "12", "B": "1$(C)v", "C": ""}


def test_prefix_and_secret() -> None:
    found = build(envFrom=[{"prefix": "X_", "secretRef": {"name": "s"}}])
    assert found == {"X_p": "top"}


FIELDS = [
    ("metadata.name", "p"),
    ("metadata.namespace", "d"),
    ("metadata.uid", "u"),
    ("metadata.labels['a']", "1"),
    ("metadata.labels['none']", ""),
    ("metadata.annotations['b/c']", 'x"y'),
    ("metadata.annotations", 'b/c="x\\"y"'),
    ("spec.nodeName", "n1"),
    ("spec.serviceAccountName", "robot"),
    ("status.podIP", "127.1.0.2"),
    ("status.hostIP", "127.0.0.1"),
]


@pytest.mark.parametrize(("path", "value"), FIELDS)
def test_field(path: str, value: str) -> None:
    assert build(env=[{"name": "F", "valueFrom": {"fieldRef": {"fieldPath": path}}}]) == {"F": value}


RESOURCES = [
    ({"resource": "requests.cpu"}, "1"),
    ({"resource": "requests.cpu", "divisor": "1m"}, "250"),
    ({"resource": "limits.memory"}, str(64 << 20)),
    ({"resource": "limits.memory", "divisor": "1Mi"}, "64"),
    ({"resource": "limits.cpu"}, "4"),
    ({"resource": "requests.memory"}, "0"),
    ({"resource": "limits.memory", "containerName": "c", "divisor": "1Ki"}, "65536"),
]


@pytest.mark.parametrize(("reference", "value"), RESOURCES)
def test_resource(reference: dict[str, str], value: str) -> None:
    assert build(env=[{"name": "R", "valueFrom": {"resourceFieldRef": reference}}]) == {"R": value}


REFUSED = [
    ({"configMapKeyRef": {"name": "gone", "key": "k"}}, 'configmap "gone" not found'),
    ({"secretKeyRef": {"name": "s", "key": "nope"}}, "couldn't find key nope in secret s"),
    ({"fieldRef": {"fieldPath": "spec.magic"}}, "fieldRef 'spec.magic' is not supported"),
]


@pytest.mark.parametrize(("source", "message"), REFUSED)
def test_refused(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(env=[{"name": "X", "valueFrom": source}])


def test_optional_is_left_out() -> None:
    source = {"configMapKeyRef": {"name": "gone", "key": "k", "optional": True}}
    env = [{"name": "X", "valueFrom": source}, {"name": "Y", "value": "1"}]
    assert build(env=env, envFrom=[{"secretRef": {"name": "gone", "optional": True}}]) == {"Y": "1"}


def test_sources_of_a_pod() -> None:
    container = {
        "name": "c",
        "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
        "env": [
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "c", "key": "k"}}},
            {"name": "Y", "valueFrom": {"configMapKeyRef": {"name": "d", "key": "k"}}},
            {"name": "Z", "value": "1"},
        ],
    }
    found = environment.sources_of({"spec": {"containers": [container]}})
    assert found == {("configmap", "a"), ("secret", "b"), ("secret", "c"), ("configmap", "d")}


def test_decoded() -> None:
    assert environment.decoded({"kind": "Secret", "data": {"a": "aGk="}, "stringData": {"b": "c"}}) == {
        "a": b"hi",
        "b": b"c",
    }
    assert environment.decoded({"kind": "ConfigMap", "data": {"a": "x"}, "binaryData": {"b": "AAE="}}) == {
        "a": b"x",
        "b": b"\0\1",
    }
