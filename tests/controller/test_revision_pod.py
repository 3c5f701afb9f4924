"""The pod of a revision: what is added to the author's containers, and how queue-proxy is told about them."""

import dataclasses

import msgspec
import pytest

from controller.cluster_config import ClusterConfig
from controller.reconcile import revision as reconcile
from controller.reconcile import revision_pod
from tidegate.contracts import report
from tidegate.contracts.config import observability
from tidegate.contracts.config.deployment import DeploymentConfig
from tidegate.contracts.config.features import Features
from tidegate.contracts.config.network import Network

CONFIG = ClusterConfig(autoscaler_address="10.0.0.9:8080", report_key=b"k" * 32)


def revision(annotations=None, **spec):
    labels = {"serving.knative.dev/service": "hello", "serving.knative.dev/configuration": "hello"}
    metadata = {"name": "hello-00001", "namespace": "default", "uid": "u", "labels": labels}
    defaults = {"containers": [{"name": "user-container", "image": "hello"}], "timeoutSeconds": 60}
    return {"metadata": metadata | {"annotations": annotations or {}}, "spec": defaults | spec}


def pod(*args, config=CONFIG, **kwargs):
    return revision_pod.pod_spec(revision(*args, **kwargs), config)


def container(**fields):
    return [{"name": "user-container", "image": "hello", **fields}]


def env(made):
    return {entry["name"]: entry.get("value") for entry in made["env"]}


def queue_env(*args, **kwargs):
    return env(pod(*args, **kwargs)["containers"][-1])


