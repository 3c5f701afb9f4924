"""What the controller knows, how it is found again, and whom a change concerns."""

import pytest

from controller import objects, triggers
from controller.objects import Objects
from controller.triggers import Key
from tidegate.kube import resources


def obj(name, version="1", *, uid="u", labels=None, annotations=None, owner=None, **more):
    metadata = {"name": name, "namespace": "default", "uid": uid, "resourceVersion": version}
    metadata |= {"labels": labels or {}, "annotations": annotations or {}}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "uid": "o", "controller": True}]
    return {"metadata": metadata} | more


def revision(name, configuration="hello", **kwargs):
    labels = {"serving.knative.dev/configuration": configuration}
    return obj(name, labels=labels, owner=("Configuration", configuration), **kwargs)


@pytest.mark.parametrize(
    ("old", "new", "is_news"),
    [("1", "2", True), ("2", "1", False), ("2", "2", False), ("9", "10", True), ("x", "y", True), ("x", "x", False)],
)
def test_an_older_version_never_replaces_a_newer_one(old, new, is_news):
    known = Objects()
    known.put(resources.ROUTES, obj("a", old))
    assert known.put(resources.ROUTES, obj("a", new)) is is_news


def test_a_new_object_under_an_old_name_is_news_whatever_its_version():
    known = Objects()
    known.put(resources.ROUTES, obj("a", "9", uid="1"))
    assert known.put(resources.ROUTES, obj("a", "3", uid="2"))


def test_indexes_follow_changes_and_removals():
    known = Objects()
    marked = {"serving.knative.dev/routes": "a,b"}
    known.put(resources.REVISIONS, revision("hello-1", annotations=marked))
    find = lambda index, key: [  # noqa: E731
        found["metadata"]["name"] for found in known.find(resources.REVISIONS, index, "default", key)
    ]
    assert find(objects.BY_CONFIGURATION, "hello") == ["hello-1"]
    assert find(objects.BY_ROUTE, "b") == ["hello-1"]
    known.put(resources.REVISIONS, revision("hello-1", version="2", annotations={"serving.knative.dev/routes": "a"}))
    assert find(objects.BY_ROUTE, "b") == []
    assert known.remove(resources.REVISIONS, "default", "hello-1")
    assert find(objects.BY_ROUTE, "a") == []
    assert not known.remove(resources.REVISIONS, "default", "hello-1")


def test_managed_fields_and_the_specs_of_pods_are_not_kept():
    known = Objects()
    pod = obj("p", spec={"containers": []}, status={"phase": "Running", "podIP": "1.2.3.4"})
    pod["metadata"]["managedFields"] = [1]
    known.put(resources.PODS, pod)
    kept = known.get(resources.PODS, "default", "p")
    assert "spec" not in kept
    assert kept["status"] == {"phase": "Running"}
    assert "managedFields" not in kept["metadata"]


TRAFFIC = {"traffic": [{"configurationName": "hello"}, {"revisionName": "old-1"}]}

CASES = {
    "service": (resources.KNATIVE_SERVICES, obj("hello"), {("Service", "hello")}),
    "configuration": (
        resources.CONFIGURATIONS,
        obj("hello", owner=("Service", "hello")),
        {("Configuration", "hello"), ("Service", "hello"), ("Route", "web")},
    ),
    "revision": (
        resources.REVISIONS,
        revision("hello-00001"),
        {("Revision", "hello-00001"), ("Configuration", "hello")},
    ),
    "routed revision": (
        resources.REVISIONS,
        revision("old-1", "old"),
        {("Revision", "old-1"), ("Configuration", "old"), ("Route", "web")},
    ),
    "foreign revision of a name somebody asks for": (
        resources.REVISIONS,
        obj("hello-blue"),
        {("Revision", "hello-blue"), ("Configuration", "hello")},
    ),
    "route": (resources.ROUTES, obj("web", owner=("Service", "s")), {("Route", "web"), ("Service", "s")}),
    "deployment": (resources.DEPLOYMENTS, obj("d", owner=("Revision", "r")), {("Revision", "r")}),
    "deployment of nobody": (resources.DEPLOYMENTS, obj("d"), set()),
    "scaler": (resources.POD_AUTOSCALERS, obj("r", owner=("Revision", "r")), {("Revision", "r")}),
    "pod": (resources.PODS, obj("p", labels={"serving.knative.dev/revision": "r"}), {("Revision", "r")}),
    "pod of nobody": (resources.PODS, obj("p"), set()),
    "config map": (resources.CONFIG_MAPS, obj("config-gc"), set()),
}


@pytest.mark.parametrize("case", CASES)
def test_whom_a_change_concerns(case):
    resource, changed, concerned = CASES[case]
    known = Objects()
    known.put(resources.CONFIGURATIONS, obj("hello"))
    known.put(resources.ROUTES, obj("web", spec=TRAFFIC))
    assert triggers.concerned(known, resource, changed) == {Key(kind, "default", name) for kind, name in concerned}


def test_everything_includes_routes_that_are_gone_but_still_marked():
    known = Objects()
    known.put(resources.REVISIONS, revision("hello-1", annotations={"serving.knative.dev/routes": "gone"}))
    assert triggers.everything(known) == {Key("Revision", "default", "hello-1"), Key("Route", "default", "gone")}
