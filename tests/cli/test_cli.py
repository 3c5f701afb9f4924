"""The command's own logic: options, errors with their fix, exit codes, tables; no instance runs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.hops import free_port
from tidegate.cli import __main__ as cli
from tidegate.cli import common, install, instance, memory, output, status, wakes, why
from tidegate.cli.failures import Failure, Late, NotRunning
from tidegate.contracts.decision import Because, Decision, ServingMode
from tidegate.kube.api import ApiError, Page


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner(env={"KUBECONFIG": None, "HOME": "/nonexistent", **(env or {})}).invoke(cli.main, arguments)


def decision(**changes: Any) -> Decision:
    values: dict[str, Any] = {
        "namespace": "default",
        "revision": "hello-00001",
        "unix_s": 1_700_000_000.25,
        "desired": 3,
        "because": Because.LOAD,
        "sentence": "3 pods for 5 requests in flight.",
        "metric": "concurrency",
        "stable_value": 5.0,
        "panic_value": 5.0,
        "target": 2.0,
        "total": 2.0,
        "ready_pods": 2,
        "not_ready_pods": 0,
        "current_scale": 2,
        "stable_pods": 3,
        "panic_pods": 3,
        "is_panicking": False,
        "min_scale": 0,
        "max_scale": 0,
        "max_scale_up": 2000,
        "max_scale_down": 1,
        "excess_burst_capacity": -206,
        "serving_mode": ServingMode.PROXY,
    }
    return Decision(**values | changes)


def test_version_and_completion() -> None:
    assert json.loads(run("version", "--json").output)["tidegate"]
    assert run("version").output.startswith("tidegate ")
    for shell in ("zsh", "fish"):
        assert "_TIDEGATE_COMPLETE" in run("completion", shell).output


def test_python_dash_m_works_as_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tidegate.cli", "version"], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.startswith("tidegate ")


def test_every_command_has_help_and_no_traceback() -> None:
    for name in cli.main.commands:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert "Usage:" in result.output


def test_wrong_usage_is_exit_code_2() -> None:
    assert run("up", "--port", "0").exit_code == 2
    assert run("why").exit_code == 2


@pytest.mark.parametrize("arguments", [("status",), ("why", "hello"), ("logs", "hello")])
def test_nothing_runs_is_exit_code_3_and_says_what_to_do(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*arguments, "--state", str(tmp_path / "none"))
    assert result.exit_code == 3
    assert "tidegate up --state" in result.output


def test_unreachable_api_server_is_exit_code_3(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(
        "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
        "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]\n"
    )
    result = run("status", "--kubeconfig", str(file))
    assert result.exit_code == 3
    assert "does not answer" in result.output


@pytest.mark.parametrize("flag", ["--port", "--tls-port"])
def test_up_names_the_taken_port(tmp_path: Path, flag: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports = {"--port": free_port(), flag: listener.getsockname()[1]}
        flags = [text for name, port in ports.items() for text in (name, str(port))]
        result = run("up", "--state", str(tmp_path / "s"), *flags)
    assert result.exit_code == 1
    assert f"{flag}: " in result.output


def test_a_catalog_that_is_not_usable_is_told_before_anything_starts(tmp_path: Path) -> None:
    catalog = tmp_path / "images.yaml"
    catalog.write_text("images:\n- image: shop/web\n  command: serve\n")
    result = run("up", "--state", str(tmp_path / "s"), "--port", str(free_port()), "--images", str(catalog))
    assert result.exit_code == 1
    assert f"--images: {catalog}: images[0]: 'command' must be a list of words" in result.output
    assert not (tmp_path / "s" / "kubeconfig").exists()
    assert not (tmp_path / "s").exists()


def test_down_without_an_instance(tmp_path: Path) -> None:
    result = run("down", "--state", str(tmp_path), "--json")
    assert json.loads(result.output)["was_running"] is False


def test_purge_refuses_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    result = run("down", "--state", str(tmp_path), "--purge")
    assert result.exit_code == 1
    assert (tmp_path / "thesis.txt").exists()


def test_purge_removes_a_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "instance.json").write_text("{}")
    assert run("down", "--state", str(state), "--purge").exit_code == 0
    assert not state.exists()


def test_stop_ends_the_supervisor(tmp_path: Path) -> None:
    # It speaks once it runs: right after exec the kernel shows no command line yet.
    sleeping = [sys.executable, "-c", "import time; print(flush=True); time.sleep(100)"]
    with subprocess.Popen([*sleeping, "--state", str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        (tmp_path / "run.json").write_text(json.dumps({"pids": {"supervisor": process.pid, "node": 2**22 + 1}}))
        local = instance.Instance(tmp_path)
        assert local.pids() == {"supervisor": process.pid}
        assert instance.stop(local, timeout_s=30)
        assert process.wait(30) != 0
    assert not (tmp_path / "run.json").exists()
    assert not instance.stop(local)


def test_a_process_of_somebody_else_is_never_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"pids": {"supervisor": os.getpid()}}))
    assert instance.Instance(tmp_path).pids() == {}
    assert not instance.stop(instance.Instance(tmp_path))


def test_run_file_may_be_half_written(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"pids": {')
    assert instance.Instance(tmp_path).pids() == {}


def test_a_zombie_is_not_alive() -> None:
    assert instance.is_alive(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not instance.is_alive(process.pid)


def test_connection_prefers_the_flag(tmp_path: Path) -> None:
    def write(name: str) -> Path:
        file = tmp_path / name / "kubeconfig"
        file.parent.mkdir()
        file.write_text(
            "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
            f"clusters: [{{name: k, cluster: {{server: 'https://{name}'}}}}]\n"
        )
        return file

    flag, local = write("flag"), write("local")
    assert common.connection(local.parent, flag).server == "https://flag"
    assert common.connection(local.parent, None).server == "https://local"


def test_memory_of_a_process_tree() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        weights = {weight.pid: weight for weight in memory.tree(os.getpid())}
        assert process.pid in weights
        assert weights[process.pid].parent == os.getpid()
        assert 0 < weights[os.getpid()].pss_bytes <= weights[os.getpid()].rss_bytes
        assert process.stdin
        process.stdin.close()
    assert memory.tree(2**22 + 1) == []


def test_table_aligns_and_marks_empty_cells() -> None:
    assert output.table(("A", "LONG"), [("xyz", ""), (1, 2)]) == "A     LONG\nxyz   -\n1     2"


def test_why_tells_sentence_and_inputs() -> None:
    text = why.render([decision(sentence="first"), decision()])
    assert text.startswith("default/hello-00001\n")
    assert "first" in text
    assert "3 pods for 5 requests in flight." in text
    assert "5 requests in flight: 3 pods" in text
    assert "3 pods because load" in text


def test_why_says_no_opinion_and_counts_one_pod() -> None:
    shown = dict(why.inputs(decision(stable_pods=-1, stable_value=0.0, panic_pods=1, desired=-1, metric="rps")))
    assert shown["stable window"] == "0 requests per second: no opinion"
    assert shown["panic window"] == "5 requests per second: 1 pod"
    assert shown["decided"] == "no opinion because load"
    assert shown["starting"] == "0 pods, unknown per start"
    assert dict(why.inputs(decision(starting_pods=2, start_s=1.25)))["starting"] == "2 pods, 1.2 s per start"
    assert dict(why.inputs(decision(waiting=7)))["waiting"] == "7 requests in the activator"


def test_why_tells_what_comes_next() -> None:
    shown = why.render([decision(next_change="The next turn, within 2 s.")])
    assert shown.endswith("The next turn, within 2 s.")


class FakeApi:
    """Answers `get`, `list` and `raw` of the CLI's questions from dictionaries."""

    def __init__(self, objects: dict[str, list[dict[str, Any]]], pages: dict[str, bytes] | None = None) -> None:
        self.objects = objects
        self.pages = pages or {}
        self.elsewhere: dict[str, str] = {}

    async def get(self, resource: Any, name: str, namespace: str = "", subresource: str = "") -> dict[str, Any]:
        for obj in self.objects.get(resource.plural, []):
            if obj["metadata"]["name"] == name:
                return obj
        raise ApiError(404, "NotFound", f"{name} not found")

    async def list(self, resource: Any, namespace: str = "", labels: str = "", fields: str = "") -> Any:
        key, _, value = labels.partition("=")
        found = [
            obj
            for obj in self.objects.get(resource.plural, [])
            if not key or obj["metadata"].get("labels", {}).get(key) == value
        ]
        return type("Page", (), {"items": found})

    async def raw(self, method: str, path: str, **_: Any) -> bytes:
        if path in self.elsewhere:
            raise ApiError(421, "", f'{{"reason": "Elsewhere", "message": "{self.elsewhere[path]}"}}')
        if path not in self.pages:
            raise ApiError(404, "NotFound", path)
        return self.pages[path]


