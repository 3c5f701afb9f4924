"""config-observability at the start of a process."""

from __future__ import annotations

import pytest

from tests.support.fake_api import FakeApi
from tidegate.contracts import names
from tidegate.contracts.config.observability import Observability
from tidegate.kube import observability, resources
from tidegate.kube.api import Unreachable

TRACING = {"tracing-protocol": "http/protobuf", "tracing-endpoint": "http://c:4318", "tracing-sampling-rate": "0.5"}


def fake(data: dict[str, str]) -> FakeApi:
    api = FakeApi()
    metadata = {"name": names.CONFIG_OBSERVABILITY, "namespace": names.SYSTEM_NAMESPACE}
    api.put(resources.CONFIG_MAPS, {"metadata": metadata, "data": data})
    return api


async def test_what_it_says_is_used() -> None:
    values = await observability.read(fake(TRACING), names.SYSTEM_NAMESPACE)
    assert (values.tracing_endpoint, values.tracing_sampling_rate) == ("http://c:4318", 0.5)


@pytest.mark.parametrize("is_there", [True, False])
async def test_without_it_or_with_a_bad_one_the_defaults_hold(is_there: bool, caplog: pytest.LogCaptureFixture) -> None:
    api = fake({"tracing-protocol": "pigeons"}) if is_there else FakeApi()
    assert await observability.read(api, names.SYSTEM_NAMESPACE) == Observability()
    assert ("pigeons" in caplog.text) is is_there


async def test_a_server_that_does_not_answer_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    class Away(FakeApi):
        async def get(self, *_: object, **__: object) -> dict[str, object]:
            raise Unreachable("nobody there")

    assert await observability.read(Away(), names.SYSTEM_NAMESPACE) == Observability()
    assert "no spans" in caplog.text
