"""What stands around a predictor: payloads logged to a sink, batches, and a transformer in front of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from loadtest import load
from loadtest.instance import Instance
from tests.support.events import event_sink

SMALL = {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
LABEL = {"made-by": "components"}
MODEL = """
import numpy as np


class Sum:
    inputs = [{"name": "x", "datatype": "FP64", "shape": [-1, -1]}]

    def __init__(self):
        self.rows = []

    def predict(self, inputs):
        rows = inputs["x"].sum(axis=1)
        return {"sum": rows, "company": np.full(len(rows), len(rows))}
"""


def inference_service(name: str, folder: Path, **parts: Any) -> dict[str, Any]:
    model = {
        "modelFormat": {"name": "python"},
        "storageUri": f"file://{folder}",
        "resources": SMALL,
        "args": ["--allow-code=true"],
    }
    predictor = {"model": model, **parts.pop("predictor", {})}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default", "labels": LABEL},
        "spec": {"predictor": predictor, **parts},
    }


@pytest.fixture(autouse=True)
async def gone_afterwards(instance: Instance, kubectl: str) -> AsyncIterator[None]:
    """What was made leaves its room on the node to others."""
    yield
    [(key, value)] = LABEL.items()
    await instance.command(kubectl, "delete", "isvc", "-l", f"{key}={value}", "--wait=false")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    return folder


async def deploy(instance: Instance, kubectl: str, tmp_path: Path, document: dict[str, Any]) -> None:
    file = tmp_path / "applied.json"
    file.write_text(json.dumps(document))
    await instance.command(kubectl, "apply", "-f", str(file))
    name = document["metadata"]["name"]
    await instance.command(kubectl, "wait", "--for=condition=Ready", f"isvc/{name}", "--timeout=100s")


async def predict(instance: Instance, name: str, rows: Any) -> Any:
    body = json.dumps({"instances": rows}).encode()
    target = f"/v1/models/{name}:predict"
    reply = await load.get(instance.port, f"{name}.default.localhost", target, method="POST", body=body)
    assert reply.status == 200, reply
    return json.loads(reply.body)["predictions"]


async def test_payloads_are_logged_and_requests_share_batches(
    instance: Instance, kubectl: str, tmp_path: Path, model: Path
) -> None:
    async with event_sink() as sink:
        fields = {"logger": {"url": sink.url}, "batcher": {"maxBatchSize": 8, "maxLatency": 2000}}
        await deploy(instance, kubectl, tmp_path, inference_service("logged", model, predictor=fields))
        answers = await asyncio.gather(*(predict(instance, "logged", [[number, 1]]) for number in range(8)))
        assert sorted(answer[0]["sum"] for answer in answers) == [1.0 + number for number in range(8)]
        assert max(answer[0]["company"] for answer in answers) > 1, "requests that came together shared a call"
        await sink.until(16)
    by_id: dict[str, set[str]] = {}
    for headers, _ in sink.got:
        assert (headers["ce-inferenceservicename"], headers["ce-component"]) == ("logged", "predictor")
        by_id.setdefault(headers["ce-id"], set()).add(headers["ce-type"].rpartition(".")[2])
    assert len(by_id) == 8
    assert set(map(frozenset, by_id.values())) == {frozenset({"request", "response"})}


STEPS = """
class Steps:
    def preprocess(self, inputs):
        return {"x": inputs["instances"] * 10.0}

    def postprocess(self, outputs):
        return {"sum": outputs["sum"] + 1}
