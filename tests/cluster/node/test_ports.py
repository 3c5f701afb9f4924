"""The port remapping rule."""

from __future__ import annotations

import copy
import json
from typing import Any

from cluster.node import ports


def revision_pod() -> dict[str, Any]:
    probe = {"httpGet": {"port": 8080, "path": "/"}}
    return {
        "spec": {
            "containers": [
                {
                    "name": "user-container",
                    "ports": [{"containerPort": 8080, "name": "user-port"}],
                    "env": [{"name": "PORT", "value": "8080"}, {"name": "OTHER", "value": "8080"}],
                    "livenessProbe": {"httpGet": {"port": "user-port"}},
                },
                {
                    "name": "queue-proxy",
                    "ports": [{"containerPort": 8012}],
                    "env": [
                        {"name": "USER_PORT", "value": "8080"},
                        {"name": "QUEUE_SERVING_PORT", "value": "8012"},
                        {"name": "SERVING_READINESS_PROBE", "value": json.dumps(probe)},
                    ],
                    "readinessProbe": {"httpGet": {"port": 8012}},
                },
            ]
        }
    }


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


def test_the_user_port_moves_everywhere() -> None:
    pod = revision_pod()
    before = copy.deepcopy(pod)
    assert ports.to_remap(pod["spec"]) == [8080]
    user, queue = ports.remapped(pod, {8080: 20001})["spec"]["containers"]
    assert variables(user) == {"PORT": "20001", "OTHER": "8080", "HOST": "127.0.0.1"}
    assert user["livenessProbe"]["httpGet"] == {"port": 20001, "host": "127.0.0.1"}
    assert user["ports"][0]["containerPort"] == 20001
    assert variables(queue)["USER_PORT"] == "20001"
    assert variables(queue)["QUEUE_SERVING_PORT"] == "8012"
    assert json.loads(variables(queue)["SERVING_READINESS_PROBE"])["httpGet"]["port"] == 20001
    assert queue["readinessProbe"]["httpGet"] == {"port": 8012}
    assert "HOST" not in variables(queue)
    assert pod == before


def test_hooks_and_probes_on_other_ports_keep_to_the_pods_address() -> None:
    pod = revision_pod()
    user = pod["spec"]["containers"][0]
    user["lifecycle"] = {"preStop": {"httpGet": {"port": 8022, "path": "/wait-for-drain"}}}
    user["startupProbe"] = {"grpc": {"port": 8080}}
    changed = ports.remapped(pod, {8080: 20001})["spec"]["containers"][0]
    assert changed["lifecycle"]["preStop"]["httpGet"] == {"port": 8022, "path": "/wait-for-drain"}
    assert changed["startupProbe"]["grpc"] == {"port": 20001, "host": "127.0.0.1"}


def test_host_of_the_user_stays() -> None:
    pod = revision_pod()
    pod["spec"]["containers"][0]["env"].append({"name": "HOST", "value": "0.0.0.0"})
    user = ports.remapped(pod, {8080: 20001})["spec"]["containers"][0]
    assert variables(user)["HOST"] == "0.0.0.0"


def test_only_a_declared_port_is_moved() -> None:
    container = {"ports": [{"containerPort": 80}], "env": [{"name": "PORT", "value": "8080"}]}
    assert ports.to_remap({"containers": [container]}) == []
    assert ports.to_remap({"containers": [{"env": [{"name": "PORT", "value": "x"}]}]}) == []


def test_host_network_keeps_its_ports() -> None:
    assert ports.to_remap({**revision_pod()["spec"], "hostNetwork": True}) == []


def test_nothing_to_move_returns_the_pod_itself() -> None:
    pod = revision_pod()
    assert ports.remapped(pod, {}) is pod


def test_probe_port() -> None:
    container = {"ports": [{"name": "http", "containerPort": 80}]}
    assert [ports.probe_port(port, container) for port in (1, "2", "http", "none")] == [1, 2, 80, 0]
