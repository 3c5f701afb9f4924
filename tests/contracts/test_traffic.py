"""Which revisions a traffic block means, and what stands in the way."""

import pytest

from tidegate.contracts import traffic
from tidegate.contracts.traffic import Lookup

READY = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}
FAILED = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "False"}]}


def revision(name, status=READY, service="hello", configuration="hello"):
    labels = {"serving.knative.dev/service": service, "serving.knative.dev/configuration": configuration}
    return {"metadata": {"name": name, "generation": 1, "labels": labels}, "status": status}


def configuration(name="hello", ready="hello-00002", created="hello-00002", status=None):
    names = {"latestReadyRevisionName": ready, "latestCreatedRevisionName": created}
    return {"metadata": {"name": name, "generation": 1}, "status": (status or READY) | names}


def route(*targets, service="hello"):
    return {
        "metadata": {"name": "hello", "labels": {"serving.knative.dev/service": service}},
        "spec": {"traffic": targets},
    }


LOOKUP = Lookup(
    {
        "hello": configuration(),
        "empty": configuration("empty", "", "", {}),
        "bad": configuration("bad", "", "b-1", FAILED),
    },
    {
        "hello-00001": revision("hello-00001"),
        "hello-00002": revision("hello-00002"),
        "failed": revision("failed", FAILED),
        "young": revision("young", {}),
        "other": revision("other", service="other", configuration="other"),
    },
)


def resolve(*targets, **kwargs):
    return traffic.resolve(route(*targets, **kwargs), LOOKUP, lambda tag: f"http://{tag}")


def test_latest_follows_the_configuration():
    assert resolve({"configurationName": "hello", "percent": 100}).traffic == (
        {"revisionName": "hello-00002", "latestRevision": True, "percent": 100},
    )


def test_entries_keep_their_order_and_tags_their_url():
    found = resolve(
        {"revisionName": "hello-00001", "percent": 80},
        {"configurationName": "hello", "percent": 20},
        {"revisionName": "hello-00001", "tag": "old"},
    )
    assert found.traffic == (
        {"revisionName": "hello-00001", "latestRevision": False, "percent": 80},
        {"revisionName": "hello-00002", "latestRevision": True, "percent": 20},
        {"revisionName": "hello-00001", "latestRevision": False, "percent": 0, "tag": "old", "url": "http://old"},
    )


def test_only_equal_entries_are_merged():
    found = resolve(
        {"revisionName": "hello-00002", "percent": 30},
        {"configurationName": "hello", "percent": 40},
        {"revisionName": "hello-00002", "percent": 30},
    )
    assert [entry["percent"] for entry in found.traffic] == [60, 40]


@pytest.mark.parametrize(
    ("target", "status", "reason", "message"),
    [
        (
            {"configurationName": "none"},
            "False",
            "ConfigurationMissing",
            'Configuration "none" referenced in traffic not found.',
        ),
        ({"revisionName": "none"}, "False", "RevisionMissing", 'Revision "none" referenced in traffic not found.'),
        (
            {"configurationName": "empty"},
            "Unknown",
            "RevisionMissing",
            'Configuration "empty" is waiting for a Revision to become ready.',
        ),
        (
            {"configurationName": "bad"},
            "False",
            "RevisionMissing",
            'Configuration "bad" does not have any ready Revision.',
        ),
        ({"revisionName": "failed"}, "False", "RevisionMissing", 'Revision "failed" failed to become ready.'),
        ({"revisionName": "young"}, "Unknown", "RevisionMissing", 'Revision "young" is not yet ready.'),
        (
            {"revisionName": "other"},
            "False",
            "RevisionNotOwned",
            'Revision "other" does not belong to Service "hello".',
        ),
    ],
)
def test_obstacles(target, status, reason, message):
    found = resolve({"configurationName": "hello", "percent": 100}, target)
    assert found.traffic == ()
    assert (found.obstacle.status, found.obstacle.reason, found.obstacle.message) == (status, reason, message)


def test_a_definite_failure_is_told_before_one_that_may_pass():
    assert resolve({"revisionName": "young"}, {"revisionName": "failed"}).obstacle.status == "False"
    assert resolve({"revisionName": "failed"}, {"revisionName": "young"}).obstacle.status == "False"


def test_referenced_names_come_from_spec_and_status():
    made = route({"configurationName": "hello", "percent": 100})
    made["status"] = {"traffic": [{"revisionName": "hello-00001", "percent": 100}]}
    assert traffic.referenced(made, LOOKUP) == ({"hello-00001", "hello-00002"}, {"hello"})


def test_migrated_means_status_shows_what_spec_asks():
    made = route({"configurationName": "hello", "percent": 100})
    made["status"] = {"traffic": [{"revisionName": "hello-00001", "percent": 100, "latestRevision": True}]}
    assert not traffic.is_migrated(made, "hello-00002")
    assert traffic.is_migrated(made, "hello-00001")
    made["status"]["traffic"].append({"revisionName": "x"})
    assert not traffic.is_migrated(made, "hello-00001")
