"""Seldon-style classes, TorchServe handlers, and archives that try to lead outside."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtimes import contract, opening
from runtimes.adapters import archive
from runtimes.adapters.archive import ArchiveError
from runtimes.adapters.seldon import SeldonStyle, is_seldon_style
from runtimes.config import Config
from runtimes.python.runtime import ImportFailed, import_class, made_of
from runtimes.repository import layout
from tests.support.model_servers import client_of, serving

MANIFEST = {"model": {"modelName": "words", "modelVersion": "1.0", "handler": "handler.py", "serializedFile": "w.txt"}}
HANDLER = """
from pathlib import Path
import neighbour

class Handler:
    def initialize(self, context):
        folder = Path(context.system_properties["model_dir"])
        self.suffix = (folder / context.manifest["model"]["serializedFile"]).read_text()

    def preprocess(self, data):
        return [row.get("data") or row.get("body") for row in data]

    def inference(self, texts):
        return [neighbour.louder(text) + self.suffix for text in texts]

    def postprocess(self, texts):
        return [{"text": text} for text in texts]
"""
FUNCTION_HANDLER = """
state = {}

def handle(data, context):
    if data is None:
        state["ready"] = context.model_name
        return None
    return [f"{state['ready']} {row['body']}" for row in data]
"""


def write_archive(file: Path, manifest: Any = MANIFEST, **files: str) -> Path:
    """Write a .mar file; names in `files` have `__` for a dot."""
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        for name, content in files.items():
            made.writestr(name.replace("__", "."), content)
    return file


async def test_a_torchserve_archive_answers(tmp_path: Path) -> None:
    neighbour = "def louder(text):\n    return text.upper()\n"
    write_archive(tmp_path / "words.mar", handler__py=HANDLER, neighbour__py=neighbour, w__txt="!")
    async with serving(model_dir=str(tmp_path), model_name="words", allow_code=True) as frame, client_of(frame) as http:
        asked = {"instances": ["hi", {"data": "you"}]}
        answer = (200, {"predictions": [{"text": "HI!"}, {"text": "YOU!"}]})
        assert await http.post("/v1/models/words:predict", asked) == answer
        assert await http.post("/predictions/words", asked) == answer
        text = {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["hi"]}
        status, document = await http.post("/v2/models/words/infer", {"inputs": [text]})
        assert (status, document["outputs"][0]["data"]) == (200, ['{"text": "HI!"}'])


@pytest.mark.parametrize("runtime", ["", "torch"])
def test_the_archive_is_torchs_too_and_may_lie_in_a_model_store(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "model-store").mkdir()
    file = write_archive(tmp_path / "model-store" / "words.mar")
    assert layout.artefact(tmp_path, layout.ModelConfig("words", runtime)) == ("mar", file)


async def test_an_archives_handler_is_code(tmp_path: Path) -> None:
    write_archive(tmp_path / "words.mar", handler__py=HANDLER)
    async with serving(model_dir=str(tmp_path), model_name="words") as frame, client_of(frame) as http:
        status, answer = await http.post("/v1/models/words:predict", {"instances": ["hi"]})
        assert status == 503 and "allow-code" in answer["error"]
        assert (await http.get("/v2/health/ready"))[0] == 503


async def test_a_handler_that_is_a_function(tmp_path: Path) -> None:
    write_archive(tmp_path / "words.mar", handler__py=FUNCTION_HANDLER)
    async with serving(model_dir=str(tmp_path), model_name="words", allow_code=True) as frame, client_of(frame) as http:
        asked = await http.post("/v1/models/words:predict", {"instances": [1]})
        assert asked == (200, {"predictions": ["words 1"]})


BAD_NAMES = ["../out", "/etc/x", "a/../../out", "..\\out", "C:\\x", "a/../.."]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_outside_refuse_the_archive(tmp_path: Path, name: str) -> None:
    file = write_archive(tmp_path / "bad.mar", **{name: "x"})
    (tmp_path / "in").mkdir()
    with pytest.raises(ArchiveError, match="outside"):
        archive.unpack(file, tmp_path / "in")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.mar", "in"]


@pytest.mark.parametrize("field", ["serializedFile", "modelFile", "handler"])
def test_a_manifest_that_names_files_outside_is_refused(tmp_path: Path, field: str) -> None:
    manifest = {"model": {**MANIFEST["model"], field: "../../etc/passwd"}}
    file = write_archive(tmp_path / "bad.mar", manifest)
    with pytest.raises(ArchiveError, match="outside"):
        archive.unpack(file, tmp_path)


def test_links_bombs_and_garbage_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(write_archive(tmp_path / "link.mar"), "a") as made:
        made.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="link"):
        archive.unpack(tmp_path / "link.mar", tmp_path / "one")
    with zipfile.ZipFile(write_archive(tmp_path / "bomb.mar"), "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zeros", bytes(1 << 20))
    with pytest.raises(ArchiveError, match="limit"):
        archive.unpack(tmp_path / "bomb.mar", tmp_path / "two", bytes_limit=1 << 19)
    (tmp_path / "garbage.mar").write_bytes(b"no zip")
    with pytest.raises(ArchiveError, match="not a zip"):
        archive.unpack(tmp_path / "garbage.mar", tmp_path)
    with zipfile.ZipFile(tmp_path / "none.mar", "w") as made:
        made.writestr("x", "")
    with pytest.raises(ArchiveError, match="MANIFEST"):
        archive.unpack(tmp_path / "none.mar", tmp_path)
    for manifest in ([], {}, {"model": {}}, {"model": 1}):
        with pytest.raises(ArchiveError, match="MANIFEST"):
            archive.unpack(write_archive(tmp_path / "odd.mar", manifest), tmp_path)


class Seldon:
    """A class as Seldon's wrapper wants it."""

    class_names = ["negative", "positive"]

    def __init__(self) -> None:
        self.feedback: list[Any] = []

    def predict(self, features: Any, names: Any, meta: Any = None) -> Any:
        self.names = names
        return np.asarray(features) * 2

    def transform_input(self, features: Any, names: Any) -> Any:
        return np.asarray(features) + 1

    def transform_output(self, features: Any, names: Any) -> Any:
        return -np.asarray(features)

    def route(self, features: Any, names: Any) -> int:
        return 1

    def aggregate(self, listed: Any, names: Any) -> Any:
        return np.mean(listed, axis=0)

    def tags(self) -> dict[str, Any]:
        return {"version": 7}

    def send_feedback(self, feedback: Any) -> None:
        self.feedback.append(feedback)

    def health_status(self) -> str:
        return "ok"


