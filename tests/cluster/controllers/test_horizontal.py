"""HorizontalPodAutoscalers: the replicas that Kubernetes' rules give, and what becomes of the Deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from cluster.controllers import conditions, horizontal, usage
from cluster.controllers.actions import Patch, PatchStatus
from cluster.controllers.horizontal import Seen
from cluster.controllers.reconcilers import Reconcilers
from cluster.controllers.scaling_rules import History
from cluster.controllers.usage import Amount, Meter
from tests.support.fake_api import FakeApi
from tidegate.kube.api import Object, Resource

if TYPE_CHECKING:
    from cluster.controllers.watches import Watches

NOW = 1_800_000_000.0
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100Mi"}},
}
OTHER = {"type": "Pods", "pods": {"metric": {"name": "x"}, "target": {"type": "AverageValue", "averageValue": "1"}}}
AT_ONCE = {"scaleUp": {"stabilizationWindowSeconds": 0}, "scaleDown": {"stabilizationWindowSeconds": 0}}


def autoscaler(*metrics: Object, **spec: object) -> Object:
    wanted = {"maxReplicas": 10, "metrics": list(metrics), "behavior": AT_ONCE, **spec}
    return {"metadata": {"name": "a", "namespace": "d"}, "spec": wanted}


def deployment(replicas: int) -> Object:
    return {"metadata": {"name": "a", "namespace": "d"}, "spec": {"replicas": replicas}}


def busy(cores: float, mib: float = 0.0) -> Seen:
    """A ready pod that asks for a tenth of a core."""
    return Seen(True, {"cpu": 0.1}, {"cpu": cores, "memory": mib * 2**20})


NOTHING = History()
NEW = Seen(False, {"cpu": 0.1}, {})


def replicas(spec: Object, pods: list[Seen], earlier: History = NOTHING) -> int:
    count = len(pods)
    plan, _ = horizontal.plan(spec, deployment(count), pods, earlier, NOW)
    patches = [action for action in plan.actions if isinstance(action, Patch)]
    return int(patches[0].patch["spec"]["replicas"]) if patches else count


@pytest.mark.parametrize(
    ("title", "metrics", "pods", "wanted"),
    [
        ("use over target", [CPU], [busy(0.15)], 3),
        ("a tenth is tolerated", [CPU], [busy(0.054)], 1),
        ("less than a pod's worth", [CPU], [busy(0.01)] * 4, 1),
        ("the highest metric wins", [CPU, MEMORY], [busy(0.05, 350)], 4),
        ("at most doubled, or four more", [CPU], [busy(5.0)], 5),
        ("never above the maximum", [CPU], [busy(5.0)] * 8, 10),
        ("pods without numbers are idle on the way up", [CPU], [busy(0.15), NEW], 3),
        ("and no further up than they would take", [CPU], [busy(0.07), NEW], 2),
        ("and at their target on the way down", [CPU], [busy(0.0), busy(0.0), NEW], 1),
        ("nothing is known", [CPU], [NEW], 1),
        ("a metric of a type that is not known takes nothing away", [CPU, OTHER], [busy(0.0)] * 3, 3),
        ("and lets others add", [CPU, OTHER], [busy(0.15)], 3),
        ("no metric", [], [busy(5.0)], 1),
    ],
)
def test_desired(title: str, metrics: list[Object], pods: list[Seen], wanted: int) -> None:
    assert replicas(autoscaler(*metrics), pods) == wanted, title


def test_bounds_hold_without_any_load_too() -> None:
    assert replicas(autoscaler(CPU, minReplicas=3), [busy(0.0)]) == 3
    assert replicas(autoscaler(CPU, maxReplicas=2), [busy(0.05)] * 4) == 2


def test_a_deployment_at_zero_is_left_alone() -> None:
    plan, _ = horizontal.plan(autoscaler(CPU), deployment(0), [], NOTHING, NOW)
    told = plan.actions[0]
    assert isinstance(told, PatchStatus)
    assert len(plan.actions) == 1
    assert conditions.find(told.status["conditions"], "ScalingActive")["reason"] == "ScalingDisabled"


def test_the_status_is_written_once_and_what_is_remembered_is_bounded() -> None:
    spec, earlier = autoscaler(CPU), History(tuple((NOW - age, 1) for age in range(400)))
    plan, kept = horizontal.plan(spec, deployment(1), [busy(0.05)], earlier, NOW)
    told = plan.actions[0]
    assert isinstance(told, PatchStatus)
    assert (told.status["currentReplicas"], told.status["desiredReplicas"]) == (1, 1)
    assert kept == History(((NOW, 1),))
    again, _ = horizontal.plan(spec | {"status": told.status}, deployment(1), [busy(0.05)], kept, NOW + 1)
    assert again.actions == []


def summary(cpu_s: float) -> Object:
    used = {"cpu": {"usageCoreNanoSeconds": int(cpu_s * 1e9)}, "memory": {"workingSetBytes": 100}}
    containers = [{"name": name, **used} for name in ("app", "queue-proxy")]
    return {"pods": [{"podRef": {"namespace": "d", "name": "p"}, "containers": containers}]}


def test_cores_are_what_was_spent_between_two_looks() -> None:
    first = usage.seen(usage.Look(), summary(3.0), 100.0)
    assert first.amounts == {}
    second = usage.seen(first, summary(4.0), 104.0)
    assert second.amounts == {("d", "p"): usage.Amount(0.5, 200.0)}
    assert second.containers["d", "p"]["app"] == usage.Amount(0.25, 100.0)
    assert usage.seen(second, summary(0.5), 105.0).amounts[("d", "p")].cpu == 0.0, "containers that started anew"


async def test_a_node_is_not_asked_more_often_than_it_matters() -> None:
    asked = []

    async def ask(node: str) -> Object:
        asked.append(node)
        return summary(1.0)

    meter = usage.Meter(ask)
    for _ in range(3):
        await meter.amounts(["n1", "n2"])
    assert asked == ["n1", "n2"]


class _Views:
    """Views of a fixed set of objects."""

    def __init__(self, **objects: list[Object]) -> None:
        self._objects = objects

    def view(self, resource: Resource) -> Any:
        return self._objects[resource.kind]


async def test_pods_that_have_failed_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class One(list[Object]):
        def get(self, _name: str, _namespace: str) -> Object:
            return self[0]

    def pod(name: str, phase: str) -> Object:
        spec = {"nodeName": "n", "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}
        state = {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if phase == "Running" else "False"}]}
        return {"metadata": {"name": name, "namespace": "default"}, "spec": spec, "status": state}

    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}
    scaled = {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 9, "metrics": [metric]}
    metadata = {"name": "d", "namespace": "default"}
    views = _Views(
        HorizontalPodAutoscaler=One([{"metadata": metadata, "spec": scaled}]),
        Deployment=One([{"metadata": metadata, "spec": {"replicas": 1}}]),
    )
    reconcilers = Reconcilers(FakeApi(), cast("Watches", views), meter=Meter(_unasked))
    controlled = {"ReplicaSet": [{}], "Pod": [pod("works", "Running"), pod("dead", "Failed"), pod("too", "Failed")]}
    monkeypatch.setattr(reconcilers, "_controlled", lambda resource, _owner: controlled[resource.kind])

    async def amounts(_nodes: Any) -> Any:
        return {("default", "works"): Amount(3.0, 1.0)}

    monkeypatch.setattr(reconcilers._meter, "amounts", amounts)
    plan = await reconcilers.horizontal("default", "d")
    assert [one.patch for one in plan.actions if isinstance(one, Patch)] == [{"spec": {"replicas": 3}}]


async def _unasked(_node: str) -> Object:
    raise AssertionError
