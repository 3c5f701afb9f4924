"""The routing table: which hosts a Route gives, and that every split is exact and even."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routes import Rules, Wheel, build_local_table, build_table, read_route, spread, with_mappings
from tidegate.contracts.names import HTTP_PROTOCOL_ANNOTATION, REDIRECTED


def route(name="hello", traffic=(), url="http://hello.default.example.com", created="2026-01-01T00:00:00Z"):
    return {
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": created},
        "status": {
            "url": url,
            "address": {"url": f"http://{name}.default.svc.cluster.local"},
            "traffic": list(traffic),
        },
    }


def share(revision, percent=None, **more):
    return {"revisionName": revision, "percent": percent, **more}


def local_table(*routes):
    return build_local_table(routes, build_table(routes))


def turns(wheel, count):
    return [wheel.turn().key[1] for _ in range(count)]


def test_hosts_of_a_route():
    hosted = read_route(route(traffic=[share("hello-00001", 100)], url="http://Hello.default.Example.com:8080"))
    assert set(build_table([hosted])) == {"hello.default.example.com"}
    table = local_table(hosted)
    assert set(table) == {
        "hello.default.example.com",
        "hello.default",
        "hello.default.svc",
        "hello.default.svc.cluster.local",
    }
    target = table["hello.default"].turn()
    assert target.key == ("default", "hello-00001")
    assert target.head == b"Knative-Serving-Namespace: default\r\nKnative-Serving-Revision: hello-00001\r\n"


def test_a_tag_without_traffic_has_hosts_of_its_own():
    traffic = [
        share("hello-00001", 100),
        share("hello-00002", 0, tag="next", url="http://next-hello.default.example.com"),
    ]
    table = local_table(read_route(route(traffic=traffic)))
    for host in ("next-hello.default.example.com", "next-hello.default", "next-hello.default.svc"):
        assert turns(table[host], 3) == ["hello-00002"] * 3
    assert set(turns(table["hello.default"], 200)) == {"hello-00001"}


def test_percents_of_one_revision_add_up():
    traffic = [share("a", 30), share("b", 40), share("a", 30, tag="x", url="http://x-hello.default.example.com")]
    table = build_table([read_route(route(traffic=traffic))])
    assert Counter(turns(table["hello.default.example.com"], 100)) == {"a": 60, "b": 40}


@pytest.mark.parametrize("status", [None, {}, {"traffic": []}, {"url": "http://x.y"}, {"traffic": [{"percent": 100}]}])
def test_a_route_that_is_not_ready_has_no_hosts(status):
    assert build_table([read_route({"metadata": {"name": "x", "namespace": "y"}, "status": status})]) == {}


def test_a_cluster_local_route():
    local = route(traffic=[share("a", 100)], url="http://hello.default.svc.cluster.local")
    hosted = read_route(local)
    assert set(hosted.local) == {"hello.default", "hello.default.svc", "hello.default.svc.cluster.local"}
    assert build_table([hosted]) == {}


def test_a_tag_that_is_for_the_cluster_only():
    traffic = [share("a", 100), share("b", 0, tag="new", url="http://new-hello.default.svc.cluster.local")]
    hosted = read_route(route(traffic=traffic))
    assert set(build_table([hosted])) == {"hello.default.example.com"}
    assert turns(local_table(hosted)["new-hello.default"], 1) == ["b"]


def test_a_tag_that_rolls_out_is_split_as_its_rows_say():
    rows = [
        share(name, percent, tag="t", url="http://t-hello.default.example.com")
        for name, percent in (("a", 15), ("b", 5))
    ]
    table = build_table([read_route(route(traffic=[share("a", 80), *rows]))])
    assert Counter(turns(table["t-hello.default.example.com"], 4)) == {"a": 3, "b": 1}


def test_a_mapped_domain_leads_where_the_name_inside_the_cluster_leads():
    hosted = read_route(route(traffic=[share("a", 100)], url="http://hello.default.svc.cluster.local"))
    public = build_table([hosted])
    mappings = [
        ("www.example.org", "hello.default.svc.cluster.local", False),
        ("gone.example.org", "gone.default.svc.cluster.local", False),
        ("waits.example.org", "", False),
    ]
    table = with_mappings(public, build_local_table([hosted], public), mappings)
    assert set(table) == {"www.example.org"}
    assert turns(table["www.example.org"], 1) == ["a"]


def test_a_mapped_domain_does_not_take_the_host_of_a_route():
    hosts = [read_route(route(name, [share(name, 100)], f"http://{name}.example.com")) for name in ("one", "two")]
    public = build_table(hosts)
    mappings = [("one.example.com", "two.default.svc.cluster.local", False)]
    table = with_mappings(public, build_local_table(hosts, public), mappings)
    assert turns(table["one.example.com"], 1) == ["one"]


@pytest.mark.parametrize("of_route", [True, False])
@pytest.mark.parametrize("of_mapping", [True, False])
def test_a_mapped_domain_redirects_by_its_own_word(of_route, of_mapping):
    said = route(traffic=[share("a", 60), share("b", 40)])
    said["status"]["annotations"] = {HTTP_PROTOCOL_ANNOTATION: REDIRECTED} if of_route else {}
    hosted = read_route(said)
    public = build_table([hosted])
    mappings = [("www.example.org", "hello.default.svc.cluster.local", of_mapping)]
    table = with_mappings(public, build_local_table([hosted], public), mappings)
    assert table["www.example.org"].is_redirected is of_mapping
    assert table["hello.default.example.com"].is_redirected is of_route
    assert turns(table["www.example.org"], 5).count("a") == 3


def test_clear_text_of_public_hosts_is_redirected_where_the_route_says_so():
    said = route(traffic=[share("a", 100)])
    said["status"]["annotations"] = {"networking.knative.dev/http-protocol": "redirected"}
    assert build_table([read_route(said)])["hello.default.example.com"].is_redirected
    assert not build_table([read_route(route(traffic=[share("a", 100)]))])["hello.default.example.com"].is_redirected


def test_a_route_names_its_explainer_by_an_annotation_and_may_take_it_back():
    said = route(traffic=[share("a", 100)])
    said["metadata"]["annotations"] = {"tidegate.dev/explainer": "hello-explainer"}
    first = read_route(said)
    assert build_table([first])["hello.default.example.com"].explainer == "hello-explainer.default"
    again = read_route(route(traffic=[share("a", 100)]), first)
    assert build_table([again])["hello.default.example.com"].explainer == ""


def test_the_oldest_route_keeps_a_disputed_host():
    first = read_route(route("a-b", [share("first", 100)], "http://a-b.default.example.com", "2026-01-01T00:00:00Z"))
    tagged = [share("second", 100, tag="a", url="http://a-b.default.example.com")]
    second = read_route(route("b", tagged, "http://b.default.example.com", "2026-01-02T00:00:00Z"))
    for order in ([first, second], [second, first]):
        assert turns(build_table(order)["a-b.default.example.com"], 1) == ["first"]


def test_a_wheel_goes_on_turning_when_its_weights_stay():
    old = read_route(route(traffic=[share("a", 50), share("b", 50)]))
    assert turns(old.local["hello.default"], 1) == ["a"]
    new = read_route(route(traffic=[share("a", 50), share("b", 50, tag="t", url="http://t.default.x")]), old)
    assert turns(new.local["hello.default"], 2) == ["b", "a"]
    assert turns(read_route(route(traffic=[share("c", 100)]), new).local["hello.default"], 1) == ["c"]


def test_all_hosts_of_a_split_share_it():
    hosted = read_route(route(traffic=[share("a", 50), share("b", 50)]))
    assert turns(hosted.local["hello.default"], 1) + turns(hosted.wheels["hello.default.example.com"], 1) == ["a", "b"]


def test_a_split_is_interleaved():
    assert spread((("a", 80), ("b", 20))) == ["a", "a", "b", "a", "a"]
    assert spread((("a", 50), ("b", 50))) == ["a", "b"]
    assert spread((("a", 100),)) == ["a"]


PERCENTS = st.lists(st.integers(1, 98), min_size=1, max_size=6).filter(lambda shares: sum(shares) < 100)


@given(shares=PERCENTS, start=st.integers(0, 250))
def test_any_hundred_requests_in_a_row_are_split_exactly(shares, start):
    shares = [*shares, 100 - sum(shares)]
    names = [f"revision-{number}" for number in range(len(shares))]
    hosted = read_route(route(traffic=[share(name, percent) for name, percent in zip(names, shares, strict=True)]))
    wheel = hosted.local["hello.default"]
    turns(wheel, start)
    window = turns(wheel, 100)
    assert Counter(window) == dict(zip(names, shares, strict=True))
    for length in range(1, 100):  # and never far from its share in between
        seen = Counter(window[:length])
        for name, percent in zip(names, shares, strict=True):
            assert abs(seen[name] - length * percent / 100) <= len(shares)


TAGGED = [share("a", 80), share("b", 20), share("c", 0, tag="next", url="http://next-hello.default.example.com")]
TAGS_ON = Rules(has_tag_header=True)


def test_a_tag_by_header_is_known_where_it_is_switched_on():
    for rules, tags in ((TAGS_ON, {b"next"}), (Rules(), set())):
        table = local_table(read_route(route(traffic=TAGGED), None, rules))
        wheel = table["hello.default"]
        assert set(wheel.tags) == tags
        assert (b"Knative-Serving-Default-Route: true\r\n" in wheel.turn().head) is bool(tags)
        assert not table["next-hello.default"].tags
    wheel = local_table(read_route(route(traffic=TAGGED), None, TAGS_ON))["hello.default"]
    assert turns(wheel.tags[b"next"], 3) == ["c"] * 3
    assert b"Default-Route" not in wheel.tags[b"next"].turn().head


def test_a_tag_that_moves_or_is_switched_on_makes_a_new_wheel_and_others_go_on():
    before = read_route(route(traffic=TAGGED), None, TAGS_ON)
    before.local["hello.default"].turn()
    same = read_route(route(traffic=TAGGED), before, TAGS_ON)
    assert same.local["hello.default"] is before.local["hello.default"]
    moved = read_route(route(traffic=[*TAGGED[:2], {**TAGGED[2], "revisionName": "d"}]), before, TAGS_ON)
    assert turns(moved.local["hello.default"].tags[b"next"], 1) == ["d"]
    assert not read_route(route(traffic=TAGGED), before, Rules()).local["hello.default"].tags


@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=4),
    st.lists(st.integers(0, 250), min_size=1, max_size=8),
)
def test_a_split_over_several_workers_is_off_by_less_than_two_requests_for_each(shares, counts):
    """However requests fall to workers; each turns a wheel of its own, beginning at its own phase."""
    weights = tuple((f"r{number}", part) for number, part in enumerate(shares))
    seen: Counter[str] = Counter()
    for slot, count in enumerate(counts):
        seen.update(turns(Wheel("default", weights, slot / len(counts)), count))
    total = sum(counts)
    for name, part in weights:
        assert abs(seen[name] - total * part / sum(shares)) < 2 * len(counts)


def test_workers_begin_at_different_slots():
    weights = (("old", 75), ("new", 25))
    first = [Wheel("default", weights, slot / 4).turn().key[1] for slot in range(4)]
    assert Counter(first) == {"old": 3, "new": 1}
