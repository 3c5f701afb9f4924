"""Errors: every object of a Service that cannot run says so, with a reason and words; what is wrong is refused."""

from __future__ import annotations

import pytest

from tests.conformance.world import World, condition, service
from tidegate.kube.api import ApiError, Object

SOON = {"serving.knative.dev/progress-deadline": "5s"}


async def _all_failed(world: World, name: str) -> dict[str, Object]:
    """Return the Ready condition of each of the four objects once all are False."""
    found = {kind: await world.failed(kind, name) for kind in ("Service", "Configuration", "Route")}
    revision = (await world.get("Configuration", name))["status"]["latestCreatedRevisionName"]
    found["Revision"] = await world.failed("Revision", revision)
    for kind, ready in found.items():
        assert ready.get("reason"), kind
        assert ready.get("message"), kind
    return found


@pytest.mark.upstream("api", "TestContainerErrorMsg")
async def test_an_image_that_does_not_exist_fails_all_four_objects_with_reason_and_words(world: World) -> None:
    await world.create(service("ghost", annotations=SOON, container={"image": "conformance.local/invalidhello-world"}))
    found = await _all_failed(world, "ghost")
    assert found["Configuration"]["reason"] == "RevisionFailed"
    assert "ghost-00001" in found["Configuration"]["message"]
    assert found["Route"]["reason"] == "RevisionMissing"
    assert found["Revision"]["message"] in found["Configuration"]["message"]
    assert found["Revision"]["reason"] in ("ImagePullBackOff", "ErrImagePull", "ContainerMissing")


@pytest.mark.upstream("api", "TestContainerExitingMsg")
@pytest.mark.parametrize("probe", [None, {"httpGet": {"path": "/"}}], ids=["default probe", "http probe"])
async def test_a_container_that_exits_fails_all_four_objects_with_its_code(world: World, probe: Object | None) -> None:
    container: Object = {"args": ["1"]} | ({"readinessProbe": probe} if probe else {})
    await world.create(service("fragile", "failing", annotations=SOON, container=container))
    found = await _all_failed(world, "fragile")
    assert found["Revision"]["reason"] == "ExitCode5"
    assert "it went wrong, as it was asked to" in found["Revision"]["message"]
    healthy = condition(await world.get("Revision", "fragile-00001"), "ContainerHealthy")
    assert (healthy["status"], healthy["reason"]) == ("False", "ExitCode5")
    assert found["Configuration"]["reason"] == "RevisionFailed"
    assert found["Revision"]["message"] in found["Configuration"]["message"]
    assert found["Route"]["reason"] == "RevisionMissing"


@pytest.mark.upstream("api", "TestServiceAccountValidation")
async def test_a_bad_service_account_name_is_refused_with_its_path(world: World) -> None:
    with pytest.raises(ApiError) as refused:
        await world.create(service("guarded", spec={"serviceAccountName": "foo@bar.baz"}))
    assert "invalid value: foo@bar.baz: spec.template.spec.serviceAccountName" in refused.value.message
