"""Every overlay and component: valid for each supported Kubernetes, as careful as a demanding reviewer would ask."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tidegate.contracts import internal_tls, names

ROOT = Path(__file__).parents[2] / "manifests"
VERSIONS = ("1.28", kubernetes_validate.latest_version())
OVERLAYS = ("local", "cluster", "ha", "process-node")
COMPONENTS = ("gateway", "activator", "autoscaler", "controller")
EXPOSURES = ("expose-node-port", "expose-host-port", "expose-ingress", "expose-gateway-api")
OPTIONAL = (*EXPOSURES, "prometheus", "grafana")
FOREIGN = ("monitoring.coreos.com", "gateway.networking.k8s.io", "serving.", "apiextensions.k8s.io")
"""Groups that the validator has no schema of, or (definitions of kinds) one that knows less than the API server."""

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")

Object = dict[str, Any]


@functools.cache
def rendered(overlay: str, component: str = "") -> tuple[Object, ...]:
    """Return the objects of an overlay, or of the cluster's with one more component."""
    command = ["kubectl", "kustomize", str(ROOT / "overlays" / overlay)]
    if not component:
        return _objects(command)
    with tempfile.TemporaryDirectory() as folder:
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(ROOT / "overlays" / overlay, folder)],
            "components": [os.path.relpath(ROOT / "components" / component, folder)],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return _objects([*command[:2], folder])


def _objects(command: list[str]) -> tuple[Object, ...]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


def of_kind(objects: tuple[Object, ...], kind: str) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


def every_rendering() -> list[Any]:
    plain = [pytest.param(overlay, "", id=overlay) for overlay in OVERLAYS]
    return plain + [pytest.param("cluster", component, id=f"cluster+{component}") for component in OPTIONAL]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("overlay", "component"), every_rendering())
def test_every_object_is_valid(overlay: str, component: str, version: str) -> None:
    objects, known = rendered(overlay, component), rendered(overlay) if component else ()
    checked = [item for item in objects if item not in known and not item["apiVersion"].startswith(FOREIGN)]
    assert len(checked) >= (1 if component else 30)
    for item in checked:
        kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize(("overlay", "component"), every_rendering())
