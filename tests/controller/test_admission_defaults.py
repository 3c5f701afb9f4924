"""What admission writes into objects that leave something unsaid."""

import dataclasses

import pytest

from controller.admission import review
from controller.cluster_config import ClusterConfig
from tidegate.contracts.config.defaults import Defaults
from tidegate.contracts.config.features import Features

CONFIG = ClusterConfig()


def service(spec=None, metadata=None, traffic=None, **container):
    inner = {"containers": [{"image": "hello", **container}]} | (spec or {})
    body = {"template": {"metadata": metadata or {}, "spec": inner}}
    if traffic is not None:
        body["traffic"] = traffic
    return {"kind": "Service", "metadata": {"name": "hello", "namespace": "default"}, "spec": body}


def defaulted(obj, old=None, config=CONFIG, user="ann"):
    return review.defaulted(obj, old, user, config)


def revision_spec(*args, config=CONFIG, **kwargs):
    return defaulted(service(*args, **kwargs), config=config)["spec"]["template"]["spec"]


def with_defaults(**values):
    return dataclasses.replace(CONFIG, defaults=Defaults(**values))


def test_a_bare_service_is_filled_in():
    made = defaulted(service())
    assert made["spec"]["traffic"] == [{"percent": 100, "latestRevision": True}]
    assert made["spec"]["template"]["spec"] == {
        "timeoutSeconds": 300,
        "containerConcurrency": 0,
        "enableServiceLinks": False,
        "containers": [
            {
                "image": "hello",
                "name": "user-container",
                "readinessProbe": {"tcpSocket": {}, "successThreshold": 1},
            }
        ],
    }


def test_the_object_given_is_not_changed():
    given = service()
    defaulted(given)
    assert given == service()


@pytest.mark.parametrize(
    ("timeout", "response_start"),
    [(None, None), (0, None), (300, None), (600, 300), (200, None)],
)
def test_response_start_applies_only_below_the_timeout(timeout, response_start):
    spec = revision_spec({"timeoutSeconds": timeout})
    assert spec["timeoutSeconds"] == (timeout or 300)
    assert spec.get("responseStartTimeoutSeconds") == response_start


def test_an_explicit_zero_response_start_is_kept():
    assert revision_spec({"timeoutSeconds": 600, "responseStartTimeoutSeconds": 0})["responseStartTimeoutSeconds"] == 0


def test_an_idle_timeout_from_config_applies_below_the_timeout():
    config = with_defaults(idle_timeout_s=60)
    assert revision_spec(config=config)["idleTimeoutSeconds"] == 60
    assert "idleTimeoutSeconds" not in revision_spec({"timeoutSeconds": 60}, config=config)


def test_several_containers_are_numbered_around_taken_names():
    containers = [{"image": "a"}, {"image": "b", "name": "user-container-1"}, {"image": "c"}]
    names = [container["name"] for container in revision_spec({"containers": containers})["containers"]]
    assert names == ["user-container-0", "user-container-1", "user-container-2"]


def test_a_name_template_may_hold_the_objects_name():
    config = with_defaults(container_name="{{.Name}}-app")
    assert revision_spec(config=config)["containers"][0]["name"] == "hello-app"


def test_resources_from_config_do_not_override():
    config = with_defaults(requests={"cpu": "100m", "memory": "1G"})
    container = revision_spec(config=config, resources={"requests": {"cpu": "2"}})["containers"][0]
    assert container["resources"] == {"requests": {"cpu": "2", "memory": "1G"}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"tcpSocket": {}, "successThreshold": 1}),
        ({"httpGet": {"path": "/x"}}, {"httpGet": {"path": "/x"}, "successThreshold": 1}),
        (
            {"periodSeconds": 5},
            {"tcpSocket": {}, "successThreshold": 1, "periodSeconds": 5, "failureThreshold": 3, "timeoutSeconds": 1},
        ),
        ({"grpc": {"port": 1}}, {"grpc": {"port": 1, "service": ""}, "successThreshold": 1}),
    ],
)
def test_readiness_probes(given, expected):
    assert revision_spec(readinessProbe=given)["containers"][0]["readinessProbe"] == expected


