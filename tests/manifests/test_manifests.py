"""The manifests hold together: rendered copy, names, ports, selectors and permissions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.contracts import internal_tls, names

ROOT = Path(__file__).parents[2] / "manifests"
RENDERED = ROOT / "rendered" / "local.yaml"
COMPONENTS = ["gateway", "activator", "autoscaler", "controller"]


def objects() -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(RENDERED.read_text()) if document]


def find(kind: str, name: str) -> dict[str, Any]:
    [found] = [item for item in objects() if item["kind"] == kind and item["metadata"]["name"] == name]
    return found


def pod_spec(component: str) -> dict[str, Any]:
    return find("Deployment", component)["spec"]["template"]["spec"]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_rendered_copy_equals_kustomize() -> None:
    command = ["kubectl", "kustomize", str(ROOT / "overlays" / "local")]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert rendered == RENDERED.read_text(), (
        "run: kubectl kustomize manifests/overlays/local > manifests/rendered/local.yaml"
    )


def test_every_base_file_is_listed() -> None:
    base = ROOT / "base"
    listed = {base / line for line in yaml.safe_load((base / "kustomization.yaml").read_text())["resources"]}
    for folder in [entry for entry in listed if entry.is_dir()]:
        listed |= {folder / line for line in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]}
    present = {path for path in base.rglob("*.yaml") if path.name != "kustomization.yaml"}
    assert present == {path for path in listed if path.is_file()}


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_run_one_replica_with_probes_and_their_address(component: str) -> None:
    deployment = find("Deployment", component)
    assert deployment["spec"].get("replicas", 1) == 1
    [container] = pod_spec(component)["containers"]
    assert container["image"] == f"tidegate.dev/{component}:latest"
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": names.ADMIN_PORT}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": names.ADMIN_PORT}
    variables = {variable["name"] for variable in container["env"]}
    assert {"POD_IP", "POD_NAME"} <= variables
    assert container["securityContext"]["runAsNonRoot"] is True
    assert find("ServiceAccount", pod_spec(component)["serviceAccountName"])


@pytest.mark.parametrize(
    ("service", "component", "ports"),
    [
        (names.GATEWAY_SERVICE, "gateway", {80: names.SERVING_PORT, 443: names.GATEWAY_TLS_PORT}),
        (
            names.ACTIVATOR_SERVICE,
            "activator",
            {80: names.SERVING_PORT, 81: names.SERVING_PORT, 443: internal_tls.PORT},
        ),
        (
            names.AUTOSCALER_SERVICE,
            "autoscaler",
            {
                names.REPORT_PORT: names.REPORT_PORT,
                names.ADMIN_PORT: names.ADMIN_PORT,
                names.METRICS_PORT: names.METRICS_PORT,
            },
        ),
        (names.WEBHOOK_SERVICE, "controller", {443: names.WEBHOOK_PORT}),
    ],
)
def test_services_select_their_component(service: str, component: str, ports: dict[int, int]) -> None:
    spec = find("Service", service)["spec"]
    labels = find("Deployment", component)["spec"]["template"]["metadata"]["labels"]
    assert spec["selector"].items() <= labels.items()
    assert {port["port"]: port["targetPort"] for port in spec["ports"]} == ports


def test_every_binding_names_a_role_and_an_account_that_exist() -> None:
    present = {(item["kind"], item["metadata"]["name"]) for item in objects()}
    bindings = [item for item in objects() if item["kind"].endswith("RoleBinding")]
    assert bindings
    for binding in bindings:
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in present
        for subject in binding["subjects"]:
            assert ("ServiceAccount", subject["name"]) in present


@pytest.mark.parametrize("component", ["gateway", "activator"])
def test_the_data_path_may_write_nothing(component: str) -> None:
    rules = find("ClusterRole", f"tidegate-{component}")["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_objects_of_one_name_appear_once() -> None:
    keys = [
        (item["apiVersion"], item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in objects()
    ]
    assert len(keys) == len(set(keys))
