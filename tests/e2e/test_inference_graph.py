"""An InferenceGraph over InferenceServices and their Seldon classes, all of them from zero."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from loadtest import load
from loadtest.instance import Instance

SMALL = {"limits": {"cpu": "100m", "memory": "200Mi"}}
STEPS = """
class Pick:
    def route(self, features, names):
        return int(features[0][0] > 10)


class Double:
    def predict(self, features, names):
        return features * 2


class Negate:
    def predict(self, features, names):
        return -features
"""


def serving(name: str, folder: Path) -> dict[str, Any]:
    container = {
        "name": "kserve-container",
        "image": "tidegate.dev/runtimes/python",
        "args": [f"seldon_steps:{name.capitalize()}", f"--model-name={name}"],
        "workingDir": str(folder),
        "resources": SMALL,
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"minReplicas": 0, "containers": [container]}},
    }


async def test_a_graph_of_two_levels_answers_from_zero(instance: Instance, kubectl: str, tmp_path: Path) -> None:
    (tmp_path / "seldon_steps.py").write_text(STEPS)
    graph = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "garden"},
        "spec": {
            "minReplicas": 0,
            "nodes": {
                "root": {
                    "routerType": "Router",
                    "serviceName": "pick",
                    "steps": [{"nodeName": "line"}, {"serviceUrl": "http://double.default/api/v1.0/predictions"}],
                },
                "line": {
                    "routerType": "Sequence",
                    "steps": [
                        {"serviceUrl": "http://double.default/api/v1.0/predictions", "dependency": "Hard"},
                        {"serviceUrl": "http://negate.default/api/v1.0/predictions", "data": "$response"},
                    ],
                },
            },
        },
    }
    items = [graph, *(serving(name, tmp_path) for name in ("pick", "double", "negate"))]
    file = tmp_path / "graph.yaml"
    file.write_text(yaml.safe_dump_all(items))
    await instance.command(kubectl, "apply", "-f", str(file))
    await instance.command(kubectl, "wait", "--for=condition=Ready", "ig/garden", "--timeout=100s")
    services = [f"isvc/{name}" for name in ("pick", "double", "negate")]
    await instance.command(kubectl, "wait", "--for=condition=Ready", *services, "--timeout=100s")
    url = await instance.command(kubectl, "get", "ig/garden", "-o", "jsonpath={.status.url}")
    assert url.strip() == "http://garden.default.localhost"
    for row, wanted in (([1.0, 2.0], [-2.0, -4.0]), ([11.0, 1.0], [22.0, 2.0])):
        body = json.dumps({"data": {"names": [], "ndarray": [row]}}).encode()
        reply = await load.get(instance.port, "garden.default.localhost", "/", method="POST", body=body)
        assert reply.status == 200, reply
        assert json.loads(reply.body)["data"]["ndarray"] == [wanted]
    file.write_text(yaml.safe_dump(graph | {"spec": {"nodes": {"root": {"routerType": "Switch", "steps": [{}]}}}}))
    try:
        await instance.command(kubectl, "apply", "-f", str(file))
    except RuntimeError as error:
        assert "missing field(s): spec.nodes.root.steps[0].condition" in str(error)
    else:
        raise AssertionError("a graph that cannot be was taken")
