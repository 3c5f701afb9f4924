"""Trusted certificates are those of every labelled ConfigMap of the system namespace, and nobody else's."""

from __future__ import annotations

import asyncio

from tests.support.fake_api import FakeApi
from tidegate.contracts import internal_tls, names
from tidegate.kube import resources, trust
from tidegate.process import tasks

PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----"


def config_map(name: str, *texts: str, namespace: str = names.SYSTEM_NAMESPACE, label: str = "true") -> dict:
    labels = {internal_tls.TRUST_LABEL: label}
    data = {str(number): text for number, text in enumerate(texts)}
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "data": data}


def test_a_bundle_is_every_certificate_once_in_a_fixed_order():
    one, two = PEM.format("one"), PEM.format("two")
    assert trust.bundle([config_map("a", two), config_map("b", one + "\n", two, "a note")]) == f"{one}\n{two}"
    assert trust.bundle([]) == ""


async def test_changes_are_told_and_other_config_maps_are_not():
    api, told = FakeApi(), []
    cache = trust.watch(api, names.SYSTEM_NAMESPACE, told.append)
    api.put(resources.CONFIG_MAPS, config_map("foreign", PEM.format("x"), namespace="default"))
    api.put(resources.CONFIG_MAPS, config_map("unlabelled", PEM.format("y"), label="false"))
    running = tasks.spawn(cache.run(), "trust")
    await cache.wait_synced(30)
    api.put(resources.CONFIG_MAPS, config_map("ours", PEM.format("one")))
    async with asyncio.timeout(30):
        while not told:
            await asyncio.sleep(0)
    assert told == [PEM.format("one")]
    await tasks.cancel(running)
