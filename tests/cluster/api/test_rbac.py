"""RBAC as tables: a rule, a binding or a subject, and whether a request passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.rbac import AccessRequest, RuleSet, UserInfo, is_allowed

USER = UserInfo("jane", ("devs",))
SUBJECT = {"kind": "User", "name": "jane"}


def cluster_rules(*rules, subjects=(SUBJECT,)):
    return RuleSet(
        cluster_roles=[
            {"metadata": {"name": "r"}, "rules": list(rules)},
            {"metadata": {"name": "other"}, "rules": None},
        ],
        cluster_role_bindings=[
            {"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": list(subjects)}
        ],
    )


def rule(verbs="get", groups="", resources="pods", names=()):
    return {
        "verbs": verbs.split(","),
        "apiGroups": groups.split(","),
        "resources": resources.split(","),
        "resourceNames": list(names),
    }


GET_POD = AccessRequest("get", "", "pods", "", "n", "a")
RULES = [
    (rule(), GET_POD, True),
    (rule("list,watch"), GET_POD, False),
    (rule("*"), GET_POD, True),
    (rule(groups="apps"), GET_POD, False),
    (rule(groups="*"), GET_POD, True),
    (rule(resources="services"), GET_POD, False),
    (rule(resources="*"), GET_POD, True),
    (rule(names=["a"]), GET_POD, True),
    (rule(names=["b"]), GET_POD, False),
    (rule(names=["a"]), AccessRequest("get", "", "pods", "", "n"), False),
    (rule(), AccessRequest("get", "", "pods", "log", "n", "a"), False),
    (rule(resources="pods/log"), AccessRequest("get", "", "pods", "log", "n", "a"), True),
    (rule(resources="pods/log"), GET_POD, False),
    (rule(resources="*/log"), AccessRequest("get", "", "pods", "log", "n", "a"), True),
    (rule(resources="*/scale"), AccessRequest("get", "", "pods", "log", "n", "a"), False),
    (rule(resources="*"), AccessRequest("get", "", "pods", "log", "n", "a"), True),
    (rule(), AccessRequest("get", "", "nodes"), False),
    (rule(resources="nodes"), AccessRequest("get", "", "nodes"), True),
    ({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}, AccessRequest("get", path="/healthz"), True),
    ({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}, AccessRequest("get", path="/healthz/x"), False),
    ({"verbs": ["get"], "nonResourceURLs": ["/healthz/*"]}, AccessRequest("get", path="/healthz/x"), True),
    ({"verbs": ["get"], "nonResourceURLs": ["*"]}, AccessRequest("get", path="/any"), True),
    ({"verbs": ["post"], "nonResourceURLs": ["*"]}, AccessRequest("get", path="/any"), False),
    ({"verbs": ["*"], "nonResourceURLs": ["*"]}, GET_POD, False),
    (rule("*", "*", "*"), AccessRequest("get", path="/metrics"), False),
    ({"verbs": ["get"]}, GET_POD, False),
    ({}, GET_POD, False),
]


@pytest.mark.parametrize(("one", "request_", "expected"), RULES)
def test_rule(one, request_, expected):
    assert is_allowed(USER, request_, cluster_rules(one)) is expected


SUBJECTS = [
    ([SUBJECT], USER, True),
    ([{"kind": "User", "name": "joe"}], USER, False),
    ([{"kind": "Group", "name": "devs"}], USER, True),
    ([{"kind": "Group", "name": "ops"}], USER, False),
    ([{"kind": "User", "name": "devs"}], USER, False),
    ([{"kind": "User", "name": "joe"}, SUBJECT], USER, True),
    ([{"kind": "ServiceAccount", "namespace": "n", "name": "s"}], UserInfo("system:serviceaccount:n:s"), True),
    ([{"kind": "ServiceAccount", "namespace": "m", "name": "s"}], UserInfo("system:serviceaccount:n:s"), False),
    ([{"kind": "Robot", "name": "jane"}], USER, False),
    ([], USER, False),
]


@pytest.mark.parametrize(("subjects", "user", "expected"), SUBJECTS)
def test_subject(subjects, user, expected):
    assert is_allowed(user, GET_POD, cluster_rules(rule(), subjects=subjects)) is expected


def namespaced(kind, role_namespace="n", binding_namespace="n"):
    role = {"metadata": {"name": "r", "namespace": role_namespace}, "rules": [rule()]}
    binding = {
        "metadata": {"name": "b", "namespace": binding_namespace},
        "roleRef": {"kind": kind, "name": "r"},
        "subjects": [SUBJECT, {"kind": "ServiceAccount", "name": "s"}],
    }
    roles = {"roles": [role]} if kind == "Role" else {"cluster_roles": [role]}
    return RuleSet(role_bindings=[binding], **roles)


NAMESPACES = [
    (namespaced("Role"), GET_POD, True),
    (namespaced("Role", role_namespace="m"), GET_POD, False),
    (namespaced("Role", binding_namespace="m", role_namespace="m"), GET_POD, False),
    (namespaced("ClusterRole", role_namespace=""), GET_POD, True),
    (namespaced("ClusterRole"), AccessRequest("get", "", "pods"), False),
    (namespaced("ClusterRole"), AccessRequest("get", "", "pods", "", "m"), False),
    (RuleSet(), GET_POD, False),
]


@pytest.mark.parametrize(("rules", "request_", "expected"), NAMESPACES)
def test_namespaces(rules, request_, expected):
    assert is_allowed(USER, request_, rules) is expected


def test_a_service_account_of_a_role_binding_is_in_its_namespace():
    assert is_allowed(UserInfo("system:serviceaccount:n:s"), GET_POD, namespaced("Role"))


def test_masters_may_do_everything():
    assert is_allowed(UserInfo("admin", ("system:masters",)), AccessRequest("delete", path="/x"), RuleSet())


rules_ = st.builds(
    rule,
    st.sampled_from(["get", "list", "*"]),
    st.sampled_from(["", "apps", "*"]),
    st.sampled_from(["pods", "pods/log", "*/log", "*"]),
    st.sampled_from([(), ("a",)]),
)


@given(st.lists(rules_, max_size=3), rules_, st.sampled_from(["", "log"]))
def test_more_rules_never_allow_less(some, more, subresource):
    request = AccessRequest("get", "", "pods", subresource, "n", "a")
    if is_allowed(USER, request, cluster_rules(*some)):
        assert is_allowed(USER, request, cluster_rules(*some, more))
