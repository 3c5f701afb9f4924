"""The image catalog."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.node import catalog_file, images
from cluster.node.images import PYTHON, CatalogError, Image

USER = images.parse(
    {
        "images": [
            {"image": "shop/web:2", "command": ["two"]},
            {"image": "shop/*", "command": ["any"], "args": ["-v"], "env": {"A": 1}, "workingDir": "/srv"},
            {"image": r"re:lab/(\w+)-(\d+)", "command": ["run", "{1}", "{2}"]},
        ]
    }
)
CATALOG = [*USER, *images.BUILT_IN]

NAMES = [
    ("shop/web:2", ("two",)),
    ("shop/web:3", ("any",)),
    ("lab/cat-7:latest", ("run", "cat", "7")),
    ("tidegate.dev/activator", (PYTHON, "-m", "activator")),
    ("tidegate.dev/queueproxy:v1", (PYTHON, "-m", "queueproxy")),
    ("tidegate.dev/gateway@sha256:abc", (PYTHON, "-m", "gateway")),
    ("tidegate.dev/examples/hello:1", (PYTHON, "-m", "examples.hello")),
    ("tidegate.dev/examples/../x", None),
    ("docker.io/nginx", None),
    ("", None),
]


@pytest.mark.parametrize(("name", "command"), NAMES)
def test_resolve(name: str, command: tuple[str, ...] | None) -> None:
    found = images.resolve(name, CATALOG)
    assert (found.command if found else None) == command


def test_port_in_the_registry_is_no_tag() -> None:
    assert images.untagged("host:5000/a/b:1@sha256:x") == "host:5000/a/b"


def test_entries_carry_their_surroundings() -> None:
    found = images.resolve("shop/x", CATALOG)
    assert found == Image(("any",), ("-v",), {"A": "1"}, "/srv")


LINES = [
    ({}, ["e", "d"]),
    ({"args": ["x"]}, ["e", "x"]),
    ({"command": ["c"]}, ["c"]),
    ({"command": ["c"], "args": ["x"]}, ["c", "x"]),
]


@pytest.mark.parametrize(("container", "line"), LINES)
def test_command_line(container: dict[str, Any], line: list[str]) -> None:
    assert images.command_line(container, Image(("e",), ("d",))) == line


BROKEN = [
    ([1], "list under 'images'"),
    ({"images": [{"command": ["x"]}]}, r"images\[0\]: 'image'"),
    ({"images": {"image": "a"}}, "list under 'images'"),
    ({"images": [{"image": "", "command": ["x"]}]}, r"images\[0\]: 'image'"),
    ({"images": [{"image": "a", "command": "x"}]}, "'command' must be a list"),
    ({"images": [{"image": "a"}]}, "'command' must be a list with at least one word"),
    ({"images": [{"image": "a", "command": ["x", {"y": 1}]}]}, "'command' must be a list of words"),
    ({"images": [{"image": "a", "command": ["x"], "args": "y"}]}, "'args' must be a list"),
    ({"images": [{"image": "a", "command": ["x"], "env": ["A=1"]}]}, "'env' must map names to values"),
    ({"images": [{"image": "a", "command": ["x"], "env": {"A": None}}]}, "'env': the value of 'A' must be a text"),
    ({"images": [{"image": "a", "command": ["x"], "workingDir": "here"}]}, "'workingDir' must be an absolute path"),
    ({"images": [{"image": "a", "command": ["x"], "user": "nobody"}]}, "'user' must be the number of a user"),
    ({"images": [{"image": "a", "command": ["x"]}, {"image": "b", "command": []}]}, r"images\[1\]: 'command'"),
    ({"images": [{"image": "a", "command": ["x"], "color": 1}]}, "unknown field 'color'"),
    ({"images": [{"image": "re:(", "command": ["x"]}]}, "no regular expression"),
]


@pytest.mark.parametrize(("document", "message"), BROKEN)
def test_broken_catalog(document: Any, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        images.parse(document)


def test_empty_catalog() -> None:
    assert images.parse(None) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images: [", "catalog.yaml: while parsing"),
        ("images:\n- image: a\n", "catalog.yaml: images[0]: 'command'"),
    ],
)
def test_a_file_that_is_not_usable_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "cluster.node.catalog_file", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
    path.write_text("images:\n- image: a\n  command: [b]\n")
    assert catalog_file.load(str(path))[0].image.command == ("b",)
    with pytest.raises(CatalogError, match="nowhere"):
        catalog_file.load(str(tmp_path / "nowhere"))
