"""A revision and the digests of its images: what it says meanwhile, what it runs then, what it says when it fails."""

import asyncio
import dataclasses

import pytest

from controller.cluster_config import ClusterConfig
from controller.digests import resolver
from tests.support.controller_world import NAMESPACE, controller_world, service
from tests.support.registry import FakeRegistry, pull_secret
from tidegate.contracts.config.deployment import DeploymentConfig
from tidegate.kube import resources

CFG, REV = resources.CONFIGURATIONS, resources.REVISIONS
ASKS = DeploymentConfig(registries_without_digests=frozenset({"kind.local"}), digest_timeout_s=60.0)


@pytest.fixture
async def registry():
    async with FakeRegistry() as made:
        yield made


@pytest.fixture
async def world(monkeypatch):
    monkeypatch.setattr(resolver, "FIRST_PAUSE_S", 0.01)
    async with controller_world(ClusterConfig(deployment=ASKS, autoscaler_address="a:1", report_key=b"k")) as made:
        yield made


async def settled(world, condition):
    async with asyncio.timeout(60):
        while True:
            await world.settle()
            if condition():
                return
            await asyncio.sleep(0.005)


def deployment(world):
    return world.api.peek(resources.DEPLOYMENTS, "hello-00001-deployment", NAMESPACE)


def shown(world, kind="ContainerHealthy"):
    return world.condition(REV, "hello-00001", kind)


async def test_the_pods_of_a_revision_run_the_digest_whatever_becomes_of_the_tag(world, registry):
    digest = registry.push("team/app", "v1")
    await world.apply(service(image=f"{registry.host}/team/app:v1"))
    await settled(world, lambda: deployment(world))
    pinned = f"{registry.host}/team/app@{digest}"
    assert deployment(world)["spec"]["template"]["spec"]["containers"][0]["image"] == pinned
    revision = world.get(REV, "hello-00001")
    assert revision["spec"]["containers"][0]["image"] == f"{registry.host}/team/app:v1"
    assert revision["status"]["containerStatuses"] == [{"name": "user-container", "imageDigest": pinned}]
    await world.make_ready("hello-00001")
    registry.push("team/app", "v1", platforms=2)
    asked = len(registry.calls)
    world.worker.mark_everything()
    await world.settle()
    assert deployment(world)["spec"]["template"]["spec"]["containers"][0]["image"] == pinned
    assert len(registry.calls) == asked
    assert world.worker.world.lookups == {}


async def test_meanwhile_the_revision_says_that_it_waits(world, registry):
    registry.push("team/app", "v1")
    registry.open.clear()
    await world.apply(service(image=f"{registry.host}/team/app:v1"))
    await settled(world, lambda: shown(world)[1])
    assert shown(world) == shown(world, "ResourcesAvailable") == ("Unknown", "ResolvingDigests", "")
    assert deployment(world) is None
    registry.open.set()
    await settled(world, lambda: deployment(world))
    await settled(world, lambda: shown(world, "ResourcesAvailable")[1] == "Deploying")


async def test_a_failure_is_told_up_to_the_service_and_tried_again(world, registry):
    image = f"{registry.host}/team/app:v1"
    await world.apply(service(image=image))
    await settled(world, lambda: shown(world)[0] == "False")
    status, reason, message = shown(world)
    assert (status, reason) == ("False", "ContainerMissing")
    assert message.startswith(f'Unable to fetch image "{image}": failed to resolve image to digest: GET http://')
    assert message.endswith("unexpected status code 404")
    assert world.condition(CFG, "hello")[1] == "RevisionFailed"
    assert message in world.condition(CFG, "hello")[2]
    assert world.condition(resources.KNATIVE_SERVICES, "hello", "ConfigurationsReady")[1] == "RevisionFailed"
    assert world.condition(resources.KNATIVE_SERVICES, "hello")[0] == "False"
    digest = registry.push("team/app", "v1")
    await settled(world, lambda: deployment(world))
    assert digest in deployment(world)["spec"]["template"]["spec"]["containers"][0]["image"]
    await world.make_ready("hello-00001")
    assert world.condition(resources.KNATIVE_SERVICES, "hello")[0] == "True"


async def test_a_registry_that_does_not_answer(world, registry):
    config = dataclasses.replace(ASKS, digest_timeout_s=0.05)
    world.worker.world.config = dataclasses.replace(world.config, deployment=config)
    registry.push("team/app", "v1")
    registry.open.clear()
    await world.apply(service(image=f"{registry.host}/team/app:v1"))
    await settled(world, lambda: shown(world)[0] == "False")
    assert shown(world)[2].endswith("no answer within 0.05s (digest-resolution-timeout)")


@pytest.mark.parametrize("image", ["kind.local/app:v1", "gcr.io/team/app@sha256:" + "0" * 64])
async def test_nobody_is_asked_for_what_is_skipped_or_pinned(world, image):
    await world.apply(service(image=image))
    assert deployment(world)["spec"]["template"]["spec"]["containers"][0]["image"] == image
    told = {"name": "user-container"} | ({"imageDigest": image} if "@" in image else {})
    assert world.get(REV, "hello-00001")["status"]["containerStatuses"] == [told]


async def test_every_container_is_looked_up_each_image_once(world, registry):
    digests = [registry.push("team/app", "v1"), registry.push("team/side", "v2", platforms=2)]
    document = service(image=f"{registry.host}/team/app:v1")
    spec = document["spec"]["template"]["spec"]
    spec["containers"][0] |= {"name": "app", "ports": [{"containerPort": 8080}]}
    spec["containers"] += [
        {"name": name, "image": f"{registry.host}/team/side:v2"} for name in ("first-side", "second-side")
    ]
    await world.apply(document)
    await settled(world, lambda: deployment(world))
    ran = [one["image"] for one in deployment(world)["spec"]["template"]["spec"]["containers"]][:3]
    sides = f"{registry.host}/team/side@{digests[1]}"
    assert ran == [f"{registry.host}/team/app@{digests[0]}", sides, sides]
    assert len(registry.calls) == 2


@pytest.mark.parametrize("where", ["pod", "account"])
async def test_pull_secrets_of_pod_and_service_account(world, registry, where):
    registry.push("team/app", "v1")
    registry.auth, registry.user = "bearer", ("ann", "secret")
    world.api.put(resources.SECRETS, pull_secret("pull", registry.host, "ann", "secret"))
    account = {"metadata": {"name": "default", "namespace": NAMESPACE}}
    document = service(image=f"{registry.host}/team/app:v1")
    (account if where == "account" else document["spec"]["template"]["spec"])["imagePullSecrets"] = [{"name": "pull"}]
    world.api.put(resources.SERVICE_ACCOUNTS, account)
    await world.apply(document)
    await settled(world, lambda: deployment(world))


async def test_nobody_goes_on_asking_for_a_revision_that_is_gone(world, registry):
    await world.apply(service(image=f"{registry.host}/team/app:v1"))
    await settled(world, lambda: shown(world)[0] == "False")
    for resource, name in ((resources.KNATIVE_SERVICES, "hello"), (CFG, "hello"), (REV, "hello-00001")):
        await world.api.delete(resource, name, NAMESPACE)
    await settled(world, lambda: not world.worker.world.lookups)
    await asyncio.sleep(0.05)
    asked = len(registry.calls)
    await asyncio.sleep(0.05)
    assert len(registry.calls) == asked