def test_the_user_container_learns_who_it_is():
    user = pod(containers=container(env=[{"name": "A", "value": "b"}]))["containers"][0]
    assert env(user) == {
        "A": "b",
        "PORT": "8080",
        "K_REVISION": "hello-00001",
        "K_CONFIGURATION": "hello",
        "K_SERVICE": "hello",
    }
    assert user["ports"] == [{"name": "user-port", "containerPort": 8080, "protocol": "TCP"}]
    assert user["lifecycle"]["preStop"]["httpGet"] == {"port": 8022, "path": "/wait-for-drain"}
    assert user["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_sidecar_gets_no_port():
    containers = [*container(ports=[{"containerPort": 9000}]), {"name": "side", "image": "s"}]
    serving, side, queue = pod(containers=containers)["containers"]
    assert env(serving)["PORT"] == "9000"
    assert "PORT" not in env(side)
    assert "ports" not in side
    assert env(queue)["USER_PORT"] == "9000"


@pytest.mark.parametrize(
    ("variable", "ports"), [("USER_PORT", [{"containerPort": 8080, "protocol": "TCP"}]), ("FORWARD_PORT", None)]
)
def test_a_sidecar_has_the_port_that_its_neighbour_is_told_in_user_port(variable, ports):
    side = {"name": "side", "image": "s", "env": [{"name": "PORT", "value": "8080"}]}
    [main] = container(ports=[{"containerPort": 9081}], env=[{"name": variable, "value": "8080"}])
    serving, side, _ = pod(containers=[main, side])["containers"]
    assert side.get("ports") == ports
    assert serving["ports"][0]["containerPort"] == 9081


def test_the_revision_itself_is_not_changed():
    given = revision(containers=container(livenessProbe={"httpGet": {"path": "/"}}))
    before = msgspec.json.encode(given)
    revision_pod.pod_spec(given, CONFIG)
    assert msgspec.json.encode(given) == before


def test_limits_reach_queue_proxy():
    values = queue_env(containerConcurrency=3, timeoutSeconds=60, idleTimeoutSeconds=9)
    assert values["CONTAINER_CONCURRENCY"] == "3"
    assert values["REVISION_TIMEOUT_SECONDS"] == "60"
    assert values["REVISION_RESPONSE_START_TIMEOUT_SECONDS"] == "0"
    assert values["REVISION_IDLE_TIMEOUT_SECONDS"] == "9"


def test_reports_go_to_the_autoscaler_with_a_token_for_this_revision_only():
    values = queue_env()
    assert values["AUTOSCALER_ADDRESS"] == "10.0.0.9:8080"
    assert values["REPORT_TOKEN"] == report.token(b"k" * 32, "default", "hello-00001")


@pytest.mark.parametrize(
    ("probe", "told"),
    [
        (None, {"tcpSocket": {"host": "127.0.0.1"}, "successThreshold": 1}),
        (
            {"httpGet": {"path": "/x", "port": 8080}, "periodSeconds": 2},
            {
                "httpGet": {"path": "/x", "host": "127.0.0.1", "scheme": "HTTP"},
                "periodSeconds": 2,
                "successThreshold": 1,
            },
        ),
        ({"tcpSocket": {"port": 9999}}, {"tcpSocket": {"host": "127.0.0.1", "port": 9999}, "successThreshold": 1}),
        ({"tcpSocket": {"port": "h2c"}}, {"tcpSocket": {"host": "127.0.0.1"}, "successThreshold": 1}),
        ({"exec": {"command": ["true"]}}, {"tcpSocket": {"host": "127.0.0.1"}, "successThreshold": 1}),
    ],
)
def test_the_readiness_probe_moves_into_queue_proxy(probe, told):
    made = pod(containers=container(readinessProbe=probe) if probe else container())
    user, queue = made["containers"]
    assert msgspec.json.decode(env(queue)["SERVING_READINESS_PROBE"]) == told
    assert ("readinessProbe" in user) == bool(probe and "exec" in probe)


def test_the_kubelet_asks_queue_proxy_and_often_unless_the_author_says_otherwise():
    probe = pod()["containers"][-1]["readinessProbe"]
    assert probe["httpGet"]["httpHeaders"] == [{"name": "K-Network-Probe", "value": "queue"}]
    assert (probe["periodSeconds"], probe["timeoutSeconds"], probe["failureThreshold"]) == (1, 5, 3)
    probe = pod(containers=container(readinessProbe={"periodSeconds": 7, "timeoutSeconds": 2}))["containers"][-1]
    assert (probe["readinessProbe"]["periodSeconds"], probe["readinessProbe"]["timeoutSeconds"]) == (7, 2)


def test_liveness_always_asks_the_serving_port():
    probe = {"httpGet": {"path": "/live", "port": 1}}
    user = pod(containers=container(livenessProbe=probe, startupProbe={"tcpSocket": {}}))["containers"][0]
    assert user["livenessProbe"]["httpGet"]["port"] == 8080
    assert user["startupProbe"]["tcpSocket"]["port"] == 8080


def test_pod_fields_pass_and_knatives_own_do_not():
    made = pod(
        serviceAccountName="robot",
        imagePullSecrets=[{"name": "s"}],
        volumes=[{"name": "v", "emptyDir": {}}],
        containerConcurrency=1,
        nodeSelector={"a": "b"},
    )
    assert made["serviceAccountName"] == "robot"
    assert made["nodeSelector"] == {"a": "b"}
    assert made["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert made["terminationGracePeriodSeconds"] == 60
    assert not {"containerConcurrency", "timeoutSeconds"} & set(made)


def test_pods_of_a_revision_spread_over_nodes_unless_told_otherwise():
    assert "podAntiAffinity" in pod()["affinity"]
    none = dataclasses.replace(CONFIG, deployment=DeploymentConfig(affinity="none"))
    assert "affinity" not in pod(config=none)
    assert pod(affinity={"nodeAffinity": {}})["affinity"] == {"nodeAffinity": {}}


def test_annotations_set_the_sidecars_resources():
    annotations = {
        "queue.sidecar.serving.knative.dev/cpu-resource-request": "1",
        "queue.sidecar.serving.knative.dev/memory-resource-limit": "200Mi",
    }
    queue = pod(annotations)["containers"][-1]
    assert queue["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "200Mi"}}
    assert pod()["containers"][-1]["resources"] == {"requests": {"cpu": "25m"}}


def test_the_sidecar_has_no_rights():
    context = pod()["containers"][-1]["securityContext"]
    assert context["runAsNonRoot"]
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_an_h2c_port_is_told():
    values = queue_env(containers=container(ports=[{"name": "h2c", "containerPort": 8080}]))
    assert values["USER_PROTOCOL"] == "h2c"
    assert values["ENABLE_HTTP2_AUTO_DETECTION"] == "false"


def test_the_podautoscaler_carries_what_the_gateway_reads():
    typed = revision({"tidegate.dev/session-affinity": "cookie"}) | {"apiVersion": "v1", "kind": "Revision"}
    made = reconcile.pod_autoscaler(typed, CONFIG, "Reachable")
    assert made["metadata"]["annotations"]["tidegate.dev/session-affinity"] == "cookie"
    assert made["metadata"]["labels"]["serving.knative.dev/revisionUID"] == "u"


def test_queue_proxy_hears_of_the_request_log_and_of_spans_where_they_are_on():
    assert not {"OBSERVABILITY_CONFIG", "TIDEGATE_TRACING_ENDPOINT"} & queue_env().keys()
    values = observability.Observability(
        is_request_log_enabled=True,
        request_log_template="{{.Response.Code}}",
        tracing_endpoint="http://c:4318",
        tracing_sampling_rate=0.5,
    )
    said = queue_env(config=dataclasses.replace(CONFIG, observability=values))
    assert msgspec.json.decode(said["OBSERVABILITY_CONFIG"]) == {
        "logging.enable-request-log": "true",
        "logging.enable-probe-request-log": "false",
        "logging.request-log-template": "{{.Response.Code}}",
    }
    assert (said["TIDEGATE_TRACING_ENDPOINT"], said["TIDEGATE_TRACING_SAMPLING_RATE"]) == ("http://c:4318", "0.5")


@pytest.mark.parametrize(("port", "said"), [(8080, {}), (9999, {"port": 9999})])
def test_a_grpc_readiness_probe_is_queue_proxys_at_the_apps_port_or_its_own(port, said):
    containers = container(readinessProbe={"grpc": {"port": port, "service": "a.B"}})
    made = pod(containers=containers)
    assert "readinessProbe" not in made["containers"][0]
    probe = msgspec.json.decode(env(made["containers"][-1])["SERVING_READINESS_PROBE"])
    assert probe["grpc"] == {"service": "a.B", **said}


SIDECAR = "queue.sidecar.serving.knative.dev/"
APP = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "100m", "memory": "300Mi"}}


@pytest.mark.parametrize(
    ("annotations", "flags", "expected"),
    [
        ({}, {}, {"requests": {"cpu": "25m"}}),
        (
            {},
            {"queueproxy.resource-defaults": "Enabled"},
            {"requests": {"memory": "400Mi", "cpu": "25m"}, "limits": {"cpu": "1000m", "memory": "800Mi"}},
        ),
        (  # of the app's own resources, within bounds
            {f"{SIDECAR}resource-percentage": "5"},
            {},
            {
                "requests": {"cpu": "50m", "memory": "53687091"},
                "limits": {"cpu": "40m", "memory": str(200 << 20)},
            },
        ),
        (
            {f"{SIDECAR}resource-percentage": "100"},
            {},
            {
                "requests": {"cpu": "100m", "memory": str(200 << 20)},
                "limits": {"cpu": "100m", "memory": str(300 << 20)},
            },
        ),
        (  # what is asked for by name wins
            {
                f"{SIDECAR}resource-percentage": "100",
                f"{SIDECAR}cpu-resource-request": "7m",
                f"{SIDECAR}ephemeral-storage-resource-limit": "1Gi",
            },
            {},
            {
                "requests": {"cpu": "7m", "memory": str(200 << 20)},
                "limits": {"cpu": "100m", "memory": str(300 << 20), "ephemeral-storage": "1Gi"},
            },
        ),
    ],
)
def test_what_queue_proxy_asks_for(annotations, flags, expected):
    config = dataclasses.replace(CONFIG, features=Features(flags))
    made = pod(annotations, config=config, containers=container(resources=APP))
    assert made["containers"][-1]["resources"] == expected


@pytest.mark.parametrize(
    ("state", "annotation", "is_shown"),
    [
        ("Disabled", "enabled", False),
        ("Allowed", "", False),
        ("Allowed", "Enabled", True),
        ("Enabled", "", True),
    ],
)
def test_queue_proxy_is_shown_its_pods_annotations(state, annotation, is_shown):
    config = dataclasses.replace(CONFIG, features=Features({"queueproxy.mount-podinfo": state}))
    made = pod({"features.knative.dev/queueproxy-podinfo": annotation} if annotation else {}, config=config)
    mounts = made["containers"][-1].get("volumeMounts", [])
    assert ([mount["mountPath"] for mount in mounts] == ["/etc/podinfo"]) is is_shown
    assert ([volume["name"] for volume in made.get("volumes", [])] == ["podinfo"]) is is_shown


def test_probes_of_sidecars_are_queue_proxys_where_that_is_switched_on():
    containers = [
        {
            "name": "app",
            "image": "a",
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/x"}},
        },
        {"name": "side", "image": "b", "readinessProbe": {"tcpSocket": {"port": 9001}, "successThreshold": 2}},
        {"name": "plain", "image": "c"},
        {"name": "looks", "image": "d", "readinessProbe": {"exec": {"command": ["true"]}}},
    ]
    config = dataclasses.replace(CONFIG, features=Features({"multi-container-probing": "Enabled"}))
    made = pod(containers=containers, config=config)
    told = queue_env(containers=containers, config=config)
    assert told["ENABLE_MULTI_CONTAINER_PROBES"] == "true"
    serving, side = msgspec.json.decode(told["SERVING_READINESS_PROBE"])
    assert serving["httpGet"] == {"path": "/x", "host": "127.0.0.1", "scheme": "HTTP"}
    assert side == {"tcpSocket": {"host": "127.0.0.1", "port": 9001}, "successThreshold": 2}
    assert [sorted(one.get("readinessProbe", {})) for one in made["containers"][:4]] == [[], [], [], ["exec"]]
    single = queue_env(containers=containers[:1], config=config)["SERVING_READINESS_PROBE"]
    assert isinstance(msgspec.json.decode(single), dict)


def test_everything_a_pod_may_carry_arrives():
    fields = {
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 1}],
        "hostAliases": [{"ip": "1.2.3.4"}],
        "nodeSelector": {"gpu": "yes"},
        "runtimeClassName": "kata",
        "tolerations": [{"key": "nvidia.com/gpu"}],
        "securityContext": {"runAsUser": 1000},
        "shareProcessNamespace": True,
        "priorityClassName": "high",
        "schedulerName": "other",
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["1.1.1.1"]},
        "hostIPC": True,
        "hostPID": True,
        "hostNetwork": True,
        "serviceAccountName": "robot",
        "imagePullSecrets": [{"name": "pull"}],
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "volumes": [{"name": "a", "persistentVolumeClaim": {"claimName": "x"}}],
        "initContainers": [{"name": "init", "image": "b", "command": ["true"]}],
    }
    app = {
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "securityContext": {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "a", "mountPath": "/a"}],
        "livenessProbe": {"exec": {"command": ["true"]}},
        "startupProbe": {"grpc": {"port": 9}},
        "imagePullPolicy": "Always",
        "workingDir": "/w",
        "terminationMessagePath": "/t",
    }
    made = pod(containers=container(**app), **fields)
    assert {key: made[key] for key in fields} == fields
    assert {key: made["containers"][0][key] for key in app} == app


