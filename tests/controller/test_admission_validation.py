"""What admission refuses, in the words that clients of Knative know."""

import base64
import copy
import dataclasses
import pathlib

import msgspec
import pytest
import yaml

from controller.admission import review
from controller.cluster_config import ClusterConfig
from tidegate.contracts import problems
from tidegate.contracts.config.features import Features

CONFIG = ClusterConfig()
BASE = pathlib.Path(__file__).parents[2] / "manifests" / "base"


def service(spec=None, template=None, traffic=None, metadata=None, containers=None, **container):
    inner = {"containers": [{"image": "hello", **container}] if containers is None else containers} | (spec or {})
    body = {"template": {"metadata": template or {}, "spec": inner}}
    if traffic is not None:
        body["traffic"] = traffic
    return {"kind": "Service", "metadata": {"name": "hello", "namespace": "default"} | (metadata or {}), "spec": body}


def mounted(source, **mount):
    return service({"volumes": [{"name": "a", **source}]}, volumeMounts=[{"name": "a", "mountPath": "/a", **mount}])


def told(obj, old=None, config=CONFIG):
    """Return what a user is told about `obj`, defaulted as it arrives."""
    old = review.defaulted(old, None, "ann", config) if old is not None else None
    return problems.render(review.problems_of(review.defaulted(obj, old, "ann", config), old, config))


def with_features(**flags):
    return dataclasses.replace(
        CONFIG, features=Features({key.replace("_", "-"): value for key, value in flags.items()})
    )


def test_a_plain_service_is_fine():
    assert told(service()) == ""


SPEC = "spec.template.spec."
SIDECAR = "queue.sidecar.serving.knative.dev/"
CONTAINER = "spec.template.spec.containers[0]."

