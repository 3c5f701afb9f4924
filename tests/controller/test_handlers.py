"""kopf's settings and handlers: stateless, quiet, and nothing but messengers."""

import asyncio

from controller import handlers
from controller.cluster_config import ClusterConfig
from controller.gather import World
from controller.lean_kopf import kopf
from controller.objects import WATCHED, Objects
from controller.worker import Worker
from tests.support.fake_api import FakeApi
from tidegate.kube import resources
from tidegate.kube.connect import Connection

CONNECTION = Connection(server="https://1.2.3.4", token="t", ca_pem="-----BEGIN CERTIFICATE-----")


def make(changed=lambda: None):
    worker = Worker(FakeApi(), World(Objects(), ClusterConfig()), 1)
    return worker, handlers.registry(worker, CONNECTION, changed)


def watchers(registry):
    return {handler.selector.plural: handler for handler in registry._watching.get_all_handlers()}


def test_every_watched_kind_has_one_handler():
    _, registry = make()
    found = list(registry._watching.get_all_handlers())
    assert sorted((each.selector.group, each.selector.plural) for each in found) == sorted(
        (resource.group, resource.plural) for resource in WATCHED
    )


def test_nothing_needs_finalizers_or_storage_on_objects():
    _, registry = make()
    assert not list(registry._changing.get_all_handlers())
    assert not list(registry._spawning.get_all_handlers())


async def test_handlers_only_carry_what_they_see():
    changed = []
    worker, registry = make(lambda: changed.append(1))
    route = {"metadata": {"name": "r", "namespace": "n", "uid": "u", "resourceVersion": "1"}, "spec": {}}
    handler = watchers(registry)["routes"]
    await handler.fn(event={"type": None, "object": route})
    assert worker.world.known.get(resources.ROUTES, "n", "r")
    await handler.fn(event={"type": "DELETED", "object": route})
    assert worker.world.known.get(resources.ROUTES, "n", "r") is None
    assert not changed
    await watchers(registry)["configmaps"].fn(event={"type": "ADDED", "object": route})
    assert changed == [1]
    await asyncio.sleep(0)


def test_settings_are_quiet_and_selective():
    made = handlers.settings("tidegate-system")
    assert not made.posting.enabled
    labels = list(made.watching.label_selectors.values())
    assert labels == ["serving.knative.dev/revision"] * 2
    assert list(made.watching.field_selectors.values()) == ["metadata.namespace=tidegate-system"]


def test_the_connection_is_told_in_kopfs_terms():
    info = handlers.connection_info(CONNECTION, CONNECTION.token)
    assert info.expiration is None
    assert (info.server, info.token, info.insecure) == ("https://1.2.3.4", "t", False)
    assert isinstance(info, kopf.ConnectionInfo)
    assert handlers.connection_info(Connection(server="http://x", verify=False), "").insecure
    # A pod's token is replaced by its cluster: kopf has to ask again.
    assert handlers.connection_info(Connection(server="http://x", token_file="/t"), "t").expiration is not None