def test_the_pod_stops_in_order():
    """First the app's hook waits for queue-proxy's drain, for no longer than a request may take."""
    made = pod()
    assert made["containers"][0]["lifecycle"] == {"preStop": {"httpGet": {"port": 8022, "path": "/wait-for-drain"}}}
    assert "lifecycle" not in made["containers"][-1]
    assert made["terminationGracePeriodSeconds"] == 60


def test_with_system_internal_tls_queue_proxy_speaks_it_with_the_namespaces_certificate():
    config = dataclasses.replace(CONFIG, network=Network(has_system_tls=True))
    made = pod(config=config, volumes=[{"name": "a", "emptyDir": {}}])
    queue = made["containers"][-1]
    assert made["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "server-certs", "secret": {"secretName": "serving-certs"}},
    ]
    assert queue["volumeMounts"] == [{"name": "server-certs", "mountPath": "/var/lib/knative/certs", "readOnly": True}]
    assert env(queue)["TIDEGATE_CERTIFICATES"] == "/var/lib/knative/certs"
    assert env(queue)["QUEUE_SERVING_TLS_PORT"] == "8112"
    assert {"name": "https-port", "containerPort": 8112, "protocol": "TCP"} in queue["ports"]
    assert queue["readinessProbe"]["httpGet"]["port"] == 8012  # kubelets ask in clear text
    assert "volumeMounts" not in made["containers"][0]
    service = reconcile.private_service(revision() | {"apiVersion": "v1", "kind": "Revision"}, has_tls=True)
    assert service["spec"]["ports"][1] == {"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https-port"}