CASES = {
    # bounds
    "timeout": (service({"timeoutSeconds": 601}), f"expected 0 <= 601 <= 600: {SPEC}timeoutSeconds"),
    "concurrency": (service({"containerConcurrency": 1001}), f"expected 0 <= 1001 <= 1000: {SPEC}containerConcurrency"),
    "negative concurrency": (
        service({"containerConcurrency": -1}),
        f"expected 0 <= -1 <= 1000: {SPEC}containerConcurrency",
    ),
    # containers
    "no container": (service(containers=[]), f"missing field(s): {SPEC}containers"),
    "no image": (service(image=""), f"missing field(s): {CONTAINER}image"),
    "bad image": (
        service(image="not a n image"),
        f'Failed to parse image reference: {CONTAINER}image\nimage: "not a n image"',
    ),
    "reserved name": (service(name="queue-proxy"), f'"queue-proxy" is a reserved container name: {CONTAINER}name'),
    "same name": (
        service(containers=[{"image": "a", "name": "x", "ports": [{}]}, {"image": "b", "name": "x"}]),
        f'duplicate container name "x": {SPEC}containers[1].name',
    ),
    "two ports": (
        service(containers=[{"image": "a", "ports": [{}]}, {"image": "b", "ports": [{}]}]),
        f"more than one container port is set: {SPEC}containers[*].ports\n"
        "Only a single port is allowed across all containers",
    ),
    "no port": (service(containers=[{"image": "a"}, {"image": "b"}]), f"missing field(s): {SPEC}containers[*].ports"),
    "lifecycle": (service(lifecycle={"preStop": {}}), f"must not set the field(s): {CONTAINER}lifecycle"),
    "several fields": (service(tty=True, stdin=True), f"must not set the field(s): {CONTAINER}stdin, {CONTAINER}tty"),
    # ports
    "reserved port": (
        service(ports=[{"containerPort": 8012}]),
        f"invalid value: 8012 is a reserved port: {CONTAINER}ports.containerPort\n"
        "8012 is a reserved port, please use a different value",
    ),
    "port too high": (
        service(ports=[{"containerPort": 65536}]),
        f"expected 0 <= 65536 <= 65535: {CONTAINER}ports.containerPort",
    ),
    "port name": (
        service(ports=[{"name": "web"}]),
        f"Port name web is not allowed: {CONTAINER}ports\nName must be empty, or one of: 'grpc', 'h2c', 'http1'",
    ),
    "host port": (service(ports=[{"hostPort": 1}]), f"must not set the field(s): {CONTAINER}ports.hostPort"),
    "udp": (service(ports=[{"protocol": "UDP"}]), f"invalid value: UDP: {CONTAINER}ports.protocol"),
    # environment
    "reserved env": (
        service(env=[{"name": "PORT", "value": "1"}]),
        f'"PORT" is a reserved environment variable: {CONTAINER}env[0].name',
    ),
    "env without name": (service(env=[{"value": "1"}]), f"missing field(s): {CONTAINER}env[0].name"),
    "field ref": (
        service(env=[{"name": "A", "valueFrom": {"fieldRef": {}}}]),
        f"must not set the field(s): {CONTAINER}env[0].valueFrom.fieldRef",
    ),
    "empty envFrom": (
        service(envFrom=[{}]),
        f"expected exactly one, got neither: {CONTAINER}envFrom[0].configMapRef, {CONTAINER}envFrom[0].secretRef",
    ),
    # volumes
    "no volume": (
        service(volumeMounts=[{"name": "a", "mountPath": "/a"}]),
        f"volumeMount has no matching volume: {CONTAINER}volumeMounts[0].name",
    ),
    "not mounted": (
        service({"volumes": [{"name": "a", "secret": {}}]}),
        f'volume with name "a" not mounted: {SPEC}volumes[0].name',
    ),
    "reserved path": (
        service({"volumes": [{"name": "a", "secret": {}}]}, volumeMounts=[{"name": "a", "mountPath": "/dev/"}]),
        f'mountPath "/dev" is a reserved path: {CONTAINER}volumeMounts[0].mountPath',
    ),
    "relative path": (
        service({"volumes": [{"name": "a", "secret": {}}]}, volumeMounts=[{"name": "a", "mountPath": "a"}]),
        f"invalid value: a: {CONTAINER}volumeMounts[0].mountPath",
    ),
    "claim": (
        service(
            {"volumes": [{"name": "a", "persistentVolumeClaim": {"claimName": "x"}}]},
            volumeMounts=[{"name": "a", "mountPath": "/a"}],
        ),
        f"Persistent volume claim support is disabled, but found persistent volume claim x: {SPEC}volumes[0]\n"
        "Persistent volume write support is disabled, but found persistent volume claim x that is not read-only: "
        f"{SPEC}volumes[0]",
    ),
    "no source": (
        service({"volumes": [{"name": "a"}]}, volumeMounts=[{"name": "a", "mountPath": "/a"}]),
        f"expected exactly one, got neither: {SPEC}volumes[0].configMap, {SPEC}volumes[0].emptyDir, "
        f"{SPEC}volumes[0].projected, {SPEC}volumes[0].secret",
    ),
    # pod fields
    "never": (service({"hostname": "x"}), f"must not set the field(s): {SPEC}hostname"),
    "gated": (service({"nodeSelector": {"a": "b"}}), f"must not set the field(s): {SPEC}nodeSelector"),
    "init": (
        service({"initContainers": [{"image": "a"}]}),
        f"pod spec support for init-containers is off, but found 1 init containers: {SPEC.rstrip('.')}",
    ),
    # probes
    "two handlers": (
        service(livenessProbe={"httpGet": {}, "tcpSocket": {}}),
        f"expected exactly one, got both: {CONTAINER}livenessProbe.httpGet, {CONTAINER}livenessProbe.tcpSocket",
    ),
    "aggressive threshold": (
        service(readinessProbe={"failureThreshold": 3}),
        f"failureThreshold is disallowed when periodSeconds is zero: {CONTAINER}readinessProbe.failureThreshold",
    ),
    "named port": (
        service(readinessProbe={"httpGet": {"port": "web"}}),
        f"invalid value: web: {CONTAINER}readinessProbe.httpGet.port\nProbe port must match container port",
    ),
    "sidecar probe": (
        service(
            containers=[{"image": "a", "ports": [{}]}, {"image": "b", "livenessProbe": {"tcpSocket": {"port": 1}}}]
        ),
        f"must not set the field(s): {SPEC}containers[1].livenessProbe",
    ),
    "no handler": (
        service(livenessProbe={"periodSeconds": 5}),
        f"expected exactly one, got neither: {CONTAINER}livenessProbe.exec, {CONTAINER}livenessProbe.grpc, "
        f"{CONTAINER}livenessProbe.httpGet, {CONTAINER}livenessProbe.tcpSocket",
    ),
    "aggressive timeout": (
        service(readinessProbe={"timeoutSeconds": 3}),
        f"timeoutSeconds is disallowed when periodSeconds is zero: {CONTAINER}readinessProbe.timeoutSeconds",
    ),
    "negative period": (
        service(readinessProbe={"periodSeconds": -1}),
        f"expected 0 <= -1 <= 2147483647: {CONTAINER}readinessProbe.periodSeconds",
    ),
    "negative delay": (
        service(readinessProbe={"initialDelaySeconds": -1}),
        f"expected 0 <= -1 <= 2147483647: {CONTAINER}readinessProbe.initialDelaySeconds",
    ),
    "probe on an init container": (
        service({"initContainers": [{"image": "a", "livenessProbe": {"tcpSocket": {}}}]}),
        f"field not allowed in an init container: {SPEC}initContainers[0].livenessProbe\n"
        f"pod spec support for init-containers is off, but found 1 init containers: {SPEC.rstrip('.')}",
    ),
    # more of volumes
    "projected twice": (
        mounted({"projected": {"sources": [{"secret": {"name": "x"}, "configMap": {"name": "y"}}]}}),
        f"expected exactly one, got both: {SPEC}volumes[0].projected[0].configMap, "
        f"{SPEC}volumes[0].projected[0].secret",
    ),
    "projected nothing": (
        mounted({"projected": {"sources": [{}]}}),
        "expected exactly one, got neither: "
        + ", ".join(
            f"{SPEC}volumes[0].projected[0].{source}"
            for source in ("configMap", "downwardAPI", "secret", "serviceAccountToken")
        ),
    ),
    "projected without a name": (
        mounted({"projected": {"sources": [{"secret": {}}]}}),
        f"missing field(s): {SPEC}volumes[0].projected[0].secret.name",
    ),
    "token without a path": (
        mounted({"projected": {"sources": [{"serviceAccountToken": {}}]}}),
        f"missing field(s): {SPEC}volumes[0].projected[0].serviceAccountToken.path",
    ),
    "item without a path": (
        mounted({"configMap": {"name": "x", "items": [{"key": "a"}]}}),
        f"missing field(s): {SPEC}volumes[0].items[0].path",
    ),
    "downward item": (
        mounted({"projected": {"sources": [{"downwardAPI": {"items": [{"path": "a"}]}}]}}),
        f"expected exactly one, got neither: {SPEC}volumes[0].projected[0].downwardAPI.items[0].fieldRef, "
        f"{SPEC}volumes[0].projected[0].downwardAPI.items[0].resourceFieldRef",
    ),
    "emptyDir medium": (
        mounted({"emptyDir": {"medium": "Disk"}}),
        f"invalid value: Disk: {SPEC}volumes[0].emptyDir.medium",
    ),
    "emptyDir size": (
        mounted({"emptyDir": {"sizeLimit": "-1Mi"}}),
        f"invalid value: -1Mi: {SPEC}volumes[0].emptyDir.sizeLimit",
    ),
    "two sources": (
        mounted({"secret": {}, "configMap": {}}),
        f"expected exactly one, got both: {SPEC}volumes[0].configMap, {SPEC}volumes[0].secret",
    ),
    "nfs": (mounted({"nfs": {}}), f"must not set the field(s): {SPEC}volumes[0].nfs"),
    "host path": (
        mounted({"hostPath": {"path": "/x"}}),
        f"HostPath volume support is disabled, but found HostPath volume a: {SPEC}volumes[0]",
    ),
    "volume name": (
        service({"volumes": [{"name": "A", "secret": {}}]}, volumeMounts=[{"name": "A", "mountPath": "/a"}]),
        f"invalid value: A: {SPEC}volumes[0].name",
    ),
    "same volume": (
        service({"volumes": [{"name": "a", "secret": {}}] * 2}, volumeMounts=[{"name": "a", "mountPath": "/a"}]),
        f'duplicate volume name "a": {SPEC}volumes[1].name',
    ),
    "same path": (
        service(
            {"volumes": [{"name": "a", "secret": {}}]},
            volumeMounts=[{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/a/"}],
        ),
        f'invalid value: "/a/" must be unique: {CONTAINER}volumeMounts[1].mountPath',
    ),
    "termination policy": (
        service(terminationMessagePolicy="Shout"),
        f"invalid value: Shout: {CONTAINER}terminationMessagePolicy",
    ),
    "token mounted": (
        service({"automountServiceAccountToken": True}),
        f"must not set the field(s): {SPEC}automountServiceAccountToken",
    ),
    # queue-proxy
    "sidecar quantity": (
        service(template={"annotations": {f"{SIDECAR}cpu-resource-request": "much"}}),
        f"invalid value: much: spec.template.metadata.annotations.{SIDECAR}cpu-resource-request",
    ),
    "sidecar percentage": (
        service(template={"annotations": {f"{SIDECAR}resource-percentage": "0.01"}}),
        f"expected 0.1 <= 0.01 <= 100: spec.template.metadata.annotations.{SIDECAR}resource-percentage",
    ),
    "sidecar percentage, not a number": (
        service(template={"annotations": {f"{SIDECAR}resource-percentage": "x"}}),
        f"invalid value: x: spec.template.metadata.annotations.{SIDECAR}resource-percentage",
    ),
    # security
    "privileged": (
        service(securityContext={"privileged": True}),
        f"must not set the field(s): {CONTAINER}securityContext.privileged",
    ),
    "user": (
        service(securityContext={"runAsUser": -5}),
        f"expected 0 <= -5 <= 2147483647: {CONTAINER}securityContext.runAsUser",
    ),
    # metadata
    "autoscaling on the service": (
        service(metadata={"annotations": {"autoscaling.knative.dev/min-scale": "1"}}),
        'invalid key name "autoscaling.knative.dev/min-scale": metadata.annotations\n'
        'autoscaling annotations must be put under "spec.template.metadata.annotations" to work',
    ),
    "bad annotation": (
        service(template={"annotations": {"autoscaling.knative.dev/min-scale": "x"}}),
        "invalid value: x: spec.template.metadata.annotations.autoscaling.knative.dev/min-scale",
    ),
    "wake timing": (
        service(template={"annotations": {"tidegate.dev/wake-timing": "off"}}),
        "invalid value: off: spec.template.metadata.annotations.tidegate.dev/wake-timing\nwrite enabled or disabled",
    ),
    "session affinity": (
        service(template={"annotations": {"tidegate.dev/session-affinity": "ip"}}),
        "invalid value: ip: spec.template.metadata.annotations.tidegate.dev/session-affinity\n"
        "write cookie, or header: and a header's name",
    ),
    "networking annotation": (
        service(template={"annotations": {"networking.knative.dev/nope": "x"}}),
        'invalid key name "networking.knative.dev/nope": spec.template.metadata.annotations',
    ),
    "rollout": (
        service(metadata={"annotations": {"serving.knative.dev/rollout-duration": "1.5s"}}),
        "rollout-duration=1.5s is not at second precision: metadata.annotations.serving.knative.dev/rollout-duration",
    ),
    "progress deadline": (
        service(template={"annotations": {"serving.knative.dev/progress-deadline": "-1s"}}),
        "progress-deadline=-1s must be positive: "
        "spec.template.metadata.annotations.serving.knative.dev/progress-deadline",
    ),
    "revision name prefix": (
        service(template={"name": "other-1"}),
        'invalid value: "other-1" must have prefix "hello-": spec.template.metadata.name',
    ),
    "revision name with generateName": (
        service(template={"name": "x"}, metadata={"name": "", "generateName": "hello-"}),
        "must not set the field(s): spec.template.metadata.name",
    ),
    "no name": (service(metadata={"name": ""}), "name or generateName is required: metadata.name"),
    # traffic
    "sum": (service(traffic=[{"percent": 90}]), "Traffic targets sum to 90, want 100: spec.traffic"),
    "same tag": (
        service(traffic=[{"percent": 100, "tag": "a"}, {"tag": "a"}]),
        'Multiple definitions for "a": spec.traffic[0].tag, spec.traffic[1].tag',
    ),
    "configuration in a service": (
        service(traffic=[{"percent": 100, "configurationName": "x"}]),
        "must not set the field(s): spec.traffic[0].configurationName",
    ),
    "latest and name": (
        service(traffic=[{"percent": 100, "revisionName": "x", "latestRevision": True}]),
        'may not set revisionName "x" when latestRevision is true: spec.traffic[0].latestRevision',
    ),
    "neither": (
        service(traffic=[{"percent": 100, "latestRevision": False}]),
        'may not set revisionName "" when latestRevision is false: spec.traffic[0].latestRevision',
    ),
    "url": (service(traffic=[{"percent": 100, "url": "http://x"}]), "must not set the field(s): spec.traffic[0].url"),
    "revision name": (
        service(traffic=[{"percent": 100, "revisionName": "A"}]),
        'invalid key name "A": spec.traffic[0].revisionName',
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refusals(case):
    obj, text = CASES[case]
    assert told(obj) == text


def test_percent_out_of_bounds_is_told_beside_the_sum():
    text = told(service(traffic=[{"percent": 101}, {"percent": -1, "revisionName": "hello-1"}]))
    assert "expected 0 <= 101 <= 100: spec.traffic[0].percent" in text
    assert "expected 0 <= -1 <= 100: spec.traffic[1].percent" in text


def test_a_bad_service_account_is_named_in_the_known_form():
    assert told(service({"serviceAccountName": "foo@bar.baz"})).startswith(
        "invalid value: foo@bar.baz: spec.template.spec.serviceAccountName\n"
    )


def test_a_bad_name_says_what_a_good_one_is():
    assert told(service(metadata={"name": "Hello"})).startswith("not a DNS 1035 label: [a DNS-1035 label must")
    assert "must be no more than 63 characters" in told(service(metadata={"name": "h" * 64}))


def test_a_bad_tag_has_the_odd_path_it_has_elsewhere():
    text = told(service(traffic=[{"percent": 100, "tag": "A"}]))
    assert text.startswith("invalid value: not a DNS 1035 label: [")
    assert text.endswith("spec.traffic.tag[0]")


POD = "kubernetes.podspec-"
SECURITY = {"securityContext": {"runAsUser": 1000}}
READ_ONLY_CLAIM = mounted({"persistentVolumeClaim": {"claimName": "x", "readOnly": True}}, readOnly=True)
FLAGS = [
    # flag, what it lets through, whether "Allowed" is enough
    *(
        (f"{POD}{field.lower()}", service({field: value}), True)
        for field, value in (
            ("affinity", {"nodeAffinity": {}}),
            ("topologySpreadConstraints", [{"maxSkew": 1}]),
            ("hostAliases", [{"ip": "1.2.3.4"}]),
            ("nodeSelector", {"a": "b"}),
            ("runtimeClassName", "kata"),
            ("tolerations", [{"key": "a"}]),
            ("securityContext", {"runAsUser": 1000, "fsGroup": 5, "supplementalGroups": [1]}),
            ("shareProcessNamespace", True),
            ("priorityClassName", "high"),
            ("schedulerName", "other"),
            ("dnsPolicy", "None"),
            ("dnsConfig", {"nameservers": ["1.1.1.1"]}),
            ("hostIPC", True),
            ("hostPID", True),
            ("hostNetwork", True),
        )
    ),
    (f"{POD}fieldref", service(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]), True),
    (f"{POD}fieldref", service(env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "x"}}}]), True),
    ("kubernetes.containerspec-addcapabilities", service(securityContext={"capabilities": {"add": ["X"]}}), True),
    (
        f"{POD}volumes-mount-propagation",
        service(
            {"volumes": [{"name": "a", "secret": {}}]},
            volumeMounts=[{"name": "a", "mountPath": "/a", "mountPropagation": "HostToContainer"}],
        ),
        True,
    ),
    (f"{POD}init-containers", service({"initContainers": [{"image": "a"}]}), False),
    (f"{POD}persistent-volume-claim", READ_ONLY_CLAIM, False),
    (f"{POD}volumes-emptydir", mounted({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}), False),
    (f"{POD}volumes-hostpath", mounted({"hostPath": {"path": "/x"}}), False),
    (f"{POD}volumes-csi", mounted({"csi": {"driver": "x"}}), False),
    (f"{POD}volumes-ephemeral", mounted({"ephemeral": {}}), False),
    (f"{POD}volumes-image", mounted({"image": {"reference": "x"}}), False),
    ("multi-container", service(containers=[{"image": "a", "ports": [{}]}, {"image": "b"}]), False),
    (
        "multi-container-probing",
        service(
            containers=[{"image": "a", "ports": [{}]}, {"image": "b", "livenessProbe": {"tcpSocket": {"port": 1}}}]
        ),
        False,
    ),
]


