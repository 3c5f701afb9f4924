"""The real kubectl, unmodified and without extra flags, against the real server."""

from __future__ import annotations

import asyncio
import json
import stat

import pytest
import yaml

from tidegate.kube import resources
from tidegate.kube.api import Object

pytestmark = pytest.mark.slow

DEPLOYMENT: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "x:1", "env": [{"name": "A", "value": "1"}]}]},
        },
    },
}
DEFINITION: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "boats.sea.dev"},
    "spec": {
        "group": "sea.dev",
        "scope": "Namespaced",
        "names": {"plural": "boats", "kind": "Boat", "shortNames": ["bt"], "categories": ["all", "fleet"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.sails", "statusReplicasPath": ".status.sails"},
                },
                "additionalPrinterColumns": [
                    {"name": "Sails", "type": "integer", "jsonPath": ".spec.sails"},
                    {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["sails"],
                                "properties": {
                                    "sails": {"type": "integer", "minimum": 0, "description": "How many sails."},
                                    "colour": {"type": "string", "default": "white"},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}
BOAT: Object = {"apiVersion": "sea.dev/v1", "kind": "Boat", "metadata": {"name": "argo"}, "spec": {"sails": 1}}


async def test_version_and_api_resources(kubectl) -> None:
    version = json.loads(await kubectl("version", "-o", "json"))
    assert version["serverVersion"]["minor"] == "32"
    listed = await kubectl("api-resources", "-o", "name")
    for name in ("pods", "deployments.apps", "leases.coordination.k8s.io", "endpointslices.discovery.k8s.io"):
        assert name in listed.split()
    assert "deploy" in await kubectl("api-resources", "--api-group=apps")
    assert "apps/v1" in await kubectl("api-versions")
    assert "ok" in await kubectl("get", "--raw", "/readyz")


async def test_apply_on_the_client_side_is_idempotent_and_merges(kubectl, client) -> None:
    assert "created" in await kubectl("apply", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    assert "unchanged" in await kubectl("apply", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    await client.patch(resources.DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, "default", subresource="scale")
    changed = json.loads(json.dumps(DEPLOYMENT))
    del changed["spec"]["replicas"]
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "x:2"
    assert "configured" in await kubectl("apply", "-f", "-", stdin=json.dumps(changed))
    live = await client.get(resources.DEPLOYMENTS, "web", "default")
    container = live["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "x:2"
    assert container["env"] == [{"name": "A", "value": "1"}]
    assert "no changes" not in await kubectl("diff", "-f", "-", stdin=json.dumps(DEPLOYMENT), code=1)


async def test_apply_on_the_server_side_conflicts_until_forced(kubectl, client) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    await kubectl("scale", "deployment/web", "--replicas=4")
    changed = json.loads(json.dumps(DEPLOYMENT))
    changed["spec"]["replicas"] = 3
    refused = await kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(changed), code=1)
    assert "conflict with" in refused
    assert ".spec.replicas" in refused
    await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(changed))
    assert (await client.get(resources.DEPLOYMENTS, "web", "default"))["spec"]["replicas"] == 3


async def test_from_client_side_to_server_side_apply(kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    assert "serverside-applied" in await kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(DEPLOYMENT))


async def test_typed_creates(kubectl, client) -> None:
    await kubectl("create", "configmap", "a", "--from-literal=k=v")
    await kubectl("create", "secret", "generic", "s", "--from-literal=p=q")
    await kubectl("create", "deployment", "d", "--image=x", "--replicas=0", "--port=80")
    await kubectl("create", "namespace", "n")
    await kubectl("create", "serviceaccount", "bot")
    assert (await client.get(resources.CONFIG_MAPS, "a", "default"))["data"] == {"k": "v"}
    assert (await client.get(resources.SECRETS, "s", "default"))["data"] == {"p": "cQ=="}
    assert (await client.get(resources.DEPLOYMENTS, "d", "default"))["spec"]["replicas"] == 0
    assert (await kubectl("create", "token", "bot")).count(".") == 2
    assert "AlreadyExists" in await kubectl("create", "namespace", "n", code=1)


async def test_get_patch_label_edit_replace_delete(kubectl, client, tmp_path) -> None:
    await kubectl("create", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    table = await kubectl("get", "deployments", "-o", "wide")
    assert table.split()[:5] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    await kubectl("patch", "deploy", "web", "--type=merge", "-p", '{"spec":{"paused":true}}')
    await kubectl(
        "patch", "deploy", "web", "--type=json", "-p", '[{"op":"replace","path":"/spec/minReadySeconds","value":3}]',
        code=1,
    )  # fmt: skip
    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "c", "workingDir": "/w"}]}}}}
    await kubectl("patch", "deploy", "web", "-p", json.dumps(strategic))
    await kubectl("label", "deploy", "web", "tier=front")
    await kubectl("annotate", "deploy", "web", "why=test")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/x:1/x:9/' \"$1\"\n")
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    await kubectl("edit", "deploy", "web", EDITOR=str(editor), KUBE_EDITOR=str(editor))
    live = await client.get(resources.DEPLOYMENTS, "web", "default")
    container = live["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["workingDir"]) == ("x:9", "/w")
    assert live["spec"]["paused"] is True
    assert live["metadata"]["labels"] == {"tier": "front"}
    text = await kubectl("get", "deploy", "web", "-o", "yaml")
    await kubectl("replace", "-f", "-", stdin=text)
    assert yaml.safe_load(text)["metadata"]["annotations"]["why"] == "test"
    assert "Selector" in await kubectl("describe", "deploy", "web")
    assert "deleted" in await kubectl("delete", "deploy", "web")
    assert "NotFound" in await kubectl("get", "deploy", "web", code=1)


async def test_strict_validation_names_the_field(kubectl) -> None:
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}}
    assert 'unknown field "dat"' in await kubectl("apply", "-f", "-", stdin=json.dumps(wrong), code=1)
    dry = await kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    assert "server dry run" in dry
    assert "NotFound" in await kubectl("get", "deploy", "web", code=1)


