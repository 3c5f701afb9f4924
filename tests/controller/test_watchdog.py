"""What is done by the clock: the first look, deletions that no watch told of, configuration."""

import asyncio

import pytest

from controller.cluster_config import ClusterConfig
from controller.gather import World
from controller.objects import Objects
from controller.watchdog import Watchdog
from controller.worker import Worker
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.api import ApiError, Unreachable
from tidegate.process import tasks

SYSTEM = "tidegate-system"
pytestmark = pytest.mark.looptime


@pytest.fixture
def api():
    return FakeApi()


@pytest.fixture
def worker(api):
    return Worker(api, World(Objects(), ClusterConfig()), 1)


@pytest.fixture
def watchdog(api, worker):
    return Watchdog(api, worker, SYSTEM)


def config_map(name, **data):
    return {"metadata": {"name": name, "namespace": SYSTEM}, "data": data}


async def test_it_prepares_keys_objects_and_configuration(api, worker, watchdog):
    await api.create(resources.CONFIG_MAPS, config_map("config-domain", **{"a.com": ""}))
    await api.create(
        resources.CONFIG_MAPS,
        config_map("config-domain", **{"b.com": ""})
        | {"metadata": {"name": "config-domain", "namespace": "elsewhere"}},
    )
    service = {"metadata": {"name": "autoscaler", "namespace": SYSTEM}, "spec": {"clusterIP": "10.0.0.9"}}
    await api.create(resources.SERVICES, service)
    await watchdog.prepare()
    config = worker.world.config
    assert watchdog.is_synced
    assert len(config.report_key) == 32
    assert config.autoscaler_address == "10.0.0.9:8080"
    assert [domain.name for domain in config.network.domains] == ["a.com"]


async def test_it_keeps_trying_until_the_api_server_is_there(api, watchdog, looptime):
    api.refuse("get", resources.SECRETS, Unreachable("no"), times=3)
    await watchdog.prepare()
    assert watchdog.is_synced
    assert looptime == 1.5


async def test_a_kind_whose_definition_is_missing_is_told_and_looked_for(api, worker, watchdog, caplog):
    await api.create(resources.INFERENCE_SERVICES, {"metadata": {"name": "m", "namespace": "default"}, "spec": {}})
    await api.create(resources.ROUTES, {"metadata": {"name": "r", "namespace": "default"}, "spec": {}})
    not_served = ApiError(404, "NotFound", "the server could not find the requested resource")
    api.refuse("list", resources.INFERENCE_SERVICES, not_served, times=3)
    await watchdog.prepare()
    assert watchdog.is_synced
    assert worker.world.known.get(resources.INFERENCE_SERVICES, "default", "m") is None
    assert worker.world.known.get(resources.ROUTES, "default", "r")
    task = tasks.spawn(watchdog.run(1.0, 600.0), "watchdog")
    await asyncio.sleep(5.0)
    await tasks.cancel(task)
    assert caplog.text.count("inferenceservices.serving.kserve.io are not served") == 1
    assert worker.world.known.get(resources.INFERENCE_SERVICES, "default", "m")


async def test_the_report_key_is_made_once(api, worker, watchdog):
    await watchdog.prepare()
    key = worker.world.config.report_key
    other = Worker(api, World(Objects(), ClusterConfig()), 1)
    await Watchdog(api, other, SYSTEM).prepare()
    assert other.world.config.report_key == key


async def test_a_relist_forgets_what_no_watch_said_was_gone(api, worker, watchdog):
    await api.create(resources.ROUTES, {"metadata": {"name": "r", "namespace": "default"}, "spec": {}})
    await watchdog.prepare()
    assert worker.world.known.get(resources.ROUTES, "default", "r")
    await api.delete(resources.ROUTES, "r", "default")
    task = tasks.spawn(watchdog.run(1.0, 2.0), "watchdog")
    await asyncio.sleep(3.0)
    await tasks.cancel(task)
    assert worker.world.known.get(resources.ROUTES, "default", "r") is None


async def test_a_bad_config_map_leaves_the_old_values_working(api, worker, watchdog, caplog):
    await api.create(resources.CONFIG_MAPS, config_map("config-defaults", **{"revision-timeout-seconds": "100"}))
    await watchdog.prepare()
    assert worker.world.config.defaults.timeout_s == 100
    patch = {"data": {"revision-timeout-seconds": "much"}}
    await api.patch(resources.CONFIG_MAPS, "config-defaults", patch, SYSTEM)
    await watchdog.relist()
    assert worker.world.config.defaults.timeout_s == 100
    assert "invalid value: much: revision-timeout-seconds" in caplog.text


async def test_a_configured_address_of_the_autoscaler_wins(api, worker, watchdog):
    await api.create(resources.CONFIG_MAPS, config_map("config-deployment", **{"autoscaler-address": "far:1"}))
    await watchdog.prepare()
    assert worker.world.config.autoscaler_address == "far:1"


async def test_the_autoscaler_is_looked_for_until_it_is_there(api, worker, watchdog):
    await watchdog.prepare()
    assert worker.world.config.autoscaler_address == ""
    task = tasks.spawn(watchdog.run(60.0, 600.0), "watchdog")
    service = {"metadata": {"name": "autoscaler", "namespace": SYSTEM}, "spec": {"clusterIP": "10.0.0.9"}}
    await api.create(resources.SERVICES, service)
    await asyncio.sleep(1.0)
    await tasks.cancel(task)
    assert worker.world.config.autoscaler_address == "10.0.0.9:8080"
