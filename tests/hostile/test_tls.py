"""Hostile requests over TLS: where records, not segments, bring them, the gateway refuses and passes the same."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from tests.hostile.test_requests import ROWS
from tests.support.certificates import write
from tests.support.hostile_rows import by_bytes, play
from tests.support.hostile_world import HOST, LOOPS, Tls, World


@pytest.fixture(scope="module", params=LOOPS)
def tls_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run a gateway whose clients speak TLS."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "tls.crt", folder / "tls.key"
    write(*files, HOST.decode())
    tls = Tls(str(files[0]), str(files[1]), ssl.create_default_context(cafile=str(files[0])))
    opened = World("gateway", request.param, tls).open()
    yield opened
    opened.close()


@pytest.mark.parametrize("name", list(ROWS)[::3])
def test_whole(tls_world: World, name: str) -> None:
    tls_world.run(play(tls_world, ROWS[name]))


@pytest.mark.parametrize("name", list(ROWS)[1::20])
def test_in_many_records(tls_world: World, name: str) -> None:
    row = ROWS[name]
    tls_world.run(play(tls_world, row, by_bytes(row.sent)))