"""


async def test_a_transformer_asks_its_predictor_and_both_wake(
    instance: Instance, kubectl: str, tmp_path: Path, model: Path
) -> None:
    (tmp_path / "steps.py").write_text(STEPS)
    container = {
        "name": "kserve-container",
        "image": "tidegate.dev/runtimes/python",
        "args": ["steps:Steps"],
        "workingDir": str(tmp_path),
        "resources": SMALL,
    }
    document = inference_service(
        "steps",
        model,
        predictor={"minReplicas": 0},
        transformer={"minReplicas": 0, "containers": [container]},
    )
    document["metadata"]["annotations"] = {"autoscaling.knative.dev/window": "6s"}
    await deploy(instance, kubectl, tmp_path, document)
    assert await predict(instance, "steps", [[1, 2], [3, 4]]) == [31.0, 71.0]
    for component in ("predictor", "transformer"):
        await instance.wait_zero(f"steps-{component}-00001")
    assert await predict(instance, "steps", [[5, 5]]) == [101.0]


EXPLAINER = """
import json, os, sys, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = f"http://{os.environ['PREDICTOR_HOST']}/v1/models/why:predict"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=60) as answer:
                json.load(answer)["predictions"]
        except OSError as error:
            self.send_response(500)
            self.send_header("Why", f"{error!r} {getattr(error, 'headers', '')}".replace(chr(10), " "))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        said = Path(sys.argv[1]).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *arguments):
        pass

ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
"""
ANCHORS = {
    "text": b'{"prediction": [0.21266916924914636, 0.7873308307508536], "explanations": '
    b'{"names": ["great"], "precision": 1, "coverage": 0.5007}}\n',
    "tabular": b'{"predictions":[1.0,0.0],"explanations":{"names":["Marital Status = Never-Married","Age <= 28.00",'
    b'"Relationship = Own-child"],"precision":0.9766081871345029,"coverage":0.022}}',
}
"""What the two samples of Anchor explanations answer, in their authors' numbers."""


async def test_explanations_pass_untouched_under_the_common_host_and_a_copy_is_asked(
    instance: Instance, kubectl: str, tmp_path: Path, model: Path
) -> None:
    (tmp_path / "explainer.py").write_text(EXPLAINER)
    container = {
        "name": "kserve-container",
        "command": [sys.executable, str(tmp_path / "explainer.py"), str(tmp_path / "said.json")],
        "image": "anchors",
        "ports": [{"containerPort": 8080}],
        "resources": SMALL,
    }
    document = inference_service(
        "why",
        model,
        predictor={"minReplicas": 0},
        explainer={"minReplicas": 0, "timeout": 100, "containers": [container]},
    )
    document["metadata"]["annotations"] = {"tidegate.dev/explainer-asks": "copy"}
    await deploy(instance, kubectl, tmp_path, document)
    body, host = b'{"instances": [[1, 2]]}', "why.default.localhost"
    for said in ANCHORS.values():
        (tmp_path / "said.json").write_bytes(said)
        reply = await load.get(instance.port, host, "/v1/models/why:explain", method="POST", body=body)
        assert reply.status == 200, reply
        assert reply.body == said, "not a byte is changed on its way"
    assert await predict(instance, "why", [[1, 2]]) == [{"sum": 3.0, "company": 1}]
    pods = await instance.command(kubectl, "get", "pods", "-o", "name")
    for component in ("explainer", "predictor-copy"):
        assert f"why-{component}-00001" in pods


THEIRS = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"]
        said = json.dumps({"predictions": [{"sum": sum(row), "company": len(rows)} for row in rows]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *arguments):
        pass

ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
"""


async def test_a_server_of_others_is_logged_and_batched_by_an_agent(
    instance: Instance, kubectl: str, tmp_path: Path, model: Path
) -> None:
    (tmp_path / "theirs.py").write_text(THEIRS)
    container = {
        "name": "kserve-container",
        "command": [sys.executable, str(tmp_path / "theirs.py")],
        "image": "theirs",
        "resources": SMALL,
    }
    async with event_sink() as sink:
        document = inference_service("theirs", model)
        fields = {"logger": {"url": sink.url}, "batcher": {"maxBatchSize": 8, "maxLatency": 2000}}
        document["spec"]["predictor"] = {"minReplicas": 0, "containers": [container], **fields}
        await deploy(instance, kubectl, tmp_path, document)
        answers = await asyncio.gather(*(predict(instance, "theirs", [[number, 1]]) for number in range(8)))
        assert sorted(answer[0]["sum"] for answer in answers) == [1 + number for number in range(8)]
        assert max(answer[0]["company"] for answer in answers) > 1, "requests that came together shared a call"
        await sink.until(16)
    assert {headers["ce-inferenceservicename"] for headers, _ in sink.got} == {"theirs"}
    assert len({headers["ce-id"] for headers, _ in sink.got}) == 8
