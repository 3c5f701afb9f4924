"""Planned volumes, path rewriting, and what lands on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.node import volume_files, volumes
from cluster.node.environment import ConfigError, PodFacts
from cluster.node.volumes import File, Folder, Token

FACTS = PodFacts("127.1.0.2", "127.0.0.1", "n1")
SOURCES: Any = {
    ("persistentvolumeclaim", "models"): {},
    ("configmap", "cm"): {"a": b"1", "b": b"2"},
    ("secret", "s"): {"k": b"top"},
    ("secret", "gone"): None,
}


def plan(**volume: Any) -> Folder:
    pod = {
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {"containers": [{"name": "c"}], "volumes": [{"name": "v", **volume}]},
    }
    return volumes.plan(pod, FACTS, SOURCES)["v"]


PLANS = [
    ({"emptyDir": {}}, Folder()),
    ({"configMap": {"name": "cm"}}, Folder({"a": File(b"1"), "b": File(b"2")})),
    (
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "x/y", "mode": 0o600}]}},
        Folder({"x/y": File(b"1", 0o600)}),
    ),
    ({"secret": {"secretName": "s", "defaultMode": 0o400}}, Folder({"k": File(b"top", 0o400)})),
    ({"secret": {"secretName": "gone", "optional": True}}, Folder()),
    ({"hostPath": {"path": "/tmp", "type": "Directory"}}, Folder(host_path="/tmp", host_type="Directory")),
    ({"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}, Folder(claim="ns/models")),
    (
        {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        Folder({"n": File(b"p")}),
    ),
    (
        {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"configMap": {"name": "cm"}}]}},
        Folder({"t": Token(), "a": File(b"1"), "b": File(b"2")}),
    ),
]


@pytest.mark.parametrize(("volume", "folder"), PLANS)
def test_plan(volume: dict[str, Any], folder: Folder) -> None:
    assert plan(**volume) == folder


REFUSED = [
    ({"persistentVolumeClaim": {"claimName": "gone"}}, 'persistentvolumeclaim "gone" not found'),
    ({"secret": {"secretName": "gone"}}, 'secret "gone" not found'),
    ({"configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}}, "has no key 'z'"),
    ({"nfs": {"server": "x"}}, "nfs is not supported"),
]


@pytest.mark.parametrize(("volume", "message"), REFUSED)
def test_refused(volume: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(**volume)


REWRITES = [
    ("/etc/app", "/real/1"),
    ("/etc/app/x.yaml", "/real/1/x.yaml"),
    ("--file=/etc/app/x,/etc/app/y", "--file=/real/1/x,/real/1/y"),
    ("/etc/apple", "/etc/apple"),
    ("/my/etc/app", "/my/etc/app"),
    ("/etc/app/data/z", "/real/2/z"),
    ("file:/etc/app", "file:/real/1"),
    ("no path", "no path"),
]


@pytest.mark.parametrize(("text", "expected"), REWRITES)
def test_rewritten(text: str, expected: str) -> None:
    assert volumes.rewritten(text, {"/etc/app": "/real/1", "/etc/app/data": "/real/2"}) == expected


def test_mounts() -> None:
    mounts = [{"name": "v", "mountPath": "/a/"}, {"name": "v", "mountPath": "/b", "subPath": "f.txt"}]
    assert volumes.mounts_of({"volumeMounts": mounts}, {"v": "/real"}) == {"/a": "/real", "/b": "/real/f.txt"}
    with pytest.raises(ConfigError, match="names no volume"):
        volumes.mounts_of({"volumeMounts": [{"name": "w", "mountPath": "/a"}]}, {"v": "/real"})
    with pytest.raises(ConfigError, match=r"must not contain \.\."):
        volumes.mounts_of({"volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "../x"}]}, {"v": "/real"})


def test_files_on_disk(tmp_path: Path) -> None:
    folders = {
        "v": Folder({"x/y": File(b"1", 0o640), "t": Token()}),
        "e": Folder(),
        "h": Folder(host_path=str(tmp_path)),
        "c": Folder(claim="ns/models"),
    }
    claims = tmp_path / "claims"
    real = volume_files.materialise(tmp_path / "volumes", folders, {Token(): "secret-token"}, claims)
    assert Path(real["v"], "x/y").read_bytes() == b"1"
    assert Path(real["v"], "x/y").stat().st_mode & 0o777 == 0o640
    assert Path(real["v"], "t").read_text() == "secret-token"
    assert Path(real["v"], "t").stat().st_mode & 0o777 == 0o600
    assert Path(real["e"]).is_dir()
    assert real["h"] == str(tmp_path)
    assert real["c"] == str(claims / "ns" / "models") and Path(real["c"]).is_dir()
    with pytest.raises(ConfigError, match="leads out"):
        volume_files.materialise(tmp_path / "volumes", {"v": Folder({"../../z": File(b"")})}, {}, claims)
    with pytest.raises(ConfigError, match="is not a directory"):
        volume_files.materialise(tmp_path, {"h": Folder(host_path="/etc/passwd", host_type="Directory")}, {}, claims)


def test_sources_of_a_pod() -> None:
    found = volumes.sources_of(
        {
            "spec": {
                "volumes": [
                    {"name": "a", "configMap": {"name": "x"}},
                    {"name": "b", "projected": {"sources": [{"secret": {"name": "y"}}]}},
                    {"name": "c", "secret": {"secretName": "z"}},
                    {"name": "d", "persistentVolumeClaim": {"claimName": "w"}},
                ]
            }
        }
    )
    assert found == {("configmap", "x"), ("secret", "y"), ("secret", "z"), ("persistentvolumeclaim", "w")}
