"""A version's manifest: hashes of its files, the version of its code, its id and where it comes from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes.repository import layout, manifest
from runtimes.repository.layout import LayoutError
from tests.support.model_servers import client_of, serving

CODE = """
class Model:
    code_version = "git-1a2b"

    def predict(self, inputs):
        return inputs["instances"] * {factor}
"""


def version(root: Path, number: str, factor: int = 2, **manifest: Any) -> Path:
    folder = root / "a" / number
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(CODE.format(factor=factor))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_by_name_and_version_or_by_id(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model-settings.json").write_text('{"version_policy": {"all": true}}')
    version(tmp_path, "1.0.0", 2, id="12345", version="1.0.0")
    version(tmp_path, "1.1.0", 3, id="12346")
    asked = {"instances": [1]}
    async with serving(model_repository=str(tmp_path), allow_code=True) as frame, client_of(frame) as http:
        for path, answer in (("a/1.0.0", 2), ("12345", 2), ("a/1.1.0", 3), ("12346", 3)):
            assert await http.post(f"/predict/{path}", asked) == (200, {"predictions": [answer]})
        assert (await http.post("/predict/12347", asked))[0] == 404


async def test_where_it_comes_from_is_in_its_metadata(tmp_path: Path) -> None:
    said = {"git": "1a2b", "data": "dvc:9f", "trainer": "run-7"}
    version(tmp_path, "1", id="7", codeVersion="git-1a2b", provenance=said)
    async with serving(model_repository=str(tmp_path), allow_code=True) as frame, client_of(frame) as http:
        _, found = await http.get("/v2/models/a")
        assert found["provenance"] == {"id": "7", "codeVersion": "git-1a2b", **said}


GOOD = digest(CODE.format(factor=2))


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"codeVersion": "git-0000"}, "these weights belong to code 'git-0000', this code is 'git-1a2b'"),
        ({"files": {"model.py": digest("other")}}, f"model.py has SHA-256 {GOOD}, not {digest('other')}"),
        ({"files": {"vocab.txt": GOOD}}, "vocab.txt is not in the folder"),
        ({"files": {"../../x": GOOD}}, "../../x is not in the folder"),
    ],
)
async def test_what_does_not_agree_is_not_served_and_says_so(tmp_path: Path, manifest: Any, why: str) -> None:
    version(tmp_path, "1", **manifest)
    async with serving(model_repository=str(tmp_path), allow_code=True) as frame, client_of(frame) as http:
        status, answer = await http.post("/v1/models/a:predict", {"instances": [1]})
        assert status == 503 and why in answer["error"]


async def test_what_agrees_is_served(tmp_path: Path) -> None:
    version(tmp_path, "1", files={"model.py": f"sha256:{GOOD}"}, codeVersion="git-1a2b", version="1")
    async with serving(model_repository=str(tmp_path), allow_code=True) as frame, client_of(frame) as http:
        assert (await http.post("/v1/models/a:predict", {"instances": [1]}))[0] == 200


async def test_code_that_says_no_version_cannot_be_compared(tmp_path: Path) -> None:
    folder = version(tmp_path, "1", codeVersion="git-1a2b")
    (folder / "model.py").write_text("class M:\n    def predict(self, inputs):\n        return inputs['instances']\n")
    async with serving(model_repository=str(tmp_path), allow_code=True) as frame, client_of(frame) as http:
        status, answer = await http.post("/v1/models/a:predict", {"instances": [1]})
        assert status == 503 and "give the class an attribute code_version" in answer["error"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting property name"),
        ("[]", "an object was expected"),
        ('{"colour": "blue"}', "colour is not known here; put further facts under provenance"),
        ('{"files": []}', "files is not an object"),
        ('{"version": "2"}', "version is '2', the folder's '1'"),
    ],
)
def test_a_broken_manifest_refuses_the_model(tmp_path: Path, text: str, why: str) -> None:
    folder = version(tmp_path, "1")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(LayoutError, match=why):
        layout.read(tmp_path / "a", "a")


def test_a_folder_without_versions_has_the_one_that_its_manifest_says(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    (tmp_path / "manifest.json").write_text('{"version": "1.4.0"}')
    assert list(layout.read(tmp_path, "a").versions) == ["1.4.0"]


@pytest.mark.parametrize("said", [{"id": None}, {"version": ["1"]}, {"codeVersion": True}])
def test_an_id_or_version_is_a_text(tmp_path: Path, said: dict[str, Any]) -> None:
    version(tmp_path, "1", **said)
    with pytest.raises(LayoutError, match="is not a text"):
        layout.read(tmp_path / "a", "a")


def test_provenance_does_not_pass_for_the_manifests_own_words(tmp_path: Path) -> None:
    folder = version(tmp_path, "1", id="7", provenance={"id": "8", "run": 0})
    said = manifest.read(folder)
    assert said is not None and said.document() == {"id": "7", "run": 0}
