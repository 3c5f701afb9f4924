"""What is kept of objects: all that is read, in few bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.kept import DeploymentPacker, KeptPods, small_autoscaler, small_deployment, small_pod
from autoscaler.pods import PodState
from tidegate.contracts import names

VERSIONS = st.sampled_from(["1", "123456789", str(2**64 - 1), str(2**64), "x", "007", ""])
NAMES = st.sampled_from(["app-00001", "app-00001-deployment", "-deployment", "other", "ä"])
NUMBERS = st.sampled_from([None, 0, 1, 600, 65535, 65536, 2**31 - 1, 2**32, -1])


def labelled(name, revision, version):
    metadata = {"name": name, "namespace": "default", "labels": {names.REVISION_LABEL: revision, "app": "x"}}
    return {"metadata": metadata | ({"resourceVersion": version} if version else {})}


@given(NAMES, NAMES, VERSIONS, NUMBERS, NUMBERS)
def test_a_deployment_comes_out_as_it_was_put_in(name, revision, version, replicas, deadline_s):
    spec = {"replicas": replicas, "progressDeadlineSeconds": deadline_s, "paused": False}
    obj = small_deployment(
        labelled(name, revision, version) | {"spec": {name: value for name, value in spec.items() if value is not None}}
    )
    packer, key = DeploymentPacker(), ("default", name)
    assert packer.unpack(key, packer.pack(key, obj)) == obj


def test_a_deployment_as_the_controller_makes_it_takes_fifteen_bytes():
    obj = small_deployment(labelled("app-00001-deployment", "app-00001", "77") | {"spec": {"replicas": 3}})
    assert len(DeploymentPacker().pack(("default", "app-00001-deployment"), obj)) == 15


@given(st.lists(st.tuples(NAMES, NAMES, VERSIONS, st.sampled_from(["Running", "Failed", "Pending"]) | st.none())))
def test_pods_are_a_dictionary(steps):
    kept, plain = KeptPods(), {}
    for name, revision, version, phase in steps:
        key = ("default", name)
        if phase is None:
            assert kept.pop(key, None) == plain.pop(key, None)
        else:
            kept[key] = plain[key] = small_pod(labelled(name, revision, version) | {"status": {"phase": phase}})
        assert dict(kept) == plain
        assert (len(kept), kept.get(key)) == (len(plain), plain.get(key))


def test_a_pod_is_kept_as_what_it_counts_as():
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    pod = small_pod(labelled("app-00001-x", "app-00001", "5") | {"status": ready, "spec": {"containers": []}})
    assert pod == {
        "metadata": {
            "name": "app-00001-x",
            "namespace": "default",
            "resourceVersion": "5",
            "labels": {names.REVISION_LABEL: "app-00001"},
        },
        "state": PodState.READY,
    }


@pytest.mark.parametrize("left_out", ["managedFields", "ownerReferences", "creationTimestamp", "finalizers"])
def test_who_manages_an_autoscaler_is_not_kept(left_out):
    annotations = {"autoscaling.knative.dev/metric": "rps", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    obj = {"metadata": {"name": "a", left_out: ["x"], "annotations": annotations}, "spec": {"reachability": "x"}}
    assert small_autoscaler(obj) == {
        "metadata": {"name": "a", "annotations": {"autoscaling.knative.dev/metric": "rps"}},
        "spec": {"reachability": "x"},
    }
