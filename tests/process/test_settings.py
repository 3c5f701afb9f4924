"""Settings: file < environment < flag, and errors that say which setting and what would be right."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.process import settings
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


WORDS = st.one_of(
    st.sampled_from(["--workers", "--listen", "--config", "--work", "--workers=3", "--help", "--", "-5", "", "-h"]),
    st.text("-a1= ", max_size=4),
)


@given(st.lists(WORDS, max_size=6))
def test_a_plain_command_line_means_what_the_parser_of_command_lines_says(words):
    found = settings.plain_flags(Config, words)
    if found is not None:
        parsed = vars(settings._parser(Config, "test").parse_args(words))
        assert found == {name: value for name, value in parsed.items() if value is not None}


def test_lines_as_controllers_write_them_are_plain_and_others_are_not():
    assert settings.plain_flags(Config, ["--workers", "2", "--listen", "", "--workers", "3"]) == {
        "workers": "3",
        "listen": "",
    }
    for words in (["--workers=2"], ["--help"], ["--work", "2"], ["--workers", "-1"], ["2", "--workers"]):
        assert settings.plain_flags(Config, words) is None
