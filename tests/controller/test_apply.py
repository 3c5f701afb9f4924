"""How outcomes are performed when the API server refuses, conflicts or has lost the object."""

import pytest

from controller.apply import Performer, merge_patch
from controller.cluster_config import ClusterConfig
from controller.gather import World
from controller.objects import Objects
from controller.reconcile.outcome import Apply, Create, Delete, Merge, Note, Outcome
from controller.triggers import Key
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.api import ApiError

KEY = Key("Revision", "default", "r")


class Bench:
    def __init__(self):
        self.api = FakeApi()
        self.world = World(Objects(), ClusterConfig())
        self.seen, self.gone = [], []
        self.performer = Performer(
            self.api,
            self.world,
            lambda resource, obj: self.seen.append((resource.kind, obj["metadata"]["name"])),
            lambda resource, namespace, name: self.gone.append((resource.kind, name)),
        )

    async def revision(self, **status):
        made = await self.api.create(
            resources.REVISIONS, {"metadata": {"name": "r", "namespace": "default"}, "spec": {}}
        )
        return made | {"status": status}


@pytest.fixture
def bench():
    return Bench()


def deployment(**metadata):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "default"} | metadata,
        "spec": {"replicas": 1},
    }


async def test_answers_are_known_at_once(bench):
    target = await bench.revision()
    await bench.performer.perform(KEY, target, Outcome((Create(deployment()),), {"a": 1}, events=(Note("R", "m"),)))
    assert bench.seen == [("Deployment", "d"), ("Revision", "r")]
    assert bench.api.peek(resources.REVISIONS, "r", "default")["status"] == {"a": 1}


async def test_what_exists_already_is_looked_at_not_made(bench):
    await bench.api.create(resources.DEPLOYMENTS, deployment())
    await bench.performer.perform(KEY, await bench.revision(), Outcome((Create(deployment()),)))
    assert bench.seen == [("Deployment", "d")]


async def test_a_refusal_is_remembered_until_it_works(bench):
    target = await bench.revision()
    bench.api.refuse("create", resources.DEPLOYMENTS, ApiError(403, "Forbidden", "quota"))
    with pytest.raises(ApiError):
        await bench.performer.perform(KEY, target, Outcome((Create(deployment()),), {"a": 1}))
    assert bench.world.refused == {KEY: (1, "quota")}
    assert bench.api.peek(resources.REVISIONS, "r", "default")["status"] == {"a": 1}, "the status is told all the same"
    target = bench.api.peek(resources.REVISIONS, "r", "default")
    await bench.performer.perform(KEY, target, Outcome((Create(deployment()),)))
    assert bench.world.refused == {}


async def test_being_late_is_no_refusal(bench):
    bench.api.refuse("create", resources.DEPLOYMENTS, ApiError(503, "ServiceUnavailable", "later"))
    with pytest.raises(ApiError):
        await bench.performer.perform(KEY, await bench.revision(), Outcome((Create(deployment()),)))
    assert bench.world.refused == {}


async def test_one_failing_action_does_not_keep_the_others_back(bench):
    bench.api.refuse("create", resources.DEPLOYMENTS, ApiError(503, "ServiceUnavailable", "later"))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"}}
    with pytest.raises(ApiError):
        await bench.performer.perform(KEY, await bench.revision(), Outcome((Create(deployment()), Apply(service))))
    assert bench.api.peek(resources.SERVICES, "s", "default")


async def test_a_parent_that_is_gone_gets_no_children_again(bench):
    target = await bench.revision(observedGeneration=1)
    await bench.api.delete(resources.REVISIONS, "r", "default")
    with pytest.raises(ApiError):
        await bench.performer.perform(KEY, target, Outcome((Create(deployment()),)))
    assert bench.gone == [("Revision", "r")]
    assert bench.api.peek(resources.DEPLOYMENTS, "d", "default") is None


async def test_a_parent_that_was_replaced_gets_none_either(bench):
    target = await bench.revision(observedGeneration=1)
    await bench.api.delete(resources.REVISIONS, "r", "default")
    await bench.revision()
    with pytest.raises(ApiError):
        await bench.performer.perform(KEY, target, Outcome((Create(deployment()),)))
    assert bench.api.peek(resources.DEPLOYMENTS, "d", "default") is None


async def test_a_status_over_a_newer_version_is_a_conflict(bench):
    target = await bench.revision()
    await bench.api.patch(resources.REVISIONS, "r", {"metadata": {"labels": {"a": "b"}}}, "default")
    with pytest.raises(ApiError) as caught:
        await bench.performer.perform(KEY, target, Outcome(status={"a": 1}))
    assert caught.value.is_conflict


async def test_an_unchanged_status_is_not_written(bench):
    target = await bench.revision(a=1)
    before = len(bench.api.calls)
    await bench.performer.perform(KEY, target, Outcome(status={"a": 1}))
    assert len(bench.api.calls) == before


async def test_merges_and_deletes_hit_the_very_object(bench):
    made = await bench.api.create(resources.DEPLOYMENTS, deployment())
    await bench.performer.perform(KEY, None, Outcome((Merge(made, {"metadata": {"labels": {"a": "b"}}}),)))
    assert bench.api.peek(resources.DEPLOYMENTS, "d", "default")["metadata"]["labels"] == {"a": "b"}
    other = made | {"metadata": made["metadata"] | {"uid": "other"}}
    for action in (Merge(other, {"metadata": {"labels": {"a": "c"}}}), Delete(other)):
        with pytest.raises(ApiError) as caught:
            await bench.performer.perform(KEY, None, Outcome((action,)))
        assert caught.value.is_conflict
    await bench.performer.perform(KEY, None, Outcome((Delete(made),)))
    assert bench.api.peek(resources.DEPLOYMENTS, "d", "default") is None
    for action in (Delete(made), Merge(made, {"metadata": {}})):
        await bench.performer.perform(KEY, None, Outcome((action,)))
    assert bench.gone == [("Deployment", "d"), ("Deployment", "d")]


@pytest.mark.parametrize(
    ("have", "want", "patch"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}),
    ],
)
def test_merge_patch(have, want, patch):
    assert merge_patch(have, want) == patch