@pytest.mark.parametrize(
    ("flag", "obj", "is_allowed_enough"), FLAGS, ids=[f"{row[0]}-{i}" for i, row in enumerate(FLAGS)]
)
def test_every_flag_opens_what_it_says_and_nothing_else_does(flag, obj, is_allowed_enough):
    config = {state: dataclasses.replace(CONFIG, features=Features({flag: state})) for state in ("Enabled", "Disabled")}
    assert told(obj, config=config["Enabled"]) == ""
    assert told(obj, config=config["Disabled"]) != ""
    allowed = dataclasses.replace(CONFIG, features=Features({flag: "Allowed"}))
    assert (told(obj, config=allowed) == "") is is_allowed_enough


def test_writing_to_a_claim_is_a_flag_of_its_own():
    obj = mounted({"persistentVolumeClaim": {"claimName": "x"}})
    flags = {f"{POD}persistent-volume-claim": "Enabled"}
    text = "Persistent volume write support is disabled, but found persistent volume claim x that is not read-only"
    assert told(obj, config=dataclasses.replace(CONFIG, features=Features(flags))).startswith(text)
    flags[f"{POD}persistent-volume-write"] = "Enabled"
    assert told(obj, config=dataclasses.replace(CONFIG, features=Features(flags))) == ""


