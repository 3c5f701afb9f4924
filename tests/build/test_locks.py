"""What the image is made from: every file by its hash, in the versions that the tests ran with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def pins(file: str) -> dict[str, tuple[str, int]]:
    """Return version and number of hashes by name."""
    text = (ROOT / file).read_text()
    return {name_of(name): (version, rest.count("--hash=sha256:")) for name, version, rest in PIN.findall(text)}


@pytest.mark.parametrize("file", ["image.lock", "build.lock"])
def test_every_file_has_a_hash_and_the_version_of_the_constraints(file: str) -> None:
    constraints = pins("constraints.txt")
    for name, (version, hashes) in pins(file).items():
        assert hashes >= 1, name
        assert constraints.get(name, (version, 0))[0] == version, name


def test_the_image_has_what_the_project_depends_on_and_what_builds_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {name_of(one) for one in project["project"]["dependencies"]} <= pins("image.lock").keys()
    assert {name_of(one) for one in project["build-system"]["requires"]} <= pins("build.lock").keys()


def test_nothing_is_installed_without_hashes_but_extras_by_their_versions() -> None:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Containerfile").read_text())
    installs = re.findall(r"pip install (.*)", text)
    assert len(installs) == 4
    for flags in installs:
        assert any(flag in flags for flag in ("--require-hashes", "--no-index", "--constraint constraints.txt")), flags