def revision(name: str, service: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"serving.knative.dev/service": service}}}


async def test_why_finds_revisions_by_service_and_by_name() -> None:
    import msgspec

    ring = msgspec.json.encode([decision()])
    api: Any = FakeApi(
        {"revisions": [revision("hello-00002", "hello"), revision("hello-00001", "hello")]},
        {f"{why.SERVICE_PROXY}/decisions/default/hello-00001": ring},
    )
    assert await why.revisions(api, "default", "hello") == ["hello-00001", "hello-00002"]
    assert await why.revisions(api, "default", "hello-00002") == ["hello-00002"]
    assert [[entry.revision for entry in found] for found in await why.read(api, "default", "hello")] == [
        ["hello-00001"]
    ]
    with pytest.raises(Failure, match="neither a revision nor a service"):
        await why.read(api, "default", "nobody")
    with pytest.raises(Failure, match="decided nothing yet"):
        await why.read(api, "default", "hello-00002")


async def test_why_follows_to_the_replica_that_decides() -> None:
    import msgspec

    path = "decisions/default/hello-00001"
    pod = f"{why.SYSTEM}/pods/autoscaler-b:8022/proxy"
    api: Any = FakeApi(
        {"revisions": [revision("hello-00001", "hello")]}, {f"{pod}/{path}": msgspec.json.encode([decision()])}
    )
    api.elsewhere = {f"{why.SERVICE_PROXY}/{path}": "autoscaler-b"}
    ((found,),) = await why.read(api, "default", "hello")
    assert found.revision == "hello-00001"


