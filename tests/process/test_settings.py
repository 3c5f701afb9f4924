"""Settings: file < environment < flag, and errors that say which setting and what would be right."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tidegate.process.settings import SettingsError, describe, load, setting


@dataclass(frozen=True)
class Config:
    """A process for this test."""

    listen: str = setting("address", default="127.0.0.1:1", env="LISTEN")
    drain_timeout_s: float = setting("seconds", default=30.0)
    workers: int = setting("processes", default=1)
    verbose: bool = setting("talk", default=False)
    token: str = setting("a secret", default="", secret=True)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}: it must be at least 1")


def read(argv=(), environ=None):
    return load(Config, program="test", argv=list(argv), environ=environ or {})


def test_the_later_source_wins(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("workers: 2\ndrain_timeout_s: 5\n")
    assert read(["--config", str(file)]).workers == 2
    assert read(["--config", str(file)], {"TIDEGATE_WORKERS": "3"}).workers == 3
    assert read(["--config", str(file), "--workers", "4"], {"TIDEGATE_WORKERS": "3"}).workers == 4
    assert read(["--config", str(file)]).drain_timeout_s == 5.0
    assert read(environ={"LISTEN": "x:2"}).listen == "x:2"


@pytest.mark.parametrize("text, value", [("1", True), ("yes", True), ("off", False), ("False", False)])
def test_booleans(text, value):
    assert read(["--verbose", text]).verbose is value


@pytest.mark.parametrize(
    ("argv", "environ", "expected"),
    [
        (["--workers", "many"], {}, "--workers: 'many' is not a valid int"),
        ([], {"TIDEGATE_DRAIN_TIMEOUT_S": "soon"}, "TIDEGATE_DRAIN_TIMEOUT_S: 'soon' is not a valid float"),
        (["--workers", "0"], {}, "workers is 0"),
        (["--verbose", "maybe"], {}, "--verbose"),
    ],
)
def test_errors_name_the_setting(argv, environ, expected):
    with pytest.raises(SettingsError, match=expected):
        read(argv, environ)


def test_an_unknown_key_in_the_file_is_an_error_that_lists_the_known_ones(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("worker: 2\n")
    with pytest.raises(SettingsError, match=r"unknown setting 'worker'; known are .*workers"):
        read(["--config", str(file)])


def test_a_required_setting_says_how_to_give_it():
    @dataclass(frozen=True)
    class Needs:
        """Needs."""

        pod_ip: str = setting("address", env="POD_IP")

    with pytest.raises(SettingsError, match="pass --pod-ip or set POD_IP"):
        load(Needs, program="test", argv=[], environ={})


def test_secrets_are_not_described():
    assert describe(read(["--token", "hunter2"]))["token"] == "***"
