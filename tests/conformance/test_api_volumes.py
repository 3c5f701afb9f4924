"""Volumes of each kind that a revision may have, read through the app; several containers in one revision."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.instance import free_port
from tests.conformance.world import World, image, service
from tidegate.kube.api import Object

TEXT = "the text of the volume"
PATH = "/hello"


def _config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _secret(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def _projected(*sources: Object) -> Object:
    return {"projected": {"sources": list(sources)}}


def _service(volume: Object, file: str = f"{PATH}/world") -> Object:
    """Return a Service that serves a file of a volume, and is ready only with it."""
    mount = {"name": "data", "mountPath": PATH, "readOnly": True}
    container = {"volumeMounts": [mount], "args": [file], "readinessProbe": {"httpGet": {"path": "/"}}}
    return service("reader", "hellovolume", container=container, spec={"volumes": [{"name": "data"} | volume]})


CASES: dict[str, tuple[str, Object, Object]] = {
    "a ConfigMap": ("TestConfigMapVolume", _config_map("data", world=TEXT), {"configMap": {"name": "data"}}),
    "a Secret": ("TestSecretVolume", _secret("data", world=TEXT), {"secret": {"secretName": "data"}}),
    "a projected ConfigMap": (
        "TestProjectedConfigMapVolume",
        _config_map("data", other=TEXT),
        _projected({"configMap": {"name": "data", "items": [{"key": "other", "path": "world"}]}}),
    ),
    "a projected Secret": (
        "TestProjectedSecretVolume",
        _secret("data", other=TEXT),
        _projected({"secret": {"name": "data", "items": [{"key": "other", "path": "world"}]}}),
    ),
}


@pytest.mark.parametrize(
    ("source", "volume"),
    [
        pytest.param(source, volume, marks=pytest.mark.upstream("api", upstream), id=title)
        for title, (upstream, source, volume) in CASES.items()
    ],
)
async def test_a_file_of_a_volume_is_what_its_source_says(world: World, source: Object, volume: Object) -> None:
    await world.create(source)
    await world.deploy(_service(volume))
    assert await world.text(world.host("reader")) == TEXT


@pytest.mark.upstream("api", "TestProjectedComplex")
@pytest.mark.parametrize(
    ("file", "text"), [("world", "of the secret"), ("deep/er", "of the map"), ("deep/est", "of the secret")]
)
async def test_of_several_sources_of_one_volume_the_last_has_a_path(world: World, file: str, text: str) -> None:
    await world.create(_config_map("map", a="of the map", b="of the map"))
    await world.create(_secret("secret", c="of the secret"))
    items = {
        "map": [{"key": "a", "path": "world"}, {"key": "b", "path": "deep/er"}],
        "secret": [{"key": "c", "path": "world"}, {"key": "c", "path": "deep/est"}],
    }
    volume = _projected(
        {"configMap": {"name": "map", "items": items["map"]}}, {"secret": {"name": "secret", "items": items["secret"]}}
    )
    await world.deploy(_service(volume, f"{PATH}/{file}"))
    assert await world.text(world.host("reader")) == text


@pytest.mark.upstream("api", "TestProjectedServiceAccountToken")
async def test_a_projected_token_is_a_signed_token_of_the_service_account(world: World) -> None:
    source = {"serviceAccountToken": {"path": "world", "audience": "api", "expirationSeconds": 3600}}
    await world.deploy(_service(_projected(source)))
    token = (await world.text(world.host("reader"))).strip()
    assert len(token) > 40
    assert " " not in token


@pytest.mark.upstream("api", "TestServiceCreateWithEmptyDir")
async def test_an_empty_dir_in_memory_with_a_size_can_be_written_and_read(world: World) -> None:
    volume = {"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": "100M"}}
    container: dict[str, Any] = {
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "env": [{"name": "DATA_PATH", "value": "/data"}],
    }
    made = await world.deploy(service("writer", "volumes", container=container, spec={"volumes": [volume]}))
    assert made["spec"]["template"]["spec"]["volumes"] == [volume]
    assert await world.text(world.host("writer")) == "From file in empty dir!\n"


@pytest.mark.upstream("api", "TestServiceCreateWithMultipleContainers")
async def test_a_container_is_served_by_the_one_beside_it(world: World) -> None:
    port = str(free_port())
    serving = {
        "name": "serving",
        "image": image("servingcontainer"),
        "ports": [{"containerPort": 8881}],
        "env": [{"name": "FORWARD_PORT", "value": port}],
    }
    beside = {"name": "beside", "image": image("sidecarcontainer"), "env": [{"name": "PORT", "value": port}]}
    await world.deploy(service("both", spec={"containers": [serving, beside]}))
    await world.serves(world.host("both"), "Yay!! multi-container works")
    revision = await world.get("Revision", "both-00001")
    assert [one["name"] for one in revision["status"]["containerStatuses"]] == ["serving", "beside"]
