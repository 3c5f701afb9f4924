"""The digits as three model folders: torch and ONNX give the same scores, scikit-learn the same digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.digits import export, model
from tests.support.model_servers import client_of, serving

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    for module in ("torch", "onnx", "onnxruntime", "skops", "safetensors"):
        pytest.importorskip(module)
    out = tmp_path_factory.mktemp("models")
    return dict(zip(export.KINDS, export.write(out), strict=True))


async def asked(folder: Path, images: Any) -> tuple[Any, Any]:
    """Return the scores by V1 and by V2."""
    async with serving(model_dir=str(folder), model_name="digits") as frame, client_of(frame) as http:
        status, by_rows = await http.post("/v1/models/digits:predict", {"instances": images.tolist()})
        assert status == 200, by_rows
        tensor = {"name": "pixels", "datatype": "FP32", "shape": list(images.shape), "data": images.ravel().tolist()}
        status, by_tensor = await http.post("/v2/models/digits/infer", {"inputs": [tensor]})
        assert status == 200, by_tensor
        [output] = by_tensor["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("scores", "FP32", [len(images), 10])
        return np.array(by_rows["predictions"]), np.array(output["data"]).reshape(-1, 10)


async def test_three_servers_of_one_question(folders: dict[str, Path]) -> None:
    _, images, _, digits = model.load_split()
    scores = {}
    for kind, folder in folders.items():
        v1, v2 = await asked(folder, images[:100])
        assert np.allclose(v1, v2, atol=1e-6)
        assert np.allclose(v1.sum(axis=1), 1, atol=1e-5)
        scores[kind] = v1
    assert np.allclose(scores["torch"], scores["onnx"], atol=1e-5)
    found = {kind: each.argmax(axis=1) for kind, each in scores.items()}
    assert (found["torch"] == digits[:100]).sum() >= 95
    assert (found["torch"] == found["sklearn"]).sum() >= 95
