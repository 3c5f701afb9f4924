"""Pods as real processes, against a scripted API server."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from cluster.node import forkserver, lifecycle, pod_worker, probes
from cluster.node.tokens import Kept
from tests.cluster.node.conftest import World, pod
from tidegate.kube import resources
from tidegate.process import tasks

PY = sys.executable
SERVE = (
    "import http.server, os, socketserver\n"
    "socketserver.TCPServer((os.environ['HOST'], int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler)"
    ".serve_forever()"
)
"""Not an HTTPServer: that one asks for the name of its address, of a name server that may not be there."""


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def test_a_pod_starts_and_becomes_ready(world: World) -> None:
    await world.run(pod("sh", "-c", "echo hello; echo oops >&2; sleep 60"))
    await world.until(lambda: world.condition("Ready") == "True")
    status = world.pod()["status"]
    assert status["phase"] == "Running"
    assert status["podIP"].startswith("127.")
    assert status["hostIP"] == "127.0.0.1"
    assert world.container()["state"]["running"]["startedAt"]
    await world.until(lambda: sorted(world.output()) == ["hello", "oops"])
    assert " stderr F oops" in world.log()


@pytest.mark.slow
async def test_the_address_is_published_before_the_container_runs(world: World) -> None:
    container = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "late", "key": "a"}}}]}
    await world.run(pod("sh", "-c", "echo $A; sleep 60", container=container))
    await world.until(lambda: world.container().get("state", {}).get("waiting", {}).get("reason"))
    status = world.pod()["status"]
    assert status["phase"] == "Pending"
    assert status["podIP"]
    await world.until(world.waiting)
    assert world.waiting() == {"reason": "CreateContainerConfigError", "message": 'secret "late" not found'}
    world.api.put(resources.SECRETS, {"metadata": {"name": "late", "namespace": "default"}, "data": {"a": "aGk="}})
    await world.until(lambda: world.condition("Ready") == "True")
    await world.until(lambda: world.output() == ["hi"])


async def test_readiness_is_probed_on_the_remapped_port(world: World) -> None:
    container = {
        "ports": [{"containerPort": 8080}],
        "env": [{"name": "PORT", "value": "8080"}],
        "readinessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1},
    }
    await world.run(pod(PY, "-c", SERVE, container=container))
    await world.until(lambda: world.condition("Ready") == "True")
    # Services reach it under the declared port on the pod's own address.
    address = world.pod()["status"]["podIP"]
    found = await probes.run({"tcpSocket": {"port": 8080}}, probes.Target(address, {}, {}, "/"), 20.0)
    assert found == (True, "connected")


async def test_deletion_stops_the_process_and_removes_the_object(world: World) -> None:
    await world.run(pod("sleep", "60"))
    await world.until(lambda: world.condition("Ready") == "True")
    await world.api.delete(resources.PODS, "p", "default")
    await world.until(lambda: not world.api.all(resources.PODS))
    await world.until(lambda: not list((world.context.root / "pods").iterdir()))


@pytest.mark.slow
async def test_a_pod_that_ignores_sigterm_is_killed_with_its_grandchildren(world: World) -> None:
    stubborn = "trap '' TERM; (trap '' TERM; sleep 61) & setsid sleep 62 & echo $! ready; wait"
    await world.run(pod("sh", "-c", stubborn, terminationGracePeriodSeconds=1))
    await world.until(lambda: any("ready" in line for line in world.output()))
    escaped = int(world.output()[0].split()[0])
    assert is_running(escaped)
    await world.api.delete(resources.PODS, "p", "default")
    await world.until(lambda: not world.api.all(resources.PODS))
    await world.until(lambda: not is_running(escaped))


async def test_sigterm_is_answered_within_the_grace(world: World) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    await world.run(pod("sh", "-c", script, terminationGracePeriodSeconds=30))
    await world.until(lambda: world.output() == ["up"])
    log = world.context.root / "pods" / world.pod()["metadata"]["uid"] / "logs" / "c" / "0.log"
    kept = world.folder / "kept.log"
    os.link(log, kept)
    await world.api.delete(resources.PODS, "p", "default")
    await world.until(lambda: not world.api.all(resources.PODS))
    assert kept.read_text().splitlines()[-1].endswith(" stdout F bye")


async def test_completed_pod(world: World) -> None:
    await world.run(pod("true", restartPolicy="Never"))
    await world.until(lambda: world.pod().get("status", {}).get("phase") == "Succeeded")
    assert world.container()["state"]["terminated"]["reason"] == "Completed"


async def test_failed_pod_keeps_its_exit_code(world: World) -> None:
    await world.run(pod("sh", "-c", "exit 3", restartPolicy="Never"))
    await world.until(lambda: world.pod().get("status", {}).get("phase") == "Failed")
    assert world.container()["state"]["terminated"]["exitCode"] == 3
    assert world.container()["state"]["terminated"]["reason"] == "Error"


async def test_restart_at_once_then_with_back_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_BACKOFF_S", 200.0)

    def waits(restarts: int) -> bool:
        shown = world.container()
        return shown.get("restartCount") == restarts and world.waiting().get("reason") == "CrashLoopBackOff"

    await world.run(pod("sh", "-c", "echo run; exit 7"))
    await world.until(lambda: waits(1))
    assert world.container()["lastState"]["terminated"]["exitCode"] == 7
    assert world.output(run=0) == world.output(run=1) == ["run"]
    world.pause_over(left_s=0.02)
    await world.until(lambda: waits(2))
    world.pause_over()
    await world.until(lambda: waits(3))
    assert world.output(run=3) == ["run"]
    assert world.output(run=0) == [], "only the last runs' logs are kept"


async def test_killed_container_is_restarted(world: World) -> None:
    await world.run(pod("sh", "-c", "echo $$$$; exec sleep 60"))
    await world.until(world.output)
    os.kill(int(world.output()[0]), signal.SIGKILL)
    await world.until(lambda: world.container().get("restartCount") == 1 and world.condition("Ready") == "True")
    ended = world.container()["lastState"]["terminated"]
    assert (ended["exitCode"], ended["signal"]) == (137, 9)


@pytest.mark.slow
async def test_unknown_image_says_what_to_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_worker, "IMAGE_RETRY_S", (200.0,))
    await world.run(pod(container={"image": "docker.io/nginx:1"}))
    await world.until(world.waiting)
    assert world.waiting()["reason"] == "ErrImagePull"
    assert "give the container a command" in world.waiting()["message"]
    world.pause_over(left_s=0.02)
    await world.until(lambda: world.waiting()["reason"] == "ImagePullBackOff")


async def test_missing_command_is_a_start_error(world: World) -> None:
    await world.run(pod("no-such-program", restartPolicy="Never"))
    await world.until(lambda: world.pod().get("status", {}).get("phase") == "Failed")
    ended = world.container()["state"]["terminated"]
    assert ended["reason"] == "StartError"
    assert "executable file not found" in ended["message"]


async def test_init_containers_run_in_order_before_the_others(world: World) -> None:
    inits = [
        {"name": "one", "image": "x", "command": ["sh", "-c", "sleep 0.05; echo 1 >> /shared/steps"]},
        {"name": "two", "image": "x", "command": ["sh", "-c", "echo 2 >> /shared/steps"]},
    ]
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    for one in inits:
        one["volumeMounts"] = mounts  # type: ignore[assignment]
    body = pod(
        "sh",
        "-c",
        "cat /shared/steps; sleep 60",
        container={"volumeMounts": mounts},
        initContainers=inits,
        volumes=[{"name": "shared", "emptyDir": {}}],
    )
    await world.run(body)
    await world.until(lambda: world.condition("Ready") == "True")
    await world.until(lambda: world.output() == ["1", "2"])
    assert world.condition("Initialized") == "True"


async def test_volumes_and_environment(world: World) -> None:
    world.api.put(resources.CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {"k": "v"}})
    secret = {"metadata": {"name": "s", "namespace": "default"}, "data": {"p": base64.b64encode(b"top").decode()}}
    world.api.put(resources.SECRETS, secret)
    container = {
        "env": [
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "WHERE", "value": "http://$(IP):1/etc/cm"},
            {"name": "FILE", "value": "/etc/cm/k"},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        ],
        "envFrom": [{"prefix": "CM_", "configMapRef": {"name": "cm"}}],
        "volumeMounts": [{"name": "cm", "mountPath": "/etc/cm"}, {"name": "all", "mountPath": "/all"}],
    }
    sources = [
        {"secret": {"name": "s"}},
        {"serviceAccountToken": {"path": "token"}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    volumes = [{"name": "cm", "configMap": {"name": "cm"}}, {"name": "all", "projected": {"sources": sources}}]
    script = "echo $IP $WHERE $CM_k $CPU; cat $FILE /all/p /all/token /all/name; echo; cat $KUBECONFIG; echo; sleep 60"
    await world.run(pod("sh", "-c", script, container=container, volumes=volumes))
    await world.until(lambda: len(world.output()) == 3)
    address = world.pod()["status"]["podIP"]
    first, files, kubeconfig = world.output()
    assert first == f"{address} http://{address}:1/etc/cm v 2"
    assert files == "vtoptoken-of-defaultp"
    assert '"token":"token-of-default"' in kubeconfig.replace(" ", "")


async def test_a_projected_token_is_replaced_before_it_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_worker, "REFRESH_S", 0.01)
    issued: list[str] = []

    async def for_pod(_pod: object, audience: str, expiration_s: int) -> Kept:
        issued.append(f"{audience}-{expiration_s}-{len(issued)}")
        return Kept(issued[-1], 0.0 if len(issued) == 1 else float("inf"))

    monkeypatch.setattr(world.context.tokens, "for_pod", for_pod)
    source = {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 700}}
    volume = {"name": "v", "projected": {"sources": [source]}}
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    script = "until grep -q 1$ /v/token; do sleep 0.01; done; cat /v/token; echo; sleep 60"
    await world.run(pod("sh", "-c", script, container=mount, volumes=[volume]))
    await world.until(world.output)
    assert world.output() == ["vault-700-1"]
    assert issued == ["vault-700-0", "vault-700-1"]


async def test_a_claim_is_a_folder_that_outlives_its_pods(world: World) -> None:
    def using(claim: str, name: str, script: str) -> dict[str, object]:
        mount = {"volumeMounts": [{"name": "v", "mountPath": "/data", "subPath": "digits"}]}
        volume = {"name": "v", "persistentVolumeClaim": {"claimName": claim}}
        return pod("sh", "-c", script, name=name, container=mount, volumes=[volume])

    claim = {"metadata": {"name": "models", "namespace": "default"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    world.api.put(resources.PERSISTENT_VOLUME_CLAIMS, claim)
    await world.run(using("models", "writer", "mkdir -p /data; echo weights > /data/model; sleep 60"))
    folder = world.context.root / "claims" / "default" / "models"
    model = folder / "digits" / "model"
    await world.until(lambda: model.exists() and model.read_text() == "weights\n")
    status = world.api.peek(resources.PERSISTENT_VOLUME_CLAIMS, "models", "default")["status"]
    assert (status["phase"], status["accessModes"]) == ("Bound", ["ReadWriteOnce"])
    await world.api.delete(resources.PODS, "writer", "default")
    await world.until(lambda: not world.api.all(resources.PODS))
    await world.run(using("models", "reader", "cat /data/model; sleep 60"))
    await world.until(lambda: world.output("reader") == ["weights"])

    await world.run(using("gone", "lost", "true"))
    await world.until(lambda: world.waiting("lost"))
    assert 'persistentvolumeclaim "gone" not found' in world.waiting("lost")["message"]


async def test_no_kubeconfig_without_service_account_token(world: World) -> None:
    body = pod("sh", "-c", "echo ${KUBECONFIG-none}; sleep 60", automountServiceAccountToken=False)
    await world.run(body)
    await world.until(lambda: world.output() == ["none"])
    assert not [call for call in world.api.calls if call[1] == "serviceaccounts"]


async def test_pre_stop_runs_before_sigterm(world: World) -> None:
    marker = world.folder / "order"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", f"echo hook >> {marker}"]}}}
    script = f"trap 'echo term >> {marker}; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    await world.run(pod("sh", "-c", script, container={"lifecycle": hook}, terminationGracePeriodSeconds=30))
    await world.until(lambda: world.output() == ["up"])
    await world.api.delete(resources.PODS, "p", "default")
    await world.until(lambda: not world.api.all(resources.PODS))
    assert marker.read_text().split() == ["hook", "term"]


async def test_post_start_failure_restarts_the_container(world: World) -> None:
    hook = {"postStart": {"exec": {"command": ["false"]}}}
    await world.run(pod("sleep", "60", container={"lifecycle": hook}, terminationGracePeriodSeconds=1))
    await world.until(lambda: world.container().get("restartCount"))
    assert "PostStartHook failed" in world.container()["lastState"]["terminated"]["message"]


async def test_liveness_failure_restarts_the_container(world: World) -> None:
    probe = {"exec": {"command": ["test", "-e", "alive"]}, "periodSeconds": 0.05, "failureThreshold": 1}
    await world.run(pod("sh", "-c", "touch alive; sleep 0.2; rm alive; sleep 60", container={"livenessProbe": probe}))
    await world.until(lambda: world.container().get("restartCount") == 1)
    assert "liveness probe failed" in world.container()["lastState"]["terminated"]["message"]


async def test_readiness_comes_and_goes(world: World) -> None:
    probe = {"exec": {"command": ["test", "-e", "ok"]}, "periodSeconds": 0.05, "failureThreshold": 1}
    container = {"readinessProbe": probe, "workingDir": str(world.folder)}
    await world.run(pod("sleep", "60", container=container))
    await world.until(lambda: world.container().get("started"))
    assert world.condition("Ready") == "False"
    (world.folder / "ok").touch()
    await world.until(lambda: world.condition("Ready") == "True")
    (world.folder / "ok").unlink()
    await world.until(lambda: world.condition("Ready") == "False")


async def test_node_stop_leaves_objects_and_a_new_node_runs_them_again(world: World) -> None:
    await world.run(pod("sh", "-c", "echo $$$$; exec sleep 60"))
    await world.until(lambda: world.condition("Ready") == "True")
    address = world.pod()["status"]["podIP"]
    await world.agent.stop()
    assert world.api.all(resources.PODS)
    again = World(world.folder)
    again.api = world.api
    object.__setattr__(again.context, "api", world.api)
    object.__setattr__(again.context, "addresses", world.context.addresses)
    again.agent = type(again.agent)(again.context)
    await again.agent.start()
    await world.until(lambda: world.container()["restartCount"] == 1 and world.condition("Ready") == "True")
    assert world.pod()["status"]["podIP"] == address
    await again.agent.stop()


async def test_a_namesake_is_another_pod(world: World) -> None:
    first = await world.run(pod("sleep", "60"))
    await world.until(lambda: world.condition("Ready") == "True")
    await world.api.delete(resources.PODS, "p", "default", grace_s=0)
    second = await world.run(pod("sleep", "61"))
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    await world.until(lambda: world.condition("Ready") == "True")


async def test_a_status_that_cannot_be_written_is_written_later(world: World) -> None:
    from tidegate.kube.api import Unreachable

    world.api.refuse("patch", resources.PODS, Unreachable("down"), times=3)
    await world.run(pod("sleep", "60"))
    await world.until(lambda: world.condition("Ready") == "True")


async def test_a_status_that_somebody_else_changed_is_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()  # in another second the conditions would have other times, which is one more write
    monkeypatch.setattr(pod_worker.time, "time", lambda: now)
    await world.run(pod("sleep", "60"))
    await world.until(lambda: world.condition("Ready") == "True")
    writes = [call for call in world.api.calls if call[0] == "patch"]
    lost = [{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]
    await world.api.patch(resources.PODS, "p", {"status": {"conditions": lost}}, "default", subresource="status")
    await world.until(lambda: world.condition("Ready") == "True")
    assert len([call for call in world.api.calls if call[0] == "patch"]) == len(writes) + 2


async def test_files_follow_their_config_map(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_worker, "REFRESH_S", 0.02)
    config = {"metadata": {"name": "cm", "namespace": "default"}, "data": {"k": "old"}}
    world.api.put(resources.CONFIG_MAPS, config)
    script = "while ! grep -q new /etc/cm/k; do sleep 0.01; done; echo seen; sleep 60"
    container = {"volumeMounts": [{"name": "cm", "mountPath": "/etc/cm"}]}
    volumes = [{"name": "cm", "configMap": {"name": "cm"}}]
    await world.run(pod("sh", "-c", script, container=container, volumes=volumes))
    await world.until(lambda: world.condition("Ready") == "True")
    world.api.put(resources.CONFIG_MAPS, {**config, "data": {"k": "new"}})
    await world.until(lambda: world.output() == ["seen"])


async def test_a_pod_on_the_host_network_has_the_hosts_address_and_its_own_ports(world: World) -> None:
    container = {"ports": [{"containerPort": 8080}], "env": [{"name": "PORT", "value": "8080"}]}
    await world.run(pod("sh", "-c", "echo $PORT ${HOST-none}; sleep 60", container=container, hostNetwork=True))
    await world.until(lambda: world.output() == ["8080 none"])
    assert world.pod()["status"]["podIP"] == "127.0.0.1"


async def test_the_hook_of_a_moved_container_reaches_its_neighbour_on_the_pods_address(world: World) -> None:
    """As in a revision's pod: the user container's preStop waits until the queueproxy has drained."""
    hook = {"preStop": {"httpGet": {"port": 8022, "path": "/wait-for-drain"}}}
    marker = world.folder / "order"
    user = {
        "name": "user",
        "image": "x",
        "command": ["sh", "-c", f"trap 'echo term >> {marker}; exit 0' TERM; echo up; while :; do sleep 0.01; done"],
        "ports": [{"containerPort": 8080}],
        "env": [{"name": "PORT", "value": "8080"}],
        "lifecycle": hook,
    }
    server = (
        "import http.server, os, socketserver\n"
        "class Drain(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        f"        open({str(marker)!r}, 'a').write('drained\\n')\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "        self.server.is_drained = True\n"
        "server = socketserver.TCPServer((os.environ['IP'], 8022), Drain)\n"
        "while not hasattr(server, 'is_drained'):\n"
        "    server.handle_request()"
    )
    proxy = {
        "name": "proxy",
        "image": "x",
        "command": [PY, "-c", f"import signal; signal.signal(15, lambda *_: None)\n{server}"],
        "env": [
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "USER_PORT", "value": "8080"},
        ],
        "readinessProbe": {"tcpSocket": {"port": 8022}},
    }
    body = pod()
    body["spec"] = {"containers": [user, proxy], "terminationGracePeriodSeconds": 30}
    await world.run(body)
    await world.until(lambda: world.condition("Ready") == "True" and world.output(container="user") == ["up"])
    await world.api.delete(resources.PODS, "p", "default")
    await world.until(lambda: not world.api.all(resources.PODS))
    assert marker.read_text().split() == ["drained", "term"]


@pytest.mark.slow
async def test_the_second_pod_that_asks_for_imports_is_forked_with_them_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forkserver, "PREPARE_DELAY_S", 0.0)
    server = forkserver.ForkServer([], str(tmp_path / "node"))
    serving = tasks.spawn(server.run(), "forkserver")
    world = World(tmp_path, server)
    await world.agent.start()
    text = "import sys; print('colorsys' in sys.modules, flush=True)"
    for number, (loaded, way) in enumerate([("False", "started plainly: the template is"), ("True", "forked from a")]):
        one = pod("python", "-c", text, name=f"p{number}", restartPolicy="Never")
        one["metadata"]["annotations"] = {"tidegate.dev/preload": "colorsys"}
        await world.run(one)
        name = f"p{number}"
        await world.until(lambda name=name: world.output(name))
        assert world.output(name) == [loaded]
        await world.until(lambda way=way: any(way in one["message"] for one in world.api.all(resources.EVENTS)))
        await server.wait_ready(modules=["colorsys"])
    await world.agent.stop()
    await tasks.cancel(serving)


async def test_a_bad_preload_annotation_is_shown_on_the_pod(world: World) -> None:
    one = pod("python", "-c", "pass")
    one["metadata"]["annotations"] = {"tidegate.dev/preload": "../torch"}
    await world.run(one)
    await world.until(world.waiting)
    assert world.waiting()["reason"] == "CreateContainerConfigError"
    assert "tidegate.dev/preload: '../torch' is not the name" in world.waiting()["message"]


@pytest.mark.parametrize(("policy", "message"), [("FallbackToLogsOnError", "no such model"), ("File", None)])
async def test_the_last_words_of_a_failed_container_are_its_message_where_it_asks_for_that(
    world: World, policy: str, message: str | None
) -> None:
    text = "import sys; print('no such model', file=sys.stderr); sys.exit(3)"
    await world.run(pod(PY, "-c", text, container={"terminationMessagePolicy": policy}, restartPolicy="Never"))
    await world.until(lambda: "terminated" in (world.container().get("state") or {}))
    ended = world.container()["state"]["terminated"]
    assert (ended["exitCode"], ended.get("message")) == (3, message)
