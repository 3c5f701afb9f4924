"""What the adapter makes of a folder: which models are in it, what their config.pbtxt becomes, what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runtimes.repository import config_text
from runtimes.triton import model_config
from runtimes.triton.layout import Layout, LayoutError

PY = {"model.py"}
SETTINGS = {
    "max_batch_size": 8,
    "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}],
    "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}],
}
TENSORS = 'input { name: "x" data_type: TYPE_FP32 dims: [4] }\noutput { name: "y" data_type: TYPE_FP32 dims: [4] }\n'


@pytest.mark.parametrize(
    ("text", "files", "settings", "added", "backend", "is_complete"),
    [
        ("", PY, {}, {"name": "m", "backend": "python"}, "python", False),
        ("", {"model.onnx"}, {}, {"name": "m", "backend": "onnxruntime"}, "onnxruntime", False),
        ("", {"model.plan"}, {}, {"name": "m", "backend": "tensorrt"}, "tensorrt", False),
        ("", {"weights.bin"}, {}, {"name": "m"}, "", False),
        ('name: "m"\nbackend: "python"\n' + TENSORS, PY, SETTINGS, {}, "python", True),
        ('name: "other"\n' + TENSORS, PY, {}, {"name": "m", "backend": "python"}, "python", True),
        ('platform: "onnxruntime_onnx"', {"model.onnx"}, {}, {"name": "m"}, "onnxruntime", False),
        ('platform: "ensemble"' + TENSORS, set(), {}, {"name": "m"}, "", True),
        ('default_model_filename: "model.onnx"', {"model.onnx", "model.py"}, {}, {}, "onnxruntime", False),
        ("max_batch_size: 4", PY, SETTINGS, {"max_batch_size": 4}, "python", True),
    ],
)
def test_what_is_written_stays_and_what_is_missing_comes(
    text: str, files: set[str], settings: dict, added: dict, backend: str, is_complete: bool
) -> None:
    done = model_config.complete(text, "m", files, settings)
    assert (done.backend, done.is_complete) == (backend, is_complete)
    before, after = config_text.parse(text), config_text.parse(done.text)
    assert after == before | after | added
    assert {key: after[key] for key in before if key != "name"} == {k: v for k, v in before.items() if k != "name"}


def test_tensors_come_from_model_settings_with_the_rows_left_to_triton() -> None:
    after = config_text.parse(model_config.complete("", "m", PY, SETTINGS).text)
    assert after["max_batch_size"] == 8
    assert after["input"] == {"name": "pixels", "data_type": "TYPE_FP32", "dims": [64]}
    assert after["output"] == {"name": "label", "data_type": "TYPE_STRING", "dims": []}
    whole = config_text.parse(model_config.complete("", "m", PY, SETTINGS | {"max_batch_size": 0}).text)
    assert whole["input"]["dims"] == [-1, 64]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('name: "a"\ninput { name: "x" }', '\ninput { name: "x" }'),
        ('input [ { name: "x" } ] name : "a" # name: "b"', 'input [ { name: "x" } ]  # name: "b"'),
        ("input < name: 'x' > name: 'a;}' max_batch_size: 1", "input < name: 'x' >  max_batch_size: 1"),
        ("nickname: 'a'", "nickname: 'a'"),
    ],
)
def test_only_the_models_own_name_is_taken_out(text: str, left: str) -> None:
    assert model_config.without(text, "name") == left


# --- folders ---


def put(root: Path, *files: str) -> Path:
    for name in files:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("" if not name.endswith("json") else json.dumps(SETTINGS))
    return root


def layout(tmp_path: Path, *files: str, **options: object) -> Layout:
    source = put(tmp_path / "source", *files)
    return Layout(source, tmp_path / "made", ["python"], model_name="m", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["1/model.py"], ["m"]),
        (["config.pbtxt", "1/model.py"], ["m"]),
        (["model.py", "weights.bin"], ["m"]),
        (["a/1/model.py", "b/config.pbtxt", "b/2/model.py"], ["a", "b"]),
        (["a/1/model.py", ".git/1/x", "notes/read.me"], ["a"]),
    ],
)
def test_what_a_folder_holds(tmp_path: Path, files: list[str], names: list[str]) -> None:
    made = layout(tmp_path, *files)
    assert made.names() == names
    assert all(made.has(name) for name in names)
    assert not any(made.has(name) for name in ("other", "..", "../a", "", "notes", ".git"))


def test_versions_are_links_and_nothing_of_the_source_changes(tmp_path: Path) -> None:
    made = layout(tmp_path, "a/config.pbtxt", "a/1/model.py", "a/12/model.py", "a/03/model.py", "a/labels.txt")
    source = tmp_path / "source" / "a"
    before = sorted(str(each) for each in source.rglob("*"))
    made.prepare("a")
    folder = tmp_path / "made" / "a"
    assert sorted(each.name for each in folder.iterdir()) == ["03", "1", "12", "config.pbtxt", "labels.txt"]
    assert (folder / "12").resolve() == (source / "12").resolve()
    assert 'name: "a"' in (folder / "config.pbtxt").read_text()
    assert (source / "config.pbtxt").read_text() == ""
    assert sorted(str(each) for each in source.rglob("*")) == before


def test_bare_files_are_version_1_and_a_new_version_is_found_by_the_next_load(tmp_path: Path) -> None:
    made = layout(tmp_path, "model.py", "model-settings.json")
    assert made.prepare("m").is_complete
    assert (tmp_path / "made" / "m" / "1" / "model.py").is_file()
    many = layout(tmp_path / "many", "a/1/model.py", is_repository=True)
    many.prepare("a")
    config = tmp_path / "many" / "made" / "a" / "config.pbtxt"
    os.utime(config, ns=(0, 0))  # long ago: no clock is so coarse that a file written anew would look the same
    many.prepare("a")  # nothing changed: nothing for Triton to load anew
    assert config.stat().st_mtime_ns == 0
    put(tmp_path / "many" / "source", "a/2/model.py", "b/1/model.py")
    many.prepare("a")
    assert (tmp_path / "many" / "made" / "a" / "2" / "model.py").is_file()
    assert many.names() == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (["1/model.onnx"], {}, "needs the backend 'onnxruntime'; this Triton has: python"),
        (["1/model.py"], {"allow_code": False}, "model.py is code; if you trust its origin, set --allow-code true"),
        (["config.pbtxt"], {}, ""),
    ],
)
def test_what_this_triton_cannot_serve_says_so(tmp_path: Path, files: list[str], options: dict, message: str) -> None:
    made = layout(tmp_path, *files, **options)
    if not message:
        assert not made.prepare("m").is_complete  # Triton says what a model without anything lacks
        return
    with pytest.raises(LayoutError, match=message):
        made.prepare("m")


@pytest.mark.parametrize("text", ["input {", "name: $"])
def test_a_config_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    made = layout(tmp_path, "1/model.py")
    (tmp_path / "source" / "config.pbtxt").write_text(text)
    with pytest.raises(LayoutError, match=r"model m: .*config\.pbtxt"):
        made.prepare("m")


@pytest.mark.parametrize(
    ("config", "files", "code"),
    [
        ("", ["1/model.onnx"], ""),
        ("", ["1/model.onnx", "1/labels.txt", "notes.md"], ""),
        ('backend: "onnxruntime"', ["1/model.onnx", "1/libtriton_onnxruntime.so"], "libtriton_onnxruntime.so"),
        ('backend: "onnxruntime"', ["1/model.onnx", "libtriton_onnxruntime.so"], "libtriton_onnxruntime.so"),
        ('backend: "onnxruntime" default_model_filename: "x"', ["1/x", "1/model.py"], "model.py"),
        ('backend: "onnxruntime" runtime: "x"', ["1/model.onnx", "1/x"], "runtime"),
        ('model_operations { op_library_filename: "x" }', ["1/model.onnx"], "model_operations"),
        ('model_repository_agents { agents [ { name: "x" } ] }', ["1/model.onnx"], "model_repository_agents"),
        ('backend: "vllm"', ["1/model.json"], "vllm"),
    ],
)
def test_nothing_that_triton_would_run_passes_without_the_leave(
    tmp_path: Path, config: str, files: list[str], code: str
) -> None:
    source = put(tmp_path / "source", *files)
    (source / "config.pbtxt").write_text(config)
    made = Layout(source, tmp_path / "made", ["onnxruntime", "vllm"], model_name="m", allow_code=False)
    if not code:
        assert made.prepare("m")
        return
    with pytest.raises(LayoutError, match=rf"{code}.* is code; if you trust its origin, set --allow-code true"):
        made.prepare("m")
    assert Layout(source, tmp_path / "made", ["onnxruntime", "vllm"], model_name="m").prepare("m")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.pbtxt", 'max_batch_size: "many"'),
        ("config.pbtxt", "max_batch_size: [1, 2]"),
        ("model-settings.json", '{"inputs": [1]}'),
        ("model-settings.json", "[" * 100_000),
    ],
)
def test_a_file_that_makes_no_sense_is_an_error_of_its_model_alone(tmp_path: Path, name: str, text: str) -> None:
    made = layout(tmp_path, "1/model.py")
    (tmp_path / "source" / name).write_text(text)
    with pytest.raises(LayoutError):
        made.prepare("m")
