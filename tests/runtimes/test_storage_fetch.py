"""Fetching over real HTTP and from files: cache, resume, retries, digests, single flight, eviction."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from runtimes.storage import download
from runtimes.storage import fetch as fetching
from runtimes.storage.cache import Busy, Cache
from runtimes.storage.fetch import Fetched
from runtimes.storage.remotes import Final, StoreError
from runtimes.storage.source import parse

MODEL = bytes(range(256)) * 4096


class Server:
    """Serves one file by HTTP with ETag and ranges, and counts what it sends; can be told to misbehave."""

    def __init__(self) -> None:
        self.data = MODEL
        self.tag = '"v1"'
        self.sent_bytes = 0
        self.gets = 0
        self.fail: list[int] = []
        self.cut_at: list[int] = []
        self.fail_once_cut: list[int] = []
        self.wanted_header = ""
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.wanted_header and request.headers.get("Authorization") != self.wanted_header:
            return web.Response(status=401)
        if self.fail:
            return web.Response(status=self.fail.pop(0))
        headers = {"ETag": self.tag} if self.tag else {}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(self.data))})
        self.gets += 1
        start = 0
        wanted = request.headers.get("Range", "")
        if wanted and request.headers.get("If-Range", self.tag) == self.tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        body = self.data[start:]
        answer = web.StreamResponse(status=206 if start else 200, headers=headers)
        answer.content_length = len(body)
        await answer.prepare(request)
        self.started.set()
        await self.gate.wait()
        if self.cut_at:
            body = body[: self.cut_at.pop(0)]
            await answer.write(body)
            self.sent_bytes += len(body)
            self.fail, self.fail_once_cut = self.fail + self.fail_once_cut, []
            assert request.transport is not None
            request.transport.close()
            return answer
        await answer.write(body)
        self.sent_bytes += len(body)
        return answer


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, str]]:
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    yield made, f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def fetch(uri: str, folder: Path, cache: Cache, **options: object) -> Fetched:
    return await fetching.fetch(parse(uri), folder, cache, **{"timeout_s": 60.0, "environ": {}, **options})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(fetching, "LIST_TIMEOUT_S", 60.0)


@pytest.fixture
def one_attempt(short_pauses: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause after the first attempt is longer than any patience: time is up then, however long it took."""
    monkeypatch.setattr(download, "FIRST_PAUSE_S", 1000.0)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


async def test_a_second_start_fetches_nothing_and_shares_the_bytes(
    server: tuple[Server, str], tmp_path: Path, cache: Cache
) -> None:
    far, url = server
    first = await fetch(f"{url}/m/model.bin", tmp_path / "a", cache)
    assert (first.came_from, first.files, first.fetched_bytes) == ("fetched", 1, len(MODEL))
    second = await fetch(f"{url}/m/model.bin", tmp_path / "b", cache)
    assert (second.came_from, second.fetched_bytes, far.sent_bytes) == ("cache", 0, len(MODEL))
    one, two = tmp_path / "a" / "model.bin", tmp_path / "b" / "model.bin"
    assert one.read_bytes() == MODEL
    assert one.stat().st_ino == two.stat().st_ino, "pods that map it share its pages"
    assert not one.stat().st_mode & 0o222


async def test_a_new_version_is_fetched_and_the_old_pod_keeps_the_old_bytes(
    server: tuple[Server, str], tmp_path: Path, cache: Cache
) -> None:
    far, url = server
    await fetch(f"{url}/model.bin", tmp_path / "a", cache)
    far.data, far.tag = b"new", '"v2"'
    again = await fetch(f"{url}/model.bin", tmp_path / "b", cache)
    assert again.fetched_bytes == 3
    assert (tmp_path / "b" / "model.bin").read_bytes() == b"new"
    assert (tmp_path / "a" / "model.bin").read_bytes() == MODEL


