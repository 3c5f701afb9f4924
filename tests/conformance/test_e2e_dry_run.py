"""Dry-run validation: the API server is asked about a revision's pod before anything is stored."""

from __future__ import annotations

import pytest

from tests.conformance.world import World, service
from tidegate.kube import resources
from tidegate.kube.api import ApiError

DRY_RUN = "features.knative.dev/podspec-dryrun"
# A name that Knative lets pass and the API server does not.
BAD = {"volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "../up"}]}
VOLUMES = {"volumes": [{"name": "data", "emptyDir": {}}]}


@pytest.mark.upstream("e2e", "TestServiceDryRunValidationWithInvalidPodSpec")
@pytest.mark.parametrize("mode", ["enabled", "strict"])
async def test_a_pod_that_the_api_server_refuses_is_refused_with_its_service(world: World, mode: str) -> None:
    refused = service("hello", annotations={DRY_RUN: mode}, container=BAD)
    refused["spec"]["template"]["spec"] |= VOLUMES
    with pytest.raises(ApiError, match=r"validation callback failed: dry run failed with .*spec\.template"):
        await world.create(refused)
    assert await world.all(resources.KNATIVE_SERVICES) == []
    accepted = service("hello", annotations={DRY_RUN: mode})
    await world.deploy(accepted)
    change = {"spec": {"template": refused["spec"]["template"]}}
    with pytest.raises(ApiError, match="dry run failed"):
        await world.patch("Service", "hello", change)


@pytest.mark.upstream("e2e", "TestServiceDryRunValidationWithInvalidPodSpec")
async def test_nothing_is_stored_by_a_dry_run(world: World) -> None:
    body = service("hello", metadata={"namespace": world.namespace})
    made = await world.instance.client.create(resources.KNATIVE_SERVICES, body, world.namespace, dry_run=True)
    assert made["spec"]["template"]["spec"]["timeoutSeconds"] == 300
    assert await world.all(resources.KNATIVE_SERVICES) == []
