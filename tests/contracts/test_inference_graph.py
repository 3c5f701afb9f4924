"""InferenceGraphs: what is refused, and how service names become URLs."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.contracts import inference_graph, problems

URL = {"serviceUrl": "http://a.default/v1/models/a:predict"}


def node(kind: str, *steps: Any, **more: Any) -> dict[str, Any]:
    return {"routerType": kind, "steps": list(steps), **more}


LONG = URL | {"condition": "a" * 990}
REFUSED = [
    ({}, "missing field(s): nodes.root"),
    ({"root": node("Loop", URL)}, "expected one of Sequence, Switch"),
    ({"root": node("Sequence")}, "expected 1 to 100 steps"),
    ({"root": node("Sequence", {})}, "expected exactly one, got neither: nodes.root.steps[0].nodeName"),
    ({"root": node("Sequence", URL | {"nodeName": "root"})}, "expected exactly one, got several"),
    ({"root": node("Sequence", {"nodeName": "gone"})}, "there is no such node"),
    ({"root": node("Sequence", {"serviceUrl": "a/b"})}, "write http://host/path"),
    ({"root": node("Sequence", URL | {"data": "$both"})}, "expected $request or $response"),
    ({"root": node("Sequence", URL | {"dependency": "Weak"})}, "expected Hard or Soft"),
    ({"root": node("Sequence", URL | {"timeout": 0})}, "expected 0 <= 0 <= 3600"),
    ({"root": node("Sequence", URL | {"colour": "red"})}, "must not set the field(s): nodes.root.steps[0].colour"),
    ({"root": node("Switch", URL)}, "missing field(s): nodes.root.steps[0].condition"),
    ({"root": node("Switch", URL | {"condition": "a..b"})}, "nothing between two dots"),
    ({"root": node("Splitter", URL | {"weight": 60})}, "the weights of a Splitter sum to 100"),
    ({"root": node("Ensemble", URL | {"name": "a"}, URL | {"name": "a"})}, "two steps have one name"),
    ({"root": node("Router", URL)}, "expected exactly one, got neither: nodes.root.serviceName"),
    ({"root": node("Ensemble", URL, serviceUrl="http://a/")}, "only a Router and a Combiner"),
    ({"root": node("Ensemble", URL, splitBy={"header": "x"})}, "a Splitter may have splitBy.header"),
    (
        {"root": node("Sequence", {"nodeName": "a"}), "a": node("Sequence", {"nodeName": "b"}),
         "b": node("Ensemble", URL, {"nodeName": "a"})},
        "the nodes go in a circle: a -> b -> a",
    ),
    ({"root": node("Splitter", URL | {"weight": 100}, splitBy="x")}, "a Splitter may have splitBy.header"),
    ({"root": node("Sequence", URL, shadows=5)}, "a list of shadows"),
    ({"root": node("Router", URL, serviceName=["a"])}, "expected texts"),
    ({"root": node("Sequence", {"nodeName": ["a"]})}, "invalid value: ['a']: nodes.root.steps[0].nodeName"),
    ({"root": node("Sequence", URL | {"name": [1]})}, "expected a text"),
    ({"root": node("Sequence", {"serviceUrl": "http://[::1"})}, "write http://host/path"),
    ({"root": node("Sequence", {"serviceUrl": "http://a:99999/"})}, "write http://host/path"),
    ({"root": node("Sequence", URL | {"timeout": True})}, "expected 0 <= True <= 3600"),
    ({"root": node("Switch", URL | {"condition": 5})}, "expected a text"),
    ({"root": node("Switch", URL | {"condition": "#(" * 330 + "a" + ")" * 330})}, "at most 20 queries"),
    ({"root": node("Sequence", {"nodeName": "a\r\nX: b"}), "a\r\nX: b": node("Sequence", URL)}, "a node's name has"),
    (
        {"root": node("Ensemble", *({"nodeName": "n0"} for _ in range(50))),
         **{f"n{at}": node("Sequence", *({"nodeName": f"n{at + 1}"} for _ in range(50))) for at in range(50)},
         "n50": node("Ensemble", URL)},
        "one request would ask billions of services, at most 1000 may be",
    ),
    (
        {"root": node("Ensemble", {"nodeName": "a"}, {"nodeName": "b"}),
         **{name: node("Ensemble", *(LONG | {"name": str(at)} for at in range(60))) for name in "ab"}},
        "the nodes are larger than 120000 bytes",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "why"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_is_no_graph_says_field_and_reason(nodes: Any, why: str) -> None:
    assert why in problems.render(inference_graph.validate(nodes))


MOST_ASKED = [
    ({"root": node("Sequence", URL, URL)}, 2),
    ({"root": node("Switch", URL, {"nodeName": "a"}), "a": node("Ensemble", URL, URL, URL)}, 3),
    ({"root": node("Router", URL, URL, serviceName="r", shadows=[URL])}, 4),
    ({"root": node("Ensemble", {"nodeName": "a"}, {"nodeName": "a"}), "a": node("Combiner", URL, serviceName="c")}, 4),
]


@pytest.mark.parametrize(("nodes", "most"), MOST_ASKED)
def test_how_many_services_one_request_asks_at_most(nodes: Any, most: int) -> None:
    assert inference_graph.most_asked(nodes) == most


def test_kserves_own_samples_are_graphs() -> None:
    dog = {"serviceName": "dog-breed", "condition": '[@this].#(predictions.0=="dog")', "data": "$request"}
    samples: list[dict[str, Any]] = [
        {"root": node("Sequence", {"serviceName": "cat-dog", "name": "cat-dog"}, dog | {"name": "breed"})},
        {"root": node("Splitter", {"serviceName": "a", "weight": 20}, {"serviceName": "b", "weight": 80})},
        {"root": node("Ensemble", {"serviceName": "a", "name": "a"}, {"serviceName": "b", "name": "b"})},
        {
            "root": node("Sequence", {"nodeName": "pick"}, {"serviceName": "end", "data": "$response"}),
            "pick": node("Switch", {"serviceName": "a", "condition": '[@this].#(source=="client")'}),
        },
    ]
    assert [inference_graph.validate(sample) for sample in samples] == [[], [], [], []]


def test_names_become_urls_and_steps_keep_their_names() -> None:
    nodes = {
        "root": node("Router", {"serviceName": "a"}, URL | {"name": "other"}, serviceName="pick"),
    }
    assert inference_graph.service_names(nodes) == {"a", "pick"}
    hosts = {name: f"{name}.ml" for name in ("a", "pick")}
    made = inference_graph.resolved(nodes, hosts, {"a": "http://a.ml/v1/models/a:predict", "pick": "unused"})
    assert made["root"]["serviceUrl"] == "http://pick.ml/api/v1.0/route"
    assert [(step["name"], step["serviceUrl"]) for step in made["root"]["steps"]] == [
        ("a", "http://a.ml/v1/models/a:predict"),
        ("other", URL["serviceUrl"]),
    ]
    assert inference_graph.validate(made) == []
    read = inference_graph.read(made)
    assert read["root"].steps[1].url == URL["serviceUrl"]
