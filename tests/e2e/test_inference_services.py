"""A model's life as a user sees it: an InferenceService of a name, a format and a place; asked, canaried, asleep."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loadtest import load, waterfall
from loadtest.instance import Instance, eventually, is_leaving
from tidegate.contracts import headers, names, wake

FLOWER = [5.1, 3.5, 1.4, 0.2]
"""The first row of the iris data: a setosa, class 0."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of a model in skops files: one that classifies iris flowers, and one that always answers 9."""
    skops = pytest.importorskip("skops.io", reason="pip install 'tidegate[sklearn]'")
    from sklearn.datasets import load_iris
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    folder = tmp_path_factory.mktemp("models")
    rows, classes = load_iris(return_X_y=True)
    for name, model in {
        "v1": LogisticRegression(max_iter=500),
        "v2": DummyClassifier(strategy="constant", constant=9),
    }.items():
        (folder / name).mkdir()
        skops.dump(model.fit(rows, classes if name == "v1" else [*classes[:-1], 9]), folder / name / "model.skops")
    return folder


def document(name: str, uri: str, **predictor: Any) -> dict[str, Any]:
    model = {
        "modelFormat": {"name": "sklearn"},
        "storageUri": uri,
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
    }
    annotations = {"autoscaling.knative.dev/window": "6s"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {"predictor": {"minReplicas": 0, "model": model, **predictor}},
    }


async def apply(instance: Instance, kubectl: str, tmp_path: Path, obj: dict[str, Any]) -> None:
    file = tmp_path / "applied.json"
    file.write_text(json.dumps(obj))
    await instance.command(kubectl, "apply", "-f", str(file))


async def predict(instance: Instance, name: str, target: str, document: dict[str, Any]) -> Any:
    body = json.dumps(document).encode()
    reply = await load.get(instance.port, f"{name}.default.localhost", target, method="POST", body=body)
    assert reply.status == 200, reply
    return json.loads(reply.body)


async def test_from_eleven_lines_to_predictions_and_from_zero_again(
    instance: Instance, kubectl: str, models: Path, tmp_path: Path
) -> None:
    await apply(instance, kubectl, tmp_path, document("flowers", f"file://{models}/v1"))
    await instance.command(kubectl, "wait", "--for=condition=Ready", "isvc/flowers", "--timeout=100s")
    shown = await instance.command(kubectl, "get", "isvc", "flowers")
    assert "http://flowers.default.localhost" in shown
    v1 = await predict(instance, "flowers", "/v1/models/flowers:predict", {"instances": [FLOWER]})
    assert v1["predictions"] == [0]
    await instance.wait_zero("flowers-predictor-00001")
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": FLOWER}
    body = json.dumps({"inputs": [tensor]}).encode()
    woken = await load.get(
        instance.port, "flowers.default.localhost", "/v2/models/flowers/infer", method="POST", body=body
    )
    assert json.loads(woken.body)["outputs"][0]["data"] == [0]
    assert [phase for name in waterfall.read(woken) for phase in waterfall.phases_of(name)] == [*wake.PHASES]
    assert "x-tidegate-start" not in woken.headers
    pods: list[dict[str, Any]] = []

    async def is_awake() -> bool:
        await predict(instance, "flowers", "/v1/models/flowers:predict", {"instances": [FLOWER]})  # and stays it
        pods[:] = [pod for pod in await instance.pods_of("flowers-predictor-00001") if not is_leaving(pod)]
        status = json.loads(await instance.command(kubectl, "get", "isvc", "flowers", "-o", "json"))["status"]
        return status["modelStatus"] == {
            "transitionStatus": "UpToDate",
            "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
            "copies": {"failedCopies": 0, "totalCopies": 1},
        }

    await eventually(is_awake, 90, "modelStatus says that one copy is loaded", poll_s=0.5)
    assert await told_of_its_start(pods[0]["status"]["podIP"]) == {*wake.OWN_PHASES}


async def told_of_its_start(address: str) -> set[str]:
    """Return the phases that a pod's model server tells, each for itself, when it is asked as the activator does."""
    probe = {headers.NETWORK_PROBE.decode(): headers.PROBE_QUEUE.decode()}
    async with (
        aiohttp.ClientSession(headers=probe, timeout=aiohttp.ClientTimeout(60)) as session,
        session.get(f"http://{address}:{names.SERVING_PORT}/") as answer,
    ):
        told = wake.decode_start(answer.headers[headers.START.decode()].encode())
    assert told is not None
    return {phase for phase, took_s in zip(wake.OWN_PHASES, told.own_s, strict=True) if took_s is not None}


async def test_a_canary_by_one_number(instance: Instance, kubectl: str, models: Path, tmp_path: Path) -> None:
    async def shares(wanted: dict[int, int]) -> None:
        async def are_there() -> bool:
            seen: Counter[int] = Counter()
            for _ in range(20):
                answer = await predict(instance, "canary", "/v1/models/canary:predict", {"instances": [FLOWER]})
                seen[answer["predictions"][0]] += 1
            return dict(seen) == wanted

        await eventually(are_there, 100, f"answers of 20 requests are {wanted}", poll_s=0.2)

    await apply(instance, kubectl, tmp_path, document("canary", f"file://{models}/v1", canaryTrafficPercent=25))
    await instance.command(kubectl, "wait", "--for=condition=Ready", "isvc/canary", "--timeout=100s")
    await shares({0: 20})
    await apply(instance, kubectl, tmp_path, document("canary", f"file://{models}/v2", canaryTrafficPercent=25))
    await shares({0: 15, 9: 5})
    await apply(instance, kubectl, tmp_path, document("canary", f"file://{models}/v2", canaryTrafficPercent=0))
    await shares({0: 20})
    await apply(instance, kubectl, tmp_path, document("canary", f"file://{models}/v2"))
    await shares({9: 20})


async def test_a_model_on_a_claim_is_served_from_it(
    instance: Instance, kubectl: str, tmp_path: Path, models: Path
) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    await apply(instance, kubectl, tmp_path, claim)
    shutil.copytree(models / "v2", instance.state / "node" / "claims" / "default" / "models" / "nines")
    # A pod field that config-features refuses to people; models have it.
    placed = document("claimed", "pvc://models/nines", nodeSelector={"kubernetes.io/os": "linux"})
    await apply(instance, kubectl, tmp_path, placed)
    await instance.command(kubectl, "wait", "--for=condition=Ready", "isvc/claimed", "--timeout=100s")
    answer = await predict(instance, "claimed", "/v1/models/claimed:predict", {"instances": [FLOWER]})
    assert answer == {"predictions": [9]}
    phase = await instance.command(kubectl, "get", "pvc", "models", "-o", "jsonpath={.status.phase}")
    assert phase == "Bound"


async def test_what_cannot_be_served_says_why(instance: Instance, kubectl: str, tmp_path: Path) -> None:
    await apply(instance, kubectl, tmp_path, document("nowhere", "file:///no/such/model"))

    async def is_told() -> bool:
        status = json.loads(await instance.command(kubectl, "get", "isvc", "nowhere", "-o", "json")).get("status") or {}
        failure = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
        return "there is no such file or folder on this node" in failure.get("message", "")

    await eventually(is_told, 90, "modelStatus tells why the model could not be fetched", poll_s=0.5)
    wrong = document("wrong", "file:///m")
    wrong["spec"]["predictor"]["canaryTrafficPercent"] = 101
    with pytest.raises(RuntimeError, match=r"expected 0 <= 101 <= 100: spec\.predictor\.canaryTrafficPercent"):
        await apply(instance, kubectl, tmp_path, wrong)
