"""Every runtime opens real files of its framework and answers as the framework does; code in files needs leave."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtimes import contract, opening
from runtimes.config import Config
from runtimes.opening import CodeRefused
from runtimes.repository import layout
from runtimes.repository.layout import LayoutError
from runtimes.tensors import Tensor

CONFIG = Config(device="cpu")
TRUSTING = dataclasses.replace(CONFIG, allow_code=True)
ROWS = np.array([[0.1, 0.2, 0.3, 0.4], [1, 2, 3, 4]], dtype=np.float32)

MODULE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, outputs=2):
        super().__init__()
        self.layer = nn.Linear(4, outputs)

    def forward(self, x):
        return self.layer(x)
"""


def opened(folder: Path, config: Config = CONFIG, **settings: Any) -> contract.Model:
    """Open and load the model of a folder whose settings file says this."""
    if settings:
        (folder / layout.SETTINGS).write_text(json.dumps(settings))
    model = layout.read(folder, "m")
    wrapped = contract.wrap(opening.open_model(model.versions["1"], model.config, config))
    wrapped.load()
    return wrapped


def predict(model: contract.Model, rows: Any = ROWS) -> Any:
    """Return the first output for these rows."""
    return model.predict([Tensor("x", "FP32", rows)], {})[0].array


@pytest.fixture(scope="module")
def net() -> Any:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(4, 2))


def wanted(net: Any) -> Any:
    import torch

    with torch.inference_mode():
        return net(torch.tensor(ROWS)).numpy()


def test_torchscript(net: Any, tmp_path: Path) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(net), str(tmp_path / "model.pt"))  # type: ignore[no-untyped-call]
    model = opened(tmp_path)
    assert np.array_equal(predict(model), wanted(net))
    assert model.spec.platform == "pytorch"


