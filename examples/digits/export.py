"""Write the digits as three model folders: `python -m examples.digits.export --out build/models`.

digits-torch: weights of the network and the name of its class. digits-onnx: the same network as an ONNX graph.
digits-sklearn: scikit-learn's perceptron, trained on the same images. All take `pixels` and answer `scores`, so a
client does not see which one it asks. `--only torch`, `onnx` or `sklearn` writes one of them.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

from examples.digits import model

INPUTS = [{"name": "pixels", "datatype": "FP32", "shape": [-1, model.PIXELS]}]
OUTPUTS = [{"name": "scores", "datatype": "FP32", "shape": [-1, 10]}]
EPOCHS = 20
KINDS = ("torch", "onnx", "sklearn")


def write(out: Path, kinds: tuple[str, ...] = KINDS) -> list[Path]:
    """Train what is needed and write the folders `digits-KIND` below `out`; returns them."""
    made = []
    images, _, digits, _ = model.load_split()
    network = _trained(images, digits) if {"torch", "onnx"} & {*kinds} else None
    for kind in kinds:
        folder = out / f"digits-{kind}"
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "sklearn":
            _write_sklearn(folder, images, digits)
        else:
            {"torch": _write_torch, "onnx": _write_onnx}[kind](folder, network)
        made.append(folder)
    return made


def _trained(images: Any, digits: Any) -> Any:
    from examples.digits.network import Scores

    scores = Scores()
    scores.network = model.TorchModel.train(images, digits, EPOCHS)._network
    return scores.eval()


def _write_torch(folder: Path, network: Any) -> None:
    from safetensors.torch import save_file

    save_file(network.state_dict(), folder / "model.safetensors")
    _write_settings(folder, {"class": "examples.digits.network:Scores", "threads": 1})


def _write_onnx(folder: Path, network: Any) -> None:
    import torch

    shape = {"pixels": {0: "images"}, "scores": {0: "images"}}
    example = (torch.zeros(2, model.PIXELS),)
    with warnings.catch_warnings():
        # The newer exporter needs the onnxscript package, and writes the same graph for a network like this.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            example,
            str(folder / "model.onnx"),
            dynamo=False,
            input_names=["pixels"],
            output_names=["scores"],
            dynamic_axes=shape,
        )
    _write_settings(folder, {"threads": 1})


def _write_sklearn(folder: Path, images: Any, digits: Any) -> None:
    import skops.io
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler
    from threadpoolctl import threadpool_limits

    perceptron = MLPClassifier((100,), early_stopping=True, random_state=model.SEED)
    with threadpool_limits(1):  # the batches are too small to share among threads
        trained = make_pipeline(MaxAbsScaler(), perceptron).fit(images, digits)
    skops.io.dump(trained, folder / "model.skops")
    # The perceptron keeps the state of its optimizer, whose type skops does not know as harmless.
    trusted = ["sklearn.neural_network._stochastic_optimizers.AdamOptimizer"]
    _write_settings(folder, {"method": "predict_proba", "trusted": trusted})


def _write_settings(folder: Path, extra: dict[str, Any]) -> None:
    settings = {"inputs": INPUTS, "outputs": OUTPUTS, "parameters": {"extra": extra}}
    (folder / "model-settings.json").write_text(json.dumps(settings, indent=1) + "\n")


def main() -> None:
    """Write the folders and say where."""
    parser = argparse.ArgumentParser(description="Write the digits as model folders.")
    parser.add_argument("--out", type=Path, default=Path("build/models"))
    parser.add_argument("--only", choices=KINDS, action="append")
    arguments = parser.parse_args()
    for folder in write(arguments.out, tuple(arguments.only or KINDS)):
        print(folder)


if __name__ == "__main__":
    main()
