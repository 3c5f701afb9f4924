"""FieldsV1 and back, and paths as text."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.api import field_paths

FIELDS = {
    "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {'v:"x"': {}}},
    "f:spec": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}, "f:name": {}}}, "f:replicas": {}},
}
PATHS = {
    ("f:metadata", "f:labels"),
    ("f:metadata", "f:labels", "f:app"),
    ("f:metadata", "f:finalizers", 'v:"x"'),
    ("f:spec", "f:containers", 'k:{"name":"a"}'),
    ("f:spec", "f:containers", 'k:{"name":"a"}', "f:image"),
    ("f:spec", "f:containers", 'k:{"name":"a"}', "f:name"),
    ("f:spec", "f:replicas"),
}


def test_both_ways():
    assert field_paths.decoded(FIELDS) == PATHS
    assert field_paths.encoded(PATHS) == FIELDS


def test_text():
    path = ("f:spec", "f:ports", field_paths.key({"protocol": "TCP", "port": 80}), "f:x", field_paths.value("y"), "i:0")
    assert field_paths.text(path) == '.spec.ports[port=80,protocol="TCP"].x[="y"][0]'


def test_closed():
    assert field_paths.closed([("a", "b", "c")]) == {("a",), ("a", "b"), ("a", "b", "c")}


elements = st.sampled_from(["f:a", "f:b", 'k:{"n":1}', 'v:"x"'])


@given(st.sets(st.lists(elements, min_size=1, max_size=4).map(tuple), max_size=8))
def test_round_trip(paths):
    assert field_paths.decoded(field_paths.encoded(paths)) == paths