def test_exported_program(net: Any, tmp_path: Path) -> None:
    import torch

    batch = torch.export.Dim("batch")
    program = torch.export.export(net, (torch.tensor(ROWS),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "model.pt2")
    model = opened(tmp_path, TRUSTING)
    assert np.array_equal(predict(model), wanted(net))
    assert predict(model, ROWS[:1].repeat(5, axis=0)).shape == (5, 2)


def mapped_from(file: Path) -> list[tuple[int, int]]:
    """Return the address ranges of this process that are mapped from a file."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(str(file)):
            first, _, last = line.split()[0].partition("-")
            found.append((int(first, 16), int(last, 16)))
    return found


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_the_weights_of_a_model_are_its_files_pages(net: Any, tmp_path: Path, suffix: str) -> None:
    import torch
    from safetensors.torch import save_file

    file = tmp_path / f"model.{suffix}"
    weights = {"weight": torch.randn(256, 256), "bias": torch.randn(256).to(torch.float64)}
    torch.save(weights, file) if suffix == "pt" else save_file(weights, file)
    extra = {"class": "torch.nn:Linear", "arguments": {"in_features": 256, "out_features": 256}}
    module = opened(tmp_path, parameters={"extra": extra}).target._module
    ranges = mapped_from(file)
    assert any(first <= module.weight.data_ptr() < last for first, last in ranges)
    assert module.bias.dtype == torch.float32, "the class decides about the dtype: this one was converted"
    assert torch.equal(module.weight, weights["weight"]) and torch.equal(module.bias, weights["bias"].float())


def test_a_module_is_built_without_filling_what_the_weights_replace(net: Any) -> None:
    import torch

    from runtimes.torch import weights

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 3)
            self.norm = torch.nn.LayerNorm(3)
            self.own = torch.nn.Parameter(torch.full((3,), 7.0))
            self.register_buffer("table", torch.arange(3.0), persistent=False)
            self.plain = torch.ones(3)

    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    wanted = Net().state_dict()
    torch.random.set_rng_state(before)
    made = weights.module_with(Net, wanted, Path("model.pt"))
    assert torch.equal(torch.random.get_rng_state(), before), "no random number was drawn"
    assert all(torch.equal(value, wanted[name]) for name, value in made.state_dict().items())
    assert made.table.tolist() == [0, 1, 2] and made.plain.tolist() == [1, 1, 1]


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights_with_an_importable_class(net: Any, tmp_path: Path, suffix: str) -> None:
    import torch

    file = tmp_path / f"model.{suffix}"
    weights = {name.replace("0.", ""): value for name, value in net.state_dict().items()}
    if suffix == "pt":
        torch.save(weights, file)
    else:
        from safetensors.torch import save_file

        save_file(weights, file)
    extra = {"class": "torch.nn:Linear", "arguments": {"in_features": 4, "out_features": 2}}
    model = opened(tmp_path, parameters={"extra": extra})
    assert np.array_equal(predict(model), wanted(net))
    assert model.target.memory_bytes() == 40


class Letters:
    """What a module of the texts below may be: built lazily, so that this file needs no torch."""

    @staticmethod
    def build(folder: Path) -> Any:
        import torch

        class Net(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = torch.nn.Linear(4, 2)
                self.folder = folder

            def forward(self, counts: Any) -> Any:
                return self.layer(counts)

            def preprocess(self, inputs: dict[str, Any]) -> dict[str, Any]:
                texts = inputs["text"].tolist()
                return {"counts": np.array([[text.count(letter) for letter in b"abcd"] for text in texts], np.float32)}

            def postprocess(self, outputs: dict[str, Any]) -> dict[str, Any]:
                return {"largest": outputs["output"].argmax(axis=1)}

        return Net()


def test_a_module_that_takes_texts_and_its_folder(net: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = {name.replace("0.", "layer."): value for name, value in net.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    extra = {"class": "tests.runtimes.test_frameworks:Letters.build"}
    inputs = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    model = opened(tmp_path, TRUSTING, inputs=inputs, parameters={"extra": extra})
    assert model.target._module.folder == tmp_path
    texts = np.array([b"abba", b"dad", b""], dtype=object)
    [answer] = model.predict([Tensor("text", "BYTES", texts)], {})
    counts = np.array([[2, 2, 0, 0], [1, 0, 0, 2], [0, 0, 0, 0]], np.float32)
    expected = counts @ weights["layer.weight"].numpy().T + weights["layer.bias"].numpy()
    assert (answer.name, answer.array.tolist()) == ("largest", expected.argmax(axis=1).tolist())


def test_a_class_beside_the_weights_is_code(net: Any, tmp_path: Path) -> None:
    import torch

    (tmp_path / "model.py").write_text(MODULE)
    torch.save({name.replace("0.", "layer."): value for name, value in net.state_dict().items()}, tmp_path / "model.pt")
    with pytest.raises(CodeRefused, match="allow-code"):
        opened(tmp_path)
    assert np.array_equal(predict(opened(tmp_path, TRUSTING)), wanted(net))


def test_a_pickled_module_is_code(net: Any, tmp_path: Path) -> None:
    import torch

    torch.save(net, tmp_path / "model.pt")
    with pytest.raises(CodeRefused, match="allow-code"):
        opened(tmp_path)
    assert np.array_equal(predict(opened(tmp_path, TRUSTING)), wanted(net))


def test_weights_without_a_class_say_what_to_do(net: Any, tmp_path: Path) -> None:
    import torch

    torch.save(net.state_dict(), tmp_path / "model.pt")
    with pytest.raises(layout.LayoutError, match=r"options\.class"):
        opened(tmp_path)


def test_dtype_device_and_warm_up(net: Any, tmp_path: Path) -> None:
    import torch

    torch.save({name.replace("0.", ""): value for name, value in net.state_dict().items()}, tmp_path / "model.pt")
    extra = {"class": "torch.nn:Linear", "arguments": {"in_features": 4, "out_features": 2}, "dtype": "bfloat16"}
    declared = [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    model = opened(tmp_path, parameters={"extra": extra}, inputs=declared)
    assert np.allclose(predict(model), wanted(net), atol=0.05)
    with pytest.raises(contract.ContractError, match=r"no CUDA|unknown"):
        opened(tmp_path, dataclasses.replace(CONFIG, device="cuda:7"), parameters={"extra": extra})


def test_warm_up_runs_the_module_before_it_is_ready(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from runtimes.torch.model import TorchModel

    shapes: list[Any] = []
    net = torch.nn.Linear(4, 2)
    net.register_forward_pre_hook(lambda _module, arguments: shapes.append(tuple(arguments[0].shape)))
    model = TorchModel(net, device="cpu")
    model.inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    model.load()
    assert shapes == [(1, 4)]


@pytest.fixture(scope="module")
def estimator() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(np.random.default_rng(1).random((20, 4)), [0, 1] * 10)


def test_sklearn_skops(estimator: Any, tmp_path: Path) -> None:
    import skops.io

    skops.io.dump(estimator, tmp_path / "model.skops")
    assert np.array_equal(predict(opened(tmp_path)), estimator.predict(ROWS))
    model = opened(tmp_path, parameters={"extra": {"method": "predict_proba"}})
    assert np.array_equal(predict(model), estimator.predict_proba(ROWS))
    with pytest.raises(contract.ContractError, match="fly"):
        opened(tmp_path, parameters={"extra": {"method": "fly"}})


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl"])
def test_a_pickled_estimator_is_code(estimator: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(estimator))
    with pytest.raises(CodeRefused, match="pickle"):
        opened(tmp_path)
    assert np.array_equal(predict(opened(tmp_path, TRUSTING)), estimator.predict(ROWS))


def test_sklearn_columns_side_by_side(estimator: Any, tmp_path: Path) -> None:
    import skops.io

    skops.io.dump(estimator, tmp_path / "model.skops")
    columns = [Tensor(f"f{at}", "FP32", ROWS[:, at]) for at in range(4)]
    outputs = opened(tmp_path).predict(columns, {})
    assert np.array_equal(outputs[0].array, estimator.predict(ROWS))


def test_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    made = helper.make_graph(
        [helper.make_node("Mul", ["x", "x"], ["y"])],
        "square",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
    )
    document = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(document, str(tmp_path / "square.onnx"))
    model = opened(tmp_path)
    assert np.array_equal(predict(model), ROWS * ROWS)
    assert model.spec.inputs[0].document() == {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
    assert model.spec.outputs[0].name == "y"


def test_onnx_weights_beside_the_graph_are_their_files_pages(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(1).random((4, 1 << 16), dtype=np.float32)
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1 << 16])],
        [numpy_helper.from_array(weights, "w")],
    )
    document = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    where = {"save_as_external_data": True, "location": "model.data", "size_threshold": 0}
    onnx.save(document, str(tmp_path / "model.onnx"), **where)
    model = opened(tmp_path, parameters={"extra": {"share_weights": True}})
    assert mapped_from(tmp_path / "model.data")
    assert np.allclose(predict(model), ROWS @ weights, rtol=1e-5)


@pytest.mark.parametrize("suffix", ["ubj", "json"])
def test_xgboost(tmp_path: Path, suffix: str) -> None:
    xgboost = pytest.importorskip("xgboost")
    data = xgboost.DMatrix(np.random.default_rng(1).random((20, 4)), label=[0, 1] * 10)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, num_boost_round=3)
    booster.save_model(tmp_path / f"model.{suffix}")
    assert np.array_equal(predict(opened(tmp_path)), booster.inplace_predict(ROWS))


def test_lightgbm(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    data = lightgbm.Dataset(np.random.default_rng(1).random((40, 4)), label=[0, 1] * 20)
    booster = lightgbm.train({"verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}, data, num_boost_round=3)
    booster.save_model(tmp_path / "model.txt")
    assert np.array_equal(predict(opened(tmp_path)), booster.predict(ROWS))


def test_a_python_file_is_code(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("class M:\n    def predict(self, inputs):\n        return inputs['x'] + 1\n")
    with pytest.raises(CodeRefused, match="allow-code"):
        opened(tmp_path)
    assert np.array_equal(predict(opened(tmp_path, TRUSTING)), ROWS + 1)


@pytest.mark.parametrize(
    ("save", "name", "config"),
    [
        (lambda torch, net, file: torch.jit.trace(net, torch.tensor(ROWS)).save(str(file)), "digits.pt", CONFIG),
        (
            lambda torch, net, file: torch.export.save(torch.export.export(net, (torch.tensor(ROWS),)), file),
            "digits.pt2",
            TRUSTING,
        ),
    ],
    ids=["TorchScript", "torch.export"],
)
def test_one_file_of_any_name_is_a_model(net: Any, tmp_path: Path, save: Any, name: str, config: Config) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(torch, net, tmp_path / name)
    assert np.array_equal(predict(opened(tmp_path, config)), wanted(net))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(layout.LayoutError, match=r"model\.onnx"):
        opened(tmp_path)
    with pytest.raises(layout.LayoutError, match="'cobol' is unknown"):
        (tmp_path / layout.CONFIG).write_text('backend: "cobol"')
        opened(tmp_path)


# --- code without the leave ---


class Strike:
    """Leaves a file where it was unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.mark),)