def test_following_tells_each_new_decision_once() -> None:
    def at(unix_s: float, desired: int) -> Any:
        return msgspec.structs.replace(decision(), unix_s=unix_s, desired=desired)

    import msgspec

    told: dict[tuple[str, str], Any] = {}
    assert [one.desired for one in why.fresh([at(1, 1), at(2, 2)], told, None)] == [2]
    assert why.fresh([at(1, 1), at(3, 2)], told, None) == []
    assert [one.desired for one in why.fresh([at(1, 1), at(3, 2), at(4, 5), at(5, 3)], told, None)] == [5, 3]
    assert why.fresh([at(5, 3)], told, None) == []
    told.clear()
    assert [one.desired for one in why.fresh([at(1, 1), at(2, 2), at(3, 3)], told, 1.5)] == [2, 3]
    assert "default/" in why.line(at(1, 1))


def deployment(name: str, *, available: int, generation: int = 1, observed: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "generation": generation},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": observed, "availableReplicas": available, "updatedReplicas": available},
    }


def test_a_deployment_is_available_only_in_its_own_generation() -> None:
    assert install.is_available(deployment("a", available=1))
    assert not install.is_available(deployment("a", available=0))
    assert not install.is_available(deployment("a", available=1, generation=2))


async def test_wait_available_says_which_and_why() -> None:
    pod = {
        "metadata": {"name": "gateway-1", "labels": {"app.kubernetes.io/component": "gateway"}},
        "status": {"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "exit 1"}}}]},
    }
    ready = [deployment(name, available=1) for name in install.COMPONENTS if name != "gateway"]
    api: Any = FakeApi({"deployments": [*ready, deployment("gateway", available=0)], "pods": [pod]})
    with pytest.raises(Late, match="gateway-1: CrashLoopBackOff exit 1; see: tidegate logs gateway"):
        await install.wait_available(api, timeout_s=0)
    api.objects["deployments"][-1] = deployment("gateway", available=1)
    async with asyncio.timeout(30):
        await install.wait_available(api, timeout_s=30)


async def test_every_object_of_the_overlay_can_be_applied_without_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[str] = []

    class Recorder:
        async def patch(self, resource: Any, name: str, obj: Any, namespace: str = "", **_: Any) -> dict[str, Any]:
            assert (namespace != "") == resource.namespaced, f"{resource.kind} {name}"
            applied.append(resource.kind)
            return {}

    monkeypatch.setattr(install.shutil, "which", lambda _: None)
    recorder: Any = Recorder()
    await install.apply(recorder, install.local_instance("127.0.0.1:8080"))
    assert "kubectl is not installed" in await install.apply_overlay(recorder, Path("kubeconfig"))
    assert applied[:2] == ["Namespace", "ConfigMap"]
    assert applied.count("Deployment") == 4


async def test_status_gathers_services_with_their_replicas() -> None:
    service = {
        "metadata": {"namespace": "default", "name": "hello"},
        "status": {
            "url": "http://hello.default.localhost",
            "latestReadyRevisionName": "hello-00001",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    scaler = {
        "metadata": {
            "namespace": "default",
            "name": "hello-00001",
            "labels": {"serving.knative.dev/service": "hello"},
        },
        "status": {"actualScale": 2},
    }
    api: Any = FakeApi({"services": [service], "podautoscalers": [scaler]})
    api.connection = type("Connection", (), {"server": "https://127.0.0.1:1"})
    document = await status.gather(api)
    document["instance"] = {}
    assert document["services"][0]["replicas"] == "2"
    assert "http://hello.default.localhost" in status.render(document)


def test_failures_have_their_own_exit_codes() -> None:
    assert [kind("x").exit_code for kind in (Failure, NotRunning, Late)] == [1, 3, 4]


OLD = """
apiVersion: serving.kubeflow.org/v1alpha2
kind: InferenceService
metadata: {name: recommender}
spec:
  default: {predictor: {tensorflow: {storageUri: s3://a}}}
  canaryTrafficPercent: 10
  canary: {predictor: {tensorflow: {storageUri: s3://b}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
"""


@pytest.mark.parametrize(
    ("part", "kinds"),
    [
        ("all", ["InferenceService", "InferenceService", "ConfigMap"]),
        ("default", ["InferenceService", "ConfigMap"]),
        ("canary", ["InferenceService"]),
    ],
)
def test_convert_prints_each_part_of_an_old_inference_service(part: str, kinds: list[str]) -> None:
    done = CliRunner().invoke(cli.main, ["convert", "--part", part, "--json"], input=OLD)
    assert done.exit_code == 0
    assert [one["kind"] for one in json.loads(done.stdout)] == kinds


def test_convert_says_which_file_object_and_field_is_wrong() -> None:
    done = CliRunner().invoke(cli.main, ["convert"], input=OLD.replace("tensorflow: {storageUri: s3://b}", "alibi: {}"))
    assert done.exit_code == 1
    assert "InferenceService 'recommender': spec.canary.predictor.alibi: explainers" in done.stderr


# wakes


def woken(unix_s: float = 1_700_000_000.25, **changes: Any) -> dict[str, Any]:
    known = {"held": 1.0, "decided": 9.0, "scheduled": 20.0, "ready": 5.0, "first-byte": 5.0}
    values = {
        "unix_s": unix_s,
        "namespace": "default",
        "revision": "hello-00001",
        "pod": "pod-1",
        "way": None,
        "total_ms": 100.0,
        "phases": {**dict.fromkeys(("process", "imports", "weights", "warm-up")), **known},
        "together": [{"phases": ["process", "imports", "weights", "warm-up"], "ms": 60.0}],
    }
    return values | changes


def test_a_wake_is_drawn_to_one_scale() -> None:
    head, *lines = wakes.waterfall(woken(way="forked")).splitlines()
    assert head.endswith("100.0 ms  pod pod-1, forked from a template")
    names = [line.split("  ")[1] for line in lines]
    assert names == ["held", "decided", "scheduled", "process to warm-up", "ready", "first-byte"]
    drawn = {name: (line.count("·"), line.count("█")) for name, line in zip(names, lines, strict=True)}
    assert drawn == {
        "held": (0, 0),
        "decided": (0, 4),
        "scheduled": (4, 8),
        "process to warm-up": (12, 24),
        "ready": (36, 2),
        "first-byte": (38, 2),
    }
    assert "60.0 ms" in lines[3] and lines[3].endswith("together; each one's share is unknown")


def test_every_phase_is_a_line_when_all_are_known() -> None:
    phases = dict.fromkeys(("held", "decided", "scheduled", "process", "imports", "weights"), 0.0)
    phases |= {"warm-up": 0.0, "ready": 0.0, "first-byte": 0.0}
    text = wakes.waterfall(woken(total_ms=0.0, phases=phases, together=[], way="plain"))
    assert len(text.splitlines()) == 10 and "started plainly" in text


def test_who_never_woke_has_nothing_to_show() -> None:
    assert "no request has paid a cold start" in wakes.render("default/hello-00001", [])
    assert run("why", "hello", "--wake", "--follow").exit_code == 2


def test_the_last_wakes_or_those_of_a_time() -> None:
    many = [woken(float(number)) for number in range(9)]
    assert [one["unix_s"] for one in wakes.recent(many, None)] == [4, 5, 6, 7, 8]
    assert [one["unix_s"] for one in wakes.recent(many, 2.5)] == [3, 4, 5, 6, 7, 8]
    assert wakes.recent(many, 99.0) == []


@pytest.mark.parametrize(
    ("message", "way"),
    [
        ("Started container user-container (pid 7, forked from a template of torch)", "forked"),
        ("Started container user-container (pid 7, started plainly)", "plain"),
        ("Started container user-container", None),
        ("Started container queue-proxy (pid 7, forked from a template of queueproxy)", None),
    ],
)
async def test_how_a_silent_pod_was_started_is_in_its_events(message: str, way: str | None) -> None:
    class Events:
        async def list(self, *_arguments: object, fields: str) -> Page:
            assert fields == "reason=Started"
            return Page([{"involvedObject": {"name": "pod-1"}, "message": message}], "1")

    silent, other, told = woken(), woken(pod="pod-2"), woken(way="forked")
    found = await wakes.complete(Events(), "default", [silent, other, told])  # type: ignore[arg-type]
    assert [one["way"] for one in found] == [way, None, "forked"]
    assert await wakes.complete(None, "default", [told]) == [told]  # type: ignore[arg-type]
