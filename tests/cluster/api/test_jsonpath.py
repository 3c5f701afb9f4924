"""The JSONPath of printer columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.jsonpath import jsonpath

OBJ = {
    "metadata": {"name": "a", "labels": {"serving.knative.dev/revision": "r", "x": "y"}},
    "spec": {"list": [1, 2, 3], "flag": False, "nothing": None, "n": 5},
    "status": {
        "conditions": [
            {"type": "Active", "status": "False", "n": 1},
            {"type": "Ready", "status": "True", "reason": "Because)"},
        ]
    },
}
CASES = [
    (".metadata.name", ["a"]),
    ("metadata.name", ["a"]),
    ("{.metadata.name}", ["a"]),
    ("$.metadata.name", ["a"]),
    (".metadata.labels['serving.knative.dev/revision']", ["r"]),
    ('.metadata.labels["x"]', ["y"]),
    (".metadata.labels.serving\\.knative\\.dev/revision", ["r"]),
    (".metadata.labels.*", ["r", "y"]),
    (".spec.list[0]", [1]),
    (".spec.list[-1]", [3]),
    (".spec.list[9]", []),
    (".spec.list[*]", [1, 2, 3]),
    (".spec.flag", [False]),
    (".spec.nothing", []),
    (".spec.missing.deeper", []),
    (".spec.n.deeper", []),
    (".spec.n[0]", []),
    (".spec.n[?(@.a)]", []),
    ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
    (".status.conditions[?(@.type=='Ready')].status", ["True"]),
    ('.status.conditions[?( @.type == "Missing" )].status', []),
    ('.status.conditions[?(@.type!="Ready")].status', ["False"]),
    (".status.conditions[?(@.reason)].type", ["Ready"]),
    (".status.conditions[?(@.n==1)].type", ["Active"]),
    (".status.conditions[*].type", ["Active", "Ready"]),
    (".status.conditions[0].type", ["Active"]),
    ("", [OBJ]),
    (".", [OBJ]),
    (".spec.list[", []),
    (".spec[?(@.x=1)]", []),
    (".status.conditions[?(@[)].x", []),
]


@pytest.mark.parametrize(("path", "expected"), CASES)
def test_jsonpath(path, expected):
    assert jsonpath(OBJ, path) == expected


@given(st.text("ab.[]()?@='\"*\\{}$!1 -", max_size=15))
def test_no_path_crashes(path):
    assert isinstance(jsonpath(OBJ, path), list)