def test_every_flag_of_the_config_map_is_in_the_table_or_changes_no_field():
    page = yaml.safe_load((BASE / "config" / "config-features.yaml").read_text())
    listed = set(yaml.safe_load(page["data"]["_example"]))
    behaviour = {
        "autodetect-http2",
        "tag-header-based-routing",
        "secure-pod-defaults",
        "queueproxy.mount-podinfo",
        "queueproxy.resource-defaults",
        f"{POD}persistent-volume-write",
    }
    assert {row[0] for row in FLAGS} | behaviour == listed


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ({"runAsUser": -1}, f"expected 0 <= -1 <= 2147483647: {SPEC}securityContext.runAsUser"),
        (
            {"supplementalGroups": [1, -2]},
            f"expected 0 <= -2 <= 2147483647: {SPEC}securityContext.supplementalGroups[1]",
        ),
        ({"seLinuxOptions": {}}, f"must not set the field(s): {SPEC}securityContext.seLinuxOptions"),
    ],
)
def test_a_pods_security_context(context, text):
    config = with_features(**{"kubernetes.podspec_securitycontext": "Enabled"})
    assert told(service({"securityContext": context}), config=config) == text


def test_multi_container_can_be_switched_off():
    obj = service(containers=[{"image": "a", "ports": [{}]}, {"image": "b"}])
    text = told(obj, config=with_features(multi_container="Disabled"))
    assert text == f"multi-container is off, but found 2 containers: {SPEC.rstrip('.')}"


