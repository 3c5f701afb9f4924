"""When a key pair is replaced, and which hosts it is for."""

import pytest

from controller.tls import plan
from controller.tls.plan import PairFacts
from tidegate.contracts import names

DAY_S = 86400.0
GOOD = PairFacts(("a.example", "*.b.example"), 0.0, 90 * DAY_S, is_ours=True)


@pytest.mark.parametrize(
    ("found", "wanted", "now", "expected"),
    [
        (GOOD, ["a.example", "*.b.example"], 0.0, False),
        (GOOD, ["*.b.example", "a.example"], 59 * DAY_S, False),
        (GOOD, ["*.b.example", "a.example"], 60 * DAY_S, True),
        (GOOD, ["a.example"], 0.0, True),
        (None, ["a.example"], 0.0, True),
        (PairFacts(GOOD.names, 0.0, 90 * DAY_S, is_ours=False), list(GOOD.names), 0.0, True),
        (PairFacts(problem="broken"), ["a.example"], 0.0, True),
    ],
)
def test_a_certificate_is_signed_when_none_fits_or_the_last_third_of_its_life_begins(found, wanted, now, expected):
    assert plan.needs_new(wanted, found, now) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("a.example", True), ("x.b.example", True), ("b.example", False), ("x.y.b.example", False), ("c.example", False)],
)
def test_a_wildcard_covers_one_label(host, expected):
    assert plan.covers(GOOD, host) is expected


def test_copies_of_different_askers_have_different_names_that_secrets_may_have():
    askers = [
        ("Certificate", "a", "b"),
        ("DomainMapping", "a", "b"),
        ("Certificate", "a", "c"),
        ("Certificate", "ab", ""),
    ]
    made = {plan.copy_name(*asker) for asker in askers}
    assert len(made) == len(askers)
    assert all(len(name) <= 63 and name == name.lower() for name in made)


@pytest.mark.parametrize(
    ("namespace", "host", "is_refused"),
    [
        ("default", "hello.example.com", False),
        ("default", "kn-user-default", False),
        ("default", "kn-user-other", True),
        ("default", "KN-USER-other", True),
        ("default", "kn-routing", True),
        (names.SYSTEM_NAMESPACE, "kn-routing", False),
        ("default", "kn-routing.default", False),
        ("default", "hello.default.svc", False),
        ("default", "hello.default.svc.cluster.local", False),
        ("default", "*.default.svc", False),
        ("default", "hello.other.svc", True),
        ("default", "HELLO.other.SVC.cluster.local.", True),
        ("default", "*.other.svc", True),
        ("default", "*.svc.cluster.local", True),
    ],
)
def test_names_of_other_components_and_namespaces_are_not_signed(namespace, host, is_refused):
    asked = {"metadata": {"namespace": namespace}, "spec": {"dnsNames": ["a.example.com", host]}}
    assert bool(plan.refusal(asked)) is is_refused
