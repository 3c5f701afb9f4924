"""Gateways whose answers are played by a test: who is ready, and how far the tables of each have come."""

from __future__ import annotations

import asyncio

from controller.gateways import Gateways
from tests.support.fake_api import FakeApi
from tidegate.contracts.programmed import Versions
from tidegate.kube import resources
from tidegate.kube.api import Object


class PlayedGateways(Gateways):
    """Nobody is asked; `tell` is what a gateway answered."""

    def __init__(self, api: FakeApi) -> None:
        super().__init__(api, "tidegate-system")
        self._fake = api

    def set_ready(self, *addresses: str) -> None:
        """Play the EndpointSlice."""
        self._state.set_ready(addresses)
        self._look()

    def tell(self, *addresses: str) -> None:
        """Let gateways have everything that is stored now."""
        for address in addresses:
            kinds = resources.ROUTES, resources.DOMAIN_MAPPINGS, resources.SECRETS
            self._state.answered(address, Versions(*map(self._newest, kinds)))
        self._look()

    def _look(self) -> None:
        if marked := self._state.news(asyncio.get_running_loop().time()):
            self.mark(marked)

    def _newest(self, resource: resources.Resource) -> int:
        return max((_version(obj) for obj in self._fake.all(resource)), default=0)


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])