async def test_a_seldon_style_class_behind_seldons_paths() -> None:
    inner = Seldon()
    assert is_seldon_style(Seldon)
    async with serving(SeldonStyle(inner), model_name="s") as frame, client_of(frame) as http:

        def message(*rows: list[float]) -> dict[str, Any]:
            return {"data": {"names": ["a", "b"], "ndarray": list(rows)}}

        async def ask(verb: str, document: Any) -> Any:
            status, answer = await http.post(f"/api/v1.0/{verb}", document)
            assert status == 200, answer
            return answer

        answer = await ask("predictions", message([1, 2]))
        assert answer["data"] == {"names": ["negative", "positive"], "ndarray": [[-4, -6]]}
        assert answer["meta"]["tags"] == {"version": 7}
        assert inner.names == ["a", "b"]
        assert (await ask("transform-input", message([1, 2])))["data"]["ndarray"] == [[2, 3]]
        assert (await ask("transform-output", message([1, 2])))["data"]["ndarray"] == [[-1, -2]]
        assert (await ask("route", message([1, 2])))["data"]["ndarray"] == [[1]]
        both = {"seldonMessages": [message([1, 2]), message([3, 6])]}
        assert (await ask("aggregate", both))["data"]["ndarray"] == [[2, 4]]
        assert (await ask("combine", both))["data"]["ndarray"] == [[2, 4]]
        await ask("send-feedback", message([1, 2]) | {"reward": 1})
        assert inner.feedback[0]["reward"] == 1
        assert (await http.post("/v1/models/s:predict", {"instances": [[1, 2]]}))[1] == {"predictions": [[-4, -6]]}
        assert frame.repository.is_ready("s")