def test_sidecars_get_no_probe():
    containers = [{"image": "a", "ports": [{}]}, {"image": "b"}]
    made = revision_spec({"containers": containers})["containers"]
    assert "readinessProbe" in made[0]
    assert "readinessProbe" not in made[1]


def test_mounts_are_read_only_unless_the_volume_is_ones_own():
    volumes = [{"name": "a", "configMap": {"name": "x"}}, {"name": "b", "emptyDir": {}}]
    mounts = [{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}]
    made = revision_spec({"volumes": volumes}, volumeMounts=mounts)["containers"][0]["volumeMounts"]
    assert [mount.get("readOnly") for mount in made] == [True, None]


def test_secure_defaults_when_the_feature_is_on():
    config = dataclasses.replace(CONFIG, features=Features({"secure-pod-defaults": "Enabled"}))
    context = revision_spec(config=config, ports=[{"containerPort": 80}])["containers"][0]["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "seccompProfile": {"type": "RuntimeDefault"},
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        "runAsNonRoot": True,
    }
    bounded = dataclasses.replace(CONFIG, features=Features({"secure-pod-defaults": "AllowRootBounded"}))
    assert "runAsNonRoot" not in revision_spec(config=bounded)["containers"][0]["securityContext"]


def test_traffic_targets_are_completed():
    made = defaulted(service(traffic=[{"revisionName": "a"}, {"tag": "x"}]))
    assert made["spec"]["traffic"] == [
        {"revisionName": "a", "latestRevision": False, "percent": 0},
        {"tag": "x", "latestRevision": True, "percent": 0},
    ]


def test_users_are_noted_on_create_and_when_the_spec_changes():
    created = defaulted(service())
    assert created["metadata"]["annotations"] == {
        "serving.knative.dev/creator": "ann",
        "serving.knative.dev/lastModifier": "ann",
    }
    same = defaulted(created, created, user="bob")
    assert same["metadata"]["annotations"]["serving.knative.dev/lastModifier"] == "ann"
    changed = defaulted(created | {"spec": service(image="other")["spec"]}, created, user="bob")
    assert changed["metadata"]["annotations"]["serving.knative.dev/lastModifier"] == "bob"
    assert changed["metadata"]["annotations"]["serving.knative.dev/creator"] == "ann"


def test_children_carry_the_users_of_their_parents():
    child = service() | {"kind": "Configuration"}
    child["metadata"] = child["metadata"] | {"ownerReferences": [{"kind": "Service"}]}
    assert "annotations" not in defaulted(child)["metadata"]


def test_a_stored_revision_never_changes():
    revision = {"kind": "Revision", "metadata": {"name": "a"}, "spec": {"containers": [{"image": "x"}]}}
    assert defaulted(revision, revision) == revision
    assert defaulted(revision)["spec"]["timeoutSeconds"] == 300


def test_a_template_with_an_unchanged_name_is_left_as_it_was_stored():
    stored = service(metadata={"name": "hello-a"})
    assert "timeoutSeconds" not in defaulted(service(metadata={"name": "hello-a"}), stored)["spec"]["template"]["spec"]


def test_a_podautoscaler_names_its_class():
    made = defaulted({"kind": "PodAutoscaler", "metadata": {"name": "a"}, "spec": {}})
    assert made["metadata"]["annotations"] == {"autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev"}


def test_routes_are_completed():
    route = {"kind": "Route", "metadata": {"name": "a"}, "spec": {"traffic": [{"configurationName": "a"}]}}
    assert defaulted(route)["spec"]["traffic"] == [{"configurationName": "a", "latestRevision": True, "percent": 0}]
