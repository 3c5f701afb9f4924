"""A Service is Ready when its children show what it asks for, also when all they have to do is to lose something."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from controller.reconcile import service
from tidegate.contracts import conditions

NOW = 1_700_000_000.0
TAGGED = [{"tag": "next", "latestRevision": True, "percent": 100}]
UNTAGGED = [{"latestRevision": True, "percent": 100}]
TEMPLATE = {
    "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}},
    "spec": {"containers": [{"image": "i"}]},
}


def ready_service() -> service.Observed:
    """A Service of generation 1 whose children are ready, as after its first rollout."""
    metadata = {"name": "s", "namespace": "d", "uid": "u", "generation": 1}
    wanted = {
        "apiVersion": service.API_VERSION,
        "kind": "Service",
        "metadata": metadata,
        "spec": {"template": copy.deepcopy(TEMPLATE), "traffic": copy.deepcopy(TAGGED)},
    }
    ready = [{"type": "Ready", "status": "True"}]
    latest = {"latestCreatedRevisionName": "s-00001", "latestReadyRevisionName": "s-00001"}
    configuration = service.configuration(wanted, None)
    route = service.route(wanted)
    for child, more in (
        (configuration, latest),
        (route, {"traffic": [TAGGED[0] | {"revisionName": "s-00001"}], "url": "http://s.d"}),
    ):
        child["metadata"] |= {"generation": 1, "uid": child["kind"]}
        child["status"] = {"observedGeneration": 1, "conditions": ready, **more}
    observed = service.Observed(wanted, configuration, route)
    wanted["status"] = service.reconcile(observed, NOW).status
    assert is_ready(wanted["status"]) == "True"
    return observed


def is_ready(status: dict[str, Any]) -> str:
    condition = conditions.find({"status": status})
    assert condition is not None
    return str(condition["status"])


@pytest.mark.parametrize(
    ("change", "late"),
    [
        ({"traffic": UNTAGGED}, "RoutesReady"),
        ({"template": {"spec": TEMPLATE["spec"]}}, "ConfigurationsReady"),
    ],
    ids=["a tag goes", "an annotation goes"],
)
def test_a_child_that_has_only_to_lose_something_is_waited_for(change: dict[str, Any], late: str) -> None:
    observed = ready_service()
    observed.service["spec"] |= change
    observed.service["metadata"]["generation"] = 2
    for _ in range(2):  # the second time what was applied has not come back yet
        outcome = service.reconcile(observed, NOW)
        observed.service["status"] = outcome.status
        assert len(outcome.actions) == 1
        assert outcome.status["observedGeneration"] == 2
        assert is_ready(outcome.status) == "Unknown"
        [waiting] = [one for one in outcome.status["conditions"] if one["type"] == late]
        assert waiting["reason"] == service.OUT_OF_DATE


def test_a_label_alone_does_not_make_ready_flap() -> None:
    observed = ready_service()
    observed.service["metadata"]["labels"] = {"a": "b"}
    outcome = service.reconcile(observed, NOW)
    assert len(outcome.actions) == 2, "both children are told of the label"
    assert is_ready(outcome.status) == "True"