def test_classes_by_import_path() -> None:
    assert import_class("tests.support.model_servers:Doubler")().inputs[0]["name"] == "x"
    assert isinstance(import_class("tests.runtimes.test_adapters:Seldon")(), SeldonStyle)
    for path, text in (("no.such:Thing", "importing"), ("json:Nothing", "no class"), ("json:decoder.nope", "no class")):
        with pytest.raises(ImportFailed, match=text):
            import_class(path)


def test_a_class_that_takes_its_folder_gets_it(tmp_path: Path) -> None:
    class Wants:
        def __init__(self, folder: Path) -> None:
            self.folder = folder

    assert made_of(Wants, tmp_path).folder == tmp_path
    assert made_of(Seldon, tmp_path).feedback == []
    assert made_of(dict, tmp_path) == {}


def test_a_python_model_without_a_class_says_where_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(layout.LayoutError, match=r'"implementation": "module\.Class" into model-settings\.json'):
        opening.open_model(tmp_path, layout.ModelConfig("m", "python"), Config())


def test_a_model_that_takes_one_row_at_a_time() -> None:
    class One:
        batch_aware = False

        def predict(self, inputs: dict[str, Any]) -> Any:
            assert inputs["x"].shape == (2,)
            return inputs["x"].sum()

    from runtimes.tensors import Tensor

    outputs = contract.wrap(One()).predict([Tensor("x", "INT64", np.array([[1, 2], [3, 4]]))], {})
    assert outputs[0].array.tolist() == [3, 7]


def test_batching_settings_that_cannot_be_are_named() -> None:
    class Bad:
        max_batch_size = "many"

        def predict(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(contract.ContractError, match="batching of Bad"):
        contract.settings_of(Bad())
    with pytest.raises(contract.ContractError, match=r"inputs\[0\]"):
        contract.spec_of(type("M", (), {"inputs": [{"name": "x"}]}))
    with pytest.raises(contract.ContractError, match="FP99"):
        contract.spec_of(type("M", (), {"outputs": [{"name": "x", "datatype": "FP99", "shape": []}]}))


def test_what_a_killed_worker_had_unpacked_goes_with_the_next_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for name in ("tidegate-mar-4194304-a", f"tidegate-mar-{os.getppid()}-b", "other-4194304-c"):  # above any pid
        (tmp_path / "temporary" / name).mkdir(parents=True)
        (tmp_path / "temporary" / name / "weights").touch()
    neighbour = "def louder(text):\n    return text\n"
    write_archive(tmp_path / "words.mar", handler__py=HANDLER, neighbour__py=neighbour, w__txt="!")
    made = archive.open_file(tmp_path / "words.mar", layout.ModelConfig("m"), Config(allow_code=True))
    left = sorted(each.name for each in (tmp_path / "temporary").iterdir())
    assert [name for name in left if str(os.getpid()) not in name] == sorted(
        ["other-4194304-c", f"tidegate-mar-{os.getppid()}-b"]
    )
    made.unload()


@pytest.mark.parametrize("named", ["os.abort", "os.fork", "tests.runtimes.test_adapters.made_by_name"])
def test_a_function_that_a_models_settings_name_is_not_called_without_leave(tmp_path: Path, named: str) -> None:
    (tmp_path / layout.SETTINGS).write_text(json.dumps({"implementation": named}))
    model = layout.read(tmp_path, "m")
    with pytest.raises(opening.CodeRefused, match="it is no class"):
        opening.open_model(tmp_path, model.config, Config())
    if named.startswith("tests."):
        assert opening.open_model(tmp_path, model.config, Config(allow_code=True)) == "made"


def made_by_name() -> str:
    """A factory, as settings may name one."""
    return "made"
