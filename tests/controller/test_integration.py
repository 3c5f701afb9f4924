"""The whole controller, kopf and webhook included, against a real API server of the local cluster.

Deployment controller, node and autoscaler are played by the test; of the gateway its tables and admin page are real.
"""

import asyncio
import contextlib
import pathlib
import signal

import pytest
import yaml

from cluster.api.__main__ import serving
from cluster.config import ApiConfig
from controller.__main__ import build, work
from controller.config import Config
from gateway.programmed import Programmed
from gateway.watch import Watch
from tidegate.contracts import conditions, names, programmed
from tidegate.kube import connect, resources
from tidegate.kube.api import ApiError, PatchKind, Resource
from tidegate.kube.client import Client
from tidegate.process import tasks
from tidegate.process.admin import AdminServer

BASE = pathlib.Path(__file__).parents[2] / "manifests" / "base"
SYSTEM = "tidegate-system"
DEADLINE_S = 60.0
KSVC, REV = resources.KNATIVE_SERVICES, resources.REVISIONS
OURS = (KSVC, resources.CONFIGURATIONS, REV, resources.ROUTES, resources.POD_AUTOSCALERS, resources.DEPLOYMENTS)

pytestmark = pytest.mark.slow


@pytest.fixture
async def system(tmp_path):
    """An API server's client, and the parts of the controller that works on it."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serving(ApiConfig(state=str(tmp_path / "s"), controllers=False)))
        made = await stack.enter_async_context(Client(connect.load(tmp_path / "s" / "kubeconfig")))
        await install(made)
        gateway_port = await stack.enter_async_context(gateway(made))
        parts = build(Config(webhook_port=0, resync_s=5.0, gateway_admin_port=gateway_port), made)
        task = tasks.spawn(work(parts, asyncio.Event()), "controller")
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not parts.hook.port:
                    assert not task.done(), task
                    await asyncio.sleep(0.01)
                await expose_webhook(made, parts.hook.port)
                while not parts.hook.is_trusted:
                    await asyncio.sleep(0.01)
            yield made, parts
        finally:
            await tasks.cancel(task)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


@pytest.fixture
def client(system):
    return system[0]


@contextlib.asynccontextmanager
async def gateway(client):
    """What of a gateway the controller sees: a ready pod whose admin port tells how far the tables have come."""
    watch, admin = Watch(client, SYSTEM), AdminServer()
    page = Programmed(lambda: watch.programmed)
    watch.on_tables = page.changed
    admin.page(programmed.PATH, page.page)
    port = await admin.start("127.0.0.1", 0)
    await put_slice(client, names.GATEWAY_SERVICE, "http", 8012)
    running = watch.start()
    yield port
    await tasks.cancel(*running)
    await admin.close()


async def put_slice(client, service, port_name, port):
    slice_ = {
        "metadata": {"name": f"{service}-1", "namespace": SYSTEM, "labels": {names.SERVICE_NAME_LABEL: service}},
        "addressType": "IPv4",
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
    }
    await client.create(resources.ENDPOINT_SLICES, slice_)


async def install(client):
    await client.create(resources.NAMESPACES, {"metadata": {"name": SYSTEM}})
    for path in [
        *sorted((BASE / "crds").glob("*.yaml")),
        *sorted((BASE / "config").glob("*.yaml")),
        BASE / "webhooks.yaml",
    ]:
        for document in yaml.safe_load_all(path.read_text()):
            await client.create(resource_of(document), document)
    no_registry = {"data": {"registries-skipping-tag-resolving": "*"}}
    await client.patch(resources.CONFIG_MAPS, "config-deployment", no_registry, SYSTEM)
    autoscaler = {
        "metadata": {"name": "autoscaler", "namespace": SYSTEM},
        "spec": {"ports": [{"name": "reports", "port": 8080}]},
    }
    await client.create(resources.SERVICES, autoscaler)


async def expose_webhook(client, port):
    service = {
        "metadata": {"name": "webhook", "namespace": SYSTEM},
        "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]},
    }
    await client.create(resources.SERVICES, service)
    await put_slice(client, "webhook", "https", port)


def resource_of(document):
    kinds = (
        resources.CUSTOM_RESOURCE_DEFINITIONS,
        resources.CONFIG_MAPS,
        resources.MUTATING_WEBHOOKS,
        resources.VALIDATING_WEBHOOKS,
    )
    return next(found for found in kinds if found.kind == document["kind"])


async def until(client, resource: Resource, name, holds):
    """Return the object once `holds(object)`; the last one seen is shown when it never does."""
    last = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(ApiError):
                    last = await client.get(resource, name, "default")
                    if holds(last):
                        return last
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{resource.kind} {name} never got there: {last}") from None


async def versions(client):
    """Return the version of each object of ours in the default namespace."""
    return {
        (kind, item["metadata"]["name"]): item["metadata"]["resourceVersion"]
        for kind in OURS
        for item in (await client.list(kind, "default")).items
    }


async def at_rest(client, parts):
    """Return the versions once the controller has seen all of them and has nothing left to do."""
    known = parts.worker.world.known
    async with asyncio.timeout(DEADLINE_S):
        while True:
            stored = await versions(client)
            seen = {
                (kind, obj["metadata"]["name"]): obj["metadata"]["resourceVersion"]
                for kind in OURS
                for obj in known.all(kind)
            }
            if seen == stored and parts.worker.is_idle:
                return stored
            await asyncio.sleep(0.02)


def ready_is(status):
    return lambda obj: (conditions.find(obj) or {}).get("status") == status


def service(name="hello", **spec):
    containers = [
        {"image": "hello:1", "resources": {"requests": {"cpu": "0.1"}}, "env": [{"name": "EMPTY", "value": ""}]}
    ]
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": {"spec": {"containers": containers}}} | spec,
    }


async def make_ready(client, revision):
    status = {
        "observedGeneration": 1,
        "replicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "conditions": [{"type": "Progressing", "status": "True"}],
    }
    name = f"{revision}-deployment"
    await client.patch(resources.DEPLOYMENTS, name, {"status": status}, "default", subresource="status")
    scaled = {
        "serviceName": f"{revision}-private",
        "actualScale": 1,
        "desiredScale": 1,
        "conditions": [{"type": kind, "status": "True"} for kind in ("Active", "Ready", "ScaleTargetInitialized")],
    }
    await client.patch(resources.POD_AUTOSCALERS, revision, {"status": scaled}, "default", subresource="status")


async def test_a_service_from_apply_to_ready_to_gone(client):
    made = await client.create(KSVC, service())
    assert made["spec"]["traffic"] == [{"percent": 100, "latestRevision": True}], "defaulted by the webhook"
    deployment = await until(client, resources.DEPLOYMENTS, "hello-00001-deployment", lambda found: True)
    assert deployment["spec"]["replicas"] == 1
    await until(client, resources.POD_AUTOSCALERS, "hello-00001", lambda found: True)
    await until(client, resources.SERVICES, "hello-00001-private", lambda found: True)
    await make_ready(client, "hello-00001")
    found = await until(client, KSVC, "hello", ready_is("True"))
    assert found["status"]["url"] == "http://hello.default.example.com"
    assert found["status"]["traffic"][0]["revisionName"] == "hello-00001"

    with pytest.raises(ApiError, match=r"validation failed: Traffic targets sum to 5, want 100: spec.traffic"):
        await client.patch(KSVC, "hello", {"spec": {"traffic": [{"percent": 5}]}}, "default")

    # Replicas are the autoscaler's; nothing applied later may reset them.
    await client.patch(
        resources.DEPLOYMENTS, "hello-00001-deployment", {"spec": {"replicas": 4}}, "default", subresource="scale"
    )
    reachable = lambda found: found["spec"]["reachability"] == "Reachable"  # noqa: E731
    await until(client, resources.POD_AUTOSCALERS, "hello-00001", reachable)
    await client.patch(REV, "hello-00001", {"metadata": {"labels": {"team": "blue"}}}, "default")
    labelled = lambda found: found["metadata"]["labels"].get("team") == "blue"  # noqa: E731
    deployment = await until(client, resources.DEPLOYMENTS, "hello-00001-deployment", labelled)
    assert deployment["spec"]["replicas"] == 4


async def test_an_idle_controller_writes_nothing(system):
    client, parts = system
    await client.create(KSVC, service())
    await until(client, resources.DEPLOYMENTS, "hello-00001-deployment", lambda found: True)
    await until(client, resources.POD_AUTOSCALERS, "hello-00001", lambda found: True)
    await make_ready(client, "hello-00001")
    await until(client, KSVC, "hello", ready_is("True"))
    before = await at_rest(client, parts)
    assert {kind for kind, _name in before} == set(OURS)
    # A change of a ConfigMap makes the controller look at everything again.
    await client.patch(resources.CONFIG_MAPS, "config-gc", {"data": {"min-non-active-revisions": "19"}}, SYSTEM)
    async with asyncio.timeout(DEADLINE_S):
        while parts.worker.world.config.retention.min_non_active != 19:
            await asyncio.sleep(0.02)
    await client.create(KSVC, service("other"))
    await until(client, resources.DEPLOYMENTS, "other-00001-deployment", lambda found: True)
    after = await at_rest(client, parts)
    assert {key: version for key, version in after.items() if key in before} == before


async def test_live_edits_are_followed_and_removed_keys_go(client):
    key = "autoscaling.knative.dev/target"
    made = service()
    made["spec"]["template"]["metadata"] = {"annotations": {key: "5"}}
    await client.create(KSVC, made)
    scaler = await until(client, resources.POD_AUTOSCALERS, "hello-00001", lambda found: True)
    assert scaler["metadata"]["annotations"][key] == "5"
    await client.patch(REV, "hello-00001", {"metadata": {"annotations": {key: None}}}, "default")
    await until(
        client, resources.POD_AUTOSCALERS, "hello-00001", lambda found: key not in found["metadata"]["annotations"]
    )


async def test_applying_server_side_and_by_merge_both_make_revisions(client):
    await client.patch(KSVC, "hello", service(), "default", kind=PatchKind.APPLY, manager="ann", force=True)
    await until(client, REV, "hello-00001", lambda found: True)
    changed = service()
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "hello:2"
    await client.patch(KSVC, "hello", changed, "default", kind=PatchKind.APPLY, manager="ann", force=True)
    revision = await until(client, REV, "hello-00002", lambda found: True)
    assert revision["spec"]["containers"][0]["image"] == "hello:2"
    await client.patch(KSVC, "hello", {"metadata": {"labels": {"a": "b"}}}, "default")
    await until(client, resources.ROUTES, "hello", lambda found: found["metadata"]["labels"].get("a") == "b")
    assert len((await client.list(REV, "default")).items) == 2


async def test_labels_and_annotations_of_a_service_come_and_go_on_its_children(client):
    made = service()
    made["metadata"] |= {"labels": {"team": "blue"}, "annotations": {"note": "x"}}
    await client.create(KSVC, made)
    for resource in (resources.CONFIGURATIONS, resources.ROUTES):
        found = await until(client, resource, "hello", lambda obj: obj["metadata"]["labels"].get("team") == "blue")
        assert found["metadata"]["annotations"]["note"] == "x"
    await until(client, REV, "hello-00001", lambda found: True)
    gone = {"metadata": {"labels": {"team": None}, "annotations": {"note": None}}}
    await client.patch(KSVC, "hello", gone, "default")
    for resource in (resources.CONFIGURATIONS, resources.ROUTES):
        found = await until(client, resource, "hello", lambda obj: "team" not in obj["metadata"]["labels"])
        assert "note" not in found["metadata"]["annotations"]
    assert len((await client.list(REV, "default")).items) == 1


async def test_a_bad_config_map_is_refused_by_key(client):
    bad = {"data": {"revision-timeout-seconds": "much"}}
    with pytest.raises(ApiError, match=r"invalid value: much: data\.revision-timeout-seconds"):
        await client.patch(resources.CONFIG_MAPS, "config-defaults", bad, SYSTEM)


async def test_the_report_key_exists(client):
    secret = await client.get(resources.SECRETS, "report-key", SYSTEM)  # made before the webhook is opened
    assert secret["data"]["key"]
