"""The hosts file of pods: which names stand for which addresses, and that a process really sees them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.node import cluster_names
from cluster.node.cluster_names import NamesFile

GATEWAY = {"clusterIP": "127.1.128.5", "selector": {"a": "b"}, "ports": [{"port": 80}]}
ALIAS = {"type": "ExternalName", "externalName": "gateway-internal.tidegate-system.svc.cluster.local"}


def service(name, namespace, **spec):
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def names_of(*services):
    found = {}
    for line in cluster_names.lines_of(services):
        address, *listed = line.split()
        found |= dict.fromkeys(listed, address)
    return found


def test_a_service_has_three_names():
    found = names_of(service("web", "shop", **GATEWAY))
    assert found == {
        "web.shop": "127.1.128.5",
        "web.shop.svc": "127.1.128.5",
        "web.shop.svc.cluster.local": "127.1.128.5",
    }


def test_a_placeholder_stands_for_what_it_names():
    found = names_of(service("gateway-internal", "tidegate-system", **GATEWAY), service("hello", "default", **ALIAS))
    assert found["hello.default.svc.cluster.local"] == "127.1.128.5"


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None", "selector": {"a": "b"}},
        {"clusterIP": "10.0.0.1", "selector": {"a": "b"}},
        {"clusterIP": "127.1.128.9"},
        {"type": "ExternalName", "externalName": "example.com"},
        {"type": "ExternalName", "externalName": "nobody.default.svc.cluster.local"},
        {},
    ],
)
def test_what_nothing_listens_for_has_no_name(spec):
    assert names_of(service("web", "shop", **spec)) == {}


@pytest.mark.parametrize(
    ("before", "wanted", "then"),
    [
        ([], ["a", "b"], ["a", "b"]),
        (["b"], ["a", "b"], ["b", "a"]),
        (["a", "bb", "c"], ["a", "c"], ["a", "##", "c"]),
        (["a", "##", "c"], ["a", "c", "dd"], ["a", "##", "c", "dd"]),
        (["a", "##", "c"], ["c"], ["c"]),
        (["a"], [], []),
        (["a"], ["b"], ["#", "b"]),
    ],
)
def test_lines_that_stay_keep_their_place_for_readers_in_between(before, wanted, then):
    assert cluster_names.arranged(before, wanted) == then


async def test_the_first_change_is_written_at_once_and_a_crowd_together(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    services = []
    file = NamesFile(path, lambda: services)
    services.append(service("web", "shop", **GATEWAY))
    file.changed()
    assert "web.shop.svc " in path.read_text()
    for name in ("cart", "till"):
        services.append(service(name, "shop", **GATEWAY))
        file.changed()
    assert "till" not in path.read_text()
    async with asyncio.timeout(30):
        while "cart.shop.svc " not in (content := path.read_text()):
            await asyncio.sleep(0.001)
    assert "till.shop.svc " in content
    assert content.startswith("127.0.0.1 localhost\n")


async def test_the_file_is_rewritten_in_place(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    services = [service("web", "shop", **GATEWAY)]
    file, inode = NamesFile(path, lambda: services), path.stat().st_ino
    file.write()
    assert "web.shop.svc " in path.read_text()
    services.clear()
    file.write()
    assert "web" not in path.read_text()
    assert "localhost" in path.read_text()
    assert path.stat().st_ino == inode


PROGRAM = """
import pathlib, socket, sys
from cluster.node import cluster_names
path = pathlib.Path(sys.argv[1])
refusal = cluster_names.enter(path)
if refusal:
    print("refused", refusal)
    raise SystemExit
with path.open("a") as file:
    file.write("127.9.9.9 web.shop.svc.cluster.local\\n")
print(socket.gethostbyname("web.shop.svc.cluster.local"))
"""


def test_a_process_resolves_what_the_file_says_and_nobody_else_does(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "hosts")],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=Path(__file__).parents[3],
    )
    if done.stdout.startswith("refused"):
        pytest.skip(done.stdout.strip())
    assert done.stdout.strip() == "127.9.9.9"
    # Not by asking for the name: whoever runs a name server may answer, late or wrongly.
    assert "web.shop.svc" not in cluster_names.SYSTEM_FILE.read_text()
