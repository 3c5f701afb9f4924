"""What is easily got wrong in what objects say and become: pitfalls 1 and 22 to 28.

A controller over an API server in memory, and its pure parts. Collected by `test_pitfalls`.
"""

from __future__ import annotations

import pytest

from controller.admission import review
from controller.cluster_config import ClusterConfig
from controller.reconcile import gc, labeler, rollout
from controller.reconcile.rollout import Rollout, Target
from gateway.routes import build_table, read_route
from tests.conformance.pitfall_worlds import pitfall
from tests.support.controller_world import NAMESPACE, ControllerWorld, controller_world, service
from tidegate.contracts import conditions, names, traffic
from tidegate.contracts.conditions import Conditions
from tidegate.contracts.config.retention import Retention
from tidegate.kube import resources

SERVICE, CONFIGURATION, ROUTE = resources.KNATIVE_SERVICES, resources.CONFIGURATIONS, resources.ROUTES
REVISION, SCALER = resources.REVISIONS, resources.POD_AUTOSCALERS
FIRST, SECOND = "hello-00001", "hello-00002"
NOW = 1_000_000.0


@pytest.fixture
async def controlled():
    async with controller_world() as made:
        yield made


def routed_to(world: ControllerWorld) -> list[str]:
    return [row["revisionName"] for row in world.get(ROUTE, "hello")["status"]["traffic"]]


def routing_state(world: ControllerWorld, revision: str) -> str:
    return world.get(REVISION, revision)["metadata"]["labels"][names.ROUTING_STATE_LABEL]


async def break_revision(world: ControllerWorld, revision: str) -> None:
    terminated = {"lastState": {"terminated": {"exitCode": 5, "message": "no config"}}}
    labels = world.get(resources.DEPLOYMENTS, f"{revision}-deployment")["spec"]["template"]["metadata"]["labels"]
    status = {"containerStatuses": [{"name": "user-container", **terminated}]}
    metadata = {"name": f"{revision}-pod", "namespace": NAMESPACE, "labels": labels}
    world.api.put(resources.PODS, {"metadata": metadata, "status": status})
    deployment = world.get(resources.DEPLOYMENTS, f"{revision}-deployment")
    deployment["status"] = {"observedGeneration": 1, "replicas": 1, "unavailableReplicas": 1}
    world.api.put(resources.DEPLOYMENTS, deployment)
    await world.settle()


@pitfall(1, "timeouts have defaults only where the default is below the timeout")
@pytest.mark.parametrize(("timeout_s", "response_start_s"), [(299, None), (300, None), (301, 300)])
def test_the_default_of_the_response_start_timeout(timeout_s, response_start_s):
    spec = {"timeoutSeconds": timeout_s, "containers": [{"image": "hello"}]}
    asked = service() | {"spec": {"template": {"spec": spec}}}
    made = review.defaulted(asked, None, "ann", ClusterConfig())["spec"]["template"]["spec"]
    assert made.get("responseStartTimeoutSeconds") == response_start_s
    assert "idleTimeoutSeconds" not in made


@pitfall(22, "everything stays Ready at zero, and Active only informs")
@pytest.mark.looptime
async def test_everything_stays_ready_at_zero(controlled):
    await controlled.apply(service())
    await controlled.make_ready(FIRST)
    await controlled.make_idle(FIRST)
    for resource in (SERVICE, CONFIGURATION, ROUTE):
        assert controlled.condition(resource, "hello")[0] == "True"
    revision = controlled.get(REVISION, FIRST)
    assert controlled.condition(REVISION, FIRST)[0] == "True"
    active = conditions.find(revision, "Active")
    assert (active["status"], active["reason"], active["severity"]) == ("False", "NoTraffic", "Info")


@pitfall(23, "a failed turn observes its generation too, and readiness is of one generation")
@pytest.mark.looptime
async def test_a_failure_is_observed(controlled):
    await controlled.apply(service())
    await controlled.make_ready(FIRST)
    await controlled.apply(service(traffic=[{"revisionName": "nobody", "percent": 100}]))
    route = controlled.get(ROUTE, "hello")
    assert controlled.condition(ROUTE, "hello")[0] == "False"
    assert route["status"]["observedGeneration"] == route["metadata"]["generation"] > 1
    assert conditions.is_failed(route)
    route["metadata"]["generation"] += 1
    assert not conditions.is_failed(route) and not conditions.is_ready(route)


@pitfall(23, "a failed turn observes its generation too, and readiness is of one generation")
def test_a_generation_whose_conditions_nobody_set_is_marked():
    told = [{"type": kind, "status": "True"} for kind in ("ConfigurationsReady", "RoutesReady", "Ready")]
    seen = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "conditions": told}}
    ready = Conditions(conditions.SERVICE, seen, NOW).get("Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", "NewObservedGenFailure")


