"""What a user is told before anything is stored, by real kubectl against the whole webhook."""

from __future__ import annotations

import subprocess

import yaml

from loadtest import load
from loadtest.instance import Instance, example
from tidegate.kube import resources


def kubectl_apply(instance: Instance, kubectl: str, document: object, *flags: str) -> tuple[int, str]:
    """Return the exit code and both outputs of an apply."""
    done = subprocess.run(
        [kubectl, "apply", "-f", "-", *flags],
        input=yaml.safe_dump(document),
        env=instance.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


async def test_a_dry_run_tells_what_the_api_server_would_say_of_the_pod(instance: Instance, kubectl: str) -> None:
    good = example("hello", service="dry")
    code, said = kubectl_apply(instance, kubectl, good, "--dry-run=server")
    assert (code, "dry created (server dry run)" in said) == (0, True), said
    assert "Warning" not in said, "the local instance has decided about security contexts"
    old = example("hello", service="dry")
    old["spec"]["template"]["metadata"] = {
        "annotations": {"queue.sidecar.serving.knative.dev/resource-percentage": "50"}
    }
    _, said = kubectl_apply(instance, kubectl, old, "--dry-run=server")
    assert "Warning: queue.sidecar.serving.knative.dev/resource-percentage is deprecated" in said
    good["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}
    code, said = kubectl_apply(instance, kubectl, good, "--dry-run=server")
    assert code == 1
    assert "validation callback failed: dry run failed with" in said
    assert "resources.requests" in said
    assert (await instance.client.list(resources.KNATIVE_SERVICES, "default", "", "metadata.name=dry")).items == []


async def test_a_bad_value_in_a_config_map_is_refused_by_its_key(instance: Instance, kubectl: str) -> None:
    for name, key, text in (
        ("config-gc", "min-non-active-revisions", "many"),
        ("config-network", "http-protocol", "maybe"),
        ("config-features", "multi-container", "perhaps"),
        ("config-autoscaler", "stable-window", "1s"),
    ):
        document = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": "tidegate-system",
                "labels": {"app.kubernetes.io/name": "tidegate"},
            },
            "data": {key: text},
        }
        code, said = kubectl_apply(instance, kubectl, document, "--server-side", "--force-conflicts")
        assert code == 1, said
        assert key in said
        assert text in said


async def test_a_name_of_the_servers_choosing(instance: Instance, kubectl: str) -> None:
    document = example("hello")
    document["metadata"] = {"generateName": "made-", "namespace": "default"}
    made = await instance.client.create(resources.KNATIVE_SERVICES, document)
    name = made["metadata"]["name"]
    assert name.startswith("made-")
    assert made["metadata"]["annotations"]["serving.knative.dev/creator"]
    await instance.wait_service_ready(name, 60)
    reply = await load.get(instance.port, f"{name}.default.localhost")
    assert (reply.status, f"{name}-00001".encode() in reply.body) == (200, True)
    await instance.client.delete(resources.KNATIVE_SERVICES, name, "default")
