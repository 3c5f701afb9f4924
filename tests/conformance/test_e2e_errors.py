"""What cannot run says why, on the Revision and on those who wait for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.world import World, condition, service
from tidegate.kube.api import Resource

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
MISSING = "docker.io/library/ubuntu@sha256:0000000000000000000000000000000000000000000000000000000000000000"


async def failed_revision(world: World, name: str, *reasons: str) -> dict[str, Any]:
    """Return the Ready condition of a Service's one revision once its reason is among `reasons`."""

    async def check() -> dict[str, Any] | None:
        created = ((await world.get("Service", name)).get("status") or {}).get("latestCreatedRevisionName")
        found = condition(await world.get("Revision", created)) if created else {}
        return found if found.get("status") == "False" and found.get("reason") in reasons else None

    found: dict[str, Any] = await world.until(f"a revision with {reasons}", check, 150.0)
    return found


async def check_service(world: World, name: str, text: str) -> None:
    """The Service passes on what its Configuration says; its Ready may say instead what that means for the Route."""
    await world.failed("Service", name)
    found = condition(await world.get("Service", name), "ConfigurationsReady")
    assert (found["status"], found["reason"]) == ("False", "RevisionFailed")
    assert text in found["message"]


@pytest.mark.upstream("e2e", "TestImagePullError")
async def test_an_image_that_is_not_there(world: World) -> None:
    await world.create(service("pulled", container={"image": MISSING}))
    why = await failed_revision(world, "pulled", "ImagePullBackOff", "ErrImagePull")
    assert why["message"]
    await world.failed("Configuration", "pulled")
    configuration = condition(await world.get("Configuration", "pulled"))
    assert configuration["reason"] == "RevisionFailed"
    assert why["message"].split("\n")[0][:20] in configuration["message"]
    await check_service(world, "pulled", why["message"].split("\n")[0][:20])


@pytest.mark.upstream("e2e", "TestPodScheduleError")
async def test_a_pod_that_fits_nowhere(world: World) -> None:
    await world.create(service("huge", container={"resources": {"requests": {"cpu": "50000m", "memory": "350Mi"}}}))
    why = await failed_revision(world, "huge", "Unschedulable")
    assert "Insufficient cpu" in why["message"]
    assert (await world.failed("Configuration", "huge"))["reason"] == "RevisionFailed"
    await check_service(world, "huge", "Insufficient cpu")


@pytest.mark.upstream("e2e", "TestResourceQuotaError")
async def test_a_namespace_without_room(world: World) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "10", "requests.cpu": "50m"}},
    }
    await world.instance.client.create(QUOTAS, quota, world.namespace)
    await world.create(service("refused", container={"resources": {"requests": {"cpu": "500m"}}}))
    configuration = await world.failed("Configuration", "refused", 150.0)
    assert configuration["reason"] == "RevisionFailed"
    assert "forbidden: exceeded quota: small" in configuration["message"]
    await check_service(world, "refused", "forbidden: exceeded quota: small")
