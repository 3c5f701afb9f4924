"""InferenceGraphs: what is refused, and how service names become URLs."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.contracts import inference_graph, problems

URL = {"serviceUrl": "http://a.default/v1/models/a:predict"}


def node(kind: str, *steps: Any, **more: Any) -> dict[str, Any]:
    return {"routerType": kind, "steps": list(steps), **more}


REFUSED = [
    ({}, "missing field(s): nodes.root"),
    ({"root": node("Loop", URL)}, "expected one of Sequence, Switch"),
    ({"root": node("Sequence")}, "expected 1 to 100 steps"),
    ({"root": node("Sequence", {})}, "expected exactly one, got neither: nodes.root.steps[0].nodeName"),
    ({"root": node("Sequence", URL | {"nodeName": "root"})}, "expected exactly one, got several"),
    ({"root": node("Sequence", {"nodeName": "gone"})}, "there is no such node"),
    ({"root": node("Sequence", {"serviceUrl": "a/b"})}, "write http://host/path"),
    ({"root": node("Sequence", {"serviceUrl": "http://[a/"})}, "http://[a/: nodes.root.steps[0].serviceUrl"),
    ({"root": node("Sequence", {"serviceUrl": "http://a:99999/"})}, "write http://host/path"),
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
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "why"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_is_no_graph_says_field_and_reason(nodes: Any, why: str) -> None:
    assert why in problems.render(inference_graph.validate(nodes))


def ladder(rungs: int, steps: int, kind: str = "Ensemble") -> dict[str, Any]:
    """Return nodes that each lead to the next one by so many steps."""
    names = ["root", *(f"n{number}" for number in range(1, rungs))]
    below = [*({"nodeName": name} for name in names[1:]), URL]
    return {name: node(kind, *[step] * steps) for name, step in zip(names, below, strict=True)}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        (ladder(1, 5), 5),
        (ladder(3, 5), 125),
        (ladder(3, 5, "Switch"), 1),
        (ladder(2, 5, "Sequence"), 25),
        ({"root": node("Router", URL, URL, serviceUrl="http://a/")}, 3),
        ({"root": node("Ensemble", URL, shadows=[URL])}, 2),
    ],
)
def test_how_many_steps_one_request_can_ask(nodes: Any, expected: int) -> None:
    assert inference_graph.calls(nodes) == expected


def test_a_graph_whose_steps_multiply_beyond_measure_is_refused() -> None:
    assert inference_graph.validate(ladder(4, 10)) == []
    found = problems.render(inference_graph.validate(ladder(100, 100)))
    assert "expected at most 10000: nodes that lead to one node multiply: nodes" in found


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