def test_changing_a_template_needs_a_new_name():
    old = review.defaulted(service(template={"name": "hello-a"}), None, "ann", CONFIG)
    new = copy.deepcopy(old)
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    text = told(new, old)
    head, *details = text.splitlines()
    assert head == "Saw the following changes without a name change (-old +new): spec.template.metadata.name"
    assert details[0] == '-spec.containers[0].image: "hello"'
    assert details[1] == '+spec.containers[0].image: "other"'
    new["spec"]["template"]["metadata"]["name"] = "hello-b"
    assert told(new, old) == ""


def test_who_made_a_service_cannot_be_changed():
    old = review.defaulted(service(), None, "ann", CONFIG)
    new = review.defaulted(service(), None, "bob", CONFIG)
    text = problems.render(review.problems_of(new, old, CONFIG))
    assert text == (
        "annotation value is immutable: metadata.annotations.serving.knative.dev/creator\n"
        "invalid value: bob: metadata.annotations.serving.knative.dev/lastModifier"
    )


def revision(annotations=None, **spec):
    return {
        "kind": "Revision",
        "metadata": {"name": "hello-00001", "annotations": annotations or {}},
        "spec": {"containers": [{"image": "a"}]} | spec,
    }


def test_a_revisions_spec_never_changes():
    text = told(revision(timeoutSeconds=5), revision())
    assert text.splitlines()[0] == "Immutable fields changed (-old +new): spec"