def test_an_exported_program_is_code(net: Any, tmp_path: Path) -> None:
    """torch.export.load reads the example inputs by pickle when they are not plain tensors."""
    import io
    import zipfile

    import torch

    torch.export.save(torch.export.export(net, (torch.tensor(ROWS),)), tmp_path / "plain.pt2")
    strike = io.BytesIO()
    torch.save(({"x": Strike(str(tmp_path / "struck"))},), strike)
    with zipfile.ZipFile(tmp_path / "plain.pt2") as plain, zipfile.ZipFile(tmp_path / "model.pt2", "w") as made:
        for entry in plain.infolist():
            content = strike.getvalue() if "sample_inputs" in entry.filename else plain.read(entry)
            made.writestr(entry.filename, content)
    with pytest.raises(CodeRefused, match="allow-code"):
        opened(tmp_path)
    assert not (tmp_path / "struck").exists()


@pytest.mark.parametrize(
    ("name", "arguments"), [("os:mkdir", {"path": "MARK"}), ("subprocess:Popen", {"args": ["mkdir", "MARK"]})]
)
def test_the_class_of_weights_is_a_module_or_code(net: Any, tmp_path: Path, name: str, arguments: Any) -> None:
    """The settings come with the model: they must not call what is installed here."""
    import torch

    torch.save({"a": torch.ones(1)}, tmp_path / "model.pt")
    arguments = json.loads(json.dumps(arguments).replace("MARK", str(tmp_path / "struck")))
    with pytest.raises(CodeRefused, match=r"no torch\.nn\.Module"):
        opened(tmp_path, parameters={"extra": {"class": name, "arguments": arguments}})
    assert not (tmp_path / "struck").exists()


def test_a_model_cannot_say_that_it_is_to_be_trusted(tmp_path: Path) -> None:
    skops_io = pytest.importorskip("skops.io")
    from sklearn.preprocessing import FunctionTransformer

    skops_io.dump(FunctionTransformer(os.getenv), tmp_path / "model.skops")
    types = skops_io.get_untrusted_types(file=tmp_path / "model.skops")
    with pytest.raises(CodeRefused, match=r"options\.trusted 'os\.getenv'"):
        opened(tmp_path, parameters={"extra": {"method": "transform", "trusted": types}})
    with pytest.raises(CodeRefused, match="fetch_openml"):
        opened(tmp_path, parameters={"extra": {"trusted": ["sklearn.datasets.fetch_openml"]}})
    trusted = ["sklearn.neural_network._stochastic_optimizers.AdamOptimizer"]
    with pytest.raises(LayoutError, match="types that skops does not know"):
        opened(tmp_path, parameters={"extra": {"trusted": trusted}})
