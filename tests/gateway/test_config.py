"""The settings of the gateway."""

from __future__ import annotations

import pytest

from gateway.config import Config
from tidegate.process import settings


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, ("127.0.0.1", 8012)),
        ({"POD_IP": "10.0.0.1"}, ("10.0.0.1", 8012)),
        ({"POD_IP": "10.0.0.1", "TIDEGATE_GATEWAY_LISTEN": "127.0.0.1:8080"}, ("127.0.0.1", 8080)),
        ({"TIDEGATE_GATEWAY_LISTEN": "[::1]:80"}, ("::1", 80)),
    ],
)
def test_where_it_listens(environ, address):
    assert settings.load(Config, program="gateway", argv=[], environ=environ).address == address


def test_a_listen_address_without_port_is_refused():
    with pytest.raises(settings.SettingsError, match="TIDEGATE_GATEWAY_LISTEN"):
        settings.load(Config, program="gateway", argv=[], environ={"TIDEGATE_GATEWAY_LISTEN": "localhost"})