async def test_a_broken_download_goes_on_where_it_broke_off(
    server: tuple[Server, str], tmp_path: Path, cache: Cache
) -> None:
    far, url = server
    far.cut_at = [300_000, 400_000]
    done = await fetch(f"{url}/model.bin", tmp_path / "a", cache)
    assert far.gets == 3
    assert far.sent_bytes == len(MODEL), "no byte came twice"
    assert done.size_bytes == len(MODEL)
    assert (tmp_path / "a" / "model.bin").read_bytes() == MODEL


async def test_a_download_that_another_process_left_is_gone_on_with_but_only_of_the_same_version(
    server: tuple[Server, str], tmp_path: Path, cache: Cache
) -> None:
    far, url = server
    far.cut_at, far.fail_once_cut = [300_000], [404]
    with pytest.raises(Final):
        await fetch(f"{url}/model.bin", tmp_path / "a", cache)
    far.sent_bytes, far.cut_at = 0, []
    await fetch(f"{url}/model.bin", tmp_path / "a", cache)
    assert far.sent_bytes < len(MODEL)
    assert (tmp_path / "a" / "model.bin").read_bytes() == MODEL

    far.cut_at, far.fail_once_cut, far.tag = [300_000], [404], '"v2"'
    with pytest.raises(Final):
        await fetch(f"{url}/model.bin", tmp_path / "b", cache)
    far.data, far.tag = MODEL[::-1], '"v3"'
    await fetch(f"{url}/model.bin", tmp_path / "b", cache)
    assert (tmp_path / "b" / "model.bin").read_bytes() == MODEL[::-1]


async def test_errors_that_may_pass_are_tried_again_and_others_are_not(
    server: tuple[Server, str], tmp_path: Path, cache: Cache
) -> None:
    far, url = server
    far.fail, far.cut_at = [503, 429], [0]
    await fetch(f"{url}/model.bin", tmp_path / "a", cache)
    assert (far.fail, far.cut_at) == ([], [])
    far.fail = [404]
    with pytest.raises(Final, match="answered 404"):
        await fetch(f"{url}/gone.bin", tmp_path / "b", cache)


async def test_the_last_error_is_told_when_time_is_up(
    server: tuple[Server, str], tmp_path: Path, cache: Cache, one_attempt: None
) -> None:
    far, url = server
    far.fail = [503] * 9
    with pytest.raises(StoreError, match="answered 503"):
        await fetch(f"{url}/model.bin", tmp_path / "a", cache)
    assert len(far.fail) == 8


