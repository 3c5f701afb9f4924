"""When a Route or DomainMapping is Ready: as soon as every ready gateway has its table, and not before.

Whole stories over played gateways; the conditions are those that Knative's ingress would show.
"""

import pytest

from controller.patience import HOLD_S
from controller.programming import NO_GATEWAY, WAITING
from controller.reconcile import ingress, rollout
from tests.support.controller_world import NAMESPACE, ControllerWorld, controller_world, service
from tests.support.played_gateways import PlayedGateways
from tidegate.contracts import conditions, names
from tidegate.kube import resources

pytestmark = pytest.mark.looptime

KSVC, REV, RT, DM = resources.KNATIVE_SERVICES, resources.REVISIONS, resources.ROUTES, resources.DOMAIN_MAPPINGS
IS_WAITING = ("Unknown", "Uninitialized", WAITING)
IS_TRUE = ("True", "", "")


@pytest.fixture
async def world():
    async with controller_world(gateways=PlayedGateways) as made:
        made.gateways.set_ready("a", "b")
        yield made


async def ready_service(world: ControllerWorld) -> None:
    await world.apply(service())
    await world.make_ready("hello-00001")
    world.gateways.tell("a", "b")
    await world.settle()
    assert world.condition(KSVC, "hello") == IS_TRUE