def test_a_revisions_autoscaling_annotations_are_checked_on_every_update():
    low = "autoscaling.knative.dev/min-scale"
    high = "autoscaling.knative.dev/max-scale"
    old = review.defaulted(revision(), None, "ann", CONFIG)
    text = told(old | {"metadata": revision({low: "5", high: "2"})["metadata"]}, old)
    assert text == f"max-scale=2 is less than min-scale=5: metadata.annotations.{high}, metadata.annotations.{low}"


@pytest.mark.parametrize(
    ("kind", "label", "spec"),
    [
        ("Configuration", "serving.knative.dev/service", service()["spec"]),
        ("Route", "serving.knative.dev/service", {"traffic": [{"configurationName": "a", "percent": 100}]}),
        ("Revision", "serving.knative.dev/configuration", {"containers": [{"image": "a"}]}),
    ],
)
def test_labels_of_parents_need_the_parent(kind, label, spec):
    obj = {"kind": kind, "metadata": {"name": "a", "labels": {label: "b"}}, "spec": spec}
    assert told(obj) == f"missing field(s): metadata.labels.{label}"
    owner = {"kind": {"Revision": "Configuration"}.get(kind, "Service"), "name": "b", "controller": True}
    obj["metadata"]["ownerReferences"] = [owner]
    assert told(obj) == ""


