"""Fields that a container must not have: refused by name, before anything is stored."""

from __future__ import annotations

import pytest

from tests.conformance.world import World, image, service
from tidegate.kube.api import ApiError, Object

HOOK = {"exec": {"command": ["true"]}}
MUST_NOT: dict[str, tuple[Object, str]] = {
    "a lifecycle hook after the start": ({"lifecycle": {"postStart": HOOK}}, "lifecycle"),
    "a lifecycle hook before the stop": ({"lifecycle": {"preStop": HOOK}}, "lifecycle"),
    "two ports": (
        {"ports": [{"name": "http1", "containerPort": 8080}, {"name": "h2c", "containerPort": 8081}]},
        "more than one container port",
    ),
    "a port of the host": ({"ports": [{"containerPort": 8080, "hostPort": 8080}]}, "hostPort"),
    "an address of the host": ({"ports": [{"containerPort": 8080, "hostIP": "10.0.0.1"}]}, "hostIP"),
    "a port's name of one's own": ({"ports": [{"name": "sql", "containerPort": 8080}]}, "name"),
    "a reserved port": ({"ports": [{"containerPort": 8012}]}, "containerPort"),
    "a protocol without connections": ({"ports": [{"containerPort": 8080, "protocol": "UDP"}]}, "protocol"),
    "a reserved variable": ({"env": [{"name": "K_SERVICE", "value": "x"}]}, "K_SERVICE"),
    "the port as a variable": ({"env": [{"name": "PORT", "value": "1"}]}, "PORT"),
    "a reserved name": ({"name": "queue-proxy"}, "queue-proxy"),
}
SHOULD_NOT: dict[str, tuple[Object, str]] = {
    "standard input": ({"stdin": True}, "stdin"),
    "standard input once": ({"stdin": True, "stdinOnce": True}, "stdinOnce"),
    "a terminal": ({"tty": True}, "tty"),
    "raw devices": ({"volumeDevices": [{"name": "x", "devicePath": "/dev/x"}]}, "volumeDevices"),
    "privileges": ({"securityContext": {"privileged": True}}, "privileged"),
    "an SELinux context": ({"securityContext": {"seLinuxOptions": {"level": "s0"}}}, "seLinuxOptions"),
    "an unmasked /proc": ({"securityContext": {"procMount": "Unmasked"}}, "procMount"),
    "a negative user": ({"securityContext": {"runAsUser": -10}}, "runAsUser"),
}


@pytest.mark.parametrize(
    ("container", "named"),
    [
        pytest.param(*row, marks=pytest.mark.upstream("runtime", upstream), id=title)
        for upstream, rows in (
            ("TestMustNotContainerConstraints", MUST_NOT),
            ("TestShouldNotContainerConstraints", SHOULD_NOT),
        )
        for title, row in rows.items()
    ],
)
async def test_a_container_with_it_is_refused_by_name(world: World, container: Object, named: str) -> None:
    with pytest.raises(ApiError) as refused:
        await world.create(service("forbidden", container={"image": image("helloworld")} | container))
    assert refused.value.status in (400, 403, 422)
    assert named in refused.value.message
    with pytest.raises(ApiError) as missing:
        await world.get("Service", "forbidden")
    assert missing.value.is_not_found
