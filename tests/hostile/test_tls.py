"""Hostile requests over TLS: where records, not segments, bring them, the gateway refuses and passes the same."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from tests.hostile import rows_answers, test_answers
from tests.hostile.test_requests import ROWS
from tests.support.authority import Authority
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


@pytest.fixture(scope="module", params=LOOPS)
def tls_upstream(request: pytest.FixtureRequest) -> Iterator[World]:
    """Run a gateway whose pods speak TLS."""
    opened = World("gateway", request.param, inside=Authority()).open()
    yield opened
    assert opened.pool.tls_connects > 0
    opened.close()


@pytest.mark.parametrize("name", list(ROWS)[2::9])
def test_towards_pods(tls_upstream: World, name: str) -> None:
    tls_upstream.run(play(tls_upstream, ROWS[name]))
    assert tls_upstream.pool.connects == 0


@pytest.mark.parametrize("name", list(rows_answers.REFUSED)[::2])
def test_answers_of_pods_that_are_refused(tls_upstream: World, name: str) -> None:
    test_answers.test_refused(tls_upstream, name, "whole")


@pytest.mark.parametrize("end", ["closes"])
@pytest.mark.parametrize("name", rows_answers.CUT)
def test_answers_of_pods_that_are_cut(tls_upstream: World, name: str, end: str) -> None:
    test_answers.test_cut(tls_upstream, name, "whole", end)


@pytest.mark.parametrize("name", list(rows_answers.PASSED)[::2])
def test_answers_of_pods_that_pass(tls_upstream: World, name: str) -> None:
    test_answers.test_passed(tls_upstream, name, "whole")


@pytest.mark.parametrize("name", rows_answers.BEHIND)
def test_what_stands_behind_an_answer_of_a_pod(tls_upstream: World, name: str) -> None:
    test_answers.test_behind(tls_upstream, name, "whole")