def watched(world: ControllerWorld) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return a list that fills with IngressReady, its reason and the revisions routed, at each write of the Route."""
    seen: list[tuple[str, str, tuple[str, ...]]] = []

    def note(obj):
        if obj["kind"] == "Route" and (found := conditions.find(obj, "IngressReady")):
            rows = tuple(row["revisionName"] for row in obj["status"].get("traffic") or ())
            told = (found["status"], found.get("reason", ""), rows)
            if not seen or seen[-1] != told:
                seen.append(told)

    world.api.on_store = note
    return seen


async def test_a_new_route_waits_for_every_ready_gateway(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    assert world.get(RT, "hello")["status"]["traffic"][0]["revisionName"] == "hello-00001", "the table is out"
    assert world.condition(RT, "hello", "IngressReady") == IS_WAITING
    assert world.condition(KSVC, "hello") == IS_WAITING
    world.gateways.tell("a")
    await world.settle()
    assert world.condition(RT, "hello", "IngressReady") == IS_WAITING
    world.gateways.tell("b")
    await world.settle()
    assert world.condition(RT, "hello", "IngressReady") == IS_TRUE
    assert world.condition(KSVC, "hello") == IS_TRUE


async def test_a_table_is_written_at_once_and_never_held_back(world):
    assert HOLD_S > 20 * 0.01
    await world.apply(service())
    seen = watched(world)
    world.play_ready("hello-00001")
    for _ in range(20):
        await world.turn(0.01)
    assert seen == [("Unknown", "Uninitialized", ("hello-00001",))]


async def test_a_route_that_was_ready_is_unknown_during_each_update_and_serves_the_last_good_table(world):
    await ready_service(world)
    seen = watched(world)
    await world.apply(service(image="hello:2"))
    assert {told for told in seen if told[0] != "True"} == set(), "nothing to program while the revision comes up"
    await world.make_ready("hello-00002")
    assert world.condition(RT, "hello", "IngressReady") == IS_WAITING
    old = world.get(REV, "hello-00001")["metadata"]["labels"]
    assert old[names.ROUTING_STATE_LABEL] == "active", "a gateway may still send to it"
    world.gateways.tell("a", "b")
    await world.settle()
    assert seen[-2:] == [("Unknown", "Uninitialized", ("hello-00002",)), ("True", "", ("hello-00002",))]
    assert world.get(REV, "hello-00001")["metadata"]["labels"][names.ROUTING_STATE_LABEL] == "reserve"


async def test_an_update_that_changes_no_table_takes_nothing_back(world):
    await ready_service(world)
    seen = watched(world)
    changed = service()
    changed["metadata"]["annotations"] = {names.ROLLOUT_DURATION_ANNOTATION: "5s"}
    await world.apply(changed)
    route = world.get(RT, "hello")
    assert route["status"]["observedGeneration"] == route["metadata"]["generation"]
    assert {told[0] for told in seen} <= {"True"}
    assert world.condition(KSVC, "hello") == IS_TRUE


async def test_gateways_that_come_and_go_take_nothing_back(world):
    await ready_service(world)
    before = len(world.api.calls)
    for ready in (("a",), (), ("c",), ("c", "d")):
        world.gateways.set_ready(*ready)
        world.worker.mark_everything()
        await world.settle()
    assert world.api.calls[before:] == []


async def test_a_gateway_that_goes_holds_nobody_up(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    world.gateways.tell("a")
    await world.settle()
    assert world.condition(KSVC, "hello") == IS_WAITING
    world.gateways.set_ready("a")
    await world.settle()
    assert world.condition(KSVC, "hello") == IS_TRUE


async def test_no_gateway_at_all_is_told(world):
    world.gateways.set_ready()
    await world.apply(service())
    await world.make_ready("hello-00001")
    assert world.condition(RT, "hello", "IngressReady") == ("Unknown", "Uninitialized", NO_GATEWAY)
    world.gateways.set_ready("a")
    await world.settle()
    assert world.condition(RT, "hello", "IngressReady") == IS_WAITING
    world.gateways.tell("a")
    await world.settle()
    assert world.condition(KSVC, "hello") == IS_TRUE


async def test_another_controller_goes_on_where_the_last_one_was(world):
    await world.apply(service())
    await world.make_ready("hello-00001")
    world.gateways.set_ready("c")  # all it was told is forgotten, as with a controller that has just begun
    world.worker.mark_everything()
    await world.settle()
    assert world.condition(KSVC, "hello") == IS_WAITING
    world.gateways.tell("c")
    await world.settle()
    assert world.condition(KSVC, "hello") == IS_TRUE


async def test_a_domain_waits_for_its_own_table_and_for_that_of_its_route(world):
    network = {"claim": {"metadata": {"name": "www.example.org"}, "spec": {"namespace": NAMESPACE}}}
    world.api.put(resources.CLUSTER_DOMAIN_CLAIMS, network["claim"])
    mapping = {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": "www.example.org", "namespace": NAMESPACE},
        "spec": {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}},
    }
    await world.apply(service())
    await world.apply(mapping)
    assert world.condition(DM, "www.example.org", "IngressReady")[0] == "Unknown"
    assert world.get(DM, "www.example.org")["status"]["annotations"][names.MAPPED_TO_ANNOTATION]
    world.gateways.tell("a", "b")
    await world.settle()
    assert world.condition(DM, "www.example.org", "IngressReady") == IS_WAITING, "its Route routes nothing yet"
    await world.make_ready("hello-00001")
    assert world.condition(DM, "www.example.org", "IngressReady") == IS_WAITING, "the gateways lack the Route's table"
    world.gateways.tell("a", "b")
    await world.settle()
    assert world.condition(DM, "www.example.org") == IS_TRUE


async def test_the_steps_of_a_gradual_rollout_begin_when_the_gateways_have_the_first_percent(world):
    slow = {names.ROLLOUT_DURATION_ANNOTATION: "10s"}
    first, second = service(), service(image="hello:2")
    for one in (first, second):
        one["metadata"]["annotations"] = slow
    await world.apply(first)
    await world.make_ready("hello-00001")
    world.gateways.tell("a", "b")
    await world.settle()
    await world.apply(second)
    world.play_ready("hello-00002")
    for _ in range(50):
        await world.turn(0.1)
    assert shares(world) == {"hello-00001": 99, "hello-00002": 1}, "five seconds, and not a step"
    assert world.condition(RT, "hello", "IngressReady")[:2] == ("Unknown", "RolloutInProgress")
    world.gateways.tell("a", "b")
    await world.turn(HOLD_S)
    await world.turn(0.1)
    (state,) = rollout.decode(world.get(RT, "hello")["status"]["annotations"][names.ROLLOUT_STATE_ANNOTATION])
    assert (state.step_s, state.step_percent) == (4.0, 99), "no step may be shorter than the six seconds of the first"
    while len(shares(world)) > 1:
        await world.turn(0.5)
    assert world.condition(RT, "hello", "IngressReady") == IS_WAITING
    world.gateways.tell("a", "b")
    await world.settle()
    assert world.condition(KSVC, "hello") == IS_TRUE


def shares(world: ControllerWorld) -> dict[str, int]:
    return {row["revisionName"]: row["percent"] for row in world.get(RT, "hello")["status"]["traffic"]}


ROW = {"revisionName": "a", "percent": 100, "latestRevision": True}


@pytest.mark.parametrize(
    ("status", "is_same"),
    [
        ({"url": "http://h.example.com", "traffic": [ROW]}, True),
        ({"url": "https://h.example.com", "traffic": [ROW]}, True),  # the host is the same
        ({"url": "http://h.example.com", "traffic": [ROW | {"latestRevision": False}]}, True),
        ({"url": "http://h.example.com", "traffic": [ROW], "annotations": {names.ROLLOUT_STATE_ANNOTATION: "x"}}, True),
        ({"url": "http://other.example.com", "traffic": [ROW]}, False),
        ({"url": "http://h.example.com", "traffic": [ROW | {"revisionName": "b"}]}, False),
        ({"url": "http://h.example.com", "traffic": [ROW | {"tag": "t", "url": "http://t-h.example.com"}]}, False),
        ({"url": "http://h.example.com", "traffic": []}, False),
        (
            {
                "url": "http://h.example.com",
                "traffic": [ROW],
                "annotations": {names.HTTP_PROTOCOL_ANNOTATION: names.REDIRECTED},
            },
            False,
        ),
    ],
)
def test_what_of_a_status_gateways_read(status, is_same):
    stored = {"url": "http://h.example.com", "traffic": [ROW], "observedGeneration": 1}
    assert (ingress.table_of_route(stored) == ingress.table_of_route(status)) is is_same


def test_a_url_without_traffic_is_no_table():
    assert ingress.table_of_route({"url": "http://h.example.com"}) == ingress.table_of_route({})


@pytest.mark.parametrize(
    ("before", "is_new", "obstacle", "told", "awaits"),
    [
        ("Unknown", True, WAITING, IS_WAITING, True),
        ("Unknown", True, "", IS_WAITING, True),  # they have what is stored, which is another table
        ("Unknown", False, WAITING, IS_WAITING, True),
        ("Unknown", False, NO_GATEWAY, ("Unknown", "Uninitialized", NO_GATEWAY), True),
        ("Unknown", False, "", IS_TRUE, False),
        ("False", False, "", IS_TRUE, False),
        ("False", False, WAITING, IS_WAITING, True),
        ("True", False, WAITING, IS_TRUE, False),  # a gateway that is new
        ("True", False, NO_GATEWAY, IS_TRUE, False),
        ("True", True, "", IS_WAITING, True),
    ],
)
def test_ingress_ready_by_what_it_was_what_is_new_and_what_gateways_lack(before, is_new, obstacle, told, awaits):
    stored = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1}}
    stored["status"]["conditions"] = [{"type": "IngressReady", "status": before}]
    state = conditions.Conditions(conditions.ROUTE, stored, 0.0)
    assert ingress.mark(state, is_new=is_new, obstacle=obstacle) is awaits
    found = state.get("IngressReady")
    assert (found["status"], found.get("reason", ""), found.get("message", "")) == told
