"""The settings: what the controller writes is understood, what cannot work is refused before a port is bound."""

from __future__ import annotations

import pytest

from queueproxy.config import Config
from tidegate.process import settings


def load(**environ: str) -> Config:
    return settings.load(Config, program="queueproxy", argv=[], environ=environ)


def test_the_controllers_environment():
    config = load(
        CONTAINER_CONCURRENCY="3",
        USER_PORT="9000",
        REVISION_TIMEOUT_SECONDS="10",
        AUTOSCALER_ADDRESS="127.9.128.4:8080",
        REPORT_TOKEN="secret",
    )
    assert (config.container_concurrency, config.queue_limit, config.user_port) == (3, 30, 9000)
    assert config.autoscaler == ("127.9.128.4", 8080)
    assert settings.describe(config)["report_token"] == "***"


def test_without_an_address_nothing_is_reported():
    assert load().autoscaler is None


@pytest.mark.parametrize(
    "environ",
    [
        {"CONTAINER_CONCURRENCY": "-1"},
        {"USER_PORT": "0"},
        {"AUTOSCALER_ADDRESS": "autoscaler"},
        {"USER_PORT": "x"},
        {"SERVING_READINESS_PROBE": "{"},
    ],
)
def test_what_cannot_work_is_refused(environ):
    with pytest.raises(settings.SettingsError):
        load(**environ)