def resolved(*targets):
    status = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}
    labels = {names.CONFIGURATION_LABEL: "hello", names.SERVICE_LABEL: "hello"}
    revisions = {
        name: {"metadata": {"name": name, "generation": 1, "labels": labels}, "status": status}
        for name in (FIRST, SECOND)
    }
    route = {"metadata": {"name": "hello", "labels": {names.SERVICE_LABEL: "hello"}}, "spec": {"traffic": targets}}
    return traffic.resolve(route, traffic.Lookup({}, revisions), lambda tag: f"http://{tag}-hello.default.example.com")


@pitfall(24, "tagged targets share the route's own traffic, their hosts are all theirs, and a bad target freezes all")
def test_tags_and_percents():
    rows = resolved(
        {"revisionName": FIRST, "percent": 60},
        {"revisionName": SECOND, "percent": 40, "tag": "some"},
        {"revisionName": SECOND, "tag": "none"},
    ).traffic
    metadata = {"name": "hello", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"}
    status = {"url": "http://hello.default.example.com", "traffic": rows}
    table = build_table([read_route({"metadata": metadata, "status": status})])

    def share_of_second(host: str) -> float:
        return sum(table[host].turn().key[1] == SECOND for _ in range(100)) / 100

    assert share_of_second("hello.default.example.com") == 0.4
    assert share_of_second("some-hello.default.example.com") == 1.0
    assert share_of_second("none-hello.default.example.com") == 1.0


@pitfall(24, "tagged targets share the route's own traffic, their hosts are all theirs, and a bad target freezes all")
@pytest.mark.looptime
async def test_a_bad_target_freezes_the_route(controlled):
    await controlled.apply(service())
    await controlled.make_ready(FIRST)
    await controlled.apply(service(image="hello:2"))
    await controlled.make_ready(SECOND)
    before = controlled.get(ROUTE, "hello")["status"]["traffic"]
    half_good = [{"revisionName": FIRST, "percent": 50}, {"revisionName": "nobody", "percent": 50}]
    await controlled.apply(service(image="hello:2", traffic=half_good))
    assert controlled.condition(ROUTE, "hello", "AllTrafficAssigned")[:2] == ("False", "RevisionMissing")
    assert controlled.get(ROUTE, "hello")["status"]["traffic"] == before


@pitfall(25, "traffic stays with the latest ready revision, which may be between a good and a failed one")
@pytest.mark.looptime
async def test_the_latest_ready_revision(controlled):
    await controlled.apply(service())
    await controlled.make_ready(FIRST)
    await controlled.apply(service(image="hello:2"))
    assert routed_to(controlled) == [FIRST], "not ready yet"
    await controlled.apply(service(image="hello:3"))
    await break_revision(controlled, "hello-00003")
    assert controlled.condition(CONFIGURATION, "hello")[:2] == ("False", "RevisionFailed")
    assert routed_to(controlled) == [FIRST]
    await controlled.make_ready(SECOND)
    status = controlled.get(CONFIGURATION, "hello")["status"]
    assert (status["latestCreatedRevisionName"], status["latestReadyRevisionName"]) == ("hello-00003", SECOND)
    assert routed_to(controlled) == [SECOND]


@pitfall(25, "traffic stays with the latest ready revision, which may be between a good and a failed one")
@pytest.mark.looptime
async def test_a_name_of_ones_own_may_go_back(controlled):
    def named(name, image):
        asked = service(image=image)
        asked["spec"]["template"]["metadata"] = {"name": name}
        return asked

    for name, image in (("hello-blue", "hello:1"), ("hello-green", "hello:2")):
        await controlled.apply(named(name, image))
        await controlled.make_ready(name)
        assert routed_to(controlled) == [name]
    await controlled.apply(named("hello-blue", "hello:1"))
    assert routed_to(controlled) == ["hello-blue"]
    assert len(controlled.api.all(REVISION)) == 2


@pitfall(26, "metadata stops above the revision, whose scaling can still be edited, and the rollout stops at the route")
@pytest.mark.looptime
async def test_how_far_metadata_goes(controlled):
    asked = service()
    slow = {names.ROLLOUT_DURATION_ANNOTATION: "5s"}
    asked["metadata"] |= {"labels": {"team": "blue"}, "annotations": {"note": "x", **slow}}
    await controlled.apply(asked)
    heads = {kind: controlled.get(kind, "hello")["metadata"] for kind in (CONFIGURATION, ROUTE)}
    heads[REVISION] = controlled.get(REVISION, FIRST)["metadata"]
    assert {kind: "team" in head["labels"] for kind, head in heads.items()} == {
        CONFIGURATION: True,
        ROUTE: True,
        REVISION: False,
    }
    noted = {kind: {"note", *slow} & set(head["annotations"]) for kind, head in heads.items()}
    assert noted == {CONFIGURATION: {"note"}, ROUTE: {"note", *slow}, REVISION: set()}
    revision = controlled.get(REVISION, FIRST)
    revision["metadata"]["annotations"]["autoscaling.knative.dev/target"] = "9"
    controlled.api.put(REVISION, revision)
    await controlled.settle()
    assert controlled.get(SCALER, FIRST)["metadata"]["annotations"]["autoscaling.knative.dev/target"] == "9"


@pitfall(27, "a revision is released only when its route has settled, and only released ones are collected")
def test_who_is_released_and_collected():
    head = {"annotations": {names.ROUTES_ANNOTATION: "hello"}}
    old, new = (
        {"kind": "Revision", "metadata": {"name": name, "labels": {names.ROUTING_STATE_LABEL: "active"}, **head}}
        for name in (FIRST, SECOND)
    )
    assert labeler.plan("hello", [new], [], [old, new], may_release=False, now_unix=NOW) == []
    (released,) = labeler.plan("hello", [new], [], [old, new], may_release=True, now_unix=NOW)
    assert released.obj is old
    assert released.patch["metadata"]["labels"] == {names.ROUTING_STATE_LABEL: "reserve"}
    now_unix = 1_000_000_000.0
    states = ("active", "pending", "reserve", "reserve")
    kept = Retention(min_non_active=0)
    surplus = gc.surplus({}, [idle(str(number), state) for number, state in enumerate(states)], kept, now_unix)
    assert [each["metadata"]["name"] for each in surplus] == ["2", "3"]
    crowd = [idle(str(number), "active") for number in range(9)] + [idle("last", "reserve")]
    assert gc.surplus({}, crowd, Retention(min_non_active=1), now_unix) == [], "active ones do not fill the minimum"


def idle(name, state):
    long_ago = "2001-01-01T00:00:00Z"
    labels, annotations = {names.ROUTING_STATE_LABEL: state}, {names.ROUTING_STATE_MODIFIED_ANNOTATION: long_ago}
    return {"metadata": {"name": name, "creationTimestamp": long_ago, "labels": labels, "annotations": annotations}}


@pitfall(27, "a revision is released only when its route has settled, and only released ones are collected")
@pytest.mark.looptime
async def test_the_old_revision_is_reachable_until_the_switch_is_over(controlled):
    seen = set()

    def note(_stored):
        ready = (conditions.find(controlled.get(ROUTE, "hello")) or {}).get("status")
        seen.add((ready, controlled.get(SCALER, FIRST)["spec"]["reachability"]))

    await controlled.apply(service())
    await controlled.make_ready(FIRST)
    controlled.api.on_store = note
    await controlled.apply(service(image="hello:2"))
    await controlled.make_ready(SECOND)
    assert seen >= {("True", "Reachable"), ("True", "Unreachable")}
    assert ("Unknown", "Unreachable") not in seen
    assert [routing_state(controlled, name) for name in (FIRST, SECOND)] == ["reserve", "active"]


@pitfall(28, "a rollout begins when traffic can move, with one percent, in steps that programming can follow")
def test_the_steps_of_a_rollout():
    duration_s, programming_s = 60.0, 12.3
    made, now, shares = Rollout("hello", 100, (("a", 100),), ""), NOW, []
    while not shares or made.is_running:
        was_running = made.is_running
        (made,) = rollout.advance([made], [Target("", "hello", "b", 100)], duration_s, ("a", "b"), now)
        if not shares or shares[-1] != dict(made.revisions):
            shares.append(dict(made.revisions))
        assert made.start_s == NOW or not made.is_running
        now += programming_s if not was_running else max(0.01, rollout.next_look_s([made], now))
    assert shares == [{"a": 99, "b": 1}, {"a": 66, "b": 34}, {"a": 33, "b": 67}, {"b": 100}]


@pitfall(28, "a rollout begins when traffic can move, with one percent, in steps that programming can follow")
@pytest.mark.looptime
async def test_a_route_is_unknown_while_it_rolls_out(controlled):
    def slow(image):
        asked = service(image=image)
        asked["metadata"]["annotations"] = {names.ROLLOUT_DURATION_ANNOTATION: "5s"}
        return asked

    seen = []

    def note(stored):
        rows = {row["revisionName"]: row["percent"] for row in (stored.get("status") or {}).get("traffic") or []}
        if stored["kind"] == "Route" and SECOND in rows:
            seen.append((rows[SECOND], conditions.find(stored)["status"]))

    await controlled.apply(slow("hello:1"))
    await controlled.make_ready(FIRST)
    controlled.api.on_store = note
    await controlled.apply(slow("hello:2"))
    assert seen == [], "its clock does not run while the new revision starts"
    await controlled.make_ready(SECOND)
    assert seen[0] == (1, "Unknown") and seen[-1] == (100, "True")
    assert {status for percent, status in seen if percent < 100} == {"Unknown"}