def test_a_route_needs_exactly_one_name_per_target():
    def route(**target):
        return {"kind": "Route", "metadata": {"name": "a"}, "spec": {"traffic": [{"percent": 100, **target}]}}

    paths = "spec.traffic[0].configurationName, spec.traffic[0].revisionName"
    assert f"expected exactly one, got neither: {paths}" in told(route())
    assert f"expected exactly one, got both: {paths}" in told(route(revisionName="a", configurationName="b"))
    assert told(route(configurationName="B")) == 'invalid key name "B": spec.traffic[0].configurationName'


# The envelope


def request(obj, old=None, **more):
    return {"uid": "u1", "object": obj, "oldObject": old, "userInfo": {"username": "ann"}} | more


def test_defaulting_answers_with_a_patch():
    answer = review.default(request(service()), CONFIG)
    assert answer["allowed"]
    patch = msgspec.json.decode(base64.b64decode(answer["patch"]))
    assert {"op": "add", "path": "/spec/traffic", "value": [{"percent": 100, "latestRevision": True}]} in patch


def test_defaulting_answers_without_a_patch_when_all_is_said():
    full = review.defaulted(service(), None, "ann", CONFIG)
    assert "patch" not in review.default(request(full, full), CONFIG)


def test_validation_refuses_with_its_prefix():
    answer = review.validate(request(service(traffic=[{"percent": 1}], name="user-container")), CONFIG)
    assert not answer["allowed"]
    assert answer["status"]["message"] == "validation failed: Traffic targets sum to 1, want 100: spec.traffic"


