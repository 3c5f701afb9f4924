"""Multi-model: layouts, version policies, labels, load on demand with single flight, eviction under a budget."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtimes.failures import InferenceError, Kind
from runtimes.messages import InferRequest
from runtimes.repository import config_text, layout, versions
from runtimes.repository.layout import LayoutError, ModelConfig
from runtimes.repository.slots import Control, State
from runtimes.repository.store import Repository
from runtimes.repository.swap_plan import SwapLimits
from runtimes.repository.versions import Labels, VersionPolicy
from runtimes.tensors import of_array
from tests.support.model_servers import client_of, serving


def model_folder(root: Path, name: str, *numbers: str, **files: str) -> Path:
    """Make a model folder with these versions; `files` go beside them."""
    for number in numbers:
        (root / name / number).mkdir(parents=True)
        (root / name / number / "model.py").write_text(f"VERSION = {number!r}\n")
    for file, content in files.items():
        (root / name / file.replace("_json", ".json").replace("_pbtxt", ".pbtxt").replace("_", "-")).write_text(content)
    return root / name


# Layouts


def test_a_triton_configuration_is_understood(tmp_path: Path) -> None:
    text = """
    name: "m"  # a comment
    platform: "pytorch_libtorch"
    max_batch_size: 8
    input [ { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 16 ] } ]
    output { name: "OUTPUT__0", data_type: TYPE_STRING, dims: [ -1, 2 ] }
    dynamic_batching { max_queue_delay_microseconds: 500 default_queue_policy { max_queue_size: 7 } }
    instance_group [ { count: 2 kind: KIND_CPU } ]
    version_policy: { specific: { versions: [1, 3] } }
    parameters: { key: "class" value: { string_value: "a:B" } }
    """
    folder = layout.read(model_folder(tmp_path, "m", "1", "2", "3", config_pbtxt=text), "m")
    assert folder.config.runtime == "torch"
    assert folder.config.inputs[0] == {"name": "INPUT__0", "datatype": "FP32", "shape": [-1, 16], "optional": False}
    assert folder.config.outputs[0]["datatype"] == "BYTES"
    wanted = {"max_batch_size": 8, "max_batch_delay_s": 0.0005, "max_queue_size": 7, "instances": 2}
    assert folder.config.batching == wanted
    assert folder.served() == ["1", "3"]
    assert folder.config.options == {"class": "a:B"}


def test_an_mlserver_configuration_is_understood(tmp_path: Path) -> None:
    settings = {
        "name": "m",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./iris.joblib", "version": "v0.1.0", "extra": {"method": "predict_proba"}},
        "max_batch_size": 4,
        "max_batch_time": 0.1,
    }
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model-settings.json").write_text(json.dumps(settings))
    (tmp_path / "m" / "iris.joblib").write_bytes(b"")
    folder = layout.read(tmp_path / "m", "m")
    assert folder.served() == ["0.1.0"]
    assert folder.config.batching == {"max_batch_size": 4, "max_batch_delay_s": 0.1}
    assert layout.artefact(folder.versions["0.1.0"], folder.config) == ("sklearn", tmp_path / "m" / "iris.joblib")


@pytest.mark.parametrize(
    ("files", "asked", "found"),
    [
        (["resnet50.onnx"], "", ("onnx", "resnet50.onnx")),
        (["resnet50.onnx", "labels.txt", "notes.json", "README.md"], "onnx", ("onnx", "resnet50.onnx")),
        (["scripted.pt"], "torch", ("torch", "scripted.pt")),
        (["exported.pt2"], "torch", ("torch", "exported.pt2")),
        (["iris.joblib", "iris.onnx"], "sklearn", ("sklearn", "iris.joblib")),
        (["churn.bst"], "xgboost", ("xgboost", "churn.bst")),
        (["model.onnx", "other.onnx"], "onnx", ("onnx", "model.onnx")),
    ],
)
def test_a_folders_only_model_file_may_have_any_name(
    tmp_path: Path, files: list[str], asked: str, found: tuple[str, str]
) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"")
    runtime, file = layout.artefact(tmp_path, ModelConfig("m", runtime=asked))
    assert (runtime, file.name) == found


def test_two_files_that_may_be_the_model_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("small.onnx", "large.onnx"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(LayoutError, match=r"large.onnx, small.onnx may each be the model; call one model.onnx"):
        layout.artefact(tmp_path, ModelConfig("m", runtime="onnx"))


def test_a_file_outside_of_the_folder_is_no_model_file(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "secret.onnx").write_bytes(b"")
    config = ModelConfig("m", options={"file": "../secret.onnx"})
    with pytest.raises(LayoutError, match="not in the folder"):
        layout.artefact(tmp_path / "m", config)


@pytest.mark.parametrize(
    "text", ["a {", "a: [1", "a: $", "{}", 'a: "x', "x: <", "a" * 3 + ": {" * 40], ids=lambda text: text[:12]
)
def test_a_broken_configuration_says_so(text: str) -> None:
    with pytest.raises(config_text.ConfigTextError):
        config_text.parse(text)


def test_folders_that_are_no_versions_are_ignored(tmp_path: Path) -> None:
    path = model_folder(tmp_path, "m", "1", "10", "2")
    for name in ("0", "01", "v3", ".git", "x"):
        (path / name).mkdir()
    assert layout.read(path, "m").versions.keys() == {"1", "10", "2"}
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.pbtxt").write_text("{")
    found = layout.scan(tmp_path)
    assert set(found) == {"m", "broken"}
    assert "config.pbtxt" in str(found["broken"])


# Versions and labels


@pytest.mark.parametrize(
    ("document", "served"),
    [
        (None, ["10"]),
        ({"latest": 2}, ["2", "10"]),
        ({"latest": {"num_versions": 2}}, ["2", "10"]),
        ({"specific": ["1", 2]}, ["1", "2"]),
        ({"all": True}, ["1", "2", "10"]),
        ({"specific": ["7"]}, []),
    ],
)
def test_version_policies(document: Any, served: list[str]) -> None:
    assert versions.read_policy(document).choose(["10", "2", "1"]) == served


@pytest.mark.parametrize("document", [{"latest": 0}, {"some": 1}, "latest", {"latest": 1, "all": True}])
def test_a_policy_that_cannot_be_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="version_policy"):
        versions.read_policy(document)


def test_versions_are_ordered_as_numbers() -> None:
    assert VersionPolicy(latest=0).choose(["1.10.0", "1.2.0", "rc", "1.2"]) == ["rc", "1.2", "1.2.0", "1.10.0"]


def test_labels_move_at_once_and_remember_it() -> None:
    labels = Labels()
    have = ["1", "2"]
    assert labels.resolve(have) == "2", "without PROD the highest version answers"
    labels.move("PROD", "1")
    assert labels.resolve(have) == "1"
    assert labels.resolve(have, label="STG") is None
    labels.move("PROD", "2")
    labels.move("STG", "2")
    labels.move("STG", "")
    assert labels.of == {"PROD": "2"}
    assert labels.moves == [("PROD", "", "1"), ("PROD", "1", "2"), ("STG", "", "2"), ("STG", "2", "")]


# The store


class Sized:
    """A model that says how large it is; waits on `gate` while loading where there is one."""

    def __init__(self, name: str, size: int, gate: threading.Event | None = None) -> None:
        self.name = name
        self.size = size
        self.gate = gate
        self.is_unloaded = False
        self.is_inside = asyncio.Event()
        self.may_leave = asyncio.Event()

    def load(self) -> None:
        if self.gate is not None:
            assert self.gate.wait(60)

    def unload(self) -> None:
        self.is_unloaded = True

    def memory_bytes(self) -> int:
        return self.size

    async def predict(self, inputs: dict[str, Any]) -> Any:
        if "wait" in inputs:
            self.is_inside.set()
            await self.may_leave.wait()
        return inputs["x"]


LARGE = 1 << 40  # beyond what measuring the process adds


class World:
    """A repository of one-terabyte models; remembers what was opened."""

    def __init__(self, root: Path, names: str, **options: Any) -> None:
        self.opened: list[str] = []
        self.broken: set[str] = set()
        self.gate: threading.Event | None = None
        for name in names:
            model_folder(root, name, "1")
        self.root = root
        limits = SwapLimits(**{"min_residency_s": 0.0, **options.pop("limits", {})})
        self.store = Repository(self.open, root=root, limits=limits, **options)
        self.store.rescan()

    def open(self, folder: Path, model: ModelConfig) -> Any:
        self.opened.append(model.name + ("" if folder.name == "1" else folder.name))
        if model.name in self.broken:
            raise ValueError("the file is broken")
        return Sized(model.name, LARGE, self.gate)

    async def ask(self, name: str, *, stays: bool = False, **address: str) -> str:
        """Ask a model; one that `stays` is inside until `may_leave` of its model is set."""
        servable = await self.store.acquire(name, **address)
        inputs = [of_array("x", [1.0])] + ([of_array("wait", [1.0])] if stays else [])
        await servable.infer(InferRequest(name, inputs))
        return servable.version

    def resident(self) -> list[str]:
        return sorted(servable.name for servable in self.store.servables())


async def until(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not check():
            await asyncio.sleep(0.001)


async def test_fifty_first_requests_are_one_load(tmp_path: Path) -> None:
    world = World(tmp_path, "a", control=Control.ON_DEMAND)
    world.gate = threading.Event()
    asked = [asyncio.create_task(world.ask("a")) for _ in range(50)]
    await until(lambda: world.opened and world.store.waiting == 50)
    assert world.opened == ["a"]
    asked[7].cancel()
    world.gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [answer for answer in answers if answer == "1"] == ["1"] * 49
    assert (world.opened, world.store.waiting) == (["a"], 0)
    await world.store.close()


async def test_the_least_recently_used_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    world = World(tmp_path, "abc", control=Control.ON_DEMAND, limits={"budget_bytes": 2.5 * LARGE})
    await world.ask("a")
    await world.ask("b")
    await world.ask("a")
    await world.ask("c")
    assert world.resident() == ["a", "c"]
    busy = asyncio.create_task(world.ask("a", stays=True))
    model = world.store.find("a").model.target
    await model.is_inside.wait()
    await world.ask("c")
    await world.ask("b")
    assert world.resident() == ["a", "b"], "a was used longest ago, and it is in use"
    model.may_leave.set()
    assert await busy == "1"
    assert world.store.evictions == 2
    await world.store.close()
    assert world.resident() == []


async def test_a_pinned_model_stays_and_one_that_never_fits_is_refused(tmp_path: Path) -> None:
    model_folder(tmp_path, "a", "1", model_settings_json='{"pinned": true}')
    world = World(tmp_path, "b", control=Control.ON_DEMAND, limits={"budget_bytes": 1.5 * LARGE})
    await world.ask("a")
    world.store.slot("b").size_bytes = LARGE
    with pytest.raises(InferenceError, match="memory budget") as caught:
        await world.ask("b")
    assert caught.value.kind is Kind.LOAD_FAILED
    assert world.resident() == ["a"]
    await world.store.close()


async def test_a_load_that_fails_is_told_at_once_and_tried_again_later(tmp_path: Path) -> None:
    now = [0.0]
    world = World(tmp_path, "a", control=Control.ON_DEMAND, clock=lambda: now[0])
    world.broken = {"a"}
    for _ in range(2):
        with pytest.raises(InferenceError, match="the file is broken") as caught:
            await world.ask("a")
        assert caught.value.kind is Kind.LOAD_FAILED
    assert world.opened == ["a"], "the second request does not wait for another failure"
    assert not world.store.is_ready("a")
    world.broken = set()
    now[0] = 31.0
    assert await world.ask("a") == "1"
    await world.store.close()


async def test_too_many_waiting_requests_are_refused(tmp_path: Path) -> None:
    world = World(tmp_path, "a", control=Control.ON_DEMAND, limits={"max_waiting": 1})
    world.gate = threading.Event()
    first = asyncio.create_task(world.ask("a"))
    await asyncio.sleep(0)
    with pytest.raises(InferenceError) as caught:
        await world.ask("a")
    assert caught.value.kind is Kind.QUEUE_FULL
    world.gate.set()
    await first
    await world.store.close()


async def test_a_new_version_that_fails_leaves_the_old_one_serving(tmp_path: Path) -> None:
    world = World(tmp_path, "a")
    await world.store.load_wanted()
    world.broken = {"a"}
    with pytest.raises(InferenceError, match="broken"):
        await world.store.load("a")
    assert await world.ask("a") == "1"
    assert world.store.slot("a").state is State.READY
    await world.store.close()


async def test_a_reload_swaps_without_a_gap(tmp_path: Path) -> None:
    world = World(tmp_path, "a")
    await world.store.load_wanted()
    old = world.store.find("a")
    target = old.model.target
    busy = asyncio.create_task(world.ask("a", stays=True))
    await target.is_inside.wait()
    world.gate = threading.Event()
    loading = asyncio.create_task(world.store.load("a"))
    await until(lambda: world.opened == ["a", "a"])
    assert world.store.find("a") is old and world.store.is_ready("a"), "the old one serves while the new one loads"
    world.gate.set()
    await until(lambda: world.store.find("a") is not old)
    assert await world.ask("a") == "1", "the new one serves, and somebody is still inside the old one"
    assert not target.is_unloaded
    target.may_leave.set()
    assert await busy == "1", "the request inside the old one ends there"
    await loading
    assert target.is_unloaded and old.model.target is None
    await world.store.close()


async def test_new_versions_appear_and_vanished_ones_retire(tmp_path: Path) -> None:
    world = World(tmp_path, "a")
    await world.store.load_wanted()
    model_folder(tmp_path, "a", "2")
    world.store.rescan()
    await world.store.load_wanted()
    assert await world.ask("a") == "2"
    with pytest.raises(InferenceError) as caught:
        world.store.find("a", "1")
    assert caught.value.kind is Kind.NOT_FOUND, "the policy serves the latest version only"
    await world.store.close()


async def test_explicit_control_loads_nothing_by_itself(tmp_path: Path) -> None:
    world = World(tmp_path, "ab", control=Control.EXPLICIT)
    assert world.store.is_ready(), "a server that nobody asked to load anything is ready"
    with pytest.raises(InferenceError) as caught:
        await world.ask("a")
    assert caught.value.kind is Kind.NOT_READY
    await world.store.load("a")
    assert await world.ask("a") == "1"
    assert [line["state"] for line in world.store.index()] == ["READY", "UNAVAILABLE"]
    await world.store.unload("a")
    assert world.store.index(only_ready=True) == []
    with pytest.raises(InferenceError, match="unknown"):
        await world.store.load("none")
    await world.store.close()


async def test_a_release_by_labels_over_http(tmp_path: Path) -> None:
    """Register, try a version by its number, tag it STG, then PROD: only new requests change."""
    for number, factor in (("1.0.0", 2), ("1.2.0", 3)):
        (tmp_path / "a" / number).mkdir(parents=True)
        code = f"class M:\n    def predict(self, inputs):\n        return inputs['instances'] * {factor}\n"
        (tmp_path / "a" / number / "model.py").write_text(code)
    (tmp_path / "a" / "model-settings.json").write_text('{"version_policy": {"all": true}}')
    (tmp_path / "a" / "labels.json").write_text('{"PROD": "1.0.0"}')
    asked = {"instances": [1]}
    async with serving(model_repository=str(tmp_path), allow_code=True) as frame, client_of(frame) as http:
        for path, wanted in (
            ("/predict/a", 2),
            ("/predict/a/1.2.0", 3),
            ("/predict/a/PROD", 2),
            ("/v1/models/a:predict", 2),
            ("/v1/models/a/versions/1.2.0:predict", 3),
            ("/v1/models/a/labels/PROD:predict", 2),
        ):
            assert await http.post(path, asked) == (200, {"predictions": [wanted]}), path
        assert (await http.post("/predict/a/STG", asked))[0] == 404
        status, answer, _ = await http.call("PUT", "/v2/models/a/labels", {"STG": "1.2.0"})
        assert (status, answer["labels"]) == (200, {"PROD": "1.0.0", "STG": "1.2.0"})
        assert await http.post("/predict/a/STG", asked) == (200, {"predictions": [3]})
        await http.call("PUT", "/v2/models/a/labels", {"PROD": "1.2.0"})
        status, answer, headers = await http.call("POST", "/predict/a", asked)
        assert (answer, headers["X-Model-Version"]) == ({"predictions": [3]}, "1.2.0")
        moves = (await http.get("/v2/models/a/labels"))[1]["moves"]
        assert moves[-1] == {"label": "PROD", "from": "1.0.0", "to": "1.2.0"}
        assert json.loads((tmp_path / "a" / "labels.json").read_text()) == {"PROD": "1.2.0", "STG": "1.2.0"}
        assert (await http.call("PUT", "/v2/models/a/labels", {"PROD": "9"}))[0] == 404
        assert (await http.call("PUT", "/v2/models/a/labels", {"../x": "1.2.0"}))[0] == 400


async def test_the_repository_extension_over_http(tmp_path: Path) -> None:
    (tmp_path / "a" / "1").mkdir(parents=True)
    (tmp_path / "a" / "config.pbtxt").write_text('backend: "identity"')
    async with serving(model_repository=str(tmp_path), model_control="explicit") as frame, client_of(frame) as http:
        assert (await http.get("/v2/models/a/ready"))[0] == 503
        assert await http.post("/v2/repository/models/a/load") == (200, {"name": "a", "load": True})
        assert (await http.post("/v2/repository/index", {"ready": True}))[1][0]["state"] == "READY"
        assert (await http.get("/v2/models/a/stats"))[1]["model_stats"][0]["load_ns"] > 0
        assert b'model_load_seconds{model="a",version="1"}' in (await http.get("/metrics"))[1]
        config = json.dumps({"backend": "identity", "max_batch_size": 4, "dynamic_batching": {}})
        loaded = await http.post("/v2/repository/models/a/load", {"parameters": {"config": config}})
        assert loaded[0] == 200
        assert (await http.get("/v2/models/a/config"))[1]["max_batch_size"] == 4
        for parameters, wanted in (({"other": 1}, 400), ({"config": 1}, 400), ({"file:1/x": "aa"}, 501)):
            got = await http.post("/v2/repository/models/a/load", {"parameters": parameters})
            assert got[0] == wanted
        assert (await http.post("/v2/repository/models/a/unload"))[0] == 200
        assert (await http.get("/v2/models/a/ready"))[0] == 503


@pytest.mark.parametrize(
    "config",
    [
        {"implementation": "os.abort"},
        {
            "implementation": "torch",
            "parameters": {"extra": {"class": "subprocess:Popen", "arguments": {"args": ["x"]}}},
        },
        {"implementation": "sklearn", "parameters": {"extra": {"trusted": ["os.system"]}}},
        {"parameters": {"isolate": {"string_value": "false"}}},
    ],
)
def test_a_load_does_not_say_what_code_runs(tmp_path: Path, config: dict[str, Any]) -> None:
    """Whoever reaches the repository API is not who wrote the model."""
    (tmp_path / "1").mkdir()
    with pytest.raises(layout.LayoutError, match="is said in the model's folder alone, not by a load"):
        layout.read(tmp_path, "m", config)
    own = {"implementation": "mine.Model", "parameters": {"extra": {"isolate": True, "threads": 1}}}
    (tmp_path / layout.SETTINGS).write_text(json.dumps(own))
    options = layout.read(tmp_path, "m", {"max_batch_size": 4}).config.options
    assert options == {"class": "mine.Model", "isolate": True}