def test_no_object_appears_twice_and_each_has_a_known_namespace(overlay: str, component: str) -> None:
    keys = [
        (item["apiVersion"], item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in rendered(overlay, component)
    ]
    assert len(keys) == len(set(keys))
    assert {namespace for _, _, namespace, _ in keys} == {None, names.SYSTEM_NAMESPACE, names.CERTIFICATES_NAMESPACE}


def containers(overlay: str) -> list[Any]:
    found = of_kind(rendered(overlay), "Deployment")
    assert set(found) == set(COMPONENTS)
    return [found[name]["spec"]["template"]["spec"] for name in COMPONENTS]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_meet_the_restricted_pod_security_standard(overlay: str) -> None:
    for pod in containers(overlay):
        assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & pod.keys()
        [container] = pod["containers"]
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] >= 10_000
        assert security["readOnlyRootFilesystem"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any("hostPort" in port for port in container["ports"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_say_what_they_need_and_how_they_are(overlay: str) -> None:
    for pod in containers(overlay):
        [container] = pod["containers"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        # A CPU limit would throttle a gateway in the middle of a burst; memory that is not bounded takes the node down.
        assert container["resources"]["limits"].keys() == {"memory"}
        assert container["readinessProbe"] != container["livenessProbe"]
        assert pod["terminationGracePeriodSeconds"] >= 20
        assert pod["serviceAccountName"] != "default"


@pytest.mark.parametrize("overlay", ["cluster", "ha"])
def test_a_gateway_has_drained_before_it_is_killed(overlay: str) -> None:
    pod = of_kind(rendered(overlay), "Deployment")["gateway"]["spec"]["template"]["spec"]
    said = {one["name"]: one.get("value", "") for one in pod["containers"][0]["env"]}
    quiet_s, drain_s = (float(said[f"TIDEGATE_DRAIN_{name}_S"]) for name in ("QUIET", "TIMEOUT"))
    assert quiet_s >= 5, "nodes and load balancers hear of it by and by"
    assert quiet_s + drain_s < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_rollout_takes_no_pod_away_before_the_next_one_is_ready(overlay: str) -> None:
    for name, one in of_kind(rendered(overlay), "Deployment").items():
        strategy = one["spec"].get("strategy") or {}
        assert strategy.get("type", "RollingUpdate") == "RollingUpdate", name
        unavailable = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", "25%")
        # Kubernetes rounds down: a quarter of three pods or fewer is none.
        assert unavailable == 0 or (unavailable == "25%" and one["spec"].get("replicas", 1) <= 3), name


@pytest.mark.parametrize("overlay", ["cluster", "ha"])
def test_one_image_runs_everything_and_the_sidecar_is_the_same(overlay: str) -> None:
    objects = rendered(overlay)
    deployments = of_kind(objects, "Deployment")
    images = {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in deployments.values()}
    images.add(of_kind(objects, "ConfigMap")["config-deployment"]["data"]["queue-sidecar-image"])
    assert len(images) == 1
    assert re.fullmatch(r"[^:]+:\d+\.\d+\.\d+", images.pop()), "a tag that says which version"
    for name, one in deployments.items():
        assert one["spec"]["template"]["spec"]["containers"][0]["args"] == [name]


@pytest.mark.parametrize("overlay", ["cluster", "ha"])
def test_budgets_and_policies_select_the_components(overlay: str) -> None:
    objects = rendered(overlay)
    labels = {
        name: one["spec"]["template"]["metadata"]["labels"] for name, one in of_kind(objects, "Deployment").items()
    }
    for name, budget in of_kind(objects, "PodDisruptionBudget").items():
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
        assert budget["spec"]["maxUnavailable"] == 1
    assert set(of_kind(objects, "PodDisruptionBudget")) == set(COMPONENTS)
    policies = of_kind(objects, "NetworkPolicy")
    assert policies["deny-all-ingress"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    for policy in policies.values():
        selector = policy["spec"]["podSelector"].get("matchLabels", {})
        assert any(selector.items() <= found.items() for found in labels.values())


def test_policies_open_exactly_the_ports_that_services_and_scrapers_use() -> None:
    objects = rendered("cluster")
    policies = of_kind(objects, "NetworkPolicy")
    opened = {
        name: {port["port"] for rule in policy["spec"].get("ingress", []) for port in rule["ports"]}
        for name, policy in policies.items()
    }
    assert opened == {
        "deny-all-ingress": set(),
        "gateway": {
            names.SERVING_PORT,
            names.GATEWAY_LOCAL_PORT,
            names.GATEWAY_LOCAL_TLS_PORT,
            names.GATEWAY_TLS_PORT,
            names.ADMIN_PORT,
        },
        "activator": {names.SERVING_PORT, internal_tls.PORT},
        "autoscaler": {names.REPORT_PORT},
        "webhook": {names.WEBHOOK_PORT},
        "metrics": {names.METRICS_PORT},
    }

    inside = [{"port": names.GATEWAY_LOCAL_PORT}, {"port": names.GATEWAY_LOCAL_TLS_PORT}]
    (local,) = [rule for rule in policies["gateway"]["spec"]["ingress"] if rule["ports"] == inside]
    assert local["from"] == [{"namespaceSelector": {}}], "names inside the cluster are for pods only"
    rules = policies["gateway"]["spec"]["ingress"]
    ((asking,),) = [rule["from"] for rule in rules if rule["ports"] == [{"port": names.ADMIN_PORT}]]
    assert asking["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "controller"


def test_the_ha_overlay_survives_the_loss_of_one_of_each() -> None:
    objects = rendered("ha")
    deployments, scaled = of_kind(objects, "Deployment"), of_kind(objects, "HorizontalPodAutoscaler")
    for name, one in deployments.items():
        spread = one["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert {rule["topologyKey"] for rule in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        for rule in spread:
            assert rule["labelSelector"]["matchLabels"].items() <= one["spec"]["template"]["metadata"]["labels"].items()
        if name in scaled:
            assert "replicas" not in one["spec"], "an apply would set back what the autoscaler chose"
            assert scaled[name]["spec"]["minReplicas"] >= 2
            assert scaled[name]["spec"]["scaleTargetRef"]["name"] == name
        else:
            assert one["spec"]["replicas"] >= 2
    assert set(scaled) == {"gateway", "activator"}


@pytest.mark.parametrize(
    ("component", "kind"),
    [
        ("", "LoadBalancer"),
        ("expose-node-port", "NodePort"),
        ("expose-host-port", "ClusterIP"),
        ("expose-ingress", "ClusterIP"),
        ("expose-gateway-api", "ClusterIP"),
    ],
)
def test_ways_in(component: str, kind: str) -> None:
    objects = rendered("cluster", component)
    service = of_kind(objects, "Service")["gateway"]["spec"]
    assert service["type"] == kind
    assert {port["targetPort"] for port in service["ports"] if port["name"] == "http"} == {names.SERVING_PORT}
    for item in objects:
        if item["kind"] in ("Ingress", "HTTPRoute"):
            assert "host" not in str(item["spec"]["rules"]), "names of services are the gateway's business"


WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@pytest.mark.parametrize("kind", ["Role", "ClusterRole"])
def test_roles_name_their_verbs_and_never_those_that_raise_rights(kind: str) -> None:
    for name, role in of_kind(rendered("cluster"), kind).items():
        for rule in role["rules"]:
            assert "*" not in rule["verbs"], name
            assert "*" not in rule["apiGroups"], name
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"]), name
            assert not {"pods/exec", "pods/attach", "nodes/proxy"} & set(rule["resources"]), name
            if "secrets" in rule["resources"] and kind == "ClusterRole":
                # Read and written one by one where they are named, never listed.
                assert {*rule["verbs"]} <= {"get", "create", "patch"}, name


def test_every_rule_says_what_it_is_for() -> None:
    lines = (ROOT / "base" / "rbac.yaml").read_text().splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("  - apiGroups:")]
    assert rules
    for number in rules:
        assert lines[number - 1].startswith("  # "), f"rbac.yaml:{number + 1}: say above the rule what it is for"