def test_deletes_and_status_writes_pass():
    assert review.validate(request(None), CONFIG)["allowed"]
    assert review.validate(request({"kind": "Service"}, subResource="status"), CONFIG)["allowed"]
    going = service(traffic=[{"percent": 1}], metadata={"deletionTimestamp": "2024-01-01T00:00:00Z"})
    assert review.validate(request(going), CONFIG)["allowed"]


@pytest.mark.parametrize("spec", ["text", {"template": 5}, {"template": {"spec": {"containers": 3}}}, None])
def test_malformed_objects_are_refused_not_raised(spec):
    obj = {"kind": "Service", "metadata": {"name": "a"}, "spec": spec}
    for judge in (review.default, review.validate):
        answer = judge(request(obj), CONFIG)
        assert not answer["allowed"]
        assert "malformed" in answer["status"]["message"]


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("config-gc", {"min-non-active-revisions": "x"}, "invalid value: x: data.min-non-active-revisions"),
        ("config-domain", {"a.com": "select all"}, "invalid value: select all: data.a.com"),
        ("config-domain", {"a.com": "selector:\n  app: x\n"}, ""),
        ("config-features", {"multi-container": "Enabled", "_example": "x", "multi-container-probing": "allowed"}, ""),
        (
            "config-features",
            {"multi-container": "nonsense"},
            "invalid value: nonsense: data.multi-container\nwrite one of: Enabled, Allowed, Disabled",
        ),
        (
            "config-features",
            {"secure-pod-defaults": "Allowed"},
            "invalid value: Allowed: data.secure-pod-defaults\nwrite one of: Disabled, AllowRootBounded, Enabled",
        ),
        ("something-else", {"a": "b"}, ""),
    ],
)
def test_config_maps(name, data, text):
    obj = {"kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    assert problems.render(review.problems_of(obj, None, CONFIG)) == text


def test_a_bad_config_autoscaler_is_refused_with_its_key():
    obj = {"kind": "ConfigMap", "metadata": {"name": "config-autoscaler"}, "data": {"stable-window": "1s"}}
    assert "stable-window" in problems.render(review.problems_of(obj, None, CONFIG))


def test_json_patch_escapes_keys_and_removes():
    assert review.json_patch({"a/b": 1, "c~d": 2}, {"a/b": 3}) == [
        {"op": "remove", "path": "/c~0d"},
        {"op": "replace", "path": "/a~1b", "value": 3},
    ]


# Warnings

SAFE = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "seccompProfile": {"type": "RuntimeDefault"},
    "capabilities": {"drop": ["ALL"]},
}


def warned(obj, config=CONFIG):
    full = review.defaulted(obj, None, "ann", config)
    return review.validate(request(full), config).get("warnings", [])


def test_what_is_insecure_by_default_is_a_warning():
    context = f"{CONTAINER}securityContext."
    assert warned(service()) == [
        "Kubernetes default value is insecure, Knative may default this to secure in a future release: "
        f"{context}allowPrivilegeEscalation, {context}capabilities, {context}runAsNonRoot, {context}seccompProfile"
    ]
    assert warned(service(securityContext=SAFE)) == []
    assert warned(service(), with_features(secure_pod_defaults="Enabled")) == []
    assert warned(service(), with_features(secure_pod_defaults="Disabled")) == [], "said, not left out"
    assert "runAsNonRoot" in warned(service(), with_features(secure_pod_defaults="AllowRootBounded"))[0]
    assert "ALL" in warned(service(securityContext=SAFE | {"capabilities": {"drop": ["all"]}}))[0]


def test_the_old_percentage_is_a_warning():
    template = {"annotations": {f"{SIDECAR}resource-percentage": "50"}}
    (line,) = warned(service(template=template, securityContext=SAFE))
    assert "deprecated" in line


def test_what_the_controller_writes_is_not_warned_of():
    obj = service() | {"kind": "Configuration"}
    obj["metadata"]["ownerReferences"] = [{"kind": "Service", "name": "hello", "controller": True}]
    assert warned(obj) == []
