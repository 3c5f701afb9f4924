"""The same story told by kubectl of all versions at hand: the installed one and those `tests.support.kubectls` fetched.

What differs between them: before 1.27 kubectl reads OpenAPI v2 in protobuf only and computes patches of built-in kinds
from it; before 1.26 it knows no aggregated discovery; before 1.25 it validates fields by itself.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cluster.api.conftest import Kubectl
from tests.cluster.api.test_kubectl import BOAT, DEFINITION, DEPLOYMENT
from tests.support import kubectls

pytestmark = pytest.mark.slow

INSTALLED = shutil.which("kubectl")
BINARIES = [*([Path(INSTALLED)] if INSTALLED else []), *kubectls.present()]


@pytest.fixture(params=BINARIES, ids=lambda path: path.name)
def old(request: pytest.FixtureRequest, running, tmp_path: Path) -> Kubectl:
    return Kubectl(running, tmp_path / "kube-cache", str(request.param))


async def test_apply_is_idempotent_then_changes(old: Kubectl) -> None:
    text = json.dumps(DEPLOYMENT)
    assert "created" in await old("apply", "-f", "-", stdin=text)
    assert "unchanged" in await old("apply", "-f", "-", stdin=text)
    assert "configured" in await old("apply", "-f", "-", stdin=text.replace("x:1", "x:2"))
    assert "serverside-applied" in await old("apply", "--server-side", "-f", "-", stdin=text.replace("x:1", "x:2"))
    assert "x:3" in await old("diff", "-f", "-", stdin=text.replace("x:1", "x:3"), code=1)
    live = json.loads(await old("get", "deploy", "web", "-o", "json"))
    assert [one["image"] for one in live["spec"]["template"]["spec"]["containers"]] == ["x:2"]


async def test_custom_kinds(old: Kubectl) -> None:
    await old("apply", "-f", "-", stdin=json.dumps(DEFINITION))
    assert "created" in await old("apply", "-f", "-", stdin=json.dumps(BOAT))
    assert "unchanged" in await old("apply", "-f", "-", stdin=json.dumps(BOAT))
    assert (await old("get", "boats")).split()[:4] == ["NAME", "SAILS", "READY", "argo"]
    assert "How many sails." in await old("explain", "boats.spec.sails")
    assert "sails" in await old("explain", "boats", "--recursive")
    odd = BOAT | {"metadata": {"name": "odd"}, "spec": {"sails": 1, "oars": 2}}
    assert "oars" in await old("apply", "-f", "-", stdin=json.dumps(odd), code=1)


async def test_explain_and_validation_of_built_in_kinds(old: Kubectl) -> None:
    assert "replicas" in await old("explain", "deployment.spec.replicas")
    shown = await old("explain", "pods", "--recursive")
    fields = {line.split()[0] for line in shown.splitlines() if line.strip()}
    assert {"containers", "livenessProbe", "securityContext", "nodeSelector"} <= fields
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}}
    assert 'unknown field "dat"' in await old("apply", "-f", "-", stdin=json.dumps(wrong), code=1)


async def test_a_dry_run_of_each_verb_changes_nothing(old: Kubectl, running) -> None:
    await old("apply", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    before = running.server.backend.store.revision
    other = json.dumps(DEPLOYMENT | {"metadata": {"name": "other"}})
    for command in (
        ("create", "-f", "-"),
        ("apply", "-f", "-"),
        ("apply", "--server-side", "-f", "-"),
    ):
        assert "dry run" in await old(*command, "--dry-run=server", stdin=other)
    await old("patch", "deploy", "web", "--dry-run=server", "-p", '{"spec":{"paused":true}}')
    await old("label", "deploy", "web", "--dry-run=server", "a=b")
    assert "dry run" in await old("delete", "deploy", "web", "--dry-run=server")
    assert "dry run" in await old("delete", "deploy", "--all", "--dry-run=server")
    assert running.server.backend.store.revision == before
    assert "web" in await old("get", "deploy")


async def test_everyday_commands(old: Kubectl) -> None:
    await old("create", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    await old("autoscale", "deploy", "web", "--max=3", "--cpu-percent=50")
    hpa = json.loads(await old("get", "horizontalpodautoscalers.v2.autoscaling", "web", "-o", "json"))
    assert hpa["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 50}
    hpa = json.loads(await old("get", "horizontalpodautoscalers.v1.autoscaling", "web", "-o", "json"))
    assert hpa["spec"]["targetCPUUtilizationPercentage"] == 50
    await old("scale", "deploy/web", "--replicas=1")
    await old("set", "image", "deploy/web", "c=y:2")
    await old("expose", "deploy", "web", "--port=80")
    assert "app=web" in await old("describe", "service", "web")
    assert "y:2" in await old("describe", "deploy", "web")
    await old("create", "role", "r", "--verb=get", "--resource=pods")
    await old("create", "quota", "q", "--hard=pods=1")
    assert "yes" in await old("auth", "can-i", "get", "pods")
    assert "pods" in await old("api-resources", "--namespaced=true")
    await old("delete", "deploy,svc,hpa,role,quota", "--all")
