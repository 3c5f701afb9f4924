"""Standby pods: a Deployment and a Service of their own, whose pods are in nobody's rotation."""

from __future__ import annotations

import pytest

from controller.reconcile import metadata, standby
from tests.support.controller_world import NAMESPACE, controller_world, service
from tidegate.contracts import names
from tidegate.kube import resources

pytestmark = pytest.mark.looptime

STANDBY = "tidegate.dev/standby-pods"
DEPLOYMENT, SERVICE = "hello-00001-standby-deployment", "hello-00001-standby"


@pytest.fixture
async def world():
    async with controller_world() as made:
        yield made


def with_standby(count: str, **changes):
    document = service(**changes)
    document["spec"]["template"].setdefault("metadata", {}).setdefault("annotations", {})[STANDBY] = count
    return document


async def test_they_start_once_the_revision_is_ready(world):
    await world.apply(with_standby("2"))
    assert world.get(resources.DEPLOYMENTS, DEPLOYMENT)["spec"]["replicas"] == 0
    await world.make_ready("hello-00001")
    assert world.get(resources.DEPLOYMENTS, DEPLOYMENT)["spec"]["replicas"] == 2
    await world.make_idle("hello-00001")
    assert world.get(resources.DEPLOYMENTS, DEPLOYMENT)["spec"]["replicas"] == 2


async def test_they_are_the_revisions_pods_but_nobody_takes_them_for_pods_in_rotation(world):
    await world.apply(with_standby("1"))
    await world.make_ready("hello-00001")
    regular = world.get(resources.DEPLOYMENTS, "hello-00001-deployment")["spec"]
    own = world.get(resources.DEPLOYMENTS, DEPLOYMENT)["spec"]
    assert own["template"]["spec"] == regular["template"]["spec"]
    labels = own["template"]["metadata"]["labels"]
    private = world.get(resources.SERVICES, "hello-00001-private")["spec"]["selector"]
    assert not private.items() <= labels.items()
    assert not regular["selector"]["matchLabels"].items() <= labels.items()
    assert names.REVISION_LABEL not in labels and labels[names.SERVICE_LABEL] == "hello"
    assert own["selector"]["matchLabels"].items() <= labels.items()
    listed = world.get(resources.SERVICES, SERVICE)
    assert listed["spec"]["selector"].items() <= labels.items()
    assert not listed["spec"]["selector"].items() <= regular["template"]["metadata"]["labels"].items()
    # The EndpointSlices of a Service carry its labels: by these the activator finds and tells them apart.
    assert (
        listed["metadata"]["labels"].items()
        >= {
            names.REVISION_LABEL: "hello-00001",
            names.STANDBY_LABEL: "hello-00001",
        }.items()
    )


async def test_the_annotation_can_be_edited_and_taken_away_on_a_living_revision(world):
    await world.apply(with_standby("1"))
    await world.make_ready("hello-00001")
    before = world.get(resources.DEPLOYMENTS, "hello-00001-deployment")["metadata"]["generation"]
    for count, expected in (("3", 3), ("0", None)):
        change = {"metadata": {"annotations": {STANDBY: count}}}
        await world.api.patch(resources.REVISIONS, "hello-00001", change, NAMESPACE)
        await world.settle()
        found = world.api.peek(resources.DEPLOYMENTS, DEPLOYMENT, NAMESPACE)
        assert (found and found["spec"]["replicas"]) == expected
    assert world.api.peek(resources.SERVICES, SERVICE, NAMESPACE) is None
    assert world.get(resources.DEPLOYMENTS, "hello-00001-deployment")["metadata"]["generation"] == before


async def test_a_revision_that_traffic_has_left_has_none(world):
    await world.apply(with_standby("1"))
    await world.make_ready("hello-00001")
    await world.apply(with_standby("1", image="hello:2"))
    await world.make_ready("hello-00002")
    assert world.get(resources.DEPLOYMENTS, DEPLOYMENT)["spec"]["replicas"] == 0
    assert world.get(resources.DEPLOYMENTS, "hello-00002-standby-deployment")["spec"]["replicas"] == 1


async def test_without_the_annotation_there_is_nothing(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    assert not [key for key in world.api.objects if "standby" in key[2]]


def test_a_foreign_object_of_the_name_is_left_alone():
    revision = {"metadata": {"name": "hello-00001", "namespace": "default", "uid": "1"}}
    foreign = {"metadata": {"name": DEPLOYMENT, "uid": "2"}}
    regular = standby.Pair({}, {})
    assert metadata.is_foreign(foreign, revision)
    assert standby.actions(revision, regular, standby.Pair(foreign, None), "Reachable") == []
