"""Credentials of a node that joins: which rights there are, and what the command leaves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cluster.api import rbac
from cluster.api.rbac import AccessRequest, RuleSet, UserInfo
from cluster.node import join, join_plan
from tests.support.fake_api import FakeApi
from tidegate.kube import resources

USER = UserInfo("system:serviceaccount:kube-system:process-node-edge")


def rules(*namespaces: str) -> RuleSet:
    by_kind: dict[str, list[Any]] = {}
    for obj in join_plan.objects("edge", namespaces):
        by_kind.setdefault(obj["kind"], []).append(obj)
    kinds = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    return RuleSet(*(by_kind.get(kind, []) for kind in kinds))


# verb, group, resource, subresource, namespace, name; whether it is allowed everywhere, and with `--namespaces a`.
ASKED: list[tuple[AccessRequest, bool, bool]] = [
    (AccessRequest("patch", "", "nodes", "status", "", "edge"), True, True),
    (AccessRequest("patch", "", "nodes", "status", "", "other"), False, False),
    (AccessRequest("get", "", "nodes", "", "", "other"), False, False),
    (AccessRequest("delete", "", "nodes", "", "", "edge"), False, False),
    (AccessRequest("patch", "coordination.k8s.io", "leases", "", "kube-node-lease", "edge"), True, True),
    (AccessRequest("patch", "coordination.k8s.io", "leases", "", "kube-node-lease", "other"), False, False),
    (AccessRequest("patch", "coordination.k8s.io", "leases", "", "default", "edge"), False, False),
    (AccessRequest("watch", "", "pods"), True, True),
    (AccessRequest("create", "", "pods", "", "a"), False, False),
    (AccessRequest("patch", "", "pods", "", "a", "p"), False, False),
    (AccessRequest("create", "", "pods", "exec", "a", "p"), False, False),
    (AccessRequest("patch", "", "pods", "status", "a", "p"), True, True),
    (AccessRequest("patch", "", "pods", "status", "b", "p"), True, False),
    (AccessRequest("get", "", "secrets", "", "a", "s"), True, True),
    (AccessRequest("get", "", "secrets", "", "kube-system", "s"), True, False),
    (AccessRequest("list", "", "secrets", "", "a"), False, False),
    (AccessRequest("create", "", "serviceaccounts", "token", "b", "x"), True, False),
    (AccessRequest("watch", "discovery.k8s.io", "endpointslices"), True, True),
    (AccessRequest("list", "rbac.authorization.k8s.io", "clusterroles"), False, False),
]


@pytest.mark.parametrize(("asked", "everywhere", "narrowed"), ASKED)
def test_rights_are_what_the_node_needs(asked: AccessRequest, everywhere: bool, narrowed: bool) -> None:
    assert rbac.is_allowed(USER, asked, rules()) is everywhere
    assert rbac.is_allowed(USER, asked, rules("a")) is narrowed


async def test_the_command_can_be_run_again(tmp_path: Path) -> None:
    api = FakeApi()
    config = join.Config(name="edge", output=str(tmp_path / "out"), namespaces="a, b")
    assert await join.make(api, config) == ("token-of-process-node-edge", "2099-01-01T00:00:00Z")
    role = api.peek(resources.ROLES, "process-node-edge", "b")
    assert role is not None
    await api.patch(resources.ROLES, "process-node-edge", {"rules": []}, "b")
    await join.make(api, config)
    again = api.peek(resources.ROLES, "process-node-edge", "b")
    assert again is not None
    assert again["rules"] == role["rules"]


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "out"
    for token in ("first", "second"):
        join.write(path, join_plan.kubeconfig("edge", "https://there:6443", "PEM", token))
    assert path.stat().st_mode & 0o777 == 0o600
    document = json.loads(path.read_text())
    assert document["users"][0]["user"]["token"] == "second"
    assert document["clusters"][0]["cluster"]["server"] == "https://there:6443"


@pytest.mark.parametrize("changed", [{"name": "Edge_1"}, {"token_days": 0}])
def test_bad_settings_are_named(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        join.Config(**({"name": "edge", "output": "x"} | changed))


async def test_rights_that_are_not_wanted_any_more_are_taken_back(tmp_path: Path) -> None:
    api = FakeApi()
    wide = join.Config(name="edge", output=str(tmp_path / "out"))
    await join.make(api, wide)
    await join.make(api, dataclasses.replace(wide, namespaces="a,b"))
    assert api.peek(resources.CLUSTER_ROLE_BINDINGS, join_plan.everywhere_of("edge")) is None
    assert api.peek(resources.CLUSTER_ROLES, join_plan.everywhere_of("edge")) is None
    await join.make(api, dataclasses.replace(wide, namespaces="b"))
    for resource in (resources.ROLES, resources.ROLE_BINDINGS):
        assert {one["metadata"]["namespace"] for one in api.all(resource)} == {"kube-node-lease", "b"}
    await join.make(api, wide)
    assert api.peek(resources.CLUSTER_ROLE_BINDINGS, join_plan.everywhere_of("edge")) is not None


def test_nodes_of_similar_names_share_no_role() -> None:
    def names(node: str) -> set[tuple[str, str]]:
        return {(one["kind"], one["metadata"]["name"]) for one in join_plan.objects(node)}

    assert not names("edge") & names("edge-pods")