async def test_custom_resources(kubectl, client) -> None:
    await kubectl("apply", "-f", "-", stdin=json.dumps(DEFINITION))
    await kubectl("wait", "--for=condition=Established", "crd/boats.sea.dev", "--timeout=30s")
    await kubectl("apply", "-f", "-", stdin=json.dumps(BOAT))
    assert "unchanged" in await kubectl("apply", "-f", "-", stdin=json.dumps(BOAT))
    assert (await kubectl("get", "bt")).split()[:4] == ["NAME", "SAILS", "READY", "argo"]
    assert "argo" in await kubectl("get", "fleet")
    live = json.loads(await kubectl("get", "boat", "argo", "-o", "json"))
    assert live["spec"] == {"sails": 1, "colour": "white"}
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await kubectl("patch", "boat", "argo", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    await kubectl("wait", "--for=condition=Ready", "boat/argo", "--timeout=30s")
    await kubectl("scale", "boat/argo", "--replicas=3")
    live = json.loads(await kubectl("get", "boat", "argo", "-o", "json"))
    assert (live["spec"]["sails"], live["metadata"]["generation"]) == (3, 2)
    bad = BOAT | {"metadata": {"name": "bad"}, "spec": {"sails": -1}}
    assert "spec.sails: Invalid value" in await kubectl("apply", "-f", "-", stdin=json.dumps(bad), code=1)
    odd = BOAT | {"metadata": {"name": "odd"}, "spec": {"sails": 1, "oars": 2}}
    assert 'unknown field "spec.oars"' in await kubectl("apply", "-f", "-", stdin=json.dumps(odd), code=1)
    assert "How many sails." in await kubectl("explain", "boats.spec.sails")
    await kubectl("delete", "crd", "boats.sea.dev")
    assert "NotFound" in await kubectl("get", "boats", code=1)


FLEET: Object = {
    "type": "object",
    "required": ["flag"],
    "properties": {
        "free": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {"named": {"type": "string"}},
        },
        "flag": {"type": "object", "nullable": True, "default": {}, "properties": {"colour": {"type": "string"}}},
        "not": {"type": "string"},
    },
}


async def test_documents_in_a_list_are_validated_by_the_client_as_the_server_would(kubectl) -> None:
    """kubectl asks the server to validate a document of a served kind; `List` is none, so there it does so itself."""
    definition = json.loads(json.dumps(DEFINITION))
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = FLEET
    del definition["spec"]["versions"][0]["subresources"]["scale"]
    await kubectl("apply", "-f", "-", stdin=json.dumps(definition))
    spec = {"free": {"named": "a", "other": [1]}, "flag": None, "not": "b"}
    listed: Object = {"apiVersion": "v1", "kind": "List", "items": [BOAT | {"spec": spec}]}
    assert "created" in await kubectl("apply", "-f", "-", stdin=json.dumps(listed))
    listed["items"] = [BOAT | {"spec": {"flag": {"colour": "red"}}}]
    assert "configured" in await kubectl("apply", "-f", "-", stdin=json.dumps(listed))
    listed["items"] = [BOAT | {"spec": spec | {"wrong": 1}}]
    assert "wrong" in await kubectl("apply", "-f", "-", stdin=json.dumps(listed), code=1)


async def test_auth_as_a_service_account(kubectl) -> None:
    await kubectl("create", "sa", "bot")
    await kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods")
    await kubectl("create", "rolebinding", "bot", "--role=reader", "--serviceaccount=default:bot")
    bot = ("--as=system:serviceaccount:default:bot",)
    assert await kubectl("auth", "can-i", "list", "pods", *bot) == "yes\n"
    assert await kubectl("auth", "can-i", "delete", "pods", *bot, code=1) == "no\n"
    assert await kubectl("auth", "can-i", "list", "pods", "-n", "kube-system", *bot, code=1) == "no\n"
    assert await kubectl("auth", "can-i", "*", "*") == "yes\n"
    assert "Forbidden" in await kubectl("get", "secrets", *bot, code=1)
    assert "No resources" in await kubectl("get", "pods", *bot)


async def test_get_watch_prints_changes_once(kubectl, client) -> None:
    await kubectl("create", "configmap", "a", "--from-literal=k=v")
    async with kubectl.running("get", "cm", "-w") as output:

        async def line() -> list[str]:
            return (await asyncio.wait_for(output.readline(), 60)).decode().split()

        assert await line() == ["NAME", "DATA", "AGE"]
        assert (await line())[:2] == ["a", "1"]
        for number in range(3):
            await client.patch(resources.CONFIG_MAPS, "a", {"data": {f"k{number}": "v"}}, "default")
        assert [(await line())[:2] for _ in range(3)] == [["a", "2"], ["a", "3"], ["a", "4"]]
