"""Defaulting of built-in kinds, as tables of what a manifest says and what the API server makes of it."""

import base64
import copy

import pytest

from cluster.api.builtins import default_builtin, validate_builtin


def defaulted(kind, group, obj):
    default_builtin(kind, group, obj)
    return obj


def pod(**container):
    return defaulted("Pod", "", {"spec": {"containers": [{"name": "a", "image": "x", **container}]}})


def test_pod():
    assert pod()["spec"] == {
        "containers": [
            {
                "name": "a",
                "image": "x",
                "imagePullPolicy": "Always",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "resources": {},
            }
        ],
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("x", "Always"),
        ("x:latest", "Always"),
        ("x:1", "IfNotPresent"),
        ("host:5000/x", "Always"),
        ("host:5000/x:1", "IfNotPresent"),
        ("x@sha256:00", "IfNotPresent"),
    ],
)
def test_image_pull_policy(image, policy):
    assert pod(image=image)["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_probe_and_handlers():
    container = pod(
        readinessProbe={"httpGet": {"port": 80}, "periodSeconds": 0},
        livenessProbe={"grpc": {"port": 1}, "timeoutSeconds": 9},
        lifecycle={"preStop": {"httpGet": {"port": 8022, "path": "/drain"}}},
    )["spec"]["containers"][0]
    assert container["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert container["livenessProbe"]["grpc"] == {"port": 1, "service": ""}
    assert container["livenessProbe"]["timeoutSeconds"] == 9
    assert container["lifecycle"]["preStop"]["httpGet"] == {"port": 8022, "path": "/drain", "scheme": "HTTP"}


def test_ports_env_and_resources():
    container = pod(
        ports=[{"containerPort": 80}, {"containerPort": 81, "protocol": "UDP"}],
        env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, {"name": "B", "value": "1"}],
        resources={"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "100m"}},
    )["spec"]["containers"][0]
    assert [port["protocol"] for port in container["ports"]] == ["TCP", "UDP"]
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert container["resources"] == {
        "limits": {"cpu": "1", "memory": "1Gi"},
        "requests": {"cpu": "100m", "memory": "1Gi"},
    }


def test_host_network_opens_host_ports():
    obj = {"spec": {"hostNetwork": True, "containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 80}]}]}}
    assert defaulted("Pod", "", obj)["spec"]["containers"][0]["ports"][0]["hostPort"] == 80


def test_volumes():
    volumes = [
        {"name": "a"},
        {"name": "b", "configMap": {"name": "c"}},
        {"name": "d", "hostPath": {"path": "/x"}},
        {"name": "e", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        {"name": "f", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    obj = defaulted("Pod", "", {"spec": {"volumes": volumes}})
    empty, config, host, projected, downward = obj["spec"]["volumes"]
    assert empty == {"name": "a", "emptyDir": {}}
    assert config["configMap"] == {"name": "c", "defaultMode": 420}
    assert host["hostPath"] == {"path": "/x", "type": ""}
    assert projected["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 3600
    assert downward["downwardAPI"]["items"][0]["fieldRef"]["apiVersion"] == "v1"


def test_deployment():
    spec = defaulted("Deployment", "apps", {"spec": {"template": {"spec": {"containers": []}}}})["spec"]
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    assert "enableServiceLinks" not in spec["template"]["spec"]
    del spec["template"]
    assert spec == {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
    }


def test_zero_replicas_and_recreate_are_kept():
    obj = {"spec": {"replicas": 0, "strategy": {"type": "Recreate"}, "template": {"spec": {}}}}
    spec = defaulted("Deployment", "apps", obj)["spec"]
    assert (spec["replicas"], spec["strategy"]) == (0, {"type": "Recreate"})


def test_service():
    obj = {"spec": {"ports": [{"port": 80}, {"port": 81, "targetPort": "x"}], "clusterIP": "127.1.128.1"}}
    spec = defaulted("Service", "", obj)["spec"]
    assert spec["ports"][0] == {"port": 80, "protocol": "TCP", "targetPort": 80}
    assert spec["ports"][1]["targetPort"] == "x"
    assert (spec["type"], spec["sessionAffinity"], spec["internalTrafficPolicy"]) == ("ClusterIP", "None", "Cluster")
    assert (spec["ipFamilies"], spec["clusterIPs"]) == (["IPv4"], ["127.1.128.1"])


def test_other_service_types():
    assert "ipFamilies" not in defaulted("Service", "", {"spec": {"type": "ExternalName"}})["spec"]
    assert defaulted("Service", "", {"spec": {"type": "LoadBalancer"}})["spec"]["externalTrafficPolicy"] == "Cluster"


def test_secret():
    obj = defaulted("Secret", "", {"data": {"a": "YQ=="}, "stringData": {"b": "c"}})
    assert obj == {"type": "Opaque", "data": {"a": "YQ==", "b": base64.b64encode(b"c").decode()}}


SMALL = [
    ("Namespace", "", {}, {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
    ("ConfigMap", "", {"data": {}}, {"data": {}}),
    (
        "EndpointSlice",
        "discovery.k8s.io",
        {"ports": [{"port": 1}]},
        {"ports": [{"port": 1, "name": "", "protocol": "TCP"}]},
    ),
    (
        "RoleBinding",
        "rbac.authorization.k8s.io",
        {"roleRef": {"name": "r"}, "subjects": [{"kind": "User"}, {"kind": "ServiceAccount"}]},
        {
            "roleRef": {"name": "r", "apiGroup": "rbac.authorization.k8s.io"},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "ServiceAccount"}],
        },
    ),
    (
        "CustomResourceDefinition",
        "apiextensions.k8s.io",
        {"spec": {"names": {"kind": "Foo"}}},
        {
            "spec": {
                "names": {"kind": "Foo", "singular": "foo", "listKind": "FooList"},
                "conversion": {"strategy": "None"},
            }
        },
    ),
]


@pytest.mark.parametrize(("kind", "group", "obj", "expected"), SMALL, ids=[row[0] for row in SMALL])
def test_small_kinds(kind, group, obj, expected):
    assert defaulted(kind, group, obj) == expected


def test_mutating_webhook():
    obj = {"webhooks": [{"rules": [{}], "clientConfig": {"service": {"name": "w"}}}]}
    (webhook,) = defaulted("MutatingWebhookConfiguration", "admissionregistration.k8s.io", obj)["webhooks"]
    assert webhook["failurePolicy"] == "Fail"
    assert webhook["reinvocationPolicy"] == "Never"
    assert webhook["rules"] == [{"scope": "*"}]
    assert webhook["clientConfig"]["service"]["port"] == 443


RUBBISH = [None, 1, "x", [1], {"a": 1}, [{"a": [1]}]]
KINDS = [
    ("Pod", ""),
    ("Deployment", "apps"),
    ("Service", ""),
    ("Secret", ""),
    ("RoleBinding", "rbac.authorization.k8s.io"),
]


@pytest.mark.parametrize(("kind", "group"), KINDS)
@pytest.mark.parametrize("value", RUBBISH)
def test_rubbish_survives_defaulting_and_is_refused_or_accepted_without_a_crash(kind, group, value):
    shapes = [
        {"spec": value},
        {"spec": {"containers": value, "template": value, "ports": value, "strategy": value, "volumes": value}},
        {"spec": {"containers": [{"image": value, "resources": value, "env": value, "readinessProbe": value}]}},
        {"spec": {"volumes": [{"projected": value, "configMap": value}], "template": {"spec": value}}},
        {"stringData": value, "roleRef": value, "subjects": value, "data": value},
    ]
    for shape in copy.deepcopy(shapes):
        validate_builtin(kind, group, defaulted(kind, group, shape), None)


def test_defaulting_twice_changes_nothing_more():
    once = pod(readinessProbe={"tcpSocket": {"port": 1}}, ports=[{"containerPort": 80}])
    assert defaulted("Pod", "", copy.deepcopy(once)) == once