async def test_credentials_are_sent_and_never_told(
    server: tuple[Server, str], tmp_path: Path, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    far, url = server
    far.wanted_header = "Bearer hidden"
    with pytest.raises(Final, match=r"answered 401 \(check the Secret") as found:
        await fetch(f"{url}/m.bin", tmp_path / "a", cache)
    environ = {"STORAGE_HTTP_HEADERS": "Authorization: Bearer hidden\n"}
    far.cut_at = [10]
    await fetch(f"{url}/m.bin", tmp_path / "a", cache, environ=environ)
    assert "hidden" not in caplog.text + str(found.value)
    assert not [path for path in (tmp_path / "cache").rglob("*.json") if "hidden" in path.read_text()]


async def test_what_is_here_is_used_when_the_source_cannot_be_asked(
    server: tuple[Server, str], tmp_path: Path, cache: Cache, one_attempt: None
) -> None:
    far, url = server
    await fetch(f"{url}/model.bin", tmp_path / "a", cache)
    far.fail = [503] * 100
    again = await fetch(f"{url}/model.bin", tmp_path / "b", cache)
    assert again.came_from == "stale cache"
    assert (tmp_path / "b" / "model.bin").read_bytes() == MODEL
    far.fail = [403]
    with pytest.raises(Final):
        await fetch(f"{url}/model.bin", tmp_path / "c", cache)


async def test_a_demanded_digest_is_checked_and_spares_the_question(
    server: tuple[Server, str], tmp_path: Path, cache: Cache
) -> None:
    far, url = server
    digest = hashlib.sha256(MODEL).hexdigest()
    await fetch(f"{url}/model.bin#sha256={digest}", tmp_path / "a", cache)
    far.fail = [500] * 9
    assert (await fetch(f"{url}/model.bin#sha256={digest}", tmp_path / "b", cache)).came_from == "cache"
    far.fail = []
    with pytest.raises(Final, match="the digest is sha256="):
        await fetch(f"{url}/model.bin#sha256={'0' * 64}", tmp_path / "c", cache)
    assert not (tmp_path / "c" / "model.bin").exists()


async def test_a_source_without_versions_is_fetched_each_time_but_kept_once(
    server: tuple[Server, str], tmp_path: Path, cache: Cache
) -> None:
    far, url = server
    far.tag = ""
    for name in ("a", "b"):
        await fetch(f"{url}/model.bin", tmp_path / name, cache)
    assert far.gets == 2
    assert len(list((tmp_path / "cache" / "blobs").iterdir())) == 1


async def test_archives_are_unpacked_once(server: tuple[Server, str], tmp_path: Path, cache: Cache) -> None:
    far, url = server
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("1/model.bin", "config.pbtxt"):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    far.data = buffer.getvalue()
    for name in ("a", "b"):
        done = await fetch(f"{url}/m.tar.gz", tmp_path / name, cache)
        assert done.files == 2
        assert (tmp_path / name / "1" / "model.bin").read_bytes() == b"abc"
    assert (done.came_from, far.gets) == ("cache", 1)
    far.data, far.tag = b"no archive", '"v2"'
    with pytest.raises(Final, match=r"m\.tar\.gz"):
        await fetch(f"{url}/m.tar.gz", tmp_path / "c", cache)
    assert not list((tmp_path / "cache" / "partial").glob("*.unpacked"))


async def test_many_pods_at_once_fetch_it_once(server: tuple[Server, str], tmp_path: Path, cache: Cache) -> None:
    far, url = server
    far.gate.clear()
    running = [asyncio.ensure_future(fetch(f"{url}/model.bin", tmp_path / str(n), cache)) for n in range(5)]
    await far.started.wait()
    with pytest.raises(Busy):
        await fetch(f"{url}/model.bin", tmp_path / "late", cache, timeout_s=0.01)
    far.gate.set()
    done = await asyncio.gather(*running)
    assert far.gets == 1
    assert sorted(one.came_from for one in done) == ["cache"] * 4 + ["fetched"]


async def test_the_least_used_models_make_room_and_running_pods_keep_theirs(
    server: tuple[Server, str], tmp_path: Path, cache: Cache
) -> None:
    far, url = server
    for number in range(4):
        far.data, far.tag = bytes([number]) * 1000, f'"{number}"'
        await fetch(f"{url}/{number}.bin", tmp_path / str(number), cache, limit_bytes=2500)
        time.sleep(0.002)
    assert len(list((tmp_path / "cache" / "blobs").iterdir())) == 2
    assert (tmp_path / "0" / "0.bin").read_bytes() == bytes(1000)
    assert (await fetch(f"{url}/3.bin", tmp_path / "again", cache)).came_from == "cache"


async def test_files_of_the_node_are_linked(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "models" / "1").mkdir(parents=True)
    (tmp_path / "models" / "1" / "model.bin").write_bytes(b"abc")
    done = await fetch(f"file://{tmp_path}/models", tmp_path / "a", cache)
    assert (done.came_from, done.files, done.size_bytes) == ("file", 1, 3)
    assert (tmp_path / "models" / "1" / "model.bin").samefile(tmp_path / "a" / "1" / "model.bin")
    with pytest.raises(Final, match="no such file or folder"):
        await fetch(f"file://{tmp_path}/gone", tmp_path / "a", cache)
